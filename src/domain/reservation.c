#include "domain/reservation.h"

#include "base/num.h"

#include <assert.h>

static const char *const state_names[] = {
    [RESERVATION_HELD] = "held",
    [RESERVATION_USED] = "used",
    [RESERVATION_RELEASED] = "released",
    [RESERVATION_LAPSED] = "lapsed",
};
static_assert(COUNT_OF(state_names) == RESERVATION_STATE__COUNT, "every state has a name");

static enum reservation_state state_parse(struct str name)
{
    int index = str_index(name, state_names, RESERVATION_STATE__COUNT);
    CHECK(index >= 0); /* the store allows no other */
    return (enum reservation_state)index;
}

#define RESERVATION_COLUMNS                                                                        \
    "id, job_id, worker_id, submission_id, attempt, state, accepted_ms, renewed_ms, expires_ms"

static void reservation_read(struct stmt *q, struct arena *arena, struct reservation *row)
{
    *row = (struct reservation){
        .id = column_id(q, 0),
        .job_id = column_id(q, 1),
        .worker_id = column_id(q, 2),
        .submission_id = column_id(q, 3),
        .attempt = column_int(q, 4),
        .state = state_parse(column_text(q, 5, arena)),
        .accepted_ms = column_int(q, 6),
        .renewed_ms = column_int(q, 7),
        .expires_ms = column_int(q, 8),
    };
}

static enum err reservation_insert(struct call *call, const struct reservation *row)
{
    struct stmt *q = db_query(call->db, "INSERT INTO reservations (" RESERVATION_COLUMNS ")"
                                        " VALUES ($1,$2,$3,$4,$5,$6,$7,$8,$9)");
    bind_id(q, 1, &row->id);
    bind_id(q, 2, &row->job_id);
    bind_id(q, 3, &row->worker_id);
    bind_id(q, 4, &row->submission_id);
    bind_int(q, 5, row->attempt);
    bind_text(q, 6, str_of(state_names[row->state]));
    bind_int(q, 7, row->accepted_ms);
    bind_int(q, 8, row->renewed_ms);
    bind_int(q, 9, row->expires_ms);
    return stmt_run(q, &call->error, NULL);
}

/* A retry whose reservation ends unused is what it was before: rejected. */
static enum err retry_ended(struct call *call, const struct reservation *row)
{
    if (row->attempt == 1) return ERR_OK;
    /* tenant: keyed by the submission that the reservation names */
    struct stmt *q = db_query(call->db, "UPDATE submissions SET status = 'rejected'"
                                        " WHERE id = $1 AND status = 'retry_pending'");
    bind_id(q, 1, &row->submission_id);
    return stmt_run(q, &call->error, NULL);
}

/* The one door for a held reservation's end. Changes *job, which the caller saves. */
static enum err reservation_end(struct call *call, struct job *job, const struct reservation *row,
                                enum reservation_state to)
{
    CHECK(row->state == RESERVATION_HELD && to != RESERVATION_HELD);
    CHECK(job->slots_reserved > 0 && id_eq(&job->id, &row->job_id));
    struct stmt *q = db_query(call->db, "UPDATE reservations SET state = $2"
                                        " WHERE id = $1 AND state = 'held'");
    bind_id(q, 1, &row->id);
    bind_text(q, 2, str_of(state_names[to]));
    int64_t  changes = 0;
    enum err e = stmt_run(q, &call->error, &changes);
    if (e) return e;
    CHECK(changes == 1);
    job->slots_reserved--;
    if (to == RESERVATION_USED) return ERR_OK;
    return retry_ended(call, row);
}

/* One held reservation of the job that expires at or before a time; false when there is none. */
static enum err next_held(struct call *call, const struct job *job, int64_t until_ms,
                          struct reservation *ret_row, bool *ret_is_there)
{
    struct stmt *q = db_query(call->db, "SELECT " RESERVATION_COLUMNS " FROM reservations"
                                        " WHERE job_id = $1 AND state = 'held'"
                                        " AND expires_ms <= $2 LIMIT 1");
    bind_id(q, 1, &job->id);
    bind_int(q, 2, until_ms);
    *ret_is_there = stmt_step(q);
    if (*ret_is_there) reservation_read(q, call->arena, ret_row);
    return stmt_end(q, &call->error);
}

static enum err end_all_until(struct call *call, struct job *job, int64_t until_ms,
                              enum reservation_state to)
{
    for (;;) {
        struct reservation row;
        bool               is_there;
        enum err           e = next_held(call, job, until_ms, &row, &is_there);
        if (e || !is_there) return e;
        e = reservation_end(call, job, &row, to);
        if (e) return e;
    }
}

enum err reservation_release_all(struct call *call, struct job *job)
{
    return end_all_until(call, job, INT64_MAX, RESERVATION_RELEASED);
}

enum err reservation_lapse_due(struct call *call, struct job *job)
{
    int64_t  reserved_before = job->slots_reserved;
    enum err e = end_all_until(call, job, call->now_ms, RESERVATION_LAPSED);
    if (e || job->slots_reserved == reserved_before) return e;
    return job_save(call, job);
}

/* What is due of one job that has something due; *ret_lapsed = 0 when none has. */
static enum err lapse_next_due(struct call *call, int *ret_lapsed)
{
    struct stmt *q = db_query(call->db, "SELECT job_id FROM reservations"
                                        " WHERE state = 'held' AND expires_ms <= $1"
                                        " ORDER BY expires_ms LIMIT 1");
    bind_int(q, 1, call->now_ms);
    bool      is_due = stmt_step(q);
    struct id job_id = is_due ? column_id(q, 0) : (struct id){ 0 };
    enum err  e = stmt_end(q, &call->error);
    *ret_lapsed = 0;
    if (e || !is_due) return e;
    struct job job;
    e = job_get_any(call, &job_id, &job);
    if (e) return e;
    int64_t reserved_before = job.slots_reserved;
    e = reservation_lapse_due(call, &job);
    *ret_lapsed = (int)(reserved_before - job.slots_reserved);
    return e;
}

enum err reservation_lapse_all_due(struct call *call, int count, int *ret_count)
{
    int lapsed = 0, of_one_job = -1;
    while (lapsed < count && of_one_job != 0) {
        struct arena_mark mark = arena_mark(call->arena);
        enum err          e = lapse_next_due(call, &of_one_job);
        if (e) return e;
        arena_rewind(call->arena, mark);
        lapsed += of_one_job;
    }
    *ret_count = lapsed;
    return ERR_OK;
}

enum err reservation_slots_open(struct call *call, const struct job *job, int64_t *ret_slots)
{
    struct stmt *q = db_query(call->db, "SELECT count(*) FROM reservations WHERE job_id = $1"
                                        " AND state = 'held' AND expires_ms <= $2");
    bind_id(q, 1, &job->id);
    bind_int(q, 2, call->now_ms);
    int64_t lapsed = stmt_step(q) ? column_int(q, 0) : 0;
    *ret_slots = job_is_live(job) ? job_slots_free(job) + lapsed : 0;
    return stmt_end(q, &call->error);
}

/* --- accepting --- */

/* For a worker who holds none on the job yet. */
static enum err check_may_take(struct call *call, const struct job *job)
{
    enum err e = slot_check_open(call, job);
    if (e) return e;
    e = slot_check_held(call);
    if (e) return e;
    e = slot_check_today(call, &call->actor.worker_id);
    if (e) return e;
    e = slot_check_files(call, job, &call->actor.worker_id);
    if (e) return e;
    return slot_check_free(call, job);
}

/* The acting worker's live, unused reservation on the job, if any. */
static enum err own_held(struct call *call, const struct job *job, struct reservation *ret_row,
                         bool *ret_is_there)
{
    struct stmt *q = db_query(call->db, "SELECT " RESERVATION_COLUMNS " FROM reservations"
                                        " WHERE worker_id = $1 AND job_id = $2 AND state = 'held'"
                                        " AND expires_ms > $3 ORDER BY id LIMIT 1");
    bind_id(q, 1, &call->actor.worker_id);
    bind_id(q, 2, &job->id);
    bind_int(q, 3, call->now_ms);
    *ret_is_there = stmt_step(q);
    if (*ret_is_there) reservation_read(q, call->arena, ret_row);
    return stmt_end(q, &call->error);
}

enum err reservation_may_accept(struct call *call, const struct job *job)
{
    struct reservation held;
    bool               is_held = false;
    enum err           e = own_held(call, job, &held, &is_held);
    if (e || (is_held && job_is_live(job))) return e;
    return check_may_take(call, job);
}

enum err reservation_is_open_to_worker(struct call *call, const struct job *job, bool *ret_is_open)
{
    struct reservation held;
    *ret_is_open = job_slots_free(job) > 0 && job->max_files_per_worker == 0;
    if (*ret_is_open) return ERR_OK;
    enum err e = own_held(call, job, &held, ret_is_open);
    if (e || *ret_is_open) return e;
    e = slot_check_free(call, job);
    if (e == ERR_OK) e = slot_check_files(call, job, &call->actor.worker_id);
    *ret_is_open = e == ERR_OK;
    if (e != ERR_CONFLICT) return e;
    error_clear(&call->error);
    return ERR_OK;
}

/* When a lease that is taken or renewed now ends. */
static int64_t lease_end(const struct call *call, int64_t deadline_ms, int64_t accepted_ms)
{
    int64_t end_ms = num_min(call->now_ms + call->config->reservation_ttl_ms,
                             accepted_ms + call->config->reservation_max_ms);
    return deadline_ms ? num_min(end_ms, deadline_ms) : end_ms;
}

/* A slot is known to be free: take it. Changes *job, which the caller saves. */
static enum err take_slot(struct call *call, struct job *job, const struct id *worker_id,
                          const struct id *submission_id, int64_t attempt,
                          struct reservation *ret_reservation)
{
    CHECK(job_slots_free(job) > 0);
    struct reservation row = {
        .id = id_new(ID_RESERVATION, call->now_ms),
        .job_id = job->id,
        .worker_id = *worker_id,
        .submission_id = *submission_id,
        .attempt = attempt,
        .state = RESERVATION_HELD,
        .accepted_ms = call->now_ms,
        .renewed_ms = call->now_ms,
        .expires_ms = lease_end(call, job->deadline_ms, call->now_ms),
    };
    enum err e = reservation_insert(call, &row);
    if (e) return e;
    job->slots_reserved++;
    *ret_reservation = row;
    return ERR_OK;
}

enum err reservation_accept(struct call *call, struct str job_id_text,
                            const struct whereabouts *where, struct reservation *ret_reservation,
                            bool *ret_is_new)
{
    struct job job;
    enum err   e = job_get_live(call, job_id_text, &job);
    if (e) return e;
    bool is_held = false;
    e = own_held(call, &job, ret_reservation, &is_held);
    if (e) return e;
    if (is_held && job_is_live(&job)) {
        *ret_is_new = false;
        return ERR_OK;
    }
    e = slot_check_place(call, &job, where);
    if (e) return e;
    e = reservation_lapse_due(call, &job);
    if (e) return e;
    e = check_may_take(call, &job);
    if (e) return e;
    struct id submission_id = id_new(ID_SUBMISSION, call->now_ms);
    e = take_slot(call, &job, &call->actor.worker_id, &submission_id, 1, ret_reservation);
    if (e) return e;
    *ret_is_new = true;
    return job_save(call, &job);
}

enum err reservation_take(struct call *call, struct job *job, const struct id *worker_id,
                          const struct id *submission_id, struct reservation *ret_reservation)
{
    enum err e = slot_check_open(call, job);
    if (e) return e;
    e = slot_check_free(call, job);
    if (e) return e;
    e = take_slot(call, job, worker_id, submission_id, 1, ret_reservation);
    if (e) return e;
    return job_save(call, job);
}

enum err reservation_for_retry(struct call *call, struct job *job, const struct id *submission_id,
                               struct reservation *ret_reservation)
{
    enum err e = reservation_lapse_due(call, job);
    if (e) return e;
    e = slot_check_held(call);
    if (e) return e;
    e = slot_check_files(call, job, &call->actor.worker_id);
    if (e) return e;
    e = slot_check_free(call, job);
    if (e) return e;
    return take_slot(call, job, &call->actor.worker_id, submission_id, 2, ret_reservation);
}

/* --- afterwards --- */

static enum err read_one(struct call *call, struct stmt *q, struct reservation *ret_reservation)
{
    bool is_there = stmt_step(q);
    if (is_there) reservation_read(q, call->arena, ret_reservation);
    enum err e = stmt_end(q, &call->error);
    if (e) return e;
    if (!is_there) return FAIL(&call->error, ERR_NOT_FOUND, "reservation", "no such reservation");
    return ERR_OK;
}

enum err reservation_get(struct call *call, struct str id_text, struct reservation *ret_reservation)
{
    struct id id;
    if (!id_parse(id_text, ID_RESERVATION, &id))
        return FAIL(&call->error, ERR_NOT_FOUND, "reservation", "no such reservation");
    struct stmt *q = db_query(call->db, "SELECT " RESERVATION_COLUMNS " FROM reservations"
                                        " WHERE id = $1 AND worker_id = $2");
    bind_id(q, 1, &id);
    bind_id(q, 2, &call->actor.worker_id);
    return read_one(call, q, ret_reservation);
}

enum err reservation_get_any(struct call *call, const struct id *id,
                             struct reservation *ret_reservation)
{
    struct stmt *q =
        db_query(call->db, "SELECT " RESERVATION_COLUMNS " FROM reservations WHERE id = $1");
    bind_id(q, 1, id);
    return read_one(call, q, ret_reservation);
}

enum err reservation_list(struct call *call, const struct id *before, int count,
                          struct reservation *ret_rows, int *ret_count)
{
    struct stmt *q = db_query(call->db, "SELECT " RESERVATION_COLUMNS " FROM reservations"
                                        " WHERE worker_id = $1 AND state = 'held'"
                                        " AND expires_ms > $2 AND id < $3"
                                        " ORDER BY id DESC LIMIT $4");
    bind_id(q, 1, &call->actor.worker_id);
    bind_int(q, 2, call->now_ms);
    bind_text(q, 3, id_is_none(before) ? STR("rsv_~") : id_str(before));
    bind_int(q, 4, count);
    int found = 0;
    while (found < count && stmt_step(q))
        reservation_read(q, call->arena, &ret_rows[found++]);
    *ret_count = found;
    return stmt_end(q, &call->error);
}

/* Its slot is free already; but it shall not be taken up again, whether or not the lapse was
 * written down before it was given back. */
static enum err set_released(struct call *call, const struct reservation *row)
{
    struct stmt *q = db_query(call->db, "UPDATE reservations SET state = 'released'"
                                        " WHERE id = $1 AND state = 'lapsed'");
    bind_id(q, 1, &row->id);
    return stmt_run(q, &call->error, NULL);
}

enum err reservation_release(struct call *call, struct str id_text)
{
    struct reservation row;
    enum err           e = reservation_get(call, id_text, &row);
    if (e) return e;
    if (row.state == RESERVATION_USED)
        return FAIL(&call->error, ERR_CONFLICT, "reservation_used",
                    "its file was uploaded already");
    if (row.state == RESERVATION_RELEASED) return ERR_OK;
    if (row.state == RESERVATION_LAPSED) return set_released(call, &row);
    struct job job;
    e = job_get_any(call, &row.job_id, &job);
    if (e) return e;
    e = reservation_end(call, &job, &row, RESERVATION_RELEASED);
    if (e) return e;
    return job_save(call, &job);
}

/* 0 = none. */
static enum err read_deadline(struct call *call, const struct id *job_id, int64_t *ret_deadline_ms)
{
    /* tenant: the job that the worker's reservation names */
    struct stmt *q = db_query(call->db, "SELECT deadline_ms FROM jobs WHERE id = $1");
    bind_id(q, 1, job_id);
    *ret_deadline_ms = stmt_step(q) ? column_int(q, 0) : 0;
    return stmt_end(q, &call->error);
}

enum err reservation_renew(struct call *call, const struct reservation *reservation)
{
    int64_t deadline_ms;
    if (call->now_ms < reservation->renewed_ms + RESERVATION_RENEW_EVERY_MS) return ERR_OK;
    enum err e = read_deadline(call, &reservation->job_id, &deadline_ms);
    if (e) return e;
    struct stmt *q = db_query(call->db, "UPDATE reservations SET renewed_ms = $2, expires_ms = $3"
                                        " WHERE id = $1 AND state = 'held' AND expires_ms > $2"
                                        " AND expires_ms < $3 AND renewed_ms <= $4");
    bind_id(q, 1, &reservation->id);
    bind_int(q, 2, call->now_ms);
    bind_int(q, 3, lease_end(call, deadline_ms, reservation->accepted_ms));
    bind_int(q, 4, call->now_ms - RESERVATION_RENEW_EVERY_MS);
    return stmt_run(q, &call->error, NULL);
}

/* Is the submission still waiting for this second attempt, with nothing else on its way for it? */
static enum err check_attempt_is_open(struct call *call, const struct reservation *reservation)
{
    if (reservation->attempt == 1) return ERR_OK;
    /* tenant: keyed by the submission that the reservation names */
    struct stmt *q = db_query(
        call->db,
        "SELECT count(*) FROM submissions s WHERE s.id = $1 AND s.attempt < $2"
        " AND s.status IN ('rejected', 'retry_pending') AND NOT EXISTS (SELECT 1"
        " FROM reservations r WHERE r.worker_id = $3 AND r.job_id = $4 AND r.state = 'held'"
        " AND r.expires_ms > $5 AND r.submission_id = s.id AND r.id <> $6)");
    bind_id(q, 1, &reservation->submission_id);
    bind_int(q, 2, reservation->attempt);
    bind_id(q, 3, &reservation->worker_id);
    bind_id(q, 4, &reservation->job_id);
    bind_int(q, 5, call->now_ms);
    bind_id(q, 6, &reservation->id);
    bool     is_open = stmt_step(q) && column_int(q, 0) == 1;
    enum err e = stmt_end(q, &call->error);
    if (e || is_open) return e;
    return FAIL(&call->error, ERR_CONFLICT, "reservation_expired", "it was tried again since");
}

/* What accepting it anew would ask; a second attempt counted on the day of the first. */
static enum err check_may_take_again(struct call *call, const struct job *job,
                                     const struct reservation *reservation)
{
    if (reservation->state == RESERVATION_RELEASED)
        return FAIL(&call->error, ERR_CONFLICT, "reservation_expired", "it was given back");
    enum err e = check_attempt_is_open(call, reservation);
    if (e) return e;
    if (reservation->attempt == 1) e = slot_check_today(call, &reservation->worker_id);
    if (e) return e;
    e = slot_check_files(call, job, &reservation->worker_id);
    if (e) return e;
    return slot_check_free(call, job);
}

static bool holds_slot(const struct call *call, const struct reservation *reservation)
{
    return reservation->state == RESERVATION_HELD && reservation->expires_ms > call->now_ms;
}

enum err reservation_may_use(struct call *call, const struct job *job,
                             const struct reservation *reservation)
{
    if (reservation->state == RESERVATION_USED)
        return FAIL(&call->error, ERR_CONFLICT, "reservation_used",
                    "its file was uploaded already");
    enum err e = slot_check_open(call, job);
    if (e || holds_slot(call, reservation)) return e;
    e = check_may_take_again(call, job, reservation);
    if (e == ERR_CONFLICT)
        return FAIL(&call->error, ERR_CONFLICT, "reservation_expired",
                    "the reservation has expired and cannot be taken up again");
    return e;
}

/* A reservation that no longer held its slot, and may have a free one. */
static enum err take_slot_again(struct call *call, const struct reservation *reservation)
{
    struct stmt *q = db_query(call->db, "UPDATE reservations SET state = 'used' WHERE id = $1");
    bind_id(q, 1, &reservation->id);
    return stmt_run(q, &call->error, NULL);
}

enum err reservation_use(struct call *call, struct job *job, const struct reservation *reservation)
{
    enum err e = reservation_may_use(call, job, reservation);
    if (e) return e;
    e = reservation_lapse_due(call, job);
    if (e) return e;
    e = holds_slot(call, reservation) ? reservation_end(call, job, reservation, RESERVATION_USED)
                                      : take_slot_again(call, reservation);
    if (e) return e;
    job->files_pending++;
    return ERR_OK;
}
