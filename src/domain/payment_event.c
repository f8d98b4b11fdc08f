#include "domain/payment_event.h"

#include "domain/freeze.h"
#include "domain/saved_card.h"
#include "domain/top_up.h"

#include <assert.h>

static const char *const outcome_names[] = {
    [PAYMENT_NOTHING] = "nothing",     [PAYMENT_UNKNOWN] = "unknown_purchase",
    [PAYMENT_DISAGREES] = "disagrees", [PAYMENT_CREDITED] = "credited",
    [PAYMENT_ENDED] = "ended",         [PAYMENT_FROZEN] = "frozen",
};
static_assert(COUNT_OF(outcome_names) == PAYMENT_OUTCOME__COUNT, "every outcome has a name");

const char *payment_outcome_name(enum payment_outcome outcome)
{
    CHECK((unsigned)outcome < PAYMENT_OUTCOME__COUNT);
    return outcome_names[outcome];
}

bool payment_agrees(const struct call *call, const struct purchase *purchase, int64_t amount_cents,
                    struct str currency, bool is_live)
{
    return purchase->provider == PURCHASE_STRIPE && amount_cents == purchase->amount_cents &&
           str_eq(currency, STR("usd")) && is_live == stripe_key_is_live(call->config->stripe_key);
}

static enum err pay(struct call *call, struct purchase *purchase, enum payment_outcome *ret_outcome)
{
    bool is_news = purchase->state != PURCHASE_PAID;
    *ret_outcome = is_news ? PAYMENT_CREDITED : PAYMENT_NOTHING;
    return is_news ? purchase_pay(call, purchase)
                   : purchase_set_state(call, purchase, PURCHASE_PAID); /* keeps new names */
}

/* A name the provider gave is kept; another one later does not agree. */
static bool take_name(struct str *name, struct str told)
{
    if (told.data == NULL) return true;
    if (name->data == NULL) *name = told;
    return str_eq(*name, told);
}

static enum err session_paid(struct call *call, const struct stripe_event *event,
                             struct purchase *purchase, enum payment_outcome *ret_outcome)
{
    *ret_outcome = PAYMENT_NOTHING;
    if (!event->is_paid) return ERR_OK; /* completed, and the money is still on its way */
    bool agrees =
        purchase->kind == PURCHASE_CHECKOUT && event->session_id.data &&
        take_name(&purchase->session_id, event->session_id) &&
        take_name(&purchase->payment_id, event->payment_id) &&
        payment_agrees(call, purchase, event->amount_cents, event->currency, event->is_live);
    if (agrees) return pay(call, purchase, ret_outcome);
    *ret_outcome = PAYMENT_DISAGREES;
    return ERR_OK;
}

static bool is_under_way(const struct purchase *purchase)
{
    return purchase->state == PURCHASE_ASKING || purchase->state == PURCHASE_OPEN;
}

static enum err session_ended(struct call *call, const struct stripe_event *event,
                              struct purchase *purchase, enum payment_outcome *ret_outcome)
{
    *ret_outcome = PAYMENT_NOTHING;
    bool is_its_own = purchase->kind == PURCHASE_CHECKOUT && event->session_id.data &&
                      take_name(&purchase->session_id, event->session_id);
    if (!is_under_way(purchase) || !is_its_own) return ERR_OK;
    *ret_outcome = PAYMENT_ENDED;
    bool is_expired = event->type == STRIPE_CHECKOUT_EXPIRED;
    return purchase_set_state(call, purchase, is_expired ? PURCHASE_EXPIRED : PURCHASE_FAILED);
}

/* A checkout's payment says which card may be charged again; its session says that it is paid. */
static enum err payment_done(struct call *call, const struct stripe_event *event,
                             struct purchase *purchase, enum payment_outcome *ret_outcome)
{
    *ret_outcome = PAYMENT_DISAGREES;
    bool agrees =
        event->is_paid && event->payment_id.data &&
        payment_agrees(call, purchase, event->amount_cents, event->currency, event->is_live);
    if (!agrees) return ERR_OK;
    bool is_top_up = purchase->kind == PURCHASE_TOP_UP;
    /* Whichever try of a top-up succeeds pays it; what pays it once more is nobody's. */
    if (is_top_up && purchase->state != PURCHASE_PAID) purchase->payment_id = event->payment_id;
    if (!take_name(&purchase->payment_id, event->payment_id)) return ERR_OK;
    if (is_top_up) return pay(call, purchase, ret_outcome);
    *ret_outcome = PAYMENT_NOTHING;
    enum err e = purchase_set_state(call, purchase, purchase->state);
    if (e || event->customer.data == NULL || event->payment_method.data == NULL) return e;
    return saved_card_put(call, &purchase->org_id, event->customer, event->payment_method,
                          event->created_ms);
}

/* Only of a top-up that was left processing: a declined one was answered at once. */
static enum err payment_failed(struct call *call, const struct stripe_event *event,
                               struct purchase *purchase, enum payment_outcome *ret_outcome)
{
    *ret_outcome = PAYMENT_NOTHING;
    if (purchase->kind != PURCHASE_TOP_UP || purchase->state != PURCHASE_OPEN ||
        !str_eq(purchase->payment_id, event->payment_id))
        return ERR_OK;
    bool    is_over;
    int64_t retry_ms;
    *ret_outcome = PAYMENT_ENDED;
    enum err e = top_up_declined(call, purchase, &is_over, &retry_ms);
    if (e || is_over) return e;
    return task_add_at(call, TASK_TOP_UP, &purchase->id, retry_ms);
}

static bool is_taken_back(const struct stripe_event *event)
{
    return event->type == STRIPE_CHARGE_REFUNDED || event->type == STRIPE_CHARGE_DISPUTED;
}

static struct str freeze_reason(const struct stripe_event *event)
{
    return event->type == STRIPE_CHARGE_REFUNDED ? STR("refunded") : STR("disputed");
}

static enum err taken_back(struct call *call, const struct stripe_event *event,
                           const struct purchase *purchase, enum payment_outcome *ret_outcome)
{
    bool     is_new;
    enum err e = freeze_add(call, event->id, purchase, freeze_reason(event), &is_new);
    if (e) return e;
    *ret_outcome = is_new ? PAYMENT_FROZEN : PAYMENT_NOTHING;
    return ERR_OK;
}

typedef enum err take_fn(struct call *call, const struct stripe_event *event,
                         struct purchase *purchase, enum payment_outcome *ret_outcome);

/* Money that arrived may have been taken back already: events come in any order. */
static enum err arrived(struct call *call, const struct stripe_event *event,
                        struct purchase *purchase, take_fn *take_arrival,
                        enum payment_outcome *ret_outcome)
{
    enum err e = take_arrival(call, event, purchase, ret_outcome);
    if (e || *ret_outcome == PAYMENT_DISAGREES) return e;
    bool is_frozen;
    e = freeze_awaited(call, purchase, &is_frozen);
    if (e == ERR_OK && is_frozen) *ret_outcome = PAYMENT_FROZEN;
    return e;
}

static enum err take(struct call *call, const struct stripe_event *event, struct purchase *purchase,
                     enum payment_outcome *ret_outcome)
{
    switch (event->type) {
    case STRIPE_CHECKOUT_PAID: return arrived(call, event, purchase, session_paid, ret_outcome);
    case STRIPE_CHECKOUT_EXPIRED:
    case STRIPE_CHECKOUT_FAILED: return session_ended(call, event, purchase, ret_outcome);
    case STRIPE_PAYMENT_DONE: return arrived(call, event, purchase, payment_done, ret_outcome);
    case STRIPE_PAYMENT_FAILED: return payment_failed(call, event, purchase, ret_outcome);
    case STRIPE_CHARGE_REFUNDED:
    case STRIPE_CHARGE_DISPUTED: return taken_back(call, event, purchase, ret_outcome);
    case STRIPE_EVENT_OTHER: break;
    }
    return ERR_OK;
}

static enum err await_payment(struct call *call, const struct stripe_event *event)
{
    return freeze_await(call, event->id, event->payment_id, freeze_reason(event));
}

/* By our own id where the event has it, else by the payment. */
static enum err find_purchase(struct call *call, const struct stripe_event *event,
                              struct purchase *ret_purchase)
{
    struct id id;
    if (id_parse(event->purchase_id, ID_PURCHASE, &id))
        return purchase_get_any(call, event->purchase_id, ret_purchase);
    return purchase_of_payment(call, event->payment_id, ret_purchase);
}

enum err payment_event_take(struct call *call, const struct stripe_event *event,
                            struct payment_report *ret_report)
{
    struct payment_report report = { .outcome = PAYMENT_NOTHING };
    struct purchase       purchase;
    enum err              e = ERR_OK;
    if (event->type != STRIPE_EVENT_OTHER) {
        e = find_purchase(call, event, &purchase);
        if (e == ERR_NOT_FOUND) {
            error_clear(&call->error);
            *ret_report = (struct payment_report){ .outcome = PAYMENT_UNKNOWN };
            return is_taken_back(event) ? await_payment(call, event) : ERR_OK;
        }
        if (e == ERR_OK) e = take(call, event, &purchase, &report.outcome);
        report.purchase_id = purchase.id;
        report.org_id = purchase.org_id;
    }
    if (e) return e;
    *ret_report = report;
    return ERR_OK;
}
