#include "domain/top_up.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "billing_market.h"

#include "domain/freeze.h"

static struct purchase top_up(struct market *market)
{
    struct purchase purchase;
    struct id       id;
    struct error    error = { 0 };
    struct stmt    *q = db_query(market->db, "SELECT subject_id FROM tasks WHERE kind = 'top_up'");
    assert_true(stmt_step(q));
    id = column_id(q, 0);
    assert_int_equal(stmt_end(q, &error), ERR_OK);
    DONE(market, purchase_get_any(&market->call, id_str(&id), &purchase));
    return purchase;
}

static bool begin(struct market *market, enum environment environment)
{
    bool can_charge;
    DONE(market, top_up_begin(&market->call, &market->org_id, environment, 3000, &can_charge));
    return can_charge;
}

static int64_t under_way(struct market *market)
{
    return market_int(market, "SELECT count(*) FROM tasks WHERE kind = 'top_up'");
}

static void top_up_needs_somebody_to_charge(void **state)
{
    struct market *market = *state;
    assert_false(begin(market, ENVIRONMENT_LIVE));
    billing_card(market);
    assert_false(begin(market, ENVIRONMENT_LIVE));
    billing_with_stripe(market);
    assert_int_equal(under_way(market), 0);
    assert_true(begin(market, ENVIRONMENT_LIVE));
    struct purchase purchase = top_up(market);
    assert_int_equal(purchase.state, PURCHASE_ASKING);
    assert_int_equal(purchase.amount_cents, 3000);
    assert_true(str_eq(purchase.customer, STR("cus_wanda")));
    assert_true(str_eq(purchase.payment_method, STR("pm_visa")));
}

static void one_top_up_at_a_time_in_each_environment(void **state)
{
    struct market *market = *state;
    billing_with_stripe(market);
    billing_card(market);
    for (int i = 0; i < 3; i++)
        assert_true(begin(market, ENVIRONMENT_LIVE));
    assert_int_equal(under_way(market), 1);
    assert_true(begin(market, ENVIRONMENT_TEST));
    assert_true(begin(market, ENVIRONMENT_TEST));
    assert_int_equal(under_way(market), 2);
    struct id first = market->org_id;
    market_start_at(market, 0);
    billing_card(market);
    assert_true(begin(market, ENVIRONMENT_LIVE));
    assert_int_equal(under_way(market), 3);
    market->org_id = first;
}

static void declined_top_up_is_tried_three_times_an_hour_apart_and_then_off(void **state)
{
    struct market *market = *state;
    billing_with_stripe(market);
    billing_card(market);
    billing_top_up_below(market, MARKET_CREDITS_CENTS + 1);
    struct purchase purchase = top_up(market);
    bool            is_over;
    int64_t         retry_ms;
    for (int tries = 1; tries <= TOP_UP_TRIES_MAX; tries++) {
        struct settings settings;
        DONE(market, settings_get(&market->call, &settings));
        assert_true(settings.is_top_up_enabled);
        DONE(market, top_up_declined(&market->call, &purchase, &is_over, &retry_ms));
        assert_int_equal(retry_ms, market->now_ms + TOP_UP_RETRY_MS);
        assert_int_equal(is_over, tries == TOP_UP_TRIES_MAX);
        assert_int_equal(billing_now(market, &purchase).tries_count, tries);
        market->now_ms = retry_ms;
    }
    struct settings settings;
    DONE(market, settings_get(&market->call, &settings));
    assert_false(settings.is_top_up_enabled);
    assert_true(settings.has_top_up_amount);
    assert_int_equal(billing_now(market, &purchase).state, PURCHASE_FAILED);
    assert_int_equal(billing_told(market, "credits.low_balance"), 1);
    billing_assert_last(market, "credits.low_balance", "\"auto_top_up_disabled\":true");
}

static void declined_payment_is_forgotten_for_the_next_try(void **state)
{
    struct market *market = *state;
    billing_with_stripe(market);
    billing_card(market);
    assert_true(begin(market, ENVIRONMENT_LIVE));
    struct purchase purchase = top_up(market);
    bool            is_over;
    int64_t         retry_ms;
    purchase.payment_id = STR("pi_1");
    DONE(market, purchase_set_state(&market->call, &purchase, PURCHASE_OPEN));
    DONE(market, top_up_declined(&market->call, &purchase, &is_over, &retry_ms));
    purchase = billing_now(market, &purchase);
    assert_null(purchase.payment_id.data);
    assert_int_equal(purchase.state, PURCHASE_ASKING);
}

/* As after a day of that many that ended well. */
static void end_all(struct market *market)
{
    scratch_script(market->db, "UPDATE purchases SET state = 'failed'; DELETE FROM tasks");
}

static void top_ups_of_a_day_are_bounded(void **state)
{
    struct market *market = *state;
    market->config.top_up_daily_max = 3;
    billing_with_stripe(market);
    billing_card(market);
    for (int i = 0; i < 3; i++) {
        assert_true(begin(market, ENVIRONMENT_LIVE));
        assert_true(begin(market, ENVIRONMENT_LIVE)); /* the same */
        end_all(market);
        market->now_ms += 1000;
    }
    assert_false(begin(market, ENVIRONMENT_LIVE));
    assert_int_equal(under_way(market), 0);
    assert_true(begin(market, ENVIRONMENT_TEST));
    market->now_ms += TOP_UP_DAY_MS - 3000 - 1;
    assert_false(begin(market, ENVIRONMENT_LIVE));
    market->now_ms += 1;
    assert_true(begin(market, ENVIRONMENT_LIVE));
    end_all(market);
    assert_false(begin(market, ENVIRONMENT_LIVE));
    market->config.top_up_daily_max = 0;
    assert_true(begin(market, ENVIRONMENT_LIVE));
}

static void frozen_organisation_is_not_charged(void **state)
{
    struct market *market = *state;
    bool           is_new;
    int64_t        count;
    billing_with_stripe(market);
    billing_card(market);
    struct purchase purchase = billing_purchase(market, 1000);
    DONE(market, freeze_add(&market->call, STR("evt_1"), &purchase, STR("disputed"), &is_new));
    assert_false(begin(market, ENVIRONMENT_LIVE));
    assert_true(begin(market, ENVIRONMENT_TEST));
    DONE(market, freeze_lift(&market->call, &market->org_id, &count));
    assert_true(begin(market, ENVIRONMENT_LIVE));
}

/* As when the disk does not answer. */
static void store_that_fails_is_an_error_and_ends_nothing_else(void **state)
{
    struct market *market = *state;
    bool           can_charge;
    scratch_script(market->db, "ALTER TABLE purchases RENAME TO gone");
    assert_int_equal(
        top_up_begin(&market->call, &market->org_id, ENVIRONMENT_TEST, 1000, &can_charge),
        ERR_INTERNAL);
    scratch_script(market->db, "ALTER TABLE gone RENAME TO purchases");
}

static bool wanted(struct market *market, const struct purchase *purchase)
{
    bool is_wanted;
    DONE(market, top_up_is_wanted(&market->call, purchase, &is_wanted));
    return is_wanted;
}

static void charge_is_wanted_while_what_asked_for_it_holds(void **state)
{
    struct market *market = *state;
    bool           is_new;
    billing_with_stripe(market);
    billing_card(market);
    billing_top_up_below(market, MARKET_CREDITS_CENTS + 1);
    struct purchase purchase = top_up(market);
    assert_true(wanted(market, &purchase));
    billing_top_up_below(market, MARKET_CREDITS_CENTS);
    assert_false(wanted(market, &purchase));
    billing_top_up_below(market, MARKET_CREDITS_CENTS + 1);
    DONE(market, settings_end_top_up(&market->call, &market->org_id, ENVIRONMENT_LIVE));
    assert_false(wanted(market, &purchase));
    billing_top_up_below(market, MARKET_CREDITS_CENTS + 1);
    assert_true(wanted(market, &purchase));
    DONE(market, freeze_add(&market->call, STR("evt_1"), &purchase, STR("disputed"), &is_new));
    assert_false(wanted(market, &purchase));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        market_test(top_up_needs_somebody_to_charge),
        market_test(one_top_up_at_a_time_in_each_environment),
        market_test(declined_top_up_is_tried_three_times_an_hour_apart_and_then_off),
        market_test(declined_payment_is_forgotten_for_the_next_try),
        market_test(top_ups_of_a_day_are_bounded),
        market_test(frozen_organisation_is_not_charged),
        market_test(store_that_fails_is_an_error_and_ends_nothing_else),
        market_test(charge_is_wanted_while_what_asked_for_it_holds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
