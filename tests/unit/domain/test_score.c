#include "base/json_in.h"
#include "domain/score.h"
#include "domain/score_part.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "score_figures.h"

static struct media_result photo_of(int32_t width, int32_t height)
{
    struct media_result result = good_photo();
    result.width = width;
    result.height = height;
    return result;
}

/* --- arithmetic --- */

static void ramp_is_clamped_straight_and_rounds_half_up(void **state)
{
    (void)state;
    static const struct {
        int64_t value, zero_at, one_at;
        int32_t milli;
    } rows[] = {
        { 0, 10, 20, 0 },          { 10, 10, 20, 0 },         { 15, 10, 20, 500 },
        { 20, 10, 20, 1000 },      { 99, 10, 20, 1000 },      { 99, 20, 10, 0 },
        { 20, 20, 10, 0 },         { 15, 20, 10, 500 },       { 10, 20, 10, 1000 },
        { -5, 20, 10, 1000 },      { -30, -36, -24, 500 },    { -40, -36, -24, 0 },
        { 1, 0, 2000, 1 },         { 1, 0, 2001, 0 },         { 3, 0, 2000, 2 },
        { 1, 0, 3, 333 },          { 2, 0, 3, 667 },          { INT32_MIN, 5, 6, 0 },
        { INT32_MAX, 5, 6, 1000 }, { INT32_MIN, 6, 5, 1000 },
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        assert_int_equal(score_ramp(rows[i].value, rows[i].zero_at, rows[i].one_at), rows[i].milli);
}

static void ramp_never_falls_where_it_should_rise(void **state)
{
    (void)state;
    for (int64_t value = -50; value < 3000; value++) {
        assert_true(score_ramp(value + 1, 903, 2079) >= score_ramp(value, 903, 2079));
        assert_true(score_ramp(value + 1, 2600, 1350) <= score_ramp(value, 2600, 1350));
    }
}

static void quality_is_the_mean_but_near_the_worst_part(void **state)
{
    (void)state;
    static const struct {
        int32_t milli[3], weight[3];
        int32_t quality_milli;
    } rows[] = {
        { { 1000, 1000, 1000 }, { 30, 25, 10 }, 5000 },
        { { 0, 0, 0 }, { 30, 25, 10 }, 1000 },
        { { 1000, 1000, 0 }, { 30, 25, 10 }, 2000 }, /* worst + 250 */
        { { 1000, 500, 1000 }, { 30, 25, 10 }, 4000 },
        { { 800, 900, 1000 }, { 1, 1, 1 }, 4600 },
        { { 1, 0, 0 }, { 1, 1, 0 }, 1004 }, /* a mean of .5 rounds up */
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct score_part parts[3];
        for (int j = 0; j < 3; j++)
            parts[j] = (struct score_part){ MEASURE_SHARP, rows[i].weight[j], rows[i].milli[j] };
        assert_int_equal(score_quality(parts, 3), rows[i].quality_milli);
    }
    assert_int_equal(score_quality(NULL, 0), 5000); /* the job looks at none */
}

static void stars_follow_the_formula_the_deduction_and_the_caps(void **state)
{
    (void)state;
    static const struct {
        int32_t  quality, completeness, relevance, stars;
        unsigned steps;
    } rows[] = {
        { 5000, 5000, 0, 5, 0 },
        { 3500, 5000, 0, 4, 0 },
        { 3000, 5000, 0, 4, 0 },
        { 2500, 5000, 0, 3, 0 },
        { 2499, 5000, 0, 2, BIT(STEP_CAP_QUALITY) },
        { 2000, 5000, 0, 2, BIT(STEP_CAP_QUALITY) },
        { 1500, 5000, 0, 2, BIT(STEP_CAP_QUALITY) },
        { 1499, 5000, 0, 1, BIT(STEP_CRITICAL) | BIT(STEP_CAP_QUALITY) },
        { 1000, 1000, 0, 1, BIT(STEP_CRITICAL) },
        { 5000, 2499, 0, 2, BIT(STEP_CAP_COMPLETENESS) },
        { 5000, 1000, 0, 1, BIT(STEP_CRITICAL) | BIT(STEP_CAP_COMPLETENESS) },
        { 5000, 2500, 0, 4, 0 },
        /* With relevance: .45 .35 .20 */
        { 5000, 5000, 5000, 5, 0 },
        { 5000, 5000, 3000, 4, 0 },
        { 5000, 5000, 2000, 4, 0 },
        { 5000, 5000, 1000, 2, BIT(STEP_CRITICAL) },
        { 3000, 3000, 5000, 4, 0 },
        { 4000, 5000, 4000, 4, 0 },
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        unsigned steps;
        int32_t  stars =
            score_stars(rows[i].quality, rows[i].completeness, rows[i].relevance, &steps);
        if (stars != rows[i].stars || steps != rows[i].steps)
            fail_msg("row %zu: %d stars, steps %#x", i, (int)stars, steps);
    }
}

static void overall_rounds_half_up_in_thousandths(void **state)
{
    (void)state;
    unsigned steps;
    /* 35 × q + 20 × 5000 = 4.5 × 55000 at q = 4214.28…: the half lies between two thousandths. */
    assert_int_equal(score_stars(4214, 5000, 0, &steps), 4);
    assert_int_equal(score_stars(4215, 5000, 0, &steps), 5);
    /* Exactly the half: 35 × 4500 + 20 × 4500. */
    assert_int_equal(score_stars(4500, 4500, 0, &steps), 5);
    assert_int_equal(score_stars(4499, 4500, 0, &steps), 4);
    assert_int_equal(score_stars(3500, 3500, 3500, &steps), 4);
    assert_int_equal(score_stars(3499, 3500, 3500, &steps), 3);
    assert_int_equal(score_dimension_stars(2500), 3);
    assert_int_equal(score_dimension_stars(2499), 2);
}

/* --- what a figure does --- */

/* Makes a good record worse, step by step, in one figure. */
struct worsening {
    const char *name;
    size_t      offset;
    int32_t     from, to;
};

#define FIGURE(field, from, to)                                                                    \
    {                                                                                              \
#field, offsetof(struct media_result, field), from, to                                     \
    }

static void worsen_and_watch(struct media_result good, const struct worsening *worsening,
                             size_t count)
{
    enum { STEPS_COUNT = 400 };
    for (size_t i = 0; i < count; i++) {
        int32_t quality_before = INT32_MAX, stars_before = INT32_MAX, stars = 0;
        for (int step = 0; step <= STEPS_COUNT; step++) {
            struct media_result result = good;
            int64_t             change = (int64_t)worsening[i].to - worsening[i].from;
            int32_t             value = (int32_t)(worsening[i].from + change * step / STEPS_COUNT);
            memcpy((char *)&result + worsening[i].offset, &value, sizeof(value));
            struct score score = score_of(result);
            if (score.quality_milli > quality_before || score.stars > stars_before)
                fail_msg("%s: better at %d", worsening[i].name, (int)value);
            quality_before = score.quality_milli;
            stars_before = stars = score.stars;
        }
        assert_int_equal(score_of(good).stars, 5);
        if (stars > 4) fail_msg("%s at its worst still has %d stars", worsening[i].name, stars);
    }
}

static void worse_pictures_never_score_better(void **state)
{
    (void)state;
    static const struct worsening worsening[] = {
        FIGURE(image.sharpness_log_milli, 3230, 0),
        FIGURE(image.direction_min_milli, 265000, 0),
        FIGURE(image.mean_milli, 118000, 0),
        FIGURE(image.clipped_low_ppm, 0, 1000000),
        FIGURE(image.clipped_high_ppm, 0, 1000000),
        FIGURE(image.p99, 244, 4),
        FIGURE(image.noise_milli, 840, 60000),
        FIGURE(image.blocking_milli, 1000, 9000),
        FIGURE(width, 1600, 16),
        FIGURE(image.deviation_milli, 52000, 0),
        FIGURE(decode_errors, 0, 1000),
    };
    worsen_and_watch(good_photo(), worsening, COUNT_OF(worsening));
}

static void worse_sound_never_scores_better(void **state)
{
    (void)state;
    static const struct worsening worsening[] = {
        FIGURE(audio.loudness_milli_lufs, -19200, -70000),
        FIGURE(audio.clipped_ppm, 0, 500000),
        FIGURE(audio.silence_ppm, 150000, 1000000),
        FIGURE(audio.silence_lead_ms, 200, 29000),
        FIGURE(audio.silence_tail_ms, 200, 29000),
        FIGURE(audio.bandwidth_hz, 15000, 0),
        FIGURE(audio.snr_milli_db, 23000, 0),
        FIGURE(decode_errors, 0, 5000),
    };
    worsen_and_watch(good_sound(), worsening, COUNT_OF(worsening));
}

static void worse_video_never_scores_better(void **state)
{
    (void)state;
    static const struct worsening worsening[] = {
        FIGURE(image.sharpness_log_milli, 3230, 0), FIGURE(video.black_ppm, 0, 1000000),
        FIGURE(video.frozen_ppm, 0, 1000000),       FIGURE(video.fps_milli, 30000, 1),
        FIGURE(video.frames_decoded, 900, 1),       FIGURE(decode_errors, 0, 5000),
    };
    worsen_and_watch(good_video(), worsening, COUNT_OF(worsening));
}

static int32_t part_of(const struct media_result *result, enum score_measure measure)
{
    struct score_part parts[SCORE_PARTS_COUNT_MAX];
    int               count = score_parts(result, &no_limits, parts);
    for (int i = 0; i < count; i++)
        if (parts[i].measure == measure) return parts[i].milli;
    fail_msg("no part %s", score_measure_name(measure));
    return -1;
}

static int32_t part_with(struct media_result result, size_t offset, int64_t value,
                         enum score_measure measure)
{
    int32_t narrow = (int32_t)value;
    memcpy((char *)&result + offset, &narrow, sizeof(narrow));
    return part_of(&result, measure);
}

#define ENDS(kind, measure, field, zero_at, one_at, floor_milli)                                   \
    {                                                                                              \
        kind, measure, offsetof(struct media_result, field), zero_at, one_at, floor_milli          \
    }

static void each_ramp_begins_and_ends_where_it_should(void **state)
{
    (void)state;
    const struct media_result good[] = {
        [MEDIA_IMAGE] = good_photo(), [MEDIA_AUDIO] = good_sound(), [MEDIA_VIDEO] = good_video()
    };
    static const struct {
        enum media_kind    kind;
        enum score_measure measure;
        size_t             offset;
        int32_t            zero_at, one_at, floor_milli;
    } rows[] = {
        ENDS(MEDIA_IMAGE, MEASURE_SHARP, image.sharpness_log_milli, 903, 2079, 0),
        ENDS(MEDIA_IMAGE, MEASURE_SHARP, image.direction_min_milli, 5000, 25000, 0),
        ENDS(MEDIA_IMAGE, MEASURE_EXPOSURE, image.mean_milli, 12000, 45000, 0),
        ENDS(MEDIA_IMAGE, MEASURE_EXPOSURE, image.clipped_high_ppm, 450000, 120000, 0),
        ENDS(MEDIA_IMAGE, MEASURE_EXPOSURE, image.clipped_low_ppm, 600000, 200000, 0),
        ENDS(MEDIA_IMAGE, MEASURE_EXPOSURE, image.p99, 44, 114, 0), /* p1 is 4 */
        ENDS(MEDIA_IMAGE, MEASURE_NOISE, image.noise_milli, 14000, 4000, 0),
        ENDS(MEDIA_IMAGE, MEASURE_BLOCKING, image.blocking_milli, 2600, 1350, 0),
        ENDS(MEDIA_VIDEO, MEASURE_SHARP, image.sharpness_log_milli, 903, 2079, 0),
        ENDS(MEDIA_VIDEO, MEASURE_BLACK, video.black_ppm, 500000, 50000, 0),
        ENDS(MEDIA_VIDEO, MEASURE_FROZEN, video.frozen_ppm, 700000, 100000, 0),
        ENDS(MEDIA_VIDEO, MEASURE_FPS, video.fps_milli, 5000, 15000, 0),
        ENDS(MEDIA_AUDIO, MEASURE_LOUDNESS, audio.loudness_milli_lufs, -36000, -24000, 0),
        ENDS(MEDIA_AUDIO, MEASURE_CLIPPING, audio.clipped_ppm, 20000, 1000, 0),
        ENDS(MEDIA_AUDIO, MEASURE_SNR, audio.snr_milli_db, 5000, 20000, 500),
        ENDS(MEDIA_AUDIO, MEASURE_SILENCE, audio.silence_ppm, 900000, 500000, 0),
        ENDS(MEDIA_AUDIO, MEASURE_SILENCE, audio.silence_lead_ms, 15000, 4000, 0),
        ENDS(MEDIA_AUDIO, MEASURE_SILENCE, audio.silence_tail_ms, 15000, 4000, 0),
        ENDS(MEDIA_AUDIO, MEASURE_BANDWIDTH, audio.bandwidth_hz, 3000, 8000, 300),
        ENDS(MEDIA_AUDIO, MEASURE_INTEGRITY, decode_errors, 30, 1, 0), /* in half a minute */
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        int64_t width = (int64_t)rows[i].one_at - rows[i].zero_at, step = width / 20;
        if (step == 0) step = width > 0 ? 1 : -1;
        const int32_t at[] = {
            part_with(good[rows[i].kind], rows[i].offset, rows[i].zero_at, rows[i].measure),
            part_with(good[rows[i].kind], rows[i].offset, rows[i].zero_at + step, rows[i].measure),
            part_with(good[rows[i].kind], rows[i].offset, rows[i].one_at - step, rows[i].measure),
            part_with(good[rows[i].kind], rows[i].offset, rows[i].one_at, rows[i].measure),
        };
        bool is_right =
            at[0] == rows[i].floor_milli && at[1] > at[0] && at[2] < at[3] && at[3] == 1000;
        if (!is_right)
            fail_msg("row %zu: %d %d %d %d", i, (int)at[0], (int)at[1], (int)at[2], (int)at[3]);
    }
}

static void resolution_goes_by_the_square_root_of_the_pixels(void **state)
{
    (void)state;
    static const struct {
        int32_t width, height, milli;
    } rows[] = { { 200, 200, 0 },   { 100, 400, 0 },    { 450, 450, 500 },
                 { 699, 700, 998 }, { 700, 700, 1000 }, { 1, 490000, 1000 } };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct media_result photo = photo_of(rows[i].width, rows[i].height);
        assert_int_equal(part_of(&photo, MEASURE_RESOLUTION), rows[i].milli);
    }
}

static void parts_have_the_weights_that_were_decided(void **state)
{
    (void)state;
    static const int32_t image[] = { 30, 25, 10, 10, 10 };
    static const int32_t video[] = { 30, 25, 10, 10, 10, 15, 15, 10, 15 };
    static const int32_t sound[] = { 30, 25, 15, 15, 15, 15 };
    const struct {
        struct media_result result;
        const int32_t      *weights;
        int                 count;
    } rows[] = { { good_photo(), image, COUNT_OF(image) },
                 { good_video(), video, COUNT_OF(video) },
                 { good_sound(), sound, COUNT_OF(sound) } };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct score score = score_of(rows[i].result);
        assert_int_equal(score.parts_count, rows[i].count);
        for (int j = 0; j < score.parts_count; j++)
            assert_int_equal(score.parts[j].weight, rows[i].weights[j]);
    }
}

static void one_critical_fault_makes_two_stars(void **state)
{
    (void)state;
    struct media_result blurred = good_photo(), dark = good_photo(), noisy = good_photo();
    blurred.image.sharpness_milli = 6500;
    blurred.image.sharpness_log_milli = 875;
    dark.image.mean_milli = 11000;
    noisy.image.noise_milli = 14500;
    assert_int_equal(score_of(blurred).stars, 2);
    assert_int_equal(score_of(dark).stars, 2);
    assert_int_equal(score_of(noisy).stars, 2);
    struct media_result shaken = good_photo();
    shaken.image.direction_min_milli = 5000;
    assert_int_equal(score_of(shaken).stars, 2);
}

static void motion_counts_for_pictures_only(void **state)
{
    (void)state;
    struct media_result video = good_video();
    video.image.direction_min_milli = 0;
    assert_int_equal(score_of(video).stars, 5);
}

static void steady_sound_is_not_called_bad_for_it(void **state)
{
    (void)state;
    struct media_result music = good_sound();
    music.audio.snr_milli_db = 4000; /* music has no pauses */
    assert_true(score_of(music).stars >= 4);
}

static void sound_too_short_to_have_a_loudness_is_judged_without(void **state)
{
    (void)state;
    struct media_result click = good_sound();
    click.audio.has_loudness = 0;
    click.audio.loudness_milli_lufs = 0;
    struct score score = score_of(click);
    assert_int_equal(score.stars, 5);
    for (int i = 0; i < score.parts_count; i++)
        assert_int_not_equal(score.parts[i].measure, MEASURE_LOUDNESS);
}

static void a_stated_minimum_replaces_the_resolution_ramp(void **state)
{
    (void)state;
    struct media_result       icon = good_photo();
    const struct score_limits limits = { .width_min = 64, .height_min = 64 };
    struct score              score;
    icon.width = icon.height = 64;
    assert_int_equal(score_of(icon).stars, 2);
    score_compute(&icon, &limits, &score);
    assert_int_equal(score.stars, 5);
}

static void damaged_end_of_a_video_lowers_completeness(void **state)
{
    (void)state;
    struct media_result video = good_video();
    video.video.frames_decoded = 600;
    struct score score = score_of(video);
    assert_true(score.completeness_milli < 3000);
    assert_non_null(strstr(score.reasoning, "600 of 900 frames"));
    video.video.is_sampled = 1; /* then most frames were left out on purpose */
    assert_int_equal(score_of(video).completeness_milli, 5000);
}

/* --- gates --- */

struct gate_row {
    const char         *name;
    enum score_gate     gate;
    struct score_limits limits;
    struct media_result result;
    const char         *words[3]; /* figures the reasoning must name */
};

static struct media_result with_deviation(int32_t deviation_milli, int32_t entropy_milli)
{
    struct media_result result = good_photo();
    result.image.deviation_milli = deviation_milli;
    result.image.entropy_milli = entropy_milli;
    return result;
}

static struct media_result sound_of(int64_t duration_ms, int32_t silence_ppm)
{
    struct media_result result = good_sound();
    result.duration_ms = duration_ms;
    result.audio.silence_ppm = silence_ppm;
    return result;
}

static struct media_result video_of(int32_t black_ppm, int32_t frozen_ppm)
{
    struct media_result result = good_video();
    result.video.black_ppm = black_ppm;
    result.video.frozen_ppm = frozen_ppm;
    return result;
}

static struct media_result with_errors(struct media_result result, int32_t decode_errors)
{
    result.decode_errors = decode_errors;
    return result;
}

static struct media_result undecodable(const char *reason)
{
    struct media_result result = { .version = MEDIA_RESULT_VERSION, .verdict = MEDIA_UNDECODABLE };
    snprintf(result.reason, sizeof(result.reason), "%s", reason);
    return result;
}

static void gates_hold_exactly_at_their_limits(void **state)
{
    (void)state;
    const struct score_limits size = { .width_min = 640, .height_min = 480 };
    const struct score_limits length = { .duration_ms_min = 5000 };
    const struct score_limits wide = { .width_min = 2000 }, high = { .height_min = 2000 };
    const struct score_limits png = { .formats = BIT(MEDIA_PNG) | BIT(MEDIA_WEBP) };
    const struct gate_row     rows[] = {
            { "good photo", GATE_NONE, no_limits, good_photo(), { 0 } },
            { "good sound", GATE_NONE, no_limits, good_sound(), { 0 } },
            { "good video", GATE_NONE, no_limits, good_video(), { 0 } },
            { "broken", GATE_UNDECODABLE, no_limits, undecodable("bad_header"), { "bad header" } },
            { "broken beats type", GATE_UNDECODABLE, png, undecodable(""), { 0 } },
            { "hostile slug", GATE_UNDECODABLE, no_limits, undecodable("a\"<b>"), { "(a)" } },
            { "cut photo", GATE_UNDECODABLE, no_limits, with_errors(good_photo(), 1), { "1 fault" } },
            { "damaged sound", GATE_NONE, no_limits, with_errors(good_sound(), 1), { 0 } },
            { "damaged video", GATE_NONE, no_limits, with_errors(good_video(), 1), { 0 } },
            { "jpeg for png",
              GATE_WRONG_TYPE,
              png,
              good_photo(),
              { "image/jpeg", "image/png, image/webp" } },
            { "exact size", GATE_NONE, size, photo_of(640, 480), { 0 } },
            { "narrow", GATE_TOO_SMALL, size, photo_of(639, 4800), { "639x4800", "640x480" } },
            { "low", GATE_TOO_SMALL, size, photo_of(6400, 479), { "6400x479" } },
            { "narrow", GATE_TOO_SMALL, wide, good_photo(), { "at least 2000 in width." } },
            { "low", GATE_TOO_SMALL, high, good_photo(), { "at least 2000 in height." } },
            { "sound has no size", GATE_NONE, size, good_sound(), { 0 } },
            { "exact length", GATE_NONE, length, sound_of(5000, 0), { 0 } },
            { "a frame short", GATE_NONE, length, sound_of(4950, 0), { 0 } },
            { "short", GATE_TOO_SHORT, length, sound_of(4949, 0), { "4.9 s", "5.0 s" } },
            { "photo has no length", GATE_NONE, length, good_photo(), { 0 } },
            { "blank", GATE_BLANK, no_limits, with_deviation(2999, 7000), { "3.0" } },
            { "nearly blank", GATE_NONE, no_limits, with_deviation(3000, 7000), { 0 } },
            { "one grey", GATE_BLANK, no_limits, with_deviation(19999, 999), { "20.0" } },
            { "line drawing", GATE_NONE, no_limits, with_deviation(55000, 300), { 0 } },
            { "black video", GATE_BLANK, no_limits, video_of(980000, 0), { "98.0%" } },
            { "dark video", GATE_NONE, no_limits, video_of(979999, 0), { 0 } },
            { "silent", GATE_SILENT, no_limits, sound_of(9000, 980001), { "98.0%" } },
            { "nearly silent", GATE_NONE, no_limits, sound_of(9000, 980000), { 0 } },
            { "frozen", GATE_FROZEN, no_limits, video_of(0, 900001), { "90.0%" } },
            { "nearly frozen", GATE_NONE, no_limits, video_of(0, 900000), { 0 } },
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct score score;
        score_compute(&rows[i].result, &rows[i].limits, &score);
        if (score.gate != rows[i].gate)
            fail_msg("%s: %s", rows[i].name, score_gate_name(score.gate));
        if (score.gate != GATE_NONE) assert_int_equal(score.stars, 1);
        for (size_t j = 0; j < COUNT_OF(rows[i].words) && rows[i].words[j]; j++)
            if (!strstr(score.reasoning, rows[i].words[j]))
                fail_msg("%s: %s", rows[i].name, score.reasoning);
    }
}

static void duplicate_is_one_star(void **state)
{
    (void)state;
    struct score score;
    score_duplicate(&score);
    assert_int_equal(score.stars, 1);
    assert_int_equal(score.gate, GATE_DUPLICATE);
    assert_non_null(strstr(score.reasoning, "before"));
}

static void too_long_is_incomplete_not_gated(void **state)
{
    (void)state;
    static const struct {
        int64_t duration_ms;
        int32_t completeness_milli;
    } rows[] = { { 60000, 5000 }, { 60050, 5000 }, { 90050, 3000 }, { 120050, 1000 } };
    const struct score_limits limits = { .duration_ms_max = 60000 };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct media_result result = sound_of(rows[i].duration_ms, 0);
        struct score        score;
        score_compute(&result, &limits, &score);
        assert_int_equal(score.gate, GATE_NONE);
        assert_int_equal(score.completeness_milli, rows[i].completeness_milli);
        if (rows[i].completeness_milli < 5000)
            assert_non_null(strstr(score.reasoning, "the job takes at most 60.0 s"));
    }
}

/* --- words --- */

static void reasoning_says_what_was_good(void **state)
{
    (void)state;
    assert_string_equal(score_of(good_photo()).reasoning,
                        "Quality 5/5: sharp (1698), well exposed (mean brightness 118 of 255), "
                        "clean (noise 0.8), large enough (1600x1200). Completeness 5/5. "
                        "Relevance was not assessed: no vision model is configured.");
    assert_string_equal(score_of(good_sound()).reasoning,
                        "Quality 5/5: loud enough (-19.2 LUFS), undistorted (0.0% clipped), "
                        "clear (up to 15000 Hz). Completeness 5/5. "
                        "Relevance was not assessed: no listening model is configured.");
}

static void reasoning_names_the_fault_its_figure_and_the_remedy(void **state)
{
    (void)state;
    struct media_result blurred = good_photo();
    blurred.image.sharpness_milli = 6500;
    blurred.image.sharpness_log_milli = 875;
    blurred.image.mean_milli = 30000;
    assert_string_equal(
        score_of(blurred).reasoning,
        "Quality 2/5: blurred (sharpness 6.5, good from 120), somewhat dark (mean brightness 30.0 "
        "of 255, good from 45); otherwise clean (noise 0.8), large enough (1600x1200). "
        "Completeness 5/5; to do better, let the camera focus on the subject, use more light. "
        "Relevance was not assessed: no vision model is configured.");
}

/* Every "good from" in the words is where the ramp reaches its top. */
static void figures_called_good_enough_are(void **state)
{
    (void)state;
    struct media_result photo = good_photo(), sound = good_sound(), video = good_video();
    photo.image.sharpness_log_milli = 2083; /* log10(121) */
    photo.image.direction_min_milli = 25000;
    photo.image.mean_milli = 45000;
    photo.image.clipped_high_ppm = 120000;
    photo.image.clipped_low_ppm = 200000;
    photo.image.p1 = 4;
    photo.image.p99 = 114;
    photo.image.noise_milli = 4000;
    photo.image.blocking_milli = 1350;
    assert_int_equal(score_of(photo).quality_milli, 5000);
    sound.audio.loudness_milli_lufs = -24000;
    sound.audio.clipped_ppm = 1000;
    sound.audio.snr_milli_db = 20000;
    sound.audio.bandwidth_hz = 8000;
    assert_int_equal(score_of(sound).quality_milli, 5000);
    video.video.fps_milli = 15000;
    assert_int_equal(score_of(video).quality_milli, 5000);
}

/* --- what a job does not look at --- */

static unsigned ignored_of(const char *name)
{
    unsigned ignored = 0;
    assert_true(score_ignore_add(str_of(name), &ignored));
    return ignored;
}

static void ignored_part_takes_no_part(void **state)
{
    (void)state;
    struct media_result blurred = good_photo();
    struct score        score;
    blurred.image.sharpness_log_milli = 800;
    struct score_limits limits = { 0 };
    score_compute(&blurred, &limits, &score);
    assert_int_equal(score.stars, 2);
    limits.ignored = ignored_of("sharp");
    score_compute(&blurred, &limits, &score);
    assert_int_equal(score.stars, 5);
    assert_int_equal(score.parts_count, 4);
    assert_null(strstr(score.reasoning, "blurred"));
}

static void job_that_looks_at_nothing_leaves_the_gates(void **state)
{
    static const char *const names[] = { "sharp", "exposure", "noise", "blocking", "resolution" };
    (void)state;
    struct score_limits limits = { 0 };
    struct media_result photo = good_photo();
    struct score        score;
    for (size_t i = 0; i < COUNT_OF(names); i++)
        limits.ignored |= ignored_of(names[i]);
    score_compute(&photo, &limits, &score);
    assert_true(score.parts_count == 0 && score.quality_milli == 5000 && score.stars == 5);
    photo.image.deviation_milli = 0;
    score_compute(&photo, &limits, &score);
    assert_true(score.gate == GATE_BLANK && score.stars == 1);
}

static void only_what_a_picture_has_may_be_ignored(void **state)
{
    static const char *const others[] = { "black", "frozen", "loudness", "integrity", "", "Sharp" };
    (void)state;
    unsigned ignored = 0;
    assert_int_equal(ignored_of("naturalness"), 0); /* not measured yet */
    for (size_t i = 0; i < COUNT_OF(others); i++)
        assert_false(score_ignore_add(str_of(others[i]), &ignored));
    assert_int_equal(ignored, 0);
}

/* --- any record at all --- */

static uint64_t random_state;

static uint32_t random_next(void)
{
    /* splitmix64: the same records on every machine */
    uint64_t z = (random_state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return (uint32_t)(z >> 32);
}

static int32_t random_figure(void)
{
    static const int32_t edges[] = { 0, 1, -1, INT32_MAX, INT32_MIN, 1000000, 255, 45000 };
    switch (random_next() % 4) {
    case 0: return edges[random_next() % COUNT_OF(edges)];
    case 1: return (int32_t)(random_next() % 300000);
    case 2: return (int32_t)(random_next() % 1000);
    default: return (int32_t)random_next();
    }
}

static void random_figures(void *figures, size_t size)
{
    int32_t *at = figures;
    for (size_t i = 0; i < size / sizeof(*at); i++)
        at[i] = random_figure();
}

static struct media_result random_result(void)
{
    struct media_result result;
    random_figures(&result.image, sizeof(result.image));
    random_figures(&result.audio, sizeof(result.audio));
    random_figures(&result.video, sizeof(result.video));
    result.version = MEDIA_RESULT_VERSION;
    result.verdict = random_next() % 16 ? MEDIA_DECODED : MEDIA_UNDECODABLE;
    result.type = (int32_t)(random_next() % MEDIA_TYPE__COUNT);
    result.has_picture = (int32_t)(random_next() % 2);
    result.has_audio = (int32_t)(random_next() % 2);
    result.has_video = (int32_t)(random_next() % 2);
    result.width = random_figure() & INT32_MAX;
    result.height = random_figure() & INT32_MAX;
    result.orientation = 1;
    result.duration_ms = random_figure() & INT32_MAX;
    result.captured_ms = random_figure() & INT32_MAX;
    result.has_gps = 0;
    result.decode_errors = random_next() % 2 ? 0 : random_figure();
    for (size_t i = 0; i < sizeof(result.reason); i++)
        result.reason[i] = (char)random_next();
    result.reason[random_next() % sizeof(result.reason)] = '\0';
    result.reason[sizeof(result.reason) - 1] = '\0';
    return result;
}

static struct score_limits random_limits(void)
{
    struct score_limits limits = { 0 };
    if (random_next() % 4 == 0) limits.formats = random_next() % BIT(MEDIA_TYPE__COUNT);
    if (random_next() % 4 == 0) limits.ignored = random_next() % BIT(MEASURE_RESOLUTION + 1);
    if (random_next() % 4 == 0) limits.width_min = random_figure() & INT32_MAX;
    if (random_next() % 4 == 0) limits.height_min = random_figure() & INT32_MAX;
    if (random_next() % 4 == 0) limits.duration_ms_min = random_figure() & INT32_MAX;
    if (random_next() % 4 == 0) limits.duration_ms_max = random_figure() & INT32_MAX;
    return limits;
}

static void assert_sound_score(const struct score *score, uint64_t seed)
{
    bool is_in_range = score->stars >= 1 && score->stars <= 5 && score->quality_milli >= 1000 &&
                       score->quality_milli <= 5000 && score->completeness_milli >= 1000 &&
                       score->completeness_milli <= 5000 && score->relevance_milli == 0 &&
                       (score->gate == GATE_NONE || score->stars == 1);
    size_t len = strnlen(score->reasoning, sizeof(score->reasoning));
    bool   is_whole =
        len > 40 && len < sizeof(score->reasoning) - 1 && score->reasoning[len - 1] == '.';
    for (size_t i = 0; i < len; i++)
        if (score->reasoning[i] < 0x20 || score->reasoning[i] > 0x7e) is_whole = false;
    if (!is_in_range || !is_whole)
        fail_msg("seed %llu: %d stars, %zu: %s", (unsigned long long)seed, (int)score->stars, len,
                 score->reasoning);
}

static void any_record_gets_a_sound_score(void **state)
{
    enum { RECORDS_COUNT = 100000, JSON_EVERY = 50 };
    (void)state;
    struct arena arena;
    arena_init(&arena, 1 << 20);
    for (uint64_t seed = 1; seed <= RECORDS_COUNT; seed++) {
        random_state = seed;
        struct media_result result = random_result();
        struct score_limits limits = random_limits();
        struct score        score;
        score_compute(&result, &limits, &score);
        assert_sound_score(&score, seed);
        if (seed % JSON_EVERY != 0) continue;
        struct error      error = { 0 };
        json_t           *root;
        struct arena_mark mark = arena_mark(&arena);
        struct str        text = score_record(&result, &score, STR("ab"), &arena);
        if (json_parse(&arena, text, &error, &root) != ERR_OK)
            fail_msg("seed %llu: %.*s", (unsigned long long)seed, STR_ARG(text));
        text = score_annotations(&result, &score, &arena);
        if (json_parse(&arena, text, &error, &root) != ERR_OK)
            fail_msg("seed %llu: %.*s", (unsigned long long)seed, STR_ARG(text));
        arena_rewind(&arena, mark);
    }
    arena_deinit(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ramp_is_clamped_straight_and_rounds_half_up),
        cmocka_unit_test(ramp_never_falls_where_it_should_rise),
        cmocka_unit_test(quality_is_the_mean_but_near_the_worst_part),
        cmocka_unit_test(stars_follow_the_formula_the_deduction_and_the_caps),
        cmocka_unit_test(overall_rounds_half_up_in_thousandths),
        cmocka_unit_test(worse_pictures_never_score_better),
        cmocka_unit_test(worse_sound_never_scores_better),
        cmocka_unit_test(worse_video_never_scores_better),
        cmocka_unit_test(each_ramp_begins_and_ends_where_it_should),
        cmocka_unit_test(resolution_goes_by_the_square_root_of_the_pixels),
        cmocka_unit_test(parts_have_the_weights_that_were_decided),
        cmocka_unit_test(one_critical_fault_makes_two_stars),
        cmocka_unit_test(motion_counts_for_pictures_only),
        cmocka_unit_test(steady_sound_is_not_called_bad_for_it),
        cmocka_unit_test(sound_too_short_to_have_a_loudness_is_judged_without),
        cmocka_unit_test(a_stated_minimum_replaces_the_resolution_ramp),
        cmocka_unit_test(damaged_end_of_a_video_lowers_completeness),
        cmocka_unit_test(gates_hold_exactly_at_their_limits),
        cmocka_unit_test(duplicate_is_one_star),
        cmocka_unit_test(too_long_is_incomplete_not_gated),
        cmocka_unit_test(reasoning_says_what_was_good),
        cmocka_unit_test(reasoning_names_the_fault_its_figure_and_the_remedy),
        cmocka_unit_test(figures_called_good_enough_are),
        cmocka_unit_test(ignored_part_takes_no_part),
        cmocka_unit_test(job_that_looks_at_nothing_leaves_the_gates),
        cmocka_unit_test(only_what_a_picture_has_may_be_ignored),
        cmocka_unit_test(any_record_gets_a_sound_score),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
