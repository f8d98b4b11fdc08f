#include "domain/purchase.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "billing_market.h"

static int billing_setup(void **state)
{
    struct market *market = market_open();
    market_start_at(market, 0);
    *state = market;
    return 0;
}

#define purchase_test(name) cmocka_unit_test_setup_teardown(name, billing_setup, market_teardown)

/* --- beginning --- */

static void packs_have_their_bonus_and_nothing_else_has(void **state)
{
    (void)state;
    const int64_t packs[][2] = { { 1000, 0 },     { 2500, 125 },   { 5000, 500 },
                                 { 10000, 1500 }, { 25000, 5000 }, { 2499, 0 },
                                 { 0, 0 },        { -2500, 0 },    { INT64_MAX, 0 } };
    for (size_t i = 0; i < COUNT_OF(packs); i++)
        assert_int_equal(purchase_bonus_cents(packs[i][0]), packs[i][1]);
}

static void test_purchase_is_paid_in_its_own_commit(void **state)
{
    struct market *market = *state;
    market->actor.environment = ENVIRONMENT_TEST;
    struct purchase purchase = billing_purchase(market, 2500);
    assert_int_equal(purchase.state, PURCHASE_PAID);
    assert_int_equal(purchase.paid_ms, market->now_ms);
    struct balance balance;
    DONE(market, ledger_balance(&market->call, &market->org_id, ENVIRONMENT_TEST, &balance));
    assert_int_equal(balance.balance_cents, ORGANISATION_TEST_GRANT_CENTS + 2625);
    assert_int_equal(market_balance(market).balance_cents, 0);
    billing_assert_last(market, "credits.purchased", "\"type\":\"purchase\"");
    billing_assert_last(market, "credits.purchased", "\"amount_cents\":2500");
    assert_int_equal(billing_told(market, "credits.purchased"), 1);
}

static void live_purchase_waits_here_without_a_provider_and_there_with_one(void **state)
{
    struct market  *market = *state;
    struct purchase purchase = billing_purchase(market, 1000);
    assert_int_equal(purchase.provider, PURCHASE_LOCAL);
    assert_int_equal(purchase.state, PURCHASE_OPEN);
    billing_with_stripe(market);
    purchase = billing_purchase(market, 1000);
    assert_int_equal(purchase.provider, PURCHASE_STRIPE);
    assert_int_equal(purchase.state, PURCHASE_ASKING);
    assert_null(purchase.customer.data);
    billing_card(market);
    purchase = billing_purchase(market, 1000);
    assert_true(str_eq(purchase.customer, STR("cus_wanda")));
    assert_int_equal(market_balance(market).balance_cents, 0);
}

static void due_lots_expire_in_the_commit_of_a_purchase(void **state)
{
    struct market *market = *state;
    market_grant(market, 700);
    market->now_ms = time_add_year(market->now_ms);
    billing_purchase(market, 1000);
    assert_int_equal(market_balance(market).balance_cents, 0);
    assert_int_equal(billing_told(market, "credits.expired"), 1);
}

static void due_lots_expire_in_the_commit_of_a_payment_here(void **state)
{
    struct market *market = *state;
    market->config.checkout_credits_live = true;
    market_grant(market, 700);
    market->now_ms = time_add_year(market->now_ms) - 1;
    struct purchase purchase = billing_purchase(market, 1000);
    market->now_ms += 1;
    DONE(market, purchase_pay_here(&market->call, &purchase));
    assert_int_equal(market_balance(market).balance_cents, 1000);
    assert_int_equal(billing_told(market, "credits.expired"), 1);
}

static void first_answer_of_the_provider_stands(void **state)
{
    struct market *market = *state;
    billing_with_stripe(market);
    struct purchase purchase = billing_purchase(market, 1000), other = purchase;
    DONE(market, purchase_answer(&market->call, &purchase, STR("cs_1"), STR("https://one")));
    assert_int_equal(purchase.state, PURCHASE_OPEN);
    DONE(market, purchase_answer(&market->call, &other, STR("cs_2"), STR("https://two")));
    assert_true(str_eq(other.session_id, STR("cs_1")));
    assert_true(str_eq(billing_now(market, &purchase).checkout_url, STR("https://one")));
}

static void answer_after_the_payment_keeps_it_paid(void **state)
{
    struct market *market = *state;
    billing_with_stripe(market);
    struct purchase purchase = billing_purchase(market, 1000), late = purchase;
    DONE(market, purchase_pay(&market->call, &purchase));
    DONE(market, purchase_answer(&market->call, &late, STR("cs_1"), STR("https://one")));
    assert_int_equal(late.state, PURCHASE_PAID);
    assert_true(str_eq(billing_now(market, &purchase).session_id, STR("cs_1")));
}

/* --- paying --- */

static void purchase_is_credited_once_however_often_it_is_paid(void **state)
{
    struct market  *market = *state;
    struct purchase purchase = billing_purchase(market, 25000);
    for (int i = 0; i < 3; i++)
        DONE(market, purchase_pay(&market->call, &purchase));
    assert_int_equal(market_balance(market).balance_cents, 30000);
    assert_int_equal(billing_told(market, "credits.purchased"), 1);
    assert_int_equal(market_int_of(market,
                                   "SELECT count(*) FROM lots WHERE org_id = $1"
                                   " AND environment = 0 AND transfer_id IS NOT NULL",
                                   &market->org_id),
                     2);
}

static void purchase_read_before_it_was_paid_is_refused_by_the_store(void **state)
{
    struct market  *market = *state;
    struct purchase purchase = billing_purchase(market, 1000), stale = purchase;
    DONE(market, purchase_pay(&market->call, &purchase));
    REFUSED(market, purchase_pay(&market->call, &stale), ERR_CONFLICT, "already_booked");
    assert_int_equal(market_balance(market).balance_cents, 1000);
}

static void payment_revives_what_had_ended(void **state)
{
    struct market *market = *state;
    billing_with_stripe(market);
    const enum purchase_state endings[] = { PURCHASE_EXPIRED, PURCHASE_FAILED, PURCHASE_CANCELLED };
    for (size_t i = 0; i < COUNT_OF(endings); i++) {
        struct purchase purchase = billing_purchase(market, 1000);
        DONE(market, purchase_set_state(&market->call, &purchase, endings[i]));
        DONE(market, purchase_pay(&market->call, &purchase));
        assert_int_equal(billing_now(market, &purchase).state, PURCHASE_PAID);
    }
    assert_int_equal(market_balance(market).balance_cents, 3000);
}

static void second_top_up_under_way_is_refused(void **state)
{
    struct market  *market = *state;
    struct purchase purchase = { .org_id = market->org_id,
                                 .kind = PURCHASE_TOP_UP,
                                 .provider = PURCHASE_STRIPE,
                                 .state = PURCHASE_OPEN,
                                 .amount_cents = 700 },
                    second = purchase;
    DONE(market, purchase_insert(&market->call, &purchase));
    REFUSED_UNWRITTEN(market, purchase_insert(&market->call, &second), ERR_CONFLICT,
                      "top_up_under_way");
    second.environment = ENVIRONMENT_TEST;
    DONE(market, purchase_insert(&market->call, &second));
    DONE(market, purchase_pay(&market->call, &purchase));
    assert_int_equal(billing_told(market, "credits.auto_topped_up"), 1);
    second.environment = ENVIRONMENT_LIVE;
    DONE(market, purchase_insert(&market->call, &second));
}

/* --- the page --- */

static struct str token_of(struct market *market, const struct purchase *purchase)
{
    struct str link = purchase_link(&market->call, purchase);
    struct str base = STR("http://127.0.0.1:3000/checkout/");
    assert_true(str_starts_with(link, base));
    return str_skip(link, base.len);
}

static void link_leads_to_its_purchase_and_no_other_does(void **state)
{
    struct market  *market = *state;
    struct purchase purchase = billing_purchase(market, 1000), found;
    struct str      token = token_of(market, &purchase);
    DONE(market, purchase_of_link(&market->call, token, &found));
    assert_true(id_eq(&found.id, &purchase.id));
    for (size_t i = 0; i < token.len; i++) {
        char *changed = NEW(&market->arena, char, token.len + 1);
        memcpy(changed, token.data, token.len);
        changed[i] = changed[i] == 'A' ? 'B' : 'A';
        REFUSED(market, purchase_of_link(&market->call, (struct str){ changed, token.len }, &found),
                ERR_NOT_FOUND, "checkout");
        REFUSED(market, purchase_of_link(&market->call, str_take(token, i), &found), ERR_NOT_FOUND,
                "checkout");
    }
    REFUSED(market, purchase_of_link(&market->call, STR_NONE, &found), ERR_NOT_FOUND, "checkout");
}

static void link_ends_with_the_key_that_signed_it(void **state)
{
    struct market  *market = *state;
    struct purchase purchase = billing_purchase(market, 1000), found;
    struct str      token = token_of(market, &purchase);
    scratch_script(market->db, "UPDATE purchases SET link_key = 99");
    REFUSED(market, purchase_of_link(&market->call, token, &found), ERR_NOT_FOUND, "checkout");
}

static void live_credit_is_had_here_only_when_the_operator_lets_it(void **state)
{
    struct market  *market = *state;
    struct purchase purchase = billing_purchase(market, 1000);
    REFUSED_UNWRITTEN(market, purchase_pay_here(&market->call, &purchase), ERR_FORBIDDEN,
                      "checkout_credits_off");
    market->config.checkout_credits_live = true;
    DONE(market, purchase_pay_here(&market->call, &purchase));
    DONE(market, purchase_pay_here(&market->call, &purchase));
    assert_int_equal(market_balance(market).balance_cents, 1000);
    REFUSED_UNWRITTEN(market, purchase_cancel_here(&market->call, &purchase), ERR_CONFLICT,
                      "checkout_closed");
}

static void cancelled_is_for_good(void **state)
{
    struct market *market = *state;
    market->config.checkout_credits_live = true;
    struct purchase purchase = billing_purchase(market, 1000);
    DONE(market, purchase_cancel_here(&market->call, &purchase));
    DONE(market, purchase_cancel_here(&market->call, &purchase));
    REFUSED_UNWRITTEN(market, purchase_pay_here(&market->call, &purchase), ERR_CONFLICT,
                      "checkout_closed");
}

static void local_checkout_expires_at_its_instant(void **state)
{
    struct market *market = *state;
    market->config.checkout_credits_live = true;
    struct purchase first = billing_purchase(market, 1000), second = billing_purchase(market, 1000);
    market->now_ms += PURCHASE_LOCAL_MS_MAX - 1;
    DONE(market, purchase_pay_here(&market->call, &first));
    market->now_ms += 1;
    REFUSED_UNWRITTEN(market, purchase_pay_here(&market->call, &second), ERR_CONFLICT,
                      "checkout_closed");
    assert_int_equal(purchase_state_now(&market->call, &second), PURCHASE_EXPIRED);
    assert_int_equal(purchase_state_now(&market->call, &first), PURCHASE_PAID);
}

static void providers_checkout_is_not_touched_here(void **state)
{
    struct market *market = *state;
    billing_with_stripe(market);
    market->config.checkout_credits_live = true;
    struct purchase purchase = billing_purchase(market, 1000);
    DONE(market, purchase_answer(&market->call, &purchase, STR("cs_1"), STR("https://one")));
    REFUSED_UNWRITTEN(market, purchase_pay_here(&market->call, &purchase), ERR_CONFLICT,
                      "checkout_elsewhere");
    REFUSED_UNWRITTEN(market, purchase_cancel_here(&market->call, &purchase), ERR_CONFLICT,
                      "checkout_elsewhere");
    market->now_ms += 2 * PURCHASE_LOCAL_MS_MAX;
    assert_int_equal(purchase_state_now(&market->call, &purchase), PURCHASE_OPEN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(packs_have_their_bonus_and_nothing_else_has),
        purchase_test(test_purchase_is_paid_in_its_own_commit),
        purchase_test(live_purchase_waits_here_without_a_provider_and_there_with_one),
        purchase_test(due_lots_expire_in_the_commit_of_a_purchase),
        purchase_test(due_lots_expire_in_the_commit_of_a_payment_here),
        purchase_test(first_answer_of_the_provider_stands),
        purchase_test(answer_after_the_payment_keeps_it_paid),
        purchase_test(purchase_is_credited_once_however_often_it_is_paid),
        purchase_test(purchase_read_before_it_was_paid_is_refused_by_the_store),
        purchase_test(payment_revives_what_had_ended),
        purchase_test(second_top_up_under_way_is_refused),
        purchase_test(link_leads_to_its_purchase_and_no_other_does),
        purchase_test(link_ends_with_the_key_that_signed_it),
        purchase_test(live_credit_is_had_here_only_when_the_operator_lets_it),
        purchase_test(cancelled_is_for_good),
        purchase_test(local_checkout_expires_at_its_instant),
        purchase_test(providers_checkout_is_not_touched_here),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
