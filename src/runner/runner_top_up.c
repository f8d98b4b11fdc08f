#include "base/log.h"
#include "domain/payment_event.h"
#include "domain/top_up.h"
#include "runner/runner_call.h"

/* One try of a top-up. */
struct topping_up {
    const struct task    *task;
    struct purchase       purchase;
    struct stripe_payment payment;
    bool                  is_wanted;
    bool                  is_over;
};

static enum err load(struct call *call, void *argument)
{
    struct topping_up *top_up = argument;
    return purchase_get_any(call, id_str(&top_up->task->subject_id), &top_up->purchase);
}

static enum err look(struct call *call, void *argument)
{
    struct topping_up *top_up = argument;
    enum err           e = load(call, top_up);
    return e ? e : top_up_is_wanted(call, &top_up->purchase, &top_up->is_wanted);
}

static enum err finish(struct call *call, void *argument)
{
    const struct topping_up *top_up = argument;
    return task_finish(call, top_up->task);
}

static enum err pay(struct call *call, void *argument)
{
    struct topping_up *top_up = argument;
    enum err           e = load(call, top_up);
    if (e) return e;
    if (top_up->payment.id.data) top_up->purchase.payment_id = top_up->payment.id;
    e = purchase_pay(call, &top_up->purchase);
    if (e) return e;
    return finish(call, top_up);
}

/* An event will tell how it ended; it may have done so already. */
static enum err await_event(struct call *call, void *argument)
{
    struct topping_up *top_up = argument;
    enum err           e = load(call, top_up);
    if (e) return e;
    if (top_up->purchase.state == PURCHASE_ASKING) {
        top_up->purchase.payment_id = top_up->payment.id;
        e = purchase_set_state(call, &top_up->purchase, PURCHASE_OPEN);
        if (e) return e;
    }
    return finish(call, top_up);
}

static enum err decline(struct call *call, void *argument)
{
    struct topping_up *top_up = argument;
    int64_t            retry_ms;
    enum err           e = load(call, top_up);
    if (e) return e;
    top_up->is_over = top_up->purchase.state != PURCHASE_ASKING; /* told by an event meanwhile */
    if (!top_up->is_over) e = top_up_declined(call, &top_up->purchase, &top_up->is_over, &retry_ms);
    if (e) return e;
    if (top_up->is_over) return finish(call, top_up);
    return task_postpone(call, top_up->task, "top_up_declined", retry_ms);
}

/* Nobody asks for it any more: it is not wanted, or asking again could take the money twice. Should
 * it have been taken, an event says so. */
static enum err abandon(struct call *call, void *argument)
{
    struct topping_up *top_up = argument;
    enum err           e = load(call, top_up);
    if (e == ERR_OK && top_up->purchase.state == PURCHASE_ASKING)
        e = purchase_set_state(call, &top_up->purchase, PURCHASE_FAILED);
    if (e) return e;
    return finish(call, top_up);
}

static void log_end_of_try(const struct topping_up *top_up, const char *event)
{
    struct log_line line;
    log_begin(&line, LOG_WARNING, event);
    log_text(&line, "purchase", id_str(&top_up->purchase.id));
    log_text(&line, "org", id_str(&top_up->purchase.org_id));
    log_int(&line, "tries", top_up->purchase.tries_count);
    log_text(&line, "decline", top_up->payment.decline_code);
    log_end(&line);
}

static enum err ask(const struct runner_services *services, struct topping_up *top_up,
                    struct call *call)
{
    const struct purchase *purchase = &top_up->purchase;
    const struct config   *config = services->config;
    struct stripe_account  account = { config->stripe_api_url, config->stripe_key,
                                       config->stripe_ca };
    struct stripe_charge   charge = {
          .purchase_id = id_str(&purchase->id),
          .try_number = purchase->tries_count + 1,
          .amount_cents = purchase->amount_cents,
          .customer = purchase->customer,
          .payment_method = purchase->payment_method,
    };
    return stripe_charge_card(&account, &charge, call->arena, &call->error, &top_up->payment);
}

static enum err charge(const struct runner_services *services, struct topping_up *top_up,
                       struct call *call)
{
    bool is_late = world_now_ms(services->world) >= top_up->purchase.tried_ms + TOP_UP_ASK_MS_MAX;
    bool may_ask = !is_late && services->config->stripe_key.len > 0;
    if (!may_ask || !top_up->is_wanted) {
        log_end_of_try(top_up, may_ask ? "top_up_unwanted" : "top_up_abandoned");
        return runner_commit(services, call, abandon, top_up);
    }
    enum err e = ask(services, top_up, call);
    if (e) return e;
    const struct stripe_payment *payment = &top_up->payment;
    switch (payment->state) {
    case STRIPE_PAYMENT_PROCESSING: return runner_commit(services, call, await_event, top_up);
    case STRIPE_PAYMENT_SUCCEEDED:
        if (payment_agrees(call, &top_up->purchase, payment->received_cents, payment->currency,
                           payment->is_live))
            return runner_commit(services, call, pay, top_up);
        log_end_of_try(top_up, "top_up_disagrees");
        return runner_commit(services, call, abandon, top_up);
    case STRIPE_PAYMENT_DECLINED: break;
    }
    e = runner_commit(services, call, decline, top_up);
    if (e == ERR_OK) log_end_of_try(top_up, "top_up_declined");
    return e;
}

enum err top_up_task(const struct runner_services *services, struct task *task, struct call *call)
{
    struct topping_up top_up = { .task = task };
    enum err          e = runner_read(services, call, look, &top_up);
    if (e) return e;
    if (top_up.purchase.state != PURCHASE_ASKING)
        return runner_commit(services, call, finish, &top_up);
    if (top_up.purchase.environment == ENVIRONMENT_TEST)
        return runner_commit(services, call, pay, &top_up);
    return charge(services, &top_up, call);
}
