/* Group commit. One thread owns the only connection that writes; write calls queue here and as many
 * as are waiting run inside one transaction, a savepoint each; their owners hear about it only
 * after the commit is durable. With a driver that has many writers a pool of these would stand
 * here.
 *
 * What a job's run must bear: it may run more than once (after another job of the batch broke the
 * transaction), so it must begin from nothing each time and touch only the db it is given. It runs
 * inside the batch's savepoint: it begins, commits and saves nothing itself, and ends every
 * statement that it queried.
 *
 * When the transaction is lost in a batch (a full disk, an I/O error), nothing of it is
 * acknowledged: every job runs again, alone, in a transaction of its own; one that loses it again
 * answers "store_unavailable". When the store stays busy for DB_BUSY_MS_MAX (another process
 * writes), the whole batch does. */
#ifndef FIRSTHAND_PLATFORM_WRITER_H
#define FIRSTHAND_PLATFORM_WRITER_H

#include "platform/db.h"

enum {
    WRITER_QUEUE_MAX = 4096,
    WRITER_BATCH_MAX = 128,
};

struct writer;

struct write_job {
    /* On the writer's thread, inside the transaction. ERR_OK keeps what it wrote; anything else
     * undoes it (and only it). */
    enum err (*run)(void *argument, struct db *db, struct error *error);
    /* On the writer's thread, once, after the batch's fate is known. e is run's last answer, or
     * ERR_UNCERTAIN "commit_unknown" (the commit failed: the outcome is not known) or
     * ERR_UNAVAILABLE "store_unavailable" (could not be run, nothing was written). May free the
     * job. Must not block. */
    void (*done)(void *argument, enum err e, const struct error *error);
    void *argument;

    struct write_job *next; /* the writer's */
    struct error      error;
    enum err          result;
};

struct writer_stats {
    int64_t commits, jobs, jobs_failed, batches_rerun;
    int64_t batch_jobs_max, queue_now;
};

/* Takes ownership of two DB_WRITE connections to one store with no transaction open: to write with,
 * and for the copying of the log (platform/checkpointer.h). */
struct writer *writer_start(struct db *db, struct db *checkpoint_db);

/* Queue a job; its memory stays the caller's until done. ERR_UNAVAILABLE "writer_full" |
 * "writer_stopping": not queued, done is not called. Thread-safe, never blocks. */
MUST_USE enum err writer_submit(struct writer *writer, struct write_job *job, struct error *error);

/* Queue and wait for the outcome: for runners and commands, never on a poll thread. */
MUST_USE enum err writer_call(struct writer *writer,
                              enum err (*run)(void *argument, struct db *db, struct error *error),
                              void *argument, struct error *error);

/* What it has done since it was started (for tests). Thread-safe. */
void writer_read_stats(struct writer *writer, struct writer_stats *ret_stats);

/* Run what is queued, checkpoint, close the connection, end the thread. Submitting meanwhile is
 * refused; submitting after it returned is a use after free. Not from a job or its done. */
void writer_stop(struct writer *writer);

#endif
