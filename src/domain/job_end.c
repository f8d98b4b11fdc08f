#include "base/num.h"
#include "domain/audit_event.h"
#include "domain/credits.h"
#include "domain/job.h"
#include "domain/reservation.h"
#include "domain/resource_event.h"

/* Give back what nobody has begun: what is approved or pending keeps its escrow. */
static enum err refund_unused(struct call *call, struct job *job, struct str why)
{
    int64_t unused = job->files_needed - job->files_approved - job->files_pending;
    int64_t refund_cents;
    CHECK(num_mul(unused, job->price_cents, &refund_cents));
    if (refund_cents == 0) return ERR_OK;
    return credits_release(call, job, refund_cents,
                           str_format(call->arena, "refund:%s", job->id.text), why);
}

static enum err job_end(struct call *call, struct job *job, struct str why)
{
    enum err e = reservation_release_all(call, job);
    if (e) return e;
    e = refund_unused(call, job, why);
    if (e) return e;
    job_set_state(call, job, JOB_CANCELLED);
    e = job_save(call, job);
    if (e) return e;
    return event_of_job(call, EVENT_JOB_CANCELLED, job);
}

enum err job_cancel(struct call *call, struct str id_text, struct job *ret_job)
{
    struct job job;
    enum err   e = job_get(call, id_text, &job);
    if (e) return e;
    if (!job_is_live(&job))
        return FAIL(&call->error, ERR_CONFLICT, "job_not_cancellable",
                    "the job is %s: only an open or running one is cancelled",
                    job_state_name(job_state_now(&job)));
    e = job_end(call, &job, STR("Job cancelled"));
    if (e) return e;
    *ret_job = job;
    return ERR_OK;
}

/* --- the deadline --- */

enum err job_end_due(struct call *call, struct job *job)
{
    if (!job->is_past_deadline || !job_may_end(job)) return ERR_OK;
    enum err e = job_end(call, job, STR("Deadline passed"));
    if (e) return e;
    return audit_note_system(call, &job->org_id, job->environment, STR("job.cancelled"),
                             id_str(&job->id));
}

/* The one that is due for longest; *ret_is_there = false when none is. */
static enum err end_next_due(struct call *call, bool *ret_is_there)
{
    /* tenant: deadlines pass for every organisation */
    struct stmt *q = db_query(call->db, "SELECT id FROM jobs WHERE deadline_ms <= $1"
                                        " AND status IN ('open', 'in_progress')"
                                        " ORDER BY deadline_ms LIMIT 1");
    bind_int(q, 1, call->now_ms);
    *ret_is_there = stmt_step(q);
    struct id id = *ret_is_there ? column_id(q, 0) : (struct id){ 0 };
    enum err  e = stmt_end(q, &call->error);
    if (e || !*ret_is_there) return e;
    struct job job;
    e = job_get_any(call, &id, &job);
    return e ? e : job_end_due(call, &job);
}

enum err job_end_all_due(struct call *call, int count, int *ret_count)
{
    bool is_there = true;
    int  ended = 0;
    while (ended < count) {
        call_reserve_ended(call);
        struct arena_mark mark = arena_mark(call->arena);
        enum err          e = end_next_due(call, &is_there);
        if (e) return e;
        arena_rewind(call->arena, mark);
        if (!is_there) break;
        ended++;
    }
    *ret_count = ended;
    return ERR_OK;
}
