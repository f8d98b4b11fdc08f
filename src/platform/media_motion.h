/* Finds black and frozen passages in a video, from one small luma copy a frame. */
#ifndef FIRSTHAND_PLATFORM_MEDIA_MOTION_H
#define FIRSTHAND_PLATFORM_MEDIA_MOTION_H

#include "platform/media.h"
#include "platform/media_luma.h"

enum { MOTION_WIDTH = 320, MOTION_HEIGHT = 180, MOTION_PIXELS = MOTION_WIDTH * MOTION_HEIGHT };

struct motion {
    uint8_t planes[2][MOTION_PIXELS];
    int     newest;    /* index of the latest frame's plane */
    int     run_count; /* frames since the last cut or break; the first has no predecessor */
    bool    is_black;  /* the latest frame is */
    int64_t at_ms;     /* its time */
    int64_t examined_ms, black_ms, frozen_ms;
    int64_t frozen_run_ms, frozen_longest_ms;
    int64_t frames_count, black_count;
};

/* Frames in order of time. A time that does not advance counts as no time. */
void motion_add(struct motion *motion, struct arena *arena, const struct luma *luma, int64_t at_ms);

/* What follows is not adjacent to what came before. */
void motion_break(struct motion *motion);

/* The last frame stays on screen until end_ms; then the figures stand. */
void motion_finish(struct motion *motion, int64_t end_ms, struct media_video_figures *figures);

#endif
