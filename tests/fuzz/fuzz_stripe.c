/* What Stripe sends. The first byte says what the rest is: 's' a Stripe-Signature, 'g' edits of a
 * genuine one, 'e' an event. Only who has the secret signs; an event that is read has its names as
 * text. */
#include "fuzz_call.h"

#include "platform/stripe.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ARENA_BYTES = 64 << 20 };
static const int64_t NOW_MS = 1800000000000;

/* HMAC-SHA256 under "whsec_fuzz" of "1800000000.{}". */
#define MAC "9d44b4a06b6425ea260b3b9c7ed7f85f4be3370eeab1fe5f4ee153abb6274fb0"

/* Hexadecimal digits may be of either case. */
static bool holds_mac(struct str header)
{
    for (size_t at = 0; at + sizeof(MAC) - 1 <= header.len; at++)
        if (str_eq_ignoring_case(str_take(str_skip(header, at), sizeof(MAC) - 1), STR(MAC)))
            return true;
    return false;
}

static void try_signature(struct arena *arena, struct str header)
{
    struct str secret = STR("whsec_fuzz"), body = STR("{}");
    bool       is_good = stripe_signature_is_good(secret, header, body, NOW_MS, arena);
    CHECK(!is_good || holds_mac(header));
    CHECK(!stripe_signature_is_good(secret, header, STR("{} "), NOW_MS, arena));
    CHECK(!stripe_signature_is_good(STR(""), header, body, NOW_MS, arena));
    CHECK(!stripe_signature_is_good(secret, header, body, NOW_MS + 2 * STRIPE_TOLERANCE_MS, arena));
}

static void try_event(struct arena *arena, struct str text)
{
    struct error        error = { 0 };
    struct stripe_event event = { .amount_cents = -7 };
    enum err            e = stripe_event_parse(text, arena, &error, &event);
    if (e) {
        CHECK(e == ERR_INVALID && error.slug != NULL && event.amount_cents == -7);
        return;
    }
    const struct str names[] = { event.id,         event.type_name,     event.session_id,
                                 event.payment_id, event.purchase_id,   event.currency,
                                 event.customer,   event.payment_method };
    CHECK(event.id.len > 0 && event.type_name.len > 0);
    for (size_t i = 0; i < COUNT_OF(names); i++)
        CHECK(names[i].data == NULL || str_is_utf8(names[i]));
    CHECK(event.type != STRIPE_EVENT_OTHER || event.session_id.data == NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) return 0;
    struct arena arena;
    struct str   text = { (const char *)data + 1, size - 1 };
    arena_init(&arena, ARENA_BYTES);
    switch (data[0]) {
    case 's': try_signature(&arena, text); break;
    case 'g':
        try_signature(&arena, fuzz_edit(&arena, STR("t=1800000000,v1=" MAC), data + 1, size - 1));
        break;
    default: try_event(&arena, text);
    }
    arena_deinit(&arena);
    return 0;
}
