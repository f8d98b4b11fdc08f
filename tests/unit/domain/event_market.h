/* Endpoints for a test market, and what they have to hear. */
#ifndef FIRSTHAND_TESTS_EVENT_MARKET_H
#define FIRSTHAND_TESTS_EVENT_MARKET_H

#include "domain/event.h"

#include "marketplace.h"

/* A market whose time is that of its ids, which only rise: it begins where the tests before have
 * left them. */
static inline int event_market_setup(void **state)
{
    struct market *market = *state = market_open();
    struct id      newest = id_new(ID_OCCURRENCE, market->now_ms);
    market->now_ms = id_time_ms(&newest) + 1;
    return 0;
}

static inline void event_market_set(struct market *market, const char *sql, const struct id *id)
{
    struct stmt *q = db_query(market->db, sql);
    struct error error = { 0 };
    bind_id(q, 1, id);
    if (stmt_run(q, &error, NULL)) fail_msg("%s: %s", error.slug, error.detail);
}

/* A live endpoint of the market's organisation. */
static inline struct id event_market_endpoint(struct market *market, int64_t events)
{
    struct id    id = id_new(ID_ENDPOINT, market->now_ms);
    struct error error = { 0 };
    struct stmt *q = db_query(market->db, "INSERT INTO webhook_endpoints (id, org_id, environment,"
                                          " url, events, status, secret, failures_count,"
                                          " created_ms, updated_ms) VALUES ($1, $2, 0,"
                                          " 'https://example.org', $3, 'active', x'', 0, 1, 1)");
    bind_id(q, 1, &id);
    bind_id(q, 2, &market->org_id);
    bind_int(q, 3, events);
    if (stmt_run(q, &error, NULL)) fail_msg("%s: %s", error.slug, error.detail);
    return id;
}

/* Something happens, with the data {"a":1}. */
static inline void event_market_emit(struct market *market, enum event_type type,
                                     const struct id *subject_id)
{
    DONE(market, event_emit(&market->call, &(struct occurrence){
                                               .org_id = market->org_id,
                                               .environment = ENVIRONMENT_LIVE,
                                               .type = type,
                                               .subject_id = *subject_id,
                                               .data = STR("{\"a\":1}"),
                                           }));
}

/* The balance is low, a second later. */
static inline void event_market_happen(struct market *market)
{
    market->now_ms += 1000;
    event_market_emit(market, EVENT_CREDITS_LOW_BALANCE, &market->org_id);
}

static inline int64_t event_market_events(struct market *market, const struct id *endpoint_id)
{
    return market_int_of(
        market, "SELECT count(*) FROM webhook_events WHERE endpoint_id = $1 AND status = 'pending'",
        endpoint_id);
}

#endif
