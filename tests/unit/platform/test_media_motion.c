#include "media_samples.h"

#include "platform/media_motion.h"

/* --- drawn frames --- */

enum { FRAME_MS = 40 };

struct scene {
    struct arena  arena;
    struct motion motion;
    uint8_t       plane[MOTION_PIXELS];
    int64_t       at_ms;
};

static struct scene *scene_begin(uint8_t level)
{
    struct scene *scene = calloc(1, sizeof *scene);
    arena_init(&scene->arena, ARENA_HARD_BYTES_MAX);
    memset(scene->plane, level, sizeof scene->plane);
    return scene;
}

static void scene_show(struct scene *scene, bool is_limited)
{
    struct luma luma = { scene->plane, MOTION_WIDTH, MOTION_WIDTH, MOTION_HEIGHT, is_limited };
    motion_add(&scene->motion, &scene->arena, &luma, scene->at_ms);
    scene->at_ms += FRAME_MS;
}

static struct media_video_figures scene_end(struct scene *scene)
{
    struct media_video_figures figures = { 0 };
    motion_finish(&scene->motion, scene->at_ms, &figures);
    arena_deinit(&scene->arena);
    free(scene);
    return figures;
}

static void a_still_scene_is_frozen_from_two_seconds_on(void **state)
{
    (void)state;
    struct scene *shorter = scene_begin(100), *longer = scene_begin(100);
    for (int i = 0; i < 49; i++)
        scene_show(shorter, false);
    for (int i = 0; i < 50; i++)
        scene_show(longer, false);
    assert_int_equal(scene_end(shorter).frozen_ppm, 0);
    struct media_video_figures figures = scene_end(longer);
    assert_int_equal(figures.frozen_ppm, 1000000);
    assert_int_equal(figures.frozen_longest_ms, 2000);
}

static void one_moving_block_is_enough_to_be_alive(void **state)
{
    (void)state;
    struct scene *scene = scene_begin(100);
    for (int i = 0; i < 100; i++) {
        for (int y = 24; y < 36; y++)
            memset(scene->plane + y * MOTION_WIDTH + 32, i % 2 ? 100 : 101, 16);
        scene_show(scene, false);
    }
    assert_int_equal(scene_end(scene).frozen_ppm, 0);
}

static void a_frame_that_stays_for_long_is_frozen(void **state)
{
    (void)state;
    struct scene *scene = scene_begin(100);
    scene_show(scene, false);
    scene->at_ms = 10000;
    struct media_video_figures figures = scene_end(scene);
    assert_int_equal(figures.frozen_ppm, 1000000);
    assert_int_equal(figures.frozen_longest_ms, 10000);
}

static void a_break_ends_the_run(void **state)
{
    (void)state;
    struct scene *scene = scene_begin(100);
    for (int i = 0; i < 90; i++) {
        if (i % 30 == 0) motion_break(&scene->motion);
        scene_show(scene, false);
    }
    assert_int_equal(scene_end(scene).frozen_ppm, 0);
}

static void times_that_go_back_or_leap_do_no_harm(void **state)
{
    (void)state;
    static const int64_t times[] = { 0, 1000, -5000, INT32_MAX, 0, 3600000000, -3600000000 };
    struct scene        *scene = scene_begin(100);
    for (size_t i = 0; i < COUNT_OF(times); i++) {
        scene->at_ms = times[i];
        scene_show(scene, false);
    }
    struct media_video_figures figures = scene_end(scene);
    assert_in_range(figures.frozen_ppm, 0, 1000000);
    assert_in_range(figures.frozen_longest_ms, 0, INT32_MAX);
}

static void black_is_black_in_either_range(void **state)
{
    (void)state;
    struct scene *limited = scene_begin(18), *full = scene_begin(10), *gray = scene_begin(60);
    for (int i = 0; i < 10; i++) {
        scene_show(limited, true);
        scene_show(full, false);
        scene_show(gray, true);
    }
    assert_int_equal(scene_end(limited).black_ppm, 1000000);
    assert_int_equal(scene_end(full).black_ppm, 1000000);
    assert_int_equal(scene_end(gray).black_ppm, 0);
}

static void a_lit_corner_is_not_black(void **state)
{
    (void)state;
    struct scene *scene = scene_begin(0);
    memset(scene->plane, 200, MOTION_PIXELS / 40); /* 2.5 % */
    for (int i = 0; i < 10; i++)
        scene_show(scene, false);
    assert_int_equal(scene_end(scene).black_ppm, 0);
}

/* --- real clips --- */

static void handheld_video_is_neither_black_nor_frozen(void **state)
{
    (void)state;
    struct media_result result = examine_sample("clip.mp4");
    assert_int_equal(result.video.black_ppm, 0);
    assert_int_equal(result.video.frozen_ppm, 0);
}

static void a_screencast_that_talks_is_not_frozen(void **state)
{
    (void)state;
    struct media_result result = examine_sample("clip.mov");
    assert_int_equal(result.video.frozen_ppm, 0);
}

static void a_picture_that_stops_is_frozen_for_that_time(void **state)
{
    (void)state;
    struct media_result result = examine_sample("frozen.mp4");
    assert_in_range(result.video.frozen_ppm, 750000, 900000);
    assert_in_range(result.video.frozen_longest_ms, 4500, 5500);
    assert_int_equal(result.video.black_ppm, 0);
}

static void a_black_video_is_black(void **state)
{
    (void)state;
    struct media_result result = examine_sample("black.mp4");
    assert_int_equal(result.video.black_ppm, 1000000);
    assert_true(result.image.mean_milli < 3000);
    assert_true(result.has_audio);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_still_scene_is_frozen_from_two_seconds_on),
        cmocka_unit_test(one_moving_block_is_enough_to_be_alive),
        cmocka_unit_test(a_frame_that_stays_for_long_is_frozen),
        cmocka_unit_test(a_break_ends_the_run),
        cmocka_unit_test(times_that_go_back_or_leap_do_no_harm),
        cmocka_unit_test(black_is_black_in_either_range),
        cmocka_unit_test(a_lit_corner_is_not_black),
        cmocka_unit_test(handheld_video_is_neither_black_nor_frozen),
        cmocka_unit_test(a_screencast_that_talks_is_not_frozen),
        cmocka_unit_test(a_picture_that_stops_is_frozen_for_that_time),
        cmocka_unit_test(a_black_video_is_black),
    };
    return cmocka_run_group_tests(tests, samples_open, samples_close);
}
