#include "media_samples.h"

#include "platform/media_picture.h"

/* --- drawn planes: exact --- */

enum { WIDTH = 320, HEIGHT = 240 };

static uint8_t plane[WIDTH * HEIGHT];

static struct media_image_figures measure_plane(bool is_limited)
{
    struct arena               arena;
    struct media_image_figures figures;
    struct luma                luma = { plane, WIDTH, WIDTH, HEIGHT, is_limited };
    arena_init(&arena, ARENA_HARD_BYTES_MAX);
    picture_measure(&arena, &luma, &figures);
    arena_deinit(&arena);
    return figures;
}

static void a_flat_plane_has_nothing_but_its_level(void **state)
{
    (void)state;
    memset(plane, 100, sizeof plane);
    struct media_image_figures figures = measure_plane(false);
    assert_int_equal(figures.mean_milli, 100000);
    assert_int_equal(figures.deviation_milli, 0);
    assert_int_equal(figures.entropy_milli, 0);
    assert_int_equal(figures.p1, 100);
    assert_int_equal(figures.p99, 100);
    assert_int_equal(figures.clipped_low_ppm, 0);
    assert_int_equal(figures.sharpness_milli, 0);
    assert_int_equal(figures.direction_min_milli, 0);
    assert_int_equal(figures.noise_milli, 0);
    assert_int_equal(figures.blocking_milli, 1000);
}

static void halves_of_black_and_white_are_clipped_by_halves(void **state)
{
    (void)state;
    memset(plane, 0, sizeof plane / 2);
    memset(plane + sizeof plane / 2, 255, sizeof plane / 2);
    struct media_image_figures figures = measure_plane(false);
    assert_int_equal(figures.mean_milli, 127500);
    assert_int_equal(figures.deviation_milli, 127500);
    assert_int_equal(figures.entropy_milli, 1000);
    assert_int_equal(figures.clipped_low_ppm, 500000);
    assert_int_equal(figures.clipped_high_ppm, 500000);
}

static void limited_range_is_widened_before_it_is_judged(void **state)
{
    (void)state;
    memset(plane, 16, sizeof plane / 2);
    memset(plane + sizeof plane / 2, 235, sizeof plane / 2);
    struct media_image_figures limited = measure_plane(true);
    struct media_image_figures full = measure_plane(false);
    assert_int_equal(limited.mean_milli, 127500);
    assert_int_equal(limited.clipped_low_ppm, 500000);
    assert_int_equal(limited.clipped_high_ppm, 500000);
    assert_int_equal(full.clipped_low_ppm, 0);
    memset(plane, 0, sizeof plane); /* below black and above white stay at the ends */
    memset(plane, 255, 100);
    assert_int_equal(measure_plane(true).p1, 0);
    assert_int_equal(measure_plane(true).p99, 0);
}

static void stripes_are_sharp_in_all_directions_but_along_them(void **state)
{
    (void)state;
    for (int i = 0; i < WIDTH * HEIGHT; i++)
        plane[i] = (uint8_t)(i % WIDTH / 4 % 2 ? 180 : 80);
    struct media_image_figures figures = measure_plane(false);
    assert_true(figures.sharpness_milli > 1000000);
    assert_int_equal(figures.direction_min_milli, 0);
}

static void steps_at_every_eighth_pixel_are_blocking(void **state)
{
    (void)state;
    for (int i = 0; i < WIDTH * HEIGHT; i++)
        plane[i] = (uint8_t)(100 + 20 * ((i % WIDTH / 8 + i / WIDTH / 8) % 2));
    assert_true(measure_plane(false).blocking_milli > 100000);
    for (int i = 0; i < WIDTH * HEIGHT; i++)
        plane[i] = (uint8_t)(100 + 20 * (((i % WIDTH + 4) / 8 + (i / WIDTH + 4) / 8) % 2));
    assert_true(measure_plane(false).blocking_milli < 100);
}

static void the_smallest_pictures_are_measured(void **state)
{
    (void)state;
    memset(plane, 50, sizeof plane);
    for (int width = 1; width <= 20; width++) {
        for (int height = 1; height <= 20; height++) {
            struct arena               arena;
            struct media_image_figures figures;
            uint8_t                   *exact = malloc((size_t)(width * height));
            memset(exact, 50, (size_t)(width * height));
            struct luma luma = { exact, width, width, height, false };
            arena_init(&arena, ARENA_HARD_BYTES_MAX);
            picture_measure(&arena, &luma, &figures);
            arena_deinit(&arena);
            free(exact);
            assert_int_equal(figures.mean_milli, 50000);
            assert_int_equal(figures.blocking_milli, 1000);
        }
    }
}

static void scaling_keeps_the_mean_and_the_ends(void **state)
{
    (void)state;
    static const struct {
        int width, height;
    } sizes[] = { { 1, 1 }, { 7, 5 }, { 160, 120 }, { 319, 239 }, { 320, 240 }, { 500, 300 } };
    for (int i = 0; i < WIDTH * HEIGHT; i++)
        plane[i] = (uint8_t)(i % WIDTH < WIDTH / 2 ? 40 : 200);
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        struct arena arena;
        struct luma  luma = { plane, WIDTH, WIDTH, HEIGHT, false };
        int          count = sizes[i].width * sizes[i].height;
        uint8_t     *out = malloc((size_t)count);
        int64_t      sum = 0;
        arena_init(&arena, ARENA_HARD_BYTES_MAX);
        luma_scale(&arena, &luma, sizes[i].width, sizes[i].height, out);
        arena_deinit(&arena);
        for (int at = 0; at < count; at++)
            sum += out[at];
        assert_in_range(sum / count, 119, 121);
        if (count > 1) assert_int_equal(out[0], 40);
        if (count > 1) assert_int_equal(out[count - 1], 200);
        free(out);
    }
}

static void the_median_is_taken_figure_by_figure(void **state)
{
    (void)state;
    const struct media_image_figures rows[] = { { .mean_milli = 1, .p99 = 30 },
                                                { .mean_milli = 9, .p99 = 10 },
                                                { .mean_milli = 5, .p99 = 20 } };
    struct media_image_figures       median;
    picture_median(rows, 3, &median);
    assert_int_equal(median.mean_milli, 5);
    assert_int_equal(median.p99, 20);
    picture_median(rows, 1, &median);
    assert_int_equal(median.mean_milli, 1);
}

/* --- real pictures: how figures move with damage --- */

static struct media_image_figures figures_of(const char *name)
{
    struct media_result result = examine_sample(name);
    assert_int_equal(result.verdict, MEDIA_DECODED);
    return result.image;
}

static void blur_lowers_sharpness(void **state)
{
    (void)state;
    struct media_image_figures plain = figures_of("plain.jpg"), blurred = figures_of("blurred.jpg");
    assert_true(plain.sharpness_milli > 20 * blurred.sharpness_milli);
    assert_true(plain.sharpness_log_milli > 2500);
    assert_true(blurred.sharpness_log_milli < 1000);
    assert_in_range(blurred.mean_milli, plain.mean_milli - 2000, plain.mean_milli + 2000);
}

static void a_smear_shows_in_its_own_direction_most(void **state)
{
    (void)state;
    struct media_image_figures plain = figures_of("plain.jpg"), smeared = figures_of("smeared.jpg");
    assert_true(plain.direction_min_milli > 25000);
    assert_true(smeared.direction_min_milli < 5000);
    assert_true(smeared.sharpness_log_milli > 1300); /* which blur alone would pass */
}

static void coarser_compression_raises_blocking(void **state)
{
    (void)state;
    assert_true(figures_of("q4.jpg").blocking_milli > 2 * figures_of("plain.jpg").blocking_milli);
    assert_in_range(figures_of("photo.jpg").blocking_milli, 900, 1100);
}

static void grain_raises_noise(void **state)
{
    (void)state;
    assert_true(figures_of("noisy.jpg").noise_milli > 10 * figures_of("plain.jpg").noise_milli);
}

static void exposure_moves_the_levels(void **state)
{
    (void)state;
    struct media_image_figures plain = figures_of("plain.jpg"), dark = figures_of("dark.jpg");
    struct media_image_figures bright = figures_of("bright.jpg");
    assert_true(dark.mean_milli < plain.mean_milli / 4);
    assert_true(dark.p99 < 45 && dark.p99 - dark.p1 < 40);
    assert_true(dark.clipped_low_ppm > plain.clipped_low_ppm);
    assert_true(bright.mean_milli > plain.mean_milli * 3 / 2);
    assert_true(bright.clipped_high_ppm > 400000);
}

static void a_blank_picture_has_no_detail(void **state)
{
    (void)state;
    struct media_image_figures blank = figures_of("blank.png");
    assert_true(blank.deviation_milli < 3000 && blank.entropy_milli < 1000);
    assert_in_range(blank.mean_milli, 127000, 129000); /* gray is 128 in RGB too */
}

/* The same scene in other pixel formats and ranges has the same brightness. */
static void pixel_formats_agree_on_brightness(void **state)
{
    (void)state;
    static const char *const names[] = { "gray.jpg",   "lossy.webp", "lossless.webp",
                                         "photo.webp", "deep.png",   "palette.png" };
    int32_t                  mean = figures_of("plain.jpg").mean_milli;
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        struct media_image_figures figures = figures_of(names[i]);
        assert_in_range(figures.mean_milli, mean - 2500, mean + 2500);
        assert_true(figures.p1 < 30 && figures.p99 > 225);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_flat_plane_has_nothing_but_its_level),
        cmocka_unit_test(halves_of_black_and_white_are_clipped_by_halves),
        cmocka_unit_test(limited_range_is_widened_before_it_is_judged),
        cmocka_unit_test(stripes_are_sharp_in_all_directions_but_along_them),
        cmocka_unit_test(steps_at_every_eighth_pixel_are_blocking),
        cmocka_unit_test(the_smallest_pictures_are_measured),
        cmocka_unit_test(scaling_keeps_the_mean_and_the_ends),
        cmocka_unit_test(the_median_is_taken_figure_by_figure),
        cmocka_unit_test(blur_lowers_sharpness),
        cmocka_unit_test(a_smear_shows_in_its_own_direction_most),
        cmocka_unit_test(coarser_compression_raises_blocking),
        cmocka_unit_test(grain_raises_noise),
        cmocka_unit_test(exposure_moves_the_levels),
        cmocka_unit_test(a_blank_picture_has_no_detail),
        cmocka_unit_test(pixel_formats_agree_on_brightness),
    };
    return cmocka_run_group_tests(tests, samples_open, samples_close);
}
