/* What the tests of buying credit share: a market with Stripe's keys set, purchases in any state,
 * and what was told of. */
#ifndef FIRSTHAND_TESTS_BILLING_MARKET_H
#define FIRSTHAND_TESTS_BILLING_MARKET_H

#include "domain/purchase.h"
#include "domain/saved_card.h"

#include "marketplace.h"

static inline void billing_with_stripe(struct market *market)
{
    market->config.stripe_key = STR("sk_test_key");
    market->config.stripe_webhook_secret = STR("whsec_secret");
}

/* The buyer's purchase of a pack, in the environment of the actor. */
static inline struct purchase billing_purchase(struct market *market, int64_t cents)
{
    struct purchase purchase;
    DONE(market, purchase_begin(&market->call, cents, &purchase));
    return purchase;
}

static inline struct purchase billing_now(struct market *market, const struct purchase *old)
{
    struct purchase purchase;
    DONE(market, purchase_get_any(&market->call, id_str(&old->id), &purchase));
    return purchase;
}

static inline void billing_card(struct market *market)
{
    DONE(market, saved_card_put(&market->call, &market->org_id, STR("cus_wanda"), STR("pm_visa"),
                                market->now_ms));
}

/* How often the buyer was told of something, in either environment. */
static inline int64_t billing_told(struct market *market, const char *type)
{
    struct error error = { 0 };
    struct stmt *q = db_query(market->db, "SELECT count(*) FROM occurrences WHERE org_id = $1"
                                          " AND type = $2");
    bind_id(q, 1, &market->org_id);
    bind_text(q, 2, str_of(type));
    int64_t count = stmt_step(q) ? column_int(q, 0) : -1;
    if (stmt_end(q, &error)) fail_msg("%s: %s", error.slug, error.detail);
    return count;
}

/* The data of the last occurrence of a type holds this text. */
static inline void billing_assert_last(struct market *market, const char *type, const char *part)
{
    struct error error = { 0 };
    struct stmt *q = db_query(market->db, "SELECT data FROM occurrences WHERE org_id = $1"
                                          " AND type = $2 ORDER BY id DESC LIMIT 1");
    bind_id(q, 1, &market->org_id);
    bind_text(q, 2, str_of(type));
    struct str data = stmt_step(q) ? column_text(q, 0, &market->arena) : STR_NONE;
    if (stmt_end(q, &error)) fail_msg("%s: %s", error.slug, error.detail);
    if (data.data == NULL || strstr(data.data, part) == NULL)
        fail_msg("%s says %.*s, not %s", type, STR_ARG(data), part);
}

/* Post a job of so many cents. */
static inline void billing_spend(struct market *market, int64_t cents)
{
    market_job(market, 1, cents);
}

static inline void billing_top_up_below(struct market *market, int64_t threshold_cents)
{
    struct settings settings = {
        .is_top_up_enabled = true,
        .has_top_up_threshold = true,
        .has_top_up_amount = true,
        .top_up_threshold_cents = threshold_cents,
        .top_up_amount_cents = 3000,
    };
    DONE(market, settings_put(&market->call, &settings));
}

#endif
