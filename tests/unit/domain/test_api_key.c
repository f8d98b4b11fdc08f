#include "domain/api_key.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "domain/organisation.h"
#include "store_call.h"

static const int64_t HOUR_MS = 3600 * 1000;

/* --- two organisations --- */

struct fixture {
    struct store_call *at;
    struct call       *call;
    struct id          org, other_org;
    struct api_key     live, test; /* of org: all scopes, no expiry */
};

static struct api_key operator_key(struct call *call, const struct id *org,
                                   enum environment environment, unsigned scopes,
                                   int64_t expires_ms)
{
    struct actor   before = call->actor;
    struct api_key key;
    call->actor = (struct actor){ .kind = ACTOR_OPERATOR };
    assert_done(call, api_key_create(call, org,
                                     &(struct key_request){ .name = STR("a key"),
                                                            .scopes = scopes,
                                                            .environment = environment,
                                                            .expires_ms = expires_ms },
                                     &key));
    call->actor = before;
    return key;
}

static int fixture_setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    void           *at;
    store_call_setup(&at);
    fixture->at = at;
    fixture->call = &fixture->at->call;
    assert_done(fixture->call, organisation_create(fixture->call, STR("A"), STR("a@example.com"), 0,
                                                   &fixture->org));
    assert_done(fixture->call, organisation_create(fixture->call, STR("B"), STR("b@example.com"), 0,
                                                   &fixture->other_org));
    fixture->live = operator_key(fixture->call, &fixture->org, ENVIRONMENT_LIVE, SCOPES_ALL, 0);
    fixture->test = operator_key(fixture->call, &fixture->org, ENVIRONMENT_TEST, SCOPES_ALL, 0);
    *state = fixture;
    return 0;
}

static int fixture_teardown(void **state)
{
    struct fixture *fixture = *state;
    void           *at = fixture->at;
    store_call_teardown(&at);
    free(fixture);
    return 0;
}

#define key_test(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

static struct actor authenticated(struct call *call, struct str secret)
{
    struct actor actor = { 0 };
    assert_done(call, api_key_authenticate(call, secret, &actor));
    return actor;
}

/* From here on the call is a request with this key. */
static void act_as(struct call *call, const struct api_key *key)
{
    call->actor = authenticated(call, key->secret);
}

static struct key_request request_of(enum environment environment, unsigned scopes,
                                     int64_t expires_ms)
{
    return (struct key_request){
        .name = STR("made"), .scopes = scopes, .environment = environment, .expires_ms = expires_ms
    };
}

static enum err create(struct call *call, enum environment environment, unsigned scopes,
                       int64_t expires_ms, struct api_key *ret_key)
{
    struct key_request request = request_of(environment, scopes, expires_ms);
    return api_key_create(call, &call->actor.org_id, &request, ret_key);
}

static struct api_key created(struct call *call, enum environment environment, unsigned scopes,
                              int64_t expires_ms)
{
    struct api_key key;
    assert_done(call, create(call, environment, scopes, expires_ms, &key));
    return key;
}

static void assert_not_created(struct call *call, enum environment environment, unsigned scopes,
                               int64_t expires_ms, const char *slug)
{
    int64_t        before = scratch_int(call->db, "SELECT count(*) FROM api_keys");
    struct api_key key;
    assert_refused(call, create(call, environment, scopes, expires_ms, &key), ERR_FORBIDDEN, slug);
    assert_int_equal(scratch_int(call->db, "SELECT count(*) FROM api_keys"), before);
}

static int64_t rotated(struct call *call, const struct api_key *key, struct api_key *ret_key)
{
    int64_t old_ends_ms = -1;
    assert_done(call, api_key_rotate(call, id_str(&key->id), ret_key, &old_ends_ms));
    return old_ends_ms;
}

static void assert_not_rotated(struct call *call, const struct api_key *key, enum err code,
                               const char *slug)
{
    struct api_key new_key;
    int64_t        ends_ms;
    assert_refused(call, api_key_rotate(call, id_str(&key->id), &new_key, &ends_ms), code, slug);
}

static void assert_locked_out(struct call *call, struct str secret, const char *slug)
{
    struct actor actor;
    assert_refused(call, api_key_authenticate(call, secret, &actor), ERR_UNAUTHENTICATED, slug);
}

/* --- secrets --- */

static void secret_shows_its_environment_prefix_and_hint(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(fixture->live.secret.len, KEY_SECRET_BYTES);
    assert_true(str_starts_with(fixture->live.secret, STR("fh_live_")));
    assert_true(str_starts_with(fixture->test.secret, STR("fh_test_")));
    assert_true(api_key_is_well_formed(fixture->live.secret));
    assert_true(api_key_is_well_formed(fixture->test.secret));
    assert_int_equal(fixture->live.prefix.len, 12);
    assert_true(str_starts_with(fixture->live.secret, fixture->live.prefix));
    assert_int_equal(fixture->live.hint.len, 4);
    assert_true(str_ends_with(fixture->live.secret, fixture->live.hint));
}

static void secret_is_nowhere_in_the_store(void **state)
{
    struct fixture *fixture = *state;
    struct stmt    *q = db_query(fixture->call->db, "SELECT count(*) FROM api_keys WHERE id || name"
                                                       " || prefix || hint || hash LIKE $1");
    struct str      secret = str_take(str_skip(fixture->live.secret, 12), 20);
    bind_text(q, 1, str_format(fixture->call->arena, "%%%.*s%%", STR_ARG(secret)));
    assert_true(stmt_step(q));
    assert_int_equal(column_int(q, 0), 0);
    assert_done(fixture->call, stmt_end(q, &fixture->call->error));
}

static void key_says_who_asks(void **state)
{
    struct fixture *fixture = *state;
    struct api_key  key =
        operator_key(fixture->call, &fixture->other_org, ENVIRONMENT_TEST,
                     BIT(SCOPE_JOBS_READ) | BIT(SCOPE_AUDIT_READ), START_MS + HOUR_MS);
    struct actor actor = authenticated(fixture->call, key.secret);
    assert_int_equal(actor.kind, ACTOR_API_KEY);
    assert_true(id_eq(&actor.org_id, &fixture->other_org));
    assert_true(id_eq(&actor.key_id, &key.id));
    assert_int_equal(actor.environment, ENVIRONMENT_TEST);
    assert_int_equal(actor.scopes, BIT(SCOPE_JOBS_READ) | BIT(SCOPE_AUDIT_READ));
    assert_int_equal(actor.key_ends_ms, START_MS + HOUR_MS);
}

static void unknown_secrets_are_refused(void **state)
{
    struct fixture *fixture = *state;
    struct call    *call = fixture->call;
    struct str      secret = fixture->live.secret;
    struct str      well_formed = STR("fh_live_000000000000000000000000000000003oqUsv");
    assert_true(api_key_is_well_formed(well_formed));
    assert_locked_out(call, well_formed, "bad_credentials");
    assert_locked_out(call, str_take(secret, secret.len - 1), "bad_credentials");
    assert_locked_out(call, str_format(call->arena, "%.*s ", STR_ARG(secret)), "bad_credentials");
    assert_locked_out(call, STR(""), "bad_credentials");
    assert_locked_out(call, STR_NONE, "bad_credentials");
    assert_locked_out(call, STR("' OR 1=1 --"), "bad_credentials");
}

static void key_is_found_under_every_listed_server_key(void **state)
{
    struct fixture *fixture = *state;
    struct call    *call = fixture->call;
    store_call_key(fixture->at,
                   "1 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n");
    struct api_key old = operator_key(call, &fixture->org, ENVIRONMENT_LIVE, SCOPES_ALL, 0);
    store_call_key(fixture->at,
                   "2 bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb\n"
                   "1 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n");
    struct api_key new_key = operator_key(call, &fixture->org, ENVIRONMENT_LIVE, SCOPES_ALL, 0);
    authenticated(call, old.secret);
    authenticated(call, new_key.secret);
    store_call_key(fixture->at,
                   "2 bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb\n");
    assert_locked_out(call, old.secret, "bad_credentials");
    authenticated(call, new_key.secret);
}

/* --- making --- */

static void live_key_makes_keys_of_both_environments(void **state)
{
    struct fixture *fixture = *state;
    act_as(fixture->call, &fixture->live);
    struct api_key live = created(fixture->call, ENVIRONMENT_LIVE, SCOPES_ALL, 0);
    struct api_key test = created(fixture->call, ENVIRONMENT_TEST, SCOPES_ALL, 0);
    assert_int_equal(authenticated(fixture->call, live.secret).environment, ENVIRONMENT_LIVE);
    assert_int_equal(authenticated(fixture->call, test.secret).environment, ENVIRONMENT_TEST);
}

static void test_key_makes_test_keys_only(void **state)
{
    struct fixture *fixture = *state;
    act_as(fixture->call, &fixture->test);
    created(fixture->call, ENVIRONMENT_TEST, SCOPES_ALL, 0);
    assert_not_created(fixture->call, ENVIRONMENT_LIVE, BIT(SCOPE_JOBS_READ), 0,
                       "environment_forbidden");
}

static void key_gives_no_scope_it_lacks(void **state)
{
    struct fixture *fixture = *state;
    struct call    *call = fixture->call;
    unsigned        scopes = BIT(SCOPE_KEYS_MANAGE) | BIT(SCOPE_JOBS_READ);
    struct api_key  key = operator_key(call, &fixture->org, ENVIRONMENT_LIVE, scopes, 0);
    act_as(call, &key);
    created(call, ENVIRONMENT_LIVE, BIT(SCOPE_JOBS_READ), 0);
    created(call, ENVIRONMENT_LIVE, scopes, 0);
    for (int i = 0; i < SCOPE__COUNT; i++)
        if (!(scopes & BIT(i)))
            assert_not_created(call, ENVIRONMENT_LIVE, BIT(i) | BIT(SCOPE_JOBS_READ), 0,
                               "scope_exceeds_own");
}

static void expiry_must_lie_in_the_future(void **state)
{
    struct fixture *fixture = *state;
    struct call    *call = fixture->call;
    struct api_key  key;
    act_as(call, &fixture->live);
    assert_refused(call, create(call, ENVIRONMENT_LIVE, 1, START_MS, &key), ERR_UNPROCESSABLE,
                   "body_invalid");
    assert_fault(call, "expires_at", "in_past");
    assert_refused(call, create(call, ENVIRONMENT_LIVE, 1, 1, &key), ERR_UNPROCESSABLE,
                   "body_invalid");
    assert_refused(call, create(call, ENVIRONMENT_LIVE, 1, -1, &key), ERR_UNPROCESSABLE,
                   "body_invalid");
    error_clear(&call->error);
    assert_int_equal(created(call, ENVIRONMENT_LIVE, 1, START_MS + 1).expires_ms, START_MS + 1);
}

static void expired_key_is_locked_out_at_its_instant(void **state)
{
    struct fixture *fixture = *state;
    struct call    *call = fixture->call;
    struct api_key  key =
        operator_key(call, &fixture->org, ENVIRONMENT_LIVE, SCOPES_ALL, START_MS + 1000);
    call->now_ms = START_MS + 999;
    act_as(call, &key);
    assert_done(call, api_key_recheck(call));
    call->now_ms = START_MS + 1000;
    assert_locked_out(call, key.secret, "key_expired");
    assert_refused(call, api_key_recheck(call), ERR_UNAUTHENTICATED, "key_expired");
}

static void key_that_ends_makes_none_that_lives_longer(void **state)
{
    struct fixture *fixture = *state;
    struct call    *call = fixture->call;
    int64_t         end_ms = START_MS + HOUR_MS;
    struct api_key  key = operator_key(call, &fixture->org, ENVIRONMENT_LIVE, SCOPES_ALL, end_ms);
    act_as(call, &key);
    assert_not_created(call, ENVIRONMENT_LIVE, 1, 0, "key_outlives_own");
    assert_not_created(call, ENVIRONMENT_TEST, 1, 0, "key_outlives_own");
    assert_not_created(call, ENVIRONMENT_LIVE, 1, end_ms + 1, "key_outlives_own");
    created(call, ENVIRONMENT_LIVE, 1, end_ms);
}

/* --- rotating --- */

static void rotation_keeps_what_the_key_is(void **state)
{
    struct fixture *fixture = *state;
    struct call    *call = fixture->call;
    struct api_key  old = operator_key(call, &fixture->org, ENVIRONMENT_TEST, BIT(SCOPE_JOBS_READ),
                                       START_MS + 100 * HOUR_MS),
                   new_key;
    act_as(call, &fixture->live);
    int64_t ends_ms = rotated(call, &old, &new_key);
    assert_int_equal(ends_ms, START_MS + 24 * HOUR_MS);
    assert_false(id_eq(&new_key.id, &old.id));
    assert_false(str_eq(new_key.secret, old.secret));
    assert_true(str_eq(new_key.name, old.name));
    assert_int_equal(new_key.scopes, BIT(SCOPE_JOBS_READ));
    assert_int_equal(new_key.environment, ENVIRONMENT_TEST);
    assert_int_equal(new_key.expires_ms, START_MS + 100 * HOUR_MS);
    assert_int_equal(new_key.state, KEY_ACTIVE);
    assert_true(str_starts_with(new_key.secret, STR("fh_test_")));
}

static void rotated_key_works_for_24_hours_more(void **state)
{
    struct fixture *fixture = *state;
    struct call    *call = fixture->call;
    struct api_key  new_key;
    act_as(call, &fixture->live);
    rotated(call, &fixture->live, &new_key);

    call->now_ms = START_MS + 24 * HOUR_MS - 1;
    struct actor old = authenticated(call, fixture->live.secret);
    assert_int_equal(old.key_ends_ms, START_MS + 24 * HOUR_MS);
    assert_int_equal(authenticated(call, new_key.secret).key_ends_ms, 0);
    assert_done(call, api_key_recheck(call));

    call->now_ms = START_MS + 24 * HOUR_MS;
    assert_locked_out(call, fixture->live.secret, "key_revoked");
    assert_refused(call, api_key_recheck(call), ERR_UNAUTHENTICATED, "key_revoked");
    authenticated(call, new_key.secret);
}

static void rotated_key_never_outlives_its_expiry(void **state)
{
    struct fixture *fixture = *state;
    struct call    *call = fixture->call;
    struct api_key  new_key,
        old = operator_key(call, &fixture->org, ENVIRONMENT_LIVE, SCOPES_ALL, START_MS + HOUR_MS);
    act_as(call, &old);
    assert_int_equal(rotated(call, &old, &new_key), START_MS + HOUR_MS);
    assert_int_equal(new_key.expires_ms, START_MS + HOUR_MS);
    call->now_ms = START_MS + HOUR_MS;
    assert_locked_out(call, new_key.secret, "key_expired");
    struct actor actor;
    assert_int_equal(api_key_authenticate(call, old.secret, &actor), ERR_UNAUTHENTICATED);
}

static void only_an_active_key_is_rotated(void **state)
{
    struct fixture *fixture = *state;
    struct call    *call = fixture->call;
    struct api_key  new_key, newest;
    struct api_key  expiring =
        operator_key(call, &fixture->org, ENVIRONMENT_TEST, 1, START_MS + HOUR_MS);
    act_as(call, &fixture->live);
    rotated(call, &fixture->test, &new_key);
    assert_not_rotated(call, &fixture->test, ERR_CONFLICT, "key_not_active"); /* rotating */
    call->now_ms = START_MS + 24 * HOUR_MS;
    assert_not_rotated(call, &fixture->test, ERR_CONFLICT, "key_not_active"); /* past its end */
    assert_not_rotated(call, &expiring, ERR_CONFLICT, "key_not_active");      /* expired */
    rotated(call, &new_key, &newest);
    assert_done(call, api_key_revoke(call, id_str(&newest.id)));
    assert_not_rotated(call, &newest, ERR_CONFLICT, "key_not_active"); /* revoked */
}

static void rotation_needs_the_scopes_of_the_key(void **state)
{
    struct fixture *fixture = *state;
    struct call    *call = fixture->call;
    struct api_key  small =
        operator_key(call, &fixture->org, ENVIRONMENT_LIVE, BIT(SCOPE_KEYS_MANAGE), 0);
    act_as(call, &small);
    assert_not_rotated(call, &fixture->live, ERR_FORBIDDEN, "scope_exceeds_own");
    assert_int_equal(authenticated(call, fixture->live.secret).key_ends_ms, 0);

    /* Who may not rotate a key is not told what state it is in. */
    struct api_key new_key;
    act_as(call, &fixture->live);
    rotated(call, &fixture->live, &new_key);
    act_as(call, &small);
    assert_not_rotated(call, &fixture->live, ERR_FORBIDDEN, "scope_exceeds_own");
}

static void rotating_key_does_not_live_on_in_another(void **state)
{
    struct fixture *fixture = *state;
    struct call    *call = fixture->call;
    struct api_key  new_key, other = operator_key(call, &fixture->org, ENVIRONMENT_LIVE, 1, 0);
    int64_t         end_ms = START_MS + 24 * HOUR_MS;
    act_as(call, &fixture->live);
    rotated(call, &fixture->live, &new_key);
    act_as(call, &fixture->live);
    assert_not_created(call, ENVIRONMENT_LIVE, 1, 0, "key_outlives_own");
    assert_not_created(call, ENVIRONMENT_LIVE, 1, end_ms + 1, "key_outlives_own");
    assert_not_rotated(call, &other, ERR_FORBIDDEN, "key_outlives_own");
    created(call, ENVIRONMENT_LIVE, 1, end_ms);
}

/* The key was rotated by another request of the same batch, after this one was let in. */
static void key_rotated_meanwhile_does_not_live_on_either(void **state)
{
    struct fixture *fixture = *state;
    struct call    *call = fixture->call;
    struct api_key  new_key;
    act_as(call, &fixture->live);
    struct actor let_in_before = call->actor;
    rotated(call, &fixture->live, &new_key);
    call->actor = let_in_before;
    assert_done(call, api_key_recheck(call));
    assert_int_equal(call->actor.key_ends_ms, START_MS + 24 * HOUR_MS);
    assert_not_created(call, ENVIRONMENT_LIVE, 1, 0, "key_outlives_own");
}

/* --- revoking --- */

static void revoked_key_is_locked_out_at_once_and_for_ever(void **state)
{
    struct fixture *fixture = *state;
    struct call    *call = fixture->call;
    act_as(call, &fixture->live);
    assert_done(call, api_key_revoke(call, id_str(&fixture->test.id)));
    assert_locked_out(call, fixture->test.secret, "key_revoked");
    assert_done(call, api_key_revoke(call, id_str(&fixture->test.id)));
    assert_locked_out(call, fixture->test.secret, "key_revoked");
    assert_not_rotated(call, &fixture->test, ERR_CONFLICT, "key_not_active");
}

static void key_may_revoke_itself(void **state)
{
    struct fixture *fixture = *state;
    struct call    *call = fixture->call;
    act_as(call, &fixture->live);
    assert_done(call, api_key_revoke(call, id_str(&fixture->live.id)));
    assert_refused(call, api_key_recheck(call), ERR_UNAUTHENTICATED, "key_revoked");
    assert_locked_out(call, fixture->live.secret, "key_revoked");
}

static void rotating_key_may_be_revoked_before_its_end(void **state)
{
    struct fixture *fixture = *state;
    struct call    *call = fixture->call;
    struct api_key  new_key;
    act_as(call, &fixture->live);
    rotated(call, &fixture->live, &new_key);
    act_as(call, &new_key);
    assert_done(call, api_key_revoke(call, id_str(&fixture->live.id)));
    assert_locked_out(call, fixture->live.secret, "key_revoked");
    authenticated(call, new_key.secret);
}

/* --- whose keys --- */

static void assert_unseen(struct call *call, struct str id_text)
{
    struct api_key key;
    int64_t        ends_ms;
    assert_refused(call, api_key_revoke(call, id_text), ERR_NOT_FOUND, "key");
    assert_refused(call, api_key_rotate(call, id_text, &key, &ends_ms), ERR_NOT_FOUND, "key");
}

static void other_organisations_keys_do_not_exist(void **state)
{
    struct fixture *fixture = *state;
    struct call    *call = fixture->call;
    struct api_key other = operator_key(call, &fixture->other_org, ENVIRONMENT_LIVE, SCOPES_ALL, 0);
    act_as(call, &fixture->live);
    assert_unseen(call, id_str(&other.id));
    authenticated(call, other.secret);
}

static void live_keys_do_not_exist_for_test_keys(void **state)
{
    struct fixture *fixture = *state;
    struct call    *call = fixture->call;
    struct api_key  second;
    act_as(call, &fixture->test);
    assert_unseen(call, id_str(&fixture->live.id));
    rotated(call, &fixture->test, &second);
    authenticated(call, fixture->live.secret);
}

static void malformed_ids_do_not_exist(void **state)
{
    struct fixture          *fixture = *state;
    static const char *const ids[] = { "",
                                       "key_",
                                       "key_1",
                                       "job_01ARZ3NDEKTSV4RRFFQ69G5FAV",
                                       "key_01ARZ3NDEKTSV4RRFFQ69G5FAV",
                                       "key_%",
                                       "' OR 1=1 --" };
    act_as(fixture->call, &fixture->live);
    for (size_t i = 0; i < COUNT_OF(ids); i++)
        assert_unseen(fixture->call, str_of(ids[i]));
}

static int listed(struct call *call, const struct id *before, int count, struct api_key *rows)
{
    struct page_search search = { 0 };
    assert_done(call, api_key_list(call, before, count, rows, &search));
    return search.count;
}

static void live_key_lists_both_environments_and_test_key_its_own(void **state)
{
    struct fixture *fixture = *state;
    struct call    *call = fixture->call;
    struct api_key  rows[8];
    struct id       none = { 0 };
    operator_key(call, &fixture->other_org, ENVIRONMENT_LIVE, SCOPES_ALL, 0);
    act_as(call, &fixture->live);
    assert_int_equal(listed(call, &none, 8, rows), 2);
    assert_true(id_eq(&rows[0].id, &fixture->test.id)); /* newest first */
    assert_true(id_eq(&rows[1].id, &fixture->live.id));
    assert_null(rows[0].secret.data);
    act_as(call, &fixture->test);
    assert_int_equal(listed(call, &none, 8, rows), 1);
    assert_true(id_eq(&rows[0].id, &fixture->test.id));
}

static void list_goes_on_after_a_row(void **state)
{
    struct fixture *fixture = *state;
    struct call    *call = fixture->call;
    struct api_key  rows[2], made[5];
    struct id       before = { 0 };
    act_as(call, &fixture->live);
    for (int i = 0; i < 5; i++)
        made[i] = created(call, ENVIRONMENT_TEST, 1, 0);
    for (int i = 4; i > 0; i -= 2) {
        assert_int_equal(listed(call, &before, 2, rows), 2);
        assert_true(id_eq(&rows[0].id, &made[i].id));
        assert_true(id_eq(&rows[1].id, &made[i - 1].id));
        before = rows[1].id;
    }
    assert_int_equal(listed(call, &before, 2, rows), 2);
    assert_true(id_eq(&rows[0].id, &made[0].id));
    assert_int_equal(listed(call, &fixture->live.id, 2, rows), 0);
}

/* Live keys, newer than any that a test makes. */
static void fill_with_live_keys(struct fixture *fixture, int count)
{
    struct error error = { 0 };
    struct stmt *q = db_query(
        fixture->call->db, "WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1"
                           " FROM numbers WHERE n < $2) INSERT INTO api_keys (id, org_id,"
                           " environment, name, prefix, hint, hash, scopes, status, created_ms)"
                           " SELECT printf('key_7ZZZZZZZZZZZZZZZZZZZ%06d', n), $1, 0, '', '', '',"
                           " printf('%d', n), 0, 'active', 0 FROM numbers");
    bind_id(q, 1, &fixture->org);
    bind_int(q, 2, count);
    assert_int_equal(stmt_run(q, &error, NULL), ERR_OK);
}

static void list_is_cut_after_so_many_keys_and_goes_on_behind_the_last(void **state)
{
    struct fixture    *fixture = *state;
    struct call       *call = fixture->call;
    struct api_key     row;
    struct id          none = { 0 };
    struct page_search search;
    fill_with_live_keys(fixture, PAGE_SCAN_ROWS_MAX + 1);
    act_as(call, &fixture->test);
    assert_done(call, api_key_list(call, &none, 1, &row, &search));
    assert_int_equal(search.count, 0);
    assert_true(page_search_is_cut(&search));
    assert_int_equal(listed(call, &search.last_seen, 1, &row), 1);
    assert_true(id_eq(&row.id, &fixture->test.id));
}

static void list_shows_states_as_they_are_now(void **state)
{
    struct fixture *fixture = *state;
    struct call    *call = fixture->call;
    struct api_key  rows[4], new_key;
    struct id       none = { 0 };
    act_as(call, &fixture->live);
    rotated(call, &fixture->test, &new_key);
    assert_int_equal(listed(call, &none, 4, rows), 3);
    assert_int_equal(rows[0].state, KEY_ACTIVE);
    assert_int_equal(rows[1].state, KEY_ROTATING);
    assert_int_equal(rows[1].rotation_ends_ms, START_MS + 24 * HOUR_MS);
    call->now_ms = START_MS + 24 * HOUR_MS;
    listed(call, &none, 4, rows);
    assert_int_equal(rows[1].state, KEY_REVOKED);
    assert_string_equal(key_state_name(KEY_ACTIVE), "active");
    assert_string_equal(key_state_name(KEY_ROTATING), "rotating");
    assert_string_equal(key_state_name(KEY_REVOKED), "revoked");
}

static void last_use_only_moves_forward(void **state)
{
    struct fixture *fixture = *state;
    struct call    *call = fixture->call;
    struct api_key  rows[2];
    struct id       none = { 0 };
    act_as(call, &fixture->test);
    listed(call, &none, 2, rows);
    assert_int_equal(rows[0].last_used_ms, 0);
    assert_done(call, api_key_touch(call, &fixture->test.id, START_MS + 5));
    assert_done(call, api_key_touch(call, &fixture->test.id, START_MS + 3));
    listed(call, &none, 2, rows);
    assert_int_equal(rows[0].last_used_ms, START_MS + 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        key_test(secret_shows_its_environment_prefix_and_hint),
        key_test(secret_is_nowhere_in_the_store),
        key_test(key_says_who_asks),
        key_test(unknown_secrets_are_refused),
        key_test(key_is_found_under_every_listed_server_key),
        key_test(live_key_makes_keys_of_both_environments),
        key_test(test_key_makes_test_keys_only),
        key_test(key_gives_no_scope_it_lacks),
        key_test(expiry_must_lie_in_the_future),
        key_test(expired_key_is_locked_out_at_its_instant),
        key_test(key_that_ends_makes_none_that_lives_longer),
        key_test(rotation_keeps_what_the_key_is),
        key_test(rotated_key_works_for_24_hours_more),
        key_test(rotated_key_never_outlives_its_expiry),
        key_test(only_an_active_key_is_rotated),
        key_test(rotation_needs_the_scopes_of_the_key),
        key_test(rotating_key_does_not_live_on_in_another),
        key_test(key_rotated_meanwhile_does_not_live_on_either),
        key_test(revoked_key_is_locked_out_at_once_and_for_ever),
        key_test(key_may_revoke_itself),
        key_test(rotating_key_may_be_revoked_before_its_end),
        key_test(other_organisations_keys_do_not_exist),
        key_test(live_keys_do_not_exist_for_test_keys),
        key_test(malformed_ids_do_not_exist),
        key_test(live_key_lists_both_environments_and_test_key_its_own),
        key_test(list_goes_on_after_a_row),
        key_test(list_is_cut_after_so_many_keys_and_goes_on_behind_the_last),
        key_test(list_shows_states_as_they_are_now),
        key_test(last_use_only_moves_forward),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
