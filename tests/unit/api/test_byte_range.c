#include "api/byte_range.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void assert_range(struct str header, int64_t size, enum byte_range_kind kind, int64_t offset,
                         int64_t length)
{
    int64_t got_offset = -7, got_length = -7;
    if (byte_range_parse(header, size, &got_offset, &got_length) != kind)
        fail_msg("\"%.*s\" of %lld", STR_ARG(header), (long long)size);
    if (kind == RANGE_UNSATISFIABLE) return;
    assert_int_equal(got_offset, offset);
    assert_int_equal(got_length, length);
}

static void assert_part(const char *header, int64_t size, int64_t offset, int64_t length)
{
    assert_range(str_of(header), size, RANGE_PART, offset, length);
}

static void part_is_counted_from_either_end(void **state)
{
    (void)state;
    assert_part("bytes=0-0", 10, 0, 1);
    assert_part("bytes=0-9", 10, 0, 10);
    assert_part("bytes=3-5", 10, 3, 3);
    assert_part("bytes=3-", 10, 3, 7);
    assert_part("bytes=9-", 10, 9, 1);
    assert_part("bytes=-1", 10, 9, 1);
    assert_part("bytes=-10", 10, 0, 10);
    assert_part("bytes=007-0008", 10, 7, 2);
}

static void part_ends_where_the_file_ends(void **state)
{
    (void)state;
    assert_part("bytes=3-10", 10, 3, 7);
    assert_part("bytes=3-99999", 10, 3, 7);
    assert_part("bytes=-11", 10, 0, 10);
    assert_part("bytes=0-9223372036854775807", 10, 0, 10);
    assert_part("bytes=0-9223372036854775806", INT64_MAX, 0, INT64_MAX);
    assert_part("bytes=-9223372036854775807", INT64_MAX, 0, INT64_MAX);
}

/* Digits are digits, however many: what is beyond any file is beyond this one. */
static void numbers_beyond_any_file_count_as_such(void **state)
{
    (void)state;
    assert_part("bytes=3-99999999999999999999", 10, 3, 7);
    assert_part("bytes=-99999999999999999999999999999999999999999", 10, 0, 10);
    assert_range(STR("bytes=99999999999999999999-"), 10, RANGE_UNSATISFIABLE, 0, 0);
    assert_range(STR("bytes=9223372036854775808-9223372036854775809"), 10, RANGE_UNSATISFIABLE, 0,
                 0);
}

static void part_outside_the_file_cannot_be_had(void **state)
{
    (void)state;
    static const char *const headers[] = { "bytes=10-", "bytes=10-10", "bytes=9999-10000",
                                           "bytes=-0" };
    for (size_t i = 0; i < COUNT_OF(headers); i++)
        assert_range(str_of(headers[i]), 10, RANGE_UNSATISFIABLE, 0, 0);
}

static void empty_file_has_no_parts(void **state)
{
    (void)state;
    assert_range(STR("bytes=0-"), 0, RANGE_UNSATISFIABLE, 0, 0);
    assert_range(STR("bytes=0-0"), 0, RANGE_UNSATISFIABLE, 0, 0);
    assert_range(STR("bytes=-1"), 0, RANGE_UNSATISFIABLE, 0, 0);
    assert_range(STR_NONE, 0, RANGE_WHOLE, 0, 0);
}

static void unit_is_bytes_in_any_case(void **state)
{
    (void)state;
    assert_part("Bytes=1-2", 10, 1, 2);
    assert_part("BYTES = 1-2", 10, 1, 2);
    assert_range(STR("items=1-2"), 10, RANGE_WHOLE, 0, 10);
    assert_range(STR("byte=1-2"), 10, RANGE_WHOLE, 0, 10);
    assert_range(STR("=1-2"), 10, RANGE_WHOLE, 0, 10);
}

/* RFC 9110: a Range that is not understood is ignored. */
static void what_is_no_single_range_asks_for_the_whole(void **state)
{
    (void)state;
    static const char *const headers[] = {
        "",           "bytes",       "bytes=",      "bytes=-",     "bytes=--",       "bytes=--1",
        "bytes=1",    "bytes=a-b",   "bytes=1-b",   "bytes=a-1",   "bytes=1-2-3",    "bytes=5-3",
        "bytes=+1-2", "bytes=1-+2",  "bytes=0x1-2", "bytes=1.0-2", "bytes=0-1,3-4",  "bytes=0-1,",
        "bytes=,0-1", "bytes=1-2\n", "bytes=1 1-2", "bytes=-1-2",  "bytes=bytes=1-2"
    };
    for (size_t i = 0; i < COUNT_OF(headers); i++)
        assert_range(str_of(headers[i]), 10, RANGE_WHOLE, 0, 10);
    assert_range(STR_NONE, 10, RANGE_WHOLE, 0, 10);
    assert_range(STR("bytes=1\0-2"), 10, RANGE_WHOLE, 0, 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(part_is_counted_from_either_end),
        cmocka_unit_test(part_ends_where_the_file_ends),
        cmocka_unit_test(numbers_beyond_any_file_count_as_such),
        cmocka_unit_test(part_outside_the_file_cannot_be_had),
        cmocka_unit_test(empty_file_has_no_parts),
        cmocka_unit_test(unit_is_bytes_in_any_case),
        cmocka_unit_test(what_is_no_single_range_asks_for_the_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
