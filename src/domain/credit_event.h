/* What organisations are told of their credit. */
#ifndef FIRSTHAND_DOMAIN_CREDIT_EVENT_H
#define FIRSTHAND_DOMAIN_CREDIT_EVENT_H

#include "domain/event.h"
#include "domain/ledger.h"

/* With a transaction as its data. */
MUST_USE enum err credit_event(struct call *call, enum event_type type, const struct id *org_id,
                               enum environment environment, const struct transaction *transaction);

/* With the transaction that was booked last. */
MUST_USE enum err credit_event_of_last(struct call *call, enum event_type type,
                                       const struct id *org_id, enum environment environment);

/* credits.low_balance, with the balance as its data. */
MUST_USE enum err credit_event_of_balance(struct call *call, const struct id *org_id,
                                          enum environment      environment,
                                          const struct balance *balance);

#endif
