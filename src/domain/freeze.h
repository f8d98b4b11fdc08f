/* Freezes: after money was taken back an organisation posts no live jobs until the operator, who
 * corrects balances by hand, lets it again. */
#ifndef FIRSTHAND_DOMAIN_FREEZE_H
#define FIRSTHAND_DOMAIN_FREEZE_H

#include "domain/purchase.h"

/* How long a payment that nobody knows yet is waited for: the provider tells again for days. */
static const int64_t FREEZE_AWAITED_MS = (int64_t)30 * 24 * 3600 * 1000;

/* By the provider's event, once for each: *ret_is_new. reason is a short one of ours. */
MUST_USE enum err freeze_add(struct call *call, struct str event_id,
                             const struct purchase *purchase, struct str reason, bool *ret_is_new);

/* The same of a payment that no purchase has yet: freeze_awaited freezes when one does. */
MUST_USE enum err freeze_await(struct call *call, struct str event_id, struct str payment_id,
                               struct str reason);

/* The purchase's payment is known now: was it taken back before? *ret_is_new = it froze. */
MUST_USE enum err freeze_awaited(struct call *call, const struct purchase *purchase,
                                 bool *ret_is_new);

/* May it post a job there? ERR_FORBIDDEN "organization_frozen". */
MUST_USE enum err freeze_check(struct call *call, const struct id *org_id,
                               enum environment environment);

/* Let it post jobs again; *ret_count = freezes lifted. */
MUST_USE enum err freeze_lift(struct call *call, const struct id *org_id, int64_t *ret_count);

#endif
