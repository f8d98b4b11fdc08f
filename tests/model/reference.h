/* The money and job rules once more, as plainly as they can be said: arrays in memory, no store, no
 * transactions, nothing shared with the code under test but the slugs and the names of transfers.
 * What the server writes down late (a lapse) happens here at its instant.
 *
 * Each operation answers NULL, or the slug of the refusal, after which nothing has changed. */
#ifndef FIRSTHAND_TESTS_REFERENCE_H
#define FIRSTHAND_TESTS_REFERENCE_H

#include "base/id.h"
#include "base/macros.h"
#include "base/time_text.h"
#include "domain/ledger.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* Every organisation has two wallets, which share nothing: one of live credit, one of test credit.
 * An org below is the number of a wallet, the live ones first. */
enum { REF_ORGS = 2, REF_WALLETS = 2 * REF_ORGS, REF_TEST_CENTS = 10000000 };
enum { REF_WORKERS = 5, REF_TTL_MS = 1800000, REF_HOLD_MS_MAX = 21600000 };
enum { REF_RESERVATIONS_MAX = 5, REF_SUBMISSIONS_PER_DAY = 50, REF_DAY_MS = 86400000 };

/* One rule told wrong, on purpose, to see that the comparison finds it. */
enum ref_fault {
    REF_SOUND,
    REF_FEE_ROUNDS_UP,
    REF_LAPSES_LATE,
    REF_KEEPS_KEYS_LONGER,
    REF_FORGETS_REFUND,
    REF_RETRIES_TWICE,
    REF_ENDS_LATE,
    REF_CREDITS_AGAIN,
    REF_TOPS_UP_MORE
};

enum ref_job_state { REF_OPEN, REF_RUNNING, REF_DONE, REF_CANCELLED };
enum ref_sub_state { REF_AWAITED, REF_PENDING, REF_APPROVED, REF_REJECTED, REF_RETRY };
enum ref_lease_state { REF_HELD, REF_USED, REF_RELEASED, REF_LAPSED };

enum ref_pay_state {
    REF_ASKING,
    REF_TO_BE_PAID,
    REF_PAID,
    REF_CALLED_OFF,
    REF_TOO_LATE,
    REF_NOT_PAID
};
enum ref_told {
    REF_TOLD_PURCHASED,
    REF_TOLD_TOPPED_UP,
    REF_TOLD_LOW,
    REF_TOLD_EXPIRING,
    REF_TOLD_EXPIRED,
    REF_TOLD__COUNT
};

struct ref_wallet {
    bool    is_topped_up, has_card;
    int     card; /* the purchase it paid */
    int64_t threshold, amount, card_ms;
    int64_t told[REF_TOLD__COUNT];
};

struct ref_purchase {
    struct id          id; /* empty: a top-up that was not charged yet */
    int                made_by, wallet;
    bool               is_top_up, is_answered;
    enum ref_pay_state state;
    int64_t            cents, tries, created_ms;
    int64_t            due_ms;      /* of a top-up's next try */
    int                payment_try; /* whose payment is known; 0 = none */
};

struct ref_freeze {
    int  event, wallet;
    bool is_lifted;
};

struct ref_contest {
    int     purchase, payment_try, event;
    int64_t created_ms;
};

struct ref_lot {
    int     org;
    int64_t cents, expires_ms;
    bool    is_warned;
};

/* A visible row of the ledger. */
struct ref_row {
    int     org, job; /* -1 = of no job */
    int     kind; /* enum transfer_kind, so that the fee's and the payout's are not among them */
    int64_t cents, running;
};

struct ref_part {
    int     lot;
    int64_t cents;
};

struct ref_asked {
    int     org;
    int64_t needed, price, files_per_worker, stars_min;
    int64_t deadline_ms; /* 0 = none */
};

struct ref_job {
    struct id          id;
    int                made_by, org;
    int64_t            needed, price, payout, files_per_worker, stars_min, deadline_ms;
    enum ref_job_state state;
    int64_t            approved, pending, reserved;
    int                first_part, parts_count;
};

struct ref_lease {
    struct id            id;
    int                  made_by, job, worker, sub, attempt, bytes;
    enum ref_lease_state state;
    int64_t              accepted_ms, renewed_ms, expires_ms;
};

struct ref_sub {
    struct id          id;
    int                made_by, job, worker, attempt;
    enum ref_sub_state state;
    int64_t            stars, created_ms;
};

/* A request with an Idempotency-Key. */
struct ref_request {
    int              owner, operation, key;
    int              object; /* the path */
    struct ref_asked asked;  /* the body */
};

/* What it was answered: the number of a job or a lease. */
struct ref_answer {
    struct ref_request request;
    int                number;
    int64_t            created_ms;
};

struct ref {
    enum ref_fault       fault;
    int                  maker; /* made_by of what is made now */
    int64_t              now_ms, fee_ppm;
    int64_t              worker_cents[REF_WORKERS], worker_held[REF_WORKERS];
    int64_t              deliveries_due, platform_cents;
    struct ref_wallet    wallets[REF_WALLETS];
    struct ref_purchase *purchases;
    struct ref_freeze   *freezes;
    struct ref_contest  *contests;
    const char          *outcome; /* of what was told last */
    struct ref_row      *rows;
    struct ref_answer   *answers;
    struct ref_lot      *lots;
    struct ref_part     *parts;
    struct ref_job      *jobs;
    struct ref_lease    *leases;
    struct ref_sub      *subs;
    int rows_count, answers_count, lots_count, parts_count, jobs_count, leases_count, subs_count;
    int purchases_count, freezes_count, contests_count;
    int rows_max, parts_max;
};

static inline void ref_init(struct ref *ref, int operations)
{
    *ref = (struct ref){ .rows_max = 2 * operations + 16, .parts_max = 16 * operations + 256 };
    ref->lots = calloc((size_t)ref->rows_max, sizeof(*ref->lots));
    ref->parts = calloc((size_t)ref->parts_max, sizeof(*ref->parts));
    ref->jobs = calloc((size_t)ref->rows_max, sizeof(*ref->jobs));
    ref->leases = calloc((size_t)ref->rows_max, sizeof(*ref->leases));
    ref->subs = calloc((size_t)ref->rows_max, sizeof(*ref->subs));
    ref->rows = calloc((size_t)ref->parts_max, sizeof(*ref->rows));
    ref->answers = calloc((size_t)ref->rows_max, sizeof(*ref->answers));
    ref->purchases = calloc((size_t)ref->rows_max, sizeof(*ref->purchases));
    ref->freezes = calloc((size_t)ref->rows_max, sizeof(*ref->freezes));
    ref->contests = calloc((size_t)ref->rows_max, sizeof(*ref->contests));
    CHECK(ref->rows && ref->answers && ref->lots && ref->parts && ref->jobs && ref->leases &&
          ref->subs && ref->purchases && ref->freezes && ref->contests);
}

static inline void ref_deinit(struct ref *ref)
{
    free(ref->rows);
    free(ref->answers);
    free(ref->lots);
    free(ref->parts);
    free(ref->jobs);
    free(ref->leases);
    free(ref->subs);
    free(ref->purchases);
    free(ref->freezes);
    free(ref->contests);
}

/* reference_billing.h: the balance has just gone down by so much; does it post no live jobs? */
static inline void ref_lowered(struct ref *ref, int wallet, int64_t cents);
static inline bool ref_is_frozen(const struct ref *ref, int wallet);

static inline bool ref_is_test(int wallet)
{
    return wallet >= REF_ORGS;
}

/* --- credit --- */

static inline int64_t ref_balance(const struct ref *ref, int org)
{
    int64_t cents = 0;
    for (int i = 0; i < ref->lots_count; i++)
        if (ref->lots[i].org == org) cents += ref->lots[i].cents;
    return cents;
}

static inline int64_t ref_escrow(const struct ref *ref, const struct ref_job *job)
{
    int64_t cents = 0;
    for (int i = 0; i < job->parts_count; i++)
        cents += ref->parts[job->first_part + i].cents;
    return cents;
}

/* One row of the statement. */
static inline void ref_book(struct ref *ref, int org, enum transfer_kind kind, int64_t cents,
                            int job)
{
    int64_t running = 0;
    for (int i = 0; i < ref->rows_count; i++)
        if (ref->rows[i].org == org) running = ref->rows[i].running;
    CHECK(ref->rows_count < ref->parts_max && running + cents >= 0);
    if (kind == TRANSFER_EXPIRATION) ref->wallets[org].told[REF_TOLD_EXPIRED]++;
    ref->rows[ref->rows_count++] = (struct ref_row){ org, job, (int)kind, cents, running + cents };
}

static inline void ref_grant(struct ref *ref, int org, enum transfer_kind kind, int64_t cents,
                             int64_t expires_ms)
{
    CHECK(ref->lots_count < ref->rows_max);
    ref->lots[ref->lots_count++] = (struct ref_lot){ org, cents, expires_ms, false };
    ref_book(ref, org, kind, cents, -1);
}

/* What comes on top of a pack. */
static inline int64_t ref_bonus(int64_t cents)
{
    switch (cents) {
    case 2500: return 125;
    case 5000: return 500;
    case 10000: return 1500;
    case 25000: return 5000;
    default: return 0;
    }
}

/* The spendable lot that expires first, the older of two; -1 = none is left. */
static inline int ref_first_lot(const struct ref *ref, int org)
{
    int first = -1;
    for (int i = 0; i < ref->lots_count; i++) {
        const struct ref_lot *lot = &ref->lots[i];
        if (lot->org != org || lot->cents == 0) continue;
        if (first < 0 || lot->expires_ms < ref->lots[first].expires_ms) first = i;
    }
    return first;
}

/* What is due, a row each, the earliest first. */
static inline void ref_expire(struct ref *ref, int org)
{
    int64_t expired = 0;
    for (;;) {
        int lot = ref_first_lot(ref, org);
        if (lot < 0 || ref->lots[lot].expires_ms > ref->now_ms) break;
        ref_book(ref, org, TRANSFER_EXPIRATION, -ref->lots[lot].cents, -1);
        expired += ref->lots[lot].cents;
        ref->lots[lot].cents = 0;
    }
    if (expired > 0) ref_lowered(ref, org, expired);
}

static inline int64_t ref_smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* Approvals: the parts were taken in the order of their expiry, so from the front. */
static inline void ref_use_escrow(struct ref *ref, const struct ref_job *job, int64_t cents)
{
    for (int i = 0; i < job->parts_count; i++) {
        struct ref_part *part = &ref->parts[job->first_part + i];
        int64_t          taken = ref_smaller(part->cents, cents);
        part->cents -= taken;
        cents -= taken;
    }
    CHECK(cents == 0);
}

/* Refunds: from the back, to their lots; what has expired goes at once, in rows of its own. */
static inline void ref_refund(struct ref *ref, const struct ref_job *job, int64_t cents)
{
    if (cents > 0) ref_book(ref, job->org, TRANSFER_REFUND, cents, (int)(job - ref->jobs));
    for (int i = job->parts_count - 1; i >= 0; i--) {
        struct ref_part *part = &ref->parts[job->first_part + i];
        struct ref_lot  *lot = &ref->lots[part->lot];
        int64_t          taken = ref_smaller(part->cents, cents);
        part->cents -= taken;
        cents -= taken;
        if (lot->expires_ms > ref->now_ms)
            lot->cents += taken;
        else if (taken > 0)
            ref_book(ref, job->org, TRANSFER_EXPIRATION, -taken, -1);
    }
    CHECK(cents == 0);
}

/* --- time --- */

static inline void ref_end_lease(struct ref *ref, struct ref_lease *lease, enum ref_lease_state to)
{
    struct ref_sub *sub = &ref->subs[lease->sub];
    lease->state = to;
    ref->jobs[lease->job].reserved--;
    ref->worker_held[lease->worker]--;
    if (to != REF_USED && sub->state == REF_RETRY) sub->state = REF_REJECTED;
}

static inline void ref_advance(struct ref *ref, int64_t ms)
{
    ref->now_ms += ms;
    int64_t due_ms = ref->now_ms - (ref->fault == REF_LAPSES_LATE);
    for (int i = 0; i < ref->leases_count; i++)
        if (ref->leases[i].state == REF_HELD && ref->leases[i].expires_ms <= due_ms)
            ref_end_lease(ref, &ref->leases[i], REF_LAPSED);
}

/* --- requests sent again --- */

static inline bool ref_is_kept(const struct ref *ref, const struct ref_answer *answer)
{
    int64_t kept_ms = REF_DAY_MS + (ref->fault == REF_KEEPS_KEYS_LONGER ? REF_TTL_MS : 0);
    return answer->created_ms > ref->now_ms - kept_ms;
}

/* What the key stands for now; NULL = nothing. */
static inline const struct ref_answer *ref_find_key(const struct ref         *ref,
                                                    const struct ref_request *request)
{
    for (int i = ref->answers_count - 1; i >= 0; i--) {
        const struct ref_answer *answer = &ref->answers[i];
        if (answer->request.owner == request->owner && answer->request.key == request->key &&
            answer->request.operation == request->operation)
            return ref_is_kept(ref, answer) ? answer : NULL;
    }
    return NULL;
}

static inline bool ref_is_same_request(const struct ref_request *a, const struct ref_request *b)
{
    return a->object == b->object && a->asked.org == b->asked.org &&
           a->asked.needed == b->asked.needed && a->asked.price == b->asked.price &&
           a->asked.files_per_worker == b->asked.files_per_worker &&
           a->asked.stars_min == b->asked.stars_min && a->asked.deadline_ms == b->asked.deadline_ms;
}

static inline void ref_keep_answer(struct ref *ref, const struct ref_request *request, int number)
{
    CHECK(ref->answers_count < ref->rows_max);
    ref->answers[ref->answers_count++] = (struct ref_answer){ *request, number, ref->now_ms };
}

static inline int64_t ref_answers_kept(const struct ref *ref)
{
    int64_t count = 0;
    for (int i = 0; i < ref->answers_count; i++)
        count += ref_is_kept(ref, &ref->answers[i]);
    return count;
}

/* --- jobs --- */

static inline bool ref_has_ended(const struct ref_job *job)
{
    return job->state == REF_DONE || job->state == REF_CANCELLED;
}

static inline bool ref_is_late(const struct ref *ref, const struct ref_job *job)
{
    int64_t now_ms = ref->now_ms - (ref->fault == REF_ENDS_LATE ? REF_TTL_MS : 0);
    return job->deadline_ms != 0 && job->deadline_ms <= now_ms;
}

static inline bool ref_is_live(const struct ref *ref, const struct ref_job *job)
{
    return !ref_has_ended(job) && !ref_is_late(ref, job);
}

static inline int64_t ref_slots(const struct ref_job *job)
{
    return job->needed - job->approved - job->pending - job->reserved;
}

static inline int64_t ref_fee(const struct ref *ref, int64_t price)
{
    return (price * ref->fee_ppm + (ref->fault == REF_FEE_ROUNDS_UP ? 999999 : 0)) / 1000000;
}

static inline const char *ref_create(struct ref *ref, const struct ref_asked *asked)
{
    if (asked->deadline_ms != 0 && asked->deadline_ms <= ref->now_ms) return "body_invalid";
    if (!ref_is_test(asked->org) && ref_is_frozen(ref, asked->org)) return "organization_frozen";
    struct ref_job job = {
        .made_by = ref->maker,
        .org = asked->org,
        .needed = asked->needed,
        .price = asked->price,
        .files_per_worker = asked->files_per_worker,
        .stars_min = asked->stars_min,
        .deadline_ms = asked->deadline_ms,
    };
    int64_t missing = job.needed * job.price, unexpired = 0;
    for (int i = 0; i < ref->lots_count; i++)
        if (ref->lots[i].org == job.org && ref->lots[i].expires_ms > ref->now_ms)
            unexpired += ref->lots[i].cents;
    if (unexpired < missing) return "insufficient_credits";
    ref_expire(ref, job.org);
    ref_book(ref, job.org, TRANSFER_DEDUCTION, -missing, ref->jobs_count);
    job.payout = job.price - ref_fee(ref, job.price);
    job.first_part = ref->parts_count;
    while (missing > 0) {
        int     lot = ref_first_lot(ref, job.org);
        int64_t taken = ref_smaller(ref->lots[lot].cents, missing);
        CHECK(ref->parts_count < ref->parts_max);
        ref->parts[ref->parts_count++] = (struct ref_part){ lot, taken };
        ref->lots[lot].cents -= taken;
        missing -= taken;
        job.parts_count++;
    }
    CHECK(ref->jobs_count < ref->rows_max);
    ref->jobs[ref->jobs_count++] = job;
    ref_lowered(ref, job.org, job.needed * job.price);
    return NULL;
}

static inline void ref_end(struct ref *ref, int number)
{
    struct ref_job *job = &ref->jobs[number];
    for (int i = 0; i < ref->leases_count; i++)
        if (ref->leases[i].job == number && ref->leases[i].state == REF_HELD)
            ref_end_lease(ref, &ref->leases[i], REF_RELEASED);
    ref_refund(ref, job, job->price * (job->needed - job->approved - job->pending));
    job->state = REF_CANCELLED;
}

static inline const char *ref_cancel(struct ref *ref, int number)
{
    if (!ref_is_live(ref, &ref->jobs[number])) return "job_not_cancellable";
    ref_end(ref, number);
    return NULL;
}

/* The refund is booked when the deadline is written down, not at its instant. */
static inline void ref_end_due(struct ref *ref, int number)
{
    const struct ref_job *job = &ref->jobs[number];
    if (!ref_has_ended(job) && ref_is_late(ref, job)) ref_end(ref, number);
}

/* The oldest deadline first. */
static inline void ref_end_all_due(struct ref *ref)
{
    for (;;) {
        int first = -1;
        for (int i = 0; i < ref->jobs_count; i++) {
            const struct ref_job *job = &ref->jobs[i];
            if (ref_has_ended(job) || !ref_is_late(ref, job)) continue;
            if (first < 0 || job->deadline_ms < ref->jobs[first].deadline_ms) first = i;
        }
        if (first < 0) return;
        ref_end(ref, first);
    }
}

/* --- leases --- */

static inline bool ref_sent_enough_today(const struct ref *ref, int worker)
{
    int64_t sent = 0;
    for (int i = 0; i < ref->subs_count; i++)
        sent += ref->subs[i].worker == worker && ref->subs[i].state != REF_AWAITED &&
                ref->subs[i].created_ms > ref->now_ms - REF_DAY_MS;
    for (int i = 0; i < ref->leases_count; i++)
        sent += ref->leases[i].worker == worker && ref->leases[i].state == REF_HELD &&
                ref->leases[i].attempt == 1;
    return sent >= REF_SUBMISSIONS_PER_DAY;
}

static inline bool ref_gave_enough_files(const struct ref *ref, int job, int worker)
{
    int64_t files = 0;
    if (ref->jobs[job].files_per_worker == 0) return false;
    for (int i = 0; i < ref->subs_count; i++)
        files += ref->subs[i].worker == worker && ref->subs[i].job == job &&
                 (ref->subs[i].state == REF_PENDING || ref->subs[i].state == REF_APPROVED);
    for (int i = 0; i < ref->leases_count; i++)
        files += ref->leases[i].worker == worker && ref->leases[i].job == job &&
                 ref->leases[i].state == REF_HELD;
    return files >= ref->jobs[job].files_per_worker;
}

/* Is the job in the worker's feed? */
static inline bool ref_is_open_to(const struct ref *ref, int number, int worker)
{
    const struct ref_job *job = &ref->jobs[number];
    if (ref_is_test(job->org) || !ref_is_live(ref, job)) return false;
    for (int i = 0; i < ref->leases_count; i++)
        if (ref->leases[i].job == number && ref->leases[i].worker == worker &&
            ref->leases[i].state == REF_HELD)
            return true;
    return ref_slots(job) > 0 && !ref_gave_enough_files(ref, number, worker);
}

static inline int64_t ref_lease_end(const struct ref *ref, int job, int64_t accepted_ms)
{
    int64_t deadline_ms = ref->jobs[job].deadline_ms;
    int64_t end_ms = ref_smaller(ref->now_ms + REF_TTL_MS, accepted_ms + REF_HOLD_MS_MAX);
    return deadline_ms ? ref_smaller(end_ms, deadline_ms) : end_ms;
}

static inline void ref_take_slot(struct ref *ref, int job, int worker, int sub, int attempt)
{
    CHECK(ref->leases_count < ref->rows_max);
    ref->leases[ref->leases_count++] = (struct ref_lease){
        .made_by = ref->maker,
        .job = job,
        .worker = worker,
        .sub = sub,
        .attempt = attempt,
        .accepted_ms = ref->now_ms,
        .renewed_ms = ref->now_ms,
        .expires_ms = ref_lease_end(ref, job, ref->now_ms),
    };
    ref->jobs[job].reserved++;
    ref->worker_held[worker]++;
}

/* *ret_lease = which one the worker has now. */
static inline const char *ref_accept(struct ref *ref, int number, int worker, int *ret_lease)
{
    struct ref_job *job = &ref->jobs[number];
    if (ref_is_test(job->org)) return "job"; /* simulated workers fill it */
    for (int i = 0; i < ref->leases_count; i++) {
        const struct ref_lease *lease = &ref->leases[i];
        if (lease->job != number || lease->worker != worker || lease->state != REF_HELD) continue;
        *ret_lease = i;
        return NULL;
    }
    if (!ref_is_live(ref, job)) return "job_closed";
    if (ref->worker_held[worker] >= REF_RESERVATIONS_MAX) return "worker_capped";
    if (ref_sent_enough_today(ref, worker)) return "worker_capped";
    if (ref_gave_enough_files(ref, number, worker)) return "worker_capped";
    if (ref_slots(job) <= 0) return "job_full";
    CHECK(ref->subs_count < ref->rows_max);
    ref->subs[ref->subs_count] =
        (struct ref_sub){ .made_by = ref->maker, .job = number, .worker = worker };
    *ret_lease = ref->leases_count;
    ref_take_slot(ref, number, worker, ref->subs_count++, 1);
    return NULL;
}

static inline const char *ref_release(struct ref *ref, int number)
{
    struct ref_lease *lease = &ref->leases[number];
    if (lease->state == REF_USED) return "reservation_used";
    if (lease->state == REF_HELD) ref_end_lease(ref, lease, REF_RELEASED);
    lease->state = REF_RELEASED;
    return NULL;
}

static inline void ref_renew(struct ref *ref, int number)
{
    struct ref_lease *lease = &ref->leases[number];
    int64_t           until_ms = ref_lease_end(ref, lease->job, lease->accepted_ms);
    if (lease->state != REF_HELD || ref->now_ms - lease->renewed_ms < 60000) return;
    if (until_ms <= lease->expires_ms) return;
    lease->expires_ms = until_ms;
    lease->renewed_ms = ref->now_ms;
}

/* --- submissions --- */

static inline bool ref_may_take_again(const struct ref *ref, const struct ref_lease *lease)
{
    const struct ref_sub *sub = &ref->subs[lease->sub];
    if (lease->state == REF_RELEASED) return false;
    if (lease->attempt == 2 && (sub->state != REF_REJECTED || sub->attempt == 2)) return false;
    return !ref_sent_enough_today(ref, lease->worker) &&
           !ref_gave_enough_files(ref, lease->job, lease->worker) &&
           ref_slots(&ref->jobs[lease->job]) > 0;
}

static inline bool ref_has_seen(const struct ref *ref, int job, int bytes)
{
    for (int i = 0; i < ref->leases_count; i++)
        if (ref->leases[i].job == job && ref->leases[i].state == REF_USED &&
            ref->leases[i].bytes == bytes)
            return true;
    return false;
}

static inline const char *ref_receive(struct ref *ref, int number, int bytes)
{
    struct ref_lease *lease = &ref->leases[number];
    struct ref_job   *job = &ref->jobs[lease->job];
    struct ref_sub   *sub = &ref->subs[lease->sub];
    if (lease->state == REF_USED) return lease->bytes == bytes ? NULL : "reservation_used";
    if (!ref_is_live(ref, job)) return "job_closed";
    if (lease->state != REF_HELD && !ref_may_take_again(ref, lease)) return "reservation_expired";
    bool is_duplicate = ref_has_seen(ref, lease->job, bytes);
    if (lease->state == REF_HELD)
        ref_end_lease(ref, lease, REF_USED);
    else
        lease->state = REF_USED;
    lease->bytes = bytes;
    if (lease->attempt == 1) sub->created_ms = ref->now_ms;
    sub->attempt = lease->attempt;
    sub->stars = is_duplicate ? 1 : 0;
    sub->state = is_duplicate ? REF_REJECTED : REF_PENDING;
    if (!is_duplicate) job->pending++;
    return NULL;
}

static inline const char *ref_judge(struct ref *ref, int number, int stars, bool is_gated)
{
    struct ref_sub *sub = &ref->subs[number];
    struct ref_job *job = &ref->jobs[sub->job];
    if (sub->state != REF_PENDING) return "task_lost";
    ref_end_due(ref, sub->job);
    sub->stars = stars;
    job->pending--;
    if (is_gated || stars < job->stars_min) {
        sub->state = REF_REJECTED;
        if (job->state == REF_CANCELLED && ref->fault != REF_FORGETS_REFUND)
            ref_refund(ref, job, job->price);
        return NULL;
    }
    sub->state = REF_APPROVED;
    job->approved++;
    ref_use_escrow(ref, job, job->price);
    ref->worker_cents[sub->worker] += job->payout;
    ref->platform_cents += job->price - job->payout;
    ref->deliveries_due++;
    if (job->state != REF_CANCELLED)
        job->state = job->approved == job->needed ? REF_DONE : REF_RUNNING;
    return NULL;
}

static inline const char *ref_retry(struct ref *ref, int number)
{
    struct ref_sub *sub = &ref->subs[number];
    struct ref_job *job = &ref->jobs[sub->job];
    if (sub->state == REF_AWAITED) return "submission";
    bool is_first = sub->attempt == 1 || ref->fault == REF_RETRIES_TWICE;
    if (sub->state != REF_REJECTED || sub->stars < 2 || !is_first) return "not_retryable";
    if (!ref_is_live(ref, job)) return "job_closed";
    if (ref->worker_held[sub->worker] >= REF_RESERVATIONS_MAX) return "worker_capped";
    if (ref_gave_enough_files(ref, sub->job, sub->worker)) return "worker_capped";
    if (ref_slots(job) <= 0) return "job_full";
    sub->state = REF_RETRY;
    ref_take_slot(ref, sub->job, sub->worker, number, 2);
    return NULL;
}

#include "reference_billing.h"

#endif
