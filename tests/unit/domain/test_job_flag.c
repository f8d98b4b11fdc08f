#include "domain/job_flag.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "event_market.h"

static enum err flag(struct market *market, const struct id *worker_id, const struct job *job,
                     struct str reason)
{
    struct job      copy = *job;
    struct job_flag flag = { .worker_id = *worker_id, .reason = reason };
    return job_flag_add(&market->call, &copy, &flag);
}

static void flag_is_counted_and_told(void **state)
{
    struct market *market = *state;
    struct id      endpoint_id = event_market_endpoint(market, BIT(EVENT_JOB_FLAGGED));
    struct id      worker_id = market_worker(market), other_id = market_worker(market);
    struct job     job = market_job(market, 1, 50);
    DONE(market, flag(market, &worker_id, &job, STR("Asks for faces.")));
    job = market_job_now(market, &job.id);
    assert_int_equal(job.flags_count, 1);
    assert_true(str_eq(job.flag_reason, STR("Asks for faces.")));
    DONE(market, flag(market, &other_id, &job, STR("Nonsense.")));
    job = market_job_now(market, &job.id);
    assert_int_equal(job.flags_count, 2);
    assert_true(str_eq(job.flag_reason, STR("Nonsense.")));
    assert_int_equal(event_market_events(market, &endpoint_id), 2);
}

static void worker_flags_a_job_once(void **state)
{
    struct market *market = *state;
    struct id      worker_id = market_worker(market);
    struct job     job = market_job(market, 1, 50), other = market_job(market, 1, 50);
    DONE(market, flag(market, &worker_id, &job, STR("Bad.")));
    job = market_job_now(market, &job.id);
    REFUSED_UNWRITTEN(market, flag(market, &worker_id, &job, STR("Bad still.")), ERR_CONFLICT,
                      "already_flagged");
    assert_int_equal(market_job_now(market, &job.id).flags_count, 1);
    DONE(market, flag(market, &worker_id, &other, STR("Bad.")));
}

static void flag_changes_nothing_else_of_the_job(void **state)
{
    struct market *market = *state;
    struct id      worker_id = market_worker(market);
    struct job     job = market_job(market, 2, 50);
    market_accept(market, &worker_id, &job.id);
    DONE(market, flag(market, &worker_id, &job, STR("Bad.")));
    struct job now = market_job_now(market, &job.id);
    assert_int_equal(now.state, JOB_OPEN);
    assert_int_equal(now.slots_reserved, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        market_test(flag_is_counted_and_told),
        market_test(worker_flags_a_job_once),
        market_test(flag_changes_nothing_else_of_the_job),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
