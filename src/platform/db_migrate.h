/* Numbered migrations from sql/, compiled in: NNNN_name.sql, run once each, in order, each in a
 * transaction of its own together with its row in schema_migrations. */
#ifndef FIRSTHAND_PLATFORM_DB_MIGRATE_H
#define FIRSTHAND_PLATFORM_DB_MIGRATE_H

#include "platform/db.h"

/* Bring the store up to date over a DB_WRITE connection. Repeating is a no-op.
 * ERR_CONFLICT "schema_newer": the store was made by a newer program;
 * ERR_CONFLICT "schema_changed": a migration that ran here has another text now.
 * *ret_applied (may be NULL) = how many ran now. */
MUST_USE enum err db_migrate(struct db *db, int64_t now_ms, struct error *error, int *ret_applied);

/* Is every migration done? For /readyz and commands; a read connection is enough. */
MUST_USE enum err db_migrated(struct db *db, struct error *error, bool *ret_is_current);

#endif
