#include "domain/rehash.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "credentials.h"

/* Let in by the secret, noted, and stored: how many there were to store. */
static int use(struct store_call *at, struct rehash_table *table, struct str secret, bool is_worker)
{
    struct actor  before = at->call.actor, actor;
    struct rehash rows[4];
    assert_done(&at->call, is_worker ? worker_authenticate(&at->call, secret, &actor)
                                     : api_key_authenticate(&at->call, secret, &actor));
    at->call.actor = actor;
    rehash_note(table, &at->call, secret);
    rehash_note(table, &at->call, secret);
    int count = rehash_collect(table, rows, 4);
    for (int i = 0; i < count; i++)
        assert_done(&at->call, rehash_store(&at->call, &rows[i]));
    at->call.actor = before;
    return count;
}

static void credentials_outlive_the_server_key_when_they_are_used(void **state)
{
    struct store_call    *at = *state;
    struct rehash_table  *table = rehash_open();
    struct worker_session session;
    struct actor          actor;
    store_call_key(at, BEFORE);
    struct api_key key = credentials_key(at);
    struct id      worker_id = credentials_worker(at);
    assert_done(&at->call, worker_session_create(&at->call, &worker_id, 0, &session));
    assert_int_equal(use(at, table, key.secret, false), 0);

    store_call_key(at, AFTER);
    assert_int_equal(use(at, table, key.secret, false), 1);
    assert_int_equal(use(at, table, session.token, true), 1);
    assert_int_equal(use(at, table, key.secret, false), 0);
    assert_int_equal(use(at, table, session.token, true), 0);

    store_call_key(at, DROPPED);
    assert_done(&at->call, api_key_authenticate(&at->call, key.secret, &actor));
    assert_done(&at->call, worker_authenticate(&at->call, session.token, &actor));
    rehash_close(table);
}

static void credential_of_before_this_was_noted_is_noted_when_it_is_used(void **state)
{
    struct store_call   *at = *state;
    struct rehash_table *table = rehash_open();
    struct api_key       key = credentials_key(at);
    scratch_script(at->db, "UPDATE api_keys SET server_key = NULL");
    assert_int_equal(use(at, table, key.secret, false), 1);
    assert_int_equal(scratch_int(at->db, "SELECT count(*) FROM api_keys WHERE server_key = 1"), 1);
    rehash_close(table);
}

static void each_is_collected_once_in_whatever_pieces(void **state)
{
    struct store_call   *at = *state;
    struct rehash_table *table = rehash_open();
    struct rehash        first[2], rest[2];
    for (int i = 0; i < 3; i++) {
        at->call.actor =
            (struct actor){ .kind = ACTOR_API_KEY, .key_id = id_new(ID_API_KEY, START_MS) };
        rehash_note(table, &at->call, STR("secret"));
    }
    assert_int_equal(rehash_collect(table, first, 2), 2);
    assert_int_equal(rehash_collect(table, rest, 2), 1);
    assert_false(id_eq(&first[0].id, &rest[0].id) || id_eq(&first[1].id, &rest[0].id));
    assert_int_equal(rehash_collect(table, rest, 2), 0);
    rehash_close(table);
}

static void table_is_bounded(void **state)
{
    struct store_call   *at = *state;
    struct rehash_table *table = rehash_open();
    struct rehash        rows[8];
    int                  count, sum = 0;
    for (int i = 0; i < REHASH_MAX + 5; i++) {
        at->call.actor =
            (struct actor){ .kind = ACTOR_API_KEY, .key_id = id_new(ID_API_KEY, START_MS) };
        rehash_note(table, &at->call, STR("secret"));
    }
    while ((count = rehash_collect(table, rows, 8)) > 0)
        sum += count;
    assert_int_equal(sum, REHASH_MAX);
    rehash_close(table);
    rehash_close(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        store_call_test(credentials_outlive_the_server_key_when_they_are_used),
        store_call_test(credential_of_before_this_was_noted_is_noted_when_it_is_used),
        store_call_test(each_is_collected_once_in_whatever_pieces),
        store_call_test(table_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
