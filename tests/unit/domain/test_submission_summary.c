#include "domain/submission_summary.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "marketplace.h"

static struct submission_summary summarise(struct market                  *market,
                                           const struct submission_filter *filter)
{
    struct submission_summary summary;
    struct id                 last;
    market_as_buyer(market);
    DONE(market, submission_summarise(&market->call, filter, &summary, &last));
    assert_true(id_is_none(&last));
    return summary;
}

static void counts_states_stars_bytes_and_cents(void **state)
{
    struct market            *market = *state;
    struct submission_filter  any = submission_filter_any();
    struct id                 worker_id = market_worker(market);
    struct job                cheap = market_job(market, 4, 50), dear = market_job(market, 1, 900);
    struct submission         good = market_submit(market, &worker_id, &cheap.id);
    struct submission         best = market_submit(market, &worker_id, &dear.id);
    struct submission         bad = market_submit(market, &worker_id, &cheap.id);
    struct submission         poor = market_submit(market, &worker_id, &cheap.id);
    struct submission_summary summary;
    market_submit(market, &worker_id, &cheap.id);
    market_judge(market, &good, 4);
    market_judge(market, &best, 5);
    market_judge(market, &bad, 1);
    poor = market_judge(market, &poor, 2);
    market_retry(market, &poor);
    summary = summarise(market, &any);
    assert_int_equal(summary.count, 5);
    for (int i = 0; i < SUBMISSION_STATE__COUNT; i++)
        assert_int_equal(summary.by_state[i], i == SUBMISSION_APPROVED ? 2 : 1);
    for (int i = 0; i <= STARS_MAX; i++)
        assert_int_equal(summary.by_stars[i], i == 3 ? 0 : 1);
    assert_int_equal(summary.approved_bytes, good.size_bytes + best.size_bytes);
    assert_int_equal(summary.spent_cents, 50 + 900);
    assert_int_equal(submission_summary_mean(&summary), 3000);
}

static void nothing_sent_counts_nothing(void **state)
{
    struct market            *market = *state;
    struct submission_filter  any = submission_filter_any();
    struct submission_summary summary = summarise(market, &any);
    assert_int_equal(summary.count, 0);
    assert_int_equal(submission_summary_mean(&summary), 0);
}

static void filters_combine(void **state)
{
    struct market           *market = *state;
    struct submission_filter filter = submission_filter_any();
    struct id                worker_id = market_worker(market);
    struct job               job = market_job(market, 3, 50), other = market_job(market, 3, 50);
    struct submission        early = market_submit(market, &worker_id, &job.id);
    market_judge(market, &early, 4);
    market->now_ms += 1000;
    struct submission late = market_submit(market, &worker_id, &job.id);
    market_judge(market, &late, 3);
    market_submit(market, &worker_id, &other.id);
    filter.job_id = job.id;
    assert_int_equal(summarise(market, &filter).count, 2);
    filter.stars_min = 4;
    assert_int_equal(summarise(market, &filter).count, 1);
    filter = submission_filter_any();
    filter.created_from_ms = late.created_ms;
    assert_int_equal(summarise(market, &filter).count, 2);
    filter.created_from_ms = INT64_MIN;
    filter.created_before_ms = late.created_ms;
    assert_int_equal(summarise(market, &filter).count, 1);
    filter = submission_filter_any();
    filter.state = SUBMISSION_PENDING_SCORE;
    assert_int_equal(summarise(market, &filter).count, 1);
}

static void other_organisations_and_environments_are_not_counted(void **state)
{
    struct market            *market = *state;
    struct submission_filter  any = submission_filter_any(), of_job = any;
    struct submission_summary summary;
    struct id                 worker_id = market_worker(market), last;
    struct job                job = market_job(market, 1, 50);
    market_submit(market, &worker_id, &job.id);
    market_as_buyer(market);
    market->actor.environment = ENVIRONMENT_TEST;
    of_job.job_id = job.id;
    DONE(market, submission_summarise(&market->call, &any, &summary, &last));
    assert_int_equal(summary.count, 0);
    DONE(market, submission_summarise(&market->call, &of_job, &summary, &last));
    assert_int_equal(summary.count, 0);
    market_start_at(market, 0);
    assert_int_equal(summarise(market, &any).count, 0);
    assert_int_equal(summarise(market, &of_job).count, 0);
}

/* Copies of one row, so that there are more than a call looks at. */
static void parts_add_up_when_there_are_more_than_one_call_looks_at(void **state)
{
    struct market            *market = *state;
    struct submission_filter  filter = submission_filter_any();
    struct submission_summary first, rest;
    struct id                 worker_id = market_worker(market), last;
    struct job                job = market_job(market, 1, 50);
    struct error              error = { 0 };
    struct submission         row = market_submit(market, &worker_id, &job.id);
    struct stmt              *q = db_query(
                     market->db, "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < $2)"
                                              " INSERT INTO submissions (id, job_id, org_id, environment, worker_id, attempt,"
                                              " status, media_type, size_bytes, sha256, created_ms) SELECT"
                                              " substr(id, 1, 20) || printf('%010d', i), job_id, org_id, environment,"
                                              " worker_id, 1, 'rejected', media_type, size_bytes, sha256, created_ms"
                                              " FROM submissions, n WHERE id = $1");
    bind_id(q, 1, &row.id);
    bind_int(q, 2, PAGE_SCAN_ROWS_MAX + 6);
    assert_int_equal(stmt_run(q, &error, NULL), ERR_OK);
    market->is_broken = true; /* no job asked for so many */
    market_as_buyer(market);
    DONE(market, submission_summarise(&market->call, &filter, &first, &last));
    assert_int_equal(first.count, PAGE_SCAN_ROWS_MAX);
    assert_false(id_is_none(&last));
    filter.before = last;
    DONE(market, submission_summarise(&market->call, &filter, &rest, &last));
    assert_int_equal(first.count + rest.count, PAGE_SCAN_ROWS_MAX + 7);
    assert_true(id_is_none(&last));
}

static void mean_is_rounded_half_up_to_thousandths(void **state)
{
    (void)state;
    struct submission_summary summary = { .count = 4, .by_stars = { 1, 1, 1, 0, 0, 1 } };
    assert_int_equal(submission_summary_mean(&summary), 2667);
    summary = (struct submission_summary){ .count = 2000, .by_stars = { 0, 1999, 1, 0, 0, 0 } };
    assert_int_equal(submission_summary_mean(&summary), 1001); /* 1.0005 */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        market_test(counts_states_stars_bytes_and_cents),
        market_test(nothing_sent_counts_nothing),
        market_test(filters_combine),
        market_test(other_organisations_and_environments_are_not_counted),
        market_test(parts_add_up_when_there_are_more_than_one_call_looks_at),
        market_test(mean_is_rounded_half_up_to_thousandths),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
