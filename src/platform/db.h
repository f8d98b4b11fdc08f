/* The store: one connection, its statements and transactions. One portable SQL text runs on every
 * driver; this header is all that the layers above know of a database.
 *
 * SQL is always a literal with bound values: $1, $2, … each of which is bound by its number. The
 * text of a statement is its identity: it is prepared once per connection and cached.
 *
 *     struct stmt *q = db_query(db, "SELECT name FROM organisations WHERE id = $1");
 *     bind_text(q, 1, id_str(&id));
 *     if (stmt_step(q)) name = column_text(q, 0, arena);
 *     enum err e = stmt_end(q, error);
 *
 * Binding, stepping and reading keep the first failure; stmt_end reports it, once, and makes the
 * statement ready for its next use. Every db_query needs its stmt_end before the transaction ends.
 * A connection is used by one thread at a time. */
#ifndef FIRSTHAND_PLATFORM_DB_H
#define FIRSTHAND_PLATFORM_DB_H

#include "base/error.h"
#include "base/id.h"

enum {
    DB_PARAMETERS_MAX = 64,  /* of one statement */
    DB_STATEMENTS_MAX = 512, /* texts of one connection */
    DB_BUSY_MS_MAX = 5000,   /* how long a lock is waited for */
    DB_RESTART_MS_MAX = 50,  /* and by a checkpoint that other writes wait for */
};

struct db;
struct stmt;

enum db_mode { DB_READ, DB_WRITE };

/* Open one connection. url: "sqlite:PATH" (the default store) or "postgres://…" (a later driver;
 * now ERR_INVALID "database_unsupported"). DB_READ connections cannot write.
 * SQLite: WAL, synchronous=FULL, foreign_keys=ON, busy timeout DB_BUSY_MS_MAX, checkpoints by hand.
 * DB_WRITE makes a missing file (mode 0600); DB_READ does not. ERR_UNAVAILABLE "database_open".
 * *ret_db is owned by the caller until db_close. */
MUST_USE enum err db_open(const char *url, enum db_mode mode, struct error *error,
                          struct db **ret_db);
void              db_close(struct db *db); /* NULL is fine */

/* --- statements --- */

/* sql must be a string literal: its address is the cache key, and other text at the same address
 * later is a broken invariant, as are more than DB_STATEMENTS_MAX of them. Never NULL: a text that
 * does not compile is reported by stmt_end. The statement must not be in use: the text of one that
 * is goes to the log before the process ends. */
struct stmt *db_query(struct db *db, const char *sql);

/* Every parameter is bound before the first step; they are $1 to $n without a gap. Text and bytes
 * are copied. */
void bind_int(struct stmt *stmt, int number, int64_t value);
void bind_text(struct stmt *stmt, int number, struct str text);   /* absent → NULL */
void bind_bytes(struct stmt *stmt, int number, struct str bytes); /* absent → NULL */
void bind_null(struct stmt *stmt, int number);
/* A value that means "absent" is NULL: 0 for a time or an optional number, empty for an id. */
void bind_nonzero(struct stmt *stmt, int number, int64_t value);
/* Where 0 is a value. */
void bind_optional(struct stmt *stmt, int number, bool has_value, int64_t value);

void bind_id(struct stmt *stmt, int number, const struct id *id);

/* Run to the next row: true = a row is there to read; false = no more, or failed. In a transaction
 * that an earlier error ended every further step fails ("db_io"), so nothing is ever written or
 * read outside it by mistake. */
bool stmt_step(struct stmt *stmt);

/* Columns count from 0. NULL reads as 0, absent, or an empty id. Text and bytes are copied into the
 * arena, so they outlive the statement. */
int64_t    column_int(struct stmt *stmt, int column);
struct str column_text(struct stmt *stmt, int column, struct arena *arena);
struct str column_bytes(struct stmt *stmt, int column, struct arena *arena);
struct id  column_id(struct stmt *stmt, int column);
bool       column_is_null(struct stmt *stmt, int column);

/* Finish: reset, forget the bindings, report the first failure of this use.
 *   ERR_CONFLICT    "db_constraint"  a CHECK, UNIQUE, NOT NULL or REFERENCES refused it
 *   ERR_BUSY        "db_busy"        another writer holds the store; try again from the top
 *   ERR_UNAVAILABLE "db_full" | "db_io"
 *   ERR_INTERNAL    "db_statement"   anything else: a bug
 * After an error the transaction may be gone: see db_in_transaction. */
MUST_USE enum err stmt_end(struct stmt *stmt, struct error *error);

/* For a statement without rows: step once and end. *ret_changes (may be NULL) = rows it changed
 * itself, without those of triggers and cascades. */
MUST_USE enum err stmt_run(struct stmt *stmt, struct error *error, int64_t *ret_changes);

/* --- transactions --- */

/* DB_WRITE: takes the write lock at once (BEGIN IMMEDIATE). DB_READ: one snapshot, as of the first
 * statement. What stmt_end answers; nothing is open then. Ends with db_commit or db_rollback, also
 * after a failure that ended it already. */
MUST_USE enum err db_begin(struct db *db, struct error *error);
/* ERR_UNCERTAIN "commit_failed": nothing may be said about what was written; roll back. */
MUST_USE enum err db_commit(struct db *db, struct error *error);
void              db_rollback(struct db *db); /* also fine when none is open */

/* One nested savepoint at a time. */
MUST_USE enum err db_savepoint(struct db *db, struct error *error);
/* Refuses ("db_constraint") what the commit would refuse later for a deferred REFERENCES, so that
 * it fails here, alone. On failure the savepoint stands. */
MUST_USE enum err db_release(struct db *db, struct error *error);
/* And drops it. Should even that fail, the whole transaction is undone: see db_in_transaction. */
void db_rollback_to_savepoint(struct db *db);

/* Is a transaction open? False after an error that ended it as a whole. */
bool db_in_transaction(const struct db *db);

/* --- upkeep --- */

/* Run a whole script of several statements (migrations and tests only); fails as stmt_end says.
 * The statements before the failing one have run. */
MUST_USE enum err db_script(struct db *db, const char *script, struct error *error);

/* Bytes in the write-ahead log; 0 where there is none. On a DB_WRITE connection what is in use as
 * of its last commit or checkpoint (the file may be larger), else the size of the file. */
int64_t db_wal_bytes(const struct db *db);

enum db_checkpoint { DB_CHECKPOINT_PASSIVE, DB_CHECKPOINT_RESTART, DB_CHECKPOINT_TRUNCATE };
/* Copy the log back. PASSIVE waits for nobody; RESTART waits (ERR_BUSY after DB_RESTART_MS_MAX)
 * until no reader needs the log, so that it begins anew: readers of a server are done in far less,
 * and for another (an audit) its writes shall not wait. TRUNCATE waits DB_BUSY_MS_MAX and also
 * gives the log's bytes back. */
MUST_USE enum err db_checkpoint(struct db *db, enum db_checkpoint kind, struct error *error);

/* Read calls must leave no statement open: number of statements between db_query and stmt_end. */
int db_open_statements(const struct db *db);

#endif
