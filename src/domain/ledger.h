/* The ledger: double entry between six kinds of account. A kind of transfer fixes both sides, so an
 * entry cannot be booked the wrong way round. Rows never change; corrections are new ones. */
#ifndef FIRSTHAND_DOMAIN_LEDGER_H
#define FIRSTHAND_DOMAIN_LEDGER_H

#include "domain/call.h"
#include "domain/page.h"

enum account {
    ACCOUNT_AVAILABLE,  /* the organisation's spendable credit */
    ACCOUNT_ESCROW,     /* of a job */
    ACCOUNT_WORKER,     /* payable to a worker */
    ACCOUNT_PLATFORM,   /* revenue */
    ACCOUNT_PROMOTIONS, /* where granted credit comes from and expired credit goes */
    ACCOUNT_EXTERNAL,   /* the card processor */
    ACCOUNT__COUNT
};

enum transfer_kind {
    TRANSFER_PURCHASE,   /* external → available */
    TRANSFER_BONUS,      /* promotions → available */
    TRANSFER_FREE_TIER,  /* promotions → available */
    TRANSFER_DEDUCTION,  /* available → escrow */
    TRANSFER_REFUND,     /* escrow → available */
    TRANSFER_EXPIRATION, /* available → promotions */
    TRANSFER_PAYOUT,     /* escrow → worker */
    TRANSFER_FEE,        /* escrow → platform */
    TRANSFER_KIND__COUNT
};

struct transfer {
    enum transfer_kind kind;
    struct id          org_id;
    enum environment   environment;
    int64_t            amount_cents;  /* > 0 */
    struct id          job_id;        /* escrow's job; empty without one */
    struct id          submission_id; /* payout and fee */
    struct id          worker_id;     /* payout */
    struct str         once; /* what may happen once, such as "escrow:job_…"; may be absent */
    struct str         description; /* may be absent */
    int64_t            expires_ms;  /* of granted credit; 0 = none */
};

/* A row as listTransactions shows it: only those that touch the available account. */
struct transaction {
    struct id          id;
    enum transfer_kind kind;
    struct str         description;
    int64_t            amount_cents; /* signed, as the balance moved */
    int64_t            running_balance_cents;
    struct id          job_id;
    int64_t            expires_ms;
    int64_t            created_ms;
    int64_t            remaining_cents; /* of a grant that expires soon; else 0, and not told */
};

struct balance {
    int64_t balance_cents; /* spendable now */
    int64_t held_cents;    /* in escrow */
    int64_t updated_ms;
    bool    is_top_up_disabled; /* told with credits.low_balance only */
};

/* Book one transfer in the call's transaction.
 * Refuses: ERR_INVALID "amount_not_positive" | "amount_overflow", ERR_NOT_FOUND "organization",
 *          ERR_UNPAID "insufficient_credits" (available would go below zero),
 *          ERR_CONFLICT "already_booked" (once was used before) — in that order.
 * On refusal nothing is written. Escrow going below zero is a broken invariant. */
MUST_USE enum err ledger_post(struct call *call, const struct transfer *transfer);

/* ERR_NOT_FOUND "organization". */
MUST_USE enum err ledger_balance(struct call *call, const struct id *org_id,
                                 enum environment environment, struct balance *ret_balance);

/* The newest row: what was booked last, which must be a visible one. */
MUST_USE enum err ledger_last(struct call *call, const struct id *org_id,
                              enum environment environment, struct transaction *ret_transaction);

/* Any visible row of an organisation. ERR_NOT_FOUND "transaction". */
MUST_USE enum err ledger_get(struct call *call, const struct id *org_id,
                             enum environment environment, const struct id *id,
                             struct transaction *ret_transaction);

/* Newest first: up to count visible rows older than before (empty = from the newest), of one kind
 * or, with TRANSFER_KIND__COUNT, of all. Their text is owned by the arena. */
MUST_USE enum err ledger_list(struct call *call, enum transfer_kind kind, const struct id *before,
                              int count, struct transaction *ret_rows,
                              struct page_search *ret_search);

const char   *transfer_kind_name(enum transfer_kind kind); /* as in the contract */
MUST_USE bool transfer_kind_parse(struct str name, enum transfer_kind *ret_kind);
const char   *account_name(enum account account);
enum account  transfer_debit(enum transfer_kind kind);      /* where it comes from */
enum account  transfer_credit(enum transfer_kind kind);     /* where it goes */
bool          transfer_is_visible(enum transfer_kind kind); /* touches available */

#endif
