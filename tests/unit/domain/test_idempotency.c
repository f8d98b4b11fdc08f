#include "domain/idempotency.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "store_call.h"

static const int64_t DAY_MS = (int64_t)24 * 3600 * 1000;

/* --- asking --- */

static struct actor key_actor(enum environment environment)
{
    return (struct actor){ .kind = ACTOR_API_KEY,
                           .org_id = id_new(ID_ORGANISATION, START_MS),
                           .key_id = id_new(ID_API_KEY, START_MS),
                           .environment = environment };
}

static struct actor worker_actor(void)
{
    return (struct actor){ .kind = ACTOR_WORKER,
                           .worker_id = id_new(ID_WORKER, START_MS),
                           .session_id = id_new(ID_SESSION, START_MS) };
}

static int idempotency_setup(void **state)
{
    if (store_call_setup(state)) return -1;
    struct store_call *at = *state;
    at->call.actor = key_actor(ENVIRONMENT_LIVE);
    return 0;
}

#define idempotency_test(name)                                                                     \
    cmocka_unit_test_setup_teardown(name, idempotency_setup, store_call_teardown)

static struct idempotency asked(const char *operation, const char *key, const char *body)
{
    struct idempotency idempotency = { .operation = str_of(operation), .key = str_of(key) };
    idempotency_fingerprint(STR("POST"), STR("/v1/jobs"), STR_NONE, str_of(body),
                            idempotency.fingerprint);
    return idempotency;
}

/* Of the one who asks now. */
static const struct idempotency *of_actor(struct store_call        *at,
                                          const struct idempotency *idempotency)
{
    struct idempotency *own = NEW(&at->arena, struct idempotency, 1);
    *own = *idempotency;
    idempotency_set_owner(own, &at->call.actor);
    return own;
}

static enum err find(struct store_call *at, const struct idempotency *idempotency,
                     struct stored_reply *reply, bool *ret_is_there)
{
    return idempotency_find(&at->call, of_actor(at, idempotency), reply, ret_is_there);
}

static void store_reply(struct store_call *at, const struct idempotency *idempotency,
                        const struct stored_reply *reply, bool is_secret)
{
    assert_done(&at->call,
                idempotency_store(&at->call, of_actor(at, idempotency), reply, is_secret));
}

static void store(struct store_call *at, const struct idempotency *idempotency, const char *body,
                  bool is_secret)
{
    struct stored_reply reply = { 201, STR_NONE, str_of(body) };
    store_reply(at, idempotency, &reply, is_secret);
}

static bool is_found(struct store_call *at, const struct idempotency *idempotency,
                     struct stored_reply *reply)
{
    bool is_there = false;
    assert_done(&at->call, find(at, idempotency, reply, &is_there));
    return is_there;
}

static void assert_replays(struct store_call *at, const struct idempotency *idempotency,
                           const char *body)
{
    struct stored_reply reply;
    assert_true(is_found(at, idempotency, &reply));
    assert_int_equal(reply.status, 201);
    assert_true(str_eq(reply.body, str_of(body)));
}

static void assert_unknown(struct store_call *at, const struct idempotency *idempotency)
{
    struct stored_reply reply;
    assert_false(is_found(at, idempotency, &reply));
}

static void assert_reused(struct store_call *at, const struct idempotency *idempotency)
{
    struct stored_reply reply = { .status = -7 };
    bool                is_there;
    assert_refused(&at->call, find(at, idempotency, &reply, &is_there), ERR_CONFLICT,
                   "idempotency_key_reused");
    assert_int_equal(reply.status, -7);
}

/* --- keys and fingerprints --- */

static void key_has_1_to_255_visible_characters(void **state)
{
    (void)state;
    char key[256];
    memset(key, 'k', sizeof(key));
    assert_true(idempotency_key_is_valid((struct str){ key, 1 }));
    assert_true(idempotency_key_is_valid((struct str){ key, 255 }));
    assert_false(idempotency_key_is_valid((struct str){ key, 256 }));
    assert_true(idempotency_key_is_valid(STR("!\"#~[]{}\\ok")));
    static const char *const bad[] = { "", " ", "a b", "a\t", "a\x7f", "a\n", "\xc3\xa9", "a\x01" };
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        assert_false(idempotency_key_is_valid(str_of(bad[i])));
    assert_false(idempotency_key_is_valid(STR("a\0b")));
    assert_false(idempotency_key_is_valid(STR_NONE));
}

static void fingerprint_changes_with_each_part_of_the_request(void **state)
{
    (void)state;
    const struct {
        struct str method, path, query, body;
    } requests[] = {
        { STR("POST"), STR("/v1/jobs"), STR_NONE, STR("{}") },
        { STR("PUT"), STR("/v1/jobs"), STR_NONE, STR("{}") },
        { STR("POST"), STR("/v1/jobs/"), STR_NONE, STR("{}") },
        { STR("POST"), STR("/v1/jobs"), STR("a=1"), STR("{}") },
        { STR("POST"), STR("/v1/jobs"), STR_NONE, STR("{} ") },
        { STR("POST"), STR("/v1/jobs"), STR_NONE, STR("") },
        { STR("POST"), STR("/v1/jobs"), STR("\n{}"), STR("") }, /* parts do not run together */
        { STR("POST"), STR("/v1/jobs"), STR("a"), STR("=1{}") },
        { STR("POST"), STR("/v1/jobs"), STR_NONE, STR("{\0}") },
    };
    unsigned char prints[COUNT_OF(requests)][SHA256_BYTES], again[SHA256_BYTES];
    for (size_t i = 0; i < COUNT_OF(requests); i++) {
        idempotency_fingerprint(requests[i].method, requests[i].path, requests[i].query,
                                requests[i].body, prints[i]);
        idempotency_fingerprint(requests[i].method, requests[i].path, requests[i].query,
                                requests[i].body, again);
        assert_memory_equal(prints[i], again, SHA256_BYTES);
        for (size_t j = 0; j < i; j++)
            assert_memory_not_equal(prints[i], prints[j], SHA256_BYTES);
    }
}

/* --- replays --- */

static void key_is_unknown_until_it_is_stored(void **state)
{
    struct idempotency idempotency = asked("createJob", "k", "{}");
    assert_unknown(*state, &idempotency);
    store(*state, &idempotency, "{\"id\":1}", false);
    assert_replays(*state, &idempotency, "{\"id\":1}");
    assert_replays(*state, &idempotency, "{\"id\":1}");
}

static void key_with_another_request_is_a_conflict(void **state)
{
    struct idempotency first = asked("createJob", "k", "{}"),
                       other = asked("createJob", "k", "{ }");
    store(*state, &first, "1", false);
    assert_reused(*state, &other);
    assert_replays(*state, &first, "1");
}

static void reply_that_is_rebuilt_keeps_its_resource_only(void **state)
{
    struct store_call  *at = *state;
    struct idempotency  idempotency = asked("createJob", "k", "{}");
    struct stored_reply reply = { 201, STR("job_1"), STR_NONE };
    store_reply(at, &idempotency, &reply, false);
    reply = (struct stored_reply){ 0 };
    assert_true(is_found(at, &idempotency, &reply));
    assert_int_equal(reply.status, 201);
    assert_true(str_eq(reply.resource_id, STR("job_1")));
    assert_null(reply.body.data);
}

static void reply_without_a_body_replays_as_such(void **state)
{
    struct store_call  *at = *state;
    struct idempotency  idempotency = asked("revoke", "k", "");
    struct stored_reply reply = { 204, STR_NONE, STR("") };
    store_reply(at, &idempotency, &reply, false);
    assert_true(is_found(at, &idempotency, &reply));
    assert_int_equal(reply.status, 204);
    assert_int_equal(reply.body.len, 0);
    assert_null(reply.resource_id.data);
}

static void keys_of_others_are_other_keys(void **state)
{
    struct store_call *at = *state;
    struct idempotency idempotency = asked("createJob", "k", "{}"),
                       operation = asked("rateJob", "k", "{}"), key = asked("createJob", "K", "{}");
    struct actor owner = at->call.actor;
    store(at, &idempotency, "mine", false);

    assert_unknown(at, &operation);
    assert_unknown(at, &key);
    at->call.actor.environment = ENVIRONMENT_TEST;
    assert_unknown(at, &idempotency);
    at->call.actor = key_actor(ENVIRONMENT_LIVE);
    assert_unknown(at, &idempotency);
    store(at, &idempotency, "theirs", false);
    at->call.actor = worker_actor();
    assert_unknown(at, &idempotency);

    at->call.actor = owner;
    at->call.actor.key_id = id_new(ID_API_KEY, START_MS); /* another key of the organisation */
    assert_replays(at, &idempotency, "mine");
}

static void workers_have_keys_of_their_own(void **state)
{
    struct store_call *at = *state;
    struct idempotency idempotency = asked("acceptJob", "k", "{}");
    struct actor       worker = worker_actor();
    at->call.actor = worker;
    store(at, &idempotency, "mine", false);
    at->call.actor = worker_actor();
    assert_unknown(at, &idempotency);
    at->call.actor = worker;
    at->call.actor.session_id = id_new(ID_SESSION, START_MS); /* signed in again */
    assert_replays(at, &idempotency, "mine");
}

static void key_is_kept_for_24_hours(void **state)
{
    struct store_call *at = *state;
    struct idempotency idempotency = asked("createJob", "k", "{}"),
                       other = asked("createJob", "k", "other");
    store(at, &idempotency, "1", false);
    at->call.now_ms = START_MS + DAY_MS - 1;
    assert_replays(at, &idempotency, "1");
    assert_reused(at, &other);
    at->call.now_ms = START_MS + DAY_MS;
    assert_unknown(at, &idempotency);
    assert_unknown(at, &other);
}

static void key_past_its_time_is_bound_anew(void **state)
{
    struct store_call *at = *state;
    struct idempotency first = asked("createJob", "k", "{}"), later = asked("createJob", "k", "[]");
    store(at, &first, "secret", true);
    at->call.now_ms = START_MS + DAY_MS;
    store(at, &later, "2", false);
    assert_replays(at, &later, "2");
    assert_reused(at, &first);
    at->call.now_ms = START_MS + 2 * DAY_MS - 1;
    assert_replays(at, &later, "2");
}

static void sweep_drops_what_is_past_its_time(void **state)
{
    struct store_call *at = *state;
    int64_t            count = -1;
    for (int i = 0; i < 5; i++) {
        char key[16];
        snprintf(key, sizeof(key), "k%d", i);
        struct idempotency idempotency = asked("createJob", key, "{}");
        at->call.now_ms = START_MS + i;
        store(at, &idempotency, "1", false);
    }
    at->call.now_ms = START_MS + DAY_MS + 3; /* of the first four the time has come */
    assert_done(&at->call, idempotency_sweep(&at->call, 3, &count));
    assert_int_equal(count, 3);
    assert_done(&at->call, idempotency_sweep(&at->call, 3, &count));
    assert_int_equal(count, 1);
    assert_done(&at->call, idempotency_sweep(&at->call, 3, &count));
    assert_int_equal(count, 0);
    struct idempotency last = asked("createJob", "k4", "{}");
    assert_replays(at, &last, "1");
}

/* --- replies that carry a secret --- */

static const char SECRET_BODY[] = "{\"secret\":\"fh_live_hunter2\"}";

static void secret_reply_is_sealed_at_rest(void **state)
{
    struct store_call *at = *state;
    struct idempotency idempotency = asked("createApiKey", "k", "{}");
    store(at, &idempotency, SECRET_BODY, true);
    assert_int_equal(scratch_int(at->db, "SELECT instr(response, CAST('hunter2' AS BLOB))"
                                         " FROM idempotency"),
                     0);
    assert_int_equal(scratch_int(at->db, "SELECT is_sealed FROM idempotency"), 1);
}

static void secret_body_leaves_no_quick_hash_of_itself(void **state)
{
    struct store_call *at = *state;
    struct idempotency idempotency = asked("joinWithInvite", "k", "{\"password\":\"hunter2\"}"),
                       other = asked("joinWithInvite", "k", "{\"password\":\"hunter3\"}");
    idempotency.has_secret_body = other.has_secret_body = true;
    store(at, &idempotency, SECRET_BODY, true);
    struct stmt *q = db_query(at->db, "SELECT 1 FROM idempotency WHERE fingerprint = $1");
    bind_bytes(q, 1, (struct str){ (const char *)idempotency.fingerprint, SHA256_BYTES });
    assert_false(stmt_step(q));
    assert_int_equal(stmt_end(q, &at->call.error), ERR_OK);
    assert_replays(at, &idempotency, SECRET_BODY);
    assert_reused(at, &other);
}

/* As a sign-up has it: nobody's credential, and a key that is hidden. */
static struct idempotency asked_by_nobody(struct store_call *at, const char *key)
{
    struct idempotency idempotency = asked("signUp", key, "{}");
    at->call.actor = (struct actor){ .kind = ACTOR_NOBODY };
    idempotency.has_secret_body = idempotency.has_secret_key = true;
    idempotency_set_server_owner(&idempotency);
    return idempotency;
}

static void store_sign_up(struct store_call *at, const struct idempotency *idempotency)
{
    struct stored_reply reply = { 201, STR_NONE, str_of(SECRET_BODY) };
    assert_done(&at->call, idempotency_store(&at->call, idempotency, &reply, true));
}

static bool is_signed_up(struct store_call *at, const struct idempotency *idempotency)
{
    struct stored_reply reply = { 0 };
    bool                is_there = false;
    assert_done(&at->call, idempotency_find(&at->call, idempotency, &reply, &is_there));
    if (is_there) assert_true(str_eq(reply.body, str_of(SECRET_BODY)));
    return is_there;
}

static void hidden_key_is_found_again_but_not_read_from_the_store(void **state)
{
    struct store_call *at = *state;
    struct idempotency idempotency = asked_by_nobody(at, "0123456789012345678901"),
                       other = asked_by_nobody(at, "0123456789012345678902");
    store_sign_up(at, &idempotency);
    assert_int_equal(scratch_int(at->db, "SELECT count(*) FROM idempotency"
                                         " WHERE key LIKE '%0123456789012345678901%'"),
                     0);
    assert_true(is_signed_up(at, &idempotency));
    assert_false(is_signed_up(at, &other));
}

static void secret_reply_replays_to_the_key_that_asked(void **state)
{
    struct store_call *at = *state;
    struct idempotency idempotency = asked("createApiKey", "k", "{}");
    struct actor       asker = at->call.actor;
    store(at, &idempotency, SECRET_BODY, true);
    assert_replays(at, &idempotency, SECRET_BODY);
    at->call.actor.key_id = id_new(ID_API_KEY, START_MS);
    assert_reused(at, &idempotency);
    at->call.actor = asker;
    assert_replays(at, &idempotency, SECRET_BODY);
}

static void assert_does_not_open(struct store_call *at, const struct idempotency *idempotency)
{
    struct stored_reply reply;
    bool                is_there;
    assert_refused(&at->call, find(at, idempotency, &reply, &is_there), ERR_INTERNAL,
                   "unseal_failed");
}

static void secret_reply_that_was_tampered_with_does_not_open(void **state)
{
    struct store_call *at = *state;
    struct idempotency idempotency = asked("createApiKey", "k", "{}");
    store(at, &idempotency, SECRET_BODY, true);
    scratch_script(at->db, "UPDATE idempotency SET response = substr(response, 1,"
                           " length(response) - 1) || x'00'");
    assert_does_not_open(at, &idempotency);
    scratch_script(at->db, "UPDATE idempotency SET response = NULL");
    assert_does_not_open(at, &idempotency);
}

static void secret_reply_moved_to_another_row_does_not_open(void **state)
{
    struct store_call *at = *state;
    struct idempotency idempotency = asked("createApiKey", "k", "{}"),
                       other = asked("createApiKey", "k2", "{}");
    store(at, &idempotency, SECRET_BODY, true);
    scratch_script(at->db, "UPDATE idempotency SET key = 'k2'");
    assert_does_not_open(at, &other);
    scratch_script(at->db, "UPDATE idempotency SET key = 'k', environment = 1");
    at->call.actor.environment = ENVIRONMENT_TEST;
    assert_does_not_open(at, &idempotency);
    at->call.actor.environment = ENVIRONMENT_LIVE;
    at->call.actor.org_id = id_new(ID_ORGANISATION, START_MS);
    scratch_script(at->db,
                   str_format(&at->arena, "UPDATE idempotency SET environment = 0, owner_id = '%s'",
                              at->call.actor.org_id.text)
                       .data);
    assert_does_not_open(at, &idempotency);
}

static void request_with_a_secret_body_is_known_under_an_older_server_key(void **state)
{
    struct store_call *at = *state;
    struct idempotency idempotency = asked("join", "k", "{}");
    idempotency.has_secret_body = true;
    store_call_key(at, "1 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n");
    store(at, &idempotency, SECRET_BODY, true);
    store_call_key(at, "2 bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb\n"
                       "1 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n");
    assert_replays(at, &idempotency, SECRET_BODY);
    idempotency.fingerprint[0] ^= 1;
    assert_reused(at, &idempotency);
}

static void hidden_key_is_found_under_each_server_key_that_is_held(void **state)
{
    struct store_call *at = *state;
    struct idempotency idempotency = asked_by_nobody(at, "0123456789012345678901");
    int64_t            count;
    store_call_key(at, "1 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n");
    store_sign_up(at, &idempotency);
    store_call_key(at, "3 cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc\n"
                       "2 bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb\n"
                       "1 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n");
    assert_true(is_signed_up(at, &idempotency));
    assert_done(&at->call, idempotency_reseal(&at->call, &count));
    assert_int_equal(count, 1);
    assert_true(is_signed_up(at, &idempotency));
    idempotency.fingerprint[0] ^= 1;
    struct stored_reply reply;
    bool                is_there;
    assert_refused(&at->call, idempotency_find(&at->call, &idempotency, &reply, &is_there),
                   ERR_CONFLICT, "idempotency_key_reused");
    store_call_key(at, "3 cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc\n");
    assert_false(is_signed_up(at, &idempotency));
}

static void secret_reply_opens_under_an_older_server_key(void **state)
{
    struct store_call *at = *state;
    struct idempotency idempotency = asked("createApiKey", "k", "{}");
    store_call_key(at, "1 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n");
    store(at, &idempotency, SECRET_BODY, true);
    store_call_key(at, "2 bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb\n"
                       "1 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n");
    assert_replays(at, &idempotency, SECRET_BODY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(key_has_1_to_255_visible_characters),
        cmocka_unit_test(fingerprint_changes_with_each_part_of_the_request),
        idempotency_test(key_is_unknown_until_it_is_stored),
        idempotency_test(key_with_another_request_is_a_conflict),
        idempotency_test(reply_that_is_rebuilt_keeps_its_resource_only),
        idempotency_test(reply_without_a_body_replays_as_such),
        idempotency_test(keys_of_others_are_other_keys),
        idempotency_test(workers_have_keys_of_their_own),
        idempotency_test(key_is_kept_for_24_hours),
        idempotency_test(key_past_its_time_is_bound_anew),
        idempotency_test(sweep_drops_what_is_past_its_time),
        idempotency_test(secret_reply_is_sealed_at_rest),
        idempotency_test(secret_body_leaves_no_quick_hash_of_itself),
        idempotency_test(hidden_key_is_found_again_but_not_read_from_the_store),
        idempotency_test(secret_reply_replays_to_the_key_that_asked),
        idempotency_test(secret_reply_that_was_tampered_with_does_not_open),
        idempotency_test(secret_reply_moved_to_another_row_does_not_open),
        idempotency_test(secret_reply_opens_under_an_older_server_key),
        idempotency_test(hidden_key_is_found_under_each_server_key_that_is_held),
        idempotency_test(request_with_a_secret_body_is_known_under_an_older_server_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
