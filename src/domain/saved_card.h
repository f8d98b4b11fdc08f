/* The card of an organisation that may be charged when nobody is there: who it belongs to and which
 * it is, in the provider's names. */
#ifndef FIRSTHAND_DOMAIN_SAVED_CARD_H
#define FIRSTHAND_DOMAIN_SAVED_CARD_H

#include "domain/call.h"

/* Both absent when there is none; ret_payment_method may be NULL. */
MUST_USE enum err saved_card_of(struct call *call, const struct id *org_id,
                                struct str *ret_customer, struct str *ret_payment_method);

/* Paid with at paid_ms: in place of one that was paid with before. */
MUST_USE enum err saved_card_put(struct call *call, const struct id *org_id, struct str customer,
                                 struct str payment_method, int64_t paid_ms);

#endif
