#include "domain/freeze.h"

#include "domain/audit_event.h"

enum err freeze_add(struct call *call, struct str event_id, const struct purchase *purchase,
                    const char *reason, bool *ret_is_new)
{
    struct stmt *q = db_query(call->db, "INSERT INTO freezes (event_id, org_id, purchase_id,"
                                        " reason, created_ms) VALUES ($1, $2, $3, $4, $5)"
                                        " ON CONFLICT (event_id) DO NOTHING");
    bind_text(q, 1, event_id);
    bind_id(q, 2, &purchase->org_id);
    bind_id(q, 3, &purchase->id);
    bind_text(q, 4, str_of(reason));
    bind_int(q, 5, call->now_ms);
    int64_t  changes = 0;
    enum err e = stmt_run(q, &call->error, &changes);
    if (e) return e;
    *ret_is_new = changes == 1;
    if (!*ret_is_new) return ERR_OK;
    return audit_note_system(call, &purchase->org_id, ENVIRONMENT_LIVE, STR("organization.frozen"),
                             id_str(&purchase->id));
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
