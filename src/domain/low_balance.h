/* What follows when an organisation's balance is low: it is told, and auto top-up begins. */
#ifndef FIRSTHAND_DOMAIN_LOW_BALANCE_H
#define FIRSTHAND_DOMAIN_LOW_BALANCE_H

#include "domain/call.h"

/* The balance has just gone down by so many cents, in this transaction. credits.low_balance is
 * emitted when that took it below low-balance-cents, or below the threshold of an auto top-up that
 * cannot be charged; a top-up that can be is begun while the balance is below its threshold. */
MUST_USE enum err low_balance_after(struct call *call, const struct id *org_id,
                                    enum environment environment, int64_t lowered_cents);

/* The settings changed: is a top-up wanted now? */
MUST_USE enum err low_balance_look(struct call *call, const struct id *org_id,
                                   enum environment environment);

#endif
