#include "domain/webhook_delivery.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "domain/webhook_endpoint.h"
#include "domain/webhook_event.h"
#include "event_market.h"

enum { ROWS_MAX = 10 };

#define COUNT_EVENTS(condition) "SELECT count(*) FROM webhook_events WHERE " condition

static struct webhook_endpoint endpoint_of(struct market *market)
{
    struct webhook_endpoint asked = { .url = STR("https://example.org/"), .events = EVENTS_ALL };
    struct webhook_endpoint endpoint;
    market->now_ms += 1000;
    DONE(market, webhook_endpoint_create(&market->call, &asked, &endpoint));
    return endpoint;
}

static int endpoints_due(struct market *market, struct webhook_due *rows)
{
    int count;
    DONE(market,
         webhook_due_endpoints(&market->call, &(struct id){ { 0 } }, ROWS_MAX, rows, &count));
    return count;
}

static int events_due(struct market *market, const struct webhook_endpoint *endpoint,
                      struct webhook_due_event *rows)
{
    int count;
    DONE(market, webhook_due_events(&market->call, &endpoint->id, ROWS_MAX, rows, &count));
    return count;
}

static bool has_due(struct market *market)
{
    bool has = false;
    DONE(market, webhook_has_due(&market->call, &has));
    return has;
}

/* The endpoint's first due event, ready to be sent. */
static struct webhook_delivery prepared(struct market                 *market,
                                        const struct webhook_endpoint *endpoint)
{
    struct webhook_due_event rows[ROWS_MAX];
    struct webhook_delivery  delivery;
    assert_true(events_due(market, endpoint, rows) > 0);
    DONE(market, webhook_delivery_prepare(&market->call, endpoint, &rows[0], &delivery));
    return delivery;
}

static struct webhook_result result_of(const struct webhook_delivery *delivery, int64_t status)
{
    return (struct webhook_result){
        .event_id = delivery->event_id,
        .endpoint_id = delivery->endpoint_id,
        .due_ms = delivery->due_ms,
        .attempts_count = delivery->attempts_count,
        .number = delivery->number,
        .started_ms = 5,
        .latency_ms = 7,
        .http_status = status,
        .error = status ? NULL : "timed_out",
    };
}

static void record(struct market *market, const struct webhook_result *result)
{
    DONE(market, webhook_results_record(&market->call, result, 1));
}

/* An attempt of the first due event that ends so. */
static struct webhook_result attempt(struct market *market, const struct webhook_endpoint *endpoint,
                                     int64_t status)
{
    struct webhook_delivery delivery = prepared(market, endpoint);
    struct webhook_result   result = result_of(&delivery, status);
    record(market, &result);
    return result;
}

static int64_t next_ms_of(struct market *market, const struct id *event_id)
{
    return market_int_of(market, "SELECT next_ms FROM webhook_events WHERE id = $1", event_id);
}

/* --- what is due --- */

static void endpoints_with_pending_events_are_found_once(void **state)
{
    struct market          *market = *state;
    struct webhook_due      rows[ROWS_MAX];
    struct webhook_endpoint one = endpoint_of(market), other = endpoint_of(market);
    endpoint_of(market);
    assert_false(has_due(market));
    event_market_set(market, "UPDATE webhook_endpoints SET events = 0 WHERE id NOT IN ($1)",
                     &one.id);
    event_market_happen(market);
    event_market_happen(market);
    event_market_set(market, "UPDATE webhook_endpoints SET events = 65535 WHERE id = $1",
                     &other.id);
    event_market_happen(market);
    assert_int_equal(endpoints_due(market, rows), 2);
    assert_true(id_eq(&rows[0].endpoint_id, &one.id) && id_eq(&rows[1].endpoint_id, &other.id));
    assert_int_equal(rows[0].due_ms, market->now_ms - 2000);
    assert_int_equal(rows[1].due_ms, market->now_ms);
    assert_int_equal(rows[0].later_ms, 0);
    assert_true(rows[0].is_open && !rows[0].is_deleted);
    assert_true(has_due(market));
}

static void pages_of_endpoints_follow_each_other(void **state)
{
    struct market     *market = *state;
    struct webhook_due row;
    struct id          after = { { 0 } };
    int                count, pages = 0;
    for (int i = 0; i < 3; i++)
        endpoint_of(market);
    event_market_happen(market);
    for (;; pages++) {
        DONE(market, webhook_due_endpoints(&market->call, &after, 1, &row, &count));
        if (count == 0) break;
        assert_true(str_compare(id_str(&row.endpoint_id), id_str(&after)) > 0);
        after = row.endpoint_id;
    }
    assert_int_equal(pages, 3);
}

static void disabled_endpoint_is_not_told(void **state)
{
    struct market          *market = *state;
    struct webhook_due      rows[ROWS_MAX];
    struct webhook_endpoint endpoint = endpoint_of(market);
    event_market_happen(market);
    DONE(market, webhook_endpoint_disable(&market->call, &endpoint, ENDPOINT_DISABLED_BY_REQUEST));
    assert_int_equal(endpoints_due(market, rows), 1);
    assert_false(rows[0].is_open || rows[0].is_deleted);
    assert_false(has_due(market));
}

static void deleted_endpoints_events_are_ended(void **state)
{
    struct market          *market = *state;
    struct webhook_due      rows[ROWS_MAX];
    struct webhook_endpoint endpoint = endpoint_of(market);
    event_market_happen(market);
    event_market_happen(market);
    event_market_happen(market);
    attempt(market, &endpoint, 200); /* what was delivered stays so */
    DONE(market, webhook_endpoint_delete(&market->call, &endpoint));
    assert_int_equal(endpoints_due(market, rows), 1);
    assert_true(rows[0].is_deleted && !rows[0].is_open);
    assert_true(has_due(market));
    DONE(market, webhook_end_deleted(&market->call, &endpoint.id, 1));
    assert_int_equal(market_int(market, COUNT_EVENTS("status = 'failed'")), 1);
    DONE(market, webhook_end_deleted(&market->call, &endpoint.id, ROWS_MAX));
    assert_int_equal(market_int(market, COUNT_EVENTS("status = 'failed'")), 2);
    assert_int_equal(endpoints_due(market, rows), 0);
    assert_false(has_due(market));
}

static void events_are_due_in_order_and_at_their_time(void **state)
{
    struct market           *market = *state;
    struct webhook_due_event rows[ROWS_MAX];
    struct webhook_due       due[ROWS_MAX];
    struct webhook_endpoint  endpoint = endpoint_of(market);
    event_market_happen(market);
    event_market_happen(market);
    assert_int_equal(events_due(market, &endpoint, rows), 2);
    assert_true(rows[0].due_ms < rows[1].due_ms);
    market->now_ms = rows[0].due_ms;
    assert_int_equal(events_due(market, &endpoint, rows), 1);
    endpoints_due(market, due);
    assert_int_equal(due[0].later_ms, rows[0].due_ms + 1000);
    market->now_ms = rows[0].due_ms - 1;
    assert_int_equal(events_due(market, &endpoint, rows), 0);
    assert_false(has_due(market));
}

static void events_that_await_a_delivery_are_not_due(void **state)
{
    struct market           *market = *state;
    struct webhook_due_event rows[ROWS_MAX];
    struct webhook_due       due[ROWS_MAX];
    struct webhook_endpoint  endpoint = endpoint_of(market);
    event_market_happen(market);
    event_market_set(market,
                     "UPDATE webhook_events SET awaits_job_id = 'job_x' WHERE endpoint_id"
                     " = $1",
                     &endpoint.id);
    assert_int_equal(events_due(market, &endpoint, rows), 0);
    assert_int_equal(endpoints_due(market, due), 0);
    assert_false(has_due(market));
    market->is_broken = true; /* nobody has such a job */
}

/* --- before an attempt --- */

static void delivery_is_the_signed_event(void **state)
{
    struct market          *market = *state;
    struct webhook_endpoint endpoint = endpoint_of(market);
    event_market_happen(market);
    struct webhook_delivery delivery = prepared(market, &endpoint);
    assert_true(delivery.is_signed);
    assert_int_equal(delivery.attempts_count, 0);
    assert_int_equal(delivery.number, 1);
    struct str head = str_format(&market->arena,
                                 "{\"id\":\"%s\",\"object\":\"event\","
                                 "\"type\":\"credits.low_balance\",",
                                 delivery.event_id.text);
    assert_true(str_starts_with(delivery.body, head));
    assert_true(str_ends_with(delivery.body, STR("\"data\":{\"a\":1}}")));
    struct str signature = webhook_signature_hex(
        endpoint.signing_secret, market->now_ms / MS_PER_SECOND, delivery.body, &market->arena);
    assert_true(str_ends_with(str_of(delivery.headers[0]), signature));
}

static void event_of_another_round_is_not_sent(void **state)
{
    struct market           *market = *state;
    struct webhook_delivery  delivery;
    struct webhook_due_event rows[ROWS_MAX];
    struct webhook_event     event;
    struct webhook_endpoint  endpoint = endpoint_of(market);
    event_market_happen(market);
    assert_int_equal(events_due(market, &endpoint, rows), 1);
    market->now_ms += 1000;
    DONE(market, webhook_event_replay(&market->call, id_str(&rows[0].event_id), &event));
    REFUSED(market, webhook_delivery_prepare(&market->call, &endpoint, &rows[0], &delivery),
            ERR_NOT_FOUND, "webhook_event");
    attempt(market, &endpoint, 200);
    REFUSED(market, webhook_delivery_prepare(&market->call, &endpoint, &rows[0], &delivery),
            ERR_NOT_FOUND, "webhook_event");
}

static void secret_that_does_not_open_signs_nothing(void **state)
{
    struct market          *market = *state;
    struct webhook_endpoint endpoint = endpoint_of(market), broken = endpoint;
    event_market_happen(market);
    broken.sealed_secret = STR("broken");
    struct webhook_delivery delivery = prepared(market, &broken);
    assert_false(delivery.is_signed);
    assert_int_equal(delivery.number, 1);
}

/* --- after it --- */

static void every_2xx_delivers(void **state)
{
    static const int        statuses[] = { 200, 204, 299 };
    struct market          *market = *state;
    struct webhook_endpoint endpoint = endpoint_of(market);
    for (size_t i = 0; i < COUNT_OF(statuses); i++) {
        event_market_happen(market);
        struct webhook_result result = attempt(market, &endpoint, statuses[i]);
        struct webhook_event  event;
        DONE(market, webhook_event_get(&market->call, id_str(&result.event_id), &event));
        assert_int_equal(event.state, EVENT_DELIVERED);
        assert_int_equal(event.attempts_count, 1);
        assert_int_equal(event.delivered_ms, market->now_ms);
    }
}

static void everything_else_is_tried_again_then_failed(void **state)
{
    static const int        statuses[] = { 0, 100, 199, 300, 302, 404, 429, 500, 503 };
    struct market          *market = *state;
    struct webhook_endpoint endpoint = endpoint_of(market);
    struct webhook_result   result = { 0 };
    event_market_happen(market);
    for (size_t i = 0; i < COUNT_OF(statuses); i++) {
        result = attempt(market, &endpoint, statuses[i]);
        assert_int_equal(market_int(market, COUNT_EVENTS("status = 'pending'")),
                         i + 1 < COUNT_OF(statuses));
        int64_t next_ms = next_ms_of(market, &result.event_id);
        int64_t wait_ms = market->config.webhook_schedule.waits_ms[(i + 1) % COUNT_OF(statuses)];
        if (wait_ms) assert_in_range(next_ms - market->now_ms, wait_ms / 10 * 9, wait_ms / 10 * 11);
        if (wait_ms) market->now_ms = next_ms;
    }
    assert_int_equal(market_int(market, COUNT_EVENTS("status = 'failed' AND attempts_count = 9")),
                     1);
    assert_int_equal(market_int_of(market,
                                   "SELECT count(*) FROM webhook_attempts WHERE event_id = $1",
                                   &result.event_id),
                     9);
}

static void retry_after_counts_when_it_is_later_and_is_cut(void **state)
{
    static const struct {
        int64_t asked_s, wait_ms_min, wait_ms_max;
    } cases[] = {
        { 1, 54000, 66000 },
        { 3600, 3600000, 3600000 },
        { INT64_MAX, 24 * 3600000, 24 * 3600000 },
        { -5, 54000, 66000 },
    };
    struct market *market = *state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct webhook_endpoint endpoint = endpoint_of(market);
        event_market_happen(market);
        struct webhook_delivery delivery = prepared(market, &endpoint);
        struct webhook_result   result = result_of(&delivery, 503);
        result.retry_after_s = cases[i].asked_s;
        record(market, &result);
        assert_in_range(next_ms_of(market, &result.event_id) - market->now_ms, cases[i].wait_ms_min,
                        cases[i].wait_ms_max);
    }
}

static void attempt_that_is_written_down_changes_nothing(void **state)
{
    struct market          *market = *state;
    struct webhook_endpoint endpoint = endpoint_of(market);
    event_market_happen(market);
    struct webhook_result result = attempt(market, &endpoint, 500);
    int64_t               next_ms = next_ms_of(market, &result.event_id);
    record(market, &result);
    assert_int_equal(next_ms_of(market, &result.event_id), next_ms);
    assert_int_equal(market_int(market, "SELECT failures_count FROM webhook_endpoints"), 1);
    assert_int_equal(market_int(market, COUNT_EVENTS("attempts_count = 1")), 1);
}

static void replay_meanwhile_is_a_round_of_its_own(void **state)
{
    struct market          *market = *state;
    struct webhook_event    event;
    struct webhook_endpoint endpoint = endpoint_of(market);
    event_market_happen(market);
    struct webhook_delivery delivery = prepared(market, &endpoint);
    struct webhook_result   result = result_of(&delivery, 200);
    market->now_ms += 1000;
    DONE(market, webhook_event_replay(&market->call, id_str(&delivery.event_id), &event));
    record(market, &result);
    assert_int_equal(market_int(market, COUNT_EVENTS("status = 'pending' AND attempts_count = 0")),
                     1);
    delivery = prepared(market, &endpoint);
    assert_int_equal(delivery.number, 2);
    assert_int_equal(delivery.attempts_count, 0);
}

static void gone_disables_the_endpoint_and_holds_the_event(void **state)
{
    struct market          *market = *state;
    struct webhook_endpoint endpoint = endpoint_of(market);
    event_market_happen(market);
    attempt(market, &endpoint, 410);
    DONE(market, webhook_endpoint_get_any(&market->call, &endpoint.id, &endpoint));
    assert_int_equal(endpoint.state, ENDPOINT_DISABLED);
    assert_true(str_eq(endpoint.disabled_reason, STR(ENDPOINT_DISABLED_AS_GONE)));
    assert_int_equal(market_int(market, COUNT_EVENTS("status = 'pending'")), 1);
    market->now_ms += (int64_t)7 * 24 * 3600000;
    assert_false(has_due(market));
}

static void failures_are_counted_until_a_success(void **state)
{
    struct market          *market = *state;
    struct webhook_endpoint endpoint = endpoint_of(market);
    struct webhook_result   results[3];
    for (size_t i = 0; i < COUNT_OF(results); i++)
        event_market_happen(market);
    struct webhook_due_event rows[ROWS_MAX];
    struct webhook_due       due[ROWS_MAX];
    assert_int_equal(endpoints_due(market, due), 1);
    assert_false(due[0].is_failing);
    assert_int_equal(events_due(market, &endpoint, rows), COUNT_OF(results));
    for (size_t i = 0; i < COUNT_OF(results); i++) {
        struct webhook_delivery delivery;
        DONE(market, webhook_delivery_prepare(&market->call, &endpoint, &rows[i], &delivery));
        results[i] = result_of(&delivery, i == 1 ? 200 : 500);
    }
    DONE(market, webhook_results_record(&market->call, results, 1));
    assert_int_equal(market_int(market, "SELECT failures_count FROM webhook_endpoints"), 1);
    DONE(market, webhook_results_record(&market->call, results, COUNT_OF(results)));
    assert_int_equal(market_int(market, "SELECT failures_count FROM webhook_endpoints"), 1);
    assert_int_equal(market_int(market, "SELECT first_failed_ms FROM webhook_endpoints"),
                     market->now_ms);
    assert_int_equal(endpoints_due(market, due), 1);
    assert_true(due[0].is_failing);
}

static void failure_between_successes_of_one_commit_is_forgiven(void **state)
{
    struct market           *market = *state;
    struct webhook_endpoint  endpoint = endpoint_of(market);
    struct webhook_due_event rows[ROWS_MAX];
    struct webhook_result    results[3];
    static const int64_t     statuses[] = { 200, 500, 200 };
    for (size_t i = 0; i < COUNT_OF(results); i++)
        event_market_happen(market);
    assert_int_equal(events_due(market, &endpoint, rows), COUNT_OF(results));
    for (size_t i = 0; i < COUNT_OF(results); i++) {
        struct webhook_delivery delivery;
        DONE(market, webhook_delivery_prepare(&market->call, &endpoint, &rows[i], &delivery));
        results[i] = result_of(&delivery, statuses[i]);
    }
    DONE(market, webhook_results_record(&market->call, results, COUNT_OF(results)));
    assert_int_equal(market_int(market, "SELECT failures_count FROM webhook_endpoints"), 0);
}

static void reply_is_kept_short_and_harmless(void **state)
{
    struct market          *market = *state;
    struct webhook_endpoint endpoint = endpoint_of(market);
    event_market_happen(market);
    struct webhook_delivery delivery = prepared(market, &endpoint);
    struct webhook_result   result = result_of(&delivery, 500);
    result.reply = str_format(&market->arena, "\x1b[2J\xff\xc3\xa9%0300d", 7);
    record(market, &result);
    struct webhook_attempt rows[ROWS_MAX];
    int                    count;
    DONE(market, webhook_attempt_list(&market->call, &result.event_id, 0, ROWS_MAX, rows, &count));
    assert_int_equal(count, 1);
    assert_true(str_starts_with(rows[0].reply, STR("?[2J?\xc3\xa9"
                                                   "000")));
    assert_int_equal(str_code_points(rows[0].reply), WEBHOOK_REPLY_CHARS_MAX);
    assert_int_equal(rows[0].started_ms, 5);
    assert_int_equal(rows[0].latency_ms, 7);
}

#define delivery_test(name)                                                                        \
    cmocka_unit_test_setup_teardown(name, event_market_setup, market_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        delivery_test(endpoints_with_pending_events_are_found_once),
        delivery_test(pages_of_endpoints_follow_each_other),
        delivery_test(disabled_endpoint_is_not_told),
        delivery_test(deleted_endpoints_events_are_ended),
        delivery_test(events_are_due_in_order_and_at_their_time),
        delivery_test(events_that_await_a_delivery_are_not_due),
        delivery_test(delivery_is_the_signed_event),
        delivery_test(event_of_another_round_is_not_sent),
        delivery_test(secret_that_does_not_open_signs_nothing),
        delivery_test(every_2xx_delivers),
        delivery_test(everything_else_is_tried_again_then_failed),
        delivery_test(retry_after_counts_when_it_is_later_and_is_cut),
        delivery_test(attempt_that_is_written_down_changes_nothing),
        delivery_test(replay_meanwhile_is_a_round_of_its_own),
        delivery_test(gone_disables_the_endpoint_and_holds_the_event),
        delivery_test(failures_are_counted_until_a_success),
        delivery_test(failure_between_successes_of_one_commit_is_forgiven),
        delivery_test(reply_is_kept_short_and_harmless),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
