/* A store in a directory of its own, for the tests of the database layer. The including test has
 * cmocka.h and what it needs included before. */
#ifndef FIRSTHAND_TESTS_SCRATCH_STORE_H
#define FIRSTHAND_TESTS_SCRATCH_STORE_H

#include "platform/db.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

struct scratch {
    char dir[64];
    char path[128];
    char url[160];
};

/* Below TMPDIR. */
static inline struct scratch *scratch_make(void)
{
    const char     *parent = getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp";
    struct scratch *scratch = calloc(1, sizeof(*scratch));
    assert_non_null(scratch);
    int length = snprintf(scratch->dir, sizeof(scratch->dir), "%s/firsthand-store-XXXXXX", parent);
    assert_in_range(length, 1, sizeof(scratch->dir) - 1);
    assert_non_null(mkdtemp(scratch->dir));
    snprintf(scratch->path, sizeof(scratch->path), "%s/store.db", scratch->dir);
    snprintf(scratch->url, sizeof(scratch->url), "sqlite:%s", scratch->path);
    return scratch;
}

static inline void scratch_remove(struct scratch *scratch)
{
    DIR *dir = opendir(scratch->dir);
    assert_non_null(dir);
    for (struct dirent *entry = readdir(dir); entry; entry = readdir(dir))
        unlinkat(dirfd(dir), entry->d_name, 0);
    closedir(dir);
    assert_int_equal(rmdir(scratch->dir), 0);
    free(scratch);
}

static inline int scratch_setup(void **state)
{
    *state = scratch_make();
    return 0;
}

static inline int scratch_teardown(void **state)
{
    scratch_remove(*state);
    return 0;
}

static inline struct db *scratch_open(const struct scratch *scratch, enum db_mode mode)
{
    struct error error = { 0 };
    struct db   *db = NULL;
    enum err     e = db_open(scratch->url, mode, &error, &db);
    if (e) fail_msg("%s: %s", error.slug, error.detail);
    return db;
}

static inline void scratch_script(struct db *db, const char *script)
{
    struct error error = { 0 };
    if (db_script(db, script, &error)) fail_msg("%s: %s", error.slug, error.detail);
}

/* The first column of a query of one row. */
static inline int64_t scratch_int(struct db *db, const char *sql)
{
    struct error error = { 0 };
    struct stmt *q = db_query(db, sql);
    int64_t      value = stmt_step(q) ? column_int(q, 0) : -1;
    if (stmt_end(q, &error)) fail_msg("%s: %s", error.slug, error.detail);
    return value;
}

#define scratch_test(name) cmocka_unit_test_setup_teardown(name, scratch_setup, scratch_teardown)

#endif
