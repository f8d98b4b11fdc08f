#include "../expect_abort.h"
#include "base/error.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void fail_fills_the_error_and_yields_the_code(void **state)
{
    (void)state;
    struct error error = { 0 };
    enum err     e = FAIL(&error, ERR_CONFLICT, "job_closed", "job is %s", "closed");
    int          line = __LINE__ - 1;
    assert_int_equal(e, ERR_CONFLICT);
    assert_int_equal(error.code, ERR_CONFLICT);
    assert_string_equal(error.slug, "job_closed");
    assert_string_equal(error.detail, "job is closed");
    assert_int_equal(error.line, line);
    assert_non_null(strstr(error.file, "test_error.c"));
}

static void long_detail_is_cut_and_terminated(void **state)
{
    (void)state;
    struct error error = { 0 };
    error_set(&error, ERR_INTERNAL, "long", "x.c", 1, "%01000d", 1);
    assert_int_equal(strlen(error.detail), ERROR_DETAIL_BYTES_MAX - 1);
}

static void failing_with_ok_aborts(void **state)
{
    (void)state;
    struct error error = { 0 };
    assert_aborts(error_set(&error, ERR_OK, "ok", "x.c", 1, "no"));
}

static void clear_forgets_everything(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 1 << 20);
    struct error error = { .retry_after_s = 3 };
    error_add_fault(&error, &arena, STR("title"), "required", "is missing");
    error_set(&error, ERR_LIMITED, "rate", "x.c", 1, "slow down");
    error_clear(&error);
    assert_int_equal(error.code, ERR_OK);
    assert_null(error.slug);
    assert_null(error.faults);
    assert_int_equal(error.faults_count, 0);
    assert_int_equal(error.retry_after_s, 0);
    assert_string_equal(error.detail, "");
    arena_deinit(&arena);
}

static void faults_keep_their_order_and_own_their_text(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 1 << 20);
    struct error error = { 0 };
    char         field[] = "accepted_formats[2]";
    error_add_fault(&error, &arena, str_of(field), "enum", "%d is unknown", 7);
    error_add_fault(&error, &arena, STR_NONE, "type", "is not an object");
    field[0] = 'X';
    assert_int_equal(error.faults_count, 2);
    assert_string_equal(error.faults->field, "accepted_formats[2]");
    assert_string_equal(error.faults->code, "enum");
    assert_string_equal(error.faults->message, "7 is unknown");
    assert_null(error.faults->next->field);
    assert_null(error.faults->next->next);
    arena_deinit(&arena);
}

static void faults_beyond_the_limit_are_counted_not_kept(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 1 << 20);
    struct error error = { 0 };
    for (int i = 0; i < ERROR_FAULTS_COUNT_MAX + 50; i++)
        error_add_fault(&error, &arena, STR("a"), "type", "fault %d", i);
    int kept = 0;
    for (struct fault *fault = error.faults; fault; fault = fault->next)
        kept++;
    assert_int_equal(kept, ERROR_FAULTS_COUNT_MAX);
    assert_int_equal(error.faults_count, ERROR_FAULTS_COUNT_MAX + 50);
    assert_string_equal(error.faults_last->message, "fault 99");
    arena_deinit(&arena);
}

static void failing_for_faults_tells_the_first_and_how_many_more(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 1 << 20);
    struct error error = { 0 };
    assert_aborts(FAIL_FAULTS(&error, &arena, ERR_INVALID, "none"));
    error_add_fault(&error, &arena, STR("limit"), "minimum", "must be at least 1");
    assert_int_equal(FAIL_FAULTS(&error, &arena, ERR_INVALID, "bad"), ERR_INVALID);
    assert_string_equal(error.slug, "bad");
    assert_string_equal(error.detail, "limit must be at least 1");
    error_add_fault(&error, &arena, STR_NONE, "type", "is not an object");
    FAIL_FAULTS(&error, &arena, ERR_INVALID, "bad");
    assert_string_equal(error.detail, "limit must be at least 1 (and 1 more)");
    arena_deinit(&arena);
}

static void every_code_has_a_name_of_its_own(void **state)
{
    (void)state;
    for (int code = 0; code < ERR__COUNT; code++) {
        assert_non_null(err_name((enum err)code));
        for (int other = 0; other < code; other++)
            assert_string_not_equal(err_name((enum err)code), err_name((enum err)other));
    }
    assert_aborts(err_name(ERR__COUNT));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fail_fills_the_error_and_yields_the_code),
        cmocka_unit_test(long_detail_is_cut_and_terminated),
        cmocka_unit_test(failing_with_ok_aborts),
        cmocka_unit_test(clear_forgets_everything),
        cmocka_unit_test(faults_keep_their_order_and_own_their_text),
        cmocka_unit_test(faults_beyond_the_limit_are_counted_not_kept),
        cmocka_unit_test(failing_for_faults_tells_the_first_and_how_many_more),
        cmocka_unit_test(every_code_has_a_name_of_its_own),
    };
    return cmocka_run_group_tests_name("error", tests, NULL, NULL);
}
