#include "domain/score.h"

#include "domain/score_part.h"

#include <assert.h>

static const char *const gate_names[] = {
    [GATE_NONE] = "none",
    [GATE_UNDECODABLE] = "undecodable",
    [GATE_WRONG_TYPE] = "wrong_type",
    [GATE_TOO_SMALL] = "too_small",
    [GATE_TOO_SHORT] = "too_short",
    [GATE_BLANK] = "blank",
    [GATE_SILENT] = "silent",
    [GATE_FROZEN] = "frozen",
    [GATE_DUPLICATE] = "duplicate",
};
static_assert(COUNT_OF(gate_names) == GATE__COUNT, "every gate has a name");

const char *score_gate_name(enum score_gate gate)
{
    CHECK((unsigned)gate < GATE__COUNT);
    return gate_names[gate];
}

static const char *const measure_names[] = {
    [MEASURE_SHARP] = "sharp",           [MEASURE_EXPOSURE] = "exposure",
    [MEASURE_NOISE] = "noise",           [MEASURE_BLOCKING] = "blocking",
    [MEASURE_RESOLUTION] = "resolution", [MEASURE_BLACK] = "black",
    [MEASURE_FROZEN] = "frozen",         [MEASURE_FPS] = "fps",
    [MEASURE_INTEGRITY] = "integrity",   [MEASURE_LOUDNESS] = "loudness",
    [MEASURE_CLIPPING] = "clipping",     [MEASURE_SNR] = "snr",
    [MEASURE_SILENCE] = "silence",       [MEASURE_BANDWIDTH] = "bandwidth",
};
static_assert(COUNT_OF(measure_names) == SCORE_MEASURE__COUNT, "every measure has a name");

const char *score_measure_name(enum score_measure measure)
{
    CHECK((unsigned)measure < SCORE_MEASURE__COUNT);
    return measure_names[measure];
}

bool score_ignore_add(struct str name, unsigned *ignored)
{
    static const unsigned may_be_ignored = BIT(MEASURE_SHARP) | BIT(MEASURE_EXPOSURE) |
                                           BIT(MEASURE_NOISE) | BIT(MEASURE_BLOCKING) |
                                           BIT(MEASURE_RESOLUTION);
    int measure = str_index(name, measure_names, SCORE_MEASURE__COUNT);
    if (measure < 0) return str_eq(name, STR("naturalness"));
    if (!(may_be_ignored & BIT(measure))) return false;
    *ignored |= BIT(measure);
    return true;
}

/* --- the gates --- */

enum {
    BLANK_DEVIATION_MILLI = 3000,
    BLANK_ENTROPY_MILLI = 1000,
    /* A drawing in pure black and white has under a bit of entropy too, but not so few levels. */
    BLANK_ENTROPY_DEVIATION_MILLI = 20000,
    BLANK_BLACK_PPM = 980000,
    SILENT_PPM = 980000,
    FROZEN_PPM = 900000,
};

static bool gate_undecodable(const struct media_result *result, const struct score_limits *limits)
{
    (void)limits;
    if (result->verdict != MEDIA_DECODED) return true;
    /* A picture cut short still decodes, grey at the bottom. Sound and video lose a little
     * quality for each damaged packet instead: what is left can be fine. */
    return result->decode_errors > 0 &&
           media_type_kind((enum media_type)result->type) == MEDIA_IMAGE;
}

static bool gate_wrong_type(const struct media_result *result, const struct score_limits *limits)
{
    return limits->formats != 0 && !(limits->formats & BIT(result->type));
}

static bool gate_too_small(const struct media_result *result, const struct score_limits *limits)
{
    if (media_type_kind((enum media_type)result->type) == MEDIA_AUDIO) return false;
    return result->width < limits->width_min || result->height < limits->height_min;
}

static bool gate_too_short(const struct media_result *result, const struct score_limits *limits)
{
    if (media_type_kind((enum media_type)result->type) == MEDIA_IMAGE) return false;
    return limits->duration_ms_min > 0 &&
           result->duration_ms < limits->duration_ms_min - SCORE_DURATION_SLACK_MS;
}

static bool gate_blank(const struct media_result *result, const struct score_limits *limits)
{
    const struct media_image_figures *image = &result->image;
    enum media_kind                   kind = media_type_kind((enum media_type)result->type);
    (void)limits;
    if (kind == MEDIA_AUDIO) return false;
    if (kind == MEDIA_VIDEO && result->video.black_ppm >= BLANK_BLACK_PPM) return true;
    return image->deviation_milli < BLANK_DEVIATION_MILLI ||
           (image->entropy_milli < BLANK_ENTROPY_MILLI &&
            image->deviation_milli < BLANK_ENTROPY_DEVIATION_MILLI);
}

static bool gate_silent(const struct media_result *result, const struct score_limits *limits)
{
    (void)limits;
    return media_type_kind((enum media_type)result->type) == MEDIA_AUDIO &&
           (!result->has_audio || result->audio.silence_ppm > SILENT_PPM);
}

static bool gate_frozen(const struct media_result *result, const struct score_limits *limits)
{
    (void)limits;
    return media_type_kind((enum media_type)result->type) == MEDIA_VIDEO &&
           result->video.frozen_ppm > FROZEN_PPM;
}

/* In the order a person would say them: the first that holds is the reason. */
static const struct gate_rule {
    enum score_gate gate;
    bool (*holds)(const struct media_result *result, const struct score_limits *limits);
} gate_rules[] = {
    { GATE_UNDECODABLE, gate_undecodable },
    { GATE_WRONG_TYPE, gate_wrong_type },
    { GATE_TOO_SMALL, gate_too_small },
    { GATE_TOO_SHORT, gate_too_short },
    { GATE_BLANK, gate_blank },
    { GATE_SILENT, gate_silent },
    { GATE_FROZEN, gate_frozen },
};

static enum score_gate gate_find(const struct media_result *result,
                                 const struct score_limits *limits)
{
    for (size_t i = 0; i < COUNT_OF(gate_rules); i++)
        if (gate_rules[i].holds(result, limits)) return gate_rules[i].gate;
    return GATE_NONE;
}

static void score_set_gate(struct score *score, enum score_gate gate)
{
    score->gate = gate;
    score->stars = 1;
    score->quality_milli = 1000;
    score->completeness_milli = 1000;
}

/* --- the whole --- */

void score_compute(const struct media_result *result, const struct score_limits *limits,
                   struct score *ret_score)
{
    struct score    score = { .limits = *limits };
    enum score_gate gate = gate_find(result, limits);
    if (gate != GATE_NONE) {
        score_set_gate(&score, gate);
    } else {
        score.parts_count = score_parts(result, limits, score.parts);
        score.quality_milli = score_quality(score.parts, score.parts_count);
        score.completeness_milli = score_completeness(result, limits);
        score.stars = score_stars(score.quality_milli, score.completeness_milli,
                                  score.relevance_milli, &score.steps);
    }
    score_explain(result, &score);
    *ret_score = score;
}

void score_duplicate(struct score *ret_score)
{
    struct score score = { 0 };
    score_set_gate(&score, GATE_DUPLICATE);
    score_explain(NULL, &score);
    *ret_score = score;
}
