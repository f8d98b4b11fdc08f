/* Flags: what workers report of a job to its buyer. */
#ifndef FIRSTHAND_DOMAIN_JOB_FLAG_H
#define FIRSTHAND_DOMAIN_JOB_FLAG_H

#include "domain/job.h"

struct job_flag {
    struct id  job_id;
    struct id  worker_id;
    struct str reason;
    int64_t    created_ms;
};

/* The flag's worker reports *job, whatever its state: once. Stores the flag, counts it in *job,
 * and emits job.flagged. Takes job_id and the time from job and call.
 * ERR_CONFLICT "already_flagged". */
MUST_USE enum err job_flag_add(struct call *call, struct job *job, struct job_flag *flag);

#endif
