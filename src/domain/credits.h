/* Credit: what an organisation may spend, held in lots that expire, and what happens to it. Each
 * function books its transfers and keeps the lots in step, inside the call's transaction. */
#ifndef FIRSTHAND_DOMAIN_CREDITS_H
#define FIRSTHAND_DOMAIN_CREDITS_H

#include "domain/ledger.h"

struct job;

/* Give credit as one transfer (purchase, bonus or free_tier) and one lot of twelve months. once may
 * be absent. Errors: as ledger_post. */
MUST_USE enum err credits_grant(struct call *call, const struct id *org_id,
                                enum environment environment, enum transfer_kind kind,
                                int64_t amount_cents, struct str once, struct str description);

/* Put job->escrow_cents into escrow, from the lots that expire first; lots already due expire
 * before. The job's row must exist and say the same. ERR_UNPAID "insufficient_credits". */
MUST_USE enum err credits_hold(struct call *call, const struct job *job);

/* Take cents out of the job's escrow back to the lots they came from, latest expiry first
 * (approvals use the earliest); a lot that has expired meanwhile expires again at once, both rows
 * visible. Lowers job->escrow_cents, which the caller stores. */
MUST_USE enum err credits_release(struct call *call, struct job *job, int64_t cents,
                                  struct str once, struct str description);

/* Pay one approved submission from the job's escrow: the worker's payout and the platform's fee.
 * *ret_paid_cents = the worker's part. Lowers job->escrow_cents, which the caller stores.
 * ERR_CONFLICT "already_booked": paid before. ERR_INVALID "amount_overflow". */
MUST_USE enum err credits_pay(struct call *call, struct job *job, const struct id *submission_id,
                              const struct id *worker_id, int64_t *ret_paid_cents);

/* Expire what is due for one organisation now. */
MUST_USE enum err credits_expire_due(struct call *call, const struct id *org_id,
                                     enum environment environment);

/* Expire what is due for up to count organisations and environments; *ret_count = of how many.
 * Fewer than count: nothing is due any more. For the sweeper. */
MUST_USE enum err credits_expire_all_due(struct call *call, int count, int *ret_count);

#endif
