/* Stripe: asking its API, and reading what it tells. The only file that knows its words.
 *
 * Every question carries an idempotency key of ours, so that asking again is safe for 24 hours.
 * Answers are read as strictly as any outside text. */
#ifndef FIRSTHAND_PLATFORM_STRIPE_H
#define FIRSTHAND_PLATFORM_STRIPE_H

#include "base/error.h"

#define STRIPE_API_VERSION "2024-06-20"

enum { STRIPE_ASKS_AT_ONCE = 3, STRIPE_SIGNATURES_MAX = 8 };
static const int64_t STRIPE_ASK_MS_MAX = 15 * 1000;
static const int64_t STRIPE_TOLERANCE_MS = 5 * 60 * 1000;

/* Whom to ask, and as whom. */
struct stripe_account {
    struct str api_url;
    struct str key;
    struct str ca; /* path of PEM authorities; empty = the system's */
};

/* Is it a key of Stripe's live mode? What it makes, and what is told of that, is live too. */
bool stripe_key_is_live(struct str key);

/* A page of Stripe's on which somebody pays. */
struct stripe_checkout {
    struct str purchase_id; /* ours: the idempotency key, and what events name */
    int64_t    amount_cents;
    struct str customer;   /* who pays; absent = a new customer is made */
    struct str return_url; /* where the payer comes back to, paid or not */
};

struct stripe_session {
    struct str id;
    struct str url;
};

/* ERR_UNAVAILABLE "provider_failed" (no answer, or no success; the detail has Stripe's code) |
 * "provider_busy" (STRIPE_ASKS_AT_ONCE are under way in this process). Never on a poll thread or
 * the writer: it takes up to STRIPE_ASK_MS_MAX. */
MUST_USE enum err stripe_create_checkout(const struct stripe_account  *account,
                                         const struct stripe_checkout *checkout,
                                         struct arena *arena, struct error *error,
                                         struct stripe_session *ret_session);

/* A charge of a saved card while nobody is there. */
struct stripe_charge {
    struct str purchase_id;
    int64_t    try_number; /* each try is another payment: the idempotency key says which */
    int64_t    amount_cents;
    struct str customer;
    struct str payment_method;
};

enum stripe_payment_state {
    STRIPE_PAYMENT_SUCCEEDED,
    STRIPE_PAYMENT_PROCESSING, /* an event will tell */
    STRIPE_PAYMENT_DECLINED,   /* asking again with the same key would say the same */
};

struct stripe_payment {
    enum stripe_payment_state state;
    struct str                id; /* absent when there is none */
    int64_t                   received_cents;
    struct str                currency;
    bool                      is_live;
    struct str                decline_code; /* a word of Stripe's; may be absent */
};

/* Errors as stripe_create_checkout: what came of it is not known then, and the same try may be
 * asked again. */
MUST_USE enum err stripe_charge_card(const struct stripe_account *account,
                                     const struct stripe_charge *charge, struct arena *arena,
                                     struct error *error, struct stripe_payment *ret_payment);

enum stripe_event_type {
    STRIPE_CHECKOUT_PAID, /* completed or async_payment_succeeded: see is_paid */
    STRIPE_CHECKOUT_EXPIRED,
    STRIPE_CHECKOUT_FAILED,
    STRIPE_PAYMENT_DONE, /* payment_intent.succeeded */
    STRIPE_PAYMENT_FAILED,
    STRIPE_CHARGE_REFUNDED,
    STRIPE_CHARGE_DISPUTED,
    STRIPE_EVENT_OTHER,
};

/* One event; what it does not say is absent, 0 or false. Text is owned by the arena. */
struct stripe_event {
    struct str             id;
    enum stripe_event_type type;
    struct str             type_name;
    bool                   is_live;
    int64_t                created_ms; /* when it happened, to the second */
    struct str             session_id;
    struct str             payment_id;
    struct str             purchase_id; /* ours, if it knows one */
    int64_t                amount_cents;
    struct str             currency;
    bool                   is_paid;
    struct str             customer;
    struct str             payment_method;
};

/* Did whoever has the secret sign this body within STRIPE_TOLERANCE_MS of now? header is
 * Stripe-Signature: "t=<seconds>,v1=<hex>", possibly several v1 and others. */
MUST_USE bool stripe_signature_is_good(struct str secret, struct str header, struct str body,
                                       int64_t now_ms, struct arena *arena);

/* ERR_INVALID as json_parse, or "not_an_event". */
MUST_USE enum err stripe_event_parse(struct str body, struct arena *arena, struct error *error,
                                     struct stripe_event *ret_event);

#endif
