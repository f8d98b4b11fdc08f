#include "base/json_in.h"
#include "domain/score.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "score_figures.h"

/* --- the record --- */

static void same_input_gives_the_same_record(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 1 << 20);
    struct media_result result = good_video();
    struct score        first = score_of(result), second = score_of(result);
    struct str          a = score_record(&result, &first, STR("00ff"), &arena);
    struct str          b = score_record(&result, &second, STR("00ff"), &arena);
    assert_true(str_eq(a, b));
    arena_deinit(&arena);
}

static void record_is_json_that_says_how_the_stars_came(void **state)
{
    (void)state;
    struct arena arena;
    struct error error = { 0 };
    json_t      *root = NULL;
    arena_init(&arena, 1 << 20);
    struct media_result blurred = good_photo();
    blurred.image.sharpness_log_milli = 800;
    struct score score = score_of(blurred);
    struct str   text = score_record(&blurred, &score, STR("00ff"), &arena);
    assert_int_equal(json_parse(&arena, text, &error, &root), ERR_OK);
    assert_int_equal(in_int(root, "scorer_version", 0), SCORER_VERSION);
    assert_int_equal(in_int(root, "stars", 0), 2);
    assert_true(in_is_null(root, "gate"));
    assert_true(in_is_null(root, "relevance"));
    assert_true(str_eq(in_text(root, "input_sha256", &arena), STR("00ff")));
    assert_true(str_starts_with(in_text(root, "libraries", &arena), STR("libavformat ")));
    assert_int_equal(json_array_size(json_object_get(root, "parts")), 5);
    const json_t *path = json_object_get(root, "path");
    assert_string_equal(json_string_value(json_array_get(path, 0)), "weighted_mean");
    assert_string_equal(json_string_value(json_array_get(path, 1)), "capped_by_quality");

    score_duplicate(&score);
    text = score_record(NULL, &score, STR("00ff"), &arena);
    assert_int_equal(json_parse(&arena, text, &error, &root), ERR_OK);
    assert_true(str_eq(in_text(root, "gate", &arena), STR("duplicate")));
    arena_deinit(&arena);
}

static void record_of_what_was_not_examined_claims_no_mean(void **state)
{
    (void)state;
    struct arena arena;
    struct error error = { 0 };
    json_t      *root = NULL;
    arena_init(&arena, 1 << 20);
    struct score score = { .stars = 2 };
    struct str   text = score_record(NULL, &score, STR("00ff"), &arena);
    assert_int_equal(json_parse(&arena, text, &error, &root), ERR_OK);
    assert_true(in_is_null(root, "quality") && in_is_null(root, "gate"));
    assert_int_equal(json_array_size(json_object_get(root, "path")), 1);
    assert_string_equal(json_string_value(json_array_get(json_object_get(root, "path"), 0)),
                        "could_not_examine");
    arena_deinit(&arena);
}

/* --- annotations --- */

static json_t *annotations_of(struct media_result result, struct arena *arena)
{
    struct error error = { 0 };
    json_t      *root = NULL;
    struct score score = score_of(result);
    struct str   text = score_annotations(&result, &score, arena);
    assert_int_equal(json_parse(arena, text, &error, &root), ERR_OK);
    return root;
}

static void annotations_are_of_what_the_file_has(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 1 << 20);
    json_t *photo = annotations_of(good_photo(), &arena);
    assert_int_equal(in_int(photo, "scorer_version", 0), SCORER_VERSION);
    assert_true(in_is_null(photo, "sound") && in_is_null(photo, "frames_per_second"));
    assert_true(in_is_null(photo, "relevance"));
    assert_int_equal(json_object_size(json_object_get(photo, "sub_scores")), 5);
    assert_non_null(json_object_get(json_object_get(photo, "sub_scores"), "sharp"));
    json_t *video = annotations_of(good_video(), &arena);
    assert_true(json_is_number(json_object_get(video, "frames_per_second")));
    json_t *sound = json_object_get(annotations_of(good_sound(), &arena), "sound");
    assert_true(in_int(sound, "sample_rate_hz", 0) > 0);
    assert_true(json_is_number(json_object_get(sound, "loudness_lufs")));
    arena_deinit(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_input_gives_the_same_record),
        cmocka_unit_test(record_is_json_that_says_how_the_stars_came),
        cmocka_unit_test(record_of_what_was_not_examined_claims_no_mean),
        cmocka_unit_test(annotations_are_of_what_the_file_has),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
