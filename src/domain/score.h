/* From the figures of a file to stars and words (SCORING §4). Pure: no clock, no store, no floating
 * point; the same record and job limits give the same score. */
#ifndef FIRSTHAND_DOMAIN_SCORE_H
#define FIRSTHAND_DOMAIN_SCORE_H

#include "base/error.h"
#include "platform/media.h"

enum { SCORE_REASONING_BYTES_MAX = 700, SCORE_ANNOTATIONS_BYTES_MAX = 1 << 10, SCORER_VERSION = 1 };

/* What the job asks of a file. 0 = not asked. */
struct score_limits {
    unsigned formats; /* set of BIT(enum media_type) */
    int32_t  width_min, height_min;
    int64_t  duration_ms_min, duration_ms_max;
    unsigned ignored; /* sub-scores that take no part: set of BIT(enum score_measure) */
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

/* What quality is made of; which of them a file has depends on its kind. */
enum score_measure {
    MEASURE_SHARP, /* pictures: times the motion term */
    MEASURE_EXPOSURE,
    MEASURE_NOISE,
    MEASURE_BLOCKING,
    MEASURE_RESOLUTION,
    MEASURE_BLACK,
    MEASURE_FROZEN,
    MEASURE_FPS,
    MEASURE_INTEGRITY,
    MEASURE_LOUDNESS,
    MEASURE_CLIPPING,
    MEASURE_SNR,
    MEASURE_SILENCE,
    MEASURE_BANDWIDTH,
    SCORE_MEASURE__COUNT
};

struct score_part {
    enum score_measure measure;
    int32_t            weight; /* relative to the other parts' */
    int32_t            milli;  /* 0 = as bad as it gets … 1000 = nothing to wish for */
};

/* What moved the stars away from the weighted mean, as a set of BIT. */
enum score_step {
    STEP_CRITICAL,         /* minus one: a dimension under 1.5 */
    STEP_CAP_QUALITY,      /* not above a quality of 2 or less */
    STEP_CAP_COMPLETENESS, /* not above a completeness of 2 or less */
    STEP_CAP_TECHNICAL,    /* not more than one above the quality that was measured */
    SCORE_STEP__COUNT
};

enum { SCORE_PARTS_COUNT_MAX = 9 };

struct score {
    int32_t         stars;                  /* 1…5 */
    enum score_gate gate;                   /* GATE_NONE, or why it is 1 star whatever the job's
                                               minimum; the dimensions then are 1000 */
    int32_t             quality_milli;      /* 1000…5000 */
    int32_t             completeness_milli; /* 1000…5000 */
    int32_t             relevance_milli;    /* 0 = not assessed */
    unsigned            steps;              /* set of BIT(enum score_step) */
    struct score_limits limits;             /* what it was held against */
    struct score_part   parts[SCORE_PARTS_COUNT_MAX];
    int                 parts_count;
    /* One to three plain sentences with figures; ASCII. */
    char reasoning[SCORE_REASONING_BYTES_MAX];
};

/* result must have passed media_result_check. */
void score_compute(const struct media_result *result, const struct score_limits *limits,
                   struct score *ret_score);

/* The score of exact bytes that the job already has. */
void score_duplicate(struct score *ret_score);

/* Add the sub-score that a job's scoring_ignore names to a set; naturalness is not measured yet and
 * adds none. False for what no job may switch off. */
MUST_USE bool score_ignore_add(struct str name, unsigned *ignored);

const char *score_gate_name(enum score_gate gate);          /* "undecodable", "too_small" … */
const char *score_measure_name(enum score_measure measure); /* "sharp", "exposure" … */

/* The stored record that explains a score: JSON with scorer version, limits, sub-scores, figures
 * and the versions of the libraries that decoded; enough to compute it again. result is NULL for
 * what was never decoded: a duplicate, or a file that could not be examined. The same score gives
 * the same bytes. Owned by the arena. */
struct str score_record(const struct media_result *result, const struct score *score,
                        struct str input_sha256_hex, struct arena *arena);

/* The part of it that buyers see as `annotations` of a file: JSON with the dimensions, the
 * sub-scores, and facts about its sound and frames. Owned by the arena. */
struct str score_annotations(const struct media_result *result, const struct score *score,
                             struct arena *arena);

#endif
