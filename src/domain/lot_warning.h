/* Tells organisations, once for each lot, that credit will expire. */
#ifndef FIRSTHAND_DOMAIN_LOT_WARNING_H
#define FIRSTHAND_DOMAIN_LOT_WARNING_H

#include "domain/call.h"

static const int64_t LOT_WARNING_MS = (int64_t)30 * 24 * 3600 * 1000; /* before it expires */

/* credits.expiring_soon for up to count lots that still hold something; *ret_count = of how many.
 * Fewer than count: nobody is left to be told. For the sweeper. */
MUST_USE enum err lot_warn_all(struct call *call, int count, int *ret_count);

#endif
