#include "domain/webhook_event.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "event_market.h"

enum { ROWS_MAX = 10 };

static const struct webhook_event_filter ANY = { .state = EVENT_STATE__COUNT,
                                                 .type = EVENT_TYPE__COUNT };

static void emit_at(struct market *market, enum event_type type, const struct id *awaits_job_id)
{
    market->now_ms += 1000;
    DONE(market,
         event_emit(&market->call,
                    &(struct occurrence){
                        .org_id = market->org_id,
                        .environment = ENVIRONMENT_LIVE,
                        .type = type,
                        .subject_id = market->org_id,
                        .data = STR("{\"a\":1}"),
                        .awaits_job_id = awaits_job_id ? *awaits_job_id : (struct id){ { 0 } },
                    }));
}

static void emit(struct market *market, enum event_type type)
{
    emit_at(market, type, NULL);
}

static struct page_search listed(struct market *market, const struct webhook_event_filter *filter,
                                 struct webhook_event *rows)
{
    struct page_search search;
    DONE(market, webhook_event_list(&market->call, filter, ROWS_MAX, rows, &search));
    return search;
}

static struct webhook_event newest(struct market *market)
{
    struct webhook_event rows[ROWS_MAX];
    assert_true(listed(market, &ANY, rows).count > 0);
    return rows[0];
}

static struct webhook_event got(struct market *market, const struct webhook_event *old)
{
    struct webhook_event event;
    DONE(market, webhook_event_get(&market->call, id_str(&old->id), &event));
    return event;
}

static void end_as(struct market *market, const struct webhook_event *event, bool is_delivered)
{
    event_market_set(market,
                     is_delivered ? "UPDATE webhook_events SET status = 'delivered',"
                                    " attempts_count = 3, delivered_ms = 7 WHERE id = $1"
                                  : "UPDATE webhook_events SET status = 'failed',"
                                    " attempts_count = 9 WHERE id = $1",
                     &event->id);
}

/* --- listing --- */

static void filters_combine(void **state)
{
    struct market              *market = *state;
    struct id                   a = event_market_endpoint(market, EVENTS_ALL);
    struct id                   b = event_market_endpoint(market, BIT(EVENT_CREDITS_LOW_BALANCE));
    struct webhook_event        rows[ROWS_MAX];
    struct webhook_event_filter filter = ANY;
    emit(market, EVENT_CREDITS_LOW_BALANCE);
    emit(market, EVENT_ENDPOINT_DISABLED);
    assert_int_equal(listed(market, &filter, rows).count, 3);
    assert_int_equal(rows[0].occurrence.type, EVENT_ENDPOINT_DISABLED);
    assert_true(str_eq(rows[2].occurrence.data, STR("{\"a\":1}")));
    filter.endpoint_id = b;
    assert_int_equal(listed(market, &filter, rows).count, 1);
    filter.endpoint_id = a;
    filter.type = EVENT_ENDPOINT_DISABLED;
    assert_int_equal(listed(market, &filter, rows).count, 1);
    end_as(market, &rows[0], true);
    filter.state = EVENT_PENDING;
    assert_int_equal(listed(market, &filter, rows).count, 0);
    filter.state = EVENT_DELIVERED;
    assert_int_equal(listed(market, &filter, rows).count, 1);
    filter.before = rows[0].id;
    assert_int_equal(listed(market, &filter, rows).count, 0);
}

static void pending_event_of_a_deleted_endpoint_has_failed(void **state)
{
    struct market              *market = *state;
    struct id                   id = event_market_endpoint(market, EVENTS_ALL);
    struct webhook_event        rows[ROWS_MAX];
    struct webhook_event_filter filter = ANY;
    emit(market, EVENT_CREDITS_LOW_BALANCE);
    event_market_set(market, "UPDATE webhook_endpoints SET deleted_ms = 1 WHERE id = $1", &id);
    assert_int_equal(newest(market).state, EVENT_FAILED);
    assert_false(newest(market).is_held);
    filter.state = EVENT_PENDING;
    assert_int_equal(listed(market, &filter, rows).count, 0);
    filter.state = EVENT_FAILED;
    assert_int_equal(listed(market, &filter, rows).count, 1);
}

static void event_of_a_disabled_endpoint_is_held(void **state)
{
    struct market *market = *state;
    struct id      id = event_market_endpoint(market, EVENTS_ALL);
    emit(market, EVENT_CREDITS_LOW_BALANCE);
    assert_false(newest(market).is_held);
    event_market_set(market, "UPDATE webhook_endpoints SET status = 'disabled' WHERE id = $1", &id);
    assert_true(newest(market).is_held);
    assert_int_equal(newest(market).state, EVENT_PENDING);
}

static void others_are_not_found(void **state)
{
    struct market       *market = *state;
    struct webhook_event rows[ROWS_MAX], event;
    event_market_endpoint(market, EVENTS_ALL);
    emit(market, EVENT_CREDITS_LOW_BALANCE);
    event = newest(market);
    market->actor.environment = ENVIRONMENT_TEST;
    REFUSED(market, webhook_event_get(&market->call, id_str(&event.id), rows), ERR_NOT_FOUND,
            "webhook_event");
    assert_int_equal(listed(market, &ANY, rows).count, 0);
    market_start_at(market, 0);
    REFUSED(market, webhook_event_replay(&market->call, id_str(&event.id), rows), ERR_NOT_FOUND,
            "webhook_event");
    assert_int_equal(listed(market, &ANY, rows).count, 0);
}

static void attempts_are_listed_newest_first(void **state)
{
    struct market         *market = *state;
    struct webhook_attempt rows[ROWS_MAX];
    int                    count;
    event_market_endpoint(market, EVENTS_ALL);
    emit(market, EVENT_CREDITS_LOW_BALANCE);
    struct webhook_event event = newest(market);
    event_market_set(market, "INSERT INTO webhook_attempts VALUES ($1, 1, 5, 6, NULL, 'dns', NULL)",
                     &event.id);
    event_market_set(market, "INSERT INTO webhook_attempts VALUES ($1, 2, 7, 8, 500, NULL, 'no')",
                     &event.id);
    DONE(market, webhook_attempt_list(&market->call, &event.id, 0, ROWS_MAX, rows, &count));
    assert_int_equal(count, 2);
    assert_int_equal(rows[0].number, 2);
    assert_int_equal(rows[0].http_status, 500);
    assert_true(str_eq(rows[0].reply, STR("no")));
    assert_true(str_eq(rows[1].error, STR("dns")));
    assert_int_equal(rows[1].http_status, 0);
    assert_int_equal(rows[1].started_ms, 5);
    assert_int_equal(rows[1].latency_ms, 6);
    DONE(market, webhook_attempt_list(&market->call, &event.id, 2, ROWS_MAX, rows, &count));
    assert_int_equal(count, 1);
    assert_int_equal(rows[0].number, 1);
}

/* --- telling again --- */

static void replay_starts_over_whatever_became_of_it(void **state)
{
    struct market *market = *state;
    event_market_endpoint(market, EVENTS_ALL);
    emit(market, EVENT_CREDITS_LOW_BALANCE);
    struct webhook_event event = newest(market), replayed;
    for (int is_delivered = 0; is_delivered <= 1; is_delivered++) {
        end_as(market, &event, is_delivered);
        market->now_ms += 5000;
        market->call.wakes_tasks = false;
        DONE(market, webhook_event_replay(&market->call, id_str(&event.id), &replayed));
        assert_true(market->call.wakes_tasks);
        assert_true(id_eq(&replayed.id, &event.id));
        assert_int_equal(replayed.state, EVENT_PENDING);
        assert_int_equal(replayed.attempts_count, 0);
        assert_int_equal(replayed.next_ms, market->now_ms);
        assert_int_equal(replayed.delivered_ms, 0);
    }
    DONE(market, webhook_event_replay(&market->call, id_str(&event.id), &replayed));
    assert_int_equal(replayed.state, EVENT_PENDING);
}

static void replay_waits_for_the_jobs_files_as_before(void **state)
{
    struct market *market = *state;
    struct id      worker_id = market_worker(market);
    struct job     job = market_job(market, 1, 50);
    event_market_endpoint(market, BIT(EVENT_JOB_COMPLETED));
    struct submission submission = market_submit(market, &worker_id, &job.id);
    market_judge(market, &submission, 5);
    market_as_buyer(market);
    struct webhook_event event = newest(market), replayed;
    assert_true(id_eq(&event.occurrence.awaits_job_id, &job.id));
    DONE(market, webhook_event_replay(&market->call, id_str(&event.id), &replayed));
    assert_true(id_eq(&replayed.occurrence.awaits_job_id, &job.id));
}

static void replay_needs_an_endpoint(void **state)
{
    struct market       *market = *state;
    struct id            id = event_market_endpoint(market, EVENTS_ALL);
    struct webhook_event ignored;
    emit(market, EVENT_CREDITS_LOW_BALANCE);
    struct webhook_event event = newest(market);
    end_as(market, &event, true);
    event_market_set(market, "UPDATE webhook_endpoints SET deleted_ms = 1 WHERE id = $1", &id);
    REFUSED_UNWRITTEN(market, webhook_event_replay(&market->call, id_str(&event.id), &ignored),
                      ERR_CONFLICT, "endpoint_deleted");
    assert_int_equal(got(market, &event).state, EVENT_DELIVERED);
}

static void range_is_of_one_endpoint_and_half_open(void **state)
{
    struct market       *market = *state;
    struct id            a = event_market_endpoint(market, EVENTS_ALL), last;
    struct id            b = event_market_endpoint(market, EVENTS_ALL);
    struct webhook_event rows[ROWS_MAX];
    int                  count;
    for (int i = 0; i < 4; i++)
        emit(market, EVENT_CREDITS_LOW_BALANCE);
    assert_int_equal(listed(market, &ANY, rows).count, 8);
    for (int i = 0; i < 8; i++)
        end_as(market, &rows[i], i < 4);
    struct webhook_replay replay = { .endpoint_id = a,
                                     .since_ms = rows[7].created_ms + 1,
                                     .until_ms = rows[0].created_ms,
                                     .state = EVENT_STATE__COUNT };
    DONE(market, webhook_event_replay_range(&market->call, &replay, &count, &last));
    assert_int_equal(count, 2);
    assert_true(id_is_none(&last));
    assert_int_equal(event_market_events(market, &a), 2);
    assert_int_equal(event_market_events(market, &b), 0);
    replay.since_ms -= 1;
    replay.until_ms += 1;
    replay.state = EVENT_DELIVERED;
    DONE(market, webhook_event_replay_range(&market->call, &replay, &count, &last));
    assert_int_equal(count, 1);
    assert_int_equal(event_market_events(market, &a), 3);
}

/* So many failed events, made by the store itself. */
static void fill(struct market *market, const char *sql)
{
    event_market_set(market, sql, &market->org_id);
}

static void range_goes_on_where_a_call_ended(void **state)
{
    struct market *market = *state;
    struct id      endpoint_id = event_market_endpoint(market, EVENTS_ALL);
    emit(market, EVENT_CREDITS_LOW_BALANCE);
    fill(market, "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1500)"
                 " INSERT INTO webhook_events SELECT substr(id, 1, 14) || printf('%016d', i),"
                 " org_id, environment, endpoint_id, occurrence_id, 'failed', 9, 0, NULL,"
                 " created_ms, NULL FROM webhook_events, n WHERE org_id = $1");
    struct webhook_replay replay = { .endpoint_id = endpoint_id,
                                     .until_ms = INT64_MAX,
                                     .state = EVENT_FAILED };
    int                   count;
    DONE(market, webhook_event_replay_range(&market->call, &replay, &count, &replay.after));
    assert_int_equal(count, EVENTS_REPLAYED_MAX);
    assert_false(id_is_none(&replay.after));
    DONE(market, webhook_event_replay_range(&market->call, &replay, &count, &replay.after));
    assert_int_equal(count, 500);
    assert_true(id_is_none(&replay.after));
    assert_int_equal(event_market_events(market, &endpoint_id), 1501);
}

#define event_test(name) cmocka_unit_test_setup_teardown(name, event_market_setup, market_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        event_test(filters_combine),
        event_test(pending_event_of_a_deleted_endpoint_has_failed),
        event_test(event_of_a_disabled_endpoint_is_held),
        event_test(others_are_not_found),
        event_test(attempts_are_listed_newest_first),
        event_test(replay_starts_over_whatever_became_of_it),
        event_test(replay_waits_for_the_jobs_files_as_before),
        event_test(replay_needs_an_endpoint),
        event_test(range_is_of_one_endpoint_and_half_open),
        event_test(range_goes_on_where_a_call_ended),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
