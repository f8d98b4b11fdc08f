#include "domain/lot_warning.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "billing_market.h"

static int warn(struct market *market)
{
    int count;
    DONE(market, lot_warn_all(&market->call, 100, &count));
    return count;
}

static int64_t live_warnings(struct market *market)
{
    return market_int_of(market,
                         "SELECT count(*) FROM occurrences WHERE org_id = $1 AND"
                         " environment = 0 AND type = 'credits.expiring_soon'",
                         &market->org_id);
}

static void owner_is_told_once_thirty_days_before(void **state)
{
    struct market *market = *state;
    market_start_at(market, 0);
    market_grant(market, 500);
    billing_spend(market, 120);
    int64_t expires_ms = time_add_year(market->now_ms);
    market->now_ms = expires_ms - LOT_WARNING_MS - 1;
    warn(market);
    assert_int_equal(billing_told(market, "credits.expiring_soon"), 0);
    market->now_ms += 1;
    assert_true(warn(market) > 0);
    assert_int_equal(warn(market), 0);
    market->now_ms += MS_PER_DAY;
    assert_int_equal(warn(market), 0);
    billing_assert_last(market, "credits.expiring_soon", "\"amount_cents\":500");
    billing_assert_last(market, "credits.expiring_soon", "\"remaining_cents\":380");
    char expires[TIME_TEXT_BYTES];
    time_format(expires_ms, expires);
    billing_assert_last(market, "credits.expiring_soon", expires);
}

static void empty_and_expired_lots_are_not_told_of(void **state)
{
    struct market *market = *state;
    market_start_at(market, 0);
    market_grant(market, 50);
    billing_spend(market, 50);
    market->now_ms += MS_PER_DAY;
    market_grant(market, 70);
    int64_t expires_ms = time_add_year(market->now_ms);
    market->now_ms = expires_ms - LOT_WARNING_MS - 1; /* the time of the empty one alone */
    warn(market);
    assert_int_equal(live_warnings(market), 0);
    market->now_ms = expires_ms; /* the second has just expired */
    warn(market);
    assert_int_equal(live_warnings(market), 0);
    market->now_ms -= 1;
    warn(market);
    assert_int_equal(live_warnings(market), 1);
    billing_assert_last(market, "credits.expiring_soon", "\"amount_cents\":70");
}

static void count_bounds_one_commit(void **state)
{
    struct market *market = *state;
    market->now_ms = time_add_year(market->now_ms) - MS_PER_DAY;
    int count, all = 0;
    do {
        DONE(market, lot_warn_all(&market->call, 1, &count));
        all += count;
    } while (count == 1);
    assert_int_equal(all, 2); /* live and test */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        market_test(owner_is_told_once_thirty_days_before),
        market_test(empty_and_expired_lots_are_not_told_of),
        market_test(count_bounds_one_commit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
