/* Tasks: what must happen after a commit, written in it (an outbox). A runner claims a due task
 * with a lease, acts outside of any transaction, and finishes it in the transaction that records
 * the result. A crash anywhere leaves the task to be claimed again when its lease ends. */
#ifndef FIRSTHAND_DOMAIN_TASK_H
#define FIRSTHAND_DOMAIN_TASK_H

#include "domain/call.h"

enum task_kind {
    TASK_SCORE,   /* subject: submission */
    TASK_DELIVER, /* subject: file */
    TASK_TOP_UP,  /* subject: purchase */
    TASK_SANDBOX, /* subject: job of the test environment */
    TASK_KIND__COUNT
};

struct task {
    struct id      id;
    enum task_kind kind;
    struct id      subject_id;
    int64_t        run_ms; /* due then; for a claimed one the end of the lease */
    int64_t        claims_count;
    int64_t        failures_count;
    int64_t        subject_failures_count; /* of these, such as may be the subject's own fault */
    int64_t        first_failed_ms;        /* the first of such; 0 = none */
    /* Set by who does the task: should it fail now, it may be the subject's own fault. */
    bool is_subject_suspect;
};

/* Due at once; one task per kind and subject: adding it again while it waits is a no-op. */
MUST_USE enum err task_add(struct call *call, enum task_kind kind, const struct id *subject_id);
/* The same, due at run_ms. */
MUST_USE enum err task_add_at(struct call *call, enum task_kind kind, const struct id *subject_id,
                              int64_t run_ms);

/* The task of a subject as it stands, for who does its work in the transaction that added it.
 * ERR_NOT_FOUND "task". */
MUST_USE enum err task_get(struct call *call, enum task_kind kind, const struct id *subject_id,
                           struct task *ret_task);

/* Claim the oldest due task of a kind for lease_ms. ERR_NOT_FOUND "task": none is due. */
MUST_USE enum err task_claim(struct call *call, enum task_kind kind, int64_t lease_ms,
                             struct task *ret_task);

/* Done, in the transaction that records the result. ERR_CONFLICT "task_lost": the lease ended and
 * somebody else claimed it, or it is gone; the caller's transaction must be undone. */
MUST_USE enum err task_finish(struct call *call, const struct task *task);

/* Could not be done now: due again after a back-off that doubles per failure (2 s … 10 min). */
MUST_USE enum err task_fail(struct call *call, const struct task *task, const char *reason);

/* The same, due again at run_ms. */
MUST_USE enum err task_postpone(struct call *call, const struct task *task, const char *reason,
                                int64_t run_ms);

/* Make due now what was claimed and neither finished nor failed since. For a server that starts,
 * and is alone with its store: whoever held these claims is dead. Their claims stay void. */
MUST_USE enum err task_release_claimed(struct call *call, int64_t *ret_count);

/* When the next task of the kind is due; 0 = none waits. */
MUST_USE enum err task_next_due(struct call *call, enum task_kind kind, int64_t *ret_due_ms);

struct task_load {
    int64_t count[TASK_KIND__COUNT];  /* rows */
    int64_t due[TASK_KIND__COUNT];    /* of these, due and claimed by nobody */
    int64_t late_s[TASK_KIND__COUNT]; /* how long the oldest of the due ones has been due */
};

/* How much there is to do. Reads the whole index of tasks. */
MUST_USE enum err task_load_read(struct call *call, struct task_load *ret_load);

const char *task_kind_name(enum task_kind kind);

#endif
