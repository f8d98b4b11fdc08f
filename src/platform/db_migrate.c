#include "platform/db_migrate.h"

#include "base/encode.h"
#include "platform/db_driver.h"

#include <assert.h>
#include <string.h>

enum { VERSION_DIGITS = 4 };

static const char table_name[] = "schema_migrations";
static const char table_sql[] = "CREATE TABLE IF NOT EXISTS schema_migrations ("
                                " version BIGINT PRIMARY KEY,"
                                " name TEXT NOT NULL,"
                                " checksum BIGINT NOT NULL,"
                                " applied_ms BIGINT NOT NULL)";

struct migration {
    int64_t     version;
    const char *file_name;
    struct str  name;    /* between the number and the extension */
    struct str  variant; /* absent: for every database */
    const char *text;
    int64_t     checksum;
    bool        has_run;
};

struct migration_set {
    struct migration migrations[MIGRATIONS_COUNT_MAX];
    int              count;
};

/* --- the set --- */

/* NNNN_name.sql or NNNN_name.variant.sql. */
static bool migration_parse(const struct embedded_file *file, struct migration *ret_migration)
{
    struct str rest = str_of(file->name);
    struct str number = str_take(rest, VERSION_DIGITS);
    for (size_t i = 0; i < number.len; i++)
        if (number.data[i] < '0' || number.data[i] > '9') return false;
    struct migration migration = { .file_name = file->name, .text = file->data };
    if (number.len != VERSION_DIGITS || !str_to_int64(number, &migration.version)) return false;

    rest = str_skip(rest, VERSION_DIGITS);
    struct str underscore, extension;
    if (!str_cut(&rest, '_', &underscore) || underscore.len != 0) return false;
    if (!str_cut(&rest, '.', &migration.name) || migration.name.len == 0) return false;
    if (!str_cut(&rest, '.', &extension)) return false;
    if (rest.data) {
        migration.variant = extension;
        extension = rest;
    }
    if (!str_eq(extension, STR("sql"))) return false;
    migration.checksum = encode_crc32((struct str){ file->data, file->size_bytes });
    *ret_migration = migration;
    return true;
}

/* Files come sorted, so those of one number stand together. */
static enum err set_add(struct migration_set *set, const struct migration *migration,
                        struct error *error)
{
    struct migration *last = set->count ? &set->migrations[set->count - 1] : NULL;
    if (last == NULL || last->version < migration->version) {
        CHECK(set->count < MIGRATIONS_COUNT_MAX);
        set->migrations[set->count++] = *migration;
        return ERR_OK;
    }
    bool is_pair = last->version == migration->version && str_eq(last->name, migration->name) &&
                   (last->variant.data == NULL) != (migration->variant.data == NULL);
    if (!is_pair)
        return FAIL(error, ERR_INTERNAL, "migration_set", "%s does not follow %s",
                    migration->file_name, last->file_name);
    if (migration->variant.data) *last = *migration;
    return ERR_OK;
}

static enum err set_build(const struct embedded_file *files, const struct db *db,
                          struct migration_set *set, struct error *error)
{
    set->count = 0;
    for (const struct embedded_file *file = files; file->name; file++) {
        if (!str_ends_with(str_of(file->name), STR(".sql"))) continue;
        struct migration migration;
        if (!migration_parse(file, &migration))
            return FAIL(error, ERR_INTERNAL, "migration_set", "%s is not NNNN_name.sql",
                        file->name);
        bool is_ours = migration.variant.data == NULL ||
                       str_eq(migration.variant, str_of(db->driver->variant));
        enum err e = is_ours ? set_add(set, &migration, error) : ERR_OK;
        if (e) return e;
    }
    return ERR_OK;
}

/* --- what has run --- */

static enum err set_mark(struct migration_set *set, int64_t version, int64_t checksum,
                         struct error *error)
{
    int64_t newest = set->count ? set->migrations[set->count - 1].version : 0;
    if (version > newest)
        return FAIL(error, ERR_CONFLICT, "schema_newer",
                    "the store is at migration %lld, this program ends at %lld", (long long)version,
                    (long long)newest);
    for (int i = 0; i < set->count; i++) {
        struct migration *migration = &set->migrations[i];
        if (migration->version != version) continue;
        if (migration->checksum != checksum)
            return FAIL(error, ERR_CONFLICT, "schema_changed", "%s is not the text that ran here",
                        migration->file_name);
        migration->has_run = true;
        return ERR_OK;
    }
    return FAIL(error, ERR_CONFLICT, "schema_changed", "migration %lld ran here and is gone",
                (long long)version);
}

/* The first that has not run, or the count; none that has may follow it. */
static enum err set_first_due(const struct migration_set *set, struct error *error, int *ret_due)
{
    int due = 0;
    while (due < set->count && set->migrations[due].has_run)
        due++;
    for (int i = due; i < set->count; i++)
        if (set->migrations[i].has_run)
            return FAIL(error, ERR_CONFLICT, "schema_changed", "%s was added behind %s",
                        set->migrations[due].file_name, set->migrations[i].file_name);
    *ret_due = due;
    return ERR_OK;
}

/* Hold the rows of schema_migrations against the set. Newest first, so that a newer store is
 * called that and not a changed one. */
static enum err set_compare(struct migration_set *set, struct db *db, struct error *error,
                            int *ret_due)
{
    for (int i = 0; i < set->count; i++)
        set->migrations[i].has_run = false;
    bool     has_table;
    enum err e = db->driver->has_table(db, table_name, error, &has_table);
    if (e) return e;
    if (!has_table) {
        *ret_due = 0;
        return ERR_OK;
    }
    struct stmt *q =
        db_query(db, "SELECT version, checksum FROM schema_migrations ORDER BY version DESC");
    enum err differs = ERR_OK;
    while (!differs && stmt_step(q))
        differs = set_mark(set, column_int(q, 0), column_int(q, 1), error);
    e = stmt_end(q, error);
    if (e || differs) return e ? e : differs;
    return set_first_due(set, error, ret_due);
}

/* --- running --- */

static enum err migration_record(struct db *db, const struct migration *migration, int64_t now_ms,
                                 struct error *error)
{
    struct stmt *q = db_query(db, "INSERT INTO schema_migrations (version, name, checksum,"
                                  " applied_ms) VALUES ($1, $2, $3, $4)");
    bind_int(q, 1, migration->version);
    bind_text(q, 2, migration->name);
    bind_int(q, 3, migration->checksum);
    bind_int(q, 4, now_ms);
    return stmt_run(q, error, NULL);
}

static enum err migration_run(struct db *db, const struct migration *migration, int64_t now_ms,
                              struct error *error)
{
    struct error cause;
    enum err     e = db_script(db, migration->text, &cause);
    if (e == ERR_OK && !db_in_transaction(db))
        e = FAIL(&cause, ERR_INTERNAL, "migration_failed", "it ended the transaction");
    if (e == ERR_OK) e = migration_record(db, migration, now_ms, &cause);
    if (e == ERR_OK) return ERR_OK;
    /* A full disk is not the migration's fault. */
    if (e == ERR_UNAVAILABLE)
        return FAIL(error, e, cause.slug, "%s: %.150s", migration->file_name, cause.detail);
    return FAIL(error, ERR_INTERNAL, "migration_failed", "%s: %.150s", migration->file_name,
                cause.detail);
}

/* Inside a transaction: look again, because another process may have been quicker, and run the
 * first that is due. */
static enum err migrate_next(struct db *db, struct migration_set *set, int64_t now_ms,
                             struct error *error, bool *ret_has_run)
{
    int      due;
    enum err e = db_script(db, table_sql, error);
    if (e == ERR_OK) e = set_compare(set, db, error, &due);
    if (e) return e;
    if (due == set->count) return ERR_OK;
    e = migration_run(db, &set->migrations[due], now_ms, error);
    if (e) return e;
    *ret_has_run = true;
    return ERR_OK;
}

static enum err migrate_step(struct db *db, struct migration_set *set, int64_t now_ms,
                             struct error *error, bool *ret_has_run)
{
    bool     has_run = false;
    enum err e = db_begin(db, error);
    if (e) return e;
    e = migrate_next(db, set, now_ms, error, &has_run);
    if (e == ERR_OK) e = db_commit(db, error);
    if (e) {
        db_rollback(db);
        return e;
    }
    *ret_has_run = has_run;
    return ERR_OK;
}

enum err db_migrate_files(struct db *db, const struct embedded_file *files, int64_t now_ms,
                          struct error *error, int *ret_applied)
{
    struct migration_set set;
    int                  due, applied = 0;
    enum err             e = set_build(files, db, &set, error);
    if (e == ERR_OK) e = set_compare(&set, db, error, &due);
    if (e) return e;
    for (bool has_run = due < set.count; has_run;) {
        e = migrate_step(db, &set, now_ms, error, &has_run);
        if (e) return e;
        applied += has_run;
    }
    if (ret_applied) *ret_applied = applied;
    return ERR_OK;
}

enum err db_migrate(struct db *db, int64_t now_ms, struct error *error, int *ret_applied)
{
    return db_migrate_files(db, embedded_files, now_ms, error, ret_applied);
}
