/* Numbered migrations from sql/, compiled in: NNNN_name.sql, run once each, in order, each in a
 * transaction of its own together with its row in schema_migrations. Where one text cannot serve
 * every database, NNNN_name.sqlite.sql or NNNN_name.pg.sql takes its place for that one; a number
 * that has only the other database's variant is left out.
 *
 * A migration that has run is never edited: its text is remembered by its CRC-32. */
#ifndef FIRSTHAND_PLATFORM_DB_MIGRATE_H
#define FIRSTHAND_PLATFORM_DB_MIGRATE_H

#include "platform/db.h"
#include "platform/embedded.h"

enum { MIGRATIONS_COUNT_MAX = 256 };

/* Bring the store up to date over a DB_WRITE connection with no transaction open. Repeating is a
 * no-op that takes no lock; several processes may do it at once.
 * ERR_CONFLICT "schema_newer": the store was made by a newer program;
 * ERR_CONFLICT "schema_changed": a migration that ran here has another text now, is gone, or one
 * was added behind it;
 * ERR_INTERNAL "migration_set": the compiled-in files are not a sound set;
 * ERR_INTERNAL "migration_failed": one did not run, and left nothing behind;
 * or what db_begin, db_commit and a full store answer. Those that ran before a failure stay.
 * *ret_applied (may be NULL) = how many ran now. */
MUST_USE enum err db_migrate(struct db *db, int64_t now_ms, struct error *error, int *ret_applied);

/* The same with another set of files, sorted by name, ended by a NULL name; other files than *.sql
 * are passed over; more than MIGRATIONS_COUNT_MAX are a broken invariant. */
MUST_USE enum err db_migrate_files(struct db *db, const struct embedded_file *files, int64_t now_ms,
                                   struct error *error, int *ret_applied);

#endif
