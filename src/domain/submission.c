#include "domain/submission.h"

#include "domain/credits.h"
#include "domain/delivered_file.h"
#include "domain/resource_event.h"
#include "domain/slot_rules.h"
#include "domain/submission_row.h"

static const unsigned submission_may_become[SUBMISSION_STATE__COUNT] = {
    [SUBMISSION_PENDING_SCORE] = BIT(SUBMISSION_APPROVED) | BIT(SUBMISSION_REJECTED),
    [SUBMISSION_REJECTED] = BIT(SUBMISSION_RETRY_PENDING),
    [SUBMISSION_RETRY_PENDING] = BIT(SUBMISSION_PENDING_SCORE) | BIT(SUBMISSION_REJECTED),
};

static void set_state(struct submission *submission, enum submission_state to)
{
    CHECK(submission_may_become[submission->state] & BIT(to));
    submission->state = to;
}

struct str submission_blob_name(const struct id *submission_id, int64_t attempt,
                                struct arena *arena)
{
    return str_format(arena, "%s.%lld", submission_id->text, (long long)attempt);
}

/* --- receiving --- */

/* Were these the bytes of an earlier attempt of the submission? */
static enum err were_received(struct call *call, const struct reservation *reservation,
                              const struct received *received, bool *ret_were)
{
    struct stmt *q = db_query(call->db, "SELECT count(*) FROM submission_hashes WHERE job_id = $1"
                                        " AND sha256 = $2 AND submission_id = $3 AND attempt = $4");
    bind_id(q, 1, &reservation->job_id);
    bind_text(q, 2, received->sha256);
    bind_id(q, 3, &reservation->submission_id);
    bind_int(q, 4, reservation->attempt);
    *ret_were = stmt_step(q) && column_int(q, 0) == 1;
    return stmt_end(q, &call->error);
}

/* The reservation was used: by these bytes, or by others? */
static enum err received_before(struct call *call, const struct reservation *reservation,
                                const struct received *received, struct submission *ret_submission)
{
    struct submission row;
    enum err          e = submission_get_any(call, &reservation->submission_id, &row);
    if (e) return e;
    bool is_same = row.attempt == reservation->attempt && str_eq(row.sha256, received->sha256);
    if (!is_same) {
        e = were_received(call, reservation, received, &is_same);
        if (e) return e;
    }
    if (!is_same)
        return FAIL(&call->error, ERR_CONFLICT, "reservation_used",
                    "another file was uploaded for it");
    *ret_submission = row;
    return ERR_OK;
}

static enum err hash_claim(struct call *call, const struct submission *submission,
                           bool *ret_is_first)
{
    struct stmt *q =
        db_query(call->db, "INSERT INTO submission_hashes (job_id, sha256, submission_id, attempt)"
                           " VALUES ($1, $2, $3, $4) ON CONFLICT (job_id, sha256) DO NOTHING");
    bind_id(q, 1, &submission->job_id);
    bind_text(q, 2, submission->sha256);
    bind_id(q, 3, &submission->id);
    bind_int(q, 4, submission->attempt);
    int64_t  changes = 0;
    enum err e = stmt_run(q, &call->error, &changes);
    *ret_is_first = changes == 1;
    return e;
}

/* The row that the upload makes: a new one, or the second attempt of an old one. */
static enum err submission_begin(struct call *call, const struct job *job,
                                 const struct reservation *reservation,
                                 const struct received *received, struct submission *ret_row)
{
    struct submission row = {
        .id = reservation->submission_id,
        .job_id = job->id,
        .org_id = job->org_id,
        .environment = job->environment,
        .worker_id = reservation->worker_id,
        .state = SUBMISSION_PENDING_SCORE,
        .created_ms = call->now_ms,
    };
    if (reservation->attempt > 1) {
        enum err e = submission_get_any(call, &reservation->submission_id, &row);
        if (e) return e;
        /* A lapsed retry had been put back to rejected. */
        if (row.state == SUBMISSION_REJECTED) set_state(&row, SUBMISSION_RETRY_PENDING);
        set_state(&row, SUBMISSION_PENDING_SCORE);
        row.stars = row.scored_ms = row.width = row.height = row.duration_ms = row.captured_ms = 0;
        row.gate = row.reasoning = STR_NONE;
    }
    row.attempt = reservation->attempt;
    row.media_type = received->media_type;
    row.size_bytes = received->size_bytes;
    row.sha256 = received->sha256;
    row.filename = received->filename;
    *ret_row = row;
    return ERR_OK;
}

static void apply_score(struct call *call, struct submission *row, const struct score *score)
{
    row->stars = score->stars;
    row->scored_ms = call->now_ms;
    row->reasoning = str_copy(call->arena, str_of(score->reasoning));
    row->gate = score->gate == GATE_NONE ? STR_NONE : str_of(score_gate_name(score->gate));
}

static void refuse_duplicate(struct call *call, struct job *job, struct submission *row,
                             struct str *ret_record)
{
    struct score score;
    score_duplicate(&score);
    job_score_limits(job, &score.limits);
    apply_score(call, row, &score);
    set_state(row, SUBMISSION_REJECTED);
    job->files_pending--;
    *ret_record = score_record(NULL, &score, row->sha256, call->arena);
}

enum err submission_receive(struct call *call, const struct reservation *reservation,
                            const struct received *received, struct submission *ret_submission,
                            bool *ret_is_new)
{
    struct reservation held; /* as it is now: the upload may have begun long ago */
    enum err           e = reservation_get_any(call, &reservation->id, &held);
    if (e) return e;
    *ret_is_new = held.state != RESERVATION_USED;
    if (!*ret_is_new) return received_before(call, &held, received, ret_submission);

    struct job job;
    e = job_get_any(call, &held.job_id, &job);
    if (e) return e;
    e = reservation_use(call, &job, &held);
    if (e) return e;
    struct submission row;
    e = submission_begin(call, &job, &held, received, &row);
    if (e) return e;
    bool is_first;
    e = hash_claim(call, &row, &is_first);
    if (e) return e;
    struct str record = STR_NONE;
    if (is_first)
        e = task_add(call, TASK_SCORE, &row.id);
    else
        refuse_duplicate(call, &job, &row, &record);
    if (e) return e;
    e = submission_save(call, &row, record);
    if (e) return e;
    *ret_submission = row;
    e = job_save(call, &job);
    if (e || is_first) return e;
    return event_of_verdict(call, &row);
}

/* --- judging --- */

static enum err note_examined(struct call *call)
{
    struct stmt *q = db_query(call->db, "INSERT INTO server_state (name, value)"
                                        " VALUES ('last_examined_ms', $1) ON CONFLICT (name)"
                                        " DO UPDATE SET value = excluded.value");
    bind_int(q, 1, call->now_ms);
    return stmt_run(q, &call->error, NULL);
}

enum err submission_last_examined(struct call *call, int64_t *ret_ms)
{
    struct stmt *q =
        db_query(call->db, "SELECT value FROM server_state WHERE name = 'last_examined_ms'");
    *ret_ms = stmt_step(q) ? column_int(q, 0) : 0;
    return stmt_end(q, &call->error);
}

static enum err approve(struct call *call, struct job *job, const struct verdict *verdict,
                        struct submission *row)
{
    set_state(row, SUBMISSION_APPROVED);
    enum err e = credits_pay(call, job, &row->id, &row->worker_id, &row->paid_cents);
    if (e) return e;
    e = file_create(call, row, verdict->annotations, &row->file_id);
    if (e) return e;
    job->files_pending--;
    job->files_approved++;
    if (job->files_approved == job->files_needed && job_is_live(job))
        job_set_state(call, job, JOB_COMPLETED);
    else if (job->state == JOB_OPEN)
        job_set_state(call, job, JOB_IN_PROGRESS);
    return task_add(call, TASK_DELIVER, &row->file_id);
}

/* The slot is free again; of a cancelled job its price goes back. */
static enum err reject(struct call *call, struct job *job, struct submission *row)
{
    set_state(row, SUBMISSION_REJECTED);
    job->files_pending--;
    if (job->state != JOB_CANCELLED) return ERR_OK;
    return credits_release(call, job, job->price_cents,
                           str_format(call->arena, "refund:%s", row->id.text),
                           STR("Rejected after cancellation"));
}

static void settle_facts(struct submission *row, const struct media_result *result)
{
    if (result == NULL || result->verdict != MEDIA_DECODED) return;
    row->media_type = (enum media_type)result->type;
    row->width = result->width;
    row->height = result->height;
    row->duration_ms = result->duration_ms;
    row->captured_ms = result->captured_ms;
}

enum err submission_judge(struct call *call, const struct task *task, const struct verdict *verdict)
{
    enum err e = task_finish(call, task);
    if (e) return e;
    struct submission row;
    e = submission_get_any(call, &verdict->submission_id, &row);
    if (e) return e;
    bool is_meant = row.state == SUBMISSION_PENDING_SCORE && row.attempt == verdict->attempt &&
                    str_eq(row.sha256, verdict->sha256);
    if (!is_meant) return ERR_OK;

    struct job job;
    e = job_get_any(call, &row.job_id, &job);
    if (e) return e;
    e = job_end_due(call, &job);
    if (e) return e;
    const struct score *score = &verdict->score;
    apply_score(call, &row, score);
    settle_facts(&row, verdict->result);
    bool passes =
        !verdict->is_unexamined && score->gate == GATE_NONE && score->stars >= job.min_stars;
    if (verdict->is_unexamined) row.gate = STR("could_not_examine");
    e = passes ? approve(call, &job, verdict, &row) : reject(call, &job, &row);
    if (e) return e;
    if (!verdict->is_unexamined && !verdict->is_simulated) {
        e = note_examined(call);
        if (e) return e;
    }
    e = submission_save(call, &row, verdict->record);
    if (e) return e;
    e = job_save(call, &job);
    if (e) return e;
    e = event_of_verdict(call, &row);
    if (e || !passes || job.state != JOB_COMPLETED) return e;
    return event_of_job(call, EVENT_JOB_COMPLETED, &job);
}

/* --- retry --- */

bool submission_may_retry(const struct submission *submission)
{
    return submission->state == SUBMISSION_REJECTED &&
           submission->stars >= SUBMISSION_RETRY_STARS_MIN &&
           submission->attempt < SUBMISSION_ATTEMPTS_MAX;
}

static enum err set_retry_pending(struct call *call, const struct submission *submission)
{
    /* tenant: the acting worker's own row */
    struct stmt *q = db_query(call->db, "UPDATE submissions SET status = 'retry_pending'"
                                        " WHERE id = $1 AND worker_id = $2");
    bind_id(q, 1, &submission->id);
    bind_id(q, 2, &call->actor.worker_id);
    return stmt_run(q, &call->error, NULL);
}

/* The acting worker's submission and its job, with what has lapsed written down: a retry whose
 * reservation ended is open to be asked for again, whether or not a sweep has seen it. */
static enum err read_for_retry(struct call *call, struct str id_text, struct job *ret_job,
                               struct submission *ret_row)
{
    enum err e = submission_get_own(call, id_text, ret_row);
    if (e) return e;
    e = job_get_any(call, &ret_row->job_id, ret_job);
    if (e || ret_row->state != SUBMISSION_RETRY_PENDING) return e;
    e = reservation_lapse_due(call, ret_job);
    if (e) return e;
    return submission_get_own(call, id_text, ret_row);
}

enum err submission_retry(struct call *call, struct str id_text, const struct whereabouts *where,
                          struct reservation *ret_reservation)
{
    struct job        job;
    struct submission row;
    enum err          e = read_for_retry(call, id_text, &job, &row);
    if (e) return e;
    e = slot_check_place(call, &job, where);
    if (e) return e;
    if (!submission_may_retry(&row))
        return FAIL(&call->error, ERR_CONFLICT, "not_retryable",
                    "only a first attempt rejected with %d or more stars may be retried",
                    SUBMISSION_RETRY_STARS_MIN);
    e = slot_check_open(call, &job);
    if (e) return e;
    e = reservation_for_retry(call, &job, &row.id, ret_reservation);
    if (e) return e;
    set_state(&row, SUBMISSION_RETRY_PENDING);
    e = set_retry_pending(call, &row);
    if (e) return e;
    return job_save(call, &job);
}
