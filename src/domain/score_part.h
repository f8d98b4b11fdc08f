/* The arithmetic between figures and stars. Private to the scorer and its tests. */
#ifndef FIRSTHAND_DOMAIN_SCORE_PART_H
#define FIRSTHAND_DOMAIN_SCORE_PART_H

#include "domain/score.h"

/* Containers count in frames: a length this little off the limit is the limit. */
enum { SCORE_DURATION_SLACK_MS = 50 };

/* 0 at zero_at and beyond, 1000 at one_at and beyond, straight between, rounded half up;
 * either end may be the larger. Ends must differ, and all three stay within ±2^50. */
int32_t score_ramp(int64_t value, int64_t zero_at, int64_t one_at);

/* The parts this file's quality is made of; never more than SCORE_PARTS_COUNT_MAX. */
int score_parts(const struct media_result *result, const struct score_limits *limits,
                struct score_part *ret_parts);

/* 1000 + 4 × min(weighted mean, worst + 250); 5000 without parts: the job looks at none. */
int32_t score_quality(const struct score_part *parts, int parts_count);

/* 5000 when nothing is asked or all of it is there. */
int32_t score_completeness(const struct media_result *result, const struct score_limits *limits);

/* A dimension as whole stars, rounded half up. */
int32_t score_dimension_stars(int32_t milli);

/* 1…5 from the dimensions, relevance_milli 0 taking no part; *ret_steps says what else moved it. */
int32_t score_stars(int32_t quality_milli, int32_t completeness_milli, int32_t relevance_milli,
                    unsigned *ret_steps);

/* The two factors of MEASURE_SHARP. */
int32_t score_focus_milli(const struct media_result *result);
int32_t score_motion_milli(const struct media_result *result);

/* What is wrong with the exposure most of all. */
enum score_exposure { EXPOSURE_DARK, EXPOSURE_BURNT, EXPOSURE_CRUSHED, EXPOSURE_FLAT };
int32_t score_exposure_milli(const struct media_result *result, enum score_exposure *ret_worst);

/* Damaged packets a minute. */
int64_t score_damage_per_minute(const struct media_result *result);

/* Write score->reasoning from everything else in *score. */
void score_explain(const struct media_result *result, struct score *score);

#endif
