#include "domain/sandbox.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "platform/embedded.h"

#include "sandbox_market.h"

static struct submission first_of(struct market *market, const struct id *job_id, int skipped)
{
    struct error error = { 0 };
    struct stmt *q = db_query(
        market->db, "SELECT id FROM submissions WHERE job_id = $1 ORDER BY id LIMIT 1 OFFSET $2");
    bind_id(q, 1, job_id);
    bind_int(q, 2, skipped);
    assert_true(stmt_step(q));
    struct id id = column_id(q, 0);
    assert_int_equal(stmt_end(q, &error), ERR_OK);
    return market_submission_now(market, &id);
}

static int64_t count_of(struct market *market, const char *sql, const struct id *id)
{
    return market_int_of(market, sql, id);
}

static int64_t approved_rows(struct market *market, const struct id *job_id)
{
    return count_of(market, "SELECT count(*) FROM files WHERE job_id = $1", job_id);
}

/* --- beginning --- */

static void live_job_waits_for_people(void **state)
{
    struct market *market = *state;
    struct job     job = market_job(market, 2, 50);
    assert_false(sandbox_market_waits(market, &job.id));
}

static void test_job_waits_for_its_delay(void **state)
{
    struct market *market = *state;
    struct job     job = sandbox_market_job(market, "default", 2);
    struct task    task = market_task(market, TASK_SANDBOX, &job.id);
    assert_int_equal(task.run_ms, job.created_ms + market->config.sandbox_delay_ms);
}

enum { FILES_MAX = 256, MIGRATION = 5 };

/* The migrations before the sandbox's. */
static void migrate_to_before(struct db *db)
{
    struct embedded_file before[FILES_MAX] = { 0 };
    struct error         error = { 0 };
    int                  count = 0;
    for (const struct embedded_file *file = embedded_files; file->name; file++)
        if (str_ends_with(str_of(file->name), STR(".sql")) &&
            strtol(file->name, NULL, 10) < MIGRATION)
            before[count++] = *file;
    assert_in_range(count, 1, FILES_MAX - 1);
    assert_int_equal(db_migrate_files(db, before, 1, &error, NULL), ERR_OK);
}

static int64_t has_task(struct db *db, const char *sql)
{
    struct error error = { 0 };
    struct id    id;
    struct stmt *q = db_query(db, sql);
    bool         is_there = stmt_step(q);
    struct id    task_id = is_there ? column_id(q, 0) : (struct id){ 0 };
    assert_int_equal(stmt_end(q, &error), ERR_OK);
    return is_there && id_parse(id_str(&task_id), ID_TASK, &id);
}

static void test_job_posted_before_there_was_a_sandbox_waits_for_it_too(void **state)
{
    struct scratch *scratch = scratch_make();
    struct db      *db = scratch_open(scratch, DB_WRITE);
    struct error    error = { 0 };
    struct id       job_id = id_new(ID_JOB, MARKET_START_MS);
    (void)state;
    migrate_to_before(db);
    scratch_script(db, "INSERT INTO organisations (id, name, email, created_ms)"
                       " VALUES ('org_1', 'B', 'b@b.c', 1)");
    for (int environment = 0; environment < ENVIRONMENT__COUNT; environment++) {
        struct id    id = environment ? job_id : id_new(ID_JOB, MARKET_START_MS);
        struct stmt *q = db_query(
            db, "INSERT INTO jobs (id, org_id, environment, type, description, files_needed,"
                " formats, price_cents, fee_ppm, payout_cents, metadata, min_stars, created_ms,"
                " status, files_approved, files_pending, slots_reserved, escrow_cents) VALUES"
                " ($1, 'org_1', $2, 'feedback', 'd', 1, 'image/png', 1, 0, 1, '{}', 3, 7, 'open',"
                " 0, 0, 0, 1)");
        bind_id(q, 1, &id);
        bind_int(q, 2, environment);
        assert_int_equal(stmt_run(q, &error, NULL), ERR_OK);
    }
    assert_int_equal(db_migrate(db, 1, &error, NULL), ERR_OK);
    assert_true(has_task(db, "SELECT t.id FROM tasks t JOIN jobs j ON j.id = t.subject_id"
                             " WHERE t.kind = 'sandbox' AND j.environment = 1 AND t.run_ms = 7"));
    assert_int_equal(scratch_int(db, "SELECT count(*) FROM tasks"), 1);
    db_close(db);
    scratch_remove(scratch);
}

/* --- the scenarios --- */

static void default_fills_the_job_with_four_stars(void **state)
{
    struct market *market = *state;
    struct job     job = sandbox_market_job(market, "default", 3);
    sandbox_market_run(market, &job.id);
    struct job now = market_job_now(market, &job.id);
    assert_int_equal(now.state, JOB_COMPLETED);
    assert_int_equal(now.files_approved, 3);
    assert_int_equal(now.escrow_cents, 0);
    assert_false(sandbox_market_waits(market, &job.id));
    struct submission first = first_of(market, &job.id, 0);
    assert_int_equal(first.state, SUBMISSION_APPROVED);
    assert_int_equal(first.stars, 4);
    assert_int_equal(first.environment, ENVIRONMENT_TEST);
    assert_int_equal(first.width, 640);
    assert_int_equal(first.paid_cents, job.payout_cents);
    assert_true(str_eq(first.filename, STR("sandbox-1.jpg")));
    assert_int_equal(approved_rows(market, &job.id), 3);
}

static void every_approved_file_is_to_be_delivered_and_none_to_be_scored(void **state)
{
    struct market *market = *state;
    struct job     job = sandbox_market_job(market, "default", 3);
    sandbox_market_finish(market, &job.id);
    assert_int_equal(market_int(market, "SELECT count(*) FROM tasks WHERE kind = 'deliver'"), 3);
    assert_int_equal(market_int(market, "SELECT count(*) FROM tasks"), 3);
    int64_t examined_ms;
    DONE(market, submission_last_examined(&market->call, &examined_ms));
    assert_int_equal(examined_ms, 0);
}

static void job_that_asks_for_five_stars_gets_them(void **state)
{
    struct market *market = *state;
    struct job     asked = market_job_asked(2, 50);
    asked.min_stars = 5;
    struct job job = sandbox_market_post(market, asked);
    assert_int_equal(sandbox_market_finish(market, &job.id).state, JOB_COMPLETED);
    assert_int_equal(first_of(market, &job.id, 1).stars, 5);
}

static void scenario_nobody_knows_is_the_default(void **state)
{
    struct market     *market = *state;
    static const char *others[] = { "{}", "{\"sandbox_scenario\":\"other\"}",
                                    "{\"sandbox_scenario\":7}",
                                    "{\"a\":{\"sandbox_scenario\":1}}" };
    for (size_t i = 0; i < COUNT_OF(others); i++) {
        struct job asked = market_job_asked(2, 50);
        asked.metadata = str_of(others[i]);
        struct job job = sandbox_market_post(market, asked);
        assert_int_equal(sandbox_market_run(market, &job.id), 2);
        assert_int_equal(market_job_now(market, &job.id).state, JOB_COMPLETED);
    }
}

static void mixed_rejects_the_first_of_three_and_completes_all_the_same(void **state)
{
    static const struct {
        enum submission_state state;
        int                   stars;
        const char           *gate;
    } expected[] = {
        { SUBMISSION_REJECTED, 2, NULL }, { SUBMISSION_APPROVED, 4, NULL },
        { SUBMISSION_APPROVED, 4, NULL }, { SUBMISSION_REJECTED, 1, "blank" },
        { SUBMISSION_APPROVED, 4, NULL }, { SUBMISSION_APPROVED, 4, NULL },
    };
    struct market *market = *state;
    struct job     job = sandbox_market_job(market, "mixed", 4);
    assert_int_equal(sandbox_market_run(market, &job.id), COUNT_OF(expected));
    assert_int_equal(market_job_now(market, &job.id).state, JOB_COMPLETED);
    for (int i = 0; i < (int)COUNT_OF(expected); i++) {
        struct submission row = first_of(market, &job.id, i);
        assert_int_equal(row.state, expected[i].state);
        assert_int_equal(row.stars, expected[i].stars);
        assert_true(str_eq(row.gate, str_of(expected[i].gate)));
        assert_true(row.reasoning.len > 20);
    }
}

static void mixed_rejects_whatever_the_minimum(void **state)
{
    struct market *market = *state;
    for (int64_t min_stars = 1; min_stars <= 5; min_stars++) {
        struct job asked = market_job_asked(1, 50);
        asked.metadata = STR("{\"sandbox_scenario\":\"mixed\"}");
        asked.min_stars = min_stars;
        struct job job = sandbox_market_post(market, asked);
        sandbox_market_finish(market, &job.id);
        assert_int_equal(first_of(market, &job.id, 0).state, SUBMISSION_REJECTED);
        assert_int_equal(first_of(market, &job.id, 1).state, SUBMISSION_APPROVED);
    }
}

static void slow_sends_a_file_each_delay(void **state)
{
    struct market *market = *state;
    struct job     job = sandbox_market_job(market, "slow", 3);
    for (int i = 1; i <= 3; i++) {
        struct task task = market_task(market, TASK_SANDBOX, &job.id);
        assert_int_equal(task.run_ms, job.created_ms + i * market->config.sandbox_delay_ms);
        assert_int_equal(sandbox_market_run(market, &job.id), 1);
    }
    assert_int_equal(market_job_now(market, &job.id).state, JOB_COMPLETED);
}

static void slow_sends_what_it_has_missed(void **state)
{
    struct market *market = *state;
    struct job     job = sandbox_market_job(market, "slow", 10);
    market->now_ms = job.created_ms + 4 * market->config.sandbox_delay_ms + 1;
    assert_int_equal(sandbox_market_run(market, &job.id), 4);
    assert_int_equal(market_task(market, TASK_SANDBOX, &job.id).run_ms,
                     job.created_ms + 5 * market->config.sandbox_delay_ms);
}

static void stall_sends_half_and_no_more(void **state)
{
    struct market *market = *state;
    struct job     job = sandbox_market_job(market, "stall", 5);
    struct job     now = sandbox_market_finish(market, &job.id);
    assert_int_equal(now.state, JOB_IN_PROGRESS);
    assert_int_equal(now.files_approved, 2);
    job = sandbox_market_job(market, "stall", 1);
    now = sandbox_market_finish(market, &job.id);
    assert_int_equal(now.state, JOB_OPEN);
    sandbox_market_as_buyer(market);
    DONE(market, job_cancel(&market->call, id_str(&job.id), &now));
    assert_int_equal(now.escrow_cents, 0);
}

static void flagged_tells_once_and_completes(void **state)
{
    struct market *market = *state;
    struct job     job = sandbox_market_job(market, "flagged", 120);
    assert_int_equal(sandbox_market_finish(market, &job.id).state, JOB_COMPLETED);
    const char *sql = "SELECT count(*) FROM occurrences WHERE subject_id = $1"
                      " AND type = 'job.flagged'";
    assert_int_equal(count_of(market, sql, &job.id), 1);
    assert_int_equal(market_job_now(market, &job.id).flags_count, 1);
}

/* --- in bounded steps --- */

static void many_files_come_in_batches_of_fifty(void **state)
{
    struct market *market = *state;
    struct job     job = sandbox_market_job(market, "default", 120);
    assert_int_equal(sandbox_market_run(market, &job.id), 50);
    struct task task = market_task(market, TASK_SANDBOX, &job.id);
    assert_int_equal(task.run_ms, market->now_ms); /* and goes on at once */
    assert_int_equal(sandbox_market_run(market, &job.id), 50);
    assert_int_equal(sandbox_market_run(market, &job.id), 20);
    assert_int_equal(market_job_now(market, &job.id).state, JOB_COMPLETED);
}

static void batch_of_a_runner_that_lost_the_task_is_undone(void **state)
{
    struct market *market = *state;
    struct job     job = sandbox_market_job(market, "default", 2);
    struct task    task = market_task(market, TASK_SANDBOX, &job.id), again;
    market->now_ms = task.run_ms;
    struct sandbox_batch *batch = sandbox_market_plan(market, &job.id);
    DONE(market, task_claim(&market->call, TASK_SANDBOX, 1000, &again));
    REFUSED(market, sandbox_fill(&market->call, &task, batch), ERR_CONFLICT, "task_lost");
    assert_int_equal(approved_rows(market, &job.id), 0);
    DONE(market, sandbox_fill(&market->call, &again, batch));
    assert_int_equal(approved_rows(market, &job.id), 2);
}

static void job_cancelled_in_the_middle_gets_no_more(void **state)
{
    struct market *market = *state;
    struct job     job = sandbox_market_job(market, "default", 120), cancelled;
    sandbox_market_run(market, &job.id);
    struct task           task = market_task(market, TASK_SANDBOX, &job.id);
    struct sandbox_batch *batch = sandbox_market_plan(market, &job.id);
    assert_int_equal(batch->count, 50);
    sandbox_market_as_buyer(market);
    DONE(market, job_cancel(&market->call, id_str(&job.id), &cancelled));
    market_as_runner(market);
    DONE(market, sandbox_fill(&market->call, &task, batch));
    assert_int_equal(approved_rows(market, &job.id), 50);
    assert_int_equal(market_job_now(market, &job.id).state, JOB_CANCELLED);
    assert_false(sandbox_market_waits(market, &job.id));
}

static void job_gets_nothing_from_its_deadline_on(void **state)
{
    struct market *market = *state;
    struct job     asked = market_job_asked(5, 50);
    asked.metadata = STR("{\"sandbox_scenario\":\"slow\"}");
    market->now_ms += MS_PER_DAY; /* later than any id that was made, so that the job is of now */
    asked.deadline_ms = market->now_ms + 3 * market->config.sandbox_delay_ms;
    struct job job = sandbox_market_post(market, asked);
    struct job now = sandbox_market_finish(market, &job.id);
    assert_int_equal(market->now_ms, asked.deadline_ms);
    assert_int_equal(now.files_approved, 2);
    assert_int_equal(job_state_now(&now), JOB_CANCELLED);
}

static void job_cancelled_before_is_left_alone(void **state)
{
    struct market *market = *state;
    struct job     job = sandbox_market_job(market, "flagged", 2), cancelled;
    sandbox_market_as_buyer(market);
    DONE(market, job_cancel(&market->call, id_str(&job.id), &cancelled));
    assert_int_equal(sandbox_market_run(market, &job.id), 0);
    assert_false(sandbox_market_waits(market, &job.id));
    assert_int_equal(
        market_int(market, "SELECT count(*) FROM occurrences WHERE type = 'job.flagged'"), 0);
}

/* --- files --- */

static struct str sha_of(struct market *market, struct job asked, int number)
{
    struct job            job = sandbox_market_post(market, asked);
    struct sandbox_batch *batch;
    market->now_ms = market_task(market, TASK_SANDBOX, &job.id).run_ms;
    batch = sandbox_market_plan(market, &job.id);
    return str_of(batch->files[number].sha256);
}

static void same_job_gets_the_same_files_and_another_others(void **state)
{
    struct market *market = *state;
    struct job     asked = market_job_asked(4, 50), other = asked;
    struct str     first = sha_of(market, asked, 0);
    assert_true(str_eq(first, sha_of(market, asked, 0)));
    assert_false(str_eq(first, sha_of(market, asked, 2))); /* of the same format */
    other.description = STR("Shop signs");
    assert_false(str_eq(first, sha_of(market, other, 0)));
    other = asked;
    other.metadata = STR("{\"order\":2}");
    assert_false(str_eq(first, sha_of(market, other, 0)));
}

static void formats_take_turns_as_the_buyer_named_them(void **state)
{
    static const enum media_type turns[] = { MEDIA_WAV, MEDIA_PNG, MEDIA_WAV, MEDIA_PNG };
    struct market               *market = *state;
    struct job                   asked = market_job_asked(4, 50);
    asked.formats_text = STR("audio/wav image/png audio/wav");
    asked.formats = BIT(MEDIA_WAV) | BIT(MEDIA_PNG);
    struct job job = sandbox_market_post(market, asked);
    sandbox_market_finish(market, &job.id);
    for (int i = 0; i < (int)COUNT_OF(turns); i++)
        assert_int_equal(first_of(market, &job.id, i).media_type, turns[i]);
}

/* --- workers --- */

static void simulated_workers_keep_to_the_jobs_cap(void **state)
{
    struct market *market = *state;
    struct job     asked = market_job_asked(5, 50);
    asked.max_files_per_worker = 2;
    struct job job = sandbox_market_post(market, asked);
    sandbox_market_finish(market, &job.id);
    const char *sql = "SELECT max(n) FROM (SELECT count(*) AS n FROM submissions"
                      " WHERE job_id = $1 GROUP BY worker_id) AS each_worker";
    assert_int_equal(count_of(market, sql, &job.id), 2);
}

static void no_person_is_paid_for_a_test_job(void **state)
{
    struct market *market = *state;
    struct id      person_id = market_worker(market);
    struct balance before = market_balance(market), after;
    struct job     job = sandbox_market_job(market, "default", 3);
    sandbox_market_finish(market, &job.id);
    after = market_balance(market);
    assert_int_equal(after.balance_cents, before.balance_cents);
    const char *sql = "SELECT balance_cents FROM workers WHERE id = $1";
    assert_int_equal(count_of(market, sql, &person_id), 0);
    const char *simulated = "SELECT balance_cents FROM workers WHERE simulated_for = $1";
    assert_int_equal(count_of(market, simulated, &market->org_id), 3 * job.payout_cents);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        market_test(live_job_waits_for_people),
        market_test(test_job_waits_for_its_delay),
        cmocka_unit_test(test_job_posted_before_there_was_a_sandbox_waits_for_it_too),
        market_test(default_fills_the_job_with_four_stars),
        market_test(every_approved_file_is_to_be_delivered_and_none_to_be_scored),
        market_test(job_that_asks_for_five_stars_gets_them),
        market_test(scenario_nobody_knows_is_the_default),
        market_test(mixed_rejects_the_first_of_three_and_completes_all_the_same),
        market_test(mixed_rejects_whatever_the_minimum),
        market_test(slow_sends_a_file_each_delay),
        market_test(slow_sends_what_it_has_missed),
        market_test(stall_sends_half_and_no_more),
        market_test(flagged_tells_once_and_completes),
        market_test(many_files_come_in_batches_of_fifty),
        market_test(batch_of_a_runner_that_lost_the_task_is_undone),
        market_test(job_cancelled_in_the_middle_gets_no_more),
        market_test(job_gets_nothing_from_its_deadline_on),
        market_test(job_cancelled_before_is_left_alone),
        market_test(same_job_gets_the_same_files_and_another_others),
        market_test(formats_take_turns_as_the_buyer_named_them),
        market_test(simulated_workers_keep_to_the_jobs_cap),
        market_test(no_person_is_paid_for_a_test_job),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
