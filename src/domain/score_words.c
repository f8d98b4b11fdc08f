#include "domain/score_words.h"

#include "domain/score_part.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

void words_add(struct words *words, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int len = vsnprintf(words->data + words->len, words->cap - words->len, format, arguments);
    va_end(arguments);
    CHECK(len >= 0);
    words->len += (size_t)len;
    if (words->len >= words->cap) words->len = words->cap - 1;
}

void words_milli(struct words *words, int64_t milli)
{
    const char *sign = milli < 0 ? "-" : "";
    int64_t     size = milli < 0 ? -milli : milli;
    if (size >= 100000)
        words_add(words, "%s%lld", sign, (long long)((size + 500) / 1000));
    else
        words_add(words, "%s%lld.%lld", sign, (long long)((size + 50) / 1000),
                  (long long)((size + 50) / 100 % 10));
}

void words_ppm(struct words *words, int64_t ppm)
{
    words_milli(words, ppm / 10);
    words_add(words, "%%");
}

/* --- what is wrong with a part; yields what to do about it --- */

static const char *fault_sharp(struct words *words, const struct media_result *result)
{
    bool is_shaken = media_type_kind((enum media_type)result->type) == MEDIA_IMAGE &&
                     score_motion_milli(result) < score_focus_milli(result);
    if (is_shaken) {
        words_add(words, "blurred by movement (steadiness ");
        words_milli(words, result->image.direction_min_milli);
        words_add(words, ", good from 25)");
        return "hold the camera still";
    }
    words_add(words, "blurred (sharpness ");
    words_milli(words, result->image.sharpness_milli);
    words_add(words, ", good from 120)");
    return "let the camera focus on the subject";
}

static const char *fault_exposure(struct words *words, const struct media_result *result)
{
    const struct media_image_figures *image = &result->image;
    enum score_exposure               worst;
    score_exposure_milli(result, &worst);
    switch (worst) {
    case EXPOSURE_DARK:
        words_add(words, "dark (mean brightness ");
        words_milli(words, image->mean_milli);
        words_add(words, " of 255, good from 45)");
        return "use more light";
    case EXPOSURE_BURNT:
        words_add(words, "overexposed (");
        words_ppm(words, image->clipped_high_ppm);
        words_add(words, " of it pure white, good up to 12%%)");
        return "avoid light straight into the lens";
    case EXPOSURE_CRUSHED:
        words_add(words, "underexposed (");
        words_ppm(words, image->clipped_low_ppm);
        words_add(words, " of it pure black, good up to 20%%)");
        return "use more light";
    default:
        words_add(words, "flat (brightness spans %lld levels, good from 110)",
                  (long long)image->p99 - image->p1);
        return "look for more contrast";
    }
}

static const char *fault_noise(struct words *words, const struct media_result *result)
{
    words_add(words, "noisy (noise ");
    words_milli(words, result->image.noise_milli);
    words_add(words, ", good up to 4)");
    return "use more light";
}

static const char *fault_blocking(struct words *words, const struct media_result *result)
{
    words_add(words, "damaged by compression (blocking ");
    words_milli(words, result->image.blocking_milli);
    words_add(words, ", good up to 1.35)");
    return "send the original, not a copy from a messenger";
}

static const char *fault_resolution(struct words *words, const struct media_result *result)
{
    words_add(words, "small (%dx%d pixels)", (int)result->width, (int)result->height);
    return "use a higher resolution";
}

static const char *fault_black(struct words *words, const struct media_result *result)
{
    words_add(words, "black for ");
    words_ppm(words, result->video.black_ppm);
    words_add(words, " of the time");
    return "keep the lens uncovered throughout";
}

static const char *fault_frozen(struct words *words, const struct media_result *result)
{
    words_add(words, "frozen for ");
    words_ppm(words, result->video.frozen_ppm);
    words_add(words, " of the time (longest ");
    words_milli(words, result->video.frozen_longest_ms);
    words_add(words, " s)");
    return "record what moves";
}

static const char *fault_fps(struct words *words, const struct media_result *result)
{
    words_add(words, "jerky (");
    words_milli(words, result->video.fps_milli);
    words_add(words, " frames a second, good from 15)");
    return "record at 15 frames a second or more";
}

static const char *fault_integrity(struct words *words, const struct media_result *result)
{
    words_add(words, "damaged (%d broken packets)", (int)result->decode_errors);
    return "send the whole original file";
}

static const char *fault_loudness(struct words *words, const struct media_result *result)
{
    words_add(words, "quiet (");
    words_milli(words, result->audio.loudness_milli_lufs);
    words_add(words, " LUFS, good from -24)");
    return "record closer to the source";
}

static const char *fault_clipping(struct words *words, const struct media_result *result)
{
    words_add(words, "distorted (");
    words_ppm(words, result->audio.clipped_ppm);
    words_add(words, " of it clipped, good up to 0.1%%)");
    return "lower the recording level";
}

static const char *fault_snr(struct words *words, const struct media_result *result)
{
    words_add(words, "even in level (loud over quiet parts ");
    words_milli(words, result->audio.snr_milli_db);
    words_add(words, " dB; under 20 can be background noise)");
    return "record in a quiet place";
}

static const char *fault_silence(struct words *words, const struct media_result *result)
{
    words_add(words, "silent for ");
    words_ppm(words, result->audio.silence_ppm);
    words_add(words, " of the time");
    return "cut the silence at both ends";
}

static const char *fault_bandwidth(struct words *words, const struct media_result *result)
{
    words_add(words, "muffled (nothing above %d Hz, good from 8000)",
              (int)result->audio.bandwidth_hz);
    return "use a better microphone or a higher bit rate";
}

/* --- what is right with it --- */

static void praise_sharp(struct words *words, const struct media_result *result)
{
    words_add(words, "sharp (");
    words_milli(words, result->image.sharpness_milli);
    words_add(words, ")");
}

static void praise_exposure(struct words *words, const struct media_result *result)
{
    words_add(words, "well exposed (mean brightness ");
    words_milli(words, result->image.mean_milli);
    words_add(words, " of 255)");
}

static void praise_noise(struct words *words, const struct media_result *result)
{
    words_add(words, "clean (noise ");
    words_milli(words, result->image.noise_milli);
    words_add(words, ")");
}

static void praise_resolution(struct words *words, const struct media_result *result)
{
    words_add(words, "large enough (%dx%d)", (int)result->width, (int)result->height);
}

static void praise_fps(struct words *words, const struct media_result *result)
{
    words_add(words, "fluent (");
    words_milli(words, result->video.fps_milli);
    words_add(words, " frames a second)");
}

static void praise_loudness(struct words *words, const struct media_result *result)
{
    words_add(words, "loud enough (");
    words_milli(words, result->audio.loudness_milli_lufs);
    words_add(words, " LUFS)");
}

static void praise_clipping(struct words *words, const struct media_result *result)
{
    words_add(words, "undistorted (");
    words_ppm(words, result->audio.clipped_ppm);
    words_add(words, " clipped)");
}

static void praise_bandwidth(struct words *words, const struct media_result *result)
{
    words_add(words, "clear (up to %d Hz)", (int)result->audio.bandwidth_hz);
}

static const struct wording wordings[] = {
    [MEASURE_SHARP] = { fault_sharp, praise_sharp },
    [MEASURE_EXPOSURE] = { fault_exposure, praise_exposure },
    [MEASURE_NOISE] = { fault_noise, praise_noise },
    [MEASURE_BLOCKING] = { fault_blocking, NULL },
    [MEASURE_RESOLUTION] = { fault_resolution, praise_resolution },
    [MEASURE_BLACK] = { fault_black, NULL },
    [MEASURE_FROZEN] = { fault_frozen, NULL },
    [MEASURE_FPS] = { fault_fps, praise_fps },
    [MEASURE_INTEGRITY] = { fault_integrity, NULL },
    [MEASURE_LOUDNESS] = { fault_loudness, praise_loudness },
    [MEASURE_CLIPPING] = { fault_clipping, praise_clipping },
    [MEASURE_SNR] = { fault_snr, NULL },
    [MEASURE_SILENCE] = { fault_silence, NULL },
    [MEASURE_BANDWIDTH] = { fault_bandwidth, praise_bandwidth },
};
static_assert(COUNT_OF(wordings) == SCORE_MEASURE__COUNT, "every measure has its words");

const struct wording *wording_of(enum score_measure measure)
{
    CHECK((unsigned)measure < SCORE_MEASURE__COUNT);
    return &wordings[measure];
}
