#include "domain/saved_card.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "billing_market.h"

static void newest_card_stands(void **state)
{
    struct market *market = *state;
    struct str     customer, method;
    DONE(market, saved_card_of(&market->call, &market->org_id, &customer, &method));
    assert_null(customer.data);
    assert_null(method.data);
    billing_card(market);
    DONE(market,
         saved_card_put(&market->call, &market->org_id, STR("cus_2"), STR("pm_2"), market->now_ms));
    DONE(market, saved_card_put(&market->call, &market->org_id, STR("cus_1"), STR("pm_1"),
                                market->now_ms - 1));
    DONE(market, saved_card_of(&market->call, &market->org_id, &customer, &method));
    assert_true(str_eq(customer, STR("cus_2")));
    assert_true(str_eq(method, STR("pm_2")));
}

static void card_is_the_organisations_own(void **state)
{
    struct market *market = *state;
    struct str     customer;
    billing_card(market);
    struct id other = market_organisation(market, 0);
    DONE(market, saved_card_of(&market->call, &other, &customer, NULL));
    assert_null(customer.data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        market_test(newest_card_stands),
        market_test(card_is_the_organisations_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
