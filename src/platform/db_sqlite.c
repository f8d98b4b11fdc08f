/* SQLite: the default store, and the only file that knows sqlite3.h. */
#include "platform/db_driver.h"

#include "base/world.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { WAL_FRAME_HEADER_BYTES = 24, OPEN_RETRY_US = 5000, RESTART_RETRY_US = 100 };

struct sqlite_db {
    struct db base;
    sqlite3  *handle;
    int64_t   frame_bytes; /* a page in the write-ahead log */
    int64_t   wal_bytes;   /* as of this connection's last commit or checkpoint; DB_WRITE only */
};

struct sqlite_statement {
    struct stmt   base;
    sqlite3_stmt *handle;
    /* SQLite numbers $n by first appearance, so "$2, $1" are its parameters 1 and 2. */
    uint8_t index_of[DB_PARAMETERS_MAX + 1];
};

static sqlite3 *handle_of(const struct db *db)
{
    return ((const struct sqlite_db *)db)->handle;
}

static struct sqlite_statement *statement_of(struct stmt *stmt)
{
    return (struct sqlite_statement *)stmt;
}

/* --- what went wrong --- */

struct failure_kind {
    int         primary;
    enum err    code;
    const char *slug;
};

static const struct failure_kind failure_kinds[] = {
    { SQLITE_CONSTRAINT, ERR_CONFLICT, "db_constraint" },
    { SQLITE_BUSY, ERR_BUSY, "db_busy" }, /* also BUSY_SNAPSHOT and BUSY_RECOVERY */
    { SQLITE_LOCKED, ERR_BUSY, "db_busy" },
    { SQLITE_PROTOCOL, ERR_BUSY, "db_busy" }, /* lost the race for the log's locks too often */
    { SQLITE_SCHEMA, ERR_BUSY, "db_busy" },   /* the schema kept changing underneath */
    { SQLITE_FULL, ERR_UNAVAILABLE, "db_full" },
    { SQLITE_ABORT, ERR_UNAVAILABLE, "db_io" }, /* a read whose transaction was lost meanwhile */
    { SQLITE_IOERR, ERR_UNAVAILABLE, "db_io" },
    { SQLITE_CORRUPT, ERR_UNAVAILABLE, "db_io" },
    { SQLITE_NOTADB, ERR_UNAVAILABLE, "db_io" },
    { SQLITE_CANTOPEN, ERR_UNAVAILABLE, "db_io" },
    { SQLITE_NOMEM, ERR_UNAVAILABLE, "db_io" },
};
static const struct failure_kind failure_io = { 0, ERR_UNAVAILABLE, "db_io" };
static const struct failure_kind failure_bug = { 0, ERR_INTERNAL, "db_statement" };

static struct failure_kind failure_kind(int rc)
{
    /* A value of the wrong type for a STRICT table is our mistake, not a state of the data. */
    if (rc == SQLITE_CONSTRAINT_DATATYPE) return failure_bug;
    /* Plain READONLY is a write on a DB_READ connection; the others say the file is out of reach.
     */
    if ((rc & 0xff) == SQLITE_READONLY && rc != SQLITE_READONLY) return failure_io;
    for (size_t i = 0; i < COUNT_OF(failure_kinds); i++)
        if (failure_kinds[i].primary == (rc & 0xff)) return failure_kinds[i];
    return failure_bug;
}

static enum err failure(sqlite3 *handle, int rc, struct error *error)
{
    struct failure_kind kind = failure_kind(rc);
    return FAIL(error, kind.code, kind.slug, "%s (%d)", sqlite3_errmsg(handle), rc);
}

static void statement_failure(struct stmt *stmt, int rc)
{
    struct failure_kind kind = failure_kind(rc);
    STMT_FAIL(stmt, kind.code, kind.slug, "%s (%d): %.80s", sqlite3_errmsg(handle_of(stmt->db)), rc,
              stmt->sql);
}

/* --- opening --- */

static pthread_once_t process_once = PTHREAD_ONCE_INIT;

static void process_prepare(void)
{
    /* Memory statistics would put one mutex under every allocation of every thread. Refused when
     * the library is already in use, which does no harm. */
    (void)sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
    CHECK(sqlite3_initialize() == SQLITE_OK);
}

/* A store that does not exist yet is made here, so that nobody else can ever read it; SQLite gives
 * the log beside it the same mode. An existing file is not opened: closing it would drop the locks
 * of other connections of this process. */
static enum err open_create_file(const char *path, struct error *error)
{
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0 && errno == EEXIST) return ERR_OK;
    if (fd < 0) return FAIL(error, ERR_UNAVAILABLE, "database_open", "%s: %m", path);
    close(fd);
    return ERR_OK;
}

static const char open_common_sql[] =
    "PRAGMA foreign_keys = ON; PRAGMA temp_store = MEMORY; PRAGMA cell_size_check = ON;";
/* secure_delete FAST: deleted content is overwritten where the page is written anyway. */
static const char open_write_sql[] =
    "PRAGMA synchronous = FULL; PRAGMA cache_size = -8192; PRAGMA secure_delete = FAST;";
/* schema_version makes a file that is no store fail here and not in the first query. */
static const char open_read_sql[] =
    "PRAGMA query_only = ON; PRAGMA cache_size = -4096; PRAGMA schema_version;";

static int open_harden(sqlite3 *handle)
{
    static const int switches[][2] = {
        { SQLITE_DBCONFIG_ENABLE_FKEY, 1 },
        { SQLITE_DBCONFIG_DEFENSIVE, 1 },
        { SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0 },
        { SQLITE_DBCONFIG_DQS_DML, 0 },
        { SQLITE_DBCONFIG_DQS_DDL, 0 },
        /* A plan never depends on bound values: else each use of a statement that might match a
         * partial index compiles it anew. */
        { SQLITE_DBCONFIG_ENABLE_QPSG, 1 },
    };
    for (size_t i = 0; i < COUNT_OF(switches); i++) {
        int rc = sqlite3_db_config(handle, switches[i][0], switches[i][1], NULL);
        if (rc) return rc;
    }
    sqlite3_extended_result_codes(handle, 1);
    return sqlite3_busy_timeout(handle, DB_BUSY_MS_MAX);
}

/* The one value of a one-row PRAGMA, into text. */
static int pragma_value(sqlite3 *handle, const char *sql, char *text, size_t text_bytes)
{
    sqlite3_stmt *statement;
    int           rc = sqlite3_prepare_v2(handle, sql, -1, &statement, NULL);
    if (rc) return rc;
    rc = sqlite3_step(statement);
    if (rc == SQLITE_ROW)
        snprintf(text, text_bytes, "%s", (const char *)sqlite3_column_text(statement, 0));
    int end_rc = sqlite3_finalize(statement);
    return rc == SQLITE_ROW || rc == SQLITE_DONE ? end_rc : rc;
}

/* Switching a new store to WAL needs it exclusively for a moment and does not always wait for the
 * others who are opening it too, so waiting is done here. */
static int open_log_ahead(sqlite3 *handle)
{
    char mode[16] = "";
    int  rc = SQLITE_BUSY;
    for (int waited_us = 0; waited_us < DB_BUSY_MS_MAX * 1000; waited_us += OPEN_RETRY_US) {
        rc = pragma_value(handle, "PRAGMA journal_mode = WAL", mode, sizeof(mode));
        if ((rc & 0xff) != SQLITE_BUSY) break;
        usleep(OPEN_RETRY_US);
    }
    if (rc) return rc;
    return strcmp(mode, "wal") == 0 ? SQLITE_OK : SQLITE_CANTOPEN;
}

static int64_t file_bytes(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 ? (int64_t)status.st_size : 0;
}

static int64_t wal_file_bytes(sqlite3 *handle)
{
    return file_bytes(sqlite3_filename_wal(sqlite3_db_filename(handle, "main")));
}

static int on_wal_commit(void *argument, sqlite3 *handle, const char *schema, int pages_count)
{
    (void)handle;
    (void)schema;
    struct sqlite_db *db = argument;
    db->wal_bytes = pages_count * db->frame_bytes;
    return SQLITE_OK;
}

static int open_for_writing(struct sqlite_db *db)
{
    if (sqlite3_db_readonly(db->handle, "main")) return SQLITE_CANTOPEN;
    int rc = open_log_ahead(db->handle);
    if (rc == SQLITE_OK) rc = sqlite3_exec(db->handle, open_write_sql, NULL, NULL, NULL);
    char page_bytes[16] = "";
    if (rc == SQLITE_OK)
        rc = pragma_value(db->handle, "PRAGMA page_size", page_bytes, sizeof(page_bytes));
    if (rc) return rc;
    db->frame_bytes = strtol(page_bytes, NULL, 10) + WAL_FRAME_HEADER_BYTES;
    db->wal_bytes = wal_file_bytes(db->handle);
    /* Takes the place of the automatic checkpoint, which is a hook too. */
    sqlite3_wal_hook(db->handle, on_wal_commit, db);
    return SQLITE_OK;
}

static enum err open_connection(struct sqlite_db *db, const char *path, enum db_mode mode,
                                struct error *error)
{
    int flags = mode == DB_WRITE ? SQLITE_OPEN_READWRITE : SQLITE_OPEN_READONLY;
    int rc = sqlite3_open_v2(path, &db->handle, flags | SQLITE_OPEN_NOMUTEX, NULL);
    if (rc == SQLITE_OK) rc = open_harden(db->handle);
    if (rc == SQLITE_OK) rc = sqlite3_exec(db->handle, open_common_sql, NULL, NULL, NULL);
    if (rc == SQLITE_OK && mode == DB_WRITE) rc = open_for_writing(db);
    if (rc == SQLITE_OK && mode == DB_READ) {
        sqlite3_wal_autocheckpoint(db->handle, 0);
        rc = sqlite3_exec(db->handle, open_read_sql, NULL, NULL, NULL);
    }
    if (rc == SQLITE_OK) return ERR_OK;
    return FAIL(error, ERR_UNAVAILABLE, "database_open", "%.120s: %s (%d)", path,
                sqlite3_errstr(rc), rc);
}

static void sqlite_close(struct db *base)
{
    CHECK(sqlite3_close(handle_of(base)) == SQLITE_OK);
    free(base);
}

static enum err sqlite_open(const char *address, enum db_mode mode, struct error *error,
                            struct db **ret_db)
{
    CHECK(pthread_once(&process_once, process_prepare) == 0);
    /* "./" keeps ":memory:" and "file:…" from meaning something else than a file of that name. */
    char path[PATH_MAX];
    int  len = snprintf(path, sizeof(path), "%s%s", address[0] == '/' ? "" : "./", address);
    if (address[0] == '\0' || len >= (int)sizeof(path))
        return FAIL(error, ERR_UNAVAILABLE, "database_open", "a path of %d bytes", len);
    enum err e = mode == DB_WRITE ? open_create_file(path, error) : ERR_OK;
    if (e) return e;

    struct sqlite_db *db = calloc(1, sizeof(*db));
    CHECK(db != NULL);
    db->base.driver = &db_sqlite_driver;
    db->base.mode = mode;
    arena_init(&db->base.arena, SIZE_MAX);
    e = open_connection(db, path, mode, error);
    if (e) {
        sqlite_close(&db->base);
        return e;
    }
    *ret_db = &db->base;
    return ERR_OK;
}

/* --- statements --- */

/* Map $1…$n; false when the text names its parameters in another way or leaves one out. */
static bool prepare_parameters(struct sqlite_statement *statement)
{
    int      count = sqlite3_bind_parameter_count(statement->handle);
    uint64_t parameters = 0;
    for (int index = 1; index <= count; index++) {
        const char *name = sqlite3_bind_parameter_name(statement->handle, index);
        int64_t     number;
        if (name == NULL || name[0] != '$' || name[1] < '1' || name[1] > '9') return false;
        if (!str_to_int64(str_of(name + 1), &number) || number > DB_PARAMETERS_MAX) return false;
        statement->index_of[number] = (uint8_t)index;
        parameters |= UINT64_C(1) << (number - 1);
    }
    statement->base.parameters = parameters;
    return (parameters & (parameters + 1)) == 0;
}

static bool is_blank(const char *text)
{
    return text[strspn(text, " \t\r\n;")] == '\0';
}

static void sqlite_prepare(struct stmt *stmt)
{
    struct sqlite_statement *statement = statement_of(stmt);
    const char              *rest;
    int rc = sqlite3_prepare_v3(handle_of(stmt->db), stmt->sql, -1, SQLITE_PREPARE_PERSISTENT,
                                &statement->handle, &rest);
    if (rc) {
        statement_failure(stmt, rc);
        return;
    }
    if (statement->handle == NULL || !is_blank(rest)) {
        STMT_FAIL(stmt, ERR_INTERNAL, "db_statement", "not one statement: %.80s", stmt->sql);
    } else if (!prepare_parameters(statement)) {
        STMT_FAIL(stmt, ERR_INTERNAL, "db_statement", "parameters are not $1, $2…: %.80s",
                  stmt->sql);
    } else {
        stmt->columns_count = sqlite3_column_count(statement->handle);
        stmt->is_prepared = true;
        return;
    }
    sqlite3_finalize(statement->handle);
    statement->handle = NULL;
}

static void sqlite_bind(struct stmt *stmt, int number, const struct db_value *value)
{
    sqlite3_stmt *handle = statement_of(stmt)->handle;
    int           index = statement_of(stmt)->index_of[number];
    int           rc = SQLITE_MISUSE;
    switch (value->kind) {
    case DB_VALUE_NULL: rc = sqlite3_bind_null(handle, index); break;
    case DB_VALUE_INT: rc = sqlite3_bind_int64(handle, index, value->integer); break;
    case DB_VALUE_TEXT:
        rc = sqlite3_bind_text64(handle, index, value->text.data, value->text.len, SQLITE_TRANSIENT,
                                 SQLITE_UTF8);
        break;
    case DB_VALUE_BYTES:
        rc =
            sqlite3_bind_blob64(handle, index, value->text.data, value->text.len, SQLITE_TRANSIENT);
        break;
    }
    if (rc) statement_failure(stmt, rc);
}

static bool sqlite_step(struct stmt *stmt)
{
    sqlite3 *handle = handle_of(stmt->db);
    /* sqlite3_changes still tells of the statement before when this one is not an INSERT, UPDATE
     * or DELETE; the total does not move then. */
    int64_t total_before = sqlite3_total_changes64(handle);
    int     rc = sqlite3_step(statement_of(stmt)->handle);
    if (sqlite3_total_changes64(handle) != total_before) stmt->changes = sqlite3_changes64(handle);
    if (rc == SQLITE_ROW) return true;
    if (rc != SQLITE_DONE) statement_failure(stmt, rc);
    return false;
}

/* For text and bytes the pointer is asked for first and the length after it: the pointer call may
 * convert the value. */
static void sqlite_column(struct stmt *stmt, int column, enum db_value_kind want,
                          struct db_value *ret_value)
{
    sqlite3_stmt *handle = statement_of(stmt)->handle;
    if (sqlite3_column_type(handle, column) == SQLITE_NULL) return;
    ret_value->kind = want == DB_VALUE_NULL ? DB_VALUE_INT : want;
    const void *data = NULL;
    if (want == DB_VALUE_INT) ret_value->integer = sqlite3_column_int64(handle, column);
    if (want == DB_VALUE_TEXT) data = sqlite3_column_text(handle, column);
    if (want == DB_VALUE_BYTES) data = sqlite3_column_blob(handle, column);
    if (want != DB_VALUE_TEXT && want != DB_VALUE_BYTES) return;

    size_t len = (size_t)sqlite3_column_bytes(handle, column);
    if (data == NULL && len > 0) statement_failure(stmt, SQLITE_NOMEM);
    /* An empty blob comes without an address, and is not absent. */
    ret_value->text = data ? (struct str){ data, len } : STR("");
}

static void sqlite_reset(struct stmt *stmt)
{
    sqlite3_stmt *handle = statement_of(stmt)->handle;
    int           rc = sqlite3_reset(handle);
    if (rc) statement_failure(stmt, rc); /* one that is cut short may fail to finish */
    sqlite3_clear_bindings(handle);
}

static void sqlite_finalise(struct stmt *stmt)
{
    sqlite3_finalize(statement_of(stmt)->handle);
}

/* --- transactions and upkeep --- */

static bool sqlite_in_transaction(const struct db *db)
{
    return !sqlite3_get_autocommit(handle_of(db));
}

static enum err sqlite_check_deferred(struct db *db, struct error *error)
{
    int unresolved = 0, unused = 0;
    int rc =
        sqlite3_db_status(handle_of(db), SQLITE_DBSTATUS_DEFERRED_FKS, &unresolved, &unused, 0);
    CHECK(rc == SQLITE_OK);
    if (unresolved == 0) return ERR_OK;
    return FAIL(error, ERR_CONFLICT, "db_constraint", "a deferred FOREIGN KEY is not satisfied");
}

static enum err sqlite_script(struct db *db, const char *script, struct error *error)
{
    int rc = sqlite3_exec(handle_of(db), script, NULL, NULL, NULL);
    return rc ? failure(handle_of(db), rc, error) : ERR_OK;
}

static enum err sqlite_has_table(struct db *db, const char *name, struct error *error,
                                 bool *ret_has_table)
{
    struct stmt *q = db_query(db, "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = $1");
    bind_text(q, 1, str_of(name));
    bool     has_table = stmt_step(q);
    enum err e = stmt_end(q, error);
    if (e) return e;
    *ret_has_table = has_table;
    return ERR_OK;
}

static int64_t sqlite_wal_bytes(const struct db *db)
{
    if (db->mode == DB_READ) return wal_file_bytes(handle_of(db));
    return ((const struct sqlite_db *)db)->wal_bytes;
}

/* Readers on the log end within microseconds, and those that begin once all is copied do not use
 * it: SQLite's own waiting, from 1 ms on, would be nearly all of the time a checkpoint takes. */
static int on_restart_busy(void *argument, int times_called)
{
    (void)times_called;
    const int64_t *deadline_us = argument;
    if (world_monotonic_us() >= *deadline_us) return 0;
    usleep(RESTART_RETRY_US);
    return 1;
}

static enum err sqlite_checkpoint(struct db *db, enum db_checkpoint kind, struct error *error)
{
    static const int modes[] = {
        [DB_CHECKPOINT_PASSIVE] = SQLITE_CHECKPOINT_PASSIVE,
        [DB_CHECKPOINT_RESTART] = SQLITE_CHECKPOINT_RESTART,
        [DB_CHECKPOINT_TRUNCATE] = SQLITE_CHECKPOINT_TRUNCATE,
    };
    int     frames_count = -1, frames_done = -1;
    int64_t deadline_us = world_monotonic_us() + (int64_t)DB_RESTART_MS_MAX * 1000;
    if (kind == DB_CHECKPOINT_RESTART)
        sqlite3_busy_handler(handle_of(db), on_restart_busy, &deadline_us);
    int rc =
        sqlite3_wal_checkpoint_v2(handle_of(db), NULL, modes[kind], &frames_count, &frames_done);
    sqlite3_busy_timeout(handle_of(db), DB_BUSY_MS_MAX);
    if (rc) return failure(handle_of(db), rc, error);
    struct sqlite_db *sqlite = (struct sqlite_db *)db;
    /* A passive one copies, and leaves it to the next commit to begin the log anew. */
    bool is_empty = kind != DB_CHECKPOINT_PASSIVE || frames_count < 0;
    sqlite->wal_bytes = is_empty ? 0 : frames_count * sqlite->frame_bytes;
    return ERR_OK;
}

const struct db_driver db_sqlite_driver = {
    .scheme = "sqlite:",
    .variant = "sqlite",
    .begin_sql = { [DB_READ] = "BEGIN", [DB_WRITE] = "BEGIN IMMEDIATE" },
    .stmt_bytes = sizeof(struct sqlite_statement),
    .open = sqlite_open,
    .close = sqlite_close,
    .prepare = sqlite_prepare,
    .bind = sqlite_bind,
    .step = sqlite_step,
    .column = sqlite_column,
    .reset = sqlite_reset,
    .finalise = sqlite_finalise,
    .in_transaction = sqlite_in_transaction,
    .check_deferred = sqlite_check_deferred,
    .script = sqlite_script,
    .has_table = sqlite_has_table,
    .wal_bytes = sqlite_wal_bytes,
    .checkpoint = sqlite_checkpoint,
};
