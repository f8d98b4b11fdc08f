/* What the parts of the sender of webhooks share: finding and sending what is due
 * (runner_webhook.c), and writing down what was attempted (runner_webhook_record.c). */
#ifndef FIRSTHAND_RUNNER_RUNNER_WEBHOOK_PRIVATE_H
#define FIRSTHAND_RUNNER_RUNNER_WEBHOOK_PRIVATE_H

#include "runner/runner_call.h"
#include "runner/runner_webhook.h"
#include "runner/webhook_lane.h"

#include <pthread.h>
#include <stdatomic.h>

enum { RECORD_BATCH_MAX = 256 };

enum recording_state { RECORDING_IDLE, RECORDING_QUEUED, RECORDING_ANSWERED };

/* One commit of results: the writer's from submit to done. */
struct recording {
    struct webhook_runner *runner;
    struct write_job       job;
    pthread_mutex_t        lock; /* for state; held by the writer until it is done with this */
    enum recording_state   state;
    struct arena           arena;
    struct call            call;
    int                    count;
    struct delivery       *deliveries[RECORD_BATCH_MAX];
    struct webhook_result  results[RECORD_BATCH_MAX];
    bool                   is_recorded;
    struct error           error;
};

struct webhook_runner {
    struct runner_services services;
    pthread_t              thread;
    atomic_bool            is_woken, is_stopping;
    struct http_sender    *sender;
    struct lanes           lanes;
    unsigned               turn; /* which lane is served first */
    bool                   wants_scan;
    int64_t                scan_after_us; /* not before */
    int64_t                next_due_ms;   /* by the world's clock; what is known to come due */

    struct delivery *ended, **ended_last; /* not written down yet */
    int64_t          record_after_us;     /* not before */
    struct recording recording;
};

/* A delivery has ended: write it down. */
void webhook_record_add(struct webhook_runner *runner, struct delivery *delivery);

/* Take in what the writer answered, and give it what has ended since. */
void webhook_record_run(struct webhook_runner *runner);

enum recording_state webhook_recording_state(struct webhook_runner *runner);

/* Give back a lane that is done. What it could not take, or who found no lane, is looked for again.
 */
void webhook_lane_end(struct webhook_runner *runner, struct lane *lane);

/* Is anything not written down? */
bool webhook_record_is_busy(struct webhook_runner *runner);

#endif
