/* Who waits for the end of which job, and until when: kept in memory, bounded, thread-safe.
 *
 * A waiter takes its place before the job is read for the last time, so that an end that comes
 * after the reading finds it; then it settles, and from then on is due when the job ends, when its
 * time is up, or when the table ends. Whoever takes a due waiter answers it and leaves its place.
 */
#ifndef FIRSTHAND_API_WAITER_TABLE_H
#define FIRSTHAND_API_WAITER_TABLE_H

#include "api/request_header.h"
#include "base/world.h"
#include "domain/call.h"
#include "domain/meter.h"
#include "platform/http_server.h"

enum { WAITERS_PER_KEY_MAX = 1000 };

struct waiter_table;
struct waiter_key;

enum waiter_state { WAITER_ENTERED, WAITER_SETTLED, WAITER_DUE, WAITER_TAKEN };

struct waiter {
    /* The owner's: what it takes to answer. */
    struct http_parked   parked;
    struct id            job_id;
    struct id            request_id;
    struct actor         actor;
    struct meter_reading rate;
    int64_t              wait_s; /* 1 to PREFER_WAIT_S_MAX */
    /* The table's. */
    enum waiter_state  state;
    bool               is_ended; /* the job ended before it settled */
    int64_t            deadline_ms;
    struct waiter_key *key;
    struct waiter     *of_job_next, *of_job_previous;
    struct waiter     *queue_next, *queue_previous; /* of those with the same wait, or those due */
};

/* world must outlive it. Ended by waiter_table_close, with every place left. */
struct waiter_table *waiter_table_open(struct world *world, int64_t waiters_max);
void                 waiter_table_close(struct waiter_table *table);

/* Take a place. NULL when all are taken, the key has WAITERS_PER_KEY_MAX, or the table has ended.
 */
struct waiter *waiter_enter(struct waiter_table *table, const struct id *job_id,
                            const struct id *key_id);

/* Its owner has filled it in, and lets go of it until somebody takes it. */
void waiter_settle(struct waiter_table *table, struct waiter *waiter);

/* Give up the place of one that has entered and not settled, or that was taken. */
void waiter_leave(struct waiter_table *table, struct waiter *waiter);

/* The job has ended: all that wait for it are due. */
void waiter_table_job_ended(struct waiter_table *table, const struct id *job_id);

/* The clock was moved: some may be due. */
void waiter_table_look(struct waiter_table *table);

/* Wait for the next that is due. NULL when the table has ended and nobody is left. */
struct waiter *waiter_table_take(struct waiter_table *table);

/* Another that is due already, or NULL. Until it leaves, queue_next is its taker's. */
struct waiter *waiter_table_take_due(struct waiter_table *table);

/* Nobody enters any more; those that have are due. */
void waiter_table_end(struct waiter_table *table);

/* Places taken now. */
int64_t waiter_table_count(struct waiter_table *table);

#endif
