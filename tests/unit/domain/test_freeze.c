#include "domain/freeze.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "billing_market.h"

static bool freeze(struct market *market, const char *event_id, const struct purchase *purchase)
{
    bool is_new;
    DONE(market, freeze_add(&market->call, str_of(event_id), purchase, STR("refunded"), &is_new));
    return is_new;
}

static void frozen_organisation_posts_no_live_job(void **state)
{
    struct market  *market = *state;
    struct purchase purchase = billing_purchase(market, 1000);
    struct job      asked = market_job_asked(1, 10);
    market_job(market, 1, 10);
    assert_true(freeze(market, "evt_1", &purchase));
    REFUSED_UNWRITTEN(market, job_create(&market->call, &asked), ERR_FORBIDDEN,
                      "organization_frozen");
    market->actor.environment = ENVIRONMENT_TEST;
    DONE(market, job_create(&market->call, &asked));
    market_start_at(market, 1000);
    market_job(market, 1, 10);
}

static void event_told_again_does_not_freeze_again(void **state)
{
    struct market  *market = *state;
    struct purchase purchase = billing_purchase(market, 1000);
    int64_t         count;
    assert_true(freeze(market, "evt_1", &purchase));
    assert_false(freeze(market, "evt_1", &purchase));
    assert_true(freeze(market, "evt_2", &purchase));
    DONE(market, freeze_lift(&market->call, &market->org_id, &count));
    assert_int_equal(count, 2);
    DONE(market, freeze_lift(&market->call, &market->org_id, &count));
    assert_int_equal(count, 0);
    assert_false(freeze(market, "evt_1", &purchase));
    market_job(market, 1, 10);
    assert_true(freeze(market, "evt_3", &purchase));
    REFUSED(market, freeze_check(&market->call, &market->org_id, ENVIRONMENT_LIVE), ERR_FORBIDDEN,
            "organization_frozen");
}

static void freeze_waits_a_month_for_its_payment(void **state)
{
    struct market  *market = *state;
    struct purchase purchase = billing_purchase(market, 1000);
    struct str      reason = STR("disputed");
    bool            is_new;
    purchase.payment_id = STR("pi_1");
    for (int i = 0; i < 2; i++)
        DONE(market, freeze_await(&market->call, STR("evt_1"), STR("pi_1"), reason));
    DONE(market, freeze_await(&market->call, STR("evt_2"), STR("pi_1"), reason));
    DONE(market, freeze_await(&market->call, STR("evt_3"), STR("pi_other"), reason));
    DONE(market, freeze_await(&market->call, STR("evt_4"), STR_NONE, reason));
    DONE(market, freeze_awaited(&market->call, &purchase, &is_new));
    assert_true(is_new);
    assert_int_equal(market_int(market, "SELECT count(*) FROM freezes"), 2);
    DONE(market, freeze_awaited(&market->call, &purchase, &is_new));
    assert_false(is_new);
    market->now_ms += FREEZE_AWAITED_MS - 1;
    DONE(market, freeze_await(&market->call, STR("evt_5"), STR("pi_5"), reason));
    assert_int_equal(market_int(market, "SELECT count(*) FROM contested_payments"), 2);
    market->now_ms += 1;
    DONE(market, freeze_await(&market->call, STR("evt_5"), STR("pi_5"), reason));
    assert_int_equal(market_int(market, "SELECT count(*) FROM contested_payments"), 1);
}

static void lifting_one_organisations_freeze_leaves_the_others(void **state)
{
    struct market  *market = *state;
    struct purchase purchase = billing_purchase(market, 1000);
    struct id       first = market->org_id;
    int64_t         count;
    assert_true(freeze(market, "evt_1", &purchase));
    market_start_at(market, 1000);
    purchase = billing_purchase(market, 1000);
    assert_true(freeze(market, "evt_2", &purchase));
    DONE(market, freeze_lift(&market->call, &market->org_id, &count));
    assert_int_equal(count, 1);
    REFUSED(market, freeze_check(&market->call, &first, ENVIRONMENT_LIVE), ERR_FORBIDDEN,
            "organization_frozen");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        market_test(frozen_organisation_posts_no_live_job),
        market_test(event_told_again_does_not_freeze_again),
        market_test(freeze_waits_a_month_for_its_payment),
        market_test(lifting_one_organisations_freeze_leaves_the_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
