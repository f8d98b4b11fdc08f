#include "domain/file_removal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "sandbox_market.h"

enum { ROWS_MAX = 8 };

static int removed_rows(struct market *market)
{
    return (int)market_int(market, "SELECT count(*) FROM files WHERE removed_ms IS NOT NULL");
}

/* A completed test job of so many files, delivered or not. */
static struct job filled(struct market *market, int64_t files_needed, bool is_delivered)
{
    struct job job = sandbox_market_job(market, "default", files_needed);
    sandbox_market_finish(market, &job.id);
    if (is_delivered)
        scratch_script(market->db, "UPDATE files SET delivered_ms = created_ms;"
                                   "DELETE FROM tasks WHERE kind = 'deliver'");
    return job;
}

static int remove_old(struct market *market)
{
    int count;
    market_as_runner(market);
    DONE(market, file_remove_old(&market->call, ROWS_MAX, &count));
    return count;
}

static int to_unlink(struct market *market, struct delivered_file *rows)
{
    int count;
    DONE(market, file_list_to_unlink(&market->call, ROWS_MAX, rows, &count));
    return count;
}

static struct delivered_file some_file(struct market *market)
{
    struct error          error = { 0 };
    struct delivered_file file;
    struct stmt          *q = db_query(market->db, "SELECT min(id) FROM files");
    assert_true(stmt_step(q));
    struct id id = column_id(q, 0);
    assert_int_equal(stmt_end(q, &error), ERR_OK);
    DONE(market, file_get_any(&market->call, &id, &file));
    return file;
}

/* --- age --- */

static void sandbox_file_is_gone_after_a_week_to_the_millisecond(void **state)
{
    struct market *market = *state;
    filled(market, 1, true);
    struct delivered_file file = some_file(market);
    market->now_ms = file.created_ms + SANDBOX_FILE_LIFETIME_MS - 1;
    assert_int_equal(remove_old(market), 0);
    assert_false(file_is_removed(&market->call, &file));
    market->now_ms++;
    market_begin(market);
    db_rollback(market->db);
    assert_true(file_is_removed(&market->call, &file)); /* before it is written down */
    assert_int_equal(remove_old(market), 1);
    assert_true(some_file(market).removed_ms > 0);
    assert_int_equal(remove_old(market), 0);
}

static void live_files_stay(void **state)
{
    struct market    *market = *state;
    struct id         worker_id = market_worker(market);
    struct job        job = market_job(market, 1, 50);
    struct submission submission = market_submit(market, &worker_id, &job.id);
    market_judge(market, &submission, 4);
    market->now_ms += 10 * SANDBOX_FILE_LIFETIME_MS;
    assert_int_equal(remove_old(market), 0);
    DONE(market, file_remove_surplus(&market->call, &market->org_id));
    struct delivered_file file = some_file(market);
    assert_false(file_is_removed(&market->call, &file));
}

/* --- number --- */

/* Rows enough, made from one: its submission and itself, again and again. */
static void copy_file(struct market *market, int copies)
{
    scratch_script(market->db,
                   "CREATE TEMP TABLE numbers AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL"
                   " SELECT i + 1 FROM n WHERE i < 30000) SELECT i FROM n;"
                   "CREATE TEMP TABLE one AS SELECT * FROM submissions LIMIT 1;"
                   "CREATE TEMP TABLE one_file AS SELECT * FROM files LIMIT 1");
    struct error error = { 0 };
    struct stmt *q = db_query(
        market->db, "INSERT INTO submissions (id, job_id, org_id, environment, worker_id, attempt,"
                    " status, media_type, size_bytes, sha256, created_ms) SELECT 'sub_z' || i,"
                    " job_id, org_id, environment, worker_id, 1, 'approved', media_type,"
                    " size_bytes, sha256, created_ms FROM one, numbers WHERE i <= $1");
    bind_int(q, 1, copies);
    assert_int_equal(stmt_run(q, &error, NULL), ERR_OK);
    q = db_query(market->db, "INSERT INTO files (id, submission_id, job_id, org_id, environment,"
                             " media_type, size_bytes, sha256, stars, blob, created_ms,"
                             " delivered_ms) SELECT 'file_z' || (100000 + i), 'sub_z' || i, job_id,"
                             " org_id, environment, media_type, size_bytes, sha256, 4, blob,"
                             " created_ms, created_ms FROM one_file, numbers WHERE i <= $1");
    bind_int(q, 1, copies);
    assert_int_equal(stmt_run(q, &error, NULL), ERR_OK);
}

static void oldest_files_beyond_the_kept_are_removed(void **state)
{
    struct market *market = *state;
    filled(market, 2, true);
    market->is_broken = true; /* rows that no job counts */
    copy_file(market, SANDBOX_FILES_KEPT_MAX - 2);
    DONE(market, file_remove_surplus(&market->call, &market->org_id));
    assert_int_equal(removed_rows(market), 0);
    filled(market, 3, false); /* their commit removes what is too much */
    assert_int_equal(removed_rows(market), 3);
    assert_int_equal(market_int(market, "SELECT count(*) FROM files WHERE removed_ms IS NULL"),
                     SANDBOX_FILES_KEPT_MAX);
    assert_true(some_file(market).removed_ms > 0);
}

static void live_files_are_no_surplus_however_many(void **state)
{
    struct market *market = *state;
    filled(market, 2, true);
    market->is_broken = true;
    copy_file(market, SANDBOX_FILES_KEPT_MAX + 5);
    scratch_script(market->db, "UPDATE files SET environment = 0");
    DONE(market, file_remove_surplus(&market->call, &market->org_id));
    assert_int_equal(removed_rows(market), 0);
}

static void another_organisations_files_do_not_count(void **state)
{
    struct market *market = *state;
    filled(market, 2, true);
    market->is_broken = true;
    copy_file(market, SANDBOX_FILES_KEPT_MAX);
    market_start_at(market, 1000);
    filled(market, 2, true);
    assert_int_equal(removed_rows(market), 0);
}

/* --- bytes --- */

static void bytes_go_once_nothing_can_want_them(void **state)
{
    struct market        *market = *state;
    struct delivered_file rows[ROWS_MAX];
    filled(market, 2, true);
    market->now_ms += SANDBOX_FILE_LIFETIME_MS;
    assert_int_equal(remove_old(market), 2);
    market->now_ms += FILE_REMOVAL_GRACE_MS - 1;
    assert_int_equal(to_unlink(market, rows), 0);
    market->now_ms++;
    assert_int_equal(to_unlink(market, rows), 2);
    assert_true(rows[0].blob.len > 0);
    DONE(market, file_set_unlinked(&market->call, &rows[0].id));
    struct id other_id = rows[1].id;
    assert_int_equal(to_unlink(market, rows), 1);
    assert_true(id_eq(&rows[0].id, &other_id));
}

static void bytes_wait_for_the_delivery_that_may_be_reading_them(void **state)
{
    struct market        *market = *state;
    struct delivered_file rows[ROWS_MAX];
    filled(market, 1, false);
    market->now_ms += SANDBOX_FILE_LIFETIME_MS;
    assert_int_equal(remove_old(market), 1);
    market->now_ms += FILE_REMOVAL_GRACE_MS;
    assert_int_equal(to_unlink(market, rows), 0);
    struct delivered_file file = some_file(market);
    struct task           task = market_task(market, TASK_DELIVER, &file.id);
    DONE(market, file_delivered(&market->call, &task));
    assert_int_equal(to_unlink(market, rows), 1);
}

static void bytes_that_are_kept_are_never_written_off(void **state)
{
    struct market *market = *state;
    filled(market, 1, true);
    struct delivered_file file = some_file(market);
    DONE(market, file_set_unlinked(&market->call, &file.id));
    assert_true(some_file(market).blob.len > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        market_test(sandbox_file_is_gone_after_a_week_to_the_millisecond),
        market_test(live_files_stay),
        market_test(oldest_files_beyond_the_kept_are_removed),
        market_test(live_files_are_no_surplus_however_many),
        market_test(another_organisations_files_do_not_count),
        market_test(bytes_go_once_nothing_can_want_them),
        market_test(bytes_wait_for_the_delivery_that_may_be_reading_them),
        market_test(bytes_that_are_kept_are_never_written_off),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
