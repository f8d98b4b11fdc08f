#include "domain/job.h"

#include "base/num.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "../expect_abort.h"
#include "marketplace.h"

static int64_t refunds_count(struct market *market, const struct id *job_id)
{
    return market_int_of(
        market, "SELECT count(*) FROM transfers WHERE job_id = $1 AND kind = 'refund'", job_id);
}

static int64_t refunds_cents(struct market *market, const struct id *job_id)
{
    return market_int_of(market,
                         "SELECT coalesce(sum(amount_cents), 0) FROM transfers WHERE job_id = $1"
                         " AND kind = 'refund'",
                         job_id);
}

/* --- creating --- */

static void create_fills_in_what_was_not_asked(void **state)
{
    struct market *market = *state;
    struct job     job = market_job(market, 4, 50);
    assert_false(id_is_none(&job.id));
    assert_true(id_eq(&job.org_id, &market->org_id));
    assert_int_equal(job.environment, ENVIRONMENT_LIVE);
    assert_int_equal(job.state, JOB_OPEN);
    assert_int_equal(job.fee_ppm, 200000);
    assert_int_equal(job.payout_cents, 40);
    assert_int_equal(job.escrow_cents, 200);
    assert_int_equal(job.created_ms, id_time_ms(&job.id));
    assert_int_equal(job.files_approved + job.files_pending + job.slots_reserved, 0);
}

static void create_is_read_back_as_it_was_asked(void **state)
{
    struct market *market = *state;
    struct job     asked = market_job_asked(3, 7), job;
    asked.type = JOB_FEEDBACK;
    asked.title = STR("Ein Titel – ü");
    asked.scoring_criteria = STR("");
    asked.metadata = STR("{\"b\":1,\"a\":[null]}");
    asked.min_stars = 5;
    asked.min_width = 640;
    asked.min_height = 480;
    asked.has_min_duration = true;
    asked.min_duration_ms = 1500;
    asked.max_duration_ms = 1500;
    asked.max_files_per_worker = 2;
    DONE(market, job_create(&market->call, &asked));
    DONE(market, job_get(&market->call, id_str(&asked.id), &job));
    assert_int_equal(job.type, JOB_FEEDBACK);
    assert_true(str_eq(job.title, asked.title));
    assert_non_null(job.scoring_criteria.data); /* empty, not absent */
    assert_int_equal(job.scoring_criteria.len, 0);
    assert_null(job.worker_guidelines.data);
    assert_true(str_eq(job.metadata, asked.metadata));
    assert_true(str_eq(job.formats_text, asked.formats_text));
    assert_int_equal(job.formats, BIT(MEDIA_JPEG) | BIT(MEDIA_PNG));
    assert_int_equal(job.min_stars, 5);
    assert_int_equal(job.min_width, 640);
    assert_int_equal(job.min_height, 480);
    assert_int_equal(job.min_duration_ms, 1500);
    assert_int_equal(job.max_duration_ms, 1500);
    assert_int_equal(job.max_files_per_worker, 2);
    assert_int_equal(job.escrow_cents, 21);
}

static void minimum_of_zero_is_not_none(void **state)
{
    struct market *market = *state;
    struct job     asked = market_job_asked(1, 7), none = market_job_asked(1, 7), job;
    asked.has_min_duration = true;
    DONE(market, job_create(&market->call, &asked));
    DONE(market, job_create(&market->call, &none));
    DONE(market, job_get(&market->call, id_str(&asked.id), &job));
    assert_true(job.has_min_duration);
    assert_int_equal(job.min_duration_ms, 0);
    DONE(market, job_get(&market->call, id_str(&none.id), &job));
    assert_false(job.has_min_duration);
}

static void create_without_the_money_leaves_nothing(void **state)
{
    struct market *market = *state;
    struct job     job = market_job_asked(1001, 100);
    REFUSED(market, job_create(&market->call, &job), ERR_UNPAID, "insufficient_credits");
    assert_int_equal(market_int(market, "SELECT count(*) FROM jobs"), 0);
    assert_int_equal(market_int(market, "SELECT count(*) FROM job_lots"), 0);
    assert_int_equal(market_int(market, "SELECT count(*) FROM transfers WHERE kind = 'deduction'"),
                     0);
    assert_int_equal(market_balance(market).balance_cents, MARKET_CREDITS_CENTS);
    assert_int_equal(market_balance(market).held_cents, 0);
}

static void create_refuses_a_total_that_does_not_fit(void **state)
{
    struct market *market = *state;
    struct job     job = market_job_asked(4, INT64_MAX / 4 + 1);
    REFUSED_UNWRITTEN(market, job_create(&market->call, &job), ERR_UNPROCESSABLE, "body_invalid");
    assert_int_equal(market->call.error.faults_count, 1);
    assert_string_equal(market->call.error.faults->field, "files_needed");
    job = market_job_asked(1, INT64_MAX); /* fits: then it is a question of money */
    REFUSED(market, job_create(&market->call, &job), ERR_UNPAID, "insufficient_credits");
}

static void create_refuses_a_maximum_below_its_minimum(void **state)
{
    struct market *market = *state;
    struct job     job = market_job_asked(1, 1);
    job.min_duration_ms = 2001;
    job.max_duration_ms = 2000;
    REFUSED_UNWRITTEN(market, job_create(&market->call, &job), ERR_UNPROCESSABLE, "body_invalid");
    assert_string_equal(market->call.error.faults->field, "max_duration_seconds");
}

static void create_reports_both_faults_at_once(void **state)
{
    struct market *market = *state;
    struct job     job = market_job_asked(3, INT64_MAX / 2);
    job.min_duration_ms = 2;
    job.max_duration_ms = 1;
    REFUSED_UNWRITTEN(market, job_create(&market->call, &job), ERR_UNPROCESSABLE, "body_invalid");
    assert_int_equal(market->call.error.faults_count, 2);
}

static void fee_is_frozen_when_the_job_is_created(void **state)
{
    struct market  *market = *state;
    struct settings settings = { .has_fee = true, .fee_ppm = 100000 };
    struct job      before = market_job(market, 1, 100);
    DONE(market, settings_put(&market->call, &settings));
    struct job own = market_job(market, 1, 100);
    market->config.platform_fee_ppm = 500000;
    assert_int_equal(market_job_now(market, &before.id).payout_cents, 80);
    assert_int_equal(market_job_now(market, &own.id).payout_cents, 90);
    settings.has_fee = false;
    DONE(market, settings_put(&market->call, &settings));
    assert_int_equal(market_job(market, 1, 100).payout_cents, 50);
}

static void fee_set_to_nothing_differs_from_no_fee_set(void **state)
{
    struct market  *market = *state;
    struct settings settings = { .has_fee = true, .fee_ppm = 0 };
    DONE(market, settings_put(&market->call, &settings));
    assert_int_equal(market_job(market, 1, 100).payout_cents, 100);
}

/* --- reading --- */

static void job_of_another_tenant_or_world_is_not_found(void **state)
{
    struct market *market = *state;
    struct job     job = market_job(market, 1, 1), got;
    market->actor.environment = ENVIRONMENT_TEST;
    REFUSED_UNWRITTEN(market, job_get(&market->call, id_str(&job.id), &got), ERR_NOT_FOUND, "job");
    REFUSED_UNWRITTEN(market, job_cancel(&market->call, id_str(&job.id), &got), ERR_NOT_FOUND,
                      "job");
    market->org_id = market_organisation(market, 0);
    market_as_buyer(market);
    REFUSED_UNWRITTEN(market, job_get(&market->call, id_str(&job.id), &got), ERR_NOT_FOUND, "job");
    REFUSED_UNWRITTEN(market, job_cancel(&market->call, id_str(&job.id), &got), ERR_NOT_FOUND,
                      "job");
}

static void job_with_a_malformed_id_is_not_found(void **state)
{
    struct market   *market = *state;
    struct job       got;
    struct id        unknown = id_new(ID_JOB, market->now_ms), foreign = market->org_id;
    const struct str ids[] = {
        id_str(&unknown), id_str(&foreign), STR(""), STR("job_"), STR("job_'; DROP TABLE jobs; --"),
        STR_NONE
    };
    for (size_t i = 0; i < COUNT_OF(ids); i++) {
        REFUSED_UNWRITTEN(market, job_get(&market->call, ids[i], &got), ERR_NOT_FOUND, "job");
        REFUSED_UNWRITTEN(market, job_get_live(&market->call, ids[i], &got), ERR_NOT_FOUND, "job");
        REFUSED_UNWRITTEN(market, job_cancel(&market->call, ids[i], &got), ERR_NOT_FOUND, "job");
    }
}

static void workers_find_live_jobs_only(void **state)
{
    struct market *market = *state;
    struct job     job = market_job_asked(1, 1), got;
    market->actor.environment = ENVIRONMENT_TEST;
    DONE(market, job_create(&market->call, &job));
    REFUSED_UNWRITTEN(market, job_get_live(&market->call, id_str(&job.id), &got), ERR_NOT_FOUND,
                      "job");
    DONE(market, job_get_any(&market->call, &job.id, &got));
}

static void list_is_newest_first_and_filters_combine(void **state)
{
    struct market     *market = *state;
    struct job         jobs[4], rows[4];
    struct page_search search;
    struct job_filter  filter = { .state = JOB_STATE__COUNT, .type = JOB_TYPE__COUNT };
    for (int i = 0; i < 4; i++) {
        jobs[i] = market_job(market, 1, 1 + i);
    }
    market_cancel(market, &jobs[1].id);
    DONE(market, job_list(&market->call, &filter, 4, rows, &search));
    assert_int_equal(search.count, 4);
    for (int i = 0; i < 4; i++) {
        assert_true(id_eq(&rows[i].id, &jobs[3 - i].id));
    }
    assert_false(page_search_is_cut(&search));
    filter.state = JOB_CANCELLED;
    DONE(market, job_list(&market->call, &filter, 4, rows, &search));
    assert_int_equal(search.count, 1);
    assert_true(id_eq(&rows[0].id, &jobs[1].id));
    filter.type = JOB_FEEDBACK;
    DONE(market, job_list(&market->call, &filter, 4, rows, &search));
    assert_int_equal(search.count, 0);
    filter = (struct job_filter){ JOB_STATE__COUNT, JOB_TYPE__COUNT, jobs[1].id, jobs[3].id };
    DONE(market, job_list(&market->call, &filter, 4, rows, &search));
    assert_int_equal(search.count, 2); /* from inclusive, before exclusive */
    assert_true(id_eq(&rows[0].id, &jobs[2].id));
    assert_true(id_eq(&rows[1].id, &jobs[1].id));
}

static void feed_shows_open_live_jobs_by_time_or_pay(void **state)
{
    struct market     *market = *state;
    struct job         rows[4], cheap = market_job(market, 1, 10), dear = market_job(market, 1, 90);
    struct job         middle = market_job(market, 1, 50), gone = market_job(market, 1, 99);
    struct page_search search;
    market_cancel(market, &gone.id);
    struct job_feed feed = { .is_best_paid_first = true };
    DONE(market, job_feed(&market->call, &feed, 4, rows, &search));
    assert_int_equal(search.count, 3);
    assert_true(id_eq(&rows[0].id, &dear.id) && id_eq(&rows[2].id, &cheap.id));
    feed.before = rows[0].id;
    feed.before_payout_cents = rows[0].payout_cents;
    DONE(market, job_feed(&market->call, &feed, 1, rows, &search));
    assert_true(search.count == 1 && id_eq(&rows[0].id, &middle.id));
    feed = (struct job_feed){ 0 };
    DONE(market, job_feed(&market->call, &feed, 4, rows, &search));
    assert_int_equal(search.count, 3);
    assert_true(id_eq(&rows[0].id, &middle.id) && id_eq(&rows[2].id, &cheap.id));
}

static void feed_leaves_out_what_is_full_for_the_worker(void **state)
{
    struct market     *market = *state;
    struct id          holder_id = market_worker(market), other_id = market_worker(market);
    struct job         rows[2], full = market_job(market, 1, 90), open = market_job(market, 1, 10);
    struct reservation held = market_accept(market, &holder_id, &full.id);
    struct page_search search;
    struct job_feed    feed = { .is_best_paid_first = true };
    DONE(market, job_feed(&market->call, &feed, 2, rows, &search));
    assert_int_equal(search.count, 2);
    market_as_worker(market, &other_id);
    DONE(market, job_feed(&market->call, &feed, 2, rows, &search));
    assert_int_equal(search.count, 1);
    assert_true(id_eq(&rows[0].id, &open.id));
    market->now_ms = held.expires_ms;
    DONE(market, job_feed(&market->call, &feed, 2, rows, &search));
    assert_int_equal(search.count, 2);
}

/* Many copies of a job that pay more than any that a test makes; their ids end with 1, 2, 3. */
struct copies {
    const char *prefix; /* of their ids */
    int         count;
    int64_t     needed, pending, reserved, files_per_worker;
};

static const char OLDER[] = "00000000000000000000", NEWER[] = "7ZZZZZZZZZZZZZZZZZZZ";

static void fill_with_copies(struct market *market, const struct job *model,
                             const struct copies *copies)
{
    struct error error = { 0 };
    struct stmt *q = db_query(
        market->db, "WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers"
                    " WHERE n < $2) INSERT INTO jobs (id, org_id, environment, type, description,"
                    " files_needed, formats, price_cents, fee_ppm, payout_cents, metadata,"
                    " min_stars, created_ms, status, files_approved, files_pending,"
                    " slots_reserved, escrow_cents, max_files_per_worker)"
                    " SELECT printf('job_%s%06d', $3, n), org_id, environment, type, description,"
                    " $4, formats, 1000, 0, 1000, metadata, min_stars, created_ms,"
                    " 'open', 0, $5, $6, 0, $7 FROM jobs, numbers WHERE id = $1");
    bind_id(q, 1, &model->id);
    bind_int(q, 2, copies->count);
    bind_text(q, 3, str_of(copies->prefix));
    bind_int(q, 4, copies->needed);
    bind_int(q, 5, copies->pending);
    bind_int(q, 6, copies->reserved);
    bind_nonzero(q, 7, copies->files_per_worker);
    if (stmt_run(q, &error, NULL)) fail_msg("%s: %s", error.slug, error.detail);
    market->is_broken = true; /* their money and files are nowhere */
}

/* A file of the worker for every job that takes only so many of one. */
static void fill_with_files(struct market *market, const struct id *worker_id)
{
    struct error error = { 0 };
    struct stmt *q =
        db_query(market->db, "INSERT INTO submissions (id, job_id, org_id, environment, worker_id,"
                             " attempt, status, media_type, size_bytes, sha256, created_ms)"
                             " SELECT 'sub_' || substr(id, 5), id, org_id, environment, $1, 1,"
                             " 'pending_score', 0, 1, '', created_ms FROM jobs"
                             " WHERE max_files_per_worker IS NOT NULL");
    bind_id(q, 1, worker_id);
    if (stmt_run(q, &error, NULL)) fail_msg("%s: %s", error.slug, error.detail);
}

/* A held slot for every job that has one reserved, the next expiring a millisecond later. */
static void fill_with_reservations(struct market *market, const struct id *worker_id)
{
    struct error error = { 0 };
    struct stmt *q =
        db_query(market->db, "INSERT INTO reservations (id, job_id, worker_id, submission_id,"
                             " attempt, state, accepted_ms, renewed_ms, expires_ms)"
                             " SELECT 'rsv_' || substr(id, 5), id, $1, 'sub_' || substr(id, 5),"
                             " 1, 'held', $2, $2, $2 + CAST(substr(id, -6) AS BIGINT)"
                             " FROM jobs WHERE slots_reserved > 0");
    bind_id(q, 1, worker_id);
    bind_int(q, 2, market->now_ms);
    if (stmt_run(q, &error, NULL)) fail_msg("%s: %s", error.slug, error.detail);
}

/* What the store has done for all statements of the connection, in steps of its machine. */
static int64_t steps_done(struct market *market)
{
    return market_int(market, "SELECT sum(nstep) FROM sqlite_stmt");
}

static void feed_does_not_read_full_jobs(void **state)
{
    struct market      *market = *state;
    struct id           worker_id = market_worker(market);
    struct job          open = market_job(market, 1, 10), row;
    struct page_search  search;
    const struct copies full = { .prefix = NEWER, .count = 2000, .needed = 1, .pending = 1 };
    fill_with_copies(market, &open, &full);
    market_as_worker(market, &worker_id);
    for (int best_paid = 0; best_paid < 2; best_paid++) {
        struct job_feed feed = { .is_best_paid_first = best_paid };
        int64_t         steps_before = steps_done(market);
        DONE(market, job_feed(&market->call, &feed, 1, &row, &search));
        assert_in_range(steps_done(market) - steps_before, 1, full.count);
        assert_true(search.count == 1 && id_eq(&row.id, &open.id));
        assert_false(page_search_is_cut(&search));
    }
}

static void feed_is_cut_after_so_many_jobs_and_goes_on_behind_the_last(void **state)
{
    struct market      *market = *state;
    struct id           worker_id = market_worker(market);
    struct job          open = market_job(market, 1, 10), row;
    struct page_search  search;
    struct job_feed     feed = { .is_best_paid_first = true };
    const struct copies his = { OLDER, FEED_SCAN_ROWS_MAX + 1, 2, 1, 0, 1 };
    fill_with_copies(market, &open, &his);
    fill_with_files(market, &worker_id);
    market_as_worker(market, &worker_id);
    DONE(market, job_feed(&market->call, &feed, 1, &row, &search));
    assert_int_equal(search.count, 0);
    assert_true(page_search_is_cut(&search));
    assert_string_equal(search.last_seen.text, "job_00000000000000000000000002");
    assert_int_equal(search.last_key, 1000);
    feed.before = search.last_seen;
    feed.before_payout_cents = search.last_key;
    DONE(market, job_feed(&market->call, &feed, 1, &row, &search));
    assert_int_equal(search.count, 1);
    assert_true(id_eq(&row.id, &open.id));
}

static void feed_has_the_slots_that_lapsed_first_when_very_many_wait_for_the_sweeper(void **state)
{
    struct market      *market = *state;
    struct id           holder_id = market_worker(market), worker_id = market_worker(market);
    struct job          open = market_job(market, 1, 10), row;
    struct page_search  search;
    struct job_feed     feed = { 0 };
    int                 lapsed;
    const struct copies held = { NEWER, FEED_SCAN_ROWS_MAX + 1, 1, 0, 1, 0 };
    fill_with_copies(market, &open, &held);
    fill_with_reservations(market, &holder_id);
    market_as_worker(market, &worker_id);
    DONE(market, job_feed(&market->call, &feed, 1, &row, &search));
    assert_true(id_eq(&row.id, &open.id));
    market->now_ms += held.count;
    DONE(market, job_feed(&market->call, &feed, 1, &row, &search));
    assert_string_equal(row.id.text, "job_7ZZZZZZZZZZZZZZZZZZZ001000");
    DONE(market, reservation_lapse_all_due(&market->call, 1, &lapsed));
    DONE(market, job_feed(&market->call, &feed, 1, &row, &search));
    assert_string_equal(row.id.text, "job_7ZZZZZZZZZZZZZZZZZZZ001001");
}

/* --- states --- */

static void job_completes_exactly_with_its_last_approval(void **state)
{
    struct market *market = *state;
    struct id      worker_id = market_worker(market);
    struct job     job = market_job(market, 3, 50);
    for (int i = 1; i <= 3; i++) {
        struct submission submission = market_submit(market, &worker_id, &job.id);
        market->now_ms++;
        market_judge(market, &submission, 3);
        job = market_job_now(market, &job.id);
        assert_int_equal(job.state, i < 3 ? JOB_IN_PROGRESS : JOB_COMPLETED);
        assert_int_equal(job.completed_ms, i < 3 ? 0 : market->now_ms);
        assert_int_equal(job.escrow_cents, 50 * (3 - i));
    }
}

static void job_of_one_file_goes_from_open_to_completed(void **state)
{
    struct market    *market = *state;
    struct id         worker_id = market_worker(market);
    struct job        job = market_job(market, 1, 50);
    struct submission submission = market_submit(market, &worker_id, &job.id);
    assert_int_equal(market_job_now(market, &job.id).state, JOB_OPEN);
    market_judge(market, &submission, 3);
    assert_int_equal(market_job_now(market, &job.id).state, JOB_COMPLETED);
}

static void job_stays_open_through_rejections(void **state)
{
    struct market    *market = *state;
    struct id         worker_id = market_worker(market);
    struct job        job = market_job(market, 1, 50);
    struct submission submission = market_submit(market, &worker_id, &job.id);
    market_judge(market, &submission, 2);
    job = market_job_now(market, &job.id);
    assert_int_equal(job.state, JOB_OPEN);
    assert_int_equal(job_slots_free(&job), 1);
    assert_int_equal(job.escrow_cents, 50);
}

static void states_move_only_along_the_map(void **state)
{
    struct market *market = *state;
    static const struct {
        enum job_state from, to;
    } forbidden[] = {
        { JOB_COMPLETED, JOB_CANCELLED },   { JOB_CANCELLED, JOB_COMPLETED },
        { JOB_CANCELLED, JOB_IN_PROGRESS }, { JOB_COMPLETED, JOB_OPEN },
        { JOB_IN_PROGRESS, JOB_OPEN },      { JOB_OPEN, JOB_OPEN },
    };
    for (size_t i = 0; i < COUNT_OF(forbidden); i++) {
        struct job job = { .state = forbidden[i].from };
        assert_aborts(job_set_state(&market->call, &job, forbidden[i].to));
    }
}

static void job_as_created_forgets_what_happened(void **state)
{
    struct market    *market = *state;
    struct id         worker_id = market_worker(market);
    struct job        job = market_job(market, 1, 50);
    struct submission submission = market_submit(market, &worker_id, &job.id);
    market_judge(market, &submission, 3);
    struct job now = market_job_now(market, &job.id);
    job_as_created(&now);
    assert_int_equal(now.state, JOB_OPEN);
    assert_int_equal(now.files_approved, 0);
    assert_int_equal(now.completed_ms, 0);
    assert_true(str_eq(now.description, job.description));
}

/* --- cancelling --- */

static void cancel_of_an_untouched_job_refunds_all_of_it(void **state)
{
    struct market *market = *state;
    struct job     job = market_job(market, 4, 50);
    market->now_ms += 5;
    job = market_cancel(market, &job.id);
    assert_int_equal(job.state, JOB_CANCELLED);
    assert_int_equal(job.cancelled_ms, market->now_ms);
    assert_int_equal(job.escrow_cents, 0);
    assert_int_equal(refunds_count(market, &job.id), 1);
    assert_int_equal(market_balance(market).balance_cents, MARKET_CREDITS_CENTS);
}

static void end_of_a_job_is_noted_for_after_the_commit(void **state)
{
    struct market *market = *state;
    struct job     cancelled = market_job(market, 4, 50), completed = market_job(market, 1, 50);
    struct call   *call = &market->call;
    call_begin(call, call->db, market->now_ms, &call->actor);
    assert_null(call->ended_jobs);
    job_set_state(call, &completed, JOB_IN_PROGRESS);
    assert_null(call->ended_jobs);
    job_set_state(call, &completed, JOB_COMPLETED);
    job_set_state(call, &cancelled, JOB_CANCELLED);
    assert_non_null(call->ended_jobs);
    assert_true(id_eq(&call->ended_jobs->id, &cancelled.id));
    assert_true(id_eq(&call->ended_jobs->next->id, &completed.id));
    assert_null(call->ended_jobs->next->next);
}

static void cancel_refunds_what_is_neither_approved_nor_pending(void **state)
{
    struct market    *market = *state;
    struct id         worker_id = market_worker(market), other_id = market_worker(market);
    struct job        job = market_job(market, 6, 50);
    struct submission approved = market_submit(market, &worker_id, &job.id);
    struct submission rejected = market_submit(market, &worker_id, &job.id);
    market_judge(market, &approved, 5);
    market_judge(market, &rejected, 2);
    market_submit(market, &worker_id, &job.id); /* pending */
    market_submit(market, &worker_id, &job.id); /* pending */
    struct reservation held = market_accept(market, &other_id, &job.id);
    job = market_cancel(market, &job.id);
    assert_int_equal(refunds_count(market, &job.id), 1);
    assert_int_equal(refunds_cents(market, &job.id), 50 * 3);
    assert_int_equal(job.escrow_cents, 50 * 2);
    assert_int_equal(job.slots_reserved, 0);
    assert_int_equal(market_reservation_now(market, &held).state, RESERVATION_RELEASED);
}

static void cancel_with_everything_pending_writes_no_refund(void **state)
{
    struct market    *market = *state;
    struct id         worker_id = market_worker(market);
    struct job        job = market_job(market, 2, 50);
    struct submission first = market_submit(market, &worker_id, &job.id);
    struct submission second = market_submit(market, &worker_id, &job.id);
    market_cancel(market, &job.id);
    assert_int_equal(refunds_count(market, &job.id), 0);
    market_judge(market, &first, 2);
    assert_int_equal(refunds_count(market, &job.id), 1);
    market_judge(market, &second, 2);
    assert_int_equal(refunds_count(market, &job.id), 2);
    assert_int_equal(refunds_cents(market, &job.id), 100);
    assert_int_equal(market_int(market, "SELECT count(DISTINCT once) FROM transfers"
                                        " WHERE kind = 'refund' AND once LIKE 'refund:sub_%'"),
                     2);
}

static void pending_work_of_a_cancelled_job_is_paid_when_approved(void **state)
{
    struct market    *market = *state;
    struct id         worker_id = market_worker(market);
    struct job        job = market_job(market, 2, 50);
    struct submission submission = market_submit(market, &worker_id, &job.id);
    market_cancel(market, &job.id);
    submission = market_judge(market, &submission, 3);
    assert_int_equal(submission.state, SUBMISSION_APPROVED);
    assert_int_equal(submission.paid_cents, 40);
    job = market_job_now(market, &job.id);
    assert_int_equal(job.state, JOB_CANCELLED);
    assert_int_equal(job.files_approved, 1);
    assert_int_equal(job.escrow_cents, 0);
    assert_int_equal(refunds_cents(market, &job.id), 50);
}

static void cancelled_job_whose_last_file_is_approved_stays_cancelled(void **state)
{
    struct market    *market = *state;
    struct id         worker_id = market_worker(market);
    struct job        job = market_job(market, 1, 50);
    struct submission submission = market_submit(market, &worker_id, &job.id);
    market_cancel(market, &job.id);
    market_judge(market, &submission, 3);
    job = market_job_now(market, &job.id);
    assert_int_equal(job.files_approved, job.files_needed);
    assert_int_equal(job.state, JOB_CANCELLED);
    assert_int_equal(job.completed_ms, 0);
}

static void cancel_is_refused_once_cancelled_or_completed(void **state)
{
    struct market *market = *state;
    struct id      worker_id = market_worker(market);
    struct job     got, cancelled = market_job(market, 1, 50), done = market_job(market, 1, 50);
    market_cancel(market, &cancelled.id);
    struct submission submission = market_submit(market, &worker_id, &done.id);
    market_judge(market, &submission, 5);
    market_as_buyer(market);
    REFUSED_UNWRITTEN(market, job_cancel(&market->call, id_str(&cancelled.id), &got), ERR_CONFLICT,
                      "job_not_cancellable");
    REFUSED_UNWRITTEN(market, job_cancel(&market->call, id_str(&done.id), &got), ERR_CONFLICT,
                      "job_not_cancellable");
    assert_int_equal(refunds_count(market, &cancelled.id), 1);
    assert_int_equal(refunds_count(market, &done.id), 0);
}

static void cancel_puts_a_waiting_retry_back_to_rejected(void **state)
{
    struct market    *market = *state;
    struct id         worker_id = market_worker(market);
    struct job        job = market_job(market, 1, 50);
    struct submission submission = market_submit(market, &worker_id, &job.id);
    submission = market_judge(market, &submission, 2);
    market_retry(market, &submission);
    job = market_cancel(market, &job.id);
    assert_int_equal(refunds_cents(market, &job.id), 50);
    submission = market_submission_now(market, &submission.id);
    assert_int_equal(submission.state, SUBMISSION_REJECTED);
    assert_int_equal(submission.stars, 2);
    struct reservation reservation;
    market_as_worker(market, &worker_id);
    REFUSED_UNWRITTEN(market,
                      submission_retry(&market->call, id_str(&submission.id),
                                       &(struct whereabouts){ 0 }, &reservation),
                      ERR_CONFLICT, "job_closed");
}

static void state_and_type_names_are_read_back(void **state)
{
    (void)state;
    for (int i = 0; i < JOB_STATE__COUNT; i++) {
        enum job_state got;
        assert_true(job_state_parse(str_of(job_state_name((enum job_state)i)), &got));
        assert_int_equal(got, i);
    }
    for (int i = 0; i < JOB_TYPE__COUNT; i++) {
        enum job_type got;
        assert_true(job_type_parse(str_of(job_type_name((enum job_type)i)), &got));
        assert_int_equal(got, i);
    }
    enum job_state got;
    assert_false(job_state_parse(STR("Open"), &got));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        market_test(create_fills_in_what_was_not_asked),
        market_test(create_is_read_back_as_it_was_asked),
        market_test(minimum_of_zero_is_not_none),
        market_test(create_without_the_money_leaves_nothing),
        market_test(create_refuses_a_total_that_does_not_fit),
        market_test(create_refuses_a_maximum_below_its_minimum),
        market_test(create_reports_both_faults_at_once),
        market_test(fee_is_frozen_when_the_job_is_created),
        market_test(fee_set_to_nothing_differs_from_no_fee_set),
        market_test(job_of_another_tenant_or_world_is_not_found),
        market_test(job_with_a_malformed_id_is_not_found),
        market_test(workers_find_live_jobs_only),
        market_test(list_is_newest_first_and_filters_combine),
        market_test(feed_shows_open_live_jobs_by_time_or_pay),
        market_test(feed_leaves_out_what_is_full_for_the_worker),
        market_test(feed_does_not_read_full_jobs),
        market_test(feed_is_cut_after_so_many_jobs_and_goes_on_behind_the_last),
        market_test(feed_has_the_slots_that_lapsed_first_when_very_many_wait_for_the_sweeper),
        market_test(job_completes_exactly_with_its_last_approval),
        market_test(job_of_one_file_goes_from_open_to_completed),
        market_test(job_stays_open_through_rejections),
        market_test(states_move_only_along_the_map),
        market_test(job_as_created_forgets_what_happened),
        market_test(cancel_of_an_untouched_job_refunds_all_of_it),
        market_test(end_of_a_job_is_noted_for_after_the_commit),
        market_test(cancel_refunds_what_is_neither_approved_nor_pending),
        market_test(cancel_with_everything_pending_writes_no_refund),
        market_test(pending_work_of_a_cancelled_job_is_paid_when_approved),
        market_test(cancelled_job_whose_last_file_is_approved_stays_cancelled),
        market_test(cancel_is_refused_once_cancelled_or_completed),
        market_test(cancel_puts_a_waiting_retry_back_to_rejected),
        market_test(state_and_type_names_are_read_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
