#include "platform/db.h"

#include "base/log.h"
#include "platform/db_driver.h"

#include <string.h>

static const struct db_driver *const drivers[] = { &db_sqlite_driver };

/* --- connections --- */

enum err db_open(const char *url, enum db_mode mode, struct error *error, struct db **ret_db)
{
    for (size_t i = 0; i < COUNT_OF(drivers); i++) {
        const struct db_driver *driver = drivers[i];
        size_t                  scheme_len = strlen(driver->scheme);
        if (strncmp(url, driver->scheme, scheme_len) != 0) continue;

        struct db *db;
        enum err   e = driver->open(url + scheme_len, mode, error, &db);
        if (e) return e;
        CHECK(db->driver == driver);
        *ret_db = db;
        return ERR_OK;
    }
    /* Not the whole URL: it may hold a password. */
    return FAIL(error, ERR_INVALID, "database_unsupported",
                "no driver for a database URL \"%.12s\"", url);
}

void db_close(struct db *db)
{
    if (db == NULL) return;
    for (size_t i = 0; i < DB_SLOTS_COUNT; i++)
        if (db->slots[i] && db->slots[i]->is_prepared) db->driver->finalise(db->slots[i]);
    arena_deinit(&db->arena);
    db->driver->close(db);
}

/* --- the statement cache --- */

/* The slot that holds the statement, or the free one where it belongs. Nothing is ever removed. */
static struct stmt **query_slot(struct db *db, const char *sql)
{
    uint64_t hash = (uint64_t)(uintptr_t)sql * UINT64_C(0x9e3779b97f4a7c15);
    size_t   at = (size_t)(hash >> 32) & (DB_SLOTS_COUNT - 1);
    while (db->slots[at] && db->slots[at]->sql != sql)
        at = (at + 1) & (DB_SLOTS_COUNT - 1);
    return &db->slots[at];
}

static struct stmt *query_cached(struct db *db, const char *sql)
{
    struct stmt **slot = query_slot(db, sql);
    if (*slot == NULL) {
        CHECK(db->statements_count < DB_STATEMENTS_MAX);
        struct stmt *stmt = arena_alloc(&db->arena, db->driver->stmt_bytes);
        stmt->db = db;
        stmt->sql = sql;
        stmt->text = str_c(&db->arena, str_of(sql));
        db->statements_count++;
        *slot = stmt;
    }
    /* Built text in reused memory would otherwise run whatever stood there before. */
    CHECK(strcmp((*slot)->text, sql) == 0);
    return *slot;
}

static void check_is_closed(const struct stmt *stmt)
{
    if (stmt->is_open) {
        struct log_line line;
        log_begin(&line, LOG_ERROR, "statement_still_open");
        log_text(&line, "sql", str_of(stmt->text));
        log_end(&line);
    }
    CHECK(!stmt->is_open);
}

static void check_all_closed(const struct db *db)
{
    for (size_t i = 0; db->open_count > 0 && i < DB_SLOTS_COUNT; i++)
        if (db->slots[i]) check_is_closed(db->slots[i]);
}

struct stmt *db_query(struct db *db, const char *sql)
{
    struct stmt *stmt = query_cached(db, sql);
    check_is_closed(stmt);
    stmt->is_open = true;
    stmt->has_started = false;
    stmt->has_row = false;
    stmt->is_done = false;
    stmt->bound = 0;
    stmt->changes = 0;
    error_clear(&stmt->failure);
    db->open_count++;
    /* One that did not compile may do so now: its table may have been made since. */
    if (!stmt->is_prepared) db->driver->prepare(stmt);
    return stmt;
}

int db_open_statements(const struct db *db)
{
    return db->open_count;
}

/* --- binding --- */

static void bind_value(struct stmt *stmt, int number, struct db_value value)
{
    CHECK(stmt->is_open);
    if (stmt->failure.code) return;
    if (number < 1 || number > DB_PARAMETERS_MAX ||
        !(stmt->parameters & (UINT64_C(1) << (number - 1)))) {
        STMT_FAIL(stmt, ERR_INTERNAL, "db_statement", "no parameter $%d: %.80s", number, stmt->sql);
        return;
    }
    if (stmt->has_started) {
        STMT_FAIL(stmt, ERR_INTERNAL, "db_statement", "$%d bound too late: %.80s", number,
                  stmt->sql);
        return;
    }
    stmt->db->driver->bind(stmt, number, &value);
    stmt->bound |= UINT64_C(1) << (number - 1);
}

void bind_int(struct stmt *stmt, int number, int64_t value)
{
    bind_value(stmt, number, (struct db_value){ .kind = DB_VALUE_INT, .integer = value });
}

void bind_null(struct stmt *stmt, int number)
{
    bind_value(stmt, number, (struct db_value){ .kind = DB_VALUE_NULL });
}

static void bind_slice(struct stmt *stmt, int number, enum db_value_kind kind, struct str slice)
{
    if (slice.data == NULL) kind = DB_VALUE_NULL;
    bind_value(stmt, number, (struct db_value){ .kind = kind, .text = slice });
}

void bind_text(struct stmt *stmt, int number, struct str text)
{
    bind_slice(stmt, number, DB_VALUE_TEXT, text);
}

void bind_bytes(struct stmt *stmt, int number, struct str bytes)
{
    bind_slice(stmt, number, DB_VALUE_BYTES, bytes);
}

void bind_nonzero(struct stmt *stmt, int number, int64_t value)
{
    if (value == 0)
        bind_null(stmt, number);
    else
        bind_int(stmt, number, value);
}

void bind_optional(struct stmt *stmt, int number, bool has_value, int64_t value)
{
    if (has_value)
        bind_int(stmt, number, value);
    else
        bind_null(stmt, number);
}

void bind_id(struct stmt *stmt, int number, const struct id *id)
{
    bind_text(stmt, number, id_str(id));
}

/* --- running --- */

static void step_check_bound(struct stmt *stmt)
{
    if (stmt->bound == stmt->parameters) return;
    int number = __builtin_ctzll(stmt->parameters & ~stmt->bound) + 1;
    STMT_FAIL(stmt, ERR_INTERNAL, "db_statement", "$%d not bound: %.80s", number, stmt->sql);
}

/* Whoever overlooked the error that ended the transaction must not go on without one: each
 * statement would be committed by itself, and a read would see what others commit meanwhile. */
static void step_check_transaction(struct stmt *stmt)
{
    const struct db *db = stmt->db;
    if (db->expects_transaction && !db->driver->in_transaction(db))
        STMT_FAIL(stmt, ERR_UNAVAILABLE, "db_io", "the transaction was lost before: %.80s",
                  stmt->sql);
}

bool stmt_step(struct stmt *stmt)
{
    CHECK(stmt->is_open);
    stmt->has_row = false;
    if (!stmt->has_started) step_check_bound(stmt);
    step_check_transaction(stmt);
    if (stmt->failure.code || stmt->is_done) return false;
    stmt->has_started = true;
    stmt->has_row = stmt->db->driver->step(stmt);
    stmt->is_done = !stmt->has_row;
    return stmt->has_row;
}

enum err stmt_end(struct stmt *stmt, struct error *error)
{
    CHECK(stmt->is_open);
    if (stmt->is_prepared) stmt->db->driver->reset(stmt);
    stmt->is_open = false;
    stmt->has_row = false;
    stmt->db->open_count--;
    if (stmt->failure.code == ERR_OK) return ERR_OK;
    *error = stmt->failure;
    return error->code;
}

enum err stmt_run(struct stmt *stmt, struct error *error, int64_t *ret_changes)
{
    if (stmt_step(stmt))
        STMT_FAIL(stmt, ERR_INTERNAL, "db_statement", "a row that nobody reads: %.80s", stmt->sql);
    enum err e = stmt_end(stmt, error);
    if (e) return e;
    if (ret_changes) *ret_changes = stmt->changes;
    return ERR_OK;
}

/* --- reading --- */

static struct db_value column_value(struct stmt *stmt, int column, enum db_value_kind want)
{
    struct db_value value = { .kind = DB_VALUE_NULL };
    CHECK(stmt->is_open);
    if (stmt->failure.code) return value;
    if (!stmt->has_row)
        STMT_FAIL(stmt, ERR_INTERNAL, "db_statement", "no row to read: %.80s", stmt->sql);
    else if (column < 0 || column >= stmt->columns_count)
        STMT_FAIL(stmt, ERR_INTERNAL, "db_statement", "no column %d: %.80s", column, stmt->sql);
    else
        stmt->db->driver->column(stmt, column, want, &value);
    return value;
}

int64_t column_int(struct stmt *stmt, int column)
{
    return column_value(stmt, column, DB_VALUE_INT).integer;
}

struct str column_text(struct stmt *stmt, int column, struct arena *arena)
{
    return str_copy(arena, column_value(stmt, column, DB_VALUE_TEXT).text);
}

struct str column_bytes(struct stmt *stmt, int column, struct arena *arena)
{
    return str_copy(arena, column_value(stmt, column, DB_VALUE_BYTES).text);
}

struct id column_id(struct stmt *stmt, int column)
{
    struct str text = column_value(stmt, column, DB_VALUE_TEXT).text;
    if (text.len < ID_BYTES_MAX) return id_from_store(text);
    STMT_FAIL(stmt, ERR_INTERNAL, "db_statement", "column %d holds no id: %.80s", column,
              stmt->sql);
    return (struct id){ 0 };
}

bool column_is_null(struct stmt *stmt, int column)
{
    return column_value(stmt, column, DB_VALUE_NULL).kind == DB_VALUE_NULL;
}

/* --- transactions --- */

bool db_in_transaction(const struct db *db)
{
    return db->driver->in_transaction(db);
}

enum err db_begin(struct db *db, struct error *error)
{
    CHECK(!db_in_transaction(db));
    check_all_closed(db);
    db->expects_transaction = false;
    db->has_savepoint = false;
    enum err e = stmt_run(db_query(db, db->driver->begin_sql[db->mode]), error, NULL);
    if (e) return e;
    db->expects_transaction = true;
    return ERR_OK;
}

enum err db_commit(struct db *db, struct error *error)
{
    check_all_closed(db);
    CHECK(db->expects_transaction);
    CHECK(!db->has_savepoint);
    struct error cause;
    enum err     e = stmt_run(db_query(db, "COMMIT"), &cause, NULL);
    if (e)
        return FAIL(error, ERR_UNCERTAIN, "commit_failed", "%s: %.150s", cause.slug, cause.detail);
    db->expects_transaction = false;
    return ERR_OK;
}

void db_rollback(struct db *db)
{
    check_all_closed(db);
    db->expects_transaction = false;
    db->has_savepoint = false;
    if (!db_in_transaction(db)) return;
    struct error error;
    enum err     e = stmt_run(db_query(db, "ROLLBACK"), &error, NULL);
    /* Also a rollback that met an error ends the transaction. */
    CHECK(e == ERR_OK || !db_in_transaction(db));
}

enum err db_savepoint(struct db *db, struct error *error)
{
    CHECK(db->expects_transaction);
    CHECK(!db->has_savepoint);
    enum err e = stmt_run(db_query(db, "SAVEPOINT nested"), error, NULL);
    if (e) return e;
    db->has_savepoint = true;
    return ERR_OK;
}

enum err db_release(struct db *db, struct error *error)
{
    check_all_closed(db);
    CHECK(db->has_savepoint);
    enum err e = db->driver->check_deferred(db, error);
    if (e) return e;
    e = stmt_run(db_query(db, "RELEASE SAVEPOINT nested"), error, NULL);
    if (e) return e;
    db->has_savepoint = false;
    return ERR_OK;
}

void db_rollback_to_savepoint(struct db *db)
{
    check_all_closed(db);
    bool had_savepoint = db->has_savepoint;
    db->has_savepoint = false;
    if (!had_savepoint || !db_in_transaction(db)) return;
    struct error error;
    enum err     e = stmt_run(db_query(db, "ROLLBACK TO SAVEPOINT nested"), &error, NULL);
    if (e == ERR_OK) e = stmt_run(db_query(db, "RELEASE SAVEPOINT nested"), &error, NULL);
    /* What could not be undone alone goes with the rest. */
    if (e) {
        db_rollback(db);
        db->expects_transaction = true;
    }
}

/* --- upkeep --- */

enum err db_script(struct db *db, const char *script, struct error *error)
{
    return db->driver->script(db, script, error);
}

int64_t db_wal_bytes(const struct db *db)
{
    return db->driver->wal_bytes(db);
}

enum err db_checkpoint(struct db *db, enum db_checkpoint kind, struct error *error)
{
    return db->driver->checkpoint(db, kind, error);
}
