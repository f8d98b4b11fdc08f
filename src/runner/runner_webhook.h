/* The thread that tells endpoints what happened. Each endpoint is a lane of its own: its events go
 * out first due first, at most WEBHOOK_LANE_WINDOW at a time, one at a time while it fails, and one
 * that hangs keeps nobody else waiting. Attempts are written down many a commit; one that was under
 * way when the process died is made again. Nothing is claimed in the store: a store has one server.
 */
#ifndef FIRSTHAND_RUNNER_RUNNER_WEBHOOK_H
#define FIRSTHAND_RUNNER_RUNNER_WEBHOOK_H

#include "runner/runner.h"

enum { WEBHOOK_LANE_WINDOW = 8 };
static const int64_t WEBHOOK_DRAIN_MS = 2000; /* for what is under way when the server stops */

struct webhook_runner;

/* Ended by webhook_runner_stop. */
struct webhook_runner *webhook_runner_start(const struct runner_services *services);

/* Events were added, or the clock was moved. Thread-safe. */
void webhook_runner_wake(struct webhook_runner *runner);

/* Is any event due that was not attempted, or whose attempt is not written down? On any thread that
 * may read. A store that cannot say counts as yes. */
bool webhook_runner_has_due(const struct runner_services *services);

void webhook_runner_stop(struct webhook_runner *runner);

#endif
