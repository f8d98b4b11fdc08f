#include "domain/after_commit.h"

void after_commit_tell(const struct after_commit *listeners, const struct call *call)
{
    if (call->wakes_tasks && listeners->tasks_added)
        listeners->tasks_added(listeners->tasks_context);
    if (listeners->job_ended == NULL) return;
    for (const struct ended_job *job = call->ended_jobs; job; job = job->next)
        listeners->job_ended(listeners->jobs_context, &job->id);
}
