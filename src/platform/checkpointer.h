/* Keeps the write-ahead log small beside a writer. The log is copied back by a thread and a
 * connection of its own, while commits go on; what it cannot do is let the log begin anew, for
 * which nobody may be writing. So that is the writer's part, once the log is large: a RESTART
 * checkpoint between two batches, when little is left to copy. Copying all of it there would hold
 * up every write for tens of milliseconds. */
#ifndef FIRSTHAND_PLATFORM_CHECKPOINTER_H
#define FIRSTHAND_PLATFORM_CHECKPOINTER_H

#include "platform/db.h"

static const int64_t CHECKPOINT_STEP_BYTES = (int64_t)4 << 20; /* of the log, then it is copied */
static const int64_t CHECKPOINT_LOG_BYTES = (int64_t)64 << 20; /* then it begins anew */

struct checkpointer;

struct checkpointer_stats {
    int64_t passive, restart; /* how many were made, refused ones too */
};

/* Takes ownership of a DB_WRITE connection to the writer's store. */
struct checkpointer *checkpointer_start(struct db *db);

/* Between two batches of the writer, on its thread and with its connection: begin what is due. */
void checkpointer_tend(struct checkpointer *checkpointer, struct db *writer_db);

/* Wait for a copy that runs, close the connection, end the thread. Then give the log's bytes back,
 * by the writer's connection. */
void checkpointer_stop(struct checkpointer *checkpointer, struct db *writer_db);

/* Thread-safe. */
void checkpointer_read_stats(struct checkpointer       *checkpointer,
                             struct checkpointer_stats *ret_stats);

#endif
