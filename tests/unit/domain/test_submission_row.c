#include "domain/submission_row.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "marketplace.h"

enum { ROWS_MAX = 8 };

/* What the acting key finds, checked to be exactly these, in this order. */
static void assert_found(struct market *market, const struct submission_filter *filter,
                         const struct submission *const *expected, int count)
{
    struct submission  rows[ROWS_MAX];
    struct page_search search;
    DONE(market, submission_list(&market->call, filter, ROWS_MAX, rows, &search));
    assert_int_equal(search.count, count);
    assert_false(page_search_is_cut(&search));
    for (int i = 0; i < count; i++)
        assert_true(id_eq(&rows[i].id, &expected[i]->id));
}

#define FOUND(market, filter, ...)                                                                 \
    assert_found((market), (filter), (const struct submission *[]){ __VA_ARGS__ },                 \
                 COUNT_OF(((const struct submission *[]){ __VA_ARGS__ })))

static void worker_sees_own_submissions_only(void **state)
{
    struct market    *market = *state;
    struct id         worker_id = market_worker(market), other_id = market_worker(market);
    struct job        job = market_job(market, 3, 50);
    struct submission first = market_submit(market, &worker_id, &job.id), got, rows[3];
    struct submission second = market_submit(market, &worker_id, &job.id);
    int               count;
    DONE(market, submission_get_own(&market->call, id_str(&first.id), &got));
    DONE(market, submission_list_own(&market->call, &(struct id){ 0 }, 3, rows, &count));
    assert_int_equal(count, 2);
    assert_true(id_eq(&rows[0].id, &second.id) && id_eq(&rows[1].id, &first.id));
    DONE(market, submission_list_own(&market->call, &second.id, 3, rows, &count));
    assert_int_equal(count, 1);
    market_as_worker(market, &other_id);
    REFUSED_UNWRITTEN(market, submission_get_own(&market->call, id_str(&first.id), &got),
                      ERR_NOT_FOUND, "submission");
    DONE(market, submission_list_own(&market->call, &(struct id){ 0 }, 3, rows, &count));
    assert_int_equal(count, 0);
    struct id unknown = id_new(ID_SUBMISSION, market->now_ms);
    REFUSED_UNWRITTEN(market, submission_get_any(&market->call, &unknown, &got), ERR_NOT_FOUND,
                      "submission");
}

static void buyer_sees_the_organisations_submissions_of_its_environment_only(void **state)
{
    struct market           *market = *state;
    struct id                worker_id = market_worker(market);
    struct job               job = market_job(market, 1, 50);
    struct submission        theirs = market_submit(market, &worker_id, &job.id), got;
    struct id                other_org_id = market_organisation(market, 1000);
    struct submission_filter any = submission_filter_any();

    market_as_buyer(market);
    DONE(market, submission_get(&market->call, id_str(&theirs.id), &got));
    FOUND(market, &any, &theirs);
    market->actor.environment = ENVIRONMENT_TEST;
    REFUSED_UNWRITTEN(market, submission_get(&market->call, id_str(&theirs.id), &got),
                      ERR_NOT_FOUND, "submission");
    assert_found(market, &any, NULL, 0);
    any.job_id = job.id;
    assert_found(market, &any, NULL, 0);
    any = submission_filter_any();
    market->actor.environment = ENVIRONMENT_LIVE;
    market->actor.org_id = other_org_id;
    REFUSED_UNWRITTEN(market, submission_get(&market->call, id_str(&theirs.id), &got),
                      ERR_NOT_FOUND, "submission");
    assert_found(market, &any, NULL, 0);
    any.job_id = job.id;
    assert_found(market, &any, NULL, 0);
    REFUSED_UNWRITTEN(market, submission_get(&market->call, STR("sub_x"), &got), ERR_NOT_FOUND,
                      "submission");
}

static void list_is_newest_first_across_jobs_and_filters_combine(void **state)
{
    struct market    *market = *state;
    struct id         worker_id = market_worker(market);
    struct job        job = market_job(market, 3, 50), other_job = market_job(market, 3, 50);
    struct submission poor = market_submit(market, &worker_id, &job.id);
    market->now_ms += 1000;
    struct submission good = market_submit(market, &worker_id, &other_job.id);
    market->now_ms += 1000;
    struct submission waiting = market_submit(market, &worker_id, &job.id);
    market_judge(market, &poor, 2);
    market_judge(market, &good, 4);
    market_as_buyer(market);

    struct submission_filter filter = submission_filter_any();
    FOUND(market, &filter, &waiting, &good, &poor);
    filter.before = waiting.id;
    FOUND(market, &filter, &good, &poor);
    filter.stars_min = 3;
    FOUND(market, &filter, &good);

    filter = submission_filter_any();
    filter.job_id = job.id;
    FOUND(market, &filter, &waiting, &poor);
    filter.stars_min = 1; /* what has no stars yet is left out */
    FOUND(market, &filter, &poor);
    filter.state = SUBMISSION_APPROVED;
    assert_found(market, &filter, NULL, 0);

    filter = submission_filter_any();
    filter.created_from_ms = good.created_ms;
    FOUND(market, &filter, &waiting, &good);
    filter.created_before_ms = waiting.created_ms;
    FOUND(market, &filter, &good);
    filter.created_before_ms = filter.created_from_ms;
    assert_found(market, &filter, NULL, 0);
}

static void list_stops_at_the_rows_asked_for(void **state)
{
    struct market           *market = *state;
    struct id                worker_id = market_worker(market);
    struct job               job = market_job(market, 3, 50);
    struct submission        rows[2];
    struct page_search       search;
    struct submission_filter any = submission_filter_any();
    for (int i = 0; i < 3; i++)
        market_submit(market, &worker_id, &job.id);
    market_as_buyer(market);
    DONE(market, submission_list(&market->call, &any, 2, rows, &search));
    assert_int_equal(search.count, 2);
    assert_true(id_eq(&search.last_seen, &rows[1].id));
}

/* Copies of one row, older than any that a test makes. */
static void fill(struct market *market, const struct submission *model, int count)
{
    struct error error = { 0 };
    struct stmt *q = db_query(
        market->db, "WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers"
                    " WHERE n < $2) INSERT INTO submissions (id, job_id, org_id, environment,"
                    " worker_id, attempt, status, media_type, size_bytes, sha256, created_ms)"
                    " SELECT printf('sub_00000000000000000000%06d', n), job_id, org_id,"
                    " environment, worker_id, attempt, 'pending_score', media_type, size_bytes,"
                    " sha256, created_ms FROM submissions, numbers WHERE id = $1");
    bind_id(q, 1, &model->id);
    bind_int(q, 2, count);
    if (stmt_run(q, &error, NULL)) fail_msg("%s: %s", error.slug, error.detail);
}

static void search_is_cut_after_so_many_rows_and_goes_on_behind_the_last(void **state)
{
    struct market           *market = *state;
    struct id                worker_id = market_worker(market);
    struct job               job = market_job(market, 1, 50);
    struct submission        newest = market_submit(market, &worker_id, &job.id), row;
    struct page_search       search;
    struct submission_filter filter = submission_filter_any();
    market->is_broken = true; /* more submissions than the job has slots */
    fill(market, &newest, PAGE_SCAN_ROWS_MAX);
    filter.state = SUBMISSION_APPROVED;
    market_as_buyer(market);
    DONE(market, submission_list(&market->call, &filter, 1, &row, &search));
    assert_int_equal(search.count, 0);
    assert_true(page_search_is_cut(&search));
    assert_string_equal(search.last_seen.text, "sub_00000000000000000000000002");
    filter.before = search.last_seen;
    DONE(market, submission_list(&market->call, &filter, 1, &row, &search));
    assert_int_equal(search.seen_count, 1);
    assert_false(page_search_is_cut(&search));
}

static void every_state_has_a_name_that_reads_back(void **state)
{
    (void)state;
    enum submission_state read;
    for (int i = 0; i < SUBMISSION_STATE__COUNT; i++) {
        const char *name = submission_state_name((enum submission_state)i);
        assert_true(submission_state_parse(str_of(name), &read));
        assert_int_equal(read, i);
    }
    assert_false(submission_state_parse(STR("Approved"), &read));
    assert_false(submission_state_parse(STR(""), &read));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        market_test(worker_sees_own_submissions_only),
        market_test(buyer_sees_the_organisations_submissions_of_its_environment_only),
        market_test(list_is_newest_first_across_jobs_and_filters_combine),
        market_test(list_stops_at_the_rows_asked_for),
        market_test(search_is_cut_after_so_many_rows_and_goes_on_behind_the_last),
        cmocka_unit_test(every_state_has_a_name_that_reads_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
