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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bearer_is_what_follows_the_scheme),
        cmocka_unit_test(other_schemes_have_no_bearer),
        cmocka_unit_test(etag_is_found_in_a_list),
        cmocka_unit_test(etag_is_compared_whole),
        cmocka_unit_test(content_type_is_known_without_parameters_and_in_any_case),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
