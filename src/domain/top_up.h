/* Auto top-up: an intent and its task, written in the commit that found the balance low; the runner
 * charges the saved card, and says here how that went. Never two at once for an organisation and
 * environment. */
#ifndef FIRSTHAND_DOMAIN_TOP_UP_H
#define FIRSTHAND_DOMAIN_TOP_UP_H

#include "domain/purchase.h"
#include "domain/task.h"

enum { TOP_UP_TRIES_MAX = 3 };
static const int64_t TOP_UP_DAY_MS = (int64_t)24 * 3600 * 1000;     /* of top-up-daily-max */
static const int64_t TOP_UP_RETRY_MS = (int64_t)3600 * 1000;        /* from one try to the next */
static const int64_t TOP_UP_ASK_MS_MAX = (int64_t)23 * 3600 * 1000; /* of one try: Stripe forgets
                                                                       its key after 24 hours */

/* Begin one unless one is under way. *ret_can_charge is false, and nothing is begun, when nobody
 * may be charged: live credit without Stripe or a saved card, or of a frozen organisation; or as
 * many as top-up-daily-max began within TOP_UP_DAY_MS. */
MUST_USE enum err top_up_begin(struct call *call, const struct id *org_id,
                               enum environment environment, int64_t amount_cents,
                               bool *ret_can_charge);

/* Is a charge that was not made yet still to be made? Not when it was switched off since, the
 * balance is no longer below the threshold, or the organisation is frozen. */
MUST_USE enum err top_up_is_wanted(struct call *call, const struct purchase *purchase,
                                   bool *ret_is_wanted);

/* One try failed for good. The last one ends it, switches auto top-up off and tells of it by
 * credits.low_balance with auto_top_up_disabled; *ret_is_over then. Otherwise it is to be tried
 * again at *ret_retry_ms. */
MUST_USE enum err top_up_declined(struct call *call, struct purchase *purchase, bool *ret_is_over,
                                  int64_t *ret_retry_ms);

#endif
