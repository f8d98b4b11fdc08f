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
    DONE(market, freeze_add(&market->call, str_of(event_id), purchase, "refunded", &is_new));
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
        market_test(lifting_one_organisations_freeze_leaves_the_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
