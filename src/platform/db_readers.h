/* Read-only connections, one per thread that asks, opened on first use and closed when the thread
 * or the set ends. */
#ifndef FIRSTHAND_PLATFORM_DB_READERS_H
#define FIRSTHAND_PLATFORM_DB_READERS_H

#include "platform/db.h"

struct db_readers;

/* url must outlive the set. Owned by the caller until db_readers_close, which must come after every
 * thread that used it has ended or stopped using it. */
struct db_readers *db_readers_open(const char *url);
void               db_readers_close(struct db_readers *readers); /* NULL is fine */

/* This thread's connection. Errors: as db_open. */
MUST_USE enum err db_readers_get(struct db_readers *readers, struct error *error,
                                 struct db **ret_db);

#endif
