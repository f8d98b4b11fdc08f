/* What a commit sets in motion. A call notes it while it runs; whoever committed the call tells
 * those concerned once it is durable, and never before. */
#ifndef FIRSTHAND_DOMAIN_AFTER_COMMIT_H
#define FIRSTHAND_DOMAIN_AFTER_COMMIT_H

#include "domain/call.h"

/* Whom to tell; NULL = nobody. Called on the thread that committed, the writer's among them: they
 * must be thread-safe and must not block. */
struct after_commit {
    void (*tasks_added)(void *context);
    void *tasks_context;
    void (*job_ended)(void *context, const struct id *job_id);
    void *jobs_context;
};

/* The call's transaction is durable. */
void after_commit_tell(const struct after_commit *listeners, const struct call *call);

#endif
