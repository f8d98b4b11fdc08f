#include "api/api.h"
#include "base/log.h"
#include "domain/payment_event.h"
#include "platform/metrics.h"

/* --- purchaseCredits --- */

/* One purchase between its two commits. */
struct buying {
    struct exchange      *exchange;
    int64_t               amount_cents;
    struct purchase       purchase;
    bool                  was_there; /* the Idempotency-Key named it */
    struct stripe_session session;
};

static enum err find_bound(struct call *call, struct buying *buying)
{
    struct stored_reply stored;
    enum err            e =
        idempotency_find(call, &buying->exchange->idempotency, &stored, &buying->was_there);
    if (e || !buying->was_there) return e;
    return purchase_get_any(call, stored.resource_id, &buying->purchase);
}

/* The intent, with the Idempotency-Key bound to it: whoever repeats it asks for this one again. */
static enum err commit_intent(struct call *call, void *argument)
{
    struct buying *buying = argument;
    bool           has_key = buying->exchange->has_idempotency_key;
    buying->was_there = false;
    enum err e = has_key ? find_bound(call, buying) : ERR_OK;
    buying->exchange->is_replay = buying->was_there;
    if (e || buying->was_there) return e;
    e = purchase_begin(call, buying->amount_cents, &buying->purchase);
    if (e) return e;
    buying->exchange->reply.resource_id = id_str(&buying->purchase.id);
    if (!has_key) return ERR_OK;
    struct stored_reply stored = { .status = 200, .resource_id = id_str(&buying->purchase.id) };
    return idempotency_store(call, &buying->exchange->idempotency, &stored, false);
}

static enum err commit_answer(struct call *call, void *argument)
{
    struct buying *buying = argument;
    return purchase_answer(call, &buying->purchase, buying->session.id, buying->session.url);
}

static enum err ask_provider(struct buying *buying)
{
    struct call           *call = &buying->exchange->call;
    const struct purchase *purchase = &buying->purchase;
    const struct config   *config = call->config;
    struct stripe_account  account = { config->stripe_api_url, config->stripe_key,
                                       config->stripe_ca };
    struct stripe_checkout checkout = {
        .purchase_id = id_str(&purchase->id),
        .amount_cents = purchase->amount_cents,
        .customer = purchase->customer,
        .return_url = purchase_link(call, purchase),
    };
    enum err e =
        stripe_create_checkout(&account, &checkout, call->arena, &call->error, &buying->session);
    if (e) return e;
    return exchange_commit(buying->exchange, commit_answer, buying);
}

static enum err purchase_credits(struct exchange *exchange)
{
    struct buying buying = {
        .exchange = exchange,
        .amount_cents = in_int(exchange->request.body, "amount_cents", 0),
    };
    enum err e = exchange_commit(exchange, commit_intent, &buying);
    if (e) return e;
    const struct purchase *purchase = &buying.purchase;
    bool                   is_local = purchase->provider == PURCHASE_LOCAL;
    bool                   is_answered = is_local || purchase->checkout_url.data;
    exchange->is_replay = buying.was_there && is_answered;
    if (!is_answered) e = ask_provider(&buying);
    if (e) return e;
    struct json_out *out = &exchange->reply.out;
    out_object(out, NULL);
    out_text(out, "checkout_url",
             is_local ? purchase_link(&exchange->call, purchase) : purchase->checkout_url);
    out_text(out, "session_id", is_local ? id_str(&purchase->id) : purchase->session_id);
    out_close(out);
    return ERR_OK;
}

/* --- receiveStripeEvent --- */

struct taking {
    struct stripe_event   event;
    struct payment_report report;
};

static enum err commit_event(struct call *call, void *argument)
{
    struct taking *taking = argument;
    return payment_event_take(call, &taking->event, &taking->report);
}

/* Where money and books part, the operator is told. */
static void tell_operator(const struct taking *taking)
{
    enum payment_outcome outcome = taking->report.outcome;
    bool                 is_trouble = outcome == PAYMENT_DISAGREES || outcome == PAYMENT_FROZEN;
    struct log_line      line;
    if (outcome == PAYMENT_FROZEN) metric_add(METRIC_FREEZES, 1);
    log_begin(&line, is_trouble ? LOG_ERROR : LOG_INFO, "payment_event");
    log_text(&line, "stripe_event", taking->event.id);
    log_text(&line, "type", taking->event.type_name);
    log_text(&line, "outcome", str_of(payment_outcome_name(outcome)));
    log_text(&line, "purchase", id_str(&taking->report.purchase_id));
    log_text(&line, "org", id_str(&taking->report.org_id));
    log_end(&line);
}

static enum err receive_stripe_event(struct exchange *exchange)
{
    struct call  *call = &exchange->call;
    struct str    body = exchange->http->body;
    struct taking taking;
    if (!stripe_signature_is_good(call->config->stripe_webhook_secret,
                                  request_text(&exchange->request, "Stripe-Signature"), body,
                                  call->now_ms, call->arena))
        return FAIL(&call->error, ERR_INVALID, "bad_signature",
                    "not signed by Stripe, or more than five minutes old");
    enum err e = stripe_event_parse(body, call->arena, &call->error, &taking.event);
    if (e) return e;
    e = exchange_commit(exchange, commit_event, &taking);
    if (e) return e;
    tell_operator(&taking);
    out_object(&exchange->reply.out, NULL);
    out_bool(&exchange->reply.out, "received", true);
    out_close(&exchange->reply.out);
    return ERR_OK;
}

const struct binding purchase_bindings[] = {
    { .operation_id = "purchaseCredits", .external = purchase_credits },
    { .operation_id = "receiveStripeEvent", .external = receive_stripe_event },
    { 0 },
};
