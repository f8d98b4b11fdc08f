#include "platform/keyring_file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "platform/disk.h"
#include "scratch_store.h"

struct fixture {
    struct scratch     *scratch;
    struct arena        arena;
    struct error        error;
    char                path[128];
    struct keyring_file file;
};

static int setup(void **state)
{
    struct fixture *at = calloc(1, sizeof(*at));
    at->scratch = scratch_make();
    arena_init(&at->arena, 1 << 20);
    snprintf(at->path, sizeof(at->path), "%s/server.key", at->scratch->dir);
    *state = at;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *at = *state;
    arena_deinit(&at->arena);
    scratch_remove(at->scratch);
    free(at);
    return 0;
}

static void read_file(struct fixture *at)
{
    if (keyring_file_read(at->path, true, &at->arena, &at->error, &at->file))
        fail_msg("%s: %s", at->error.slug, at->error.detail);
}

static void write_and_read(struct fixture *at)
{
    struct keyring_file before = at->file;
    assert_int_equal(keyring_file_write(at->path, &at->file, &at->arena, &at->error), ERR_OK);
    keyring_file_wipe(&at->file);
    read_file(at);
    assert_memory_equal(&at->file, &before, sizeof(before));
}

static int announce(struct fixture *at)
{
    int number = 0;
    assert_int_equal(keyring_file_announce(&at->file, &at->error, &number), ERR_OK);
    return number;
}

static void what_is_written_is_read_back_and_closed_to_others(void **state)
{
    struct fixture *at = *state;
    struct stat     info;
    read_file(at);
    announce(at);
    write_and_read(at);
    assert_int_equal(stat(at->path, &info), 0);
    assert_int_equal(info.st_mode & 07777, 0600);
}

static void announced_key_is_known_and_not_used(void **state)
{
    struct fixture *at = *state;
    read_file(at);
    assert_int_equal(announce(at), 2);
    assert_int_equal(keyring_file_used(&at->file), 1);
    assert_int_equal(keyring_file_highest(&at->file), 2);
    assert_int_equal(keyring_file_in_use(&at->file), 2);
    write_and_read(at);
    keyring_file_use(&at->file, 2);
    assert_int_equal(keyring_file_used(&at->file), 2);
    write_and_read(at);
}

static void older_keys_keep_their_order_behind_the_one_in_use(void **state)
{
    struct fixture *at = *state;
    read_file(at);
    for (int i = 0; i < 3; i++)
        keyring_file_use(&at->file, announce(at));
    for (int i = 0; i < 4; i++)
        assert_int_equal(at->file.lines[i].number, 4 - i);
}

static void dropped_key_keeps_what_checks_the_audit_and_nothing_else(void **state)
{
    struct fixture *at = *state;
    unsigned char   derived[CRYPTO_KEY_BYTES];
    read_file(at);
    keyring_file_use(&at->file, announce(at));
    crypto_derive(at->file.lines[1].secret, "audit", derived);
    keyring_file_drop(&at->file, 1);
    assert_memory_equal(at->file.lines[1].secret, derived, sizeof(derived));
    assert_int_equal(keyring_file_in_use(&at->file), 1);
    assert_int_equal(keyring_file_highest(&at->file), 2);
    write_and_read(at);
    assert_true(at->file.lines[1].is_dropped);
}

static void number_of_a_dropped_key_is_not_given_again(void **state)
{
    struct fixture *at = *state;
    read_file(at);
    int second = announce(at);
    keyring_file_drop(&at->file, second);
    assert_int_equal(announce(at), second + 1);
}

static void there_is_room_for_so_many_and_no_more(void **state)
{
    struct fixture *at = *state;
    int             number;
    read_file(at);
    for (int i = 1; i < KEYRING_KEYS_MAX; i++)
        announce(at);
    write_and_read(at);
    assert_int_equal(keyring_file_announce(&at->file, &at->error, &number), ERR_CONFLICT);
    assert_string_equal(at->error.slug, "server_key_full");
    assert_int_equal(keyring_file_in_use(&at->file), KEYRING_KEYS_MAX);
    for (int i = 2; i <= KEYRING_KEYS_MAX; i++)
        keyring_file_drop(&at->file, i);
    for (int i = KEYRING_KEYS_MAX; i < KEYRING_LINES_MAX; i++)
        keyring_file_drop(&at->file, announce(at));
    write_and_read(at);
    assert_int_equal(keyring_file_announce(&at->file, &at->error, &number), ERR_CONFLICT);
}

static void one_at_a_time_changes_it(void **state)
{
    struct fixture       *at = *state;
    CLEANUP(fd_close) int first = -1;
    int                   second = -1;
    assert_int_equal(keyring_file_lock(at->path, &at->arena, &at->error, &first), ERR_OK);
    assert_int_equal(keyring_file_lock(at->path, &at->arena, &at->error, &second), ERR_CONFLICT);
    assert_string_equal(at->error.slug, "server_key_busy");
    fd_close(&first);
    assert_int_equal(keyring_file_lock(at->path, &at->arena, &at->error, &second), ERR_OK);
    fd_close(&second);
}

static void key_that_cannot_be_replaced_stays_as_it_is(void **state)
{
    struct fixture *at = *state;
    read_file(at);
    struct keyring_file before = at->file;
    announce(at);
    char elsewhere[160];
    snprintf(elsewhere, sizeof(elsewhere), "%s/none/server.key", at->scratch->dir);
    assert_int_equal(keyring_file_write(elsewhere, &at->file, &at->arena, &at->error),
                     ERR_UNAVAILABLE);
    assert_string_equal(at->error.slug, "server_key_unreadable");
    read_file(at);
    assert_memory_equal(&at->file, &before, sizeof(before));
}

int main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(what_is_written_is_read_back_and_closed_to_others),
        T(announced_key_is_known_and_not_used),
        T(older_keys_keep_their_order_behind_the_one_in_use),
        T(dropped_key_keeps_what_checks_the_audit_and_nothing_else),
        T(number_of_a_dropped_key_is_not_given_again),
        T(there_is_room_for_so_many_and_no_more),
        T(one_at_a_time_changes_it),
        T(key_that_cannot_be_replaced_stays_as_it_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
