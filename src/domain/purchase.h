/* Purchases: intents to buy credit, made before anybody is asked for money, and what became of
 * them. Credit is booked once for each, however often the payment is told of. */
#ifndef FIRSTHAND_DOMAIN_PURCHASE_H
#define FIRSTHAND_DOMAIN_PURCHASE_H

#include "domain/call.h"

enum purchase_kind { PURCHASE_CHECKOUT, PURCHASE_TOP_UP, PURCHASE_KIND__COUNT };

enum purchase_provider { PURCHASE_LOCAL, PURCHASE_STRIPE, PURCHASE_PROVIDER__COUNT };

enum purchase_state {
    PURCHASE_ASKING, /* the provider has not answered yet */
    PURCHASE_OPEN,   /* to be paid */
    PURCHASE_PAID,
    PURCHASE_CANCELLED,
    PURCHASE_EXPIRED,
    PURCHASE_FAILED,
    PURCHASE_STATE__COUNT
};

static const int64_t PURCHASE_LOCAL_MS_MAX = (int64_t)24 * 3600 * 1000; /* to be paid in */

struct purchase {
    struct id              id;
    struct id              org_id;
    enum environment       environment;
    enum purchase_kind     kind;
    enum purchase_provider provider;
    enum purchase_state    state;
    int64_t                amount_cents;
    int64_t                bonus_cents;
    int64_t                link_key; /* number of the server key that signs its link */
    struct str             customer; /* the provider's names; absent = none */
    struct str             payment_method;
    struct str             session_id;
    struct str             checkout_url;
    struct str             payment_id;
    int64_t                tries_count; /* of charging a card: those that failed */
    int64_t                tried_ms;    /* when the present try began */
    int64_t                created_ms;
    int64_t                paid_ms;
};

/* The bonus that comes with an amount; 0 unless it is a pack's. */
int64_t purchase_bonus_cents(int64_t amount_cents);

/* The actor's organisation wants a pack. Its due lots expire first. In the test environment the
 * purchase is paid at once; in the live one it is open on this server's page, or, with a Stripe
 * key, asking. */
MUST_USE enum err purchase_begin(struct call *call, int64_t amount_cents,
                                 struct purchase *ret_purchase);

/* The provider has made a session for what was asking; another answer than the first is dropped,
 * and *purchase is the row as it stands. */
MUST_USE enum err purchase_answer(struct call *call, struct purchase *purchase,
                                  struct str session_id, struct str checkout_url);

/* A new intent as it is, its id made; bonus and link come from here.
 * ERR_CONFLICT "top_up_under_way": one top-up at a time. */
MUST_USE enum err purchase_insert(struct call *call, struct purchase *purchase);

/* Store state, tries and the provider's names. The state moves only as it may: paid stays paid,
 * and only a payment revives what has ended. */
MUST_USE enum err purchase_set_state(struct call *call, struct purchase *purchase,
                                     enum purchase_state state);

/* Book amount and bonus and tell of it; nothing when it is paid already.
 * ERR_INVALID "amount_overflow". */
MUST_USE enum err purchase_pay(struct call *call, struct purchase *purchase);

/* Whoever's it is. ERR_NOT_FOUND "purchase". */
MUST_USE enum err purchase_get_any(struct call *call, struct str id, struct purchase *ret_purchase);
MUST_USE enum err purchase_of_payment(struct call *call, struct str payment_id,
                                      struct purchase *ret_purchase);

/* --- the page of this server --- */

/* The link to it, signed; owned by the arena. */
struct str purchase_link(struct call *call, const struct purchase *purchase);
/* The purchase behind the last part of a link. ERR_NOT_FOUND "checkout". */
MUST_USE enum err purchase_of_link(struct call *call, struct str token,
                                   struct purchase *ret_purchase);

/* As it stands now: an open local one expires after PURCHASE_LOCAL_MS_MAX. */
enum purchase_state purchase_state_now(const struct call *call, const struct purchase *purchase);

/* May the page credit it? Test credit always, live credit when the operator lets it. */
bool purchase_may_pay_here(const struct call *call, const struct purchase *purchase);

/* Paid, or cancelled, by whoever has the link; again changes nothing. ERR_CONFLICT
 * "checkout_elsewhere" | "checkout_closed", ERR_FORBIDDEN "checkout_credits_off" (pay). */
MUST_USE enum err purchase_pay_here(struct call *call, struct purchase *purchase);
MUST_USE enum err purchase_cancel_here(struct call *call, struct purchase *purchase);

const char *purchase_state_name(enum purchase_state state);

#endif
