/* What the payment provider tells, and what it means for a purchase. Events come in any order and
 * any number of times. */
#ifndef FIRSTHAND_DOMAIN_PAYMENT_EVENT_H
#define FIRSTHAND_DOMAIN_PAYMENT_EVENT_H

#include "domain/purchase.h"
#include "platform/stripe.h"

enum payment_outcome {
    PAYMENT_NOTHING,   /* nothing to do, or done before */
    PAYMENT_UNKNOWN,   /* no purchase of ours */
    PAYMENT_DISAGREES, /* amount, currency or mode are not those of the intent: no credit */
    PAYMENT_CREDITED,
    PAYMENT_ENDED, /* the purchase is closed, or the try has failed */
    PAYMENT_FROZEN,
    PAYMENT_OUTCOME__COUNT
};

struct payment_report {
    enum payment_outcome outcome;
    struct id            purchase_id; /* empty when it is not known */
    struct id            org_id;
};

/* Act on a genuine event, in the call's transaction. Only a paid checkout session whose amount,
 * currency, mode and session are the intent's is credited, and a top-up's payment alike. */
MUST_USE enum err payment_event_take(struct call *call, const struct stripe_event *event,
                                     struct payment_report *ret_report);

/* Is this money for that purchase? */
bool payment_agrees(const struct call *call, const struct purchase *purchase, int64_t amount_cents,
                    struct str currency, bool is_live);

const char *payment_outcome_name(enum payment_outcome outcome);

#endif
