#include "domain/webhook_endpoint.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/encode.h"
#include "event_market.h"

static const int64_t HOUR_MS = 3600 * 1000;

static struct webhook_endpoint made(struct market *market)
{
    struct webhook_endpoint endpoint = { .url = STR("https://example.org/hook"),
                                         .events = EVENTS_ALL };
    DONE(market, webhook_endpoint_create(&market->call, &endpoint, &endpoint));
    return endpoint;
}

static struct webhook_endpoint now(struct market *market, const struct webhook_endpoint *old)
{
    struct webhook_endpoint endpoint;
    DONE(market, webhook_endpoint_get_any(&market->call, &old->id, &endpoint));
    return endpoint;
}

struct secrets {
    struct str current, old;
};

static struct secrets opened(struct market *market, const struct webhook_endpoint *endpoint)
{
    struct secrets          secrets;
    struct webhook_endpoint at = now(market, endpoint);
    DONE(market, webhook_endpoint_open_secrets(&market->call, &at, &secrets.current, &secrets.old));
    return secrets;
}

static void emit(struct market *market)
{
    DONE(market, event_emit(&market->call, &(struct occurrence){
                                               .org_id = market->org_id,
                                               .environment = ENVIRONMENT_LIVE,
                                               .type = EVENT_CREDITS_LOW_BALANCE,
                                               .subject_id = market->org_id,
                                               .data = STR("{}"),
                                           }));
}

/* --- making --- */

static void secret_is_32_random_bytes_sealed_at_rest(void **state)
{
    struct market          *market = *state;
    struct webhook_endpoint a = made(market), b = made(market);
    struct str              bytes;
    assert_true(str_starts_with(a.signing_secret, STR("whsec_")));
    assert_true(decode_base64(&market->arena, str_skip(a.signing_secret, 6), &bytes));
    assert_int_equal(bytes.len, 32);
    assert_false(str_eq(a.signing_secret, b.signing_secret));
    assert_true(str_eq(opened(market, &a).current, a.signing_secret));
    assert_null(opened(market, &a).old.data);
    assert_null(now(market, &a).signing_secret.data);
    assert_int_equal(market_int(market, "SELECT count(*) FROM webhook_endpoints WHERE"
                                        " instr(secret, 'whsec_') > 0"),
                     0);
}

static void sealed_secret_opens_in_its_own_row_and_place_only(void **state)
{
    struct market          *market = *state;
    struct webhook_endpoint a = made(market), b = made(market), moved = now(market, &a);
    struct secrets          secrets;
    moved.sealed_secret = now(market, &b).sealed_secret;
    REFUSED(market,
            webhook_endpoint_open_secrets(&market->call, &moved, &secrets.current, &secrets.old),
            ERR_INTERNAL, "unseal_failed");
    moved = now(market, &a);
    moved.sealed_old_secret = moved.sealed_secret;
    moved.old_secret_ends_ms = market->now_ms + 1;
    REFUSED(market,
            webhook_endpoint_open_secrets(&market->call, &moved, &secrets.current, &secrets.old),
            ERR_INTERNAL, "unseal_failed");
}

static void organisation_has_sixteen_in_each_environment(void **state)
{
    struct market          *market = *state;
    struct webhook_endpoint endpoint = { .url = STR("https://example.org"), .events = 1 }, ignored;
    struct webhook_endpoint first = made(market);
    for (int i = 1; i < ENDPOINTS_PER_ORGANISATION_MAX; i++)
        made(market);
    REFUSED_UNWRITTEN(market, webhook_endpoint_create(&market->call, &endpoint, &ignored),
                      ERR_CONFLICT, "too_many_endpoints");
    market->actor.environment = ENVIRONMENT_TEST;
    made(market);
    market->actor.environment = ENVIRONMENT_LIVE;
    DONE(market, webhook_endpoint_delete(&market->call, &first));
    made(market);
}

/* --- rotating --- */

static void both_secrets_sign_for_24_hours(void **state)
{
    struct market          *market = *state;
    struct webhook_endpoint endpoint = made(market);
    struct str              first = endpoint.signing_secret;
    DONE(market, webhook_endpoint_rotate(&market->call, &endpoint));
    assert_int_equal(endpoint.old_secret_ends_ms, market->now_ms + 24 * HOUR_MS);
    assert_false(str_eq(endpoint.signing_secret, first));
    market->now_ms += 24 * HOUR_MS - 1;
    assert_true(str_eq(opened(market, &endpoint).current, endpoint.signing_secret));
    assert_true(str_eq(opened(market, &endpoint).old, first));
    market->now_ms += 1;
    assert_true(str_eq(opened(market, &endpoint).current, endpoint.signing_secret));
    assert_null(opened(market, &endpoint).old.data);
}

static void second_rotation_ends_the_oldest_secret(void **state)
{
    struct market          *market = *state;
    struct webhook_endpoint endpoint = made(market);
    DONE(market, webhook_endpoint_rotate(&market->call, &endpoint));
    struct str second = endpoint.signing_secret;
    market->now_ms += HOUR_MS;
    DONE(market, webhook_endpoint_rotate(&market->call, &endpoint));
    assert_true(str_eq(opened(market, &endpoint).old, second));
    assert_int_equal(now(market, &endpoint).old_secret_ends_ms, market->now_ms + 24 * HOUR_MS);
}

static void rotation_replaces_a_secret_that_does_not_open(void **state)
{
    struct market          *market = *state;
    struct webhook_endpoint a = made(market), b = made(market), lost = now(market, &a);
    lost.sealed_secret = now(market, &b).sealed_secret;
    DONE(market, webhook_endpoint_rotate(&market->call, &lost));
    assert_int_equal(lost.old_secret_ends_ms, market->now_ms);
    assert_true(str_eq(opened(market, &a).current, lost.signing_secret));
    assert_null(opened(market, &a).old.data);
}

/* --- state --- */

static void disabling_is_told_to_the_others_once(void **state)
{
    struct market          *market = *state;
    struct webhook_endpoint endpoint = made(market), other = made(market), stale = endpoint;
    DONE(market, webhook_endpoint_disable(&market->call, &endpoint, ENDPOINT_DISABLED_AS_GONE));
    assert_int_equal(endpoint.state, ENDPOINT_DISABLED);
    assert_true(str_eq(now(market, &endpoint).disabled_reason, STR("gone")));
    assert_int_equal(event_market_events(market, &other.id), 1);
    assert_int_equal(event_market_events(market, &endpoint.id), 0);
    assert_int_equal(market_int(market, "SELECT count(*) FROM occurrences WHERE type ="
                                        " 'endpoint.disabled' AND data LIKE '%\"gone\"%'"
                                        " AND data NOT LIKE '%whsec_%'"),
                     1);
    DONE(market, webhook_endpoint_disable(&market->call, &stale, ENDPOINT_DISABLED_AS_FAILING));
    assert_int_equal(event_market_events(market, &other.id), 1);
    assert_true(str_eq(now(market, &endpoint).disabled_reason, STR("gone")));
}

static int64_t due_ms(struct market *market, int nth)
{
    return market_int(market, nth == 0
                                  ? "SELECT next_ms FROM webhook_events ORDER BY id LIMIT 1"
                                  : "SELECT next_ms FROM webhook_events ORDER BY id DESC LIMIT 1");
}

static void enabling_releases_what_was_held_in_order(void **state)
{
    struct market          *market = *state;
    struct webhook_endpoint endpoint = made(market);
    emit(market);
    DONE(market, webhook_endpoint_note(&market->call, &endpoint.id, false));
    event_market_set(market,
                     "UPDATE webhook_events SET attempts_count = 5, next_ms = next_ms + 99999999"
                     " WHERE endpoint_id = $1",
                     &endpoint.id);
    DONE(market, webhook_endpoint_disable(&market->call, &endpoint, ENDPOINT_DISABLED_BY_REQUEST));
    market->now_ms += HOUR_MS;
    emit(market);
    market->now_ms += HOUR_MS;
    assert_true(due_ms(market, 0) > market->now_ms);
    market->call.wakes_tasks = false;
    DONE(market, webhook_endpoint_enable(&market->call, &endpoint));
    assert_true(market->call.wakes_tasks);
    assert_true(due_ms(market, 0) < due_ms(market, 1));
    assert_true(due_ms(market, 1) <= market->now_ms);
    struct webhook_endpoint enabled = now(market, &endpoint);
    assert_int_equal(enabled.state, ENDPOINT_ACTIVE);
    assert_int_equal(enabled.failures_count, 0);
    assert_int_equal(enabled.first_failed_ms, 0);
    assert_null(enabled.disabled_reason.data);
}

static void enabling_an_active_one_hurries_nothing(void **state)
{
    struct market          *market = *state;
    struct webhook_endpoint endpoint = made(market);
    emit(market);
    event_market_set(market,
                     "UPDATE webhook_events SET next_ms = next_ms + 5 WHERE endpoint_id = $1",
                     &endpoint.id);
    int64_t before_ms = due_ms(market, 0);
    DONE(market, webhook_endpoint_enable(&market->call, &endpoint));
    assert_int_equal(due_ms(market, 0), before_ms);
}

static void deleted_one_is_gone_for_its_owner_and_kept_for_runners(void **state)
{
    struct market          *market = *state;
    struct webhook_endpoint endpoint = made(market), found;
    int                     count;
    DONE(market, webhook_endpoint_delete(&market->call, &endpoint));
    assert_int_equal(now(market, &endpoint).deleted_ms, market->now_ms);
    REFUSED(market, webhook_endpoint_get(&market->call, id_str(&endpoint.id), &found),
            ERR_NOT_FOUND, "webhook_endpoint");
    DONE(market, webhook_endpoint_get_kept(&market->call, id_str(&endpoint.id), &found));
    DONE(market, webhook_endpoint_list(&market->call, &(struct id){ 0 }, 1, &found, &count));
    assert_int_equal(count, 0);
    DONE(market, webhook_endpoint_disable(&market->call, &endpoint, ENDPOINT_DISABLED_BY_REQUEST));
    assert_int_equal(market_int(market, "SELECT count(*) FROM occurrences"), 0);
}

/* Tokens stand in URLs, too. */
static void nothing_secret_is_kept_of_a_deleted_one(void **state)
{
    struct market          *market = *state;
    struct webhook_endpoint endpoint = made(market), kept;
    int64_t                 resealed_count;
    DONE(market, webhook_endpoint_rotate(&market->call, &endpoint));
    DONE(market, webhook_endpoint_delete(&market->call, &endpoint));
    kept = now(market, &endpoint);
    assert_int_equal(kept.url.len, 0);
    assert_null(kept.description.data);
    assert_int_equal(kept.sealed_secret.len, 0);
    assert_int_equal(kept.sealed_old_secret.len, 0);
    assert_int_equal(kept.old_secret_ends_ms, 0);
    DONE(market, webhook_endpoint_reseal(&market->call, &resealed_count));
    assert_int_equal(resealed_count, 0);
}

static void another_tenants_is_not_found(void **state)
{
    struct market          *market = *state;
    struct webhook_endpoint endpoint = made(market), found;
    market->actor.environment = ENVIRONMENT_TEST;
    REFUSED(market, webhook_endpoint_get_kept(&market->call, id_str(&endpoint.id), &found),
            ERR_NOT_FOUND, "webhook_endpoint");
    market_start_at(market, 0);
    REFUSED(market, webhook_endpoint_get_kept(&market->call, id_str(&endpoint.id), &found),
            ERR_NOT_FOUND, "webhook_endpoint");
}

/* --- how telling goes --- */

static void fail_times(struct market *market, const struct webhook_endpoint *endpoint, int times)
{
    for (int i = 0; i < times; i++)
        DONE(market, webhook_endpoint_note(&market->call, &endpoint->id, false));
}

static void total_failure_over_three_days_and_twenty_attempts_disables(void **state)
{
    struct market          *market = *state;
    struct webhook_endpoint endpoint = made(market);
    fail_times(market, &endpoint, 19);
    market->now_ms += 72 * HOUR_MS - 1;
    fail_times(market, &endpoint, 1);
    assert_int_equal(now(market, &endpoint).state, ENDPOINT_ACTIVE);
    market->now_ms += 1;
    fail_times(market, &endpoint, 1);
    assert_int_equal(now(market, &endpoint).state, ENDPOINT_DISABLED);
    assert_true(str_eq(now(market, &endpoint).disabled_reason, STR("failing")));
}

static int64_t noted_as_disabled(struct market *market)
{
    return market_int(market, "SELECT count(*) FROM audit_events WHERE actor = 'system' AND"
                              " action = 'webhook_endpoint.disabled'");
}

static void twentieth_failure_after_three_days_disables_and_is_noted(void **state)
{
    struct market          *market = *state;
    struct webhook_endpoint endpoint = made(market), asked_for = made(market);
    DONE(market, webhook_endpoint_disable(&market->call, &asked_for, ENDPOINT_DISABLED_BY_REQUEST));
    assert_int_equal(noted_as_disabled(market), 0); /* the request is noted as such */
    fail_times(market, &endpoint, 19);
    market->now_ms += 72 * HOUR_MS;
    fail_times(market, &endpoint, 1);
    assert_int_equal(now(market, &endpoint).state, ENDPOINT_DISABLED);
    assert_int_equal(noted_as_disabled(market), 1);
}

static void nineteen_failures_do_not_disable_however_long(void **state)
{
    struct market          *market = *state;
    struct webhook_endpoint endpoint = made(market);
    fail_times(market, &endpoint, 1);
    market->now_ms += 1000 * HOUR_MS;
    fail_times(market, &endpoint, 18);
    assert_int_equal(now(market, &endpoint).state, ENDPOINT_ACTIVE);
}

static void success_starts_the_count_anew(void **state)
{
    struct market          *market = *state;
    struct webhook_endpoint endpoint = made(market);
    fail_times(market, &endpoint, 19);
    market->now_ms += 100 * HOUR_MS;
    DONE(market, webhook_endpoint_note(&market->call, &endpoint.id, true));
    assert_int_equal(now(market, &endpoint).failures_count, 0);
    fail_times(market, &endpoint, 30);
    assert_int_equal(now(market, &endpoint).state, ENDPOINT_ACTIVE);
    assert_int_equal(now(market, &endpoint).first_failed_ms, market->now_ms);
}

static void success_after_success_writes_nothing(void **state)
{
    struct market          *market = *state;
    struct webhook_endpoint endpoint = made(market);
    int64_t                 before = market_changes(market);
    DONE(market, webhook_endpoint_note(&market->call, &endpoint.id, true));
    assert_int_equal(market_changes(market), before);
}

static void plain_addresses_of_https_only(void **state)
{
    struct market *market = *state;
    DONE(market, webhook_endpoint_check_url(&market->call, STR("https://example.org/a?b=c")));
    REFUSED(market, webhook_endpoint_check_url(&market->call, STR("http://example.org/")),
            ERR_UNPROCESSABLE, "body_invalid");
    assert_string_equal(market->call.error.faults->field, "url");
    REFUSED(market, webhook_endpoint_check_url(&market->call, STR("https://a:b@example.org/")),
            ERR_UNPROCESSABLE, "body_invalid");
    market->config.webhook_allow = STR("10.0.0.0/8");
    DONE(market, webhook_endpoint_check_url(&market->call, STR("http://example.org/")));
}

#define endpoint_test(name) cmocka_unit_test_setup_teardown(name, market_setup, market_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        endpoint_test(secret_is_32_random_bytes_sealed_at_rest),
        endpoint_test(sealed_secret_opens_in_its_own_row_and_place_only),
        endpoint_test(organisation_has_sixteen_in_each_environment),
        endpoint_test(both_secrets_sign_for_24_hours),
        endpoint_test(second_rotation_ends_the_oldest_secret),
        endpoint_test(rotation_replaces_a_secret_that_does_not_open),
        endpoint_test(disabling_is_told_to_the_others_once),
        endpoint_test(enabling_releases_what_was_held_in_order),
        endpoint_test(enabling_an_active_one_hurries_nothing),
        endpoint_test(deleted_one_is_gone_for_its_owner_and_kept_for_runners),
        endpoint_test(nothing_secret_is_kept_of_a_deleted_one),
        endpoint_test(another_tenants_is_not_found),
        endpoint_test(total_failure_over_three_days_and_twenty_attempts_disables),
        endpoint_test(twentieth_failure_after_three_days_disables_and_is_noted),
        endpoint_test(nineteen_failures_do_not_disable_however_long),
        endpoint_test(success_starts_the_count_anew),
        endpoint_test(success_after_success_writes_nothing),
        endpoint_test(plain_addresses_of_https_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
