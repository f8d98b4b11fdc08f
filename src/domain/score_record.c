#include "base/json_out.h"
#include "domain/score_part.h"
#include "platform/media_versions.h"

#include <assert.h>

enum { RECORD_BYTES_MAX = 8 << 10 };

static const char *const step_names[] = {
    [STEP_CRITICAL] = "critical_dimension",
    [STEP_CAP_QUALITY] = "capped_by_quality",
    [STEP_CAP_COMPLETENESS] = "capped_by_completeness",
    [STEP_CAP_TECHNICAL] = "capped_by_technical_quality",
};
static_assert(COUNT_OF(step_names) == SCORE_STEP__COUNT, "every step has a name");

static void out_path(struct json_out *out, const struct score *score, bool is_examined)
{
    out_array(out, "path");
    if (score->gate != GATE_NONE) {
        out_text(out, NULL, STR("gate"));
    } else if (!is_examined) {
        out_text(out, NULL, STR("could_not_examine"));
    } else {
        out_text(out, NULL, STR("weighted_mean"));
        for (int step = 0; step < SCORE_STEP__COUNT; step++)
            if (score->steps & BIT(step)) out_text(out, NULL, str_of(step_names[step]));
    }
    out_close(out);
}

static void out_dimension(struct json_out *out, const char *key, int32_t milli)
{
    if (milli > 0)
        out_decimal(out, key, milli, 3);
    else
        out_null(out, key);
}

static void out_parts(struct json_out *out, const struct score *score)
{
    out_array(out, "parts");
    for (int i = 0; i < score->parts_count; i++) {
        const struct score_part *part = &score->parts[i];
        out_object(out, NULL);
        out_text(out, "name", str_of(score_measure_name(part->measure)));
        out_int(out, "weight", part->weight);
        out_decimal(out, "score", part->milli, 3);
        out_close(out);
    }
    out_close(out);
}

static void out_limits(struct json_out *out, const struct score_limits *limits)
{
    out_object(out, "limits");
    out_array(out, "formats");
    for (int type = 0; type < MEDIA_TYPE__COUNT; type++)
        if (limits->formats & BIT(type))
            out_text(out, NULL, str_of(media_type_name((enum media_type)type)));
    out_close(out);
    out_int(out, "width_min", limits->width_min);
    out_int(out, "height_min", limits->height_min);
    out_int(out, "duration_ms_min", limits->duration_ms_min);
    out_int(out, "duration_ms_max", limits->duration_ms_max);
    out_array(out, "ignored");
    for (int measure = 0; measure < SCORE_MEASURE__COUNT; measure++)
        if (limits->ignored & BIT(measure))
            out_text(out, NULL, str_of(score_measure_name((enum score_measure)measure)));
    out_close(out);
    out_close(out);
}

static void out_image(struct json_out *out, const struct media_image_figures *image)
{
    out_object(out, "image");
    out_decimal(out, "mean", image->mean_milli, 3);
    out_decimal(out, "deviation", image->deviation_milli, 3);
    out_decimal(out, "entropy_bits", image->entropy_milli, 3);
    out_int(out, "p1", image->p1);
    out_int(out, "p99", image->p99);
    out_int(out, "clipped_low_ppm", image->clipped_low_ppm);
    out_int(out, "clipped_high_ppm", image->clipped_high_ppm);
    out_decimal(out, "sharpness", image->sharpness_milli, 3);
    out_decimal(out, "sharpness_log10", image->sharpness_log_milli, 3);
    out_decimal(out, "direction_min", image->direction_min_milli, 3);
    out_decimal(out, "noise", image->noise_milli, 3);
    out_decimal(out, "blocking", image->blocking_milli, 3);
    out_close(out);
}

static void out_audio(struct json_out *out, const struct media_audio_figures *audio)
{
    out_object(out, "audio");
    out_int(out, "sample_rate_hz", audio->sample_rate_hz);
    out_int(out, "channels_count", audio->channels_count);
    if (audio->has_loudness)
        out_decimal(out, "loudness_lufs", audio->loudness_milli_lufs, 3);
    else
        out_null(out, "loudness_lufs"); /* silence has none, and JSON no -inf */
    if (audio->true_peak_milli_db != INT32_MIN)
        out_decimal(out, "true_peak_dbtp", audio->true_peak_milli_db, 3);
    else
        out_null(out, "true_peak_dbtp");
    out_int(out, "clipped_ppm", audio->clipped_ppm);
    out_int(out, "silence_ppm", audio->silence_ppm);
    out_int(out, "silence_lead_ms", audio->silence_lead_ms);
    out_int(out, "silence_tail_ms", audio->silence_tail_ms);
    out_int(out, "bandwidth_hz", audio->bandwidth_hz);
    out_decimal(out, "snr_db", audio->snr_milli_db, 3);
    out_close(out);
}

static void out_video(struct json_out *out, const struct media_video_figures *video)
{
    out_object(out, "video");
    out_decimal(out, "fps", video->fps_milli, 3);
    out_int(out, "frames_decoded", video->frames_decoded);
    out_int(out, "frames_expected", video->frames_expected);
    out_int(out, "frames_measured", video->frames_measured);
    out_int(out, "black_ppm", video->black_ppm);
    out_int(out, "frozen_ppm", video->frozen_ppm);
    out_int(out, "frozen_longest_ms", video->frozen_longest_ms);
    out_bool(out, "is_sampled", video->is_sampled != 0);
    out_close(out);
}

static void out_figures(struct json_out *out, const struct media_result *result,
                        struct arena *arena)
{
    bool is_decoded = result->verdict == MEDIA_DECODED;
    out_object(out, "figures");
    out_text(out, "verdict", is_decoded ? STR("decoded") : STR("undecodable"));
    out_text(out, "reason",
             is_decoded ? STR_NONE
                        : str_sanitise(arena, str_of(result->reason), MEDIA_REASON_BYTES_MAX));
    out_text(out, "type",
             is_decoded ? str_of(media_type_name((enum media_type)result->type)) : STR_NONE);
    out_int(out, "width", result->width);
    out_int(out, "height", result->height);
    out_int(out, "orientation", result->orientation);
    out_int(out, "duration_ms", result->duration_ms);
    out_int(out, "captured_ms", result->captured_ms);
    out_bool(out, "has_gps", result->has_gps != 0);
    out_int(out, "decode_errors", result->decode_errors);
    if (result->has_picture || result->has_video) out_image(out, &result->image);
    if (result->has_audio) out_audio(out, &result->audio);
    if (result->has_video) out_video(out, &result->video);
    out_close(out);
}

struct str score_record(const struct media_result *result, const struct score *score,
                        struct str input_sha256_hex, struct arena *arena)
{
    struct buf      buf;
    struct json_out out;
    buf_init(&buf, arena, RECORD_BYTES_MAX);
    json_out_init(&out, &buf);
    out_object(&out, NULL);
    out_int(&out, "scorer_version", SCORER_VERSION);
    out_text(&out, "program", STR("firsthand " FIRSTHAND_VERSION));
    out_text(&out, "libraries", str_of(media_library_versions()));
    out_array(&out, "models"); /* none yet: every figure is measured, nothing is guessed */
    out_close(&out);
    out_text(&out, "input_sha256", input_sha256_hex);
    out_int(&out, "stars", score->stars);
    out_text(&out, "gate",
             score->gate != GATE_NONE ? str_of(score_gate_name(score->gate)) : STR_NONE);
    out_path(&out, score, result != NULL);
    out_dimension(&out, "relevance", score->relevance_milli);
    out_dimension(&out, "quality", score->quality_milli);
    out_dimension(&out, "completeness", score->completeness_milli);
    out_parts(&out, score);
    out_limits(&out, &score->limits);
    if (result != NULL) out_figures(&out, result, arena);
    out_close(&out);
    CHECK(!buf.failed);
    return buf_str(&buf);
}
