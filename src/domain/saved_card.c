#include "domain/saved_card.h"

enum err saved_card_of(struct call *call, const struct id *org_id, struct str *ret_customer,
                       struct str *ret_payment_method)
{
    struct stmt *q = db_query(call->db, "SELECT customer, payment_method FROM saved_cards"
                                        " WHERE org_id = $1");
    bind_id(q, 1, org_id);
    bool       is_there = stmt_step(q);
    struct str customer = is_there ? column_text(q, 0, call->arena) : STR_NONE;
    struct str payment_method = is_there ? column_text(q, 1, call->arena) : STR_NONE;
    enum err   e = stmt_end(q, &call->error);
    if (e) return e;
    *ret_customer = customer;
    if (ret_payment_method) *ret_payment_method = payment_method;
    return ERR_OK;
}

enum err saved_card_put(struct call *call, const struct id *org_id, struct str customer,
                        struct str payment_method, int64_t paid_ms)
{
    struct stmt *q = db_query(
        call->db, "INSERT INTO saved_cards (org_id, customer, payment_method, saved_ms)"
                  " VALUES ($1, $2, $3, $4) ON CONFLICT (org_id) DO UPDATE SET"
                  " customer = excluded.customer, payment_method = excluded.payment_method,"
                  " saved_ms = excluded.saved_ms WHERE excluded.saved_ms >= saved_cards.saved_ms");
    bind_id(q, 1, org_id);
    bind_text(q, 2, customer);
    bind_text(q, 3, payment_method);
    bind_int(q, 4, paid_ms);
    return stmt_run(q, &call->error, NULL);
}
