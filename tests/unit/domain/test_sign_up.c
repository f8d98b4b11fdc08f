#include "domain/sign_up.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "domain/ledger.h"

#include "store_call.h"

static void open_door(struct store_call *at, int64_t credit_cents)
{
    at->config.signup = STR("open");
    at->config.signup_credit_cents = credit_cents;
    at->call.actor = (struct actor){ .kind = ACTOR_NOBODY };
}

static void assert_key(struct store_call *at, const struct api_key *key, const struct id *org_id,
                       enum environment environment)
{
    struct actor actor;
    assert_int_equal(api_key_authenticate(&at->call, key->secret, &actor), ERR_OK);
    assert_true(id_eq(&actor.org_id, org_id));
    assert_int_equal(actor.environment, environment);
    assert_int_equal(actor.scopes, SCOPES_ALL);
    assert_int_equal(actor.key_ends_ms, 0);
}

static void closed_unless_the_operator_opens_it(void **state)
{
    struct store_call *at = *state;
    struct sign_up     made = { .name = STR("A"), .email = STR("a@example.com") };
    at->call.actor = (struct actor){ .kind = ACTOR_NOBODY };
    assert_refused(&at->call, sign_up(&at->call, &made), ERR_FORBIDDEN, "signup_closed");
}

static void makes_an_organisation_with_a_key_of_each_environment(void **state)
{
    struct store_call *at = *state;
    struct sign_up     made = { .name = STR("A"), .email = STR("a@example.com") };
    struct balance     balance;
    open_door(at, 0);
    assert_done(&at->call, sign_up(&at->call, &made));
    assert_key(at, &made.live, &made.org_id, ENVIRONMENT_LIVE);
    assert_key(at, &made.test, &made.org_id, ENVIRONMENT_TEST);
    assert_int_equal(made.credits_cents, 0);
    assert_done(&at->call, ledger_balance(&at->call, &made.org_id, ENVIRONMENT_LIVE, &balance));
    assert_int_equal(balance.balance_cents, 0);
}

static void grants_what_the_operator_set_as_free_tier(void **state)
{
    struct store_call *at = *state;
    struct sign_up     made = { .name = STR("A"), .email = STR("a@example.com") };
    struct balance     balance;
    open_door(at, 250);
    assert_done(&at->call, sign_up(&at->call, &made));
    assert_int_equal(made.credits_cents, 250);
    assert_done(&at->call, ledger_balance(&at->call, &made.org_id, ENVIRONMENT_LIVE, &balance));
    assert_int_equal(balance.balance_cents, 250);
    assert_int_equal(scratch_int(at->db, "SELECT count(*) FROM transfers WHERE kind = 'free_tier'"
                                         " AND environment = 0 AND amount_cents = 250"),
                     1);
}

static void address_opens_one_organisation(void **state)
{
    struct store_call *at = *state;
    struct sign_up     made = { .name = STR("A"), .email = STR("a@example.com") };
    struct sign_up     again = { .name = STR("B"), .email = STR("A@Example.COM") };
    open_door(at, 0);
    assert_done(&at->call, sign_up(&at->call, &made));
    assert_refused(&at->call, sign_up(&at->call, &again), ERR_CONFLICT, "email_taken");
}

static void name_and_address_must_be_such(void **state)
{
    struct store_call *at = *state;
    struct sign_up     unnamed = { .name = STR(""), .email = STR("a@example.com") };
    struct sign_up     unreachable = { .name = STR("A"), .email = STR("example.com") };
    open_door(at, 0);
    assert_refused(&at->call, sign_up(&at->call, &unnamed), ERR_INVALID, "bad_name");
    assert_refused(&at->call, sign_up(&at->call, &unreachable), ERR_INVALID, "bad_email");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        store_call_test(closed_unless_the_operator_opens_it),
        store_call_test(makes_an_organisation_with_a_key_of_each_environment),
        store_call_test(grants_what_the_operator_set_as_free_tier),
        store_call_test(address_opens_one_organisation),
        store_call_test(name_and_address_must_be_such),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
