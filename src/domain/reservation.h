/* Reservations: a worker's lease on one slot of a job. A held reservation counts in the job's
 * slots_reserved until it is used, released or lapsed; past its expires_ms it holds nothing, and
 * the first call that needs to know writes that down. */
#ifndef FIRSTHAND_DOMAIN_RESERVATION_H
#define FIRSTHAND_DOMAIN_RESERVATION_H

#include "domain/job.h"
#include "domain/slot_rules.h"

enum reservation_state {
    RESERVATION_HELD,
    RESERVATION_USED,
    RESERVATION_RELEASED,
    RESERVATION_LAPSED,
    RESERVATION_STATE__COUNT
};

static const int64_t RESERVATION_RENEW_EVERY_MS = 60 * 1000;

struct reservation {
    struct id              id;
    struct id              job_id;
    struct id              worker_id;
    struct id              submission_id; /* which the upload will become */
    int64_t                attempt;       /* 1; 2 for a retry */
    enum reservation_state state;
    int64_t                accepted_ms, renewed_ms, expires_ms;
};

/* Take a slot for the acting worker, or return the unused one already held (*ret_is_new = false),
 * wherever he is now. ERR_NOT_FOUND "job"; ERR_UNPROCESSABLE "body_invalid" and ERR_FORBIDDEN
 * "outside_area" as slot_check_place; ERR_CONFLICT "job_closed" | "worker_capped" (reservations
 * held, submissions of the last 24 hours, or the job's max_files_per_worker) | "job_full" — in that
 * order. */
MUST_USE enum err reservation_accept(struct call *call, struct str job_id_text,
                                     const struct whereabouts *where,
                                     struct reservation *ret_reservation, bool *ret_is_new);

/* Take a slot for a simulated worker, whom nothing caps; the upload will become submission_id.
 * Changes *job and saves it. ERR_CONFLICT "job_closed" | "job_full". */
MUST_USE enum err reservation_take(struct call *call, struct job *job, const struct id *worker_id,
                                   const struct id    *submission_id,
                                   struct reservation *ret_reservation);

/* May the worker accept? ERR_OK, or the ERR_CONFLICT reservation_accept would give now, reading
 * only; where he is is not asked. */
MUST_USE enum err reservation_may_accept(struct call *call, const struct job *job);

/* Is the job open to the worker: has it a slot for him, or does he hold one? What stops him on
 * every job alike is not asked, nor where he is. Reads only. */
MUST_USE enum err reservation_is_open_to_worker(struct call *call, const struct job *job,
                                                bool *ret_is_open);

/* Take a slot for the second attempt of a submission; the caller has checked it may be retried.
 * ERR_CONFLICT "worker_capped" | "job_full". Changes *job, which the caller saves. */
MUST_USE enum err reservation_for_retry(struct call *call, struct job *job,
                                        const struct id    *submission_id,
                                        struct reservation *ret_reservation);

/* The acting worker's own. ERR_NOT_FOUND "reservation". */
MUST_USE enum err reservation_get(struct call *call, struct str id_text,
                                  struct reservation *ret_reservation);

/* Any by id. ERR_NOT_FOUND "reservation". */
MUST_USE enum err reservation_get_any(struct call *call, const struct id *id,
                                      struct reservation *ret_reservation);

/* The acting worker's live ones, newest first, older than before (empty = from the newest). */
MUST_USE enum err reservation_list(struct call *call, const struct id *before, int count,
                                   struct reservation *ret_rows, int *ret_count);

/* Give the slot back; repeating is fine. ERR_NOT_FOUND "reservation", ERR_CONFLICT
 * "reservation_used". */
MUST_USE enum err reservation_release(struct call *call, struct str id_text);

/* Upload progress: extend the lease, once in RESERVATION_RENEW_EVERY_MS at most, never beyond
 * reservation-max after accepting nor the job's deadline. Does nothing when there is nothing to
 * extend. */
MUST_USE enum err reservation_renew(struct call *call, const struct reservation *reservation);

/* May a file still come for it? Reads only. One that has lapsed may take a free slot again if it
 * could be accepted now; not one that was given back, nor one for a retry that was asked for again
 * since. ERR_CONFLICT "reservation_used" | "job_closed" | "reservation_expired". */
MUST_USE enum err reservation_may_use(struct call *call, const struct job *job,
                                      const struct reservation *reservation);

/* The upload is complete: turn the slot from reserved into pending. *reservation is as read in this
 * transaction. Refuses as reservation_may_use. Changes *job, which the caller saves. */
MUST_USE enum err reservation_use(struct call *call, struct job *job,
                                  const struct reservation *reservation);

/* The job ends: free what is held. Changes *job, which the caller saves. */
MUST_USE enum err reservation_release_all(struct call *call, struct job *job);

/* Write down what of this job has lapsed. Changes *job and saves it. */
MUST_USE enum err reservation_lapse_due(struct call *call, struct job *job);

/* The same for up to count reservations of any job; *ret_count = written down. */
MUST_USE enum err reservation_lapse_all_due(struct call *call, int count, int *ret_count);

/* Slots free now, lapsed reservations not counted, without writing. */
MUST_USE enum err reservation_slots_open(struct call *call, const struct job *job,
                                         int64_t *ret_slots);

#endif
