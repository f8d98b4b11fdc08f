#include "domain/purchase.h"

#include "base/encode.h"
#include "domain/credit_event.h"
#include "domain/credits.h"
#include "domain/saved_card.h"

#include <assert.h>
#include <string.h>

#define LINK_PREFIX "fh_pay_" /* what the log knows for the beginning of a secret */
enum { LINK_MAC_CHARS = 43 };

static const char *const kind_names[] = {
    [PURCHASE_CHECKOUT] = "checkout",
    [PURCHASE_TOP_UP] = "top_up",
};
static_assert(COUNT_OF(kind_names) == PURCHASE_KIND__COUNT, "every kind has a name");

static const char *const provider_names[] = {
    [PURCHASE_LOCAL] = "local",
    [PURCHASE_STRIPE] = "stripe",
};
static_assert(COUNT_OF(provider_names) == PURCHASE_PROVIDER__COUNT, "every provider has a name");

static const char *const state_names[] = {
    [PURCHASE_ASKING] = "asking",   [PURCHASE_OPEN] = "open",
    [PURCHASE_PAID] = "paid",       [PURCHASE_CANCELLED] = "cancelled",
    [PURCHASE_EXPIRED] = "expired", [PURCHASE_FAILED] = "failed",
};
static_assert(COUNT_OF(state_names) == PURCHASE_STATE__COUNT, "every state has a name");

enum {
    ENDINGS =
        BIT(PURCHASE_PAID) | BIT(PURCHASE_CANCELLED) | BIT(PURCHASE_EXPIRED) | BIT(PURCHASE_FAILED),
};

/* Money that arrives after the end is money. */
static const unsigned may_become[PURCHASE_STATE__COUNT] = {
    [PURCHASE_ASKING] = ENDINGS | BIT(PURCHASE_ASKING) | BIT(PURCHASE_OPEN),
    [PURCHASE_OPEN] = ENDINGS | BIT(PURCHASE_OPEN) | BIT(PURCHASE_ASKING),
    [PURCHASE_PAID] = BIT(PURCHASE_PAID),
    [PURCHASE_CANCELLED] = BIT(PURCHASE_CANCELLED) | BIT(PURCHASE_PAID),
    [PURCHASE_EXPIRED] = BIT(PURCHASE_EXPIRED) | BIT(PURCHASE_PAID),
    [PURCHASE_FAILED] = BIT(PURCHASE_FAILED) | BIT(PURCHASE_PAID),
};

static const struct {
    int64_t amount_cents, bonus_cents;
} packs[] = { { 1000, 0 }, { 2500, 125 }, { 5000, 500 }, { 10000, 1500 }, { 25000, 5000 } };

const char *purchase_state_name(enum purchase_state state)
{
    CHECK((unsigned)state < PURCHASE_STATE__COUNT);
    return state_names[state];
}

int64_t purchase_bonus_cents(int64_t amount_cents)
{
    for (size_t i = 0; i < COUNT_OF(packs); i++)
        if (packs[i].amount_cents == amount_cents) return packs[i].bonus_cents;
    return 0;
}

/* --- rows --- */

#define PURCHASE_COLUMNS                                                                           \
    "id, org_id, environment, kind, provider, state, amount_cents, bonus_cents, link_key,"         \
    " customer, payment_method, session_id, checkout_url, payment_id, tries_count, tried_ms,"      \
    " created_ms, paid_ms"

static int index_of(struct stmt *q, int column, struct arena *arena, const char *const *names,
                    int count)
{
    int index = str_index(column_text(q, column, arena), names, count);
    CHECK(index >= 0);
    return index;
}

static void purchase_read(struct stmt *q, struct arena *arena, struct purchase *purchase)
{
    *purchase = (struct purchase){
        .id = column_id(q, 0),
        .org_id = column_id(q, 1),
        .environment = (enum environment)column_int(q, 2),
        .kind = (enum purchase_kind)index_of(q, 3, arena, kind_names, PURCHASE_KIND__COUNT),
        .provider =
            (enum purchase_provider)index_of(q, 4, arena, provider_names, PURCHASE_PROVIDER__COUNT),
        .state = (enum purchase_state)index_of(q, 5, arena, state_names, PURCHASE_STATE__COUNT),
        .amount_cents = column_int(q, 6),
        .bonus_cents = column_int(q, 7),
        .link_key = column_int(q, 8),
        .customer = column_text(q, 9, arena),
        .payment_method = column_text(q, 10, arena),
        .session_id = column_text(q, 11, arena),
        .checkout_url = column_text(q, 12, arena),
        .payment_id = column_text(q, 13, arena),
        .tries_count = column_int(q, 14),
        .tried_ms = column_int(q, 15),
        .created_ms = column_int(q, 16),
        .paid_ms = column_int(q, 17),
    };
}

static enum err read_one(struct call *call, struct stmt *q, struct str key,
                         struct purchase *ret_purchase)
{
    bind_text(q, 1, key);
    bool is_there = stmt_step(q);
    if (is_there) purchase_read(q, call->arena, ret_purchase);
    enum err e = stmt_end(q, &call->error);
    if (e || is_there) return e;
    return FAIL(&call->error, ERR_NOT_FOUND, "purchase", "no such purchase");
}

enum err purchase_get_any(struct call *call, struct str id, struct purchase *ret_purchase)
{
    /* tenant: asked by its link, its provider or its task, which know no organisation */
    return read_one(call,
                    db_query(call->db, "SELECT " PURCHASE_COLUMNS " FROM purchases WHERE id = $1"),
                    id, ret_purchase);
}

enum err purchase_of_payment(struct call *call, struct str payment_id,
                             struct purchase *ret_purchase)
{
    /* tenant: the provider names the payment, and knows no organisation */
    struct stmt *q =
        db_query(call->db, "SELECT " PURCHASE_COLUMNS " FROM purchases WHERE payment_id = $1");
    return read_one(call, q, payment_id, ret_purchase);
}

enum err purchase_insert(struct call *call, struct purchase *purchase)
{
    purchase->id = id_new(ID_PURCHASE, call->now_ms);
    purchase->bonus_cents = purchase_bonus_cents(purchase->amount_cents);
    purchase->link_key = keyring_newest(call->keyring);
    purchase->created_ms = purchase->tried_ms = call->now_ms;
    struct stmt *q = db_query(
        call->db, "INSERT INTO purchases (id, org_id, environment, kind, provider, state,"
                  " amount_cents, bonus_cents, link_key, customer, payment_method, tries_count,"
                  " tried_ms, created_ms) VALUES ($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,0,$12,$12)"
                  " ON CONFLICT DO NOTHING");
    bind_id(q, 1, &purchase->id);
    bind_id(q, 2, &purchase->org_id);
    bind_int(q, 3, purchase->environment);
    bind_text(q, 4, str_of(kind_names[purchase->kind]));
    bind_text(q, 5, str_of(provider_names[purchase->provider]));
    bind_text(q, 6, str_of(state_names[purchase->state]));
    bind_int(q, 7, purchase->amount_cents);
    bind_int(q, 8, purchase->bonus_cents);
    bind_int(q, 9, purchase->link_key);
    bind_text(q, 10, purchase->customer);
    bind_text(q, 11, purchase->payment_method);
    bind_int(q, 12, call->now_ms);
    int64_t  changes = 0;
    enum err e = stmt_run(q, &call->error, &changes);
    if (e || changes == 1) return e;
    return FAIL(&call->error, ERR_CONFLICT, "top_up_under_way", "one top-up is under way");
}

enum err purchase_set_state(struct call *call, struct purchase *purchase, enum purchase_state state)
{
    CHECK(may_become[purchase->state] & BIT(state));
    purchase->state = state;
    struct stmt *q =
        db_query(call->db, "UPDATE purchases SET state = $3, session_id = $4, checkout_url = $5,"
                           " payment_id = $6, tries_count = $7, tried_ms = $8, paid_ms = $9"
                           " WHERE id = $1 AND org_id = $2");
    bind_id(q, 1, &purchase->id);
    bind_id(q, 2, &purchase->org_id);
    bind_text(q, 3, str_of(state_names[state]));
    bind_text(q, 4, purchase->session_id);
    bind_text(q, 5, purchase->checkout_url);
    bind_text(q, 6, purchase->payment_id);
    bind_int(q, 7, purchase->tries_count);
    bind_int(q, 8, purchase->tried_ms);
    if (purchase->paid_ms)
        bind_int(q, 9, purchase->paid_ms);
    else
        bind_null(q, 9);
    return stmt_run(q, &call->error, NULL);
}

/* --- buying --- */

enum err purchase_begin(struct call *call, int64_t amount_cents, struct purchase *ret_purchase)
{
    bool            is_live = call->actor.environment == ENVIRONMENT_LIVE;
    bool            asks_stripe = is_live && call->config->stripe_key.len > 0;
    struct purchase purchase = {
        .org_id = call->actor.org_id,
        .environment = call->actor.environment,
        .kind = PURCHASE_CHECKOUT,
        .provider = asks_stripe ? PURCHASE_STRIPE : PURCHASE_LOCAL,
        .state = asks_stripe ? PURCHASE_ASKING : PURCHASE_OPEN,
        .amount_cents = amount_cents,
    };
    enum err e = credits_expire_due(call, &purchase.org_id, purchase.environment);
    if (e == ERR_OK && asks_stripe)
        e = saved_card_of(call, &purchase.org_id, &purchase.customer, NULL);
    if (e) return e;
    e = purchase_insert(call, &purchase);
    if (e == ERR_OK && !is_live) e = purchase_pay(call, &purchase);
    if (e) return e;
    *ret_purchase = purchase;
    return ERR_OK;
}

enum err purchase_answer(struct call *call, struct purchase *purchase, struct str session_id,
                         struct str checkout_url)
{
    enum err e = purchase_get_any(call, id_str(&purchase->id), purchase);
    if (e || purchase->checkout_url.data) return e;
    purchase->session_id = session_id;
    purchase->checkout_url = checkout_url;
    /* It may even be paid already. */
    bool was_asking = purchase->state == PURCHASE_ASKING;
    return purchase_set_state(call, purchase, was_asking ? PURCHASE_OPEN : purchase->state);
}

static enum err book(struct call *call, const struct purchase *purchase, enum transfer_kind kind,
                     int64_t cents, struct str description)
{
    return credits_grant(
        call, &purchase->org_id, purchase->environment, kind, cents,
        str_format(call->arena, "%s:%s", transfer_kind_name(kind), purchase->id.text), description);
}

enum err purchase_pay(struct call *call, struct purchase *purchase)
{
    if (purchase->state == PURCHASE_PAID) return ERR_OK;
    bool     is_top_up = purchase->kind == PURCHASE_TOP_UP;
    enum err e = book(call, purchase, TRANSFER_PURCHASE, purchase->amount_cents,
                      is_top_up ? STR("Automatic top-up") : STR("Credits purchased"));
    if (e) return e;
    e = credit_event_of_last(call,
                             is_top_up ? EVENT_CREDITS_AUTO_TOPPED_UP : EVENT_CREDITS_PURCHASED,
                             &purchase->org_id, purchase->environment);
    if (e == ERR_OK && purchase->bonus_cents > 0)
        e = book(call, purchase, TRANSFER_BONUS, purchase->bonus_cents, STR("Purchase bonus"));
    if (e) return e;
    purchase->paid_ms = call->now_ms;
    return purchase_set_state(call, purchase, PURCHASE_PAID);
}

/* --- the page of this server --- */

static bool link_mac(struct call *call, const struct purchase *purchase, struct str *ret_text)
{
    unsigned char mac[SHA256_BYTES];
    struct str    text = str_format(call->arena, "checkout:%s", purchase->id.text);
    if (!keyring_mac(call->keyring, (int)purchase->link_key, PURPOSE_LINK, text, mac)) return false;
    *ret_text = encode_base64url(call->arena, mac, sizeof(mac));
    return true;
}

struct str purchase_link(struct call *call, const struct purchase *purchase)
{
    struct str mac = STR("");
    (void)link_mac(call, purchase, &mac); /* without its key the link has ended */
    const char *ulid = strchr(purchase->id.text, '_') + 1;
    return str_format(call->arena, "%.*s/checkout/" LINK_PREFIX "%s_%.*s",
                      STR_ARG(call->config->public_url), ulid, STR_ARG(mac));
}

enum err purchase_of_link(struct call *call, struct str token, struct purchase *ret_purchase)
{
    struct str head = STR(LINK_PREFIX), mac = str_skip(token, head.len + ULID_CHARS + 1), expected;
    struct str id = str_format(call->arena, "pur_%.*s",
                               STR_ARG(str_take(str_skip(token, head.len), ULID_CHARS)));
    struct id  parsed;
    struct purchase purchase;
    bool            is_link = str_starts_with(token, head) && mac.len == LINK_MAC_CHARS &&
                   token.data[head.len + ULID_CHARS] == '_' && id_parse(id, ID_PURCHASE, &parsed);
    enum err e = is_link ? purchase_get_any(call, id, &purchase) : ERR_NOT_FOUND;
    if (e == ERR_OK && link_mac(call, &purchase, &expected) &&
        crypto_equal(expected.data, mac.data, LINK_MAC_CHARS)) {
        *ret_purchase = purchase;
        return ERR_OK;
    }
    if (e && e != ERR_NOT_FOUND) return e;
    return FAIL(&call->error, ERR_NOT_FOUND, "checkout", "no such checkout");
}

enum purchase_state purchase_state_now(const struct call *call, const struct purchase *purchase)
{
    bool may_expire = purchase->provider == PURCHASE_LOCAL && purchase->state == PURCHASE_OPEN;
    bool is_late = call->now_ms >= purchase->created_ms + PURCHASE_LOCAL_MS_MAX;
    return may_expire && is_late ? PURCHASE_EXPIRED : purchase->state;
}

bool purchase_may_pay_here(const struct call *call, const struct purchase *purchase)
{
    return purchase->environment == ENVIRONMENT_TEST || call->config->checkout_credits_live;
}

/* Still to be paid, here? */
static enum err check_open_here(struct call *call, const struct purchase *purchase)
{
    if (purchase->provider != PURCHASE_LOCAL)
        return FAIL(&call->error, ERR_CONFLICT, "checkout_elsewhere",
                    "this purchase is paid at the payment provider");
    enum purchase_state state = purchase_state_now(call, purchase);
    if (state == PURCHASE_OPEN) return ERR_OK;
    return FAIL(&call->error, ERR_CONFLICT, "checkout_closed", "this checkout is %s",
                purchase_state_name(state));
}

enum err purchase_pay_here(struct call *call, struct purchase *purchase)
{
    if (purchase->state == PURCHASE_PAID) return ERR_OK;
    enum err e = check_open_here(call, purchase);
    if (e) return e;
    if (!purchase_may_pay_here(call, purchase))
        return FAIL(&call->error, ERR_FORBIDDEN, "checkout_credits_off",
                    "the operator lets no live credit be had on this page");
    e = credits_expire_due(call, &purchase->org_id, purchase->environment);
    if (e) return e;
    return purchase_pay(call, purchase);
}

enum err purchase_cancel_here(struct call *call, struct purchase *purchase)
{
    if (purchase->state == PURCHASE_CANCELLED) return ERR_OK;
    enum err e = check_open_here(call, purchase);
    if (e) return e;
    return purchase_set_state(call, purchase, PURCHASE_CANCELLED);
}
