#include "domain/slot_rules.h"

#include "base/time_text.h"
#include "domain/reservation.h"

static void note_missing(struct call *call, bool is_there, struct str field)
{
    if (is_there) return;
    error_add_fault(&call->error, call->arena, field, "required",
                    "is required: this job asks where you are");
}

enum err slot_check_place(struct call *call, const struct job *job, const struct whereabouts *where)
{
    if (job->radius_mm == 0) return ERR_OK;
    note_missing(call, where->has_lat, STR("lat"));
    note_missing(call, where->has_lng, STR("lng"));
    if (call->error.faults_count > 0)
        return FAIL_FAULTS(&call->error, call->arena, ERR_UNPROCESSABLE, "body_invalid");
    if (geo_distance_mm(&job->place, &where->point) <= job->radius_mm) return ERR_OK;
    return FAIL(&call->error, ERR_FORBIDDEN, "outside_area", "you are outside the job's area");
}

enum err slot_check_held(struct call *call)
{
    struct stmt *q = db_query(call->db, "SELECT count(*) FROM reservations WHERE worker_id = $1"
                                        " AND state = 'held' AND expires_ms > $2");
    bind_id(q, 1, &call->actor.worker_id);
    bind_int(q, 2, call->now_ms);
    int64_t  held = stmt_step(q) ? column_int(q, 0) : 0;
    enum err e = stmt_end(q, &call->error);
    if (e) return e;
    if (held >= call->config->worker_reservations_max)
        return FAIL(&call->error, ERR_CONFLICT, "worker_capped",
                    "you hold %lld unused reservations already", (long long)held);
    return ERR_OK;
}

enum err slot_check_today(struct call *call, const struct id *worker_id)
{
    if (call->config->worker_submissions_per_day == 0) return ERR_OK;
    /* tenant: one worker's own rows */
    struct stmt *q = db_query(
        call->db, "SELECT (SELECT count(*) FROM submissions WHERE worker_id = $1"
                  " AND created_ms > $2) + (SELECT count(*) FROM reservations WHERE worker_id = $1"
                  " AND state = 'held' AND expires_ms > $3 AND attempt = 1)");
    bind_id(q, 1, worker_id);
    bind_int(q, 2, call->now_ms - MS_PER_DAY);
    bind_int(q, 3, call->now_ms);
    int64_t  sent = stmt_step(q) ? column_int(q, 0) : 0;
    enum err e = stmt_end(q, &call->error);
    if (e) return e;
    if (sent >= call->config->worker_submissions_per_day)
        return FAIL(&call->error, ERR_CONFLICT, "worker_capped",
                    "you sent or hold %lld files of the last 24 hours, which is the limit",
                    (long long)sent);
    return ERR_OK;
}

enum err slot_check_files(struct call *call, const struct job *job, const struct id *worker_id)
{
    if (job->max_files_per_worker == 0) return ERR_OK;
    /* tenant: one worker's own rows */
    struct stmt *q = db_query(
        call->db, "SELECT (SELECT count(*) FROM submissions WHERE worker_id = $1 AND job_id = $2"
                  " AND status IN ('pending_score', 'approved')) + (SELECT count(*)"
                  " FROM reservations WHERE worker_id = $1 AND job_id = $2 AND state = 'held'"
                  " AND expires_ms > $3)");
    bind_id(q, 1, worker_id);
    bind_id(q, 2, &job->id);
    bind_int(q, 3, call->now_ms);
    int64_t  files = stmt_step(q) ? column_int(q, 0) : 0;
    enum err e = stmt_end(q, &call->error);
    if (e) return e;
    if (files >= job->max_files_per_worker)
        return FAIL(&call->error, ERR_CONFLICT, "worker_capped",
                    "this job takes %lld files of one worker",
                    (long long)job->max_files_per_worker);
    return ERR_OK;
}

enum err slot_check_free(struct call *call, const struct job *job)
{
    if (job_is_live(job) && job_slots_free(job) > 0) return ERR_OK;
    int64_t  slots;
    enum err e = reservation_slots_open(call, job, &slots);
    if (e) return e;
    if (slots > 0) return ERR_OK;
    return FAIL(&call->error, ERR_CONFLICT, "job_full", "every slot of the job is taken");
}

enum err slot_check_open(struct call *call, const struct job *job)
{
    if (job_is_live(job)) return ERR_OK;
    return FAIL(&call->error, ERR_CONFLICT, "job_closed", "the job is %s",
                job_state_name(job_state_now(job)));
}
