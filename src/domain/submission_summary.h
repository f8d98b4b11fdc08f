/* What an organisation's submissions come to, counted. */
#ifndef FIRSTHAND_DOMAIN_SUBMISSION_SUMMARY_H
#define FIRSTHAND_DOMAIN_SUBMISSION_SUMMARY_H

#include "domain/submission.h"

enum { STARS_MAX = 5 };

struct submission_summary {
    int64_t count;
    int64_t by_state[SUBMISSION_STATE__COUNT];
    int64_t by_stars[STARS_MAX + 1]; /* [0] = without stars */
    int64_t approved_bytes;
    int64_t spent_cents; /* the price of the approved ones, the platform's share included */
};

/* Count those that submission_list would list, of the PAGE_SCAN_ROWS_MAX newest older than
 * filter->before. When more may lie behind them, *ret_last is where to go on; else it is empty. */
MUST_USE enum err submission_summarise(struct call *call, const struct submission_filter *filter,
                                       struct submission_summary *ret_summary, struct id *ret_last);

/* The mean of what has stars, in thousandths, half up; 0 = nothing has. */
int64_t submission_summary_mean(const struct submission_summary *summary);

#endif
