#include "base/buf.h"
#include "base/json_in.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static struct arena arena;
static struct error error;

static int set_up(void **state)
{
    (void)state;
    arena_init(&arena, 16 << 20);
    error_clear(&error);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    arena_deinit(&arena);
    return 0;
}

static json_t *parsed(struct str text)
{
    json_t *root = NULL;
    if (json_parse(&arena, text, &error, &root)) fail_msg("refused: %.*s", STR_ARG(text));
    return root;
}

/* The slug with which the text is refused; "" when it is not. */
static const char *refusal(struct str text)
{
    static json_t untouched;
    json_t       *root = &untouched;
    error_clear(&error);
    enum err e = json_parse(&arena, text, &error, &root);
    if (e == ERR_OK) return "";
    assert_int_equal(e, ERR_INVALID);
    assert_ptr_equal(root, &untouched);
    assert_true(strlen(error.detail) > 0);
    return error.slug;
}

static struct str repeated(struct str piece, size_t count)
{
    struct buf buf;
    buf_init(&buf, &arena, piece.len * count + 1);
    for (size_t i = 0; i < count; i++)
        buf_add(&buf, piece);
    return buf_str(&buf);
}

static struct str nested(const char *opener, const char *closer, size_t depth)
{
    struct str head = repeated(str_of(opener), depth), tail = repeated(str_of(closer), depth);
    return str_format(&arena, "%.*s1%.*s", STR_ARG(head), STR_ARG(tail));
}

static void every_kind_of_value_may_be_the_root(void **state)
{
    (void)state;
    assert_true(json_is_object(parsed(STR("{}"))));
    assert_true(json_is_array(parsed(STR(" [ ] "))));
    assert_true(json_is_string(parsed(STR("\"a\""))));
    assert_true(json_is_integer(parsed(STR("0"))));
    assert_true(json_is_real(parsed(STR("-0.5e3"))));
    assert_true(json_is_true(parsed(STR("true"))));
    assert_true(json_is_null(parsed(STR("null"))));
}

static void malformed_text_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",      " ",       "{",         "}",        "[1,]",      "{\"a\":1,}",
        "{a:1}", "{'a':1}", "[1 2]",     "01",       "1.",        ".5",
        "+1",    "0x1",     "NaN",       "Infinity", "-",         "tru",
        "nulll", "\"a",     "\"\\x\"",   "\"\n\"",   "\"\\u12\"", "{} {}",
        "[1]]",  "/* */ 1", "{\"a\" 1}", "{\"a\":}", "[\"\\\"]",  "\xef\xbb\xbf{}"
    };
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        if (strcmp(refusal(str_of(bad[i])), "malformed_json") != 0)
            fail_msg("%s: \"%s\"", bad[i], refusal(str_of(bad[i])));
    assert_string_equal(refusal(STR_NONE), "malformed_json");
    assert_string_equal(refusal(STR("{}\0")), "malformed_json");
}

static const char *detail_of(const char *text)
{
    json_t *root;
    error_clear(&error);
    assert_int_equal(json_parse(&arena, str_of(text), &error, &root), ERR_INVALID);
    return str_copy(&arena, str_of(error.detail)).data;
}

static void a_refusal_says_what_is_wrong_and_where(void **state)
{
    (void)state;
    assert_string_equal(detail_of(""), "no JSON: it is empty");
    assert_string_equal(detail_of("{\"a\":1,\n}"), "malformed JSON at line 2, column 1");
    assert_string_equal(detail_of("{\"a\":1,\"a\":2}"), "the same key twice at line 1, column 10");
    assert_string_equal(detail_of("[1e999]"), "too large a number at line 1, column 6");
}

static void duplicate_keys_are_refused_however_spelt(void **state)
{
    (void)state;
    assert_string_equal(refusal(STR("{\"a\":1,\"a\":1}")), "duplicate_key");
    assert_string_equal(refusal(STR("{\"a\":1,\"\\u0061\":2}")), "duplicate_key");
    assert_string_equal(refusal(STR("[{\"b\":{\"a\":1,\"a\":2}}]")), "duplicate_key");
    assert_string_equal(refusal(STR("{\"a\":{\"a\":1},\"A\":2}")), "");
}

static void nul_in_text_or_key_is_refused(void **state)
{
    (void)state;
    assert_string_equal(refusal(STR("\"a\\u0000b\"")), "nul_character");
    assert_string_equal(refusal(STR("{\"a\\u0000\":1}")), "nul_character");
    assert_string_not_equal(refusal(STR("\"a\0b\"")), "");
}

static void invalid_utf8_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = { "\"\x80\"",         "\"\xc0\xaf\"",
                                       "\"\xed\xa0\x80\"", "\"\xf4\x90\x80\x80\"",
                                       "\"\xe2\x82\"",     "\"\xff\"",
                                       "{\"\xc3(\":1}" };
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        assert_string_equal(refusal(str_of(bad[i])), "invalid_utf8");
}

static void lone_surrogate_escapes_are_refused(void **state)
{
    (void)state;
    assert_string_not_equal(refusal(STR("\"\\ud800\"")), "");
    assert_string_not_equal(refusal(STR("\"\\ud800\\u0041\"")), "");
    assert_string_not_equal(refusal(STR("\"\\udc00\"")), "");
    assert_string_equal(json_string_value(parsed(STR("\"\\ud83d\\ude00\""))), "\xf0\x9f\x98\x80");
}

static void depth_is_bounded(void **state)
{
    (void)state;
    assert_string_equal(refusal(nested("[", "]", JSON_IN_DEPTH_MAX)), "");
    assert_string_equal(refusal(nested("[", "]", JSON_IN_DEPTH_MAX + 1)), "too_deep");
    assert_string_equal(refusal(nested("{\"a\":", "}", JSON_IN_DEPTH_MAX)), "");
    assert_string_equal(refusal(nested("{\"a\":", "}", JSON_IN_DEPTH_MAX + 1)), "too_deep");
    assert_string_equal(refusal(repeated(STR("["), 1 << 20)), "too_deep");
}

static void reply_may_wrap_what_came_in(void **state)
{
    (void)state;
    json_t    *root;
    struct str deep = nested("[", "]", JSON_REPLY_DEPTH_MAX);
    assert_string_equal(refusal(deep), "too_deep");
    assert_int_equal(json_parse_reply(&arena, deep, &error, &root), ERR_OK);
    assert_true(json_is_array(root));
    deep = nested("[", "]", JSON_REPLY_DEPTH_MAX + 1);
    assert_int_equal(json_parse_reply(&arena, deep, &error, &root), ERR_INVALID);
    assert_string_equal(error.slug, "too_deep");
    assert_int_equal(json_parse_reply(&arena, STR("{\"a\":"), &error, &root), ERR_INVALID);
    assert_string_equal(error.slug, "malformed_json");
}

static void brackets_in_text_are_no_depth(void **state)
{
    (void)state;
    struct str brackets = repeated(STR("[{\\\"\\\\,"), 100);
    assert_string_equal(refusal(str_format(&arena, "\"%.*s\"", STR_ARG(brackets))), "");
    assert_string_equal(refusal(STR("[\"\\\\\",[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]")),
                        "too_deep");
}

static void values_are_bounded(void **state)
{
    (void)state;
    struct str most = repeated(STR("0,"), JSON_IN_VALUES_MAX - 1);
    assert_string_equal(refusal(str_format(&arena, "[%.*s0]", STR_ARG(most))), "");
    struct str more = repeated(STR("0,"), JSON_IN_VALUES_MAX);
    assert_string_equal(refusal(str_format(&arena, "[%.*s0]", STR_ARG(more))), "too_many_values");
    struct str empty = repeated(STR("[],"), JSON_IN_VALUES_MAX);
    assert_string_equal(refusal(str_format(&arena, "[%.*s0]", STR_ARG(empty))), "too_many_values");
}

static void numbers_must_fit(void **state)
{
    (void)state;
    assert_true(json_integer_value(parsed(STR("9223372036854775807"))) == INT64_MAX);
    assert_true(json_integer_value(parsed(STR("-9223372036854775808"))) == INT64_MIN);
    assert_string_equal(refusal(STR("9223372036854775808")), "number_out_of_range");
    assert_string_equal(refusal(STR("-9223372036854775809")), "number_out_of_range");
    assert_string_equal(refusal(STR("1e309")), "number_out_of_range");
    assert_string_equal(refusal(STR("-1e309")), "number_out_of_range");
    assert_string_equal(refusal(repeated(STR("9"), 10000)), "number_out_of_range");
    assert_true(json_real_value(parsed(STR("1.7976931348623157e308"))) == 0x1.fffffffffffffp1023);
    assert_true(json_real_value(parsed(STR("1e-400"))) == 0);
}

static void whole_numbers_of_both_kinds_are_recognised(void **state)
{
    (void)state;
    int64_t value = 42;
    assert_true(json_whole_number(parsed(STR("3.0")), &value));
    assert_int_equal(value, 3);
    assert_true(json_whole_number(parsed(STR("-1e3")), &value));
    assert_int_equal(value, -1000);
    assert_true(json_whole_number(parsed(STR("-9223372036854775808.0")), &value));
    assert_true(value == INT64_MIN);
    value = 42;
    assert_false(json_whole_number(parsed(STR("3.5")), &value));
    assert_false(json_whole_number(parsed(STR("9223372036854775808.0")), &value));
    assert_false(json_whole_number(parsed(STR("1e300")), &value));
    assert_false(json_whole_number(parsed(STR("\"3\"")), &value));
    assert_false(json_whole_number(NULL, &value));
    assert_int_equal(value, 42);
}

static void text_of_a_string_is_lent_and_of_nothing_else(void **state)
{
    (void)state;
    const json_t *text = parsed(STR("\"a\xc3\xa9\""));
    assert_true(str_eq(json_text(text), STR("a\xc3\xa9")));
    assert_ptr_equal(json_text(text).data, json_string_value(text));
    assert_non_null(json_text(parsed(STR("\"\""))).data);
    assert_null(json_text(parsed(STR("7"))).data);
    assert_null(json_text(parsed(STR("null"))).data);
    assert_null(json_text(NULL).data);
}

static void members_are_read_or_the_default_given(void **state)
{
    (void)state;
    json_t *object = parsed(STR("{\"text\":\"x\",\"int\":7,\"whole\":8.0,\"real\":0.5,"
                                "\"yes\":true,\"no\":false,\"null\":null,\"empty\":\"\"}"));
    assert_string_equal(in_text(object, "text", &arena).data, "x");
    assert_non_null(in_text(object, "empty", &arena).data);
    assert_int_equal(in_int(object, "int", -1), 7);
    assert_int_equal(in_int(object, "whole", -1), 8);
    assert_true(in_number(object, "real", -1) == 0.5);
    assert_true(in_number(object, "int", -1) == 7);
    assert_true(in_bool(object, "yes", false));
    assert_false(in_bool(object, "no", true));
    assert_true(in_is_null(object, "null"));
    assert_true(in_has(object, "no"));
}

static void absent_members_and_other_types_give_the_default(void **state)
{
    (void)state;
    json_t *object = parsed(STR("{\"text\":\"x\",\"int\":7,\"real\":0.5,\"null\":null}"));
    assert_null(in_text(object, "int", &arena).data);
    assert_null(in_text(object, "null", &arena).data);
    assert_null(in_text(object, "absent", &arena).data);
    assert_int_equal(in_int(object, "text", -1), -1);
    assert_int_equal(in_int(object, "real", -1), -1);
    assert_true(in_bool(object, "int", true));
    assert_true(in_number(object, "text", 0.25) == 0.25);
    assert_false(in_has(object, "null"));
    assert_false(in_has(object, "absent"));
    assert_false(in_is_null(object, "absent"));
    assert_null(in_text(parsed(STR("[1]")), "text", &arena).data);
    assert_int_equal(in_int(NULL, "int", 5), 5);
}

static void text_outlives_the_tree(void **state)
{
    (void)state;
    struct arena short_lived;
    arena_init(&short_lived, 1 << 20);
    json_t *root = NULL;
    assert_int_equal(json_parse(&short_lived, STR("{\"a\":\"kept\"}"), &error, &root), ERR_OK);
    struct str text = in_text(root, "a", &arena);
    arena_deinit(&short_lived);
    assert_string_equal(text.data, "kept");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_of_value_may_be_the_root),
        cmocka_unit_test(malformed_text_is_refused),
        cmocka_unit_test(a_refusal_says_what_is_wrong_and_where),
        cmocka_unit_test(duplicate_keys_are_refused_however_spelt),
        cmocka_unit_test(nul_in_text_or_key_is_refused),
        cmocka_unit_test(invalid_utf8_is_refused),
        cmocka_unit_test(lone_surrogate_escapes_are_refused),
        cmocka_unit_test(depth_is_bounded),
        cmocka_unit_test(reply_may_wrap_what_came_in),
        cmocka_unit_test(brackets_in_text_are_no_depth),
        cmocka_unit_test(values_are_bounded),
        cmocka_unit_test(numbers_must_fit),
        cmocka_unit_test(whole_numbers_of_both_kinds_are_recognised),
        cmocka_unit_test(text_of_a_string_is_lent_and_of_nothing_else),
        cmocka_unit_test(members_are_read_or_the_default_given),
        cmocka_unit_test(absent_members_and_other_types_give_the_default),
        cmocka_unit_test(text_outlives_the_tree),
    };
    return cmocka_run_group_tests_name("json_in", tests, set_up, tear_down);
}
