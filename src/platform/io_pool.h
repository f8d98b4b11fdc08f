/* A bounded pool of threads for what may block: fsync, password hashing, talking to others. Poll
 * threads and the writer never do these themselves. */
#ifndef FIRSTHAND_PLATFORM_IO_POOL_H
#define FIRSTHAND_PLATFORM_IO_POOL_H

#include "base/error.h"

enum { IO_POOL_QUEUE_MAX = 1024 };

struct io_pool;

struct io_job {
    void (*run)(void *argument); /* on a pool thread; may free the job */
    void          *argument;
    struct io_job *next; /* the pool's */
};

/* threads_count is 1 to 64. Owned by the caller until io_pool_stop. */
struct io_pool *io_pool_start(int threads_count);

/* Queue a job; its memory stays the caller's until run begins. ERR_UNAVAILABLE "io_queue_full": not
 * queued, because IO_POOL_QUEUE_MAX wait already or the pool is being stopped. Thread-safe, never
 * blocks. */
MUST_USE enum err io_pool_submit(struct io_pool *pool, struct io_job *job, struct error *error);

/* Jobs that wait now. Thread-safe. */
int io_pool_queued(struct io_pool *pool);

/* Run what is queued, then end the threads. NULL is fine. Not from a job. */
void io_pool_stop(struct io_pool *pool);

#endif
