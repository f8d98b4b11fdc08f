#include "../expect_abort.h"
#include "base/json_in.h"
#include "base/json_out.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct arena    arena;
static struct buf      buf;
static struct json_out out;

static void start_over(void)
{
    buf_init(&buf, &arena, 1 << 20);
    json_out_init(&out, &buf);
}

static int set_up(void **state)
{
    (void)state;
    arena_init(&arena, 16 << 20);
    start_over();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    arena_deinit(&arena);
    return 0;
}

static void assert_written(const char *expected)
{
    assert_false(buf.failed);
    assert_string_equal(str_c(&arena, buf_str(&buf)), expected);
    start_over();
}

static void commas_and_closers_are_the_writers_business(void **state)
{
    (void)state;
    out_object(&out, NULL);
    out_int(&out, "a", 1);
    out_array(&out, "b");
    out_int(&out, NULL, 1);
    out_object(&out, NULL);
    out_close(&out);
    out_array(&out, NULL);
    out_close(&out);
    out_bool(&out, NULL, true);
    out_close(&out);
    out_object(&out, "c");
    out_null(&out, "d");
    out_bool(&out, "e", false);
    out_close(&out);
    out_close(&out);
    assert_written("{\"a\":1,\"b\":[1,{},[],true],\"c\":{\"d\":null,\"e\":false}}");
}

static void integers_of_the_whole_range_are_written(void **state)
{
    (void)state;
    out_array(&out, NULL);
    out_int(&out, NULL, INT64_MIN);
    out_int(&out, NULL, 0);
    out_int(&out, NULL, INT64_MAX);
    out_close(&out);
    assert_written("[-9223372036854775808,0,9223372036854775807]");
}

static void text_is_escaped_where_json_demands_it(void **state)
{
    (void)state;
    out_text(&out, NULL, STR("a\"b\\c/d\ne\tf\rg\bh\fi\x01j\x1f\x7f"));
    assert_written("\"a\\\"b\\\\c/d\\ne\\tf\\rg\\bh\\fi\\u0001j\\u001f\x7f\"");
    out_text(&out, NULL, STR("\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80"));
    assert_written("\"\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80\"");
    out_object(&out, NULL);
    out_int(&out, "k\"ey", 1);
    out_close(&out);
    assert_written("{\"k\\\"ey\":1}");
}

static void size_of_a_text_is_known_before_it_is_written(void **state)
{
    (void)state;
    static const char *const texts[] = { "", "plain", "a\"b\\c\nd\te\rf\bg\fh\x01\x1f\x7f",
                                         "\xc3\xa4\xf0\x9f\x98\x80" };
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        out_text(&out, NULL, str_of(texts[i]));
        assert_int_equal(buf.len, json_text_bytes(str_of(texts[i])));
        start_over();
    }
}

static void absent_text_is_null_and_empty_text_is_empty(void **state)
{
    (void)state;
    out_array(&out, NULL);
    out_text(&out, NULL, STR_NONE);
    out_text(&out, NULL, STR(""));
    out_close(&out);
    assert_written("[null,\"\"]");
}

static void invalid_bytes_alone_become_the_replacement_character(void **state)
{
    (void)state;
    out_text(&out, NULL,
             STR("\xc3\xa4\xff"
                 "b\"\xe2\x82"));
    assert_written("\"\xc3\xa4\xef\xbf\xbd"
                   "b\\\"\xef\xbf\xbd\xef\xbf\xbd\"");
    out_text(&out, NULL, STR("a\0b"));
    assert_written("\"a\xef\xbf\xbd"
                   "b\"");
    out_text(&out, NULL, STR("\xed\xa0\x80"));
    assert_written("\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"");
}

static void doubles_are_written_short(void **state)
{
    (void)state;
    out_array(&out, NULL);
    out_number(&out, NULL, 0.1);
    out_number(&out, NULL, 0.2);
    out_number(&out, NULL, 3);
    out_number(&out, NULL, -1.5);
    out_number(&out, NULL, 1e300);
    out_number(&out, NULL, 0.1 + 0.2);
    out_close(&out);
    assert_written("[0.1,0.2,3,-1.5,1e+300,0.30000000000000004]");
}

static void doubles_that_are_not_finite_are_null(void **state)
{
    (void)state;
    out_array(&out, NULL);
    out_number(&out, NULL, (double)NAN);
    out_number(&out, NULL, (double)INFINITY);
    out_number(&out, NULL, -(double)INFINITY);
    out_close(&out);
    assert_written("[null,null,null]");
}

static double from_bits(uint64_t bits)
{
    double value;
    memcpy(&value, &bits, sizeof(value));
    return value;
}

static void every_double_reads_back_as_itself(void **state)
{
    (void)state;
    uint64_t bits = 0x9e3779b97f4a7c15; /* a fixed walk over all exponents and mantissas */
    for (int i = 0; i < 20000; i++) {
        bits = bits * 6364136223846793005u + 1442695040888963407u;
        double value = from_bits(bits);
        if (!isfinite(value)) continue;
        out_number(&out, NULL, value);
        assert_true(strtod(str_c(&arena, buf_str(&buf)), NULL) == value);
        buf.len = 0;
    }
    static const double edges[] = { 0x1p-1074, 0x1p-1022, 0x1.fffffffffffffp1023, 0x1p53, -0.0 };
    for (size_t i = 0; i < COUNT_OF(edges); i++) {
        out_number(&out, NULL, edges[i]);
        double back = strtod(str_c(&arena, buf_str(&buf)), NULL);
        assert_memory_equal(&back, &edges[i], sizeof(back));
        buf.len = 0;
    }
}

static void decimals_are_exact(void **state)
{
    (void)state;
    out_array(&out, NULL);
    out_decimal(&out, NULL, 200000, 6);
    out_decimal(&out, NULL, 1500, 3);
    out_decimal(&out, NULL, -1, 2);
    out_decimal(&out, NULL, -150, 2);
    out_decimal(&out, NULL, 0, 6);
    out_decimal(&out, NULL, 7, 0);
    out_decimal(&out, NULL, 1000001, 6);
    out_decimal(&out, NULL, INT64_MIN, 18);
    out_close(&out);
    assert_written("[0.2,1.5,-0.01,-1.5,0,7,1.000001,-9.223372036854775808]");
}

static void times_are_rfc3339_and_zero_is_null(void **state)
{
    (void)state;
    out_array(&out, NULL);
    out_time(&out, NULL, 1773826200123);
    out_time(&out, NULL, 0);
    out_close(&out);
    assert_written("[\"2026-03-18T09:30:00.123Z\",null]");
}

static void raw_json_is_taken_as_it_is(void **state)
{
    (void)state;
    out_object(&out, NULL);
    out_raw(&out, "a", STR("{\"b\": 1}"));
    out_int(&out, "c", 2);
    out_close(&out);
    assert_written("{\"a\":{\"b\": 1},\"c\":2}");
}

static void parsed_values_keep_order_and_kind_of_number(void **state)
{
    (void)state;
    static const char text[] =
        "{\"z\":1,\"a\":[3.0,1e+20,-0.5,100000.0,-0.0,true,null],\"m\":{\"\":"
        "\"\\\"\"},\"\xc3\xa4\":9223372036854775807}";
    struct error error;
    json_t      *root;
    assert_int_equal(json_parse(&arena, str_of(text), &error, &root), ERR_OK);
    out_value(&out, NULL, root);
    assert_written(text);
    out_object(&out, NULL);
    out_value(&out, "metadata", root);
    out_close(&out);
    assert_written(str_format(&arena, "{\"metadata\":%s}", text).data);
}

static void full_buffer_fails_once_and_for_all(void **state)
{
    (void)state;
    buf_init(&buf, &arena, 10);
    json_out_init(&out, &buf);
    out_array(&out, NULL);
    for (int i = 0; i < 100; i++)
        out_text(&out, NULL, STR("text"));
    out_close(&out);
    assert_true(buf.failed);
    assert_true(buf.len <= 10);
}

static void misuse_aborts(void **state)
{
    (void)state;
    assert_aborts(out_close(&out));
    assert_aborts(out_int(&out, "key at the root", 1));
    assert_aborts((out_object(&out, NULL), out_int(&out, NULL, 1)));
    assert_aborts((out_array(&out, NULL), out_int(&out, "key", 1)));
    assert_aborts(for (int i = 0; i <= JSON_OUT_DEPTH_MAX; i++) out_array(&out, NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(commas_and_closers_are_the_writers_business),
        cmocka_unit_test(integers_of_the_whole_range_are_written),
        cmocka_unit_test(text_is_escaped_where_json_demands_it),
        cmocka_unit_test(size_of_a_text_is_known_before_it_is_written),
        cmocka_unit_test(absent_text_is_null_and_empty_text_is_empty),
        cmocka_unit_test(invalid_bytes_alone_become_the_replacement_character),
        cmocka_unit_test(doubles_are_written_short),
        cmocka_unit_test(doubles_that_are_not_finite_are_null),
        cmocka_unit_test(every_double_reads_back_as_itself),
        cmocka_unit_test(decimals_are_exact),
        cmocka_unit_test(times_are_rfc3339_and_zero_is_null),
        cmocka_unit_test(raw_json_is_taken_as_it_is),
        cmocka_unit_test(parsed_values_keep_order_and_kind_of_number),
        cmocka_unit_test(full_buffer_fails_once_and_for_all),
        cmocka_unit_test(misuse_aborts),
    };
    return cmocka_run_group_tests_name("json_out", tests, set_up, tear_down);
}
