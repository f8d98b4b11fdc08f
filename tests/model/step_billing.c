/* The server's side of buying credit: what its handlers and its runner of top-ups do. */
#include "model.h"

#include "domain/freeze.h"
#include "domain/lot_warning.h"
#include "domain/payment_event.h"
#include "domain/saved_card.h"
#include "domain/top_up.h"

static void set_wallet(struct model *model, int wallet)
{
    struct market *market = model->market;
    market->org_id = model->orgs[wallet % REF_ORGS];
    market_as_buyer(market);
    market->actor.environment = ref_is_test(wallet) ? ENVIRONMENT_TEST : ENVIRONMENT_LIVE;
    market->actor.key_id = market->org_id; /* any: only sealed answers ask whose key it was */
}

void become_buyer(struct model *model, int wallet)
{
    set_wallet(model, wallet);
}

enum err server_buy_pack(struct model *model, int64_t cents, struct id *ret_id)
{
    struct purchase purchase;
    enum err        e = purchase_begin(&model->market->call, cents, &purchase);
    if (e == ERR_OK) *ret_id = purchase.id;
    return e;
}

static struct str name_of(struct model *model, const char *kind, const struct id *id, int number)
{
    return str_format(&model->market->arena, "%s_%s_%d", kind, id->text, number);
}

enum err server_answer(struct model *model, const struct ref_purchase *asked)
{
    struct call    *call = &model->market->call;
    struct purchase purchase;
    enum err        e = purchase_get_any(call, id_str(&asked->id), &purchase);
    if (e) return e;
    return purchase_answer(call, &purchase, name_of(model, "cs", &asked->id, 1),
                           STR("https://pay.example"));
}

enum err server_set_top_up(struct model *model, const struct operation *operation)
{
    return settings_put(&model->market->call, &(struct settings){
                                                  .is_top_up_enabled = operation->number != 0,
                                                  .has_top_up_threshold = true,
                                                  .has_top_up_amount = true,
                                                  .top_up_threshold_cents = operation->asked.price,
                                                  .top_up_amount_cents = operation->asked.needed,
                                              });
}

/* --- what the processor tells --- */

static const enum stripe_event_type news_types[REF_NEWS__COUNT] = {
    [REF_SESSION_PAID] = STRIPE_CHECKOUT_PAID,       [REF_SESSION_WRONG] = STRIPE_CHECKOUT_PAID,
    [REF_SESSION_EXPIRED] = STRIPE_CHECKOUT_EXPIRED, [REF_SESSION_FAILED] = STRIPE_CHECKOUT_FAILED,
    [REF_PAYMENT_DONE] = STRIPE_PAYMENT_DONE,        [REF_PAYMENT_FAILED] = STRIPE_PAYMENT_FAILED,
    [REF_REFUND] = STRIPE_CHARGE_REFUNDED,           [REF_DISPUTE] = STRIPE_CHARGE_DISPUTED,
};

enum err server_tell(struct model *model, const struct operation *operation,
                     const struct ref_purchase *about, const char **ret_outcome)
{
    struct arena         *arena = &model->market->arena;
    enum ref_news         news = (enum ref_news)operation->number;
    struct payment_report report;
    struct stripe_event   event = {
          .id = str_format(arena, "evt_%d", operation->serial),
          .type = news_types[news],
          .created_ms = about->created_ms,
          .session_id = name_of(model, "cs", &about->id, 1),
          .payment_id = name_of(model, "pi", &about->id, operation_try(operation, about)),
          .purchase_id = news == REF_DISPUTE ? STR_NONE : id_str(&about->id),
          .amount_cents = about->cents + (news == REF_SESSION_WRONG ? 1 : 0),
          .currency = STR("usd"),
          .is_paid = true,
          .customer = STR("cus_1"),
          .payment_method = name_of(model, "pm", &about->id, 1),
    };
    enum err e = payment_event_take(&model->market->call, &event, &report);
    if (e == ERR_OK) *ret_outcome = payment_outcome_name(report.outcome);
    return e;
}

/* --- top-ups --- */

static enum err find_top_up(struct model *model, int wallet, struct purchase *ret_purchase)
{
    struct call *call = &model->market->call;
    struct stmt *q = db_query(call->db, "SELECT id FROM purchases WHERE org_id = $1"
                                        " AND environment = $2 AND kind = 'top_up'"
                                        " AND state = 'asking'");
    bind_id(q, 1, &model->orgs[wallet % REF_ORGS]);
    bind_int(q, 2, ref_is_test(wallet));
    bool      is_there = stmt_step(q);
    struct id id = is_there ? column_id(q, 0) : (struct id){ 0 };
    enum err  e = stmt_end(q, &call->error);
    if (e) return e;
    if (!is_there) return FAIL(&call->error, ERR_NOT_FOUND, "nothing_to_charge", "none");
    return purchase_get_any(call, id_str(&id), ret_purchase);
}

static enum err charge_declined(struct call *call, const struct task *task,
                                struct purchase *purchase)
{
    bool     is_over;
    int64_t  retry_ms;
    enum err e = top_up_declined(call, purchase, &is_over, &retry_ms);
    if (e) return e;
    if (is_over) return task_finish(call, task);
    return task_postpone(call, task, "top_up_declined", retry_ms);
}

static enum err charge_ended(struct call *call, const struct task *task, struct purchase *purchase,
                             enum purchase_state state)
{
    enum err e = state == PURCHASE_PAID ? purchase_pay(call, purchase)
                                        : purchase_set_state(call, purchase, state);
    return e ? e : task_finish(call, task);
}

static enum err charge_live(struct model *model, const struct task *task, struct purchase *purchase,
                            int64_t outcome)
{
    struct call *call = &model->market->call;
    bool         is_wanted;
    enum err     e = top_up_is_wanted(call, purchase, &is_wanted);
    if (e) return e;
    bool is_late = call->now_ms >= purchase->tried_ms + TOP_UP_ASK_MS_MAX;
    if (is_late || !is_wanted) return charge_ended(call, task, purchase, PURCHASE_FAILED);
    if (outcome == REF_DECLINED) return charge_declined(call, task, purchase);
    if (outcome == REF_SILENT) return ERR_OK;
    purchase->payment_id = name_of(model, "pi", &purchase->id, (int)purchase->tries_count + 1);
    return charge_ended(call, task, purchase,
                        outcome == REF_PROCESSING ? PURCHASE_OPEN : PURCHASE_PAID);
}

/* As runner_top_up.c does it, but for asking Stripe. */
enum err server_charge(struct model *model, int wallet, int64_t outcome, struct id *ret_id)
{
    struct call    *call = &model->market->call;
    struct purchase purchase;
    struct task     task;
    enum err        e = find_top_up(model, wallet, &purchase);
    if (e == ERR_OK) e = task_get(call, TASK_TOP_UP, &purchase.id, &task);
    if (e) return e;
    if (task.run_ms > call->now_ms) return FAIL(&call->error, ERR_CONFLICT, "not_due", "later");
    *ret_id = purchase.id;
    if (ref_is_test(wallet)) return charge_ended(call, &task, &purchase, PURCHASE_PAID);
    return charge_live(model, &task, &purchase, outcome);
}

/* --- the operator, and the sweeper --- */

enum err server_lift(struct model *model, int org)
{
    int64_t count;
    return freeze_lift(&model->market->call, &model->orgs[org], &count);
}

enum err server_warn(struct model *model)
{
    int count;
    return lot_warn_all(&model->market->call, 1000000, &count);
}

/* --- held against each other --- */

static int64_t count_told(struct model *model, int wallet, const char *type)
{
    struct error error = { 0 };
    struct stmt *q = db_query(model->market->db, "SELECT count(*) FROM occurrences"
                                                 " WHERE org_id = $1 AND environment = $2"
                                                 " AND type = $3");
    bind_id(q, 1, &model->orgs[wallet % REF_ORGS]);
    bind_int(q, 2, ref_is_test(wallet));
    bind_text(q, 3, str_of(type));
    int64_t count = stmt_step(q) ? column_int(q, 0) : -1;
    assert_int_equal(stmt_end(q, &error), ERR_OK);
    return count;
}

static void compare_told(struct model *model, int wallet)
{
    static const char *const types[REF_TOLD__COUNT] = {
        [REF_TOLD_PURCHASED] = "credits.purchased", [REF_TOLD_TOPPED_UP] = "credits.auto_topped_up",
        [REF_TOLD_LOW] = "credits.low_balance",     [REF_TOLD_EXPIRING] = "credits.expiring_soon",
        [REF_TOLD_EXPIRED] = "credits.expired",
    };
    for (int i = 0; i < REF_TOLD__COUNT; i++)
        must_be(model, types[i], wallet, count_told(model, wallet, types[i]),
                model->ref.wallets[wallet].told[i]);
}

static void compare_card(struct model *model, int org)
{
    const struct ref_wallet *own = &model->ref.wallets[org];
    struct str               customer, method = STR_NONE;
    DONE(model->market, saved_card_of(&model->market->call, &model->orgs[org], &customer, &method));
    struct str expected =
        own->has_card ? name_of(model, "pm", &model->ref.purchases[own->card].id, 1) : STR_NONE;
    MODEL_CHECK(model, str_eq(method, expected), "another card than expected");
}

static void compare_wallet(struct model *model, int wallet)
{
    struct settings settings;
    set_wallet(model, wallet);
    DONE(model->market, settings_get(&model->market->call, &settings));
    must_be(model, "auto top-up of wallet", wallet, settings.is_top_up_enabled,
            model->ref.wallets[wallet].is_topped_up);
    compare_told(model, wallet);
    if (ref_is_test(wallet)) return;
    compare_card(model, wallet);
    enum err e;
    market_begin(model->market);
    e = freeze_check(&model->market->call, &model->orgs[wallet], ENVIRONMENT_LIVE);
    db_rollback(model->market->db);
    must_be(model, "freeze of wallet", wallet, e != ERR_OK, ref_is_frozen(&model->ref, wallet));
}

static void compare_purchase(struct model *model, int number)
{
    const struct ref_purchase *expected = &model->ref.purchases[number];
    struct purchase            found;
    if (id_is_none(&expected->id)) return; /* a top-up that was not charged yet */
    DONE(model->market, purchase_get_any(&model->market->call, id_str(&expected->id), &found));
    must_be(model, "state of purchase", number, found.state, (int64_t)expected->state);
    must_be(model, "amount of purchase", number, found.amount_cents, expected->cents);
    must_be(model, "tries of purchase", number, found.tries_count, expected->tries);
    struct str payment = expected->payment_try
                             ? name_of(model, "pi", &expected->id, expected->payment_try)
                             : STR_NONE;
    MODEL_CHECK(model, str_eq(found.payment_id, payment), "another payment than expected");
}

void compare_top_ups(struct model *model, int wallet)
{
    struct error error = { 0 };
    int64_t      expected = 0;
    struct stmt *q = db_query(model->market->db, "SELECT count(*) FROM purchases WHERE org_id = $1"
                                                 " AND environment = $2 AND kind = 'top_up'");
    bind_id(q, 1, &model->orgs[wallet % REF_ORGS]);
    bind_int(q, 2, ref_is_test(wallet));
    int64_t found = stmt_step(q) ? column_int(q, 0) : -1;
    assert_int_equal(stmt_end(q, &error), ERR_OK);
    for (int i = 0; i < model->ref.purchases_count; i++)
        expected += model->ref.purchases[i].is_top_up && model->ref.purchases[i].wallet == wallet;
    must_be(model, "count of top-ups", wallet, found, expected);
}

void compare_billing(struct model *model)
{
    for (int i = 0; i < REF_WALLETS; i++) {
        compare_wallet(model, i);
        compare_top_ups(model, i);
    }
    for (int i = 0; i < model->ref.purchases_count; i++)
        compare_purchase(model, i);
    must_be(model, "count of disputes nobody knows", 0,
            market_int(model->market, "SELECT count(*) FROM contested_payments"),
            model->ref.contests_count);
}
