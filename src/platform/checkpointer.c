#include "platform/checkpointer.h"

#include "base/log.h"
#include "base/world.h"
#include "platform/metrics.h"

#include <pthread.h>
#include <stdlib.h>

struct checkpointer {
    struct db *db; /* the thread's own */
    pthread_t  thread;

    /* Only the writer's thread. */
    int64_t copied_bytes;  /* of the log: what the last copy was asked to reach */
    int64_t refused_bytes; /* the log's size when a reader last kept it from beginning anew */

    pthread_mutex_t           lock; /* for all below */
    pthread_cond_t            changed;
    bool                      is_wanted, is_stopping;
    struct checkpointer_stats stats;
};

static void log_failure(struct db *db, const struct error *error)
{
    struct log_line line;
    log_begin(&line, LOG_WARNING, "checkpoint_failed");
    log_int(&line, "wal_bytes", db_wal_bytes(db));
    log_error(&line, error);
    log_end(&line);
}

static enum err checkpoint(struct checkpointer *checkpointer, struct db *db,
                           enum db_checkpoint kind)
{
    struct error error;
    int64_t      started_us = world_monotonic_us();
    enum err     e = db_checkpoint(db, kind, &error);
    histogram_observe(HISTOGRAM_CHECKPOINT, (int)kind, world_monotonic_us() - started_us);
    if (e) log_failure(db, &error);
    pthread_mutex_lock(&checkpointer->lock);
    checkpointer->stats.passive += kind == DB_CHECKPOINT_PASSIVE;
    checkpointer->stats.restart += kind == DB_CHECKPOINT_RESTART;
    pthread_mutex_unlock(&checkpointer->lock);
    return e;
}

/* --- the thread --- */

/* False when stopping. */
static bool wait_until_wanted(struct checkpointer *checkpointer)
{
    pthread_mutex_lock(&checkpointer->lock);
    while (!checkpointer->is_wanted && !checkpointer->is_stopping)
        pthread_cond_wait(&checkpointer->changed, &checkpointer->lock);
    bool is_stopping = checkpointer->is_stopping;
    pthread_mutex_unlock(&checkpointer->lock);
    return !is_stopping;
}

static void set_wanted(struct checkpointer *checkpointer, bool is_wanted)
{
    pthread_mutex_lock(&checkpointer->lock);
    checkpointer->is_wanted = is_wanted;
    pthread_cond_signal(&checkpointer->changed);
    pthread_mutex_unlock(&checkpointer->lock);
}

static void *checkpointer_main(void *argument)
{
    struct checkpointer *checkpointer = argument;
    while (wait_until_wanted(checkpointer)) {
        (void)checkpoint(checkpointer, checkpointer->db, DB_CHECKPOINT_PASSIVE);
        set_wanted(checkpointer, false);
    }
    db_close(checkpointer->db);
    return NULL;
}

/* --- the writer's part --- */

static bool is_copying(struct checkpointer *checkpointer)
{
    pthread_mutex_lock(&checkpointer->lock);
    bool is_copying = checkpointer->is_wanted;
    pthread_mutex_unlock(&checkpointer->lock);
    return is_copying;
}

/* A reader that stays (an audit, a backup) is not waited for by every batch: the next try is when
 * the log has grown by another quarter. */
static bool may_restart(const struct checkpointer *checkpointer, int64_t wal_bytes)
{
    return wal_bytes > CHECKPOINT_LOG_BYTES &&
           wal_bytes - checkpointer->refused_bytes > CHECKPOINT_LOG_BYTES / 4;
}

static void restart(struct checkpointer *checkpointer, struct db *writer_db)
{
    enum err e = checkpoint(checkpointer, writer_db, DB_CHECKPOINT_RESTART);
    checkpointer->copied_bytes = db_wal_bytes(writer_db);
    checkpointer->refused_bytes = e ? checkpointer->copied_bytes : 0;
}

void checkpointer_tend(struct checkpointer *checkpointer, struct db *writer_db)
{
    int64_t wal_bytes = db_wal_bytes(writer_db);
    if (wal_bytes < checkpointer->copied_bytes) {
        /* It has begun anew by itself: all was copied, and nobody was reading. */
        checkpointer->copied_bytes = 0;
        checkpointer->refused_bytes = 0;
    }
    int64_t rest_bytes = wal_bytes - checkpointer->copied_bytes;
    bool    may = may_restart(checkpointer, wal_bytes);
    if (!may && rest_bytes <= CHECKPOINT_STEP_BYTES) return;
    if (is_copying(checkpointer)) return;
    /* A disk on which copies never catch up must not let the log grow for ever. */
    bool is_huge = wal_bytes > 2 * CHECKPOINT_LOG_BYTES;
    if (may && (rest_bytes <= CHECKPOINT_STEP_BYTES || is_huge)) {
        restart(checkpointer, writer_db);
        return;
    }
    checkpointer->copied_bytes = wal_bytes;
    set_wanted(checkpointer, true);
}

/* --- from start to stop --- */

struct checkpointer *checkpointer_start(struct db *db)
{
    struct checkpointer *checkpointer = calloc(1, sizeof(*checkpointer));
    CHECK(checkpointer != NULL);
    checkpointer->db = db;
    CHECK(pthread_mutex_init(&checkpointer->lock, NULL) == 0);
    CHECK(pthread_cond_init(&checkpointer->changed, NULL) == 0);
    CHECK(pthread_create(&checkpointer->thread, NULL, checkpointer_main, checkpointer) == 0);
    pthread_setname_np(checkpointer->thread, "checkpointer");
    return checkpointer;
}

void checkpointer_stop(struct checkpointer *checkpointer, struct db *writer_db)
{
    pthread_mutex_lock(&checkpointer->lock);
    checkpointer->is_stopping = true;
    pthread_cond_signal(&checkpointer->changed);
    pthread_mutex_unlock(&checkpointer->lock);
    CHECK(pthread_join(checkpointer->thread, NULL) == 0);
    (void)checkpoint(checkpointer, writer_db, DB_CHECKPOINT_TRUNCATE);
    pthread_cond_destroy(&checkpointer->changed);
    pthread_mutex_destroy(&checkpointer->lock);
    free(checkpointer);
}

void checkpointer_read_stats(struct checkpointer       *checkpointer,
                             struct checkpointer_stats *ret_stats)
{
    pthread_mutex_lock(&checkpointer->lock);
    *ret_stats = checkpointer->stats;
    pthread_mutex_unlock(&checkpointer->lock);
}
