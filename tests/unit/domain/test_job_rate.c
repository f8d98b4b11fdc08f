#include "domain/job.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "marketplace.h"

static struct job completed_job(struct market *market)
{
    struct id         worker_id = market_worker(market);
    struct job        job = market_job(market, 1, 50);
    struct submission submission = market_submit(market, &worker_id, &job.id);
    market_judge(market, &submission, 5);
    market_as_buyer(market);
    return market_job_now(market, &job.id);
}

static void rating_is_kept_with_the_job(void **state)
{
    struct market *market = *state;
    struct job     job = completed_job(market), rated;
    assert_int_equal(job.rating, 0);
    DONE(market, job_rate(&market->call, id_str(&job.id), 4, STR("Good, but dark."), &rated));
    assert_int_equal(rated.rating, 4);
    job = market_job_now(market, &job.id);
    assert_int_equal(job.rating, 4);
    assert_true(str_eq(job.rating_comment, STR("Good, but dark.")));
}

static void rating_needs_no_comment(void **state)
{
    struct market *market = *state;
    struct job     job = completed_job(market), rated;
    DONE(market, job_rate(&market->call, id_str(&job.id), 1, STR_NONE, &rated));
    assert_null(market_job_now(market, &job.id).rating_comment.data);
}

static void job_is_rated_once(void **state)
{
    struct market *market = *state;
    struct job     job = completed_job(market), rated;
    DONE(market, job_rate(&market->call, id_str(&job.id), 4, STR_NONE, &rated));
    REFUSED_UNWRITTEN(market, job_rate(&market->call, id_str(&job.id), 5, STR_NONE, &rated),
                      ERR_CONFLICT, "already_rated");
    assert_int_equal(market_job_now(market, &job.id).rating, 4);
}

static void only_a_completed_job_is_rated(void **state)
{
    struct market *market = *state;
    struct job     open = market_job(market, 1, 50), gone = market_job(market, 1, 50), rated;
    market_cancel(market, &gone.id);
    REFUSED_UNWRITTEN(market, job_rate(&market->call, id_str(&open.id), 5, STR_NONE, &rated),
                      ERR_CONFLICT, "job_not_completed");
    REFUSED_UNWRITTEN(market, job_rate(&market->call, id_str(&gone.id), 5, STR_NONE, &rated),
                      ERR_CONFLICT, "job_not_completed");
}

static void other_organisations_do_not_rate_it(void **state)
{
    struct market *market = *state;
    struct job     job = completed_job(market), rated;
    market_start_at(market, 0);
    REFUSED_UNWRITTEN(market, job_rate(&market->call, id_str(&job.id), 5, STR_NONE, &rated),
                      ERR_NOT_FOUND, "job");
}

static void job_as_created_is_neither_rated_nor_flagged(void **state)
{
    struct market *market = *state;
    struct job     job = completed_job(market), rated;
    DONE(market, job_rate(&market->call, id_str(&job.id), 4, STR("Good."), &rated));
    rated.flags_count = 1;
    rated.flag_reason = STR("Bad.");
    rated.is_past_deadline = true;
    job_as_created(&rated);
    assert_int_equal(rated.rating + rated.flags_count, 0);
    assert_true(rated.rating_comment.data == NULL && rated.flag_reason.data == NULL);
    assert_int_equal(job_state_now(&rated), JOB_OPEN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        market_test(rating_is_kept_with_the_job),
        market_test(rating_needs_no_comment),
        market_test(job_is_rated_once),
        market_test(only_a_completed_job_is_rated),
        market_test(other_organisations_do_not_rate_it),
        market_test(job_as_created_is_neither_rated_nor_flagged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
