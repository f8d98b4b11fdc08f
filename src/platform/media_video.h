/* Measures decoded video frames as they come: sampled pictures, motion, time. */
#ifndef FIRSTHAND_PLATFORM_MEDIA_VIDEO_H
#define FIRSTHAND_PLATFORM_MEDIA_VIDEO_H

#include "platform/media_motion.h"
#include "platform/media_picture.h"

#include <assert.h>

enum { VIDEO_SAMPLES_WISHED = 16 };
static_assert(VIDEO_SAMPLES_WISHED * 2 <= PICTURE_SAMPLES_MAX, "halving leaves the wished count");

struct video {
    struct arena              *arena;
    struct motion              motion;
    struct media_image_figures samples[PICTURE_SAMPLES_MAX];
    int                        samples_count;
    int64_t                    sample_step_ms, sample_next_ms; /* from first_ms */
    bool                       is_spread;                      /* samples are taken by time */
    bool                       wants_sample; /* the next frame, whatever its time */
    int64_t                    frames_count, unreadable_count;
    int64_t                    first_ms, last_ms, end_ms;
    int                        width, height; /* of the first frame, as coded */
};

/* expected_ms spreads the samples evenly; 0 when not known. */
void video_open(struct video *video, struct arena *arena, int64_t expected_ms);

/* A frame that begins at at_ms and is meant to last lasts_ms. */
void video_add(struct video *video, const AVFrame *frame, int64_t at_ms, int64_t lasts_ms);

/* The next frame is not adjacent to the last. From now on only such frames are sampled, and only
 * when asked. */
void video_break(struct video *video, bool wants_sample);

/* Time from the first frame to the end of the last. */
int64_t video_ms(const struct video *video);

/* Fills all but fps, frames_expected and is_sampled. */
void video_finish(struct video *video, struct media_video_figures *figures,
                  struct media_image_figures *ret_image);

#endif
