#include "domain/server_key.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "credentials.h"
#include "domain/idempotency.h"
#include "domain/webhook_endpoint.h"

static const struct idempotency asked = { .operation = { "createApiKey", 12 },
                                          .key = { "k-1", 3 },
                                          .owner_id = { "org_00000000000000000000000001" },
                                          .asker_id = { "key_00000000000000000000000001" } };

static void as_key(struct store_call *at)
{
    at->call.actor = (struct actor){
        .kind = ACTOR_API_KEY,
        .org_id = id_from_store(STR("org_00000000000000000000000001")),
        .key_id = id_from_store(STR("key_00000000000000000000000001")),
    };
}

static void store_secret_reply(struct store_call *at)
{
    struct stored_reply reply = { .status = 201, .body = STR("the secret") };
    as_key(at);
    assert_done(&at->call, idempotency_store(&at->call, &asked, &reply, true));
}

static void sealed_replies_open_without_the_old_key_once_sealed_anew(void **state)
{
    struct store_call  *at = *state;
    struct stored_reply reply;
    bool                is_there;
    int64_t             count;
    store_call_key(at, BEFORE);
    store_secret_reply(at);
    store_call_key(at, AFTER);
    assert_done(&at->call, server_key_reseal(&at->call, &count));
    assert_int_equal(count, 1);
    assert_done(&at->call, server_key_reseal(&at->call, &count));
    assert_int_equal(count, 0);
    store_call_key(at, DROPPED);
    assert_done(&at->call, idempotency_find(&at->call, &asked, &reply, &is_there));
    assert_true(is_there && str_eq(reply.body, STR("the secret")));
}

static void both_secrets_of_an_endpoint_open_without_the_old_key_once_sealed_anew(void **state)
{
    struct store_call      *at = *state;
    struct id               org_id;
    struct webhook_endpoint endpoint = { .url = STR("https://example.org"), .events = 1 };
    struct str              first, current, old;
    int64_t                 count;
    store_call_key(at, BEFORE);
    assert_done(&at->call,
                organisation_create(&at->call, STR("A"), STR("a@example.com"), 0, &org_id));
    at->call.actor = (struct actor){ .kind = ACTOR_API_KEY, .org_id = org_id };
    assert_done(&at->call, webhook_endpoint_create(&at->call, &endpoint, &endpoint));
    first = endpoint.signing_secret;
    assert_done(&at->call, webhook_endpoint_rotate(&at->call, &endpoint));
    store_call_key(at, AFTER);
    assert_done(&at->call, server_key_reseal(&at->call, &count));
    assert_int_equal(count, 2);
    store_call_key(at, DROPPED);
    assert_done(&at->call, webhook_endpoint_get(&at->call, id_str(&endpoint.id), &endpoint));
    assert_done(&at->call, webhook_endpoint_open_secrets(&at->call, &endpoint, &current, &old));
    assert_true(str_eq(old, first) && !str_eq(current, first));
}

static void value_that_does_not_open_is_left_as_it_is(void **state)
{
    struct store_call *at = *state;
    int64_t            count;
    store_call_key(at, BEFORE);
    store_secret_reply(at);
    scratch_script(at->db, "UPDATE idempotency SET response = x'01ff'");
    store_call_key(at, AFTER);
    assert_done(&at->call, server_key_reseal(&at->call, &count));
    assert_int_equal(count, 0);
    assert_int_equal(
        scratch_int(at->db, "SELECT count(*) FROM idempotency WHERE response = x'01ff'"), 1);
}

static void entering_is_noted_once_with_its_time(void **state)
{
    struct store_call *at = *state;
    int64_t            count, since_ms;
    store_call_key(at, AFTER);
    assert_done(&at->call, server_key_since(&at->call, 2, &since_ms));
    assert_int_equal(since_ms, 0);
    for (int i = 0; i < 2; i++) {
        assert_done(&at->call, server_key_enter(&at->call, &count));
        assert_done(&at->call, server_key_since(&at->call, 2, &since_ms));
        assert_int_equal(since_ms, START_MS);
        at->call.now_ms += 1000;
    }
    assert_int_equal(scratch_int(at->db, "SELECT count(*) FROM audit_events WHERE org_id = ''"
                                         " AND action = 'server_key.rotated' AND object_id = '2'"),
                     1);
}

static void state_is_what_the_server_has_loaded(void **state)
{
    struct store_call      *at = *state;
    struct server_key_state loaded;
    assert_done(&at->call, server_key_read_state(&at->call, &loaded));
    assert_true(loaded.used == 0 && loaded.highest_known == 0);
    store_call_key(at, BEFORE);
    assert_done(&at->call, server_key_tell_state(&at->call));
    store_call_key(at, AFTER);
    assert_done(&at->call, server_key_tell_state(&at->call));
    assert_done(&at->call, server_key_read_state(&at->call, &loaded));
    assert_true(loaded.used == 2 && loaded.highest_known == 2);
    int64_t changes = scratch_int(at->db, "SELECT total_changes()");
    assert_done(&at->call, server_key_tell_state(&at->call));
    assert_int_equal(scratch_int(at->db, "SELECT total_changes()"), changes);
}

static struct server_key_usage usage_of(struct store_call *at, int number)
{
    struct server_key_usage usage;
    assert_done(&at->call, server_key_find_usage(&at->call, number, &usage));
    return usage;
}

static const char OTHER[] = "2 00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff\n";

static void key_is_recognized_and_another_of_its_number_is_not(void **state)
{
    struct store_call *at = *state;
    store_call_key(at, BEFORE);
    assert_done(&at->call, server_key_recognize(&at->call));
    store_call_key(at, AFTER);
    assert_done(&at->call, server_key_recognize(&at->call));
    store_call_key(at, DROPPED);
    assert_done(&at->call, server_key_recognize(&at->call));
    store_call_key(at, OTHER);
    assert_refused(&at->call, server_key_recognize(&at->call), ERR_UNAVAILABLE,
                   "server_key_foreign");
}

static void old_key_is_needed_by_what_is_good_under_it(void **state)
{
    struct store_call    *at = *state;
    struct id             org_id, worker_id;
    struct api_key        key;
    struct worker_session session;
    struct invite         invite;
    struct key_request    request = { .name = STR("k"), .scopes = 1 };
    store_call_key(at, BEFORE);
    assert_done(&at->call,
                organisation_create(&at->call, STR("A"), STR("a@example.com"), 0, &org_id));
    for (int i = 0; i < 3; i++)
        assert_done(&at->call, api_key_create(&at->call, &org_id, &request, &key));
    request.expires_ms = START_MS + 1000;
    assert_done(&at->call, api_key_create(&at->call, &org_id, &request, &key));
    worker_id = credentials_worker(at);
    assert_done(&at->call, worker_session_create(&at->call, &worker_id, 0, &session));
    assert_done(&at->call, worker_session_create(&at->call, &worker_id, 2000, &session));
    assert_done(&at->call, invite_create(&at->call, STR_NONE, &invite));

    struct server_key_usage usage = usage_of(at, 1);
    assert_true(usage.api_keys == 4 && usage.sessions == 2 && usage.invites == 1);
    assert_false(server_key_is_unused(&usage));
    usage = usage_of(at, 2);
    assert_true(server_key_is_unused(&usage));

    at->call.now_ms += 3000; /* what has ended needs nothing */
    usage = usage_of(at, 1);
    assert_true(usage.api_keys == 3 && usage.sessions == 1 && usage.invites == 1);
    at->call.now_ms += SERVER_KEY_KEPT_MS;
    assert_int_equal(usage_of(at, 1).invites, 0);
    scratch_script(at->db, "UPDATE api_keys SET status = 'revoked' WHERE expires_ms IS NULL");
    scratch_script(at->db, "UPDATE worker_sessions SET server_key = 2");
    usage = usage_of(at, 1);
    assert_true(server_key_is_unused(&usage));
}

static void old_key_is_needed_by_a_key_that_is_rotating_and_by_no_invite_that_is_spent(void **state)
{
    struct store_call *at = *state;
    struct invite      invite;
    store_call_key(at, BEFORE);
    credentials_key(at);
    credentials_worker(at);
    assert_done(&at->call, invite_create(&at->call, STR_NONE, &invite));
    scratch_script(at->db, "UPDATE api_keys SET status = 'rotating', rotation_ends_ms ="
                           " created_ms + 1000");
    struct server_key_usage usage = usage_of(at, 1);
    assert_true(usage.api_keys == 1 && usage.invites == 1);
    at->call.now_ms += 1000;
    usage = usage_of(at, 1);
    assert_true(usage.api_keys == 0 && usage.sessions == 0);
    assert_false(server_key_is_unused(&usage)); /* the invite alone needs it */
    scratch_script(at->db, "UPDATE invites SET worker_id = (SELECT id FROM workers)");
    usage = usage_of(at, 1);
    assert_true(server_key_is_unused(&usage));
}

static void credential_of_an_unknown_key_may_need_any(void **state)
{
    struct store_call *at = *state;
    credentials_key(at);
    scratch_script(at->db, "UPDATE api_keys SET server_key = NULL");
    assert_int_equal(usage_of(at, 1).api_keys, 1);
    assert_int_equal(usage_of(at, 7).api_keys, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        store_call_test(sealed_replies_open_without_the_old_key_once_sealed_anew),
        store_call_test(both_secrets_of_an_endpoint_open_without_the_old_key_once_sealed_anew),
        store_call_test(value_that_does_not_open_is_left_as_it_is),
        store_call_test(entering_is_noted_once_with_its_time),
        store_call_test(state_is_what_the_server_has_loaded),
        store_call_test(key_is_recognized_and_another_of_its_number_is_not),
        store_call_test(old_key_is_needed_by_what_is_good_under_it),
        store_call_test(old_key_is_needed_by_a_key_that_is_rotating_and_by_no_invite_that_is_spent),
        store_call_test(credential_of_an_unknown_key_may_need_any),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
