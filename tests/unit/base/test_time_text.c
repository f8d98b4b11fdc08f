#include "../expect_abort.h"
#include "base/time_text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

static int64_t parsed(const char *text)
{
    int64_t time_ms = -1;
    assert_true(time_parse(str_of(text), &time_ms));
    return time_ms;
}

static const char *formatted(int64_t time_ms)
{
    static char text[TIME_TEXT_BYTES];
    time_format(time_ms, text);
    return text;
}

static void known_instants_are_formatted(void **state)
{
    (void)state;
    assert_string_equal(formatted(0), "1970-01-01T00:00:00.000Z");
    assert_string_equal(formatted(1), "1970-01-01T00:00:00.001Z");
    assert_string_equal(formatted(951782400000), "2000-02-29T00:00:00.000Z");
    assert_string_equal(formatted(1773826200123), "2026-03-18T09:30:00.123Z");
    assert_string_equal(formatted(4107542399999), "2100-02-28T23:59:59.999Z");
    assert_string_equal(formatted(4107542400000), "2100-03-01T00:00:00.000Z");
    assert_string_equal(formatted(TIME_MS_MAX), "9999-12-31T23:59:59.999Z");
}

static void time_outside_the_range_aborts(void **state)
{
    (void)state;
    assert_aborts(formatted(-1));
    assert_aborts(formatted(TIME_MS_MAX + 1));
}

static void formatted_times_parse_back(void **state)
{
    (void)state;
    for (int64_t time_ms = 0; time_ms <= TIME_MS_MAX; time_ms += 86399999999)
        assert_true(parsed(formatted(time_ms)) == time_ms);
    assert_true(parsed(formatted(TIME_MS_MAX)) == TIME_MS_MAX);
}

static void every_form_of_the_grammar_parses(void **state)
{
    (void)state;
    const int64_t expected = 1773826200000;
    assert_true(parsed("2026-03-18T09:30:00Z") == expected);
    assert_true(parsed("2026-03-18t09:30:00z") == expected);
    assert_true(parsed("2026-03-18 09:30:00Z") == expected);
    assert_true(parsed("2026-03-18T09:30:00-00:00") == expected);
    assert_true(parsed("2026-03-18T11:00:00+01:30") == expected);
    assert_true(parsed("2026-03-17T23:30:00-10:00") == expected);
    assert_true(parsed("2026-03-19T09:29:00+23:59") == expected);
    assert_true(parsed("2026-03-18T09:30:00.5Z") == expected + 500);
    assert_true(parsed("2026-03-18T09:30:00.05Z") == expected + 50);
    assert_true(parsed("2026-03-18T09:30:00.0009Z") == expected);
    assert_true(parsed("2026-03-18T09:30:00.123456789012345678901234567890Z") == expected + 123);
}

static void leap_days_exist_only_in_leap_years(void **state)
{
    (void)state;
    int64_t time_ms = 42;
    assert_true(parsed("2000-02-29T00:00:00Z") == 951782400000);
    assert_true(parsed("2024-02-29T00:00:00Z") == 1709164800000);
    assert_false(time_parse(STR("2100-02-29T00:00:00Z"), &time_ms));
    assert_false(time_parse(STR("2023-02-29T00:00:00Z"), &time_ms));
    assert_false(time_parse(STR("2024-02-30T00:00:00Z"), &time_ms));
    assert_int_equal(time_ms, 42);
}

static void leap_second_is_the_second_after_it(void **state)
{
    (void)state;
    assert_true(parsed("2016-12-31T23:59:60Z") == parsed("2017-01-01T00:00:00Z"));
    assert_true(parsed("2017-01-01T00:59:60.250+01:00") == parsed("2017-01-01T00:00:00.250Z"));
}

static void malformed_times_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "2026-03-18",
        "2026-03-18T09:30:00",
        "2026-03-18T09:30Z",
        "2026-03-18T09:30:00.Z",
        "2026-03-18T09:30:00,5Z",
        "2026-03-18T09:30:00Z ",
        " 2026-03-18T09:30:00Z",
        "2026-03-18T09:30:00ZZ",
        "2026-3-18T09:30:00Z",
        "26-03-18T09:30:00Z",
        "+2026-03-18T09:30:00Z",
        "2026-03-18_09:30:00Z",
        "2026-03-18T9:30:00Z",
        "2026-00-18T09:30:00Z",
        "2026-13-18T09:30:00Z",
        "2026-03-00T09:30:00Z",
        "2026-03-32T09:30:00Z",
        "2026-04-31T09:30:00Z",
        "2026-03-18T24:00:00Z",
        "2026-03-18T09:60:00Z",
        "2026-03-18T09:30:61Z",
        "2026-03-18T09:30:00+24:00",
        "2026-03-18T09:30:00+01:60",
        "2026-03-18T09:30:00+0100",
        "2026-03-18T09:30:00+01",
        "2026-03-18T09:30:00 01:00",
        "20260318T093000Z",
        "1773826200000",
    };
    int64_t time_ms = 42;
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        if (time_parse(str_of(bad[i]), &time_ms)) fail_msg("accepted: %s", bad[i]);
    assert_false(time_parse(STR_NONE, &time_ms));
    assert_int_equal(time_ms, 42);
}

static void nul_stands_for_no_character_of_the_grammar(void **state)
{
    (void)state;
    int64_t time_ms = 42;
    assert_false(time_parse(STR("2026\00003-18T09:30:00Z"), &time_ms));
    assert_false(time_parse(STR("2026-03-18\00009:30:00Z"), &time_ms));
    assert_false(time_parse(STR("2026-03-18T09:30:00\0"), &time_ms));
    assert_false(time_parse(STR("2026-03-18T09:30:00\00001:00"), &time_ms));
    assert_int_equal(time_ms, 42);
}

static void times_before_1970_are_negative(void **state)
{
    (void)state;
    assert_true(parsed("1970-01-01T00:00:00Z") == 0);
    assert_true(parsed("1969-12-31T23:30:00-01:00") == 1800000);
    assert_true(parsed("1969-12-31T23:59:59.999Z") == -1);
    assert_true(parsed("1969-12-31T23:59:59.0009Z") == -1000);
    assert_true(parsed("1969-12-31T23:59:60Z") == 0);
    assert_true(parsed("1970-01-01t00:30:00.25+01:00") == -1799750);
    assert_true(parsed("1900-03-01T00:00:00z") == INT64_C(-2203891200000));
    assert_true(parsed("0001-01-01T00:00:00Z") == INT64_C(-62135596800000));
    assert_true(parsed("0000-02-29T00:00:00Z") == INT64_C(-62162121600000));
    assert_true(parsed("0000-01-01T00:00:00+23:59") == INT64_C(-62167305540000));
}

static void times_after_9999_are_refused(void **state)
{
    (void)state;
    int64_t time_ms = 42;
    assert_false(time_parse(STR("9999-12-31T23:59:60Z"), &time_ms));
    assert_false(time_parse(STR("9999-12-31T23:59:59-00:01"), &time_ms));
    assert_int_equal(time_ms, 42);
    assert_true(parsed("9999-12-31T23:59:59.999Z") == TIME_MS_MAX);
    assert_true(parsed("9999-12-31T23:59:59+00:01") == TIME_MS_MAX - 999 - 60000);
}

static void http_dates_are_formatted(void **state)
{
    (void)state;
    char text[TIME_HTTP_BYTES];
    time_format_http(784111777000, text);
    assert_string_equal(text, "Sun, 06 Nov 1994 08:49:37 GMT");
    time_format_http(TIME_MS_MAX, text);
    assert_string_equal(text, "Fri, 31 Dec 9999 23:59:59 GMT");
}

static void a_year_later_is_the_same_date_and_time(void **state)
{
    (void)state;
    assert_true(time_add_year(parsed("2026-03-18T09:30:00.123Z")) ==
                parsed("2027-03-18T09:30:00.123Z"));
    assert_true(time_add_year(parsed("2023-03-01T00:00:00Z")) == parsed("2024-03-01T00:00:00Z"));
    assert_true(time_add_year(parsed("2024-02-29T12:00:00Z")) == parsed("2025-03-01T12:00:00Z"));
    assert_true(time_add_year(parsed("9999-06-01T00:00:00Z")) == TIME_MS_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_instants_are_formatted),
        cmocka_unit_test(time_outside_the_range_aborts),
        cmocka_unit_test(formatted_times_parse_back),
        cmocka_unit_test(every_form_of_the_grammar_parses),
        cmocka_unit_test(leap_days_exist_only_in_leap_years),
        cmocka_unit_test(leap_second_is_the_second_after_it),
        cmocka_unit_test(malformed_times_are_refused),
        cmocka_unit_test(nul_stands_for_no_character_of_the_grammar),
        cmocka_unit_test(times_before_1970_are_negative),
        cmocka_unit_test(times_after_9999_are_refused),
        cmocka_unit_test(http_dates_are_formatted),
        cmocka_unit_test(a_year_later_is_the_same_date_and_time),
    };
    return cmocka_run_group_tests_name("time_text", tests, NULL, NULL);
}
