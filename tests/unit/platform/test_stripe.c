/* Signatures and events as they come from outside, and questions that go wrong. The questions
 * themselves are held against a double of Stripe: tests/clients/stripe.test.mjs. */
#include "platform/stripe.h"

#include "base/buf.h"

#include "http_probe.h"

static const int64_t NOW_MS = 1800000000000;

static struct arena arena;
static struct error error;

static int setup(void **state)
{
    (void)state;
    arena_init(&arena, 8 << 20);
    error_clear(&error);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_deinit(&arena);
    return 0;
}

/* --- signatures: HMAC-SHA256 under "whsec_test" of "1800000000.{}" --- */

#define MAC "482e6337ac5272392d375c6fdc4d52a7e615dc2facedab0ffe155ddfd6a56e66"
#define BAD "0000000000000000000000000000000000000000000000000000000000000000"

static bool is_good_at(const char *header, int64_t now_ms)
{
    return stripe_signature_is_good(STR("whsec_test"), str_of(header), STR("{}"), now_ms, &arena);
}

static bool is_good(const char *header)
{
    return is_good_at(header, NOW_MS);
}

static void signature_of_the_body_and_its_time_is_good(void **state)
{
    (void)state;
    assert_true(is_good("t=1800000000,v1=" MAC));
    assert_true(is_good("v1=" MAC ",t=1800000000"));
    assert_true(is_good("t=1800000000, v1=" MAC));
    assert_true(is_good("t=1800000000,v1=" BAD ",v0=" BAD ",v1=" MAC));
    assert_false(stripe_signature_is_good(STR("whsec_test"), STR("t=1800000000,v1=" MAC),
                                          STR("{ }"), NOW_MS, &arena));
    assert_false(stripe_signature_is_good(STR("whsec_other"), STR("t=1800000000,v1=" MAC),
                                          STR("{}"), NOW_MS, &arena));
}

static void signature_is_good_for_five_minutes(void **state)
{
    (void)state;
    const char *header = "t=1800000000,v1=" MAC;
    assert_true(is_good_at(header, NOW_MS + STRIPE_TOLERANCE_MS + 999));
    assert_false(is_good_at(header, NOW_MS + STRIPE_TOLERANCE_MS + 1000));
    assert_true(is_good_at(header, NOW_MS - STRIPE_TOLERANCE_MS));
    assert_false(is_good_at(header, NOW_MS - STRIPE_TOLERANCE_MS - 1));
}

static void malformed_headers_are_not_good(void **state)
{
    (void)state;
    static const char *const headers[] = {
        "",
        ",",
        "=",
        "t=",
        "v1=" MAC,
        "t=1800000000",
        "t=1800000000,v1=",
        "t=1800000000,v0=" MAC,
        "t=1800000000,V1=" MAC,
        "t=1800000000,v1=" MAC "00",
        "t=1800000000,v1=482e",
        "t=1800000000,v1=" BAD,
        "t=1800000001,v1=" MAC,
        "t=01800000000,v1=" MAC,
        "t=1800000000,t=1800000000,v1=" MAC,
        "t=1800000000.0,v1=" MAC,
        "t=-1800000000,v1=" MAC,
        "t=9223372036854775807,v1=" MAC,
        "t=99999999999999999999,v1=" MAC,
    };
    for (size_t i = 0; i < COUNT_OF(headers); i++)
        if (is_good(headers[i])) fail_msg("taken: %s", headers[i]);
    assert_false(stripe_signature_is_good(STR("whsec_test"), STR_NONE, STR("{}"), NOW_MS, &arena));
}

static void only_so_many_signatures_are_looked_at(void **state)
{
    (void)state;
    struct buf header;
    buf_init(&header, &arena, 64 << 10);
    buf_add(&header, STR("t=1800000000"));
    for (int i = 0; i < STRIPE_SIGNATURES_MAX; i++)
        buf_add(&header, STR(",v1=" BAD));
    buf_add(&header, STR(",v1=" MAC));
    assert_false(
        stripe_signature_is_good(STR("whsec_test"), buf_str(&header), STR("{}"), NOW_MS, &arena));
}

static void without_a_secret_nothing_is_good(void **state)
{
    (void)state;
    /* What an empty key would make of it. */
    const struct str header =
        STR("t=1800000000,v1=7a8c529d29dc3a26d043b19f0442f81c0d3cf1f1acb27acc037c6b546c81eb39");
    assert_false(stripe_signature_is_good(STR(""), header, STR("{}"), NOW_MS, &arena));
    assert_false(stripe_signature_is_good(STR_NONE, header, STR("{}"), NOW_MS, &arena));
}

/* --- events --- */

static struct stripe_event parsed(const char *text)
{
    struct stripe_event event;
    if (stripe_event_parse(str_of(text), &arena, &error, &event)) fail_msg("%s", error.detail);
    return event;
}

static void session_says_what_was_paid_for_what(void **state)
{
    (void)state;
    struct stripe_event event =
        parsed("{\"id\":\"evt_1\",\"type\":\"checkout.session.completed\",\"livemode\":true,"
               "\"data\":{\"object\":{\"id\":\"cs_1\",\"amount_total\":2500,\"currency\":\"usd\","
               "\"payment_status\":\"paid\",\"payment_intent\":\"pi_1\",\"customer\":\"cus_1\","
               "\"client_reference_id\":\"pur_2\",\"metadata\":{\"purchase_id\":\"pur_1\"}}}}");
    assert_int_equal(event.type, STRIPE_CHECKOUT_PAID);
    assert_true(event.is_live && event.is_paid);
    assert_int_equal(event.amount_cents, 2500);
    assert_true(str_eq(event.session_id, STR("cs_1")));
    assert_true(str_eq(event.payment_id, STR("pi_1")));
    assert_true(str_eq(event.purchase_id, STR("pur_1")));
    assert_true(str_eq(event.customer, STR("cus_1")));
}

static void members_of_another_kind_count_as_absent(void **state)
{
    (void)state;
    struct stripe_event event =
        parsed("{\"id\":\"evt_1\",\"type\":\"checkout.session.completed\",\"livemode\":\"true\","
               "\"data\":{\"object\":{\"id\":7,\"amount_total\":\"2500\",\"currency\":null,"
               "\"payment_status\":true,\"payment_intent\":{\"id\":\"pi_1\"},\"metadata\":[]}}}");
    assert_false(event.is_live || event.is_paid);
    assert_int_equal(event.amount_cents, 0);
    assert_null(event.session_id.data);
    assert_null(event.currency.data);
    assert_null(event.payment_id.data);
    assert_null(event.purchase_id.data);
}

static void types_are_told_apart(void **state)
{
    (void)state;
    const struct {
        const char            *name;
        enum stripe_event_type type;
    } rows[] = {
        { "checkout.session.async_payment_succeeded", STRIPE_CHECKOUT_PAID },
        { "checkout.session.expired", STRIPE_CHECKOUT_EXPIRED },
        { "checkout.session.async_payment_failed", STRIPE_CHECKOUT_FAILED },
        { "payment_intent.succeeded", STRIPE_PAYMENT_DONE },
        { "payment_intent.payment_failed", STRIPE_PAYMENT_FAILED },
        { "charge.refunded", STRIPE_CHARGE_REFUNDED },
        { "charge.dispute.created", STRIPE_CHARGE_DISPUTED },
        { "charge.dispute.closed", STRIPE_EVENT_OTHER },
        { "", STRIPE_EVENT_OTHER },
    };
    for (size_t i = 0; i + 1 < COUNT_OF(rows); i++) {
        const char *text =
            str_format(&arena, "{\"id\":\"e\",\"type\":\"%s\",\"data\":{\"object\":{}}}",
                       rows[i].name)
                .data;
        assert_int_equal(parsed(text).type, rows[i].type);
    }
}

static void what_is_no_event_is_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "[]",
        "null",
        "{}",
        "{\"id\":\"e\",\"type\":\"t\"}",
        "{\"id\":\"e\",\"type\":\"t\",\"data\":{}}",
        "{\"id\":\"e\",\"type\":\"t\",\"data\":{\"object\":[]}}",
        "{\"id\":\"\",\"type\":\"t\",\"data\":{\"object\":{}}}",
        "{\"id\":\"e\",\"type\":\"\",\"data\":{\"object\":{}}}",
        "{\"type\":\"t\",\"data\":{\"object\":{}}}",
    };
    struct stripe_event event = { .amount_cents = -7 };
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        error_clear(&error);
        assert_int_equal(stripe_event_parse(str_of(texts[i]), &arena, &error, &event), ERR_INVALID);
        assert_string_equal(error.slug, "not_an_event");
    }
    assert_int_equal(stripe_event_parse(STR("{"), &arena, &error, &event), ERR_INVALID);
    assert_int_equal(event.amount_cents, -7);
}

static void mode_is_read_from_the_key(void **state)
{
    (void)state;
    assert_true(stripe_key_is_live(STR("sk_live_abc")));
    assert_true(stripe_key_is_live(STR("rk_live_abc")));
    assert_false(stripe_key_is_live(STR("sk_test_abc")));
    assert_false(stripe_key_is_live(STR("")));
}

/* --- questions --- */

static const struct stripe_checkout checkout = { .purchase_id = STR("pur_1"),
                                                 .amount_cents = 1000,
                                                 .return_url = STR("https://here/a?b=c&d") };

static void assert_fails_at(const char *url)
{
    struct stripe_account account = { .api_url = str_of(url), .key = STR("sk_test_secret") };
    struct stripe_session session = { .id = STR("untouched") };
    error_clear(&error);
    assert_int_equal(stripe_create_checkout(&account, &checkout, &arena, &error, &session),
                     ERR_UNAVAILABLE);
    assert_string_equal(error.slug, "provider_failed");
    assert_null(strstr(error.detail, "secret"));
    assert_true(str_eq(session.id, STR("untouched")));
}

static void nobody_there_is_unavailable(void **state)
{
    (void)state;
    int         fd = probe_listen(STR("127.0.0.1"));
    const char *url = str_format(&arena, "http://127.0.0.1:%d", http_listen_port(fd)).data;
    close(fd);
    for (int i = 0; i < 2 * STRIPE_ASKS_AT_ONCE; i++) /* and none is counted as under way */
        assert_fails_at(url);
}

static void answer_that_is_no_session_is_unavailable(void **state)
{
    (void)state;
    struct probe               probe;
    struct http_server_options options = probe_options();
    probe_start(&probe, &options);
    static const char *const paths[] = { "", "/echo", "/where" };
    for (size_t i = 0; i < COUNT_OF(paths); i++)
        assert_fails_at(str_format(&arena, "http://127.0.0.1:%d%s", probe.port, paths[i]).data);
    probe_stop(&probe);
}

#define stripe_test(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        stripe_test(signature_of_the_body_and_its_time_is_good),
        stripe_test(signature_is_good_for_five_minutes),
        stripe_test(malformed_headers_are_not_good),
        stripe_test(only_so_many_signatures_are_looked_at),
        stripe_test(without_a_secret_nothing_is_good),
        stripe_test(session_says_what_was_paid_for_what),
        stripe_test(members_of_another_kind_count_as_absent),
        stripe_test(types_are_told_apart),
        stripe_test(what_is_no_event_is_refused),
        stripe_test(mode_is_read_from_the_key),
        stripe_test(nobody_there_is_unavailable),
        stripe_test(answer_that_is_no_session_is_unavailable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
