/* May a worker take a slot of a job? One named refusal per cause; each rule only reads. */
#ifndef FIRSTHAND_DOMAIN_SLOT_RULES_H
#define FIRSTHAND_DOMAIN_SLOT_RULES_H

#include "domain/job.h"

/* ERR_CONFLICT "job_closed". */
MUST_USE enum err slot_check_open(struct call *call, const struct job *job);

/* Where a worker says he is; he may say half of it, or nothing. */
struct whereabouts {
    bool             has_lat, has_lng;
    struct geo_point point;
};

/* A job with a place asks where the worker is. ERR_UNPROCESSABLE "body_invalid" (a coordinate is
 * missing), ERR_FORBIDDEN "outside_area". */
MUST_USE enum err slot_check_place(struct call *call, const struct job *job,
                                   const struct whereabouts *where);

/* The acting worker's live reservations are below worker-reservations-max.
 * ERR_CONFLICT "worker_capped". */
MUST_USE enum err slot_check_held(struct call *call);

/* What the worker sent in the last 24 hours, and may still send from what is held, is below
 * worker-submissions-per-day. ERR_CONFLICT "worker_capped". */
MUST_USE enum err slot_check_today(struct call *call, const struct id *worker_id);

/* What the job has of the worker, or may still get from what is held, is below the job's
 * max_files_per_worker; a retry under way counts by its reservation alone.
 * ERR_CONFLICT "worker_capped". */
MUST_USE enum err slot_check_files(struct call *call, const struct job *job,
                                   const struct id *worker_id);

/* A slot is free now, lapsed reservations not counted. ERR_CONFLICT "job_full". */
MUST_USE enum err slot_check_free(struct call *call, const struct job *job);

#endif
