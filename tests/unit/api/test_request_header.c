#include "api/request_header.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define TAG "\"5eb63b\""

static void assert_bearer(struct str authorization, struct str expected)
{
    struct str found = bearer_parse(authorization);
    if (!str_eq(found, expected) || (found.data == NULL) != (expected.data == NULL))
        fail_msg("\"%.*s\" is read as \"%.*s\"", STR_ARG(authorization), STR_ARG(found));
}

static void bearer_is_what_follows_the_scheme(void **state)
{
    (void)state;
    assert_bearer(STR("Bearer fh_live_x"), STR("fh_live_x"));
    assert_bearer(STR("bEARER fh_live_x"), STR("fh_live_x"));
    assert_bearer(STR("Bearer  \t fh_live_x \t"), STR("fh_live_x"));
    assert_bearer(STR("Bearer a b"), STR("a b"));
    assert_bearer(STR("Bearer "), STR(""));
}

static void other_schemes_have_no_bearer(void **state)
{
    (void)state;
    assert_bearer(STR_NONE, STR_NONE);
    assert_bearer(STR(""), STR_NONE);
    assert_bearer(STR("Basic dTpw"), STR_NONE);
    assert_bearer(STR("Bearerfh_live_x"), STR_NONE);
    assert_bearer(STR("Bearer\tfh_live_x"), STR_NONE);
    assert_bearer(STR(" Bearer fh_live_x"), STR_NONE);
}

static void etag_is_found_in_a_list(void **state)
{
    (void)state;
    assert_true(etag_is_listed(STR(TAG), STR(TAG)));
    assert_true(etag_is_listed(STR("\"a\",W/" TAG " , \"b\""), STR(TAG)));
    assert_true(etag_is_listed(STR("*"), STR(TAG)));
}

static void etag_is_compared_whole(void **state)
{
    (void)state;
    assert_false(etag_is_listed(STR_NONE, STR(TAG)));
    assert_false(etag_is_listed(STR(""), STR(TAG)));
    assert_false(etag_is_listed(STR("5eb63b"), STR(TAG)));
    assert_false(etag_is_listed(STR("w/" TAG), STR(TAG)));
    assert_false(etag_is_listed(STR("\"5EB63B\""), STR(TAG)));
    assert_false(etag_is_listed(STR("\"a" TAG), STR(TAG)));
}

static void content_type_is_known_without_parameters_and_in_any_case(void **state)
{
    (void)state;
    struct str json = STR("application/json");
    assert_true(content_type_is(STR("application/json"), json));
    assert_true(content_type_is(STR(" Application/JSON ; charset=utf-8"), json));
    assert_false(content_type_is(STR_NONE, json));
    assert_false(content_type_is(STR(""), json));
    assert_false(content_type_is(STR("application/jsonp"), json));
    assert_false(content_type_is(STR("application/json, text/plain"), json));
    assert_false(content_type_is(STR("multipart/form-data; x=application/json"), json));
}

static int64_t wait_of(const char *prefer)
{
    int64_t wait_s = -1;
    return prefer_wait_parse(str_of(prefer), &wait_s) ? wait_s : 0;
}

static void wait_is_read_in_whole_seconds(void **state)
{
    (void)state;
    assert_int_equal(wait_of("wait=1"), 1);
    assert_int_equal(wait_of("wait=60"), 60);
    assert_int_equal(wait_of("wait=007"), 7);
    assert_int_equal(wait_of("WAIT = 30"), 30);
    assert_int_equal(wait_of(" \t wait=30\t"), 30);
    assert_int_equal(wait_of("wait=\"30\""), 30);
}

static void longer_waits_are_cut(void **state)
{
    (void)state;
    assert_int_equal(wait_of("wait=61"), 60);
    assert_int_equal(wait_of("wait=600"), 60);
    assert_int_equal(wait_of("wait=99999999999999999999999999999999"), 60);
    assert_int_equal(wait_of("wait=00000000000000000000000000000061"), 60);
}

static void what_is_no_number_of_seconds_is_no_wish(void **state)
{
    (void)state;
    static const char *const wishes[] = {
        "",         "wait",      "wait=",       "wait=0",     "wait=00",    "wait=-1",
        "wait=+1",  "wait=1.5",  "wait=1s",     "wait=0x10",  "wait=1 2",   "wait=\"1",
        "wait=1\"", "wait=\"\"", "wait=\"1 \"", "wait=one",   "waits=1",    "await=1",
        "x;wait=1", "x=wait=1",  "x=\"wait=1",  "\"wait=1\"", "wait\"=\"1", "=1",
        "wait==1",  "wait:1",
    };
    for (size_t i = 0; i < COUNT_OF(wishes); i++)
        if (wait_of(wishes[i]) != 0) fail_msg("\"%s\" is a wish", wishes[i]);
    int64_t wait_s = -1;
    assert_false(prefer_wait_parse(STR_NONE, &wait_s));
    assert_false(prefer_wait_parse(STR("wait=0"), &wait_s));
    assert_int_equal(wait_s, -1);
}

static void wait_is_found_among_other_preferences(void **state)
{
    (void)state;
    assert_int_equal(wait_of("respond-async, wait=10"), 10);
    assert_int_equal(wait_of("wait=10, respond-async"), 10);
    assert_int_equal(wait_of("wait=10; x=1; y, z"), 10);
    assert_int_equal(wait_of("a;wait=5,wait=10;wait=20"), 10);
    assert_int_equal(wait_of(", ,,wait=10,"), 10);
    assert_int_equal(wait_of("a=\"x, wait=5\", wait=10"), 10);
    assert_int_equal(wait_of("a=\"\\\", wait=5\", wait=10"), 10);
    assert_int_equal(wait_of("a; b=\"c, d\"; e, wait=10"), 10);
}

static void first_wait_counts(void **state)
{
    (void)state;
    assert_int_equal(wait_of("wait=10, wait=20"), 10);
    assert_int_equal(wait_of("wait=x, wait=20"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bearer_is_what_follows_the_scheme),
        cmocka_unit_test(other_schemes_have_no_bearer),
        cmocka_unit_test(etag_is_found_in_a_list),
        cmocka_unit_test(etag_is_compared_whole),
        cmocka_unit_test(content_type_is_known_without_parameters_and_in_any_case),
        cmocka_unit_test(wait_is_read_in_whole_seconds),
        cmocka_unit_test(longer_waits_are_cut),
        cmocka_unit_test(what_is_no_number_of_seconds_is_no_wish),
        cmocka_unit_test(wait_is_found_among_other_preferences),
        cmocka_unit_test(first_wait_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
