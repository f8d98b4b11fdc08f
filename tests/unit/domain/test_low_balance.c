#include "domain/low_balance.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "billing_market.h"

/* The default line is 1000 cents. */
static int low_setup(void **state)
{
    struct market *market = market_open();
    market_start_at(market, 1500);
    *state = market;
    return 0;
}

#define low_test(name) cmocka_unit_test_setup_teardown(name, low_setup, market_teardown)

static int64_t told(struct market *market)
{
    return billing_told(market, "credits.low_balance");
}

static void owner_is_told_once_per_crossing(void **state)
{
    struct market *market = *state;
    billing_spend(market, 500);
    assert_int_equal(told(market), 0); /* 1000 is not below 1000 */
    billing_spend(market, 1);
    assert_int_equal(told(market), 1);
    billing_assert_last(market, "credits.low_balance", "\"balance_cents\":999");
    billing_assert_last(market, "credits.low_balance", "\"held_cents\":501");
    billing_spend(market, 100);
    assert_int_equal(told(market), 1);
    market_grant(market, 101);
    billing_spend(market, 1);
    assert_int_equal(told(market), 2);
}

static void expiry_crosses_the_line_too(void **state)
{
    struct market *market = *state;
    market->now_ms = time_add_year(market->now_ms);
    DONE(market, credits_expire_due(&market->call, &market->org_id, ENVIRONMENT_LIVE));
    assert_int_equal(told(market), 1);
    assert_int_equal(billing_told(market, "credits.expired"), 1);
}

static void setting_of_zero_tells_nobody(void **state)
{
    struct market *market = *state;
    market->config.low_balance_cents = 0;
    billing_spend(market, 1500);
    assert_int_equal(told(market), 0);
}

static void threshold_that_nobody_can_charge_is_a_line_of_its_own(void **state)
{
    struct market *market = *state;
    billing_top_up_below(market, 1200);
    billing_spend(market, 300);
    assert_int_equal(told(market), 0);
    billing_spend(market, 1);
    assert_int_equal(told(market), 1);
    billing_spend(market, 10);
    assert_int_equal(told(market), 1);
    billing_spend(market, 500); /* the operator's line */
    assert_int_equal(told(market), 2);
    assert_int_equal(market_int(market, "SELECT count(*) FROM purchases"), 0);
}

static void chargeable_top_up_begins_below_its_threshold(void **state)
{
    struct market *market = *state;
    billing_with_stripe(market);
    billing_card(market);
    billing_top_up_below(market, 1200);
    billing_spend(market, 300);
    assert_int_equal(market_int(market, "SELECT count(*) FROM purchases"), 0);
    billing_spend(market, 1);
    billing_spend(market, 1);
    assert_int_equal(market_int(market, "SELECT count(*) FROM purchases"), 1);
    assert_int_equal(market_int(market, "SELECT count(*) FROM tasks WHERE kind = 'top_up'"), 1);
    assert_int_equal(told(market), 0);
}

static void top_up_switched_on_below_its_threshold_begins(void **state)
{
    struct market *market = *state;
    billing_with_stripe(market);
    billing_card(market);
    billing_top_up_below(market, 1500);
    assert_int_equal(market_int(market, "SELECT count(*) FROM purchases"), 0);
    billing_top_up_below(market, 1501);
    assert_int_equal(market_int(market, "SELECT count(*) FROM purchases"), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        low_test(owner_is_told_once_per_crossing),
        low_test(expiry_crosses_the_line_too),
        low_test(setting_of_zero_tells_nobody),
        low_test(threshold_that_nobody_can_charge_is_a_line_of_its_own),
        low_test(chargeable_top_up_begins_below_its_threshold),
        low_test(top_up_switched_on_below_its_threshold_begins),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
