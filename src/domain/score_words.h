/* Words for the parts of a score, and the line they are written on. Private to the scorer. */
#ifndef FIRSTHAND_DOMAIN_SCORE_WORDS_H
#define FIRSTHAND_DOMAIN_SCORE_WORDS_H

#include "domain/score.h"

/* Text in the caller's memory; what does not fit is cut. Always NUL-terminated. */
struct words {
    char  *data;
    size_t len, cap;
};

PRINTF_LIKE(2, 3) void words_add(struct words *words, const char *format, ...);

/* Thousandths with one decimal under a hundred, none above, rounded half away from zero. */
void words_milli(struct words *words, int64_t milli);

/* Parts per million as a percentage. */
void words_ppm(struct words *words, int64_t ppm);

/* Says what is wrong, with the figure, to follow "somewhat"; yields what to do about it. */
typedef const char *fault_fn(struct words *words, const struct media_result *result);

typedef void praise_fn(struct words *words, const struct media_result *result);

struct wording {
    fault_fn  *fault;
    praise_fn *praise; /* NULL: going right goes without saying */
};

const struct wording *wording_of(enum score_measure measure);

#endif
