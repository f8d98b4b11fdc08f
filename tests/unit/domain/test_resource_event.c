#include "domain/resource_event.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "event_market.h"

/* What is due of a type, for an endpoint that was there. */
static int64_t due(struct market *market, const char *type)
{
    struct error error = { 0 };
    struct stmt *q = db_query(market->db, "SELECT count(*) FROM webhook_events e JOIN occurrences o"
                                          " ON o.id = e.occurrence_id WHERE o.type = $1"
                                          " AND e.next_ms <= $2 AND e.awaits_job_id IS NULL");
    bind_text(q, 1, str_of(type));
    bind_int(q, 2, market->now_ms);
    int64_t count = stmt_step(q) ? column_int(q, 0) : -1;
    if (stmt_end(q, &error)) fail_msg("%s: %s", error.slug, error.detail);
    return count;
}

static struct submission submit_and_judge(struct market *market, const struct id *job_id, int stars)
{
    struct id         worker_id = market_worker(market);
    struct submission submission = market_submit(market, &worker_id, job_id);
    return market_judge(market, &submission, stars);
}

static void approval_is_told_as_scored_and_approved(void **state)
{
    struct market *market = *state;
    event_market_endpoint(market, EVENTS_ALL);
    struct job job = market_job(market, 2, 50);
    submit_and_judge(market, &job.id, 4);
    assert_int_equal(due(market, "submission.scored"), 1);
    assert_int_equal(due(market, "submission.approved"), 1);
    assert_int_equal(market_int(market, "SELECT count(*) FROM webhook_events"), 2);
    assert_int_equal(market_int(market, "SELECT count(*) FROM occurrences WHERE"
                                        " data LIKE '%\"ai_star_rating\":4%'"
                                        " AND data LIKE '%\"file\":{%'"),
                     2);
}

static void each_rejected_attempt_is_told(void **state)
{
    struct market *market = *state;
    event_market_endpoint(market, EVENTS_ALL);
    struct job         job = market_job(market, 2, 50);
    struct submission  submission = submit_and_judge(market, &job.id, 2);
    struct reservation retried = market_retry(market, &submission);
    assert_int_equal(due(market, "submission.rejected"), 1);
    struct received bytes = market_bytes(market);
    submission = market_receive(market, &retried, &bytes);
    market_judge(market, &submission, 2);
    assert_int_equal(due(market, "submission.rejected"), 2);
    assert_int_equal(due(market, "submission.scored"), 2);
}

static void duplicate_is_told_at_once(void **state)
{
    struct market *market = *state;
    event_market_endpoint(market, EVENTS_ALL);
    struct id          worker_id = market_worker(market), other_id = market_worker(market);
    struct job         job = market_job(market, 2, 50);
    struct received    bytes = market_bytes(market);
    struct reservation first = market_accept(market, &worker_id, &job.id);
    market_receive(market, &first, &bytes);
    assert_int_equal(due(market, "submission.rejected"), 0);
    struct reservation second = market_accept(market, &other_id, &job.id);
    market_receive(market, &second, &bytes);
    assert_int_equal(due(market, "submission.rejected"), 1);
}

static void job_completed_is_told_after_its_last_delivery(void **state)
{
    struct market *market = *state;
    event_market_endpoint(market, EVENTS_ALL);
    struct job        job = market_job(market, 2, 50);
    struct submission first = submit_and_judge(market, &job.id, 4);
    struct submission second = submit_and_judge(market, &job.id, 4);
    assert_int_equal(market_int(market, "SELECT count(*) FROM occurrences"
                                        " WHERE type = 'job.completed'"),
                     1);
    assert_int_equal(due(market, "job.completed"), 0);
    struct task task = market_task(market, TASK_DELIVER, &second.file_id);
    market->now_ms += 1000;
    DONE(market, file_delivered(&market->call, &task));
    assert_int_equal(due(market, "job.completed"), 0);
    task = market_task(market, TASK_DELIVER, &first.file_id);
    DONE(market, file_delivered(&market->call, &task));
    assert_true(market->call.wakes_tasks);
    assert_int_equal(due(market, "job.completed"), 1);
    assert_int_equal(market_int(market, "SELECT count(*) FROM occurrences WHERE"
                                        " type = 'job.completed' AND"
                                        " json_extract(data, '$.status') = 'completed' AND"
                                        " json_extract(data, '$.files_remaining') = 0"),
                     1);
}

static void cancellation_is_told_as_it_left_the_job(void **state)
{
    struct market *market = *state;
    event_market_endpoint(market, EVENTS_ALL);
    struct job job = market_job(market, 2, 50);
    market_cancel(market, &job.id);
    assert_int_equal(due(market, "job.cancelled"), 1);
    assert_int_equal(market_int(market, "SELECT count(*) FROM occurrences WHERE"
                                        " type = 'job.cancelled' AND"
                                        " json_extract(data, '$.status') = 'cancelled'"),
                     1);
}

#define event_test(name) cmocka_unit_test_setup_teardown(name, market_setup, market_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        event_test(approval_is_told_as_scored_and_approved),
        event_test(each_rejected_attempt_is_told),
        event_test(duplicate_is_told_at_once),
        event_test(job_completed_is_told_after_its_last_delivery),
        event_test(cancellation_is_told_as_it_left_the_job),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
