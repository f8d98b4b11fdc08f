/* The rows of submissions: written here for the rules of submission.c; read and listed through
 * submission.h. */
#ifndef FIRSTHAND_DOMAIN_SUBMISSION_ROW_H
#define FIRSTHAND_DOMAIN_SUBMISSION_ROW_H

#include "domain/submission.h"

/* Insert, or replace everything that a second attempt changes. score_record may be absent. */
MUST_USE enum err submission_save(struct call *call, const struct submission *row,
                                  struct str score_record);

/* Does a row pass the filter, and is it of the actor's environment? Its job is not asked. */
bool submission_is_wanted(const struct call *call, const struct submission_filter *filter,
                          const struct submission *row);

#endif
