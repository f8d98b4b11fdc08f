#include "domain/low_balance.h"

#include "domain/credit_event.h"
#include "domain/organisation.h"
#include "domain/top_up.h"

/* Below the line now, and not before. lowered_cents fits: the balance before did. */
static bool has_crossed(int64_t balance_cents, int64_t lowered_cents, int64_t line_cents)
{
    return balance_cents < line_cents && balance_cents + lowered_cents >= line_cents;
}

/* *ret_line_cents = the threshold when nothing can be charged, else 0. */
static enum err begin_top_up(struct call *call, const struct id *org_id,
                             enum environment environment, int64_t balance_cents,
                             int64_t *ret_line_cents)
{
    struct settings settings;
    *ret_line_cents = 0;
    enum err e = settings_get_of(call, org_id, environment, &settings);
    if (e || !settings.is_top_up_enabled || balance_cents >= settings.top_up_threshold_cents)
        return e;
    bool can_charge;
    e = top_up_begin(call, org_id, environment, settings.top_up_amount_cents, &can_charge);
    if (e == ERR_OK && !can_charge) *ret_line_cents = settings.top_up_threshold_cents;
    return e;
}

enum err low_balance_after(struct call *call, const struct id *org_id, enum environment environment,
                           int64_t lowered_cents)
{
    struct balance balance;
    enum err       e = ledger_balance(call, org_id, environment, &balance);
    if (e) return e;
    int64_t line_cents;
    e = begin_top_up(call, org_id, environment, balance.balance_cents, &line_cents);
    if (e) return e;
    if (!has_crossed(balance.balance_cents, lowered_cents, call->config->low_balance_cents) &&
        !has_crossed(balance.balance_cents, lowered_cents, line_cents))
        return ERR_OK;
    return credit_event_of_balance(call, org_id, environment, &balance);
}

enum err low_balance_look(struct call *call, const struct id *org_id, enum environment environment)
{
    struct balance balance;
    enum err       e = ledger_balance(call, org_id, environment, &balance);
    if (e) return e;
    int64_t line_cents;
    return begin_top_up(call, org_id, environment, balance.balance_cents, &line_cents);
}
