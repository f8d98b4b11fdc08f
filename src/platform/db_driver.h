/* What db.c and db_migrate.c ask of a database driver; nobody else includes this.
 *
 * A driver's connection and statement begin with struct db and struct stmt, so that one pointer
 * serves both sides. db.c keeps the rules that hold for every database: the statement cache, which
 * calls are allowed when, and the first failure of each use. A driver only carries out, and reports
 * through STMT_FAIL or its struct error. */
#ifndef FIRSTHAND_PLATFORM_DB_DRIVER_H
#define FIRSTHAND_PLATFORM_DB_DRIVER_H

#include "platform/db.h"

#include <assert.h>

enum db_value_kind { DB_VALUE_NULL, DB_VALUE_INT, DB_VALUE_TEXT, DB_VALUE_BYTES };

struct db_value {
    enum db_value_kind kind;
    int64_t            integer;
    struct str         text; /* of TEXT and BYTES; borrowed */
};

/* Open addressing needs slack to stay quick. */
enum { DB_SLOTS_COUNT = 1024 };
static_assert(DB_SLOTS_COUNT >= 2 * DB_STATEMENTS_MAX, "the statement table stays half empty");
static_assert((DB_SLOTS_COUNT & (DB_SLOTS_COUNT - 1)) == 0, "slots wrap by mask");
static_assert(DB_PARAMETERS_MAX <= 64, "parameter masks are 64 bits");

struct db {
    const struct db_driver *driver;
    enum db_mode            mode;
    bool                    expects_transaction; /* between db_begin and its end */
    bool                    has_savepoint;
    int                     statements_count;
    int                     open_count; /* statements between db_query and stmt_end */
    struct arena            arena;      /* the statements */
    struct stmt            *slots[DB_SLOTS_COUNT];
};

struct stmt {
    struct db   *db;
    const char  *sql;         /* the literal: its address is the key */
    const char  *text;        /* what stood there when it was first seen */
    bool         is_prepared; /* set by the driver */
    bool         is_open;
    bool         has_started;
    bool         has_row;
    bool         is_done;
    uint64_t     parameters; /* bit n - 1: the text has $n; set by the driver */
    uint64_t     bound;
    int          columns_count; /* set by the driver */
    int64_t      changes;       /* rows changed; set by the driver when it is done */
    struct error failure;       /* the first of this use; code ERR_OK = none */
};

/* Keep a failure unless there is one already. */
#define STMT_FAIL(stmt, err_code, err_slug, ...)                                                   \
    ((void)((stmt)->failure.code == ERR_OK &&                                                      \
            FAIL(&(stmt)->failure, err_code, err_slug, __VA_ARGS__)))

struct db_driver {
    const char *scheme;       /* its URLs begin with it: "sqlite:" */
    const char *variant;      /* its migrations are NNNN_name.VARIANT.sql */
    const char *begin_sql[2]; /* by enum db_mode */
    size_t      stmt_bytes;   /* size of its struct that begins with struct stmt */

    /* address: the URL after the scheme. */
    enum err (*open)(const char *address, enum db_mode mode, struct error *error,
                     struct db **ret_db);
    /* Gives back the struct db too. Every statement was finalised. */
    void (*close)(struct db *db);

    void (*prepare)(struct stmt *stmt);
    /* number is known to be one of the statement's parameters. Copies what it is given. */
    void (*bind)(struct stmt *stmt, int number, const struct db_value *value);
    bool (*step)(struct stmt *stmt); /* true = a row */
    /* The column of the current row as the wanted kind, or NULL; text is good until the next step.
     */
    void (*column)(struct stmt *stmt, int column, enum db_value_kind want,
                   struct db_value *ret_value);
    void (*reset)(struct stmt *stmt); /* and forget the bindings */
    void (*finalise)(struct stmt *stmt);

    bool (*in_transaction)(const struct db *db);
    /* Would a commit now be refused for a deferred REFERENCES? Then ERR_CONFLICT "db_constraint".
     */
    enum err (*check_deferred)(struct db *db, struct error *error);
    enum err (*script)(struct db *db, const char *script, struct error *error);
    enum err (*has_table)(struct db *db, const char *name, struct error *error,
                          bool *ret_has_table);
    int64_t (*wal_bytes)(const struct db *db);
    enum err (*checkpoint)(struct db *db, enum db_checkpoint kind, struct error *error);
};

extern const struct db_driver db_sqlite_driver;

#endif
