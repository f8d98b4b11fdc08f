#include "base/num.h"
#include "base/time_text.h"
#include "platform/media.h"
#include "platform/media_figure.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static struct media_result sound_image(void)
{
    return (struct media_result){ .version = MEDIA_RESULT_VERSION,
                                  .verdict = MEDIA_DECODED,
                                  .type = MEDIA_JPEG,
                                  .has_picture = 1,
                                  .width = 640,
                                  .height = 480,
                                  .orientation = 1 };
}

static struct media_result sound_refusal(void)
{
    return (struct media_result){ .version = MEDIA_RESULT_VERSION,
                                  .verdict = MEDIA_UNDECODABLE,
                                  .type = MEDIA_MP4,
                                  .orientation = 1,
                                  .reason = "truncated" };
}

static void sound_records_pass(void **state)
{
    (void)state;
    struct media_result image = sound_image(), refusal = sound_refusal();
    assert_true(media_result_check(&image));
    assert_true(media_result_check(&refusal));
    struct media_result audio = { .version = MEDIA_RESULT_VERSION,
                                  .verdict = MEDIA_DECODED,
                                  .type = MEDIA_WAV,
                                  .has_audio = 1,
                                  .orientation = 1,
                                  .audio.true_peak_milli_db = INT32_MIN };
    assert_true(media_result_check(&audio));
}

static void zeroed_and_filled_memory_is_no_record(void **state)
{
    (void)state;
    struct media_result result;
    memset(&result, 0, sizeof result);
    assert_false(media_result_check(&result));
    memset(&result, 0xff, sizeof result);
    assert_false(media_result_check(&result));
    memset(&result, 0x7f, sizeof result);
    assert_false(media_result_check(&result));
}

/* Each row: a 32-bit field of a sound record, and a value it cannot have. */
static void fields_out_of_range_are_refused(void **state)
{
    (void)state;
#define FIELD(name) offsetof(struct media_result, name)
    static const struct {
        size_t  offset;
        int32_t value;
    } rows[] = {
        { FIELD(version), MEDIA_RESULT_VERSION + 1 },
        { FIELD(verdict), 0 },
        { FIELD(verdict), 3 },
        { FIELD(type), -1 },
        { FIELD(type), MEDIA_TYPE__COUNT },
        { FIELD(type), MEDIA_WAV }, /* a picture that says it is a sound */
        { FIELD(has_picture), 2 },
        { FIELD(has_picture), 0 },
        { FIELD(has_audio), -1 },
        { FIELD(has_video), 1 },
        { FIELD(has_gps), 7 },
        { FIELD(width), -640 },
        { FIELD(width), 0 },
        { FIELD(width), INT32_MAX },
        { FIELD(orientation), 0 },
        { FIELD(orientation), 9 },
        { FIELD(decode_errors), -1 },
        { FIELD(image.mean_milli), 255001 },
        { FIELD(image.entropy_milli), 8001 },
        { FIELD(image.p1), -1 },
        { FIELD(image.p99), 256 },
        { FIELD(image.clipped_low_ppm), PPM_ONE + 1 },
        { FIELD(image.sharpness_milli), -1 },
        { FIELD(image.noise_milli), INT32_MIN },
        { FIELD(audio.has_loudness), 2 },
        { FIELD(audio.silence_ppm), -1 },
        { FIELD(audio.bandwidth_hz), -1 },
        { FIELD(video.frames_decoded), -1 },
        { FIELD(video.frozen_ppm), PPM_ONE + 1 },
        { FIELD(video.is_sampled), 2 },
    };
#undef FIELD
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct media_result result = sound_image();
        memcpy((char *)&result + rows[i].offset, &rows[i].value, sizeof rows[i].value);
        if (media_result_check(&result)) fail_msg("row %zu passed", i);
    }
}

static void times_out_of_range_are_refused(void **state)
{
    (void)state;
    struct media_result result = sound_image();
    result.duration_ms = -1;
    assert_false(media_result_check(&result));
    result.duration_ms = (int64_t)MEDIA_DURATION_MS_MAX + 1;
    assert_false(media_result_check(&result));
    result.duration_ms = 0;
    result.captured_ms = TIME_MS_MAX + 1;
    assert_false(media_result_check(&result));
    result.captured_ms = TIME_MS_MAX;
    assert_true(media_result_check(&result));
}

static void reasons_are_terminated_slugs_of_refusals_only(void **state)
{
    (void)state;
    struct media_result result = sound_refusal();
    memset(result.reason, 'a', sizeof result.reason);
    assert_false(media_result_check(&result)); /* no end */
    result = sound_refusal();
    memcpy(result.reason, "Bad \"slug\"", 11);
    assert_false(media_result_check(&result));
    result = sound_refusal();
    result.reason[0] = '\0';
    assert_false(media_result_check(&result));
    result = sound_image();
    memcpy(result.reason, "truncated", 10);
    assert_false(media_result_check(&result));
}

static void figures_are_clamped_and_never_nan(void **state)
{
    (void)state;
    assert_int_equal(figure_round(NAN), 0);
    assert_int_equal(figure_round(INFINITY), INT32_MAX);
    assert_int_equal(figure_round(-INFINITY), -INT32_MAX);
    assert_int_equal(figure_round(1e300), INT32_MAX);
    assert_int_equal(figure_round(2.5), 3);
    assert_int_equal(figure_milli(-0.0004), 0);
    assert_int_equal(figure_milli(1.2345), 1235);
    assert_int_equal(figure_milli(1e7), INT32_MAX);
}

static void shares_stay_within_the_whole(void **state)
{
    (void)state;
    assert_int_equal(figure_ppm(1, 3), 333333);
    assert_int_equal(figure_ppm(5, 4), PPM_ONE);
    assert_int_equal(figure_ppm(5, 0), 0);
    assert_int_equal(figure_ppm(-5, 10), 0);
    assert_int_equal(figure_ppm(INT64_MAX, INT64_MAX), PPM_ONE);
    assert_int_equal(figure_ms(44100, 44100), 1000);
    assert_int_equal(figure_ms(INT64_MAX, 1), 0);
    assert_int_equal(figure_ms(5, 0), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sound_records_pass),
        cmocka_unit_test(zeroed_and_filled_memory_is_no_record),
        cmocka_unit_test(fields_out_of_range_are_refused),
        cmocka_unit_test(times_out_of_range_are_refused),
        cmocka_unit_test(reasons_are_terminated_slugs_of_refusals_only),
        cmocka_unit_test(figures_are_clamped_and_never_nan),
        cmocka_unit_test(shares_stay_within_the_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
