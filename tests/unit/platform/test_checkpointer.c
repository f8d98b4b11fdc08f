#include "platform/checkpointer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "scratch_store.h"

enum { PATIENCE_MS = 60000 };

static const int64_t MIB = 1 << 20;

/* The test is the writer. */
struct fixture {
    struct scratch      *scratch;
    struct db           *db;
    struct db           *reader;
    struct checkpointer *checkpointer;
};

static int fixture_setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    fixture->scratch = scratch_make();
    fixture->db = scratch_open(fixture->scratch, DB_WRITE);
    scratch_script(fixture->db, "CREATE TABLE rows (bytes BLOB)");
    fixture->reader = scratch_open(fixture->scratch, DB_READ);
    fixture->checkpointer = checkpointer_start(scratch_open(fixture->scratch, DB_WRITE));
    *state = fixture;
    return 0;
}

static void stop(struct fixture *fixture)
{
    db_close(fixture->reader);
    checkpointer_stop(fixture->checkpointer, fixture->db);
    fixture->checkpointer = NULL;
}

static int fixture_teardown(void **state)
{
    struct fixture *fixture = *state;
    if (fixture->checkpointer) stop(fixture);
    db_close(fixture->db);
    scratch_remove(fixture->scratch);
    free(fixture);
    return 0;
}

#define checkpointer_test(name)                                                                    \
    cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

static int64_t file_bytes(const struct fixture *fixture, const char *suffix)
{
    char        path[160];
    struct stat status;
    snprintf(path, sizeof(path), "%s%s", fixture->scratch->path, suffix);
    assert_int_equal(stat(path, &status), 0);
    return status.st_size;
}

/* One batch of a writer, and what it does after it. */
static void write_batch(struct fixture *fixture, int64_t bytes)
{
    struct error error;
    struct stmt *q = db_query(fixture->db, "INSERT INTO rows (bytes) VALUES (zeroblob($1))");
    bind_int(q, 1, bytes);
    assert_int_equal(stmt_run(q, &error, NULL), ERR_OK);
    checkpointer_tend(fixture->checkpointer, fixture->db);
}

static struct checkpointer_stats stats_of(struct fixture *fixture)
{
    struct checkpointer_stats stats;
    checkpointer_read_stats(fixture->checkpointer, &stats);
    return stats;
}

static void wait_for_copies(struct fixture *fixture, int64_t count)
{
    for (int waited_ms = 0; stats_of(fixture).passive < count; waited_ms++) {
        assert_true(waited_ms < PATIENCE_MS);
        usleep(1000);
    }
}

/* Small batches until the writer's part has been done so often. */
static void write_until_restarts(struct fixture *fixture, int64_t count)
{
    for (int waited_ms = 0; stats_of(fixture).restart < count; waited_ms++) {
        assert_true(waited_ms < PATIENCE_MS);
        write_batch(fixture, 100);
        usleep(1000);
    }
}

static void a_small_log_is_left_alone(void **state)
{
    struct fixture *fixture = *state;
    for (int i = 0; i < 3; i++)
        write_batch(fixture, 2 * MIB);
    stop(fixture); /* it would do first what it was asked for */
    assert_int_equal(file_bytes(fixture, "-wal"), 0);
}

static void log_is_copied_back_while_its_writer_goes_on(void **state)
{
    struct fixture *fixture = *state;
    struct error    error;
    write_batch(fixture, CHECKPOINT_STEP_BYTES + MIB);
    /* A transaction is open all the while. */
    assert_int_equal(db_begin(fixture->db, &error), ERR_OK);
    scratch_script(fixture->db, "INSERT INTO rows (bytes) VALUES (zeroblob(10))");
    wait_for_copies(fixture, 1);
    assert_true(file_bytes(fixture, "") > CHECKPOINT_STEP_BYTES);
    assert_int_equal(db_commit(fixture->db, &error), ERR_OK);
    assert_int_equal(stats_of(fixture).restart, 0);
    assert_int_equal(scratch_int(fixture->reader, "SELECT count(*) FROM rows"), 2);
}

static void large_log_is_copied_first_and_begins_anew_then(void **state)
{
    struct fixture *fixture = *state;
    write_batch(fixture, CHECKPOINT_LOG_BYTES + 2 * MIB);
    assert_int_equal(stats_of(fixture).restart, 0);
    write_until_restarts(fixture, 1);
    assert_true(stats_of(fixture).passive >= 1);
    assert_int_equal(db_wal_bytes(fixture->db), 0);
    /* The file is used again and does not grow. */
    int64_t wal_bytes = file_bytes(fixture, "-wal");
    assert_true(wal_bytes > CHECKPOINT_LOG_BYTES);
    write_batch(fixture, MIB);
    assert_int_equal(file_bytes(fixture, "-wal"), wal_bytes);
}

static void log_far_too_large_is_not_left_to_copies_that_lag(void **state)
{
    struct fixture *fixture = *state;
    struct error    error;
    struct stmt    *q;
    write_batch(fixture, CHECKPOINT_STEP_BYTES + MIB);
    wait_for_copies(fixture, 1);
    /* What a slow copy would have left: more than a step, in a log twice as large as it may be. */
    q = db_query(fixture->db, "INSERT INTO rows (bytes) VALUES (zeroblob($1))");
    bind_int(q, 1, 2 * CHECKPOINT_LOG_BYTES);
    assert_int_equal(stmt_run(q, &error, NULL), ERR_OK);
    write_until_restarts(fixture, 1);
    assert_int_equal(stats_of(fixture).passive, 1);
    assert_int_equal(db_wal_bytes(fixture->db), 0);
}

static void reader_that_stays_is_waited_for_once_a_quarter(void **state)
{
    struct fixture *fixture = *state;
    struct error    error;
    assert_int_equal(db_begin(fixture->reader, &error), ERR_OK);
    assert_int_equal(scratch_int(fixture->reader, "SELECT count(*) FROM rows"), 0);
    write_batch(fixture, CHECKPOINT_LOG_BYTES + MIB);
    write_until_restarts(fixture, 1);
    assert_true(db_wal_bytes(fixture->db) > CHECKPOINT_LOG_BYTES);
    for (int i = 0; i < 20; i++)
        write_batch(fixture, 100);
    assert_int_equal(stats_of(fixture).restart, 1);
    assert_int_equal(scratch_int(fixture->reader, "SELECT count(*) FROM rows"), 0);
    assert_int_equal(db_commit(fixture->reader, &error), ERR_OK);

    write_batch(fixture, CHECKPOINT_LOG_BYTES / 4 + MIB);
    write_until_restarts(fixture, 2);
    assert_int_equal(db_wal_bytes(fixture->db), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        checkpointer_test(a_small_log_is_left_alone),
        checkpointer_test(log_is_copied_back_while_its_writer_goes_on),
        checkpointer_test(large_log_is_copied_first_and_begins_anew_then),
        checkpointer_test(log_far_too_large_is_not_left_to_copies_that_lag),
        checkpointer_test(reader_that_stays_is_waited_for_once_a_quarter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
