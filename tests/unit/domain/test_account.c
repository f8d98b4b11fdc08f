#include "domain/account.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "store_call.h"

/* --- names --- */

static void name_has_at_most_100_characters_of_any_length(void **state)
{
    struct store_call *at = *state;
    char               text[4 * (ACCOUNT_NAME_MAX + 1)];
    for (size_t i = 0; i < sizeof(text); i += 4)
        memcpy(text + i, "\xf0\x9f\x98\x80", 4);
    assert_done(&at->call, account_check_name(&at->call, (struct str){ text, sizeof(text) - 4 }));
    assert_refused(&at->call, account_check_name(&at->call, (struct str){ text, sizeof(text) }),
                   ERR_INVALID, "bad_name");
    assert_refused(&at->call, account_check_name(&at->call, STR("\xc3")), ERR_INVALID, "bad_name");
}

static void account_has_a_name_and_an_address(void **state)
{
    struct store_call *at = *state;
    struct str         email;
    assert_done(&at->call, account_check(&at->call, STR("Jo"), STR("A@b"), &email));
    assert_true(str_eq(email, STR("a@b")));
    assert_refused(&at->call, account_check(&at->call, STR_NONE, STR("a@b"), &email), ERR_INVALID,
                   "bad_name");
    assert_refused(&at->call, account_check(&at->call, STR("Jo"), STR("a"), &email), ERR_INVALID,
                   "bad_email");
}

/* --- e-mail addresses --- */

static void email_is_lower_case_ascii(void **state)
{
    struct store_call *at = *state;
    static const struct {
        const char *text, *email;
    } cases[] = { { "Jo@Example.COM", "jo@example.com" },
                  { "a@b", "a@b" },
                  { "jo+tag@x.y", "jo+tag@x.y" },
                  { "\xc3\x89va@x.y", "\xc3\x89va@x.y" } }; /* beyond ASCII as it is */
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct str email;
        assert_true(email_normalise(str_of(cases[i].text), &at->arena, &email));
        assert_true(str_eq(email, str_of(cases[i].email)));
    }
}

static void email_without_its_form_is_refused(void **state)
{
    struct store_call       *at = *state;
    static const char *const texts[] = {
        "",     "a",     "@",     "a@",      "@b",      "a@b@c",      "a b@c",       " a@b",
        "a@b ", "a@b\n", "a\t@b", "a@b\x7f", "a@b\x01", "a@\xff\xff", "a@b\r\nBcc:x"
    };
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        struct str email = STR("untouched");
        if (email_normalise(str_of(texts[i]), &at->arena, &email)) fail_msg("\"%s\"", texts[i]);
        assert_true(str_eq(email, STR("untouched")));
    }
    struct str email;
    assert_false(email_normalise(STR_NONE, &at->arena, &email));
    assert_false(email_normalise(STR("a\0b@c"), &at->arena, &email));
}

static void email_has_at_most_254_bytes(void **state)
{
    struct store_call *at = *state;
    char               text[256];
    struct str         email;
    memset(text, 'a', sizeof(text));
    text[1] = '@';
    assert_true(email_normalise((struct str){ text, 254 }, &at->arena, &email));
    assert_false(email_normalise((struct str){ text, 255 }, &at->arena, &email));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        store_call_test(name_has_at_most_100_characters_of_any_length),
        store_call_test(account_has_a_name_and_an_address),
        store_call_test(email_is_lower_case_ascii),
        store_call_test(email_without_its_form_is_refused),
        store_call_test(email_has_at_most_254_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
