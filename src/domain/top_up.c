#include "domain/top_up.h"

#include "domain/audit_event.h"
#include "domain/credit_event.h"
#include "domain/organisation.h"
#include "domain/saved_card.h"

static enum err find_card(struct call *call, struct purchase *purchase, bool *ret_can_charge)
{
    *ret_can_charge = purchase->environment == ENVIRONMENT_TEST;
    if (*ret_can_charge || call->config->stripe_key.len == 0) return ERR_OK;
    enum err e =
        saved_card_of(call, &purchase->org_id, &purchase->customer, &purchase->payment_method);
    *ret_can_charge = purchase->customer.data != NULL;
    return e;
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
    if (e || !*ret_can_charge) return e;
    e = purchase_insert(call, &purchase);
    if (e == ERR_CONFLICT) {
        error_clear(&call->error);
        return ERR_OK;
    }
    if (e) return e;
    return task_add(call, TASK_TOP_UP, &purchase.id);
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
