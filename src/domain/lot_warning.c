#include "domain/lot_warning.h"

#include "domain/credit_event.h"

struct lot {
    struct id        id, org_id, transfer_id;
    enum environment environment;
    int64_t          remaining_cents;
};

static enum err find_lot(struct call *call, struct lot *lot, bool *ret_is_there)
{
    /* tenant: the sweeper serves every organisation */
    struct stmt *q = db_query(call->db, "SELECT id, org_id, transfer_id, environment,"
                                        " remaining_cents FROM lots WHERE warned_ms IS NULL"
                                        " AND remaining_cents > 0 AND transfer_id IS NOT NULL"
                                        " AND expires_ms > $1 AND expires_ms <= $2"
                                        " ORDER BY expires_ms LIMIT 1");
    bind_int(q, 1, call->now_ms);
    bind_int(q, 2, call->now_ms + LOT_WARNING_MS);
    *ret_is_there = stmt_step(q);
    if (*ret_is_there)
        *lot = (struct lot){
            .id = column_id(q, 0),
            .org_id = column_id(q, 1),
            .transfer_id = column_id(q, 2),
            .environment = (enum environment)column_int(q, 3),
            .remaining_cents = column_int(q, 4),
        };
    return stmt_end(q, &call->error);
}

static enum err warn(struct call *call, const struct lot *lot)
{
    struct stmt *q = db_query(call->db, "UPDATE lots SET warned_ms = $3 WHERE id = $1"
                                        " AND org_id = $2");
    bind_id(q, 1, &lot->id);
    bind_id(q, 2, &lot->org_id);
    bind_int(q, 3, call->now_ms);
    enum err e = stmt_run(q, &call->error, NULL);
    if (e) return e;
    struct transaction grant;
    e = ledger_get(call, &lot->org_id, lot->environment, &lot->transfer_id, &grant);
    if (e) return e;
    grant.remaining_cents = lot->remaining_cents;
    return credit_event(call, EVENT_CREDITS_EXPIRING_SOON, &lot->org_id, lot->environment, &grant);
}

enum err lot_warn_all(struct call *call, int count, int *ret_count)
{
    int warned = 0;
    for (; warned < count; warned++) {
        struct lot lot;
        bool       is_there;
        enum err   e = find_lot(call, &lot, &is_there);
        if (e) return e;
        if (!is_there) break;
        e = warn(call, &lot);
        if (e) return e;
    }
    *ret_count = warned;
    return ERR_OK;
}
