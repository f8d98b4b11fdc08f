#include "platform/db.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <pthread.h>
#include <string.h>

#include "../expect_abort.h"
#include "scratch_store.h"

static const char things_sql[] =
    "CREATE TABLE owners (id INTEGER PRIMARY KEY);"
    "CREATE TABLE things (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE,"
    " amount BIGINT CHECK (amount >= 0), owner_id INTEGER REFERENCES owners (id),"
    " later_id INTEGER REFERENCES owners (id) DEFERRABLE INITIALLY DEFERRED,"
    " share DOUBLE PRECISION, bytes BLOB);";

static struct db *open_things(const struct scratch *scratch)
{
    struct db *db = scratch_open(scratch, DB_WRITE);
    scratch_script(db, things_sql);
    return db;
}

static enum err insert(struct db *db, int64_t id, const char *name, struct error *error)
{
    struct stmt *q = db_query(db, "INSERT INTO things (id, name) VALUES ($1, $2)");
    bind_int(q, 1, id);
    bind_text(q, 2, str_of(name));
    return stmt_run(q, error, NULL);
}

static int64_t count(struct db *db)
{
    return scratch_int(db, "SELECT count(*) FROM things");
}

/* Ends the statement, expecting this failure. */
static void expect_end(struct stmt *q, enum err code, const char *slug)
{
    struct error error = { 0 };
    assert_int_equal(stmt_end(q, &error), code);
    assert_int_equal(error.code, code);
    assert_string_equal(error.slug, slug);
}

static void expect_open_fails(const char *url, enum db_mode mode, enum err code, const char *slug)
{
    struct error error = { 0 };
    struct db   *db = (struct db *)&error;
    assert_int_equal(db_open(url, mode, &error, &db), code);
    assert_string_equal(error.slug, slug);
    assert_ptr_equal(db, &error); /* outputs move only on success */
}

/* --- opening --- */

static void open_knows_sqlite_only(void **state)
{
    (void)state;
    expect_open_fails("postgres://db/x", DB_WRITE, ERR_INVALID, "database_unsupported");
    expect_open_fails("", DB_WRITE, ERR_INVALID, "database_unsupported");
    expect_open_fails("/plain/path", DB_READ, ERR_INVALID, "database_unsupported");
}

static void open_never_repeats_a_password(void **state)
{
    (void)state;
    struct error error = { 0 };
    struct db   *db;
    assert_int_equal(db_open("postgres://u:hunter2@db/x", DB_READ, &error, &db), ERR_INVALID);
    assert_null(strstr(error.detail, "hunter2"));
}

static void reader_does_not_make_the_store(void **state)
{
    struct scratch *scratch = *state;
    expect_open_fails(scratch->url, DB_READ, ERR_UNAVAILABLE, "database_open");
    assert_int_equal(access(scratch->path, F_OK), -1);
}

static void open_refuses_a_missing_directory(void **state)
{
    (void)state;
    expect_open_fails("sqlite:/nonexistent/dir/store.db", DB_WRITE, ERR_UNAVAILABLE,
                      "database_open");
    expect_open_fails("sqlite:", DB_WRITE, ERR_UNAVAILABLE, "database_open");
    char url[8192];
    memset(url, 'a', sizeof(url));
    memcpy(url, "sqlite:/", 8);
    url[sizeof(url) - 1] = '\0';
    expect_open_fails(url, DB_WRITE, ERR_UNAVAILABLE, "database_open");
}

static void open_refuses_a_file_that_is_no_store(void **state)
{
    struct scratch *scratch = *state;
    FILE           *file = fopen(scratch->path, "w");
    assert_non_null(file);
    for (int i = 0; i < 1000; i++)
        fputs("this is not a database file\n", file);
    fclose(file);
    expect_open_fails(scratch->url, DB_READ, ERR_UNAVAILABLE, "database_open");
    expect_open_fails(scratch->url, DB_WRITE, ERR_UNAVAILABLE, "database_open");
}

static void new_store_is_private(void **state)
{
    struct scratch          *scratch = *state;
    struct db               *db = open_things(scratch);
    static const char *const suffixes[] = { "", "-wal", "-shm" };
    for (size_t i = 0; i < COUNT_OF(suffixes); i++) {
        char        path[160];
        struct stat status;
        snprintf(path, sizeof(path), "%s%s", scratch->path, suffixes[i]);
        assert_int_equal(stat(path, &status), 0);
        assert_int_equal(status.st_mode & 0777, 0600);
    }
    db_close(db);
}

static void special_names_are_plain_files(void **state)
{
    struct scratch *scratch = *state;
    char            here[256];
    assert_non_null(getcwd(here, sizeof(here)));
    assert_int_equal(chdir(scratch->dir), 0);
    struct error error = { 0 };
    struct db   *db = NULL;
    assert_int_equal(db_open("sqlite::memory:", DB_WRITE, &error, &db), ERR_OK);
    db_close(db);
    assert_int_equal(access(":memory:", F_OK), 0);
    assert_int_equal(db_open("sqlite:file:x?mode=memory", DB_WRITE, &error, &db), ERR_OK);
    db_close(db);
    assert_int_equal(access("file:x?mode=memory", F_OK), 0);
    assert_int_equal(chdir(here), 0);
}

static void connections_are_set_up_for_durability(void **state)
{
    struct scratch *scratch = *state;
    struct db      *db = open_things(scratch);
    assert_int_equal(scratch_int(db, "PRAGMA synchronous"), 2);
    assert_int_equal(scratch_int(db, "PRAGMA foreign_keys"), 1);
    assert_int_equal(scratch_int(db, "PRAGMA busy_timeout"), DB_BUSY_MS_MAX);
    assert_int_equal(scratch_int(db, "PRAGMA trusted_schema"), 0);
    assert_int_equal(scratch_int(db, "SELECT count(*) FROM pragma_journal_mode()"
                                     " WHERE journal_mode = 'wal'"),
                     1);
    db_close(db);
}

static void *open_at_once(void *argument)
{
    const struct scratch *scratch = argument;
    struct error          error = { 0 };
    struct db            *db;
    enum err              e = db_open(scratch->url, DB_WRITE, &error, &db);
    if (e) return (void *)"open failed";
    db_close(db);
    return NULL;
}

static void writers_may_open_a_fresh_store_at_once(void **state)
{
    pthread_t threads[8];
    for (size_t i = 0; i < COUNT_OF(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, open_at_once, *state), 0);
    for (size_t i = 0; i < COUNT_OF(threads); i++) {
        void *complaint = NULL;
        assert_int_equal(pthread_join(threads[i], &complaint), 0);
        assert_null(complaint);
    }
}

static void reader_cannot_write(void **state)
{
    struct scratch *scratch = *state;
    struct db      *writer = open_things(scratch);
    struct db      *reader = scratch_open(scratch, DB_READ);
    struct error    error = { 0 };
    assert_int_equal(insert(reader, 1, "a", &error), ERR_INTERNAL);
    assert_string_equal(error.slug, "db_statement");
    assert_int_equal(db_script(reader, "PRAGMA query_only = OFF; DELETE FROM things", &error),
                     ERR_INTERNAL);
    db_close(reader);
    db_close(writer);
}

/* --- statements --- */

static void values_come_back_as_bound(void **state)
{
    struct db   *db = open_things(*state);
    struct error error = { 0 };
    struct arena arena;
    arena_init(&arena, SIZE_MAX);
    static const char bytes[] = { 0, 1, 'x', 0, (char)0xff };

    struct stmt *q = db_query(db, "SELECT $1, $2, $3, $4, $5, $6, $7");
    bind_int(q, 1, INT64_MIN);
    bind_int(q, 2, INT64_MAX);
    bind_text(q, 3, STR("h\xc3\xa9"));
    bind_bytes(q, 4, (struct str){ bytes, sizeof(bytes) });
    bind_null(q, 5);
    bind_text(q, 6, STR(""));
    bind_bytes(q, 7, STR(""));
    assert_true(stmt_step(q));
    assert_true(column_int(q, 0) == INT64_MIN);
    assert_true(column_int(q, 1) == INT64_MAX);
    struct str text = column_text(q, 2, &arena);
    struct str blob = column_bytes(q, 3, &arena);
    assert_true(column_is_null(q, 4));
    assert_false(column_is_null(q, 5));
    struct str empty_text = column_text(q, 5, &arena);
    struct str empty_blob = column_bytes(q, 6, &arena);
    assert_int_equal(column_int(q, 4), 0);
    assert_null(column_text(q, 4, &arena).data);
    assert_null(column_bytes(q, 4, &arena).data);
    assert_false(stmt_step(q));
    assert_int_equal(stmt_end(q, &error), ERR_OK);

    /* They outlive the statement. */
    assert_true(str_eq(text, STR("h\xc3\xa9")));
    assert_int_equal(text.data[text.len], 0);
    assert_int_equal(blob.len, sizeof(bytes));
    assert_memory_equal(blob.data, bytes, sizeof(bytes));
    assert_non_null(empty_text.data);
    assert_int_equal(empty_text.len, 0);
    assert_non_null(empty_blob.data);
    assert_int_equal(empty_blob.len, 0);
    arena_deinit(&arena);
    db_close(db);
}

static void absent_values_are_null(void **state)
{
    struct db   *db = open_things(*state);
    struct error error = { 0 };
    struct id    none = { 0 };
    struct stmt *q = db_query(db, "SELECT $1, $2, $3, $4");
    bind_nonzero(q, 1, 0);
    bind_id(q, 2, &none);
    bind_text(q, 3, STR_NONE);
    bind_bytes(q, 4, STR_NONE);
    assert_true(stmt_step(q));
    for (int column = 0; column < 4; column++)
        assert_true(column_is_null(q, column));
    struct id read = column_id(q, 1);
    assert_true(id_is_none(&read));
    assert_int_equal(stmt_end(q, &error), ERR_OK);
    db_close(db);
}

static void ids_come_back_and_other_text_is_no_id(void **state)
{
    struct db   *db = open_things(*state);
    struct error error = { 0 };
    struct id    id = id_new(ID_JOB, 1700000000000);
    struct stmt *q = db_query(db, "SELECT $1");
    bind_id(q, 1, &id);
    assert_true(stmt_step(q));
    struct id read = column_id(q, 0);
    assert_true(id_eq(&id, &read));
    assert_int_equal(stmt_end(q, &error), ERR_OK);

    q = db_query(db, "SELECT $1");
    bind_text(q, 1, STR("far longer than any id can be, whoever put it there"));
    assert_true(stmt_step(q));
    read = column_id(q, 0);
    assert_true(id_is_none(&read));
    expect_end(q, ERR_INTERNAL, "db_statement");
    db_close(db);
}

static void parameters_are_bound_by_number_not_by_appearance(void **state)
{
    struct db   *db = open_things(*state);
    struct error error = { 0 };
    struct stmt *q = db_query(db, "SELECT $3, $1, $2, $3, $10, $4, $5, $6, $7, $8, $9");
    for (int number = 1; number <= 10; number++)
        bind_int(q, number, 100 + number);
    assert_true(stmt_step(q));
    assert_int_equal(column_int(q, 0), 103);
    assert_int_equal(column_int(q, 1), 101);
    assert_int_equal(column_int(q, 2), 102);
    assert_int_equal(column_int(q, 3), 103);
    assert_int_equal(column_int(q, 4), 110);
    assert_int_equal(stmt_end(q, &error), ERR_OK);
    db_close(db);
}

static void bound_text_is_a_copy(void **state)
{
    struct db   *db = open_things(*state);
    struct error error = { 0 };
    struct arena arena;
    arena_init(&arena, SIZE_MAX);
    char         text[] = "before";
    struct stmt *q = db_query(db, "SELECT $1");
    bind_text(q, 1, str_of(text));
    memcpy(text, "after!", 6);
    assert_true(stmt_step(q));
    assert_true(str_eq(column_text(q, 0, &arena), STR("before")));
    assert_int_equal(stmt_end(q, &error), ERR_OK);
    arena_deinit(&arena);
    db_close(db);
}

static void bindings_do_not_outlive_the_use(void **state)
{
    struct db   *db = open_things(*state);
    struct error error = { 0 };
    for (int round = 0; round < 2; round++) {
        struct stmt *q = db_query(db, "SELECT $1, $2");
        bind_int(q, 1, 7);
        if (round == 0) bind_int(q, 2, 8);
        assert_int_equal(stmt_step(q), round == 0);
        if (round == 0)
            assert_int_equal(stmt_end(q, &error), ERR_OK);
        else
            expect_end(q, ERR_INTERNAL, "db_statement");
    }
    db_close(db);
}

static void misused_statements_fail_and_are_reported_once(void **state)
{
    struct db   *db = open_things(*state);
    struct arena arena;
    arena_init(&arena, SIZE_MAX);

    struct stmt *q = db_query(db, "SELECT no_such_column FROM things");
    bind_int(q, 1, 1);
    assert_false(stmt_step(q));
    assert_int_equal(column_int(q, 0), 0);
    assert_null(column_text(q, 0, &arena).data);
    expect_end(q, ERR_INTERNAL, "db_statement");

    q = db_query(db, "SELECT 1; SELECT 2");
    expect_end(q, ERR_INTERNAL, "db_statement");
    q = db_query(db, "");
    expect_end(q, ERR_INTERNAL, "db_statement");
    q = db_query(db, "SELECT ?");
    expect_end(q, ERR_INTERNAL, "db_statement");
    q = db_query(db, "SELECT :name");
    expect_end(q, ERR_INTERNAL, "db_statement");
    q = db_query(db, "SELECT $1, $3");
    expect_end(q, ERR_INTERNAL, "db_statement");
    q = db_query(db, "SELECT $65");
    expect_end(q, ERR_INTERNAL, "db_statement");
    q = db_query(db, "SELECT \"things\"");
    expect_end(q, ERR_INTERNAL, "db_statement");

    static const int beyond[] = { 0, -1, 2, 64, 65, INT32_MAX };
    for (size_t i = 0; i < COUNT_OF(beyond); i++) {
        q = db_query(db, "SELECT $1");
        bind_int(q, beyond[i], 1);
        bind_int(q, 1, 1);
        assert_false(stmt_step(q));
        expect_end(q, ERR_INTERNAL, "db_statement");
    }
    q = db_query(db, "SELECT 5");
    assert_int_equal(column_int(q, 0), 0); /* before the step */
    expect_end(q, ERR_INTERNAL, "db_statement");
    q = db_query(db, "SELECT 5");
    assert_true(stmt_step(q));
    assert_int_equal(column_int(q, 1), 0);
    expect_end(q, ERR_INTERNAL, "db_statement");
    q = db_query(db, "SELECT $1, 2");
    bind_int(q, 1, 1);
    assert_true(stmt_step(q));
    bind_int(q, 1, 1);
    assert_false(stmt_step(q));
    expect_end(q, ERR_INTERNAL, "db_statement");

    assert_int_equal(db_open_statements(db), 0);
    arena_deinit(&arena);
    db_close(db);
}

static void a_row_nobody_reads_is_a_bug(void **state)
{
    struct db   *db = open_things(*state);
    struct error error = { 0 };
    assert_int_equal(stmt_run(db_query(db, "SELECT 1"), &error, NULL), ERR_INTERNAL);
    assert_string_equal(error.slug, "db_statement");
    db_close(db);
}

static void finished_statement_does_not_begin_again(void **state)
{
    struct db   *db = open_things(*state);
    struct error error = { 0 };
    struct stmt *q = db_query(db, "INSERT INTO owners (id) VALUES (NULL)");
    assert_false(stmt_step(q));
    assert_false(stmt_step(q));
    assert_false(stmt_step(q));
    assert_int_equal(stmt_end(q, &error), ERR_OK);
    assert_int_equal(scratch_int(db, "SELECT count(*) FROM owners"), 1);
    db_close(db);
}

static void statement_compiles_once_its_table_exists(void **state)
{
    struct db               *db = open_things(*state);
    static const char *const sql = "SELECT count(*) FROM made_later";
    expect_end(db_query(db, sql), ERR_INTERNAL, "db_statement");
    scratch_script(db, "CREATE TABLE made_later (id INTEGER)");
    assert_int_equal(scratch_int(db, sql), 0);
    scratch_script(db, "ALTER TABLE made_later ADD COLUMN name TEXT");
    assert_int_equal(scratch_int(db, sql), 0);
    db_close(db);
}

static void changes_count_the_statement_alone(void **state)
{
    struct db   *db = open_things(*state);
    struct error error = { 0 };
    int64_t      changes = -1;
    for (int i = 1; i <= 3; i++)
        assert_int_equal(insert(db, i, (char[]){ (char)('a' + i), 0 }, &error), ERR_OK);
    struct stmt *q = db_query(db, "UPDATE things SET amount = 1 WHERE id >= 2");
    assert_int_equal(stmt_run(q, &error, &changes), ERR_OK);
    assert_int_equal(changes, 2);
    q = db_query(db, "CREATE TABLE another (id INTEGER)");
    assert_int_equal(stmt_run(q, &error, &changes), ERR_OK);
    assert_int_equal(changes, 0);
    q = db_query(db, "DELETE FROM things WHERE id = 99");
    assert_int_equal(stmt_run(q, &error, &changes), ERR_OK);
    assert_int_equal(changes, 0);
    db_close(db);
}

/* --- what a failure is --- */

static void constraints_are_conflicts(void **state)
{
    struct db               *db = open_things(*state);
    static const char *const refused[] = {
        "INSERT INTO things (id, name) VALUES (1, 'again')",             /* PRIMARY KEY */
        "INSERT INTO things (id, name) VALUES (2, 'taken')",             /* UNIQUE */
        "INSERT INTO things (id, name) VALUES (2, NULL)",                /* NOT NULL */
        "INSERT INTO things (id, name, amount) VALUES (2, 'b', -1)",     /* CHECK */
        "INSERT INTO things (id, name, owner_id) VALUES (2, 'b', 1234)", /* REFERENCES */
    };
    struct error error = { 0 };
    assert_int_equal(insert(db, 1, "taken", &error), ERR_OK);
    for (size_t i = 0; i < COUNT_OF(refused); i++) {
        struct stmt *q = db_query(db, refused[i]);
        assert_false(stmt_step(q));
        expect_end(q, ERR_CONFLICT, "db_constraint");
    }
    assert_int_equal(count(db), 1);
    db_close(db);
}

static void wrong_type_in_a_strict_table_is_a_bug(void **state)
{
    struct db *db = open_things(*state);
    scratch_script(db, "CREATE TABLE stern (id INTEGER) STRICT");
    struct stmt *q = db_query(db, "INSERT INTO stern (id) VALUES ('text')");
    assert_false(stmt_step(q));
    expect_end(q, ERR_INTERNAL, "db_statement");
    db_close(db);
}

static void another_writer_is_busy(void **state)
{
    struct db   *first = open_things(*state);
    struct db   *second = scratch_open(*state, DB_WRITE);
    struct error error = { 0 };
    scratch_script(second, "PRAGMA busy_timeout = 20");
    assert_int_equal(db_begin(first, &error), ERR_OK);
    assert_int_equal(db_begin(second, &error), ERR_BUSY);
    assert_string_equal(error.slug, "db_busy");
    assert_false(db_in_transaction(second));
    db_rollback(first);
    assert_int_equal(db_begin(second, &error), ERR_OK);
    db_rollback(second);
    db_close(second);
    db_close(first);
}

static void stale_snapshot_is_busy(void **state)
{
    struct db   *first = open_things(*state);
    struct db   *second = scratch_open(*state, DB_WRITE);
    struct error error = { 0 };
    scratch_script(second, "BEGIN");
    assert_int_equal(count(second), 0);
    assert_int_equal(insert(first, 1, "a", &error), ERR_OK);
    assert_int_equal(insert(second, 2, "b", &error), ERR_BUSY);
    assert_string_equal(error.slug, "db_busy");
    db_rollback(second);
    db_close(second);
    db_close(first);
}

/* From here on the store has no room for one page more. */
static void fill_up(struct db *db)
{
    char         sql[64];
    struct error error = { 0 };
    snprintf(sql, sizeof(sql), "PRAGMA max_page_count = %lld",
             (long long)scratch_int(db, "PRAGMA page_count"));
    assert_int_equal(db_script(db, sql, &error), ERR_OK);
}

static enum err insert_large(struct db *db, int64_t id, struct error *error)
{
    struct stmt *q = db_query(db, "INSERT INTO things (id, name, bytes)"
                                  " VALUES ($1, $2, zeroblob(100000))");
    bind_int(q, 1, id);
    bind_text(q, 2, STR("large"));
    return stmt_run(q, error, NULL);
}

static void full_store_ends_the_transaction_and_nothing_is_written_after_it(void **state)
{
    struct db   *db = open_things(*state);
    struct error error = { 0 };
    fill_up(db);
    assert_int_equal(db_begin(db, &error), ERR_OK);
    assert_int_equal(db_savepoint(db, &error), ERR_OK);
    assert_int_equal(insert(db, 1, "before", &error), ERR_OK);
    assert_int_equal(insert_large(db, 2, &error), ERR_UNAVAILABLE);
    assert_string_equal(error.slug, "db_full");
    assert_false(db_in_transaction(db));

    /* Who overlooks that must not commit each of the following by itself. */
    assert_int_equal(insert(db, 3, "after", &error), ERR_UNAVAILABLE);
    assert_string_equal(error.slug, "db_io");
    db_rollback_to_savepoint(db);
    assert_int_equal(insert(db, 4, "after all", &error), ERR_UNAVAILABLE);
    assert_int_equal(db_commit(db, &error), ERR_UNCERTAIN);
    assert_string_equal(error.slug, "commit_failed");
    db_rollback(db);
    assert_int_equal(count(db), 0);
    assert_int_equal(insert(db, 5, "later", &error), ERR_OK);
    db_close(db);
}

static void read_in_a_lost_transaction_is_cut_short(void **state)
{
    struct db   *db = open_things(*state);
    struct error error = { 0 };
    for (int i = 1; i <= 3; i++)
        assert_int_equal(insert(db, i, (char[]){ (char)('a' + i), 0 }, &error), ERR_OK);
    fill_up(db);
    assert_int_equal(db_begin(db, &error), ERR_OK);
    struct stmt *q = db_query(db, "SELECT id FROM things ORDER BY id");
    assert_true(stmt_step(q));
    assert_int_equal(insert_large(db, 9, &error), ERR_UNAVAILABLE);
    assert_false(db_in_transaction(db));
    assert_false(stmt_step(q));
    expect_end(q, ERR_UNAVAILABLE, "db_io");
    db_rollback(db);
    assert_int_equal(count(db), 3);
    db_close(db);
}

/* --- transactions --- */

static void savepoint_undoes_only_itself(void **state)
{
    struct db   *db = open_things(*state);
    struct error error = { 0 };
    assert_int_equal(db_begin(db, &error), ERR_OK);
    assert_true(db_in_transaction(db));
    assert_int_equal(db_savepoint(db, &error), ERR_OK);
    assert_int_equal(insert(db, 1, "kept", &error), ERR_OK);
    assert_int_equal(db_release(db, &error), ERR_OK);
    assert_int_equal(db_savepoint(db, &error), ERR_OK);
    assert_int_equal(insert(db, 2, "undone", &error), ERR_OK);
    assert_int_equal(insert(db, 2, "refused", &error), ERR_CONFLICT);
    db_rollback_to_savepoint(db);
    db_rollback_to_savepoint(db); /* nothing open: nothing happens */
    assert_int_equal(db_savepoint(db, &error), ERR_OK);
    assert_int_equal(insert(db, 3, "kept too", &error), ERR_OK);
    assert_int_equal(db_release(db, &error), ERR_OK);
    assert_int_equal(db_commit(db, &error), ERR_OK);
    assert_false(db_in_transaction(db));
    assert_int_equal(scratch_int(db, "SELECT sum(id) FROM things"), 4);
    db_close(db);
}

static void deferred_reference_is_refused_at_the_release(void **state)
{
    struct db   *db = open_things(*state);
    struct error error = { 0 };
    assert_int_equal(db_begin(db, &error), ERR_OK);
    assert_int_equal(db_savepoint(db, &error), ERR_OK);
    struct stmt *q = db_query(db, "INSERT INTO things (id, name, later_id) VALUES (1, 'a', 1234)");
    assert_int_equal(stmt_run(q, &error, NULL), ERR_OK);
    assert_int_equal(db_release(db, &error), ERR_CONFLICT);
    assert_string_equal(error.slug, "db_constraint");
    db_rollback_to_savepoint(db);
    assert_int_equal(insert(db, 2, "b", &error), ERR_OK);
    assert_int_equal(db_commit(db, &error), ERR_OK);
    assert_int_equal(count(db), 1);
    db_close(db);
}

static void refused_commit_is_uncertain_until_rolled_back(void **state)
{
    struct db   *db = open_things(*state);
    struct error error = { 0 };
    assert_int_equal(db_begin(db, &error), ERR_OK);
    struct stmt *q = db_query(db, "INSERT INTO things (id, name, later_id) VALUES (1, 'a', 1234)");
    assert_int_equal(stmt_run(q, &error, NULL), ERR_OK);
    assert_int_equal(db_commit(db, &error), ERR_UNCERTAIN);
    assert_string_equal(error.slug, "commit_failed");
    db_rollback(db);
    db_rollback(db);
    assert_int_equal(count(db), 0);
    db_close(db);
}

static void reader_keeps_its_snapshot(void **state)
{
    struct db   *writer = open_things(*state);
    struct db   *reader = scratch_open(*state, DB_READ);
    struct error error = { 0 };
    assert_int_equal(db_begin(reader, &error), ERR_OK);
    assert_int_equal(count(reader), 0);
    assert_int_equal(insert(writer, 1, "a", &error), ERR_OK);
    assert_int_equal(count(reader), 0);
    assert_int_equal(db_commit(reader, &error), ERR_OK);
    assert_int_equal(count(reader), 1);
    db_close(reader);
    db_close(writer);
}

static void use_twice(const struct scratch *scratch)
{
    struct db *db = scratch_open(scratch, DB_WRITE);
    for (int i = 0; i < 2; i++)
        db_query(db, "SELECT 1");
}

static void commit_with_open_statement(const struct scratch *scratch)
{
    struct db   *db = scratch_open(scratch, DB_WRITE);
    struct error error;
    if (db_begin(db, &error)) return;
    db_query(db, "SELECT 1");
    if (db_commit(db, &error)) return;
}

static void query_built_text(const struct scratch *scratch)
{
    struct db   *db = scratch_open(scratch, DB_WRITE);
    struct error error;
    char         sql[] = "SELECT 1";
    for (int i = 0; i < 2; i++) {
        sql[7] = (char)('1' + i);
        if (!stmt_step(db_query(db, sql))) return;
        struct stmt *q = db_query(db, "SELECT 3");
        if (stmt_end(q, &error)) return;
    }
}

static void broken_rules_abort(void **state)
{
    assert_aborts(use_twice(*state));
    assert_aborts(commit_with_open_statement(*state));
    assert_aborts(query_built_text(*state));
}

/* --- upkeep --- */

static void log_grows_until_it_is_checkpointed(void **state)
{
    struct db   *db = open_things(*state);
    struct db   *reader = scratch_open(*state, DB_READ);
    struct error error = { 0 };
    int64_t      before = db_wal_bytes(db);
    assert_true(before > 0);
    assert_int_equal(insert_large(db, 1, &error), ERR_OK);
    int64_t after = db_wal_bytes(db);
    assert_true(after >= before + 100000);
    assert_true(db_wal_bytes(reader) >= after);
    assert_int_equal(db_checkpoint(db, DB_CHECKPOINT_PASSIVE, &error), ERR_OK);
    assert_int_equal(insert(db, 2, "small", &error), ERR_OK);
    assert_true(db_wal_bytes(db) < after); /* begun anew */
    assert_int_equal(db_checkpoint(db, DB_CHECKPOINT_RESTART, &error), ERR_OK);
    assert_int_equal(db_wal_bytes(db), 0);
    assert_int_equal(db_checkpoint(db, DB_CHECKPOINT_TRUNCATE, &error), ERR_OK);
    assert_int_equal(db_wal_bytes(reader), 0);
    db_close(reader);
    db_close(db);
}

static void old_reader_holds_the_log_and_is_named_busy(void **state)
{
    struct db   *db = open_things(*state);
    struct db   *reader = scratch_open(*state, DB_READ);
    struct error error = { 0 };
    scratch_script(db, "PRAGMA busy_timeout = 20");
    assert_int_equal(db_begin(reader, &error), ERR_OK);
    assert_int_equal(count(reader), 0);
    assert_int_equal(insert(db, 1, "a", &error), ERR_OK);
    int64_t before = db_wal_bytes(db);
    assert_int_equal(db_checkpoint(db, DB_CHECKPOINT_RESTART, &error), ERR_BUSY);
    assert_string_equal(error.slug, "db_busy");
    assert_int_equal(db_wal_bytes(db), before);
    db_rollback(reader);
    assert_int_equal(db_checkpoint(db, DB_CHECKPOINT_RESTART, &error), ERR_OK);
    db_close(reader);
    db_close(db);
}

static void script_stops_at_its_first_failure(void **state)
{
    struct db   *db = open_things(*state);
    struct error error = { 0 };
    assert_int_equal(db_script(db,
                               "INSERT INTO things (id, name) VALUES (1, 'a');"
                               "INSERT INTO things (id, name) VALUES (1, 'a');"
                               "INSERT INTO things (id, name) VALUES (2, 'b');",
                               &error),
                     ERR_CONFLICT);
    assert_string_equal(error.slug, "db_constraint");
    assert_int_equal(count(db), 1);
    assert_int_equal(db_script(db, "this is not SQL", &error), ERR_INTERNAL);
    db_close(db);
}

static void close_of_nothing_is_fine(void **state)
{
    (void)state;
    db_close(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(open_knows_sqlite_only),
        cmocka_unit_test(open_never_repeats_a_password),
        scratch_test(reader_does_not_make_the_store),
        cmocka_unit_test(open_refuses_a_missing_directory),
        scratch_test(open_refuses_a_file_that_is_no_store),
        scratch_test(new_store_is_private),
        scratch_test(special_names_are_plain_files),
        scratch_test(connections_are_set_up_for_durability),
        scratch_test(writers_may_open_a_fresh_store_at_once),
        scratch_test(reader_cannot_write),
        scratch_test(values_come_back_as_bound),
        scratch_test(absent_values_are_null),
        scratch_test(ids_come_back_and_other_text_is_no_id),
        scratch_test(parameters_are_bound_by_number_not_by_appearance),
        scratch_test(bound_text_is_a_copy),
        scratch_test(bindings_do_not_outlive_the_use),
        scratch_test(misused_statements_fail_and_are_reported_once),
        scratch_test(a_row_nobody_reads_is_a_bug),
        scratch_test(finished_statement_does_not_begin_again),
        scratch_test(statement_compiles_once_its_table_exists),
        scratch_test(changes_count_the_statement_alone),
        scratch_test(constraints_are_conflicts),
        scratch_test(wrong_type_in_a_strict_table_is_a_bug),
        scratch_test(another_writer_is_busy),
        scratch_test(stale_snapshot_is_busy),
        scratch_test(full_store_ends_the_transaction_and_nothing_is_written_after_it),
        scratch_test(read_in_a_lost_transaction_is_cut_short),
        scratch_test(savepoint_undoes_only_itself),
        scratch_test(deferred_reference_is_refused_at_the_release),
        scratch_test(refused_commit_is_uncertain_until_rolled_back),
        scratch_test(reader_keeps_its_snapshot),
        scratch_test(broken_rules_abort),
        scratch_test(log_grows_until_it_is_checkpointed),
        scratch_test(old_reader_holds_the_log_and_is_named_busy),
        scratch_test(script_stops_at_its_first_failure),
        cmocka_unit_test(close_of_nothing_is_fine),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
