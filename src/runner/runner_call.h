/* A runner's way into the store: one write transaction, or one read, as nobody's request. */
#ifndef FIRSTHAND_RUNNER_RUNNER_CALL_H
#define FIRSTHAND_RUNNER_RUNNER_CALL_H

#include "runner/runner.h"

/* Run in one write transaction and wait for its commit; call->error says why not. call is set up
 * anew for each run; call->arena must be there. */
MUST_USE enum err runner_commit(const struct runner_services *services, struct call      *call,
                                enum err (*run)(struct call *call, void *argument), void *argument);

/* Run on this thread's reader, in one snapshot. */
MUST_USE enum err runner_read(const struct runner_services *services, struct call      *call,
                              enum err (*run)(struct call *call, void *argument), void *argument);

/* A call of the runner's own, in the arena. */
void runner_call_init(const struct runner_services *services, struct arena *arena,
                      struct call *ret_call);

/* --- the kinds of work --- */

/* Do a claimed task and finish it; an error leaves it to be tried again. Its text is in
 * call->error. */
typedef enum err task_fn(const struct runner_services *services, struct task *task,
                         struct call *call);
task_fn          score_task, deliver_task, top_up_task, sandbox_task;

/* How long a claim on a scoring task lasts: longer than any examination. */
int64_t score_lease_ms(const struct config *config);

/* Write down what time has done: lapsed reservations, passed deadlines, credit that expired or soon
 * will, old idempotency keys, old events and sandbox files, last uses, expired uploads. */
void sweep_run(const struct runner_services *services);

/* Take up what server.key lists now, tell the store, and store the hashes that credentials got
 * under its newest key; part of sweep_run. */
void sweep_server_key(const struct runner_services *services);

/* Store when keys and sessions were last used; part of sweep_run. */
void sweep_uses(const struct runner_services *services);

/* Seal what the audit has noted since; part of sweep_run. */
void sweep_seal(const struct runner_services *services);

/* Take bytes that nobody gets any more off the disk. */
void unlink_removed_files(const struct runner_services *services);

#endif
