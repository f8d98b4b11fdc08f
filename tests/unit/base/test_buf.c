#include "base/buf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static struct arena arena;

static int set_up(void **state)
{
    (void)state;
    arena_init(&arena, 1 << 20);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    arena_deinit(&arena);
    return 0;
}

static void assert_text(const struct buf *buf, const char *expected)
{
    struct str text = buf_str(buf);
    assert_non_null(text.data);
    assert_int_equal(text.len, strlen(expected));
    assert_memory_equal(text.data, expected, text.len);
}

static void empty_is_never_absent(void **state)
{
    (void)state;
    struct buf buf;
    buf_init(&buf, &arena, 10);
    assert_text(&buf, "");
    buf_add(&buf, STR_NONE);
    buf_add(&buf, STR(""));
    assert_text(&buf, "");
    assert_false(buf.failed);
}

static void appends_join(void **state)
{
    (void)state;
    struct buf buf;
    buf_init(&buf, &arena, 100);
    buf_add(&buf, STR("one"));
    buf_add_byte(&buf, ',');
    buf_fmt(&buf, "%d,%s", 2, "three");
    assert_text(&buf, "one,2,three");
}

static void growth_keeps_what_was_written(void **state)
{
    (void)state;
    struct buf buf;
    buf_init(&buf, &arena, 100000);
    for (int i = 0; i < 10000; i++)
        buf_add_byte(&buf, (char)('a' + i % 26));
    assert_false(buf.failed);
    for (int i = 0; i < 10000; i++)
        assert_int_equal(buf_str(&buf).data[i], 'a' + i % 26);
}

static void ceiling_may_be_met_exactly(void **state)
{
    (void)state;
    struct buf buf;
    buf_init(&buf, &arena, 5);
    buf_add(&buf, STR("12345"));
    assert_false(buf.failed);
    assert_text(&buf, "12345");
    buf_add_byte(&buf, '6');
    assert_true(buf.failed);
    assert_text(&buf, "12345");
}

static void formatted_text_of_any_length_may_meet_the_ceiling(void **state)
{
    (void)state;
    for (int len = 250; len <= 260; len++) {
        struct buf buf;
        buf_init(&buf, &arena, (size_t)len);
        buf_fmt(&buf, "%0*d", len, 7);
        assert_false(buf.failed);
        assert_int_equal(buf.len, len);
        assert_int_equal(buf.data[len - 1], '7');
        buf_init(&buf, &arena, (size_t)len);
        buf_fmt(&buf, "%0*d", len + 1, 7);
        assert_true(buf.failed);
        assert_int_equal(buf.len, 0);
    }
}

static void failure_sticks(void **state)
{
    (void)state;
    struct buf buf;
    buf_init(&buf, &arena, 4);
    buf_add(&buf, STR("12"));
    buf_add(&buf, STR("345"));
    buf_add_byte(&buf, '6');
    buf_fmt(&buf, "%d", 7);
    assert_true(buf.failed);
    assert_text(&buf, "12");
}

static void size_that_would_wrap_is_refused(void **state)
{
    (void)state;
    struct buf buf;
    buf_init(&buf, &arena, 10);
    buf_add_byte(&buf, 'a');
    buf_add(&buf, (struct str){ "b", SIZE_MAX });
    assert_true(buf.failed);
    assert_text(&buf, "a");
}

static void bytes_of_every_value_are_kept(void **state)
{
    (void)state;
    struct buf buf;
    buf_init(&buf, &arena, 10);
    buf_add(&buf, STR("a\0\xff"));
    assert_int_equal(buf.len, 3);
    assert_memory_equal(buf.data, "a\0\xff", 3);
}

static void integers_are_written_to_the_last_digit(void **state)
{
    (void)state;
    struct buf buf;
    buf_init(&buf, &arena, 1000);
    const int64_t values[] = { 0, 7, -7, 10, INT64_MAX, INT64_MIN };
    for (size_t i = 0; i < COUNT_OF(values); i++) {
        buf_add_int(&buf, values[i]);
        buf_add_byte(&buf, ' ');
    }
    assert_true(str_eq(buf_str(&buf), STR("0 7 -7 10 9223372036854775807 -9223372036854775808 ")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(integers_are_written_to_the_last_digit),
        cmocka_unit_test(empty_is_never_absent),
        cmocka_unit_test(appends_join),
        cmocka_unit_test(growth_keeps_what_was_written),
        cmocka_unit_test(ceiling_may_be_met_exactly),
        cmocka_unit_test(formatted_text_of_any_length_may_meet_the_ceiling),
        cmocka_unit_test(failure_sticks),
        cmocka_unit_test(size_that_would_wrap_is_refused),
        cmocka_unit_test(bytes_of_every_value_are_kept),
    };
    return cmocka_run_group_tests_name("buf", tests, set_up, tear_down);
}
