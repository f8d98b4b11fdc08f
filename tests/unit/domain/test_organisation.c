#include "domain/organisation.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "domain/account.h"

#include "store_call.h"

static struct id organisation(struct store_call *at, const char *email, int64_t credits_cents)
{
    struct id id;
    assert_done(&at->call,
                organisation_create(&at->call, STR("A buyer"), str_of(email), credits_cents, &id));
    return id;
}

static void act_for(struct store_call *at, const struct id *org, enum environment environment)
{
    at->call.actor =
        (struct actor){ .kind = ACTOR_API_KEY, .org_id = *org, .environment = environment };
}

/* --- making --- */

static void new_organisation_has_play_money_and_no_other(void **state)
{
    struct store_call *at = *state;
    organisation(at, "a@example.com", 0);
    assert_int_equal(
        scratch_int(at->db, "SELECT balance_cents FROM balances WHERE environment = 0"), 0);
    assert_int_equal(
        scratch_int(at->db, "SELECT balance_cents FROM balances WHERE environment = 1"), 10000000);
    assert_int_equal(scratch_int(at->db, "SELECT count(*) FROM transfers"), 1);
    assert_int_equal(
        scratch_int(at->db, "SELECT kind = 'free_tier' FROM transfers WHERE environment = 1"), 1);
}

static void granted_credits_are_one_live_bonus(void **state)
{
    struct store_call *at = *state;
    organisation(at, "a@example.com", 1234);
    assert_int_equal(
        scratch_int(at->db, "SELECT balance_cents FROM balances WHERE environment = 0"), 1234);
    assert_int_equal(scratch_int(at->db, "SELECT count(*) FROM transfers WHERE environment = 0"
                                         " AND kind = 'bonus' AND amount_cents = 1234"),
                     1);
    assert_int_equal(scratch_int(at->db, "SELECT granted_cents FROM lots WHERE environment = 0"),
                     1234);
}

static void email_belongs_to_one_organisation(void **state)
{
    struct store_call *at = *state;
    struct id          id = { 0 };
    organisation(at, "jo@example.com", 0);
    assert_refused(&at->call,
                   organisation_create(&at->call, STR("B"), STR("JO@Example.com"), 0, &id),
                   ERR_CONFLICT, "email_taken");
    assert_true(id_is_none(&id));
    assert_int_equal(scratch_int(at->db, "SELECT count(*) FROM organisations"), 1);
}

static void bad_organisations_are_refused_with_nothing_written(void **state)
{
    struct store_call *at = *state;
    struct call       *call = &at->call;
    struct id          id;
    char               name[ACCOUNT_NAME_MAX + 1];
    memset(name, 'n', sizeof(name));
    struct str email = STR("a@b");
    assert_refused(call, organisation_create(call, STR(""), email, 0, &id), ERR_INVALID,
                   "bad_name");
    assert_refused(call, organisation_create(call, STR_NONE, email, 0, &id), ERR_INVALID,
                   "bad_name");
    assert_refused(call, organisation_create(call, STR("\xff"), email, 0, &id), ERR_INVALID,
                   "bad_name");
    assert_refused(call,
                   organisation_create(call, (struct str){ name, sizeof(name) }, email, 0, &id),
                   ERR_INVALID, "bad_name");
    assert_refused(call, organisation_create(call, STR("A"), STR("a"), 0, &id), ERR_INVALID,
                   "bad_email");
    assert_refused(call, organisation_create(call, STR("A"), email, -1, &id), ERR_INVALID,
                   "bad_credits");
    assert_int_equal(scratch_int(at->db, "SELECT count(*) FROM organisations"), 0);
    assert_int_equal(scratch_int(at->db, "SELECT count(*) FROM transfers"), 0);
    assert_done(call,
                organisation_create(call, (struct str){ name, sizeof(name) - 1 }, email, 0, &id));
}

/* --- settings --- */

static struct settings got(struct store_call *at)
{
    struct settings settings;
    assert_done(&at->call, settings_get(&at->call, &settings));
    return settings;
}

static void put(struct store_call *at, struct settings settings)
{
    assert_done(&at->call, settings_put(&at->call, &settings));
}

static void settings_are_absent_until_they_are_set(void **state)
{
    struct store_call *at = *state;
    struct id          org = organisation(at, "a@b", 0);
    act_for(at, &org, ENVIRONMENT_LIVE);
    struct settings settings = got(at);
    assert_false(settings.has_fee);
    assert_false(settings.is_top_up_enabled);
    assert_false(settings.has_top_up_threshold);
    assert_false(settings.has_top_up_amount);
}

static void settings_read_back_and_clear(void **state)
{
    struct store_call *at = *state;
    struct id          org = organisation(at, "a@b", 0);
    act_for(at, &org, ENVIRONMENT_LIVE);
    put(at, (struct settings){ .has_fee = true,
                               .fee_ppm = 0, /* a share of nothing is a share */
                               .is_top_up_enabled = true,
                               .has_top_up_threshold = true,
                               .top_up_threshold_cents = 0,
                               .has_top_up_amount = true,
                               .top_up_amount_cents = 5000 });
    struct settings settings = got(at);
    assert_true(settings.has_fee);
    assert_int_equal(settings.fee_ppm, 0);
    assert_true(settings.is_top_up_enabled);
    assert_true(settings.has_top_up_threshold);
    assert_int_equal(settings.top_up_threshold_cents, 0);
    assert_int_equal(settings.top_up_amount_cents, 5000);
    put(at, (struct settings){ 0 });
    settings = got(at);
    assert_false(settings.has_fee);
    assert_false(settings.is_top_up_enabled);
    assert_false(settings.has_top_up_amount);
}

static void settings_belong_to_organisation_and_environment(void **state)
{
    struct store_call *at = *state;
    struct id          org = organisation(at, "a@b", 0), other = organisation(at, "c@d", 0);
    act_for(at, &org, ENVIRONMENT_LIVE);
    put(at, (struct settings){ .has_fee = true, .fee_ppm = 100000 });
    act_for(at, &org, ENVIRONMENT_TEST);
    assert_false(got(at).has_fee);
    put(at, (struct settings){ .has_fee = true, .fee_ppm = 300000 });
    act_for(at, &other, ENVIRONMENT_LIVE);
    assert_false(got(at).has_fee);
    act_for(at, &org, ENVIRONMENT_LIVE);
    assert_int_equal(got(at).fee_ppm, 100000);
}

static void top_up_needs_threshold_and_amount(void **state)
{
    struct store_call *at = *state;
    struct call       *call = &at->call;
    struct id          org = organisation(at, "a@b", 0);
    act_for(at, &org, ENVIRONMENT_LIVE);
    struct settings settings = { .is_top_up_enabled = true };
    assert_refused(call, settings_put(call, &settings), ERR_UNPROCESSABLE, "body_invalid");
    assert_int_equal(call->error.faults_count, 2);

    settings.has_top_up_threshold = true;
    assert_refused(call, settings_put(call, &settings), ERR_UNPROCESSABLE, "body_invalid");
    assert_fault(call, "auto_top_up_amount_cents", "required");

    settings.has_top_up_threshold = false;
    settings.has_top_up_amount = true;
    assert_refused(call, settings_put(call, &settings), ERR_UNPROCESSABLE, "body_invalid");
    assert_fault(call, "auto_top_up_threshold_cents", "required");
    assert_int_equal(scratch_int(at->db, "SELECT count(*) FROM organisation_settings"), 0);

    error_clear(&call->error);
    settings.has_top_up_threshold = true;
    assert_done(call, settings_put(call, &settings));
}

static void locked_fee_may_not_be_named_but_the_rest_may(void **state)
{
    struct store_call *at = *state;
    struct call       *call = &at->call;
    struct id          org = organisation(at, "a@b", 0);
    act_for(at, &org, ENVIRONMENT_LIVE);
    assert_done(call, settings_may_set_fee(call));
    at->config.platform_fee_locked = true;
    assert_refused(call, settings_may_set_fee(call), ERR_FORBIDDEN, "platform_fee_locked");
    error_clear(&call->error);
    put(at, (struct settings){ .has_top_up_amount = true, .top_up_amount_cents = 7 });
    assert_int_equal(got(at).top_up_amount_cents, 7);
}

static void fee_is_the_organisations_or_the_operators(void **state)
{
    struct store_call *at = *state;
    struct id          org = organisation(at, "a@b", 0);
    int64_t            ppm;
    act_for(at, &org, ENVIRONMENT_LIVE);
    assert_done(&at->call, organisation_fee_ppm(&at->call, &org, ENVIRONMENT_LIVE, &ppm));
    assert_int_equal(ppm, 200000);
    put(at, (struct settings){ .has_fee = true, .fee_ppm = 0 });
    assert_done(&at->call, organisation_fee_ppm(&at->call, &org, ENVIRONMENT_LIVE, &ppm));
    assert_int_equal(ppm, 0);
    assert_done(&at->call, organisation_fee_ppm(&at->call, &org, ENVIRONMENT_TEST, &ppm));
    assert_int_equal(ppm, 200000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        store_call_test(new_organisation_has_play_money_and_no_other),
        store_call_test(granted_credits_are_one_live_bonus),
        store_call_test(email_belongs_to_one_organisation),
        store_call_test(bad_organisations_are_refused_with_nothing_written),
        store_call_test(settings_are_absent_until_they_are_set),
        store_call_test(settings_read_back_and_clear),
        store_call_test(settings_belong_to_organisation_and_environment),
        store_call_test(top_up_needs_threshold_and_amount),
        store_call_test(locked_fee_may_not_be_named_but_the_rest_may),
        store_call_test(fee_is_the_organisations_or_the_operators),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
