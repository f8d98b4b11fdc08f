/* How long is kept what was told: occurrences, their events and the attempts. */
#ifndef FIRSTHAND_DOMAIN_EVENT_RETENTION_H
#define FIRSTHAND_DOMAIN_EVENT_RETENTION_H

#include "domain/call.h"

static const int64_t EVENT_RETENTION_EVERY_MS = (int64_t)3600 * 1000;

/* One bounded piece of a pass over what is older than the setting event-retention (0 = nothing ever
 * is): looks at up to count occurrences and drops each with its events and their attempts, unless
 * one of them is pending. A pass begins EVENT_RETENTION_EVERY_MS after the last one ended.
 * *ret_done = looked at, which is count until the pass is over. The audit counts the events of
 * subjects only that were made after all that was dropped. */
MUST_USE enum err event_retention_sweep(struct call *call, int count, int *ret_done);

#endif
