/* Jobs: what a buyer asks for, its slots, its escrow and its states. */
#ifndef FIRSTHAND_DOMAIN_JOB_H
#define FIRSTHAND_DOMAIN_JOB_H

#include "base/geo.h"
#include "base/media_type.h"
#include "domain/call.h"
#include "domain/page.h"
#include "domain/score.h"

enum job_state { JOB_OPEN, JOB_IN_PROGRESS, JOB_COMPLETED, JOB_CANCELLED, JOB_STATE__COUNT };
enum job_type { JOB_DATA_COLLECTION, JOB_FEEDBACK, JOB_TYPE__COUNT };

enum { JOB_STARS_MIN_DEFAULT = 3 };

struct job {
    /* As asked; never change. Text that was not given is absent, a number 0 (of the one that may be
     * 0 by itself, has_ says so). */
    struct id        id;
    struct id        org_id;
    enum environment environment;
    enum job_type    type;
    struct str       description;
    int64_t          files_needed;
    struct str       formats_text; /* names joined by spaces, in the buyer's order */
    unsigned         formats;      /* the same as a set of BIT(enum media_type) */
    int64_t          price_cents;
    int64_t          fee_ppm;
    int64_t          payout_cents;
    struct str       metadata; /* JSON object text */
    struct str       title, scoring_criteria, worker_guidelines;
    struct str       scoring_ignore; /* names joined by spaces, as asked */
    int64_t          min_stars;
    int64_t          min_width, min_height;
    bool             has_min_duration;
    int64_t          min_duration_ms, max_duration_ms;
    int64_t          max_files_per_worker;
    int64_t          deadline_ms;
    struct geo_point place;     /* where it is to be done, within radius_mm */
    int64_t          radius_mm; /* 0 = anywhere */
    int64_t          created_ms;
    /* What happens to it. approved + pending + reserved <= needed, always. */
    enum job_state state;
    int64_t        files_approved; /* approved submissions */
    int64_t        files_pending;  /* uploaded, waiting for their score */
    int64_t        slots_reserved; /* reservations held (lapsed ones until they are written down) */
    int64_t        escrow_cents;   /* price × (needed - approved - released) */
    int64_t        completed_ms, cancelled_ms;
    bool           is_past_deadline; /* at the call that read it */
    int64_t        rating;           /* the buyer's, 1 to 5; 0 = none yet */
    struct str     rating_comment;
    int64_t        flags_count;
    struct str     flag_reason; /* the latest */
};

/* Create from the asked part of *job (id, org, environment, fee, payout, times and the second part
 * are filled in here), put its total into escrow; a test job's simulated workers are told.
 * Refuses: ERR_UNPROCESSABLE "body_invalid" (total too large for an integer; a maximum below a
 * minimum; a deadline that has passed), ERR_FORBIDDEN "organization_frozen", ERR_UNPAID
 * "insufficient_credits". */
MUST_USE enum err job_create(struct call *call, struct job *job);

/* The actor's own job. ERR_NOT_FOUND "job". */
MUST_USE enum err job_get(struct call *call, struct str id_text, struct job *ret_job);

/* Any job by id, for workers and runners. ERR_NOT_FOUND "job". */
MUST_USE enum err job_get_any(struct call *call, const struct id *id, struct job *ret_job);

/* Any job of the live environment, for workers. ERR_NOT_FOUND "job". */
MUST_USE enum err job_get_live(struct call *call, struct str id_text, struct job *ret_job);

/* The job as it was when it was created: for replays. */
void job_as_created(struct job *job);

struct job_filter {
    enum job_state state;  /* JOB_STATE__COUNT = any */
    enum job_type  type;   /* JOB_TYPE__COUNT = any */
    struct id      from;   /* inclusive lower id bound; empty = none */
    struct id      before; /* exclusive upper id bound; empty = none */
};

/* The actor's jobs, newest first: up to count rows. */
MUST_USE enum err job_list(struct call *call, const struct job_filter *filter, int count,
                           struct job *ret_jobs, struct page_search *ret_search);

/* Cancel the actor's job: refund what is neither approved nor pending, release its reservations.
 * ERR_NOT_FOUND "job", ERR_CONFLICT "job_not_cancellable". */
MUST_USE enum err job_cancel(struct call *call, struct str id_text, struct job *ret_job);

/* Past its deadline a job is cancelled, whether or not that is written down: do so, as job_cancel
 * would. Whoever changes a job that may be due calls this first. Changes *job and saves it. */
MUST_USE enum err job_end_due(struct call *call, struct job *job);

/* The same for up to count jobs of any organisation; *ret_count = written down. For the sweeper. */
MUST_USE enum err job_end_all_due(struct call *call, int count, int *ret_count);

/* The buyer's opinion of the actor's job: once. comment may be absent. ERR_NOT_FOUND "job",
 * ERR_CONFLICT "job_not_completed" | "already_rated". */
MUST_USE enum err job_rate(struct call *call, struct str id_text, int64_t rating,
                           struct str comment, struct job *ret_job);

/* Full jobs are not looked at: those passed over have all that they take of the worker, or are past
 * a deadline that is not written down yet. */
enum { FEED_SCAN_ROWS_MAX = 1000 };

struct job_feed {
    bool      is_best_paid_first;  /* else newest first */
    struct id before;              /* the last row of the page before; empty = from the start */
    int64_t   before_payout_cents; /* that row's; only with is_best_paid_first */
};

/* What is open to the acting worker (reservation_is_open_to_worker) of the live environment's live
 * jobs, of every organisation: up to count, of FEED_SCAN_ROWS_MAX looked at. The search's last_key
 * is the row's payout. Of the reservations that have lapsed and are not written down as many free
 * their slots here, those that lapsed first; the sweeper goes by the same order. */
MUST_USE enum err job_feed(struct call *call, const struct job_feed *feed, int count,
                           struct job *ret_jobs, struct page_search *ret_search);

/* --- for the other domain files: the one door for changes --- */

/* Move to another state; CHECKs that the map allows it. Sets completed_ms or cancelled_ms, which
 * of a job past its deadline is the deadline. */
void job_set_state(struct call *call, struct job *job, enum job_state to);

/* Write the changing part back. */
MUST_USE enum err job_save(struct call *call, const struct job *job);

bool    job_is_live(const struct job *job);    /* open or in progress, and not past its deadline */
int64_t job_slots_free(const struct job *job); /* needed - approved - pending - reserved */

/* What it is now: cancelled past its deadline, written down or not. */
enum job_state job_state_now(const struct job *job);

/* Is it still to be ended in the store, by a cancel or a deadline? */
bool job_may_end(const struct job *job);

void job_score_limits(const struct job *job, struct score_limits *ret_limits);

const char   *job_state_name(enum job_state state);
MUST_USE bool job_state_parse(struct str name, enum job_state *ret_state);
const char   *job_type_name(enum job_type type);
MUST_USE bool job_type_parse(struct str name, enum job_type *ret_type);

#endif
