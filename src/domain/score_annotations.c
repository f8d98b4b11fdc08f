#include "base/json_out.h"
#include "domain/score.h"

static void out_sub_scores(struct json_out *out, const struct score *score)
{
    out_object(out, "sub_scores");
    for (int i = 0; i < score->parts_count; i++)
        out_decimal(out, score_measure_name(score->parts[i].measure), score->parts[i].milli, 3);
    out_close(out);
}

static void out_loudness(struct json_out *out, const struct media_audio_figures *audio)
{
    if (audio->has_loudness)
        out_decimal(out, "loudness_lufs", audio->loudness_milli_lufs, 3);
    else
        out_null(out, "loudness_lufs"); /* silence has none */
}

static void out_sound(struct json_out *out, const struct media_result *result)
{
    if (!result->has_audio) {
        out_null(out, "sound");
        return;
    }
    out_object(out, "sound");
    out_int(out, "sample_rate_hz", result->audio.sample_rate_hz);
    out_int(out, "channels_count", result->audio.channels_count);
    out_loudness(out, &result->audio);
    out_decimal(out, "silence_share", result->audio.silence_ppm, 6);
    out_close(out);
}

static void out_frames(struct json_out *out, const struct media_result *result)
{
    if (result->has_video && result->video.fps_milli > 0)
        out_decimal(out, "frames_per_second", result->video.fps_milli, 3);
    else
        out_null(out, "frames_per_second");
}

static void out_dimensions(struct json_out *out, const struct score *score)
{
    out_decimal(out, "quality", score->quality_milli, 3);
    out_decimal(out, "completeness", score->completeness_milli, 3);
    if (score->relevance_milli > 0)
        out_decimal(out, "relevance", score->relevance_milli, 3);
    else
        out_null(out, "relevance");
}

struct str score_annotations(const struct media_result *result, const struct score *score,
                             struct arena *arena)
{
    struct buf      buf;
    struct json_out out;
    buf_init(&buf, arena, SCORE_ANNOTATIONS_BYTES_MAX);
    json_out_init(&out, &buf);
    out_object(&out, NULL);
    out_int(&out, "scorer_version", SCORER_VERSION);
    out_dimensions(&out, score);
    out_sub_scores(&out, score);
    out_sound(&out, result);
    out_frames(&out, result);
    out_close(&out);
    CHECK(!buf.failed);
    return buf_str(&buf);
}
