#include "domain/credits.h"

#include "base/num.h"
#include "base/time_text.h"
#include "domain/credit_event.h"
#include "domain/job.h"
#include "domain/low_balance.h"

/* A lot, or the part of one that a job holds. */
struct part {
    struct id lot_id;
    int64_t   cents;
    int64_t   expires_ms;
};

enum { PARTS_AT_ONCE = 64 };

/* Of the transfer that was booked last. */
static enum err lot_insert(struct call *call, const struct transfer *transfer)
{
    struct id    id = id_new(ID_LOT, call->now_ms);
    struct stmt *q = db_query(call->db, "INSERT INTO lots (id, org_id, environment, granted_cents,"
                                        " remaining_cents, expires_ms, transfer_id)"
                                        " SELECT $1, $2, $3, $4, $5, $6, last_transfer_id"
                                        " FROM balances WHERE org_id = $2 AND environment = $3");
    bind_id(q, 1, &id);
    bind_id(q, 2, &transfer->org_id);
    bind_int(q, 3, transfer->environment);
    bind_int(q, 4, transfer->amount_cents);
    bind_int(q, 5, transfer->amount_cents);
    bind_int(q, 6, transfer->expires_ms);
    return stmt_run(q, &call->error, NULL);
}

/* remaining_cents += change; the store refuses what would leave 0 … granted. */
static enum err lot_change(struct call *call, const struct id *lot_id, int64_t change_cents)
{
    /* tenant: keyed by a lot that was read with its organisation bound */
    struct stmt *q =
        db_query(call->db, "UPDATE lots SET remaining_cents = remaining_cents + $2 WHERE id = $1");
    bind_id(q, 1, lot_id);
    bind_int(q, 2, change_cents);
    return stmt_run(q, &call->error, NULL);
}

enum err credits_grant(struct call *call, const struct id *org_id, enum environment environment,
                       enum transfer_kind kind, int64_t amount_cents, struct str once,
                       struct str description)
{
    CHECK(transfer_credit(kind) == ACCOUNT_AVAILABLE && kind != TRANSFER_REFUND);
    struct transfer transfer = {
        .kind = kind,
        .org_id = *org_id,
        .environment = environment,
        .amount_cents = amount_cents,
        .once = once,
        .description = description,
        .expires_ms = time_add_year(call->now_ms),
    };
    enum err e = ledger_post(call, &transfer);
    if (e) return e;
    return lot_insert(call, &transfer);
}

/* Book the expiry of one lot's remaining cents. */
static enum err expire_part(struct call *call, const struct id *org_id,
                            enum environment environment, const struct part *part)
{
    enum err e = lot_change(call, &part->lot_id, -part->cents);
    if (e) return e;
    e = ledger_post(call, &(struct transfer){
                              .kind = TRANSFER_EXPIRATION,
                              .org_id = *org_id,
                              .environment = environment,
                              .amount_cents = part->cents,
                              .description = STR("Credits expired"),
                          });
    if (e) return e;
    return credit_event_of_last(call, EVENT_CREDITS_EXPIRED, org_id, environment);
}

enum err credits_expire_due(struct call *call, const struct id *org_id,
                            enum environment environment)
{
    int64_t expired_cents = 0;
    for (;;) {
        struct stmt *q = db_query(call->db, "SELECT id, remaining_cents, expires_ms FROM lots"
                                            " WHERE org_id = $1 AND environment = $2"
                                            " AND remaining_cents > 0 AND expires_ms <= $3"
                                            " ORDER BY expires_ms LIMIT 1");
        bind_id(q, 1, org_id);
        bind_int(q, 2, environment);
        bind_int(q, 3, call->now_ms);
        struct part part = { 0 };
        bool        is_due = stmt_step(q);
        if (is_due) part = (struct part){ column_id(q, 0), column_int(q, 1), column_int(q, 2) };
        enum err e = stmt_end(q, &call->error);
        if (e) return e;
        if (!is_due) break;
        e = expire_part(call, org_id, environment, &part);
        if (e) return e;
        expired_cents += part.cents;
    }
    if (expired_cents == 0) return ERR_OK;
    return low_balance_after(call, org_id, environment, expired_cents);
}

enum err credits_expire_all_due(struct call *call, int count, int *ret_count)
{
    int expired = 0;
    for (; expired < count; expired++) {
        /* tenant: the sweeper serves every organisation */
        struct stmt *q = db_query(call->db, "SELECT org_id, environment FROM lots"
                                            " WHERE remaining_cents > 0 AND expires_ms <= $1"
                                            " LIMIT 1");
        bind_int(q, 1, call->now_ms);
        bool      is_due = stmt_step(q);
        struct id org_id = is_due ? column_id(q, 0) : (struct id){ 0 };
        int64_t   environment = is_due ? column_int(q, 1) : 0;
        enum err  e = stmt_end(q, &call->error);
        if (e) return e;
        if (!is_due) break;
        e = credits_expire_due(call, &org_id, (enum environment)environment);
        if (e) return e;
    }
    *ret_count = expired;
    return ERR_OK;
}

static enum err job_part_insert(struct call *call, const struct job *job, const struct part *part)
{
    struct stmt *q = db_query(call->db, "INSERT INTO job_lots (job_id, lot_id, cents, expires_ms)"
                                        " VALUES ($1, $2, $3, $4)");
    bind_id(q, 1, &job->id);
    bind_id(q, 2, &part->lot_id);
    bind_int(q, 3, part->cents);
    bind_int(q, 4, part->expires_ms);
    return stmt_run(q, &call->error, NULL);
}

static enum err next_lot(struct call *call, const struct job *job, struct part *ret_lot)
{
    struct stmt *q = db_query(call->db, "SELECT id, remaining_cents, expires_ms FROM lots"
                                        " WHERE org_id = $1 AND environment = $2"
                                        " AND remaining_cents > 0 ORDER BY expires_ms, id LIMIT 1");
    bind_id(q, 1, &job->org_id);
    bind_int(q, 2, job->environment);
    bool is_there = stmt_step(q);
    if (is_there) *ret_lot = (struct part){ column_id(q, 0), column_int(q, 1), column_int(q, 2) };
    enum err e = stmt_end(q, &call->error);
    CHECK(e || is_there); /* the lots hold what the balance says */
    return e;
}

enum err credits_hold(struct call *call, const struct job *job)
{
    enum err e = credits_expire_due(call, &job->org_id, job->environment);
    if (e) return e;
    e = ledger_post(call, &(struct transfer){
                              .kind = TRANSFER_DEDUCTION,
                              .org_id = job->org_id,
                              .environment = job->environment,
                              .amount_cents = job->escrow_cents,
                              .job_id = job->id,
                              .once = str_format(call->arena, "escrow:%s", job->id.text),
                              .description = STR("Job posted"),
                          });
    if (e) return e;

    int64_t missing_cents = job->escrow_cents;
    while (missing_cents > 0) {
        struct part part;
        e = next_lot(call, job, &part);
        if (e) return e;
        part.cents = num_min(part.cents, missing_cents);
        missing_cents -= part.cents;
        e = lot_change(call, &part.lot_id, -part.cents);
        if (e) return e;
        e = job_part_insert(call, job, &part);
        if (e) return e;
    }
    return low_balance_after(call, &job->org_id, job->environment, job->escrow_cents);
}

/* Up to PARTS_AT_ONCE of the parts that still hold something, in the query's order. */
static enum err read_parts(struct call *call, struct stmt *q, const struct job *job,
                           struct part *parts, int *ret_count)
{
    bind_id(q, 1, &job->id);
    bind_int(q, 2, PARTS_AT_ONCE);
    int count = 0;
    while (count < PARTS_AT_ONCE && stmt_step(q))
        parts[count++] = (struct part){ column_id(q, 0), column_int(q, 1), column_int(q, 2) };
    *ret_count = count;
    enum err e = stmt_end(q, &call->error);
    CHECK(e || count > 0); /* the parts hold what the escrow says */
    return e;
}

static enum err parts_expiring_first(struct call *call, const struct job *job, struct part *parts,
                                     int *ret_count)
{
    struct stmt *q = db_query(call->db, "SELECT lot_id, cents, expires_ms FROM job_lots"
                                        " WHERE job_id = $1 AND cents > 0"
                                        " ORDER BY expires_ms, lot_id LIMIT $2");
    return read_parts(call, q, job, parts, ret_count);
}

static enum err parts_expiring_last(struct call *call, const struct job *job, struct part *parts,
                                    int *ret_count)
{
    struct stmt *q = db_query(call->db, "SELECT lot_id, cents, expires_ms FROM job_lots"
                                        " WHERE job_id = $1 AND cents > 0"
                                        " ORDER BY expires_ms DESC, lot_id DESC LIMIT $2");
    return read_parts(call, q, job, parts, ret_count);
}

static enum err job_part_take(struct call *call, const struct job *job, const struct part *part,
                              int64_t cents)
{
    struct stmt *q = db_query(
        call->db, "UPDATE job_lots SET cents = cents - $3 WHERE job_id = $1 AND lot_id = $2");
    bind_id(q, 1, &job->id);
    bind_id(q, 2, &part->lot_id);
    bind_int(q, 3, cents);
    return stmt_run(q, &call->error, NULL);
}

/* One part of a refund: back to its lot, and out again when the lot has expired meanwhile. */
static enum err return_part(struct call *call, const struct job *job, const struct part *part)
{
    enum err e = job_part_take(call, job, part, part->cents);
    if (e) return e;
    e = lot_change(call, &part->lot_id, part->cents);
    if (e || part->expires_ms > call->now_ms) return e;
    return expire_part(call, &job->org_id, job->environment, part);
}

enum err credits_release(struct call *call, struct job *job, int64_t cents, struct str once,
                         struct str description)
{
    CHECK(cents > 0 && cents <= job->escrow_cents);
    enum err e = ledger_post(call, &(struct transfer){
                                       .kind = TRANSFER_REFUND,
                                       .org_id = job->org_id,
                                       .environment = job->environment,
                                       .amount_cents = cents,
                                       .job_id = job->id,
                                       .once = once,
                                       .description = description,
                                   });
    if (e) return e;
    job->escrow_cents -= cents;
    while (cents > 0) {
        struct part parts[PARTS_AT_ONCE];
        int         count;
        e = parts_expiring_last(call, job, parts, &count);
        if (e) return e;
        for (int i = 0; i < count && cents > 0; i++) {
            parts[i].cents = num_min(parts[i].cents, cents);
            cents -= parts[i].cents;
            e = return_part(call, job, &parts[i]);
            if (e) return e;
        }
    }
    return ERR_OK;
}

/* Approvals use up the cents that expire first. */
static enum err use_parts(struct call *call, const struct job *job, int64_t cents)
{
    while (cents > 0) {
        struct part parts[PARTS_AT_ONCE];
        int         count;
        enum err    e = parts_expiring_first(call, job, parts, &count);
        if (e) return e;
        for (int i = 0; i < count && cents > 0; i++) {
            int64_t taken = num_min(parts[i].cents, cents);
            cents -= taken;
            e = job_part_take(call, job, &parts[i], taken);
            if (e) return e;
        }
    }
    return ERR_OK;
}

/* A sum beyond an integer would become a real number in the store, silently. */
static enum err worker_credit(struct call *call, const struct id *worker_id, int64_t cents)
{
    struct stmt *q = db_query(call->db, "UPDATE workers SET balance_cents = balance_cents + $2"
                                        " WHERE id = $1 AND balance_cents <= $3");
    bind_id(q, 1, worker_id);
    bind_int(q, 2, cents);
    bind_int(q, 3, INT64_MAX - cents);
    int64_t  changes = 0;
    enum err e = stmt_run(q, &call->error, &changes);
    if (e || changes == 1) return e;
    return FAIL(&call->error, ERR_INVALID, "amount_overflow", "the worker's balance would not fit");
}

static enum err book_payout(struct call *call, const struct job *job,
                            const struct id *submission_id, const struct id *worker_id)
{
    struct id    id = id_new(ID_TRANSACTION, call->now_ms);
    struct stmt *q = db_query(call->db, "INSERT INTO payouts (id, worker_id, submission_id, job_id,"
                                        " amount_cents, created_ms) VALUES ($1,$2,$3,$4,$5,$6)");
    bind_id(q, 1, &id);
    bind_id(q, 2, worker_id);
    bind_id(q, 3, submission_id);
    bind_id(q, 4, &job->id);
    bind_int(q, 5, job->payout_cents);
    bind_int(q, 6, call->now_ms);
    enum err e = stmt_run(q, &call->error, NULL);
    if (e == ERR_CONFLICT)
        return FAIL(&call->error, ERR_CONFLICT, "already_booked", "%s was paid before",
                    submission_id->text);
    if (e) return e;
    return worker_credit(call, worker_id, job->payout_cents);
}

/* A share of the price; a share of nothing is not booked. */
static enum err book_share(struct call *call, const struct job *job, enum transfer_kind kind,
                           int64_t cents, const struct id *submission_id,
                           const struct id *worker_id)
{
    if (cents == 0) return ERR_OK;
    return ledger_post(call, &(struct transfer){
                                 .kind = kind,
                                 .org_id = job->org_id,
                                 .environment = job->environment,
                                 .amount_cents = cents,
                                 .job_id = job->id,
                                 .submission_id = *submission_id,
                                 .worker_id = *worker_id,
                                 .once = str_format(call->arena, "%s:%s", transfer_kind_name(kind),
                                                    submission_id->text),
                             });
}

enum err credits_pay(struct call *call, struct job *job, const struct id *submission_id,
                     const struct id *worker_id, int64_t *ret_paid_cents)
{
    CHECK(job->escrow_cents >= job->price_cents);
    static const struct id nobody;
    int64_t                fee_cents = job->price_cents - job->payout_cents;
    enum err               e = book_payout(call, job, submission_id, worker_id);
    if (e) return e;
    e = book_share(call, job, TRANSFER_PAYOUT, job->payout_cents, submission_id, worker_id);
    if (e) return e;
    e = book_share(call, job, TRANSFER_FEE, fee_cents, submission_id, &nobody);
    if (e) return e;
    e = use_parts(call, job, job->price_cents);
    if (e) return e;
    job->escrow_cents -= job->price_cents;
    *ret_paid_cents = job->payout_cents;
    return ERR_OK;
}
