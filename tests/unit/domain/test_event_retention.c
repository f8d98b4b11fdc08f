#include "domain/event_retention.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "domain/event.h"
#include "event_market.h"

static const int64_t DAY_MS = (int64_t)24 * 3600 * 1000;

enum { PIECE = 3 };

static int swept(struct market *market)
{
    int done;
    DONE(market, event_retention_sweep(&market->call, PIECE, &done));
    return done;
}

/* A whole pass; how many pieces it took. */
static int pass(struct market *market)
{
    int pieces = 1;
    while (swept(market) == PIECE)
        pieces++;
    return pieces;
}

static int64_t occurrences(struct market *market)
{
    return market_int(market, "SELECT count(*) FROM occurrences");
}

static int64_t events_since_ms(struct market *market)
{
    return market_int(market, "SELECT value FROM server_state WHERE name = 'events_since_ms'");
}

static void everything_goes_when_its_time_is_over(void **state)
{
    struct market *market = *state;
    struct id      endpoint_id = event_market_endpoint(market, EVENTS_ALL);
    event_market_happen(market);
    event_market_set(market, "UPDATE webhook_events SET status = 'failed' WHERE endpoint_id = $1",
                     &endpoint_id);
    event_market_set(market,
                     "INSERT INTO webhook_attempts SELECT id, 1, 5, 6, 500, NULL, 'no'"
                     " FROM webhook_events WHERE endpoint_id = $1",
                     &endpoint_id);
    market->now_ms += 30 * DAY_MS;
    pass(market);
    assert_int_equal(occurrences(market), 1);
    market->now_ms += EVENT_RETENTION_EVERY_MS;
    pass(market);
    assert_int_equal(occurrences(market), 0);
    assert_int_equal(market_int(market, "SELECT count(*) FROM webhook_events"), 0);
    assert_int_equal(market_int(market, "SELECT count(*) FROM webhook_attempts"), 0);
}

static void younger_ones_stay(void **state)
{
    struct market *market = *state;
    event_market_happen(market);
    market->now_ms += 29 * DAY_MS;
    event_market_happen(market);
    market->now_ms += 2 * DAY_MS;
    pass(market);
    assert_int_equal(occurrences(market), 1);
    assert_true(market_int(market, "SELECT created_ms FROM occurrences") >
                market->now_ms - 30 * DAY_MS);
}

static void pending_one_stays_until_it_has_ended(void **state)
{
    struct market *market = *state;
    struct id      held = event_market_endpoint(market, EVENTS_ALL);
    struct id      told = event_market_endpoint(market, EVENTS_ALL);
    event_market_happen(market);
    event_market_set(
        market, "UPDATE webhook_events SET status = 'delivered' WHERE endpoint_id = $1", &told);
    market->now_ms += 100 * DAY_MS;
    pass(market);
    assert_int_equal(market_int(market, "SELECT count(*) FROM webhook_events"), 2);
    event_market_set(
        market, "UPDATE webhook_events SET status = 'delivered' WHERE endpoint_id = $1", &held);
    market->now_ms += EVENT_RETENTION_EVERY_MS;
    pass(market);
    assert_int_equal(occurrences(market), 0);
}

static void pass_is_done_in_pieces_and_passes_over_what_stays(void **state)
{
    struct market *market = *state;
    struct id      endpoint_id = event_market_endpoint(market, EVENTS_ALL);
    for (int i = 0; i < 4; i++)
        event_market_happen(market);
    event_market_set(market, "UPDATE webhook_endpoints SET deleted_ms = 1 WHERE id = $1",
                     &endpoint_id);
    for (int i = 0; i < 4; i++)
        event_market_happen(market);
    market->now_ms += 31 * DAY_MS;
    assert_int_equal(swept(market), PIECE);
    assert_int_equal(occurrences(market), 8); /* the oldest are pending */
    assert_true(pass(market) > 1);
    assert_int_equal(occurrences(market), 4);
}

static void pass_begins_an_hour_after_the_last(void **state)
{
    struct market *market = *state;
    market->now_ms += 31 * DAY_MS;
    pass(market);
    int64_t ended_ms = market->now_ms;
    event_market_happen(market);
    market->config.event_retention_ms = 1;
    market->now_ms = ended_ms + EVENT_RETENTION_EVERY_MS - 1;
    int64_t changes = market_changes(market);
    assert_int_equal(swept(market), 0);
    assert_int_equal(market_changes(market), changes);
    assert_int_equal(occurrences(market), 1);
    market->now_ms += 1;
    pass(market);
    assert_int_equal(occurrences(market), 0);
}

static void nothing_goes_when_the_setting_is_0(void **state)
{
    struct market *market = *state;
    market->config.event_retention_ms = 0;
    event_market_happen(market);
    market->now_ms += 10000 * DAY_MS;
    assert_int_equal(swept(market), 0);
    assert_int_equal(occurrences(market), 1);
}

/* --- and the audit, which every test ends with --- */

static struct submission judged(struct market *market, const struct job *job)
{
    struct id         worker_id = market_worker(market);
    struct submission submission = market_submit(market, &worker_id, &job->id);
    return market_judge(market, &submission, 4);
}

static void audit_counts_only_what_is_younger_than_all_that_went(void **state)
{
    struct market *market = *state;
    struct job     old = market_job(market, 1, 50);
    judged(market, &old); /* scored, approved, completed */
    market->now_ms += 29 * DAY_MS;
    struct job young = market_job(market, 2, 50);
    judged(market, &young); /* scored, approved */
    market->now_ms += 2 * DAY_MS;
    pass(market);
    assert_int_equal(occurrences(market), 2);
    int64_t since_ms = events_since_ms(market);
    assert_true(since_ms > old.created_ms);
    assert_true(since_ms <= young.created_ms);
    market_is_sound(market);
    scratch_script(market->db, "DELETE FROM occurrences WHERE type = 'submission.approved'");
    market->is_broken = true;
    assert_int_equal(market_audit(market), 1);
    assert_non_null(strstr(market->breaches, "verdicts_have_their_events"));
}

static void audit_passes_over_a_subject_that_lost_some_of_its_events(void **state)
{
    struct market    *market = *state;
    struct job        job = market_job(market, 2, 50);
    struct submission first = judged(market, &job);
    market->now_ms += 20 * DAY_MS;
    judged(market, &job); /* and completed */
    market->now_ms += 11 * DAY_MS;
    pass(market);
    assert_int_equal(occurrences(market), 3);
    assert_true(events_since_ms(market) > first.created_ms);
    market_is_sound(market);
}

static void since_does_not_move_when_nothing_went(void **state)
{
    struct market *market = *state;
    struct job     job = market_job(market, 1, 50);
    int64_t        since_ms = events_since_ms(market);
    market_cancel(market, &job.id);
    pass(market);
    assert_int_equal(events_since_ms(market), since_ms);
}

#define retention_test(name)                                                                       \
    cmocka_unit_test_setup_teardown(name, event_market_setup, market_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        retention_test(everything_goes_when_its_time_is_over),
        retention_test(younger_ones_stay),
        retention_test(pending_one_stays_until_it_has_ended),
        retention_test(pass_is_done_in_pieces_and_passes_over_what_stays),
        retention_test(pass_begins_an_hour_after_the_last),
        retention_test(nothing_goes_when_the_setting_is_0),
        retention_test(audit_counts_only_what_is_younger_than_all_that_went),
        retention_test(audit_passes_over_a_subject_that_lost_some_of_its_events),
        retention_test(since_does_not_move_when_nothing_went),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
