/* Freezes: after money was taken back an organisation posts no live jobs until the operator, who
 * corrects balances by hand, lets it again. */
#ifndef FIRSTHAND_DOMAIN_FREEZE_H
#define FIRSTHAND_DOMAIN_FREEZE_H

#include "domain/purchase.h"

/* By the provider's event, once for each: *ret_is_new. reason is a short literal. */
MUST_USE enum err freeze_add(struct call *call, struct str event_id,
                             const struct purchase *purchase, const char *reason, bool *ret_is_new);

/* May it post a job there? ERR_FORBIDDEN "organization_frozen". */
MUST_USE enum err freeze_check(struct call *call, const struct id *org_id,
                               enum environment environment);

/* Let it post jobs again; *ret_count = freezes lifted. */
MUST_USE enum err freeze_lift(struct call *call, const struct id *org_id, int64_t *ret_count);

#endif
