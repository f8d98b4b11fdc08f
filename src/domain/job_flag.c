#include "domain/job_flag.h"

#include "domain/resource_event.h"

static enum err flag_insert(struct call *call, const struct job_flag *flag)
{
    int64_t      changes = 0;
    struct stmt *q = db_query(call->db, "INSERT INTO job_flags (job_id, worker_id, reason,"
                                        " created_ms) VALUES ($1, $2, $3, $4)"
                                        " ON CONFLICT (job_id, worker_id) DO NOTHING");
    bind_id(q, 1, &flag->job_id);
    bind_id(q, 2, &flag->worker_id);
    bind_text(q, 3, flag->reason);
    bind_int(q, 4, flag->created_ms);
    enum err e = stmt_run(q, &call->error, &changes);
    if (e) return e;
    if (changes == 0)
        return FAIL(&call->error, ERR_CONFLICT, "already_flagged", "you have flagged it before");
    return ERR_OK;
}

static enum err store_flags(struct call *call, const struct job *job)
{
    struct stmt *q = db_query(call->db, "UPDATE jobs SET flags_count = $3, flag_reason = $4"
                                        " WHERE id = $1 AND org_id = $2");
    bind_id(q, 1, &job->id);
    bind_id(q, 2, &job->org_id);
    bind_int(q, 3, job->flags_count);
    bind_text(q, 4, job->flag_reason);
    return stmt_run(q, &call->error, NULL);
}

enum err job_flag_add(struct call *call, struct job *job, struct job_flag *flag)
{
    flag->job_id = job->id;
    flag->created_ms = call->now_ms;
    enum err e = flag_insert(call, flag);
    if (e) return e;
    job->flags_count++;
    job->flag_reason = flag->reason;
    e = store_flags(call, job);
    if (e) return e;
    return event_of_job(call, EVENT_JOB_FLAGGED, job);
}
