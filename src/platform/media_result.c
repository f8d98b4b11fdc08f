#include "base/num.h"
#include "base/time_text.h"
#include "platform/media.h"

#include <string.h>

static bool is_flag(int32_t value)
{
    return value == 0 || value == 1;
}

static bool is_ppm(int32_t value)
{
    return value >= 0 && value <= PPM_ONE;
}

static bool is_within(int64_t value, int64_t low, int64_t high)
{
    return value >= low && value <= high;
}

/* A lower snake slug that ends inside its field, empty only for what decoded. */
static bool reason_is_sound(const struct media_result *result)
{
    size_t len = strnlen(result->reason, sizeof result->reason);
    if (len == sizeof result->reason) return false;
    if ((len == 0) != (result->verdict == MEDIA_DECODED)) return false;
    for (size_t i = 0; i < len; i++) {
        char c = result->reason[i];
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_')) return false;
    }
    return true;
}

static bool image_is_sound(const struct media_image_figures *image)
{
    return is_within(image->mean_milli, 0, 255000) &&
           is_within(image->deviation_milli, 0, 255000) &&
           is_within(image->entropy_milli, 0, 8000) && is_within(image->p1, 0, 255) &&
           is_within(image->p99, 0, 255) && is_ppm(image->clipped_low_ppm) &&
           is_ppm(image->clipped_high_ppm) && image->sharpness_milli >= 0 &&
           image->sharpness_log_milli >= 0 && image->direction_min_milli >= 0 &&
           image->noise_milli >= 0 && image->blocking_milli >= 0;
}

static bool audio_is_sound(const struct media_audio_figures *audio)
{
    return audio->sample_rate_hz >= 0 && audio->channels_count >= 0 &&
           is_flag(audio->has_loudness) && is_ppm(audio->clipped_ppm) &&
           is_ppm(audio->silence_ppm) && audio->silence_lead_ms >= 0 &&
           audio->silence_tail_ms >= 0 && audio->bandwidth_hz >= 0 && audio->snr_milli_db >= 0;
}

static bool video_is_sound(const struct media_video_figures *video)
{
    return video->fps_milli >= 0 && video->frames_decoded >= 0 && video->frames_expected >= 0 &&
           video->frames_measured >= 0 && is_ppm(video->black_ppm) && is_ppm(video->frozen_ppm) &&
           video->frozen_longest_ms >= 0 && is_flag(video->is_sampled);
}

static bool size_is_sound(const struct media_result *result)
{
    if (result->width < 0 || result->height < 0) return false;
    if ((result->width == 0) != (result->height == 0)) return false;
    return (int64_t)result->width * result->height <= MEDIA_PIXELS_MAX;
}

/* What decoded shows or sounds as its type says. */
static bool kind_is_sound(const struct media_result *result)
{
    if (result->verdict != MEDIA_DECODED) return true;
    switch (media_type_kind((enum media_type)result->type)) {
    case MEDIA_IMAGE: return result->has_picture && !result->has_video && result->width > 0;
    case MEDIA_AUDIO: return result->has_audio && !result->has_video;
    case MEDIA_VIDEO: return result->has_video && result->width > 0;
    default: return false;
    }
}

bool media_result_check(const struct media_result *result)
{
    return result->version == MEDIA_RESULT_VERSION &&
           (result->verdict == MEDIA_DECODED || result->verdict == MEDIA_UNDECODABLE) &&
           is_within(result->type, 0, MEDIA_TYPE__COUNT - 1) && is_flag(result->has_picture) &&
           is_flag(result->has_audio) && is_flag(result->has_video) && is_flag(result->has_gps) &&
           is_within(result->orientation, 1, 8) &&
           is_within(result->duration_ms, 0, MEDIA_DURATION_MS_MAX) &&
           is_within(result->captured_ms, 0, TIME_MS_MAX) && result->decode_errors >= 0 &&
           size_is_sound(result) && reason_is_sound(result) && image_is_sound(&result->image) &&
           audio_is_sound(&result->audio) && video_is_sound(&result->video) &&
           kind_is_sound(result);
}
