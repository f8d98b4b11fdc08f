#include "domain/worker.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>

#include "domain/account.h"
#include "domain/organisation.h"

#include "store_call.h"

static const int64_t DAY_MS = (int64_t)24 * 3600 * 1000;

static struct id worker(struct store_call *at, const char *email)
{
    struct id id;
    assert_done(&at->call, worker_create(&at->call, STR("Jo"), str_of(email), STR_NONE, &id));
    return id;
}

static struct worker_session session(struct store_call *at, const struct id *worker_id,
                                     int64_t lifetime_ms)
{
    struct worker_session session;
    assert_done(&at->call, worker_session_create(&at->call, worker_id, lifetime_ms, &session));
    return session;
}

static struct actor authenticated(struct store_call *at, struct str token)
{
    struct actor actor = { 0 };
    assert_done(&at->call, worker_authenticate(&at->call, token, &actor));
    return actor;
}

static void assert_locked_out(struct store_call *at, struct str token, const char *slug)
{
    struct actor actor = { .kind = ACTOR_NOBODY };
    assert_refused(&at->call, worker_authenticate(&at->call, token, &actor), ERR_UNAUTHENTICATED,
                   slug);
    assert_int_equal(actor.kind, ACTOR_NOBODY);
}

/* --- accounts --- */

static void email_belongs_to_one_worker_however_it_is_written(void **state)
{
    struct store_call *at = *state;
    struct id          id = { 0 };
    worker(at, "Jo@Example.com");
    assert_refused(&at->call,
                   worker_create(&at->call, STR("Another"), STR("jo@EXAMPLE.com"), STR_NONE, &id),
                   ERR_CONFLICT, "email_taken");
    assert_true(id_is_none(&id));
    assert_int_equal(scratch_int(at->db, "SELECT email = 'jo@example.com' FROM workers"), 1);
}

static void bad_accounts_are_refused(void **state)
{
    struct store_call *at = *state;
    struct call       *call = &at->call;
    struct id          id;
    char               name[ACCOUNT_NAME_MAX + 1];
    memset(name, 'n', sizeof(name));
    struct str names[] = { STR(""), STR_NONE, STR("\xff"), { name, sizeof(name) } };
    for (size_t i = 0; i < COUNT_OF(names); i++)
        assert_refused(call, worker_create(call, names[i], STR("a@b"), STR_NONE, &id), ERR_INVALID,
                       "bad_name");
    assert_refused(call, worker_create(call, STR("Jo"), STR("jo"), STR_NONE, &id), ERR_INVALID,
                   "bad_email");
    assert_int_equal(scratch_int(at->db, "SELECT count(*) FROM workers"), 0);
}

static void login_is_found_however_the_address_is_written(void **state)
{
    struct store_call *at = *state;
    struct id          id, found;
    struct str         hash = STR_NONE;
    assert_done(&at->call,
                worker_create(&at->call, STR("Jo"), STR("jo@b.c"), STR("$argon2id$"), &id));
    assert_done(&at->call, worker_find_login(&at->call, STR("JO@b.C"), &found, &hash));
    assert_true(id_eq(&found, &id));
    assert_true(str_eq(hash, STR("$argon2id$")));
}

static void account_without_a_password_has_no_hash(void **state)
{
    struct store_call *at = *state;
    struct id          found;
    struct str         hash = STR("before");
    worker(at, "jo@b.c");
    assert_done(&at->call, worker_find_login(&at->call, STR("jo@b.c"), &found, &hash));
    assert_int_equal(hash.len, 0);
}

static void simulated_worker_is_one_a_number_and_nobody_who_signs_in(void **state)
{
    struct store_call *at = *state;
    struct id          org_id, first, again, second, found;
    struct str         hash;
    assert_done(&at->call, organisation_create(&at->call, STR("B"), STR("b@b.c"), 0, &org_id));
    assert_done(&at->call, worker_simulated(&at->call, &org_id, 0, &first));
    assert_done(&at->call, worker_simulated(&at->call, &org_id, 0, &again));
    assert_done(&at->call, worker_simulated(&at->call, &org_id, 1, &second));
    assert_true(id_eq(&first, &again));
    assert_false(id_eq(&first, &second));
    struct str address = str_format(&at->arena, "simulated:%s:0", org_id.text);
    assert_int_equal(scratch_int(at->db, "SELECT count(*) FROM workers WHERE email LIKE"
                                         " 'simulated:%:0' AND password_hash IS NULL"),
                     1);
    assert_refused(&at->call, worker_find_login(&at->call, address, &found, &hash),
                   ERR_UNAUTHENTICATED, "bad_credentials");
    assert_refused(&at->call, worker_create(&at->call, STR("Jo"), address, STR_NONE, &found),
                   ERR_INVALID, "bad_email");
}

static void unknown_logins_are_all_refused_alike(void **state)
{
    struct store_call       *at = *state;
    struct id                found;
    struct str               hash;
    static const char *const emails[] = { "nobody@b.c", "", "jo", "jo@b.c ", "' OR 1=1 --" };
    worker(at, "jo@b.c");
    for (size_t i = 0; i < COUNT_OF(emails); i++) {
        assert_refused(&at->call, worker_find_login(&at->call, str_of(emails[i]), &found, &hash),
                       ERR_UNAUTHENTICATED, "bad_credentials");
        assert_string_equal(at->call.error.detail, "wrong e-mail address or password");
    }
}

/* --- sessions --- */

static void token_says_who_asks(void **state)
{
    struct store_call    *at = *state;
    struct id             jo = worker(at, "jo@b.c");
    struct worker_session made = session(at, &jo, WORKER_SESSION_LIFETIME_MS);
    assert_true(str_starts_with(made.token, STR("fh_wkr_")));
    assert_int_equal(made.expires_ms, START_MS + 90 * DAY_MS);
    struct actor actor = authenticated(at, made.token);
    assert_int_equal(actor.kind, ACTOR_WORKER);
    assert_true(id_eq(&actor.worker_id, &jo));
    assert_true(id_eq(&actor.session_id, &made.id));
    assert_true(id_is_none(&actor.org_id));
    assert_int_equal(actor.scopes, 0);
}

static void other_tokens_are_refused(void **state)
{
    struct store_call    *at = *state;
    struct id             jo = worker(at, "jo@b.c");
    struct worker_session made = session(at, &jo, 0);
    assert_locked_out(at, STR_NONE, "bad_credentials");
    assert_locked_out(at, STR(""), "bad_credentials");
    assert_locked_out(at, str_take(made.token, made.token.len - 1), "bad_credentials");
    assert_locked_out(at, STR("fh_live_000000000000000000000000000000003oqUsv"), "bad_credentials");
}

static void token_is_nowhere_in_the_store(void **state)
{
    struct store_call    *at = *state;
    struct id             jo = worker(at, "jo@b.c");
    struct worker_session made = session(at, &jo, 0);
    struct stmt *q = db_query(at->db, "SELECT count(*) FROM worker_sessions WHERE token_hash = $1");
    bind_text(q, 1, made.token);
    assert_true(stmt_step(q));
    assert_int_equal(column_int(q, 0), 0);
    assert_done(&at->call, stmt_end(q, &at->call.error));
}

static void session_lasts_90_days_from_its_last_use(void **state)
{
    struct store_call    *at = *state;
    struct id             jo = worker(at, "jo@b.c");
    struct worker_session made = session(at, &jo, WORKER_SESSION_LIFETIME_MS);
    int64_t               last_ms = START_MS;
    for (int i = 0; i < 5; i++) { /* used again at the last moment */
        at->call.now_ms = last_ms + 90 * DAY_MS - 1;
        at->call.actor = authenticated(at, made.token);
        assert_done(&at->call, worker_recheck(&at->call));
        last_ms = at->call.now_ms;
        assert_done(&at->call, worker_session_touch(&at->call, &made.id, last_ms));
    }
    at->call.now_ms = last_ms + 90 * DAY_MS;
    assert_locked_out(at, made.token, "session_expired");
    assert_refused(&at->call, worker_recheck(&at->call), ERR_UNAUTHENTICATED, "session_expired");
}

static void older_use_does_not_shorten_a_session(void **state)
{
    struct store_call    *at = *state;
    struct id             jo = worker(at, "jo@b.c");
    struct worker_session made = session(at, &jo, WORKER_SESSION_LIFETIME_MS);
    assert_done(&at->call, worker_session_touch(&at->call, &made.id, START_MS + 5));
    assert_done(&at->call, worker_session_touch(&at->call, &made.id, START_MS + 3));
    at->call.now_ms = START_MS + 4 + 90 * DAY_MS;
    authenticated(at, made.token);
}

static void session_of_the_operator_does_not_expire(void **state)
{
    struct store_call    *at = *state;
    struct id             jo = worker(at, "jo@b.c");
    struct worker_session made = session(at, &jo, 0);
    assert_int_equal(made.expires_ms, 0);
    at->call.now_ms = START_MS + 36500 * DAY_MS;
    authenticated(at, made.token);
}

static int64_t sessions_count(struct store_call *at)
{
    struct stmt *q = db_query(at->db, "SELECT count(*) FROM worker_sessions");
    int64_t      count = stmt_step(q) ? column_int(q, 0) : -1;
    assert_int_equal(stmt_end(q, &at->call.error), ERR_OK);
    return count;
}

static void signing_in_leaves_no_session_that_has_expired(void **state)
{
    struct store_call    *at = *state;
    struct id             jo = worker(at, "jo@b.c"), other = worker(at, "other@b.c");
    struct worker_session operators = session(at, &jo, 0);
    session(at, &jo, WORKER_SESSION_LIFETIME_MS);
    session(at, &other, WORKER_SESSION_LIFETIME_MS);
    at->call.now_ms += 90 * DAY_MS - 1;
    session(at, &jo, WORKER_SESSION_LIFETIME_MS);
    assert_int_equal(sessions_count(at), 4);
    at->call.now_ms++;
    struct worker_session made = session(at, &jo, WORKER_SESSION_LIFETIME_MS);
    assert_int_equal(sessions_count(at), 4); /* another's is his to clear */
    authenticated(at, operators.token);
    authenticated(at, made.token);
}

static void signing_out_ends_the_acting_session_only(void **state)
{
    struct store_call    *at = *state;
    struct id             jo = worker(at, "jo@b.c");
    struct worker_session here = session(at, &jo, 0), there = session(at, &jo, 0);
    at->call.actor = authenticated(at, here.token);
    assert_done(&at->call, worker_session_delete(&at->call));
    assert_locked_out(at, here.token, "bad_credentials");
    assert_refused(&at->call, worker_recheck(&at->call), ERR_UNAUTHENTICATED, "bad_credentials");
    error_clear(&at->call.error);
    assert_done(&at->call, worker_session_delete(&at->call));
    authenticated(at, there.token);
}

static void token_is_found_under_every_listed_server_key(void **state)
{
    struct store_call *at = *state;
    struct id          jo = worker(at, "jo@b.c");
    struct invite      invite;
    struct id          invite_id;
    store_call_key(at, "1 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n");
    struct worker_session made = session(at, &jo, 0);
    assert_done(&at->call, invite_create(&at->call, STR_NONE, &invite));
    store_call_key(at, "2 bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb\n"
                       "1 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n");
    authenticated(at, made.token);
    assert_done(&at->call, invite_check(&at->call, invite.token, &invite_id));
    assert_true(id_eq(&invite_id, &invite.id));
    store_call_key(at, "2 bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb\n");
    assert_locked_out(at, made.token, "bad_credentials");
}

/* --- invites --- */

static struct invite invited(struct store_call *at)
{
    struct invite invite;
    assert_done(&at->call, invite_create(&at->call, STR("Jo"), &invite));
    return invite;
}

static enum err join(struct call *call, struct str token, const char *email, struct id *ret_id)
{
    return invite_use(call, token, STR("Jo"), str_of(email), STR("$argon2id$"), ret_id);
}

static void invite_makes_one_account(void **state)
{
    struct store_call *at = *state;
    struct call       *call = &at->call;
    struct invite      invite = invited(at);
    struct id          id, other, invite_id;
    assert_true(str_starts_with(invite.token, STR("fh_inv_")));
    assert_int_equal(invite.expires_ms, START_MS + 7 * DAY_MS);
    assert_done(call, invite_check(call, invite.token, &invite_id));
    assert_true(id_eq(&invite_id, &invite.id));
    assert_done(call, join(call, invite.token, "jo@b.c", &id));
    assert_refused(call, join(call, invite.token, "al@b.c", &other), ERR_CONFLICT, "invite_used");
    assert_refused(call, invite_check(call, invite.token, &invite_id), ERR_CONFLICT, "invite_used");
    assert_int_equal(scratch_int(at->db, "SELECT count(*) FROM workers"), 1);
}

static void invite_is_good_for_7_days(void **state)
{
    struct store_call *at = *state;
    struct call       *call = &at->call;
    struct invite      early = invited(at), late = invited(at);
    struct id          id;
    call->now_ms = START_MS + 7 * DAY_MS - 1;
    assert_done(call, join(call, early.token, "jo@b.c", &id));
    call->now_ms = START_MS + 7 * DAY_MS;
    assert_refused(call, join(call, late.token, "al@b.c", &id), ERR_CONFLICT, "invite_expired");
    assert_refused(call, join(call, early.token, "al@b.c", &id), ERR_CONFLICT, "invite_used");
}

static void other_invites_do_not_exist(void **state)
{
    struct store_call *at = *state;
    struct call       *call = &at->call;
    struct invite      invite = invited(at);
    struct id          id;
    struct str         tokens[] = { STR_NONE, STR(""), str_take(invite.token, invite.token.len - 1),
                                    id_str(&invite.id),
                                    STR("fh_live_000000000000000000000000000000003oqUsv") };
    for (size_t i = 0; i < COUNT_OF(tokens); i++)
        assert_refused(call, join(call, tokens[i], "jo@b.c", &id), ERR_NOT_FOUND, "invite");
}

static void invite_outlives_a_refused_account(void **state)
{
    struct store_call *at = *state;
    struct call       *call = &at->call;
    struct invite      invite = invited(at);
    struct id          id;
    worker(at, "taken@b.c");
    assert_refused(call, join(call, invite.token, "taken@b.c", &id), ERR_CONFLICT, "email_taken");
    assert_refused(call, join(call, invite.token, "none", &id), ERR_INVALID, "bad_email");
    error_clear(&call->error);
    assert_done(call, join(call, invite.token, "jo@b.c", &id));
}

static void invite_name_is_optional_and_bounded(void **state)
{
    struct store_call *at = *state;
    struct invite      invite;
    char               name[ACCOUNT_NAME_MAX + 1];
    memset(name, 'n', sizeof(name));
    assert_done(&at->call, invite_create(&at->call, STR_NONE, &invite));
    assert_done(&at->call,
                invite_create(&at->call, (struct str){ name, sizeof(name) - 1 }, &invite));
    assert_refused(&at->call, invite_create(&at->call, (struct str){ name, sizeof(name) }, &invite),
                   ERR_INVALID, "bad_name");
    assert_refused(&at->call, invite_create(&at->call, STR("\xc3"), &invite), ERR_INVALID,
                   "bad_name");
}

enum { JOINERS = 8 };

struct joiner {
    struct store_call *at;
    struct str         token;
    int                number;
    enum err           result;
    const char        *slug;
    pthread_t          thread;
};

/* As a request does it: a transaction of its own, on a connection of its own. */
static void *join_once(void *argument)
{
    struct joiner *joiner = argument;
    struct call    call = joiner->at->call;
    struct arena   arena;
    struct db     *db = NULL;
    struct id      id;
    char           email[32];
    arena_init(&arena, 1 << 20);
    call.arena = &arena;
    snprintf(email, sizeof(email), "jo%d@b.c", joiner->number);
    joiner->result = db_open(joiner->at->scratch->url, DB_WRITE, &call.error, &db);
    if (joiner->result == ERR_OK) joiner->result = db_begin(db, &call.error);
    if (joiner->result == ERR_OK) {
        call_begin(&call, db, START_MS, &(struct actor){ .kind = ACTOR_NOBODY });
        joiner->result = join(&call, joiner->token, email, &id);
        if (joiner->result == ERR_OK) joiner->result = db_commit(db, &call.error);
        db_rollback(db);
    }
    joiner->slug = call.error.slug;
    db_close(db);
    arena_deinit(&arena);
    return NULL;
}

static void invite_used_by_many_at_once_makes_one_account(void **state)
{
    struct store_call *at = *state;
    struct invite      invite = invited(at);
    struct joiner      joiners[JOINERS];
    int                joined_count = 0;
    assert_done(&at->call, db_commit(at->db, &at->call.error));
    for (int i = 0; i < JOINERS; i++) {
        joiners[i] = (struct joiner){ .at = at, .token = invite.token, .number = i };
        assert_int_equal(pthread_create(&joiners[i].thread, NULL, join_once, &joiners[i]), 0);
    }
    for (int i = 0; i < JOINERS; i++) {
        pthread_join(joiners[i].thread, NULL);
        if (joiners[i].result == ERR_OK) {
            joined_count++;
        } else {
            assert_int_equal(joiners[i].result, ERR_CONFLICT);
            assert_string_equal(joiners[i].slug, "invite_used");
        }
    }
    assert_int_equal(joined_count, 1);
    assert_int_equal(scratch_int(at->db, "SELECT count(*) FROM workers"), 1);
}

/* --- earnings --- */

static void new_worker_has_earned_nothing(void **state)
{
    struct store_call *at = *state;
    struct id          none = { 0 };
    struct payout      rows[2];
    int64_t            cents = -1;
    int                count = -1;
    at->call.actor = (struct actor){ .kind = ACTOR_WORKER, .worker_id = worker(at, "jo@b.c") };
    assert_done(&at->call, worker_balance(&at->call, &cents));
    assert_int_equal(cents, 0);
    assert_done(&at->call, payout_list(&at->call, &none, 2, rows, &count));
    assert_int_equal(count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        store_call_test(email_belongs_to_one_worker_however_it_is_written),
        store_call_test(bad_accounts_are_refused),
        store_call_test(login_is_found_however_the_address_is_written),
        store_call_test(account_without_a_password_has_no_hash),
        store_call_test(simulated_worker_is_one_a_number_and_nobody_who_signs_in),
        store_call_test(unknown_logins_are_all_refused_alike),
        store_call_test(token_says_who_asks),
        store_call_test(other_tokens_are_refused),
        store_call_test(token_is_nowhere_in_the_store),
        store_call_test(session_lasts_90_days_from_its_last_use),
        store_call_test(older_use_does_not_shorten_a_session),
        store_call_test(session_of_the_operator_does_not_expire),
        store_call_test(signing_in_leaves_no_session_that_has_expired),
        store_call_test(signing_out_ends_the_acting_session_only),
        store_call_test(token_is_found_under_every_listed_server_key),
        store_call_test(invite_makes_one_account),
        store_call_test(invite_is_good_for_7_days),
        store_call_test(other_invites_do_not_exist),
        store_call_test(invite_outlives_a_refused_account),
        store_call_test(invite_name_is_optional_and_bounded),
        store_call_test(invite_used_by_many_at_once_makes_one_account),
        store_call_test(new_worker_has_earned_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
