/* Submissions: a worker's file for a slot, from upload to its stars. */
#ifndef FIRSTHAND_DOMAIN_SUBMISSION_H
#define FIRSTHAND_DOMAIN_SUBMISSION_H

#include "domain/job.h"
#include "domain/page.h"
#include "domain/reservation.h"
#include "domain/score.h"
#include "domain/task.h"

enum submission_state {
    SUBMISSION_PENDING_SCORE,
    SUBMISSION_APPROVED,
    SUBMISSION_REJECTED,
    SUBMISSION_RETRY_PENDING,
    SUBMISSION_STATE__COUNT
};

enum { SUBMISSION_ATTEMPTS_MAX = 2, SUBMISSION_RETRY_STARS_MIN = 2, FILENAME_BYTES_MAX = 255 };

struct submission {
    struct id             id;
    struct id             job_id;
    struct id             org_id;
    enum environment      environment;
    struct id             worker_id;
    int64_t               attempt;
    enum submission_state state;
    enum media_type       media_type; /* as sniffed; settled by the score */
    int64_t               size_bytes;
    struct str            sha256;   /* hex, of the bytes as received */
    struct str            filename; /* may be absent */
    int64_t               width, height, duration_ms, captured_ms; /* 0 = none or not known yet */
    int64_t               stars;                                   /* 0 = not scored */
    struct str            gate;                                    /* absent = none */
    struct str            reasoning;
    struct id             file_id;    /* of an approved one */
    int64_t               paid_cents; /* of an approved one */
    int64_t               created_ms, scored_ms;
};

/* What arrived, durable on disk under submission_blob_name. */
struct received {
    struct str      sha256; /* hex */
    int64_t         size_bytes;
    enum media_type media_type;
    struct str      filename; /* may be absent */
};

/* The upload is complete: the reservation (its id counts, the rest is read anew) becomes a
 * submission waiting for its score, or, when the job has seen the bytes before, a rejected
 * duplicate. The same bytes again for a reservation that was used give the submission they became
 * (*ret_is_new = false). ERR_CONFLICT "job_closed" | "reservation_expired" | "reservation_used"
 * (with other bytes). */
MUST_USE enum err submission_receive(struct call *call, const struct reservation *reservation,
                                     const struct received *received,
                                     struct submission *ret_submission, bool *ret_is_new);

/* A score, bound to what was examined. */
struct verdict {
    struct id    submission_id;
    int64_t      attempt;
    struct str   sha256; /* of the examined bytes */
    struct score score;
    bool         is_unexamined; /* examining kept failing: rejected whatever the job's minimum */
    bool         is_simulated;  /* the sandbox's: tells nothing of how examining goes */
    const struct media_result *result;      /* NULL when is_unexamined */
    struct str                 record;      /* JSON that explains the score */
    struct str                 annotations; /* JSON for the file; absent = not measured */
};

/* Approve or reject, pay or reopen the slot, finish the task: one commit. A verdict on anything but
 * the pending attempt and bytes only finishes the task. ERR_CONFLICT "task_lost": undo. */
MUST_USE enum err submission_judge(struct call *call, const struct task *task,
                                   const struct verdict *verdict);

/* Ask for the second attempt of the acting worker's rejected submission. ERR_NOT_FOUND
 * "submission"; ERR_UNPROCESSABLE "body_invalid" and ERR_FORBIDDEN "outside_area" as
 * slot_check_place; ERR_CONFLICT "not_retryable" (state, stars, attempt) | "job_closed" |
 * "worker_capped" | "job_full" — in that order. */
MUST_USE enum err submission_retry(struct call *call, struct str id_text,
                                   const struct whereabouts *where,
                                   struct reservation       *ret_reservation);
bool              submission_may_retry(const struct submission *submission);

/* Any submission, for runners. ERR_NOT_FOUND "submission". */
MUST_USE enum err submission_get_any(struct call *call, const struct id *id,
                                     struct submission *ret_submission);
/* The acting worker's own. ERR_NOT_FOUND "submission". */
MUST_USE enum err submission_get_own(struct call *call, struct str id_text,
                                     struct submission *ret_submission);

/* One of the actor's organisation and environment. ERR_NOT_FOUND "submission". */
MUST_USE enum err submission_get(struct call *call, struct str id_text,
                                 struct submission *ret_submission);

struct submission_filter {
    struct id             job_id;            /* empty = of every job */
    enum submission_state state;             /* SUBMISSION_STATE__COUNT = any */
    int64_t               stars_min;         /* 0 = also what has no stars yet */
    int64_t               created_from_ms;   /* inclusive; INT64_MIN = any */
    int64_t               created_before_ms; /* exclusive; INT64_MAX = any */
    struct id             before;            /* exclusive upper id bound; empty = none */
};

/* A filter that every row passes. */
struct submission_filter submission_filter_any(void);

/* Those of the actor's organisation and environment, newest first: up to count rows. */
MUST_USE enum err submission_list(struct call *call, const struct submission_filter *filter,
                                  int count, struct submission *ret_rows,
                                  struct page_search *ret_search);

/* The acting worker's own, newest first, older than before (empty = from the newest), up to count.
 */
MUST_USE enum err submission_list_own(struct call *call, const struct id *before, int count,
                                      struct submission *ret_rows, int *ret_count);

/* When a file was last examined with success, whichever; 0 = never. */
MUST_USE enum err submission_last_examined(struct call *call, int64_t *ret_ms);

/* "sub_….1": the name of the received bytes in the blob store. */
struct str submission_blob_name(const struct id *submission_id, int64_t attempt,
                                struct arena *arena);

const char   *submission_state_name(enum submission_state state);
MUST_USE bool submission_state_parse(struct str name, enum submission_state *ret_state);

#endif
