#include "domain/job.h"

static enum err store_rating(struct call *call, const struct job *job)
{
    struct stmt *q = db_query(call->db, "UPDATE jobs SET rating = $3, rating_comment = $4"
                                        " WHERE id = $1 AND org_id = $2");
    bind_id(q, 1, &job->id);
    bind_id(q, 2, &job->org_id);
    bind_int(q, 3, job->rating);
    bind_text(q, 4, job->rating_comment);
    return stmt_run(q, &call->error, NULL);
}

enum err job_rate(struct call *call, struct str id_text, int64_t rating, struct str comment,
                  struct job *ret_job)
{
    struct job job;
    enum err   e = job_get(call, id_text, &job);
    if (e) return e;
    if (job.state != JOB_COMPLETED)
        return FAIL(&call->error, ERR_CONFLICT, "job_not_completed",
                    "the job is %s: only a completed one is rated",
                    job_state_name(job_state_now(&job)));
    if (job.rating != 0)
        return FAIL(&call->error, ERR_CONFLICT, "already_rated", "it was rated with %lld",
                    (long long)job.rating);
    job.rating = rating;
    job.rating_comment = comment;
    e = store_rating(call, &job);
    if (e) return e;
    *ret_job = job;
    return ERR_OK;
}
