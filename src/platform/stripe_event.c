/* What Stripe tells: signatures and events. */
#include "base/encode.h"
#include "base/json_in.h"
#include "base/num.h"
#include "platform/crypto.h"
#include "platform/stripe.h"

#include <string.h>

/* --- signatures --- */

struct signatures {
    int64_t       signed_s; /* 0 = not said */
    struct str    signed_text;
    int           count;
    unsigned char macs[STRIPE_SIGNATURES_MAX][SHA256_BYTES];
};

static bool read_signatures(struct str header, struct signatures *signatures)
{
    struct str item, name;
    while (str_cut(&header, ',', &item)) {
        item = str_trim(item);
        str_cut(&item, '=', &name);
        if (str_eq(name, STR("t"))) {
            if (signatures->signed_s || !str_to_int64(item, &signatures->signed_s)) return false;
            signatures->signed_text = item;
        } else if (str_eq(name, STR("v1")) && signatures->count < STRIPE_SIGNATURES_MAX &&
                   decode_hex(item, signatures->macs[signatures->count], SHA256_BYTES)) {
            signatures->count++;
        }
    }
    return signatures->signed_s > 0;
}

static bool is_recent(int64_t signed_s, int64_t now_ms)
{
    int64_t signed_ms;
    if (!num_mul(signed_s, 1000, &signed_ms)) return false;
    /* The second it names had already begun. */
    return signed_ms > now_ms - STRIPE_TOLERANCE_MS - 1000 &&
           signed_ms <= now_ms + STRIPE_TOLERANCE_MS;
}

bool stripe_signature_is_good(struct str secret, struct str header, struct str body, int64_t now_ms,
                              struct arena *arena)
{
    struct signatures signatures = { 0 };
    if (secret.len == 0 || header.data == NULL) return false;
    if (!read_signatures(header, &signatures) || !is_recent(signatures.signed_s, now_ms))
        return false;
    unsigned char expected[SHA256_BYTES];
    struct str    head = str_format(arena, "%.*s.", STR_ARG(signatures.signed_text));
    crypto_hmac_of(secret, head, body, expected);
    bool is_good = false;
    for (int i = 0; i < signatures.count; i++)
        if (crypto_equal(signatures.macs[i], expected, SHA256_BYTES)) is_good = true;
    return is_good;
}

/* --- events --- */

static const struct {
    const char            *name;
    enum stripe_event_type type;
} types[] = {
    { "checkout.session.completed", STRIPE_CHECKOUT_PAID },
    { "checkout.session.async_payment_succeeded", STRIPE_CHECKOUT_PAID },
    { "checkout.session.expired", STRIPE_CHECKOUT_EXPIRED },
    { "checkout.session.async_payment_failed", STRIPE_CHECKOUT_FAILED },
    { "payment_intent.succeeded", STRIPE_PAYMENT_DONE },
    { "payment_intent.payment_failed", STRIPE_PAYMENT_FAILED },
    { "charge.refunded", STRIPE_CHARGE_REFUNDED },
    { "charge.dispute.created", STRIPE_CHARGE_DISPUTED },
};

static enum stripe_event_type event_type(struct str name)
{
    for (size_t i = 0; i < COUNT_OF(types); i++)
        if (str_eq(name, str_of(types[i].name))) return types[i].type;
    return STRIPE_EVENT_OTHER;
}

static void read_session(const json_t *object, struct arena *arena, struct stripe_event *event)
{
    event->session_id = in_text(object, "id", arena);
    event->payment_id = in_text(object, "payment_intent", arena);
    event->amount_cents = in_int(object, "amount_total", 0);
    event->is_paid = str_eq(in_text(object, "payment_status", arena), STR("paid"));
    if (event->purchase_id.data == NULL)
        event->purchase_id = in_text(object, "client_reference_id", arena);
}

static void read_payment(const json_t *object, struct arena *arena, struct stripe_event *event)
{
    event->payment_id = in_text(object, "id", arena);
    event->amount_cents = in_int(object, "amount_received", 0);
    event->is_paid = str_eq(in_text(object, "status", arena), STR("succeeded"));
    event->payment_method = in_text(object, "payment_method", arena);
}

static void read_object(const json_t *object, struct arena *arena, struct stripe_event *event)
{
    event->currency = in_text(object, "currency", arena);
    event->customer = in_text(object, "customer", arena);
    event->purchase_id = in_text(json_object_get(object, "metadata"), "purchase_id", arena);
    switch (event->type) {
    case STRIPE_CHECKOUT_PAID:
    case STRIPE_CHECKOUT_EXPIRED:
    case STRIPE_CHECKOUT_FAILED: read_session(object, arena, event); break;
    case STRIPE_PAYMENT_DONE:
    case STRIPE_PAYMENT_FAILED: read_payment(object, arena, event); break;
    case STRIPE_CHARGE_REFUNDED:
    case STRIPE_CHARGE_DISPUTED:
        event->payment_id = in_text(object, "payment_intent", arena);
        break;
    case STRIPE_EVENT_OTHER: break;
    }
}

enum err stripe_event_parse(struct str body, struct arena *arena, struct error *error,
                            struct stripe_event *ret_event)
{
    json_t  *root;
    enum err e = json_parse(arena, body, error, &root);
    if (e) return e;
    const json_t       *object = json_object_get(json_object_get(root, "data"), "object");
    struct stripe_event event = {
        .id = in_text(root, "id", arena),
        .type_name = in_text(root, "type", arena),
        .is_live = in_bool(root, "livemode", false),
    };
    if (!num_mul(in_int(root, "created", 0), 1000, &event.created_ms)) event.created_ms = 0;
    if (!json_is_object(object) || event.id.len == 0 || event.type_name.len == 0)
        return FAIL(error, ERR_INVALID, "not_an_event", "an event has id, type and data.object");
    event.type = event_type(event.type_name);
    read_object(object, arena, &event);
    *ret_event = event;
    return ERR_OK;
}
