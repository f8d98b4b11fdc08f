#include "platform/media_motion.h"

#include "platform/media_figure.h"

#include <assert.h>
#include <stdlib.h>

enum {
    BLOCK_WIDTH = 16,
    BLOCK_HEIGHT = 12,
    FROZEN_BLOCK_SUM = BLOCK_WIDTH * BLOCK_HEIGHT / 4, /* a mean difference of 0.25 levels */
    FROZEN_RUN_MS_MIN = 2000,
    GAP_MS_MAX = 60 * 1000, /* between two frames; beyond, the time stamps are not believed */
    BLACK_LEVEL = 19,       /* 32 of a limited-range file */
    BLACK_PERCENT_MIN = 98,
};
static_assert(MOTION_WIDTH % BLOCK_WIDTH == 0 && MOTION_HEIGHT % BLOCK_HEIGHT == 0,
              "blocks tile the copy");

static bool is_black(const uint8_t *plane)
{
    int count = 0;
    for (int i = 0; i < MOTION_PIXELS; i++)
        count += plane[i] < BLACK_LEVEL;
    return (int64_t)count * 100 >= (int64_t)MOTION_PIXELS * BLACK_PERCENT_MIN;
}

static int block_difference(const uint8_t *a, const uint8_t *b)
{
    int sum = 0;
    for (int y = 0; y < BLOCK_HEIGHT; y++)
        for (int x = 0; x < BLOCK_WIDTH; x++)
            sum += abs(a[y * MOTION_WIDTH + x] - b[y * MOTION_WIDTH + x]);
    return sum;
}

/* Nothing moved when no block did: a mean over the whole picture would miss a talking head. */
static bool is_still(const uint8_t *a, const uint8_t *b)
{
    for (int y = 0; y < MOTION_HEIGHT; y += BLOCK_HEIGHT) {
        for (int x = 0; x < MOTION_WIDTH; x += BLOCK_WIDTH) {
            int at = y * MOTION_WIDTH + x;
            if (block_difference(a + at, b + at) >= FROZEN_BLOCK_SUM) return false;
        }
    }
    return true;
}

static void end_frozen_run(struct motion *motion)
{
    if (motion->frozen_run_ms >= FROZEN_RUN_MS_MIN) motion->frozen_ms += motion->frozen_run_ms;
    if (motion->frozen_run_ms > motion->frozen_longest_ms)
        motion->frozen_longest_ms = motion->frozen_run_ms;
    motion->frozen_run_ms = 0;
}

/* The latest frame was shown for so long; did it stay the same after that? */
static void pass_time(struct motion *motion, int64_t shown_ms, bool was_still)
{
    if (shown_ms < 0) shown_ms = 0;
    if (shown_ms > GAP_MS_MAX) shown_ms = GAP_MS_MAX;
    motion->examined_ms += shown_ms;
    if (motion->is_black) motion->black_ms += shown_ms;
    /* One frame shown for long is frozen just as many equal ones are. */
    if (was_still || shown_ms >= FROZEN_RUN_MS_MIN) motion->frozen_run_ms += shown_ms;
    if (!was_still) end_frozen_run(motion);
}

void motion_add(struct motion *motion, struct arena *arena, const struct luma *luma, int64_t at_ms)
{
    int      next = 1 - motion->newest;
    uint8_t *plane = motion->planes[next];
    luma_scale(arena, luma, MOTION_WIDTH, MOTION_HEIGHT, plane);
    if (motion->run_count > 0)
        pass_time(motion, at_ms - motion->at_ms, is_still(plane, motion->planes[motion->newest]));
    motion->newest = next;
    motion->at_ms = at_ms;
    motion->run_count++;
    motion->frames_count++;
    motion->is_black = is_black(plane);
    motion->black_count += motion->is_black;
}

void motion_break(struct motion *motion)
{
    end_frozen_run(motion);
    motion->run_count = 0;
}

void motion_finish(struct motion *motion, int64_t end_ms, struct media_video_figures *figures)
{
    if (motion->run_count > 0) pass_time(motion, end_ms - motion->at_ms, true);
    end_frozen_run(motion);
    figures->black_ppm = motion->examined_ms > 0
                             ? figure_ppm(motion->black_ms, motion->examined_ms)
                             : figure_ppm(motion->black_count, motion->frames_count);
    figures->frozen_ppm = figure_ppm(motion->frozen_ms, motion->examined_ms);
    figures->frozen_longest_ms = figure_round(
        motion->frozen_longest_ms >= FROZEN_RUN_MS_MIN ? (double)motion->frozen_longest_ms : 0);
}
