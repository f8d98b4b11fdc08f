#include "domain/payment_event.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "billing_market.h"

#include "domain/freeze.h"
#include "domain/top_up.h"

static int stripe_setup(void **state)
{
    struct market *market = market_open();
    market_start_at(market, 0);
    billing_with_stripe(market);
    *state = market;
    return 0;
}

#define payment_test(name) cmocka_unit_test_setup_teardown(name, stripe_setup, market_teardown)

/* A pack that Stripe has made a session for. */
static struct purchase asked(struct market *market)
{
    struct purchase purchase = billing_purchase(market, 2500);
    DONE(market, purchase_answer(&market->call, &purchase, STR("cs_1"), STR("https://one")));
    return purchase;
}

/* What Stripe tells when it is paid. */
static struct stripe_event paid(const struct purchase *purchase)
{
    return (struct stripe_event){
        .id = STR("evt_1"),
        .type = STRIPE_CHECKOUT_PAID,
        .session_id = STR("cs_1"),
        .payment_id = STR("pi_1"),
        .purchase_id = id_str(&purchase->id),
        .amount_cents = 2500,
        .currency = STR("usd"),
        .is_paid = true,
    };
}

static struct stripe_event done(const struct purchase *purchase)
{
    struct stripe_event event = paid(purchase);
    event.type = STRIPE_PAYMENT_DONE;
    event.session_id = STR_NONE;
    event.customer = STR("cus_wanda");
    event.payment_method = STR("pm_visa");
    return event;
}

static enum payment_outcome take(struct market *market, const struct stripe_event *event)
{
    struct payment_report report;
    DONE(market, payment_event_take(&market->call, event, &report));
    return report.outcome;
}

static void paid_session_is_credited_once(void **state)
{
    struct market      *market = *state;
    struct purchase     purchase = asked(market);
    struct stripe_event event = paid(&purchase);
    assert_int_equal(take(market, &event), PAYMENT_CREDITED);
    assert_int_equal(take(market, &event), PAYMENT_NOTHING);
    event.id = STR("evt_2");
    assert_int_equal(take(market, &event), PAYMENT_NOTHING);
    assert_int_equal(market_balance(market).balance_cents, 2625);
}

static void session_is_credited_before_its_answer_was_heard(void **state)
{
    struct market      *market = *state;
    struct purchase     purchase = billing_purchase(market, 2500);
    struct stripe_event event = paid(&purchase);
    assert_int_equal(take(market, &event), PAYMENT_CREDITED);
    assert_true(str_eq(billing_now(market, &purchase).session_id, STR("cs_1")));
}

static void what_differs_from_the_intent_is_not_credited(void **state)
{
    struct market      *market = *state;
    struct purchase     purchase = asked(market);
    struct stripe_event right = paid(&purchase), wrong[8];
    for (size_t i = 0; i < COUNT_OF(wrong); i++)
        wrong[i] = right;
    wrong[0].amount_cents = 2499;
    wrong[1].amount_cents = 2501;
    wrong[2].currency = STR("eur");
    wrong[3].currency = STR_NONE;
    wrong[4].is_live = true;
    wrong[5].session_id = STR("cs_2");
    wrong[6].session_id = STR_NONE;
    wrong[7].amount_cents = 0;
    for (size_t i = 0; i < COUNT_OF(wrong); i++)
        assert_int_equal(take(market, &wrong[i]), PAYMENT_DISAGREES);
    assert_int_equal(market_balance(market).balance_cents, 0);
    market->config.stripe_key = STR("sk_live_key");
    assert_int_equal(take(market, &right), PAYMENT_DISAGREES);
    right.is_live = true;
    assert_int_equal(take(market, &right), PAYMENT_CREDITED);
}

static void unpaid_session_is_waited_for(void **state)
{
    struct market      *market = *state;
    struct purchase     purchase = asked(market);
    struct stripe_event event = paid(&purchase);
    event.is_paid = false;
    assert_int_equal(take(market, &event), PAYMENT_NOTHING);
    assert_int_equal(billing_now(market, &purchase).state, PURCHASE_OPEN);
}

static void local_purchase_is_not_paid_by_an_event(void **state)
{
    struct market *market = *state;
    market->config.stripe_key = STR("");
    struct purchase     purchase = billing_purchase(market, 2500);
    struct stripe_event event = paid(&purchase);
    assert_int_equal(take(market, &event), PAYMENT_DISAGREES);
    market->actor.environment = ENVIRONMENT_TEST;
    purchase = billing_purchase(market, 2500);
    event = paid(&purchase);
    assert_int_equal(take(market, &event), PAYMENT_DISAGREES);
}

static void payment_of_a_checkout_saves_the_card_and_credits_nothing(void **state)
{
    struct market      *market = *state;
    struct purchase     purchase = asked(market);
    struct stripe_event event = done(&purchase);
    struct str          customer, method;
    assert_int_equal(take(market, &event), PAYMENT_NOTHING);
    assert_int_equal(market_balance(market).balance_cents, 0);
    DONE(market, saved_card_of(&market->call, &market->org_id, &customer, &method));
    assert_true(str_eq(customer, STR("cus_wanda")));
    assert_true(str_eq(method, STR("pm_visa")));
    event.customer = STR_NONE;
    event.payment_method = STR("pm_other");
    assert_int_equal(take(market, &event), PAYMENT_NOTHING);
    DONE(market, saved_card_of(&market->call, &market->org_id, &customer, &method));
    assert_true(str_eq(method, STR("pm_visa")));
}

static void older_payment_told_again_does_not_bring_its_card_back(void **state)
{
    struct market      *market = *state;
    struct purchase     purchase = asked(market), newer = billing_purchase(market, 2500);
    struct stripe_event first = done(&purchase), second = done(&newer);
    struct str          customer, method;
    first.created_ms = market->now_ms;
    second.created_ms = market->now_ms + 1000;
    second.payment_id = STR("pi_2");
    second.payment_method = STR("pm_newer");
    assert_int_equal(take(market, &second), PAYMENT_NOTHING);
    assert_int_equal(take(market, &first), PAYMENT_NOTHING);
    DONE(market, saved_card_of(&market->call, &market->org_id, &customer, &method));
    assert_true(str_eq(method, STR("pm_newer")));
}

static void ended_sessions_close_what_is_under_way_and_nothing_else(void **state)
{
    struct market      *market = *state;
    struct purchase     purchase = asked(market);
    struct stripe_event event = paid(&purchase);
    event.type = STRIPE_CHECKOUT_EXPIRED;
    event.session_id = STR("cs_other");
    assert_int_equal(take(market, &event), PAYMENT_NOTHING);
    event.session_id = STR("cs_1");
    assert_int_equal(take(market, &event), PAYMENT_ENDED);
    assert_int_equal(billing_now(market, &purchase).state, PURCHASE_EXPIRED);
    event.type = STRIPE_CHECKOUT_FAILED;
    assert_int_equal(take(market, &event), PAYMENT_NOTHING);
    event.type = STRIPE_CHECKOUT_PAID;
    assert_int_equal(take(market, &event), PAYMENT_CREDITED);
    event.type = STRIPE_CHECKOUT_EXPIRED;
    assert_int_equal(take(market, &event), PAYMENT_NOTHING);
    assert_int_equal(billing_now(market, &purchase).state, PURCHASE_PAID);
}

static void money_taken_back_freezes_by_purchase_or_by_payment(void **state)
{
    struct market      *market = *state;
    struct purchase     purchase = asked(market);
    struct stripe_event event = paid(&purchase);
    int64_t             count;
    take(market, &event);
    event.type = STRIPE_CHARGE_DISPUTED;
    event.purchase_id = STR_NONE; /* a dispute names the payment only */
    assert_int_equal(take(market, &event), PAYMENT_FROZEN);
    assert_int_equal(take(market, &event), PAYMENT_NOTHING);
    event.type = STRIPE_CHARGE_REFUNDED;
    event.purchase_id = id_str(&purchase.id);
    event.payment_id = STR("pi_unheard_of");
    event.id = STR("evt_2");
    assert_int_equal(take(market, &event), PAYMENT_FROZEN);
    DONE(market, freeze_lift(&market->call, &market->org_id, &count));
    assert_int_equal(count, 2);
    assert_int_equal(market_balance(market).balance_cents, 2625);
}

/* Stripe sends each event again until it is taken: a dispute may come before what it disputes. */
static void money_taken_back_before_it_was_told_of_freezes_when_it_is(void **state)
{
    struct market      *market = *state;
    struct purchase     purchase = asked(market);
    struct stripe_event dispute = paid(&purchase), event = paid(&purchase);
    int64_t             count;
    dispute.type = STRIPE_CHARGE_DISPUTED;
    dispute.id = STR("evt_dispute");
    dispute.purchase_id = STR_NONE;
    assert_int_equal(take(market, &dispute), PAYMENT_UNKNOWN);
    assert_int_equal(take(market, &dispute), PAYMENT_UNKNOWN);
    event.payment_id = STR("pi_other");
    event.amount_cents = 1;
    assert_int_equal(take(market, &event), PAYMENT_DISAGREES);
    event = paid(&purchase);
    assert_int_equal(take(market, &event), PAYMENT_FROZEN);
    assert_int_equal(market_balance(market).balance_cents, 2625);
    assert_int_equal(take(market, &event), PAYMENT_NOTHING);
    assert_int_equal(take(market, &dispute), PAYMENT_NOTHING);
    DONE(market, freeze_lift(&market->call, &market->org_id, &count));
    assert_int_equal(count, 1);
}

static void strangers_events_change_nothing(void **state)
{
    struct market      *market = *state;
    struct purchase     purchase = asked(market);
    struct stripe_event event = paid(&purchase);
    event.purchase_id = STR("pur_01ARZ3NDEKTSV4RRFFQ69G5FAV");
    assert_int_equal(take(market, &event), PAYMENT_UNKNOWN);
    event.purchase_id = STR("order 17");
    assert_int_equal(take(market, &event), PAYMENT_UNKNOWN);
    event.purchase_id = event.payment_id = STR_NONE;
    assert_int_equal(take(market, &event), PAYMENT_UNKNOWN);
    event = paid(&purchase);
    event.type = STRIPE_EVENT_OTHER;
    assert_int_equal(take(market, &event), PAYMENT_NOTHING);
    assert_int_equal(billing_now(market, &purchase).state, PURCHASE_OPEN);
}

static struct purchase charged(struct market *market, enum purchase_state state)
{
    struct purchase purchase = { .org_id = market->org_id,
                                 .kind = PURCHASE_TOP_UP,
                                 .provider = PURCHASE_STRIPE,
                                 .state = PURCHASE_ASKING,
                                 .amount_cents = 2500 };
    DONE(market, purchase_insert(&market->call, &purchase));
    DONE(market, task_add(&market->call, TASK_TOP_UP, &purchase.id));
    purchase.payment_id = STR("pi_1");
    if (state != PURCHASE_ASKING) {
        DONE(market, purchase_set_state(&market->call, &purchase, state));
        scratch_script(market->db, "DELETE FROM tasks"); /* the runner is done with it */
    }
    return purchase;
}

static void top_ups_payment_is_credited_once(void **state)
{
    struct market      *market = *state;
    struct purchase     purchase = charged(market, PURCHASE_OPEN);
    struct stripe_event event = done(&purchase);
    assert_int_equal(take(market, &event), PAYMENT_CREDITED);
    assert_int_equal(take(market, &event), PAYMENT_NOTHING);
    assert_int_equal(market_balance(market).balance_cents, 2625);
    assert_int_equal(billing_told(market, "credits.auto_topped_up"), 1);
    event.payment_id = STR("pi_2"); /* another try that succeeded as well */
    assert_int_equal(take(market, &event), PAYMENT_DISAGREES);
    assert_true(str_eq(billing_now(market, &purchase).payment_id, STR("pi_1")));
    event = paid(&purchase); /* a session cannot have paid it */
    assert_int_equal(take(market, &event), PAYMENT_DISAGREES);
}

static void failed_payment_counts_only_when_it_was_left_processing(void **state)
{
    struct market      *market = *state;
    struct purchase     purchase = charged(market, PURCHASE_ASKING);
    struct stripe_event event = done(&purchase);
    event.type = STRIPE_PAYMENT_FAILED;
    event.is_paid = false;
    assert_int_equal(take(market, &event), PAYMENT_NOTHING);
    assert_int_equal(billing_now(market, &purchase).tries_count, 0);
    DONE(market, purchase_set_state(&market->call, &purchase, PURCHASE_OPEN));
    scratch_script(market->db, "DELETE FROM tasks");
    event.payment_id = STR("pi_earlier");
    assert_int_equal(take(market, &event), PAYMENT_NOTHING);
    event.payment_id = STR("pi_1");
    assert_int_equal(take(market, &event), PAYMENT_ENDED);
    assert_int_equal(take(market, &event), PAYMENT_NOTHING);
    assert_int_equal(billing_now(market, &purchase).tries_count, 1);
    assert_int_equal(market_int(market, "SELECT sum(run_ms) FROM tasks WHERE kind = 'top_up'"),
                     market->now_ms + TOP_UP_RETRY_MS);
}

static void late_failure_of_a_payment_that_was_credited_changes_nothing(void **state)
{
    struct market      *market = *state;
    struct purchase     purchase = charged(market, PURCHASE_OPEN);
    struct stripe_event event = done(&purchase);
    assert_int_equal(take(market, &event), PAYMENT_CREDITED);
    event.type = STRIPE_PAYMENT_FAILED;
    event.is_paid = false;
    assert_int_equal(take(market, &event), PAYMENT_NOTHING);
    assert_int_equal(billing_now(market, &purchase).state, PURCHASE_PAID);
    assert_int_equal(market_int(market, "SELECT count(*) FROM tasks WHERE kind = 'top_up'"), 0);
}

static void payment_without_its_money_is_not_credited(void **state)
{
    struct market      *market = *state;
    struct purchase     purchase = charged(market, PURCHASE_OPEN);
    struct stripe_event event = done(&purchase);
    event.is_paid = false;
    assert_int_equal(take(market, &event), PAYMENT_DISAGREES);
    assert_int_equal(market_balance(market).balance_cents, 0);
}

static void card_of_another_payment_is_not_saved(void **state)
{
    struct market      *market = *state;
    struct purchase     purchase = asked(market);
    struct stripe_event event = paid(&purchase);
    struct str          customer;
    assert_int_equal(take(market, &event), PAYMENT_CREDITED);
    event = done(&purchase);
    event.payment_id = STR("pi_other");
    assert_int_equal(take(market, &event), PAYMENT_DISAGREES);
    DONE(market, saved_card_of(&market->call, &market->org_id, &customer, NULL));
    assert_null(customer.data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        payment_test(paid_session_is_credited_once),
        payment_test(session_is_credited_before_its_answer_was_heard),
        payment_test(what_differs_from_the_intent_is_not_credited),
        payment_test(unpaid_session_is_waited_for),
        payment_test(local_purchase_is_not_paid_by_an_event),
        payment_test(payment_of_a_checkout_saves_the_card_and_credits_nothing),
        payment_test(older_payment_told_again_does_not_bring_its_card_back),
        payment_test(ended_sessions_close_what_is_under_way_and_nothing_else),
        payment_test(money_taken_back_freezes_by_purchase_or_by_payment),
        payment_test(money_taken_back_before_it_was_told_of_freezes_when_it_is),
        payment_test(strangers_events_change_nothing),
        payment_test(top_ups_payment_is_credited_once),
        payment_test(failed_payment_counts_only_when_it_was_left_processing),
        payment_test(late_failure_of_a_payment_that_was_credited_changes_nothing),
        payment_test(payment_without_its_money_is_not_credited),
        payment_test(card_of_another_payment_is_not_saved),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
