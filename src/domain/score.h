/* From the figures of a file to stars and words (SCORING §4). Pure: no clock, no store, no floating
 * point; the same record and job limits give the same score. */
#ifndef FIRSTHAND_DOMAIN_SCORE_H
#define FIRSTHAND_DOMAIN_SCORE_H

#include "base/error.h"
#include "platform/media.h"

enum { SCORE_REASONING_BYTES_MAX = 700, SCORER_VERSION = 1 };

/* What the job asks of a file. 0 = not asked. */
struct score_limits {
    unsigned formats; /* set of BIT(enum media_type) */
    int32_t  width_min, height_min;
    int64_t  duration_ms_min, duration_ms_max;
};

enum score_gate {
    GATE_NONE,
    GATE_UNDECODABLE,
    GATE_WRONG_TYPE,
    GATE_TOO_SMALL,
    GATE_TOO_SHORT,
    GATE_BLANK,
    GATE_SILENT,
    GATE_FROZEN,
    GATE_DUPLICATE,
    GATE__COUNT
};

struct score {
    int32_t         stars;         /* 1…5 */
    enum score_gate gate;          /* GATE_NONE, or why it is 1 star whatever the job's minimum */
    int32_t         quality_milli; /* 1000…5000 */
    int32_t         completeness_milli; /* 1000…5000 */
    int32_t         relevance_milli;    /* 0 = not assessed */
    char
        reasoning[SCORE_REASONING_BYTES_MAX]; /* one to three plain sentences with figures, ASCII */
};

void score_compute(const struct media_result *result, const struct score_limits *limits,
                   struct score *ret_score);

/* The score of exact bytes that the job already has. */
void score_duplicate(struct score *ret_score);

const char *score_gate_name(enum score_gate gate); /* "undecodable", "too_small" … */

/* The stored record that explains a score: JSON with scorer version, sub-scores, figures and the
 * versions of the libraries that decoded. Owned by the arena. */
struct str score_record(const struct media_result *result, const struct score *score,
                        struct str input_sha256_hex, struct arena *arena);

#endif
