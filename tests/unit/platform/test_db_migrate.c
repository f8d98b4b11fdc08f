#include "platform/db_migrate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <string.h>

#include "scratch_store.h"

enum { NOW_MS = 1700000000 };

#define FILE_OF(name, text)                                                                        \
    {                                                                                              \
        name, text, sizeof(text) - 1                                                               \
    }
#define ONE FILE_OF("0001_first.sql", "CREATE TABLE first (id INTEGER PRIMARY KEY);")
#define TWO                                                                                        \
    FILE_OF("0002_second.sql",                                                                     \
            "CREATE TABLE second (id INTEGER PRIMARY KEY);"                                        \
            "INSERT INTO second (id) VALUES (1); INSERT INTO first VALUES (2);")
#define END                                                                                        \
    {                                                                                              \
        NULL, NULL, 0                                                                              \
    }

static const struct embedded_file only_one[] = { ONE, END };
static const struct embedded_file both[] = { ONE, TWO, FILE_OF("openapi.json", "{}"), END };

static int migrate(struct db *db, const struct embedded_file *files)
{
    struct error error = { 0 };
    int          applied = -1;
    if (db_migrate_files(db, files, NOW_MS, &error, &applied))
        fail_msg("%s: %s", error.slug, error.detail);
    return applied;
}

static void expect_refused(struct db *db, const struct embedded_file *files, enum err code,
                           const char *slug)
{
    struct error error = { 0 };
    int          applied = -1;
    assert_int_equal(db_migrate_files(db, files, NOW_MS, &error, &applied), code);
    assert_string_equal(error.slug, slug);
    assert_int_equal(applied, -1);
    assert_false(db_in_transaction(db));
    assert_int_equal(db_open_statements(db), 0);
}

static void each_runs_once_and_is_recorded(void **state)
{
    struct db *db = scratch_open(*state, DB_WRITE);
    assert_int_equal(migrate(db, both), 2);
    assert_int_equal(scratch_int(db, "SELECT count(*) FROM second"), 1);
    assert_int_equal(scratch_int(db, "SELECT count(*) FROM schema_migrations"), 2);
    assert_int_equal(scratch_int(db, "SELECT min(applied_ms) FROM schema_migrations"), NOW_MS);
    assert_int_equal(scratch_int(db, "SELECT count(*) FROM schema_migrations"
                                     " WHERE version = 2 AND name = 'second' AND checksum > 0"),
                     1);
    assert_int_equal(migrate(db, both), 0);
    assert_int_equal(scratch_int(db, "SELECT count(*) FROM first"), 1);
    db_close(db);
}

static void later_ones_follow_in_an_existing_store(void **state)
{
    struct db *db = scratch_open(*state, DB_WRITE);
    assert_int_equal(migrate(db, only_one), 1);
    assert_int_equal(migrate(db, both), 1);
    db_close(db);
}

static void nothing_to_do_takes_no_lock(void **state)
{
    struct db   *db = scratch_open(*state, DB_WRITE);
    struct db   *other = scratch_open(*state, DB_WRITE);
    struct error error = { 0 };
    migrate(db, both);
    scratch_script(db, "PRAGMA busy_timeout = 0");
    assert_int_equal(db_begin(other, &error), ERR_OK);
    assert_int_equal(migrate(db, both), 0);
    db_rollback(other);
    db_close(other);
    db_close(db);
}

static void failed_one_leaves_nothing_and_the_ones_before_stay(void **state)
{
    static const struct embedded_file broken[] = {
        ONE,
        FILE_OF("0002_broken.sql",
                "CREATE TABLE half (id INTEGER); INSERT INTO nowhere VALUES (1);"),
        END
    };
    struct db *db = scratch_open(*state, DB_WRITE);
    expect_refused(db, broken, ERR_INTERNAL, "migration_failed");
    assert_int_equal(scratch_int(db, "SELECT count(*) FROM sqlite_master WHERE name = 'half'"), 0);
    assert_int_equal(scratch_int(db, "SELECT max(version) FROM schema_migrations"), 1);
    assert_int_equal(migrate(db, both), 1); /* with the mistake mended */
    db_close(db);
}

static void failure_names_the_file(void **state)
{
    static const struct embedded_file broken[] = { FILE_OF("0001_broken.sql", "CREATE NONSENSE"),
                                                   END };
    struct db                        *db = scratch_open(*state, DB_WRITE);
    struct error                      error = { 0 };
    assert_int_equal(db_migrate_files(db, broken, NOW_MS, &error, NULL), ERR_INTERNAL);
    assert_non_null(strstr(error.detail, "0001_broken.sql"));
    db_close(db);
}

static void migration_may_not_end_its_transaction(void **state)
{
    static const struct embedded_file eager[] = {
        FILE_OF("0001_eager.sql", "CREATE TABLE a (id INTEGER); COMMIT;"), END
    };
    struct db *db = scratch_open(*state, DB_WRITE);
    expect_refused(db, eager, ERR_INTERNAL, "migration_failed");
    db_close(db);
}

static void full_store_is_not_the_migrations_fault(void **state)
{
    static const struct embedded_file large[] = {
        ONE,
        FILE_OF("0002_large.sql",
                "CREATE TABLE l (b BLOB); INSERT INTO l VALUES (zeroblob(99999));"),
        END
    };
    struct db *db = scratch_open(*state, DB_WRITE);
    migrate(db, only_one);
    scratch_script(db, "PRAGMA max_page_count = 8");
    expect_refused(db, large, ERR_UNAVAILABLE, "db_full");
    scratch_script(db, "PRAGMA max_page_count = 1000");
    assert_int_equal(migrate(db, large), 1);
    db_close(db);
}

static void edited_migration_is_refused(void **state)
{
    static const struct embedded_file edited[] = {
        FILE_OF("0001_first.sql", "CREATE TABLE first (id INTEGER PRIMARY KEY );"), TWO, END
    };
    struct db *db = scratch_open(*state, DB_WRITE);
    migrate(db, only_one);
    expect_refused(db, edited, ERR_CONFLICT, "schema_changed");
    assert_int_equal(scratch_int(db, "SELECT count(*) FROM schema_migrations"), 1);
    db_close(db);
}

static void store_of_a_newer_program_is_refused(void **state)
{
    struct db *db = scratch_open(*state, DB_WRITE);
    migrate(db, both);
    expect_refused(db, only_one, ERR_CONFLICT, "schema_newer");
    static const struct embedded_file none[] = { END };
    expect_refused(db, none, ERR_CONFLICT, "schema_newer");
    db_close(db);
}

static void migration_added_behind_or_gone_is_refused(void **state)
{
    static const struct embedded_file only_two[] = {
        FILE_OF("0002_later.sql", "CREATE TABLE later (id INTEGER);"), END
    };
    static const struct embedded_file squeezed[] = {
        ONE, FILE_OF("0002_later.sql", "CREATE TABLE later (id INTEGER);"), END
    };
    static const struct embedded_file replaced[] = {
        ONE, FILE_OF("0003_new.sql", "CREATE TABLE new (id INTEGER);"), END
    };
    struct db *db = scratch_open(*state, DB_WRITE);
    migrate(db, only_two);
    expect_refused(db, squeezed, ERR_CONFLICT, "schema_changed");
    expect_refused(db, replaced, ERR_CONFLICT, "schema_changed");
    db_close(db);
}

static void variant_of_the_driver_takes_the_place_of_the_portable_text(void **state)
{
    static const struct embedded_file variants[] = {
        FILE_OF("0001_a.pg.sql", "CREATE TABLE pg (id INTEGER);"),
        FILE_OF("0001_a.sql", "CREATE TABLE portable (id INTEGER);"),
        FILE_OF("0001_a.sqlite.sql", "CREATE TABLE lite (id INTEGER);"),
        FILE_OF("0002_b.pg.sql", "CREATE TABLE pg_only (id INTEGER);"),
        FILE_OF("0003_c.pg.sql", "CREATE TABLE pg_two (id INTEGER);"),
        FILE_OF("0003_c.sql", "CREATE TABLE portable_two (id INTEGER);"),
        END
    };
    struct db *db = scratch_open(*state, DB_WRITE);
    assert_int_equal(migrate(db, variants), 2);
    assert_int_equal(scratch_int(db, "SELECT count(*) FROM sqlite_master"
                                     " WHERE name IN ('lite', 'portable_two')"),
                     2);
    assert_int_equal(scratch_int(db, "SELECT count(*) FROM sqlite_master"
                                     " WHERE name IN ('pg', 'portable', 'pg_only', 'pg_two')"),
                     0);
    assert_int_equal(migrate(db, variants), 0);
    db_close(db);
}

static void unsound_sets_are_refused(void **state)
{
    static const struct embedded_file twice[] = { FILE_OF("0001_a.sql", "SELECT 1;"),
                                                  FILE_OF("0001_b.sql", "SELECT 1;"), END };
    static const struct embedded_file unsorted[] = { FILE_OF("0002_a.sql", "SELECT 1;"),
                                                     FILE_OF("0001_b.sql", "SELECT 1;"), END };
    static const char *const          misnamed[] = {
                 "1_a.sql",
                 "00001_a.sql",
                 "x001_a.sql",
                 "0001a.sql",
                 "0001_.sql",
                 "0001_a.b.c.sql",
                 "_a.sql",
                 ".sql",
                 "-001_a.sql",
                 "0001.sql",
                 "0001_a.sqlitesql.sql.sql",
    };
    struct db *db = scratch_open(*state, DB_WRITE);
    expect_refused(db, twice, ERR_INTERNAL, "migration_set");
    expect_refused(db, unsorted, ERR_INTERNAL, "migration_set");
    for (size_t i = 0; i < COUNT_OF(misnamed); i++) {
        const struct embedded_file files[] = { { misnamed[i], "SELECT 1;", 9 }, END };
        expect_refused(db, files, ERR_INTERNAL, "migration_set");
    }
    assert_int_equal(scratch_int(db, "SELECT count(*) FROM sqlite_master"), 0);
    db_close(db);
}

static void *migrate_at_once(void *argument)
{
    const struct scratch *scratch = argument;
    struct error          error = { 0 };
    struct db            *db;
    int                   applied;
    if (db_open(scratch->url, DB_WRITE, &error, &db)) return NULL;
    enum err e = db_migrate_files(db, both, NOW_MS, &error, &applied);
    db_close(db);
    return e ? NULL : (void *)(intptr_t)(applied + 1);
}

static void processes_that_migrate_at_once_share_the_work(void **state)
{
    pthread_t threads[6];
    for (size_t i = 0; i < COUNT_OF(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, migrate_at_once, *state), 0);
    intptr_t applied = 0;
    for (size_t i = 0; i < COUNT_OF(threads); i++) {
        void *answer;
        assert_int_equal(pthread_join(threads[i], &answer), 0);
        assert_non_null(answer);
        applied += (intptr_t)answer - 1;
    }
    assert_int_equal(applied, 2);
}

static void compiled_in_migrations_bring_a_new_store_up_to_date(void **state)
{
    struct db   *db = scratch_open(*state, DB_WRITE);
    struct error error = { 0 };
    int          applied = -1;
    int          again = -1;
    assert_int_equal(db_migrate(db, NOW_MS, &error, &applied), ERR_OK);
    assert_true(applied >= 0);
    assert_int_equal(db_migrate(db, NOW_MS, &error, &again), ERR_OK);
    assert_int_equal(again, 0);
    db_close(db);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        scratch_test(each_runs_once_and_is_recorded),
        scratch_test(later_ones_follow_in_an_existing_store),
        scratch_test(nothing_to_do_takes_no_lock),
        scratch_test(failed_one_leaves_nothing_and_the_ones_before_stay),
        scratch_test(failure_names_the_file),
        scratch_test(migration_may_not_end_its_transaction),
        scratch_test(full_store_is_not_the_migrations_fault),
        scratch_test(edited_migration_is_refused),
        scratch_test(store_of_a_newer_program_is_refused),
        scratch_test(migration_added_behind_or_gone_is_refused),
        scratch_test(variant_of_the_driver_takes_the_place_of_the_portable_text),
        scratch_test(unsound_sets_are_refused),
        scratch_test(processes_that_migrate_at_once_share_the_work),
        scratch_test(compiled_in_migrations_bring_a_new_store_up_to_date),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
