#include "domain/score_part.h"

#include "base/num.h"

/* Where a figure is as bad as it gets, and from where it is as good as it need be. The ramps were
 * looked at on photographs and their damaged copies; a figure keeps its own unit. */
struct ramp {
    int64_t zero_at, one_at;
};

static const struct ramp ramp_sharpness = { 903, 2079 }; /* log10 of 8 and of 120, in thousandths */
static const struct ramp ramp_motion = { 5000, 25000 };
static const struct ramp ramp_mean = { 12000, 45000 };
static const struct ramp ramp_clipped_high = { 450000, 120000 };
static const struct ramp ramp_clipped_low = { 600000, 200000 };
static const struct ramp ramp_span = { 40, 110 };
static const struct ramp ramp_noise = { 14000, 4000 };
static const struct ramp ramp_blocking = { 2600, 1350 };
static const struct ramp ramp_side = { 200, 700 }; /* square root of the pixel count */
static const struct ramp ramp_black = { 500000, 50000 };
static const struct ramp ramp_frozen = { 700000, 100000 };
static const struct ramp ramp_fps = { 5000, 15000 };
static const struct ramp ramp_damage = { 60, 2 }; /* a minute */
static const struct ramp ramp_loudness = { -36000, -24000 };
static const struct ramp ramp_clipped = { 20000, 1000 };
static const struct ramp ramp_snr = { 5000, 20000 };
static const struct ramp ramp_silence = { 900000, 500000 };
static const struct ramp ramp_edge_silence_ms = { 15000, 4000 };
static const struct ramp ramp_bandwidth = { 3000, 8000 };
static const struct ramp ramp_frames = { 500, 950 }; /* decoded of expected, in thousandths */

/* Music and machines have no pauses that would show their noise floor, and some things that sound
 * have no high notes: these two figures alone never make a recording bad. */
enum { SNR_FLOOR_MILLI = 500, BANDWIDTH_FLOOR_MILLI = 300 };

enum { WORST_LEAD_MILLI = 250 }; /* how far the mean may lie above the worst part */

int32_t score_ramp(int64_t value, int64_t zero_at, int64_t one_at)
{
    CHECK(zero_at != one_at);
    /* A falling ramp is a rising one seen in the mirror. */
    if (zero_at > one_at) return score_ramp(-value, -zero_at, -one_at);
    if (value <= zero_at) return 0;
    if (value >= one_at) return 1000;
    int64_t width = one_at - zero_at;
    return (int32_t)((2000 * (value - zero_at) + width) / (2 * width));
}

static int32_t ramp_at(const struct ramp *ramp, int64_t value)
{
    return score_ramp(value, ramp->zero_at, ramp->one_at);
}

static int32_t with_floor(int32_t milli, int32_t floor_milli)
{
    return floor_milli + (milli * (1000 - floor_milli) + 500) / 1000;
}

static int32_t least(int32_t a, int32_t b)
{
    return a < b ? a : b;
}

static int64_t square_root(int64_t value)
{
    int64_t root = 0;
    for (int64_t bit = (int64_t)1 << 31; bit > 0; bit >>= 1)
        if ((root + bit) <= value / (root + bit)) root += bit;
    return root;
}

int32_t score_focus_milli(const struct media_result *result)
{
    return ramp_at(&ramp_sharpness, result->image.sharpness_log_milli);
}

int32_t score_motion_milli(const struct media_result *result)
{
    return ramp_at(&ramp_motion, result->image.direction_min_milli);
}

int32_t score_exposure_milli(const struct media_result *result, enum score_exposure *ret_worst)
{
    const struct media_image_figures *image = &result->image;

    const int32_t terms[] = {
        [EXPOSURE_DARK] = ramp_at(&ramp_mean, image->mean_milli),
        [EXPOSURE_BURNT] = ramp_at(&ramp_clipped_high, image->clipped_high_ppm),
        [EXPOSURE_CRUSHED] = ramp_at(&ramp_clipped_low, image->clipped_low_ppm),
        [EXPOSURE_FLAT] = ramp_at(&ramp_span, (int64_t)image->p99 - image->p1),
    };
    enum score_exposure worst = EXPOSURE_DARK;
    for (size_t i = 0; i < COUNT_OF(terms); i++)
        if (terms[i] < terms[worst]) worst = (enum score_exposure)i;
    int32_t milli = terms[worst];
    /* Little light makes for little contrast: then the light is what is missing. */
    if (worst == EXPOSURE_FLAT && terms[EXPOSURE_DARK] < 1000) worst = EXPOSURE_DARK;
    *ret_worst = worst;
    return milli;
}

int64_t score_damage_per_minute(const struct media_result *result)
{
    if (result->decode_errors <= 0) return 0;
    return (int64_t)result->decode_errors * 60000 / num_max(result->duration_ms, 1000);
}

static int32_t resolution_milli(const struct media_result *result,
                                const struct score_limits *limits)
{
    /* The job said what is enough, and the gate has seen to it. */
    if (limits->width_min > 0 || limits->height_min > 0) return 1000;
    return ramp_at(&ramp_side, square_root((int64_t)result->width * result->height));
}

static int32_t silence_milli(const struct media_audio_figures *audio)
{
    int32_t edges = least(ramp_at(&ramp_edge_silence_ms, audio->silence_lead_ms),
                          ramp_at(&ramp_edge_silence_ms, audio->silence_tail_ms));
    return least(edges, ramp_at(&ramp_silence, audio->silence_ppm));
}

/* Of 85: the naturalness figure (BRISQUE), which has 15, is not measured yet, and the mean is over
 * the weights that are there. */
static int picture_parts(const struct media_result *result, const struct score_limits *limits,
                         struct score_part *ret_parts)
{
    const struct media_image_figures *image = &result->image;
    enum score_exposure               worst;

    int32_t sharp = (score_focus_milli(result) * score_motion_milli(result) + 500) / 1000;
    int     count = 0;
    ret_parts[count++] = (struct score_part){ MEASURE_SHARP, 30, sharp };
    ret_parts[count++] =
        (struct score_part){ MEASURE_EXPOSURE, 25, score_exposure_milli(result, &worst) };
    ret_parts[count++] =
        (struct score_part){ MEASURE_NOISE, 10, ramp_at(&ramp_noise, image->noise_milli) };
    ret_parts[count++] =
        (struct score_part){ MEASURE_BLOCKING, 10, ramp_at(&ramp_blocking, image->blocking_milli) };
    ret_parts[count++] =
        (struct score_part){ MEASURE_RESOLUTION, 10, resolution_milli(result, limits) };
    return count;
}

static int video_parts(const struct media_result *result, const struct score_limits *limits,
                       struct score_part *ret_parts)
{
    const struct media_video_figures *video = &result->video;

    int count = picture_parts(result, limits, ret_parts);
    /* A moving camera blurs single frames and nobody minds: no motion term here. */
    ret_parts[0].milli = score_focus_milli(result);
    ret_parts[count++] =
        (struct score_part){ MEASURE_BLACK, 15, ramp_at(&ramp_black, video->black_ppm) };
    ret_parts[count++] =
        (struct score_part){ MEASURE_FROZEN, 15, ramp_at(&ramp_frozen, video->frozen_ppm) };
    if (video->fps_milli > 0)
        ret_parts[count++] =
            (struct score_part){ MEASURE_FPS, 10, ramp_at(&ramp_fps, video->fps_milli) };
    ret_parts[count++] =
        (struct score_part){ MEASURE_INTEGRITY, 15,
                             ramp_at(&ramp_damage, score_damage_per_minute(result)) };
    return count;
}

static int sound_parts(const struct media_result *result, struct score_part *ret_parts)
{
    const struct media_audio_figures *audio = &result->audio;

    int count = 0;
    if (audio->has_loudness)
        ret_parts[count++] =
            (struct score_part){ MEASURE_LOUDNESS, 30,
                                 ramp_at(&ramp_loudness, audio->loudness_milli_lufs) };
    ret_parts[count++] =
        (struct score_part){ MEASURE_CLIPPING, 25, ramp_at(&ramp_clipped, audio->clipped_ppm) };
    ret_parts[count++] =
        (struct score_part){ MEASURE_SNR, 15,
                             with_floor(ramp_at(&ramp_snr, audio->snr_milli_db), SNR_FLOOR_MILLI) };
    ret_parts[count++] = (struct score_part){ MEASURE_SILENCE, 15, silence_milli(audio) };
    ret_parts[count++] =
        (struct score_part){ MEASURE_BANDWIDTH, 15,
                             with_floor(ramp_at(&ramp_bandwidth, audio->bandwidth_hz),
                                        BANDWIDTH_FLOOR_MILLI) };
    ret_parts[count++] =
        (struct score_part){ MEASURE_INTEGRITY, 15,
                             ramp_at(&ramp_damage, score_damage_per_minute(result)) };
    return count;
}

static int drop_ignored(struct score_part *parts, int parts_count, unsigned ignored)
{
    int kept = 0;
    for (int i = 0; i < parts_count; i++)
        if (!(ignored & BIT(parts[i].measure))) parts[kept++] = parts[i];
    return kept;
}

int score_parts(const struct media_result *result, const struct score_limits *limits,
                struct score_part *ret_parts)
{
    int count = 0;
    switch (media_type_kind((enum media_type)result->type)) {
    case MEDIA_IMAGE: count = picture_parts(result, limits, ret_parts); break;
    case MEDIA_VIDEO: count = video_parts(result, limits, ret_parts); break;
    default: count = sound_parts(result, ret_parts); break;
    }
    CHECK(count <= SCORE_PARTS_COUNT_MAX);
    return drop_ignored(ret_parts, count, limits->ignored);
}

int32_t score_quality(const struct score_part *parts, int parts_count)
{
    int32_t weights = 0, sum = 0, worst = 1000;
    if (parts_count == 0) return 5000; /* the job looks at none: nothing is amiss */
    for (int i = 0; i < parts_count; i++) {
        weights += parts[i].weight;
        sum += parts[i].weight * parts[i].milli;
        worst = least(worst, parts[i].milli);
    }
    int32_t mean = (2 * sum + weights) / (2 * weights);
    return 1000 + 4 * least(mean, worst + WORST_LEAD_MILLI);
}

int32_t score_completeness(const struct media_result *result, const struct score_limits *limits)
{
    const struct media_video_figures *video = &result->video;

    int32_t milli = 1000;
    if (limits->duration_ms_max > 0)
        milli = score_ramp(result->duration_ms - SCORE_DURATION_SLACK_MS,
                           2 * limits->duration_ms_max, limits->duration_ms_max);
    if (result->has_video && video->frames_expected > 0 && !video->is_sampled)
        milli = least(milli, ramp_at(&ramp_frames, (int64_t)video->frames_decoded * 1000 /
                                                       video->frames_expected));
    return 1000 + 4 * milli;
}

int32_t score_dimension_stars(int32_t milli)
{
    return (milli + 500) / 1000;
}

static int32_t cap(int32_t stars, int32_t stars_max, enum score_step step, unsigned *steps)
{
    if (stars <= stars_max) return stars;
    *steps |= BIT(step);
    return stars_max;
}

int32_t score_stars(int32_t quality_milli, int32_t completeness_milli, int32_t relevance_milli,
                    unsigned *ret_steps)
{
    enum { WEIGHT_RELEVANCE = 45, WEIGHT_QUALITY = 35, WEIGHT_COMPLETENESS = 20 };
    enum { CRITICAL_BELOW_MILLI = 1500, CAPPING_STARS_MAX = 2 };
    bool    is_relevant = relevance_milli > 0;
    int32_t weights = WEIGHT_QUALITY + WEIGHT_COMPLETENESS + (is_relevant ? WEIGHT_RELEVANCE : 0);
    int32_t sum = WEIGHT_QUALITY * quality_milli + WEIGHT_COMPLETENESS * completeness_milli +
                  WEIGHT_RELEVANCE * relevance_milli;
    int32_t  stars = (2 * sum + 1000 * weights) / (2000 * weights);
    unsigned steps = 0;
    if (quality_milli < CRITICAL_BELOW_MILLI || completeness_milli < CRITICAL_BELOW_MILLI ||
        (is_relevant && relevance_milli < CRITICAL_BELOW_MILLI)) {
        stars--;
        steps |= BIT(STEP_CRITICAL);
    }
    int32_t quality = score_dimension_stars(quality_milli);
    int32_t completeness = score_dimension_stars(completeness_milli);
    if (quality <= CAPPING_STARS_MAX) stars = cap(stars, quality, STEP_CAP_QUALITY, &steps);
    if (completeness <= CAPPING_STARS_MAX)
        stars = cap(stars, completeness, STEP_CAP_COMPLETENESS, &steps);
    stars = cap(stars, (quality_milli + 999) / 1000 + 1, STEP_CAP_TECHNICAL, &steps);
    *ret_steps = steps;
    return stars < 1 ? 1 : stars;
}
