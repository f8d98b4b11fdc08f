#include "domain/top_up.h"

#include "domain/audit_event.h"
#include "domain/credit_event.h"
#include "domain/freeze.h"
#include "domain/organisation.h"
#include "domain/saved_card.h"

static enum err is_frozen(struct call *call, const struct purchase *purchase, bool *ret_is_frozen)
{
    enum err e = freeze_check(call, &purchase->org_id, purchase->environment);
    *ret_is_frozen = e == ERR_FORBIDDEN;
    if (!*ret_is_frozen) return e;
    error_clear(&call->error);
    return ERR_OK;
}

static enum err find_card(struct call *call, struct purchase *purchase, bool *ret_can_charge)
{
    *ret_can_charge = purchase->environment == ENVIRONMENT_TEST;
    if (*ret_can_charge || call->config->stripe_key.len == 0) return ERR_OK;
    enum err e =
        saved_card_of(call, &purchase->org_id, &purchase->customer, &purchase->payment_method);
    if (e) return e;
    bool is_refused;
    e = is_frozen(call, purchase, &is_refused);
    *ret_can_charge = purchase->customer.data != NULL && !is_refused;
    return e;
}

/* One that is under way counts as room: nothing is begun beside it. */
static enum err has_room_today(struct call *call, const struct purchase *purchase,
                               bool *ret_has_room)
{
    int64_t daily_max = call->config->top_up_daily_max;
    *ret_has_room = true;
    if (daily_max == 0) return ERR_OK;
    struct stmt *q = db_query(call->db, "SELECT count(*), coalesce(max(CASE WHEN state IN"
                                        " ('asking', 'open') THEN 1 ELSE 0 END), 0) FROM purchases"
                                        " WHERE org_id = $1 AND environment = $2"
                                        " AND kind = 'top_up' AND created_ms > $3");
    bind_id(q, 1, &purchase->org_id);
    bind_int(q, 2, purchase->environment);
    bind_int(q, 3, call->now_ms - TOP_UP_DAY_MS);
    *ret_has_room = stmt_step(q) && (column_int(q, 0) < daily_max || column_int(q, 1) > 0);
    return stmt_end(q, &call->error);
}

enum err top_up_begin(struct call *call, const struct id *org_id, enum environment environment,
                      int64_t amount_cents, bool *ret_can_charge)
{
    struct purchase purchase = {
        .org_id = *org_id,
        .environment = environment,
        .kind = PURCHASE_TOP_UP,
        .provider = environment == ENVIRONMENT_LIVE ? PURCHASE_STRIPE : PURCHASE_LOCAL,
        .state = PURCHASE_ASKING,
        .amount_cents = amount_cents,
    };
    enum err e = find_card(call, &purchase, ret_can_charge);
    if (e == ERR_OK && *ret_can_charge) e = has_room_today(call, &purchase, ret_can_charge);
    if (e || !*ret_can_charge) return e;
    e = purchase_insert(call, &purchase);
    if (e == ERR_CONFLICT) {
        error_clear(&call->error);
        return ERR_OK;
    }
    if (e) return e;
    return task_add(call, TASK_TOP_UP, &purchase.id);
}

enum err top_up_is_wanted(struct call *call, const struct purchase *purchase, bool *ret_is_wanted)
{
    struct settings settings;
    struct balance  balance;
    bool            is_refused;
    enum err        e = settings_get_of(call, &purchase->org_id, purchase->environment, &settings);
    if (e == ERR_OK) e = ledger_balance(call, &purchase->org_id, purchase->environment, &balance);
    if (e == ERR_OK) e = is_frozen(call, purchase, &is_refused);
    if (e) return e;
    *ret_is_wanted = settings.is_top_up_enabled && !is_refused &&
                     balance.balance_cents < settings.top_up_threshold_cents;
    return ERR_OK;
}

static enum err give_up(struct call *call, struct purchase *purchase)
{
    enum err e = purchase_set_state(call, purchase, PURCHASE_FAILED);
    if (e) return e;
    e = settings_end_top_up(call, &purchase->org_id, purchase->environment);
    if (e) return e;
    e = audit_note_system(call, &purchase->org_id, purchase->environment,
                          STR("settings.top_up_disabled"), id_str(&purchase->id));
    if (e) return e;
    struct balance balance;
    e = ledger_balance(call, &purchase->org_id, purchase->environment, &balance);
    if (e) return e;
    balance.is_top_up_disabled = true;
    return credit_event_of_balance(call, &purchase->org_id, purchase->environment, &balance);
}

enum err top_up_declined(struct call *call, struct purchase *purchase, bool *ret_is_over,
                         int64_t *ret_retry_ms)
{
    purchase->tries_count++;
    *ret_is_over = purchase->tries_count >= TOP_UP_TRIES_MAX;
    *ret_retry_ms = purchase->tried_ms = call->now_ms + TOP_UP_RETRY_MS;
    if (*ret_is_over) return give_up(call, purchase);
    purchase->payment_id = STR_NONE; /* the next try is another payment */
    return purchase_set_state(call, purchase, PURCHASE_ASKING);
}
