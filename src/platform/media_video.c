#include "platform/media_video.h"

#include "base/num.h"
#include "platform/media_figure.h"

enum { SAMPLE_STEP_MS_UNKNOWN = 250, SAMPLE_STEP_MS_MIN = 1 };

void video_open(struct video *video, struct arena *arena, int64_t expected_ms)
{
    *video = (struct video){ .arena = arena, .is_spread = true };
    video->sample_step_ms = expected_ms > 0
                                ? num_max(expected_ms / VIDEO_SAMPLES_WISHED, SAMPLE_STEP_MS_MIN)
                                : SAMPLE_STEP_MS_UNKNOWN;
    video->sample_next_ms = video->sample_step_ms / 2;
}

/* Too many: keep every second one and take the next ones half as often. */
static void thin_samples(struct video *video)
{
    for (int i = 0; i < PICTURE_SAMPLES_MAX / 2; i++)
        video->samples[i] = video->samples[2 * i];
    video->samples_count = PICTURE_SAMPLES_MAX / 2;
    video->sample_step_ms *= 2;
}

static void sample_frame(struct video *video, const struct luma *luma)
{
    if (video->samples_count == PICTURE_SAMPLES_MAX) thin_samples(video);
    picture_measure(video->arena, luma, &video->samples[video->samples_count++]);
}

/* The first frame is always sampled, so that a video of one frame has a picture. */
static bool is_due(struct video *video, int64_t since_ms)
{
    bool is_first = video->frames_count == 0;
    if (!is_first && !video->wants_sample &&
        !(video->is_spread && since_ms >= video->sample_next_ms))
        return false;
    video->wants_sample = false;
    if (since_ms >= video->sample_next_ms) {
        int64_t steps = (since_ms - video->sample_next_ms) / video->sample_step_ms + 1;
        video->sample_next_ms += steps * video->sample_step_ms;
    }
    return true;
}

void video_add(struct video *video, const AVFrame *frame, int64_t at_ms, int64_t lasts_ms)
{
    struct arena_mark mark = arena_mark(video->arena);
    struct luma       luma;
    if (!luma_of_frame(video->arena, frame, &luma)) {
        video->unreadable_count++;
        arena_rewind(video->arena, mark);
        return;
    }
    if (video->frames_count == 0) {
        video->first_ms = video->last_ms = at_ms;
        video->width = frame->width;
        video->height = frame->height;
    }
    video->last_ms = num_max(video->last_ms, at_ms);
    video->end_ms = num_max(video->end_ms, video->last_ms + num_max(lasts_ms, 0));
    if (is_due(video, num_max(at_ms - video->first_ms, 0))) sample_frame(video, &luma);
    motion_add(&video->motion, video->arena, &luma, video->last_ms);
    video->frames_count++;
    arena_rewind(video->arena, mark);
}

void video_break(struct video *video, bool wants_sample)
{
    motion_break(&video->motion);
    video->wants_sample = wants_sample;
    video->is_spread = false;
}

int64_t video_ms(const struct video *video)
{
    return video->frames_count > 0 ? video->end_ms - video->first_ms : 0;
}

void video_finish(struct video *video, struct media_video_figures *figures,
                  struct media_image_figures *ret_image)
{
    if (video->frames_count == 0) return;
    figures->frames_decoded = figure_round((double)video->frames_count);
    figures->frames_measured = video->samples_count;
    motion_finish(&video->motion, video->end_ms, figures);
    picture_median(video->samples, video->samples_count, ret_image);
}
