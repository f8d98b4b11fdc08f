/* The sandbox: simulated workers, who fill the jobs of the test environment with generated files.
 * What they send goes the way of every file (reservation, submission, verdict, payment, events,
 * delivery); only the accepting, the scorer and the wait between are left out. Bytes are kept of
 * what is approved: those of a rejected submission no operation gives.
 *
 * The same job gets the same files: their bytes depend on what the job asks and on nothing else. */
#ifndef FIRSTHAND_DOMAIN_SANDBOX_H
#define FIRSTHAND_DOMAIN_SANDBOX_H

#include "domain/submission.h"
#include "platform/crypto.h"

/* What metadata.sandbox_scenario asks for; anything else is the default. */
enum sandbox_scenario {
    SANDBOX_DEFAULT, /* all files after one delay */
    SANDBOX_MIXED,   /* of every three submissions the first is rejected */
    SANDBOX_SLOW,    /* a file each delay */
    SANDBOX_STALL,   /* half of the files, rounded down, and no more */
    SANDBOX_FLAGGED, /* job.flagged, then as the default */
    SANDBOX_SCENARIO__COUNT
};

enum { SANDBOX_BATCH_FILES_MAX = 50, SANDBOX_NAME_BYTES_MAX = 40 };

struct sandbox_file {
    struct id       submission_id;
    int64_t         number; /* of the job's submissions, from 0 */
    enum media_type type;
    int32_t         stars;
    bool            is_blank; /* rejected by a gate */
    bool            passes;
    int64_t         size_bytes;
    char            sha256[2 * SHA256_BYTES + 1];
    char            name[SANDBOX_NAME_BYTES_MAX];
};

/* What is sent in one go. */
struct sandbox_batch {
    struct job            job;
    enum sandbox_scenario scenario;
    unsigned char         seed[SHA256_BYTES]; /* of what the job asks */
    int                   count;
    struct sandbox_file   files[SANDBOX_BATCH_FILES_MAX];
};

/* A job was posted: add its task, due after sandbox-delay. Nothing for a live job. */
MUST_USE enum err sandbox_begin(struct call *call, const struct job *job);

/* What simulated workers send of a job by now, reading only; none when it has ended or has enough.
 * ERR_NOT_FOUND "job". */
MUST_USE enum err sandbox_plan(struct call *call, const struct id *job_id,
                               struct sandbox_batch *ret_batch);

/* Generate a planned file: fills its size, hash and name. The bytes are the arena's. */
struct str sandbox_generate(const struct sandbox_batch *batch, struct sandbox_file *file,
                            struct arena *arena);

/* The generated files, those that pass being durable under submission_blob_name, become judged
 * submissions; the task goes on or ends. A job that has ended meanwhile gets none of them.
 * ERR_CONFLICT "task_lost". */
MUST_USE enum err sandbox_fill(struct call *call, const struct task *task,
                               const struct sandbox_batch *batch);

#endif
