#include "base/str.h"

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

static void assert_str(struct str actual, const char *expected)
{
    assert_non_null(actual.data);
    assert_int_equal(actual.len, strlen(expected));
    assert_memory_equal(actual.data, expected, actual.len);
}

static void absent_is_not_empty_text(void **state)
{
    (void)state;
    assert_null(str_of(NULL).data);
    assert_non_null(str_of("").data);
    assert_null(str_copy(&arena, STR_NONE).data);
    assert_non_null(str_copy(&arena, STR("")).data);
    assert_null(str_c(&arena, STR_NONE));
    assert_string_equal(str_c(&arena, STR("")), "");
}

static void equality_is_of_bytes(void **state)
{
    (void)state;
    assert_true(str_eq(STR("a\0b"), STR("a\0b")));
    assert_false(str_eq(STR("a\0b"), STR("a\0c")));
    assert_false(str_eq(STR("a"), STR("A")));
    assert_true(str_eq(STR(""), STR_NONE));
    assert_true(str_eq_ignoring_case(STR("Content-TYPE"), STR("content-type")));
    assert_false(str_eq_ignoring_case(STR("\xc3\x84"), STR("\xc3\xa4")));
    assert_false(str_eq_ignoring_case(STR("abc"), STR("abcd")));
}

static void prefix_and_suffix(void **state)
{
    (void)state;
    assert_true(str_starts_with(STR("image/png"), STR("image/")));
    assert_true(str_starts_with(STR("a"), STR("")));
    assert_false(str_starts_with(STR("im"), STR("image/")));
    assert_true(str_ends_with(STR("a.jpg"), STR(".jpg")));
    assert_false(str_ends_with(STR("jpg"), STR(".jpg")));
}

static void order_is_bytewise_shorter_first(void **state)
{
    (void)state;
    assert_int_equal(str_compare(STR("abc"), STR("abc")), 0);
    assert_true(str_compare(STR("ab"), STR("abc")) < 0);
    assert_true(str_compare(STR("abd"), STR("abc")) > 0);
    assert_true(str_compare(STR("\xff"), STR("a")) > 0);
    assert_true(str_compare(STR_NONE, STR("a")) < 0);
}

static void skip_and_take_stop_at_the_end(void **state)
{
    (void)state;
    assert_str(str_skip(STR("hello"), 2), "llo");
    assert_str(str_skip(STR("hello"), 5), "");
    assert_str(str_skip(STR("hello"), SIZE_MAX), "");
    assert_str(str_take(STR("hello"), 2), "he");
    assert_str(str_take(STR("hello"), SIZE_MAX), "hello");
    assert_null(str_skip(STR_NONE, 3).data);
    assert_int_equal(str_take(STR_NONE, 3).len, 0);
}

static void trim_takes_spaces_and_tabs_only(void **state)
{
    (void)state;
    assert_str(str_trim(STR(" \t a b\t ")), "a b");
    assert_str(str_trim(STR(" \t ")), "");
    assert_str(str_trim(STR("\na\r")), "\na\r");
}

static void cut_yields_every_piece_then_ends(void **state)
{
    (void)state;
    struct str rest = STR("a,,b");
    struct str head;
    assert_true(str_cut(&rest, ',', &head));
    assert_str(head, "a");
    assert_true(str_cut(&rest, ',', &head));
    assert_str(head, "");
    assert_true(str_cut(&rest, ',', &head));
    assert_str(head, "b");
    assert_false(str_cut(&rest, ',', &head));
}

static void cut_after_a_last_separator_yields_empty_text(void **state)
{
    (void)state;
    struct str rest = STR("a,");
    struct str head;
    assert_true(str_cut(&rest, ',', &head));
    assert_true(str_cut(&rest, ',', &head));
    assert_str(head, "");
    assert_false(str_cut(&rest, ',', &head));
}

static void copies_are_terminated_and_independent(void **state)
{
    (void)state;
    char       text[] = "hello";
    struct str copy = str_copy(&arena, (struct str){ text, 4 });
    text[0] = 'j';
    assert_string_equal(copy.data, "hell");
    assert_string_equal(str_format(&arena, "%s-%d", "a", 7).data, "a-7");
    struct str large = str_format(&arena, "%05000d", 1);
    assert_int_equal(large.len, 5000);
}

static void whole_int64_range_is_read(void **state)
{
    (void)state;
    int64_t value = 0;
    assert_true(str_to_int64(STR("9223372036854775807"), &value));
    assert_true(value == INT64_MAX);
    assert_true(str_to_int64(STR("-9223372036854775808"), &value));
    assert_true(value == INT64_MIN);
    assert_true(str_to_int64(STR("-0"), &value));
    assert_int_equal(value, 0);
}

static void anything_but_a_plain_integer_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = { "",
                                       "-",
                                       "+1",
                                       " 1",
                                       "1 ",
                                       "1.0",
                                       "1e3",
                                       "0x10",
                                       "--1",
                                       "9223372036854775808",
                                       "-9223372036854775809",
                                       "99999999999999999999999999" };
    int64_t                  value = 42;
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        assert_false(str_to_int64(str_of(bad[i]), &value));
    assert_false(str_to_int64(STR("1\0"), &value));
    assert_false(str_to_int64(STR_NONE, &value));
    assert_int_equal(value, 42);
}

static void utf8_edges_are_valid(void **state)
{
    (void)state;
    static const char *const good[] = {
        "\x01",         "\x7f",         "\xc2\x80",     "\xdf\xbf",         "\xe0\xa0\x80",
        "\xed\x9f\xbf", "\xee\x80\x80", "\xef\xbf\xbf", "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf"
    };
    for (size_t i = 0; i < COUNT_OF(good); i++) {
        assert_true(str_is_utf8(str_of(good[i])));
        assert_int_equal(str_code_points(str_of(good[i])), 1);
    }
    assert_true(str_is_utf8(STR("")));
}

static void malformed_utf8_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "\x80", /* a continuation alone */
        "\xc0\x80",
        "\xc1\xbf",         /* overlong, two bytes */
        "\xe0\x9f\xbf",     /* overlong, three bytes */
        "\xf0\x8f\xbf\xbf", /* overlong, four bytes */
        "\xed\xa0\x80",     /* first surrogate */
        "\xed\xbf\xbf",     /* last surrogate */
        "\xf4\x90\x80\x80", /* beyond U+10FFFF */
        "\xf5\x80\x80\x80",
        "\xff", /* never a first byte */
        "\xc3",
        "\xe2\x82",     /* cut short */
        "\xf0\x9f\x98", /* cut short */
        "\xc3(",
        "\xe2(\xa1",              /* not continued */
        "a\xe2\x82\xac\xe2\x82z", /* good, then cut by text */
    };
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        assert_false(str_is_utf8(str_of(bad[i])));
    assert_false(str_is_utf8(STR("a\0b")));
}

static void code_points_are_counted_not_bytes(void **state)
{
    (void)state;
    assert_int_equal(str_code_points(STR("")), 0);
    assert_int_equal(str_code_points(STR("a\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80")), 4);
}

static void utf8_sequence_is_the_first_characters_length(void **state)
{
    (void)state;
    assert_int_equal(str_utf8_sequence(STR("ab")), 1);
    assert_int_equal(str_utf8_sequence(STR("\xf0\x9f\x98\x80!")), 4);
    assert_int_equal(str_utf8_sequence(STR("\xf0\x9f\x98!")), 0);
    assert_int_equal(str_utf8_sequence(STR("\0")), 0);
    assert_int_equal(str_utf8_sequence(STR("")), 0);
}

static void sanitise_replaces_controls_and_bad_bytes(void **state)
{
    (void)state;
    assert_str(str_sanitise(&arena,
                            STR("a\nb\x7f"
                                "c\0d\x1b[31m"),
                            100),
               "a?b?c?d?[31m");
    assert_str(str_sanitise(&arena, STR("\xc3\xa4\xff\xed\xa0\x80"), 100), "\xc3\xa4????");
    assert_str(str_sanitise(&arena, STR_NONE, 100), "");
}

static void sanitise_cuts_between_code_points(void **state)
{
    (void)state;
    assert_str(str_sanitise(&arena, STR("ab\xe2\x82\xac"), 4), "ab");
    assert_str(str_sanitise(&arena, STR("ab\xe2\x82\xac"), 5), "ab\xe2\x82\xac");
    assert_str(str_sanitise(&arena, STR("abc"), 0), "");
}

static void index_is_of_the_whole_name_or_none(void **state)
{
    (void)state;
    static const char *const names[] = { "open", "openly", "done" };
    assert_int_equal(str_index(STR("open"), names, 3), 0);
    assert_int_equal(str_index(STR("done"), names, 3), 2);
    assert_int_equal(str_index(STR("done"), names, 2), -1);
    assert_int_equal(str_index(STR("Open"), names, 3), -1);
    assert_int_equal(str_index(STR(""), names, 3), -1);
    assert_int_equal(str_index(STR_NONE, names, 3), -1);
}

/* The published values of FNV-1a. */
static void hash_is_fnv_1a(void **state)
{
    (void)state;
    assert_int_equal(str_hash(STR("")), 0x811c9dc5);
    assert_int_equal(str_hash(STR("a")), 0xe40c292c);
    assert_int_equal(str_hash(STR("foobar")), 0xbf9cf968);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(absent_is_not_empty_text),
        cmocka_unit_test(equality_is_of_bytes),
        cmocka_unit_test(prefix_and_suffix),
        cmocka_unit_test(order_is_bytewise_shorter_first),
        cmocka_unit_test(skip_and_take_stop_at_the_end),
        cmocka_unit_test(trim_takes_spaces_and_tabs_only),
        cmocka_unit_test(cut_yields_every_piece_then_ends),
        cmocka_unit_test(cut_after_a_last_separator_yields_empty_text),
        cmocka_unit_test(copies_are_terminated_and_independent),
        cmocka_unit_test(whole_int64_range_is_read),
        cmocka_unit_test(anything_but_a_plain_integer_is_refused),
        cmocka_unit_test(utf8_edges_are_valid),
        cmocka_unit_test(malformed_utf8_is_refused),
        cmocka_unit_test(code_points_are_counted_not_bytes),
        cmocka_unit_test(utf8_sequence_is_the_first_characters_length),
        cmocka_unit_test(sanitise_replaces_controls_and_bad_bytes),
        cmocka_unit_test(sanitise_cuts_between_code_points),
        cmocka_unit_test(index_is_of_the_whole_name_or_none),
        cmocka_unit_test(hash_is_fnv_1a),
    };
    return cmocka_run_group_tests_name("str", tests, set_up, tear_down);
}
