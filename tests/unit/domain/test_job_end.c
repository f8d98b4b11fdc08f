#include "domain/job.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "event_market.h"

static const int64_t HOUR_MS = 3600 * 1000;

/* A job that ends in an hour. */
static struct job job_with_deadline(struct market *market, int64_t files_needed,
                                    int64_t price_cents)
{
    struct job job = market_job_asked(files_needed, price_cents);
    job.deadline_ms = market->now_ms + HOUR_MS;
    market_as_buyer(market);
    DONE(market, job_create(&market->call, &job));
    return job;
}

static int sweep(struct market *market, int count)
{
    int ended;
    market_as_runner(market);
    DONE(market, job_end_all_due(&market->call, count, &ended));
    return ended;
}

static int64_t refunded_cents(struct market *market, const struct id *job_id)
{
    return market_int_of(market,
                         "SELECT coalesce(sum(amount_cents), 0) FROM transfers WHERE job_id = $1"
                         " AND kind = 'refund'",
                         job_id);
}

static void deadline_must_lie_in_the_future(void **state)
{
    struct market *market = *state;
    for (int64_t late_ms = 0; late_ms < 2; late_ms++) {
        struct job job = market_job_asked(1, 50);
        job.deadline_ms = market->now_ms - late_ms;
        REFUSED_UNWRITTEN(market, job_create(&market->call, &job), ERR_UNPROCESSABLE,
                          "body_invalid");
        assert_string_equal(market->call.error.faults[0].field, "deadline");
        assert_string_equal(market->call.error.faults[0].code, "in_past");
    }
    struct job job = market_job_asked(1, 50);
    job.deadline_ms = market->now_ms + 1;
    DONE(market, job_create(&market->call, &job));
}

static void job_accepts_nothing_from_its_deadline_on(void **state)
{
    struct market     *market = *state;
    struct id          worker_id = market_worker(market), other_id = market_worker(market);
    struct job         job = job_with_deadline(market, 3, 50), got;
    struct reservation held, again;
    struct received    received = market_bytes(market);
    bool               is_new;
    market->now_ms = job.deadline_ms - 1;
    held = market_accept(market, &worker_id, &job.id);
    market->now_ms = job.deadline_ms;
    for (int turn = 0; turn < 2; turn++) { /* before the sweep, and after it */
        market_as_worker(market, &worker_id);
        REFUSED(market, market_try_receive(market, &held, &received), ERR_CONFLICT, "job_closed");
        market_as_worker(market, &other_id);
        REFUSED(market,
                reservation_accept(&market->call, id_str(&job.id), &(struct whereabouts){ 0 },
                                   &again, &is_new),
                ERR_CONFLICT, "job_closed");
        got = market_job_now(market, &job.id);
        REFUSED(market, reservation_may_accept(&market->call, &got), ERR_CONFLICT, "job_closed");
        market_as_buyer(market);
        REFUSED(market, job_cancel(&market->call, id_str(&job.id), &got), ERR_CONFLICT,
                "job_not_cancellable");
        assert_int_equal(sweep(market, 10), turn == 0 ? 1 : 0);
    }
}

static void retry_is_closed_from_the_deadline_on(void **state)
{
    struct market     *market = *state;
    struct id          worker_id = market_worker(market);
    struct job         job = job_with_deadline(market, 1, 50);
    struct submission  submission = market_submit(market, &worker_id, &job.id);
    struct reservation reservation;
    submission = market_judge(market, &submission, 2);
    market->now_ms = job.deadline_ms;
    market_as_worker(market, &worker_id);
    REFUSED(market,
            submission_retry(&market->call, id_str(&submission.id), &(struct whereabouts){ 0 },
                             &reservation),
            ERR_CONFLICT, "job_closed");
}

static void job_reads_as_cancelled_at_its_deadline_before_the_sweep(void **state)
{
    struct market     *market = *state;
    struct job         job = job_with_deadline(market, 1, 50), rows[2];
    struct page_search search;
    struct job_filter  filter = { .state = JOB_OPEN, .type = JOB_TYPE__COUNT };
    struct job_feed    feed = { 0 };
    int64_t            slots;
    market->now_ms = job.deadline_ms - 1;
    assert_int_equal(job_state_now(&(struct job){ .state = JOB_OPEN }), JOB_OPEN);
    DONE(market, job_list(&market->call, &filter, 2, rows, &search));
    assert_int_equal(search.count, 1);
    market->now_ms++;
    job = market_job_now(market, &job.id);
    assert_int_equal(job_state_now(&job), JOB_CANCELLED);
    assert_false(job_is_live(&job));
    DONE(market, job_list(&market->call, &filter, 2, rows, &search));
    assert_int_equal(search.count, 0);
    filter.state = JOB_CANCELLED;
    DONE(market, job_list(&market->call, &filter, 2, rows, &search));
    assert_int_equal(search.count, 1);
    DONE(market, reservation_slots_open(&market->call, &job, &slots));
    assert_int_equal(slots, 0);
    for (int best_paid = 0; best_paid < 2; best_paid++) {
        feed.is_best_paid_first = best_paid;
        DONE(market, job_feed(&market->call, &feed, 2, rows, &search));
        assert_int_equal(search.count, 0);
    }
}

/* Whoever waits for a job is told of its end after the commit, when the sweep's scratch is gone. */
static void sweep_tells_of_every_job_it_ended(void **state)
{
    struct market *market = *state;
    struct job     jobs[3];
    for (int i = 0; i < 3; i++)
        jobs[i] = job_with_deadline(market, 1, 50);
    market->now_ms = jobs[2].deadline_ms;
    assert_int_equal(sweep(market, 10), 3);
    memset(NEW(market->call.arena, char, 32 << 10), 0x5a, 32 << 10);
    const struct ended_job *ended = market->call.ended_jobs;
    for (int i = 2; i >= 0; i--, ended = ended->next)
        assert_true(ended && id_eq(&ended->id, &jobs[i].id));
    assert_null(ended);
}

static void sweep_cancels_as_a_buyer_would(void **state)
{
    struct market    *market = *state;
    struct id         endpoint_id = event_market_endpoint(market, BIT(EVENT_JOB_CANCELLED));
    struct id         worker_id = market_worker(market), other_id = market_worker(market);
    struct job        job = job_with_deadline(market, 5, 50);
    struct submission approved = market_submit(market, &worker_id, &job.id);
    market_judge(market, &approved, 5);
    struct submission pending = market_submit(market, &worker_id, &job.id);
    market->now_ms = job.deadline_ms - 1;
    struct reservation held = market_accept(market, &other_id, &job.id);
    market->now_ms = job.deadline_ms;
    assert_int_equal(sweep(market, 10), 1);
    job = market_job_now(market, &job.id);
    assert_int_equal(job.state, JOB_CANCELLED);
    assert_int_equal(job.cancelled_ms, job.deadline_ms);
    assert_int_equal(job.slots_reserved, 0);
    assert_int_equal(job.escrow_cents, 50);
    assert_int_equal(refunded_cents(market, &job.id), 3 * 50);
    assert_int_equal(market_reservation_now(market, &held).state, RESERVATION_RELEASED);
    assert_int_equal(event_market_events(market, &endpoint_id), 1);
    pending = market_judge(market, &pending, 4);
    assert_int_equal(pending.state, SUBMISSION_APPROVED);
    assert_int_equal(market_job_now(market, &job.id).state, JOB_CANCELLED);
    assert_int_equal(market_job_now(market, &job.id).escrow_cents, 0);
}

static void late_sweep_writes_down_the_deadline_not_its_own_time(void **state)
{
    struct market *market = *state;
    struct job     job = job_with_deadline(market, 1, 50);
    market->now_ms = job.deadline_ms + HOUR_MS;
    assert_int_equal(sweep(market, 10), 1);
    assert_int_equal(market_job_now(market, &job.id).cancelled_ms, job.deadline_ms);
    assert_int_equal(market_balance(market).balance_cents, MARKET_CREDITS_CENTS);
}

/* What was pending at the deadline is scored, but completes nothing and reopens nothing. */
static void verdict_after_the_deadline_ends_the_job_first(void **state)
{
    struct market    *market = *state;
    struct id         worker_id = market_worker(market);
    struct job        job = job_with_deadline(market, 2, 50);
    struct submission first = market_submit(market, &worker_id, &job.id);
    struct submission second = market_submit(market, &worker_id, &job.id);
    market->now_ms = job.deadline_ms;
    first = market_judge(market, &first, 4);
    assert_int_equal(first.state, SUBMISSION_APPROVED);
    job = market_job_now(market, &job.id);
    assert_int_equal(job.state, JOB_CANCELLED);
    assert_int_equal(job.cancelled_ms, job.deadline_ms);
    market_judge(market, &second, 2);
    assert_int_equal(refunded_cents(market, &job.id), 50);
    assert_int_equal(market_job_now(market, &job.id).escrow_cents, 0);
    assert_int_equal(sweep(market, 10), 0);
}

static void last_approval_after_the_deadline_does_not_complete(void **state)
{
    struct market    *market = *state;
    struct id         worker_id = market_worker(market);
    struct job        job = job_with_deadline(market, 1, 50);
    struct submission submission = market_submit(market, &worker_id, &job.id);
    market->now_ms = job.deadline_ms;
    market_judge(market, &submission, 4);
    job = market_job_now(market, &job.id);
    assert_int_equal(job.state, JOB_CANCELLED);
    assert_int_equal(job.completed_ms, 0);
    assert_int_equal(refunded_cents(market, &job.id), 0);
}

static void job_that_ended_before_its_deadline_is_left_alone(void **state)
{
    struct market    *market = *state;
    struct id         worker_id = market_worker(market);
    struct job        done = job_with_deadline(market, 1, 50);
    struct job        gone = job_with_deadline(market, 1, 50);
    struct submission submission = market_submit(market, &worker_id, &done.id);
    market_judge(market, &submission, 4);
    gone = market_cancel(market, &gone.id);
    market->now_ms = done.deadline_ms;
    assert_int_equal(sweep(market, 10), 0);
    done = market_job_now(market, &done.id);
    assert_int_equal(job_state_now(&done), JOB_COMPLETED);
    assert_int_equal(market_job_now(market, &gone.id).cancelled_ms, gone.cancelled_ms);
}

static void sweep_takes_as_many_as_it_may_the_oldest_deadline_first(void **state)
{
    struct market *market = *state;
    struct job     jobs[3];
    for (int i = 0; i < 3; i++) {
        jobs[i] = market_job_asked(1, 50);
        jobs[i].deadline_ms = market->now_ms + HOUR_MS - i;
        market_as_buyer(market);
        DONE(market, job_create(&market->call, &jobs[i]));
    }
    market->now_ms += HOUR_MS;
    assert_int_equal(sweep(market, 2), 2);
    assert_int_equal(market_job_now(market, &jobs[0].id).state, JOB_OPEN);
    assert_int_equal(market_job_now(market, &jobs[2].id).state, JOB_CANCELLED);
    assert_int_equal(sweep(market, 2), 1);
    assert_int_equal(sweep(market, 2), 0);
}

/* However large the jobs are: what one took in memory is given back before the next. */
static void sweep_needs_memory_for_one_job_only(void **state)
{
    struct market *market = *state;
    enum { JOBS = 40, METADATA_BYTES = 1 << 19 };
    struct str metadata = str_format(&market->arena, "{\"a\":\"%0*d\"}", METADATA_BYTES, 0);
    for (int i = 0; i < JOBS; i++) {
        struct job job = market_job_asked(1, 50);
        job.deadline_ms = market->now_ms + HOUR_MS;
        job.metadata = metadata;
        market_as_buyer(market);
        DONE(market, job_create(&market->call, &job));
        struct id worker_id = market_worker(market);
        market_accept(market, &worker_id, &job.id);
    }
    market->now_ms += HOUR_MS;
    size_t used_bytes = market->arena.used_bytes;
    int    count;
    market_as_runner(market);
    DONE(market, reservation_lapse_all_due(&market->call, JOBS, &count));
    assert_int_equal(count, JOBS);
    assert_int_equal(sweep(market, JOBS), JOBS);
    assert_true(market->arena.used_bytes < used_bytes + METADATA_BYTES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        market_test(deadline_must_lie_in_the_future),
        market_test(job_accepts_nothing_from_its_deadline_on),
        market_test(retry_is_closed_from_the_deadline_on),
        market_test(job_reads_as_cancelled_at_its_deadline_before_the_sweep),
        market_test(sweep_cancels_as_a_buyer_would),
        market_test(late_sweep_writes_down_the_deadline_not_its_own_time),
        market_test(verdict_after_the_deadline_ends_the_job_first),
        market_test(last_approval_after_the_deadline_does_not_complete),
        market_test(job_that_ended_before_its_deadline_is_left_alone),
        market_test(sweep_takes_as_many_as_it_may_the_oldest_deadline_first),
        market_test(sweep_needs_memory_for_one_job_only),
        market_test(sweep_tells_of_every_job_it_ended),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
