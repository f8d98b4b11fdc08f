/* Events about jobs and submissions: the resource as it is now becomes the event's data. */
#ifndef FIRSTHAND_DOMAIN_RESOURCE_EVENT_H
#define FIRSTHAND_DOMAIN_RESOURCE_EVENT_H

#include "domain/event.h"
#include "domain/job.h"
#include "domain/submission.h"

/* job.completed is told once the job's files are delivered, everything else at once. */
MUST_USE enum err event_of_job(struct call *call, enum event_type type, const struct job *job);

/* submission.scored, and submission.approved or submission.rejected by its state. */
MUST_USE enum err event_of_verdict(struct call *call, const struct submission *submission);

#endif
