#include "domain/credit_event.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "billing_market.h"

static void transaction_is_told_as_the_api_shows_it(void **state)
{
    struct market *market = *state;
    market_grant(market, 250);
    struct transaction rows[1];
    struct page_search search;
    DONE(market,
         ledger_list(&market->call, TRANSFER_KIND__COUNT, &(struct id){ 0 }, 1, rows, &search));
    DONE(market, credit_event(&market->call, EVENT_CREDITS_PURCHASED, &market->org_id,
                              ENVIRONMENT_LIVE, &rows[0]));
    billing_assert_last(market, "credits.purchased", "\"object\":\"credit_transaction\"");
    billing_assert_last(market, "credits.purchased", rows[0].id.text);
    billing_assert_last(market, "credits.purchased", "\"amount_cents\":250");
    assert_int_equal(market_int_of(market,
                                   "SELECT count(*) FROM occurrences WHERE org_id = $1"
                                   " AND data LIKE '%remaining_cents%'",
                                   &market->org_id),
                     0);
    scratch_script(market->db, "DELETE FROM occurrences"); /* it was a bonus, not a purchase */
}

static void balance_is_told_as_the_api_shows_it(void **state)
{
    struct market *market = *state;
    struct balance balance = market_balance(market);
    DONE(market,
         credit_event_of_balance(&market->call, &market->org_id, ENVIRONMENT_LIVE, &balance));
    billing_assert_last(market, "credits.low_balance", "{\"balance_cents\":100000,");
    assert_int_equal(market_int(market, "SELECT count(*) FROM occurrences WHERE data LIKE"
                                        " '%auto_top_up_disabled%'"),
                     0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        market_test(transaction_is_told_as_the_api_shows_it),
        market_test(balance_is_told_as_the_api_shows_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
