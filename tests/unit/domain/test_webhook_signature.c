#include "domain/webhook_signature.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { TEST_ARENA_BYTES_MAX = 1 << 20, TIME_S = 1614265330 };

/* The example of the Standard Webhooks' own libraries. */
#define PUBLISHED_SECRET "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
#define PUBLISHED_ID     "msg_p5jXN8AQM9LWM0D4loKWxJek"
#define PUBLISHED_BODY   "{\"test\": 2432232314}"
/* The same text, by openssl dgst -mac HMAC. */
#define PUBLISHED_HEX "2e37df5d4a028c51a7f3133d64ae1e300d2c2c900f1b1d49d4369ad2530f8964"

#define OTHER_SECRET "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
#define OTHER_HEX    "8dbc842b6599c1be049900723cebba01cdec937f060d8d59fd18e8efade1dbb7"

static int open_arena(void **state)
{
    static struct arena arena;
    arena_init(&arena, TEST_ARENA_BYTES_MAX);
    *state = &arena;
    return 0;
}

static int close_arena(void **state)
{
    arena_deinit(*state);
    return 0;
}

static struct webhook_signing published(void)
{
    return (struct webhook_signing){
        .event_id = STR(PUBLISHED_ID),
        .time_s = TIME_S,
        .body = STR(PUBLISHED_BODY),
        .secrets_count = 1,
        .secrets = { STR(PUBLISHED_SECRET) },
    };
}

static void published_vector_is_met(void **state)
{
    struct webhook_signing signing = published();
    const char            *headers[WEBHOOK_HEADERS];
    assert_true(webhook_sign(&signing, *state, headers));
    assert_string_equal(headers[0], "X-FirstHand-Signature: t=1614265330,v1=" PUBLISHED_HEX);
    assert_string_equal(headers[1], "X-FirstHand-Event-Id: " PUBLISHED_ID);
    assert_string_equal(headers[2], "webhook-id: " PUBLISHED_ID);
    assert_string_equal(headers[3], "webhook-timestamp: 1614265330");
    assert_string_equal(headers[4], "webhook-signature: v1,"
                                    "g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
}

static void both_secrets_sign_during_a_rotation(void **state)
{
    struct webhook_signing signing = published();
    const char            *headers[WEBHOOK_HEADERS];
    signing.secrets[signing.secrets_count++] = STR(OTHER_SECRET);
    assert_true(webhook_sign(&signing, *state, headers));
    assert_string_equal(headers[0],
                        "X-FirstHand-Signature: t=1614265330,v1=" PUBLISHED_HEX ",v1=" OTHER_HEX);
    assert_string_equal(headers[4], "webhook-signature: v1,"
                                    "g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
                                    " v1,O4Gjv1HqPqsMrjmczoggs/sWA8gZD0VyHG+fLh4+ktI=");
}

static void malformed_secret_signs_nothing(void **state)
{
    static const char *const bad[] = { "", "whsec_", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
                                       "whsec_not base64", "whsec_AAEC=" };
    const char              *headers[WEBHOOK_HEADERS];
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        struct webhook_signing signing = published();
        signing.secrets[0] = str_of(bad[i]);
        assert_false(webhook_sign(&signing, *state, headers));
    }
}

static void hex_signature_depends_on_secret_time_and_body(void **state)
{
    struct str good =
        webhook_signature_hex(STR(PUBLISHED_SECRET), TIME_S, STR(PUBLISHED_BODY), *state);
    assert_string_equal(good.data, PUBLISHED_HEX);
    struct str others[] = {
        webhook_signature_hex(STR(OTHER_SECRET), TIME_S, STR(PUBLISHED_BODY), *state),
        webhook_signature_hex(STR(PUBLISHED_SECRET), TIME_S + 1, STR(PUBLISHED_BODY), *state),
        webhook_signature_hex(STR(PUBLISHED_SECRET), TIME_S, STR("{}"), *state),
    };
    for (size_t i = 0; i < COUNT_OF(others); i++)
        assert_string_not_equal(others[i].data, PUBLISHED_HEX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(published_vector_is_met, open_arena, close_arena),
        cmocka_unit_test_setup_teardown(both_secrets_sign_during_a_rotation, open_arena,
                                        close_arena),
        cmocka_unit_test_setup_teardown(malformed_secret_signs_nothing, open_arena, close_arena),
        cmocka_unit_test_setup_teardown(hex_signature_depends_on_secret_time_and_body, open_arena,
                                        close_arena),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
