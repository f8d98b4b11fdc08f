#include "domain/freeze.h"

#include "domain/audit_event.h"

enum err freeze_add(struct call *call, struct str event_id, const struct purchase *purchase,
                    struct str reason, bool *ret_is_new)
{
    struct stmt *q = db_query(call->db, "INSERT INTO freezes (event_id, org_id, purchase_id,"
                                        " reason, created_ms) VALUES ($1, $2, $3, $4, $5)"
                                        " ON CONFLICT (event_id) DO NOTHING");
    bind_text(q, 1, event_id);
    bind_id(q, 2, &purchase->org_id);
    bind_id(q, 3, &purchase->id);
    bind_text(q, 4, reason);
    bind_int(q, 5, call->now_ms);
    int64_t  changes = 0;
    enum err e = stmt_run(q, &call->error, &changes);
    if (e) return e;
    *ret_is_new = changes == 1;
    if (!*ret_is_new) return ERR_OK;
    return audit_note_system(call, &purchase->org_id, ENVIRONMENT_LIVE, STR("organization.frozen"),
                             id_str(&purchase->id));
}

static enum err drop_unclaimed(struct call *call)
{
    struct stmt *q = db_query(call->db, "DELETE FROM contested_payments WHERE created_ms <= $1");
    bind_int(q, 1, call->now_ms - FREEZE_AWAITED_MS);
    return stmt_run(q, &call->error, NULL);
}

enum err freeze_await(struct call *call, struct str event_id, struct str payment_id,
                      struct str reason)
{
    enum err e = drop_unclaimed(call);
    if (e || payment_id.data == NULL) return e;
    struct stmt *q = db_query(call->db, "INSERT INTO contested_payments (event_id, payment_id,"
                                        " reason, created_ms) VALUES ($1, $2, $3, $4)"
                                        " ON CONFLICT (event_id) DO NOTHING");
    bind_text(q, 1, event_id);
    bind_text(q, 2, payment_id);
    bind_text(q, 3, reason);
    bind_int(q, 4, call->now_ms);
    return stmt_run(q, &call->error, NULL);
}

/* *ret_event_id is absent when there is none. */
static enum err take_awaited(struct call *call, struct str payment_id, struct str *ret_event_id,
                             struct str *ret_reason)
{
    struct stmt *q = db_query(call->db, "DELETE FROM contested_payments WHERE event_id ="
                                        " (SELECT min(event_id) FROM contested_payments"
                                        " WHERE payment_id = $1) RETURNING event_id, reason");
    bind_text(q, 1, payment_id);
    bool is_there = stmt_step(q);
    *ret_event_id = is_there ? column_text(q, 0, call->arena) : STR_NONE;
    *ret_reason = is_there ? column_text(q, 1, call->arena) : STR_NONE;
    return stmt_end(q, &call->error);
}

enum err freeze_awaited(struct call *call, const struct purchase *purchase, bool *ret_is_new)
{
    *ret_is_new = false;
    if (purchase->payment_id.data == NULL) return ERR_OK;
    for (;;) {
        struct str event_id, reason;
        bool       is_new;
        enum err   e = take_awaited(call, purchase->payment_id, &event_id, &reason);
        if (e || event_id.data == NULL) return e;
        e = freeze_add(call, event_id, purchase, reason, &is_new);
        if (e) return e;
        *ret_is_new |= is_new;
    }
}

enum err freeze_check(struct call *call, const struct id *org_id, enum environment environment)
{
    if (environment != ENVIRONMENT_LIVE) return ERR_OK;
    struct stmt *q = db_query(call->db, "SELECT 1 FROM freezes WHERE org_id = $1"
                                        " AND lifted_ms IS NULL LIMIT 1");
    bind_id(q, 1, org_id);
    bool     is_frozen = stmt_step(q);
    enum err e = stmt_end(q, &call->error);
    if (e || !is_frozen) return e;
    return FAIL(&call->error, ERR_FORBIDDEN, "organization_frozen",
                "a payment was refunded or disputed: ask the operator");
}

enum err freeze_lift(struct call *call, const struct id *org_id, int64_t *ret_count)
{
    struct stmt *q = db_query(call->db, "UPDATE freezes SET lifted_ms = $2 WHERE org_id = $1"
                                        " AND lifted_ms IS NULL");
    bind_id(q, 1, org_id);
    bind_int(q, 2, call->now_ms);
    enum err e = stmt_run(q, &call->error, ret_count);
    if (e || *ret_count == 0) return e;
    return audit_note(call, org_id, ENVIRONMENT_LIVE, STR("organization.unfrozen"), id_str(org_id));
}
