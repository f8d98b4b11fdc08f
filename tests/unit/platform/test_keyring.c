#include "base/buf.h"
#include "platform/keyring.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "scratch_store.h"

#define HEX_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define HEX_B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

struct fixture {
    struct scratch *scratch;
    struct arena    arena;
    struct error    error;
    char            path[128];
};

static int fixture_setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    fixture->scratch = scratch_make();
    arena_init(&fixture->arena, 1 << 20);
    snprintf(fixture->path, sizeof(fixture->path), "%s/server.key", fixture->scratch->dir);
    *state = fixture;
    return 0;
}

static int fixture_teardown(void **state)
{
    struct fixture *fixture = *state;
    arena_deinit(&fixture->arena);
    scratch_remove(fixture->scratch);
    free(fixture);
    return 0;
}

#define keyring_test(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

static void write_key(struct fixture *fixture, struct str text)
{
    int fd = open(fixture->path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text.data, text.len), text.len);
    close(fd);
}

static const struct keyring *opened(struct fixture *fixture, bool may_create)
{
    const struct keyring *keyring = NULL;
    if (keyring_open(fixture->path, may_create, &fixture->arena, &fixture->error, &keyring))
        fail_msg("%s: %s", fixture->error.slug, fixture->error.detail);
    return keyring;
}

static const struct keyring *opened_with(struct fixture *fixture, struct str text)
{
    write_key(fixture, text);
    return opened(fixture, false);
}

static void assert_refused(struct fixture *fixture, bool may_create, const char *slug)
{
    const struct keyring *keyring = NULL;
    assert_int_equal(
        keyring_open(fixture->path, may_create, &fixture->arena, &fixture->error, &keyring),
        ERR_UNAVAILABLE);
    assert_string_equal(fixture->error.slug, slug);
    assert_non_null(strstr(fixture->error.detail, fixture->path));
    assert_null(keyring);
}

static void mac_of(const struct keyring *keyring, enum keyring_purpose purpose,
                   unsigned char mac[SHA256_BYTES])
{
    keyring_mac_at(keyring, 0, purpose, STR("message"), mac);
}

/* --- the file --- */

static void missing_key_is_made_for_its_owner_only(void **state)
{
    struct fixture       *fixture = *state;
    const struct keyring *keyring = opened(fixture, true);
    struct stat           info;
    assert_int_equal(stat(fixture->path, &info), 0);
    assert_int_equal(info.st_mode & 07777, 0600);
    assert_int_equal(keyring_count(keyring), 1);
    assert_int_equal(keyring_newest(keyring), 1);
}

static void missing_key_is_made_once(void **state)
{
    struct fixture *fixture = *state;
    unsigned char   first[SHA256_BYTES], again[SHA256_BYTES];
    mac_of(opened(fixture, true), PURPOSE_LINK, first);
    mac_of(opened(fixture, true), PURPOSE_LINK, again);
    assert_memory_equal(first, again, sizeof(first));
}

static void missing_key_beside_a_filled_store_is_refused(void **state)
{
    struct fixture *fixture = *state;
    assert_refused(fixture, false, "server_key_missing");
    assert_int_equal(access(fixture->path, F_OK), -1);
}

static void key_in_a_missing_directory_is_refused(void **state)
{
    struct fixture *fixture = *state;
    snprintf(fixture->path, sizeof(fixture->path), "%s/none/server.key", fixture->scratch->dir);
    assert_refused(fixture, true, "server_key_unreadable");
}

static void key_that_is_a_directory_is_refused(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(mkdir(fixture->path, 0700), 0);
    assert_refused(fixture, true, "server_key_unreadable");
    assert_int_equal(rmdir(fixture->path), 0);
}

static void key_that_others_may_touch_is_refused(void **state)
{
    struct fixture     *fixture = *state;
    static const mode_t modes[] = { 0640, 0620, 0610, 0604, 0602, 0601, 0666 };
    for (size_t i = 0; i < COUNT_OF(modes); i++) {
        write_key(fixture, STR("1 " HEX_A "\n"));
        assert_int_equal(chmod(fixture->path, modes[i]), 0);
        assert_refused(fixture, true, "server_key_permissions");
    }
    assert_int_equal(chmod(fixture->path, 0400), 0);
    assert_int_equal(keyring_count(opened(fixture, false)), 1);
}

static void malformed_key_is_refused(void **state)
{
    struct fixture          *fixture = *state;
    static const char *const texts[] = {
        "",
        "\n\n",
        "1",
        "1\n",
        "1 \n",
        "1 aa\n",
        HEX_A "\n",
        " 1 " HEX_A "\n",
        "1  " HEX_A "\n",
        "1 " HEX_A " \n",
        "1 " HEX_A "\r\n",
        "1 " HEX_A "aa\n",
        "0 " HEX_A "\n",
        "-1 " HEX_A "\n",
        "256 " HEX_A "\n",
        "99999999999999999999 " HEX_A "\n",
        "one " HEX_A "\n",
        "1 gaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n",
        "2 " HEX_A "\n1 " HEX_B "x\n",
        "2 " HEX_A "\n# a remark\n",
    };
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        write_key(fixture, str_of(texts[i]));
        assert_refused(fixture, true, "server_key_malformed");
    }
}

/* Values say under which number they were made: it must mean one key. */
static void key_number_given_twice_is_refused(void **state)
{
    struct fixture *fixture = *state;
    write_key(fixture, STR("2 " HEX_A "\n2 " HEX_B "\n"));
    assert_refused(fixture, true, "server_key_malformed");
}

static struct str lines_of_keys(struct fixture *fixture, int count)
{
    struct buf text;
    buf_init(&text, &fixture->arena, 64 << 10);
    for (int number = count; number > 0; number--)
        buf_fmt(&text, "%d %064d\n", number, number);
    return buf_str(&text);
}

static void sixteen_keys_are_taken_and_not_one_more(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(keyring_count(opened_with(fixture, lines_of_keys(fixture, KEYRING_KEYS_MAX))),
                     16);
    write_key(fixture, lines_of_keys(fixture, KEYRING_KEYS_MAX + 1));
    assert_refused(fixture, true, "server_key_malformed");
}

/* What lies beyond the part that is read must not go missing silently. */
static void file_longer_than_any_key_list_is_refused(void **state)
{
    struct fixture *fixture = *state;
    struct buf      text;
    buf_init(&text, &fixture->arena, 64 << 10);
    buf_add(&text, STR("2 " HEX_A "\n"));
    for (int i = 0; i < 4000; i++)
        buf_add_byte(&text, '\n');
    buf_add(&text, STR("1 " HEX_B "\n"));
    write_key(fixture, buf_str(&text));
    assert_refused(fixture, true, "server_key_malformed");
}

enum { OPENERS = 8 };

struct opener {
    const char   *path;
    struct arena  arena;
    struct error  error;
    enum err      result;
    unsigned char mac[SHA256_BYTES];
};

static void *open_one(void *argument)
{
    struct opener        *opener = argument;
    const struct keyring *keyring;
    opener->result = keyring_open(opener->path, true, &opener->arena, &opener->error, &keyring);
    if (opener->result == ERR_OK) mac_of(keyring, PURPOSE_SEAL, opener->mac);
    return NULL;
}

/* Server and commands may be started at once on a fresh directory. */
static void openers_at_once_agree_on_one_new_key(void **state)
{
    struct fixture *fixture = *state;
    for (int round = 0; round < 20; round++) {
        struct opener openers[OPENERS] = { 0 };
        pthread_t     threads[OPENERS];
        for (int i = 0; i < OPENERS; i++) {
            openers[i].path = fixture->path;
            arena_init(&openers[i].arena, 1 << 20);
            assert_int_equal(pthread_create(&threads[i], NULL, open_one, &openers[i]), 0);
        }
        for (int i = 0; i < OPENERS; i++)
            pthread_join(threads[i], NULL);
        for (int i = 0; i < OPENERS; i++) {
            if (openers[i].result) fail_msg("%s", openers[i].error.detail);
            assert_memory_equal(openers[i].mac, openers[0].mac, SHA256_BYTES);
            arena_deinit(&openers[i].arena);
        }
        assert_int_equal(unlink(fixture->path), 0);
    }
}

/* --- using it --- */

static void purposes_have_keys_of_their_own(void **state)
{
    const struct keyring *keyring = opened_with(*state, STR("1 " HEX_A "\n"));
    unsigned char         macs[PURPOSE__COUNT][SHA256_BYTES];
    for (int i = 0; i < PURPOSE__COUNT; i++) {
        mac_of(keyring, (enum keyring_purpose)i, macs[i]);
        for (int j = 0; j < i; j++)
            assert_memory_not_equal(macs[i], macs[j], SHA256_BYTES);
    }
}

static void purpose_key_is_derived_by_its_name(void **state)
{
    const struct keyring *keyring = opened_with(*state, STR("1 " HEX_A "\n"));
    static const struct {
        enum keyring_purpose purpose;
        const char          *name;
    } purposes[] = { { PURPOSE_API_KEY, "api-key" },
                     { PURPOSE_LINK, "link" },
                     { PURPOSE_SEAL, "seal" },
                     { PURPOSE_CURSOR, "cursor" },
                     { PURPOSE_AUDIT, "audit" } };
    unsigned char secret[CRYPTO_KEY_BYTES], derived[CRYPTO_KEY_BYTES];
    unsigned char mac[SHA256_BYTES], expected[SHA256_BYTES];
    memset(secret, 0xaa, sizeof(secret));
    for (size_t i = 0; i < COUNT_OF(purposes); i++) {
        crypto_derive(secret, purposes[i].name, derived);
        crypto_hmac(derived, STR("message"), expected);
        mac_of(keyring, purposes[i].purpose, mac);
        assert_memory_equal(mac, expected, sizeof(mac));
    }
}

static void newest_key_is_the_first_listed(void **state)
{
    struct fixture       *fixture = *state;
    const struct keyring *keyring =
        opened_with(fixture, STR("3 " HEX_A "\n\n1 " HEX_B)); /* gaps and a cut end are fine */
    unsigned char newest[SHA256_BYTES], by_number[SHA256_BYTES];
    assert_int_equal(keyring_count(keyring), 2);
    assert_int_equal(keyring_newest(keyring), 3);
    mac_of(keyring, PURPOSE_LINK, newest);
    assert_true(keyring_mac(keyring, 3, PURPOSE_LINK, STR("message"), by_number));
    assert_memory_equal(newest, by_number, sizeof(newest));
    struct str sealed = keyring_seal(keyring, STR("x"), STR("c"), &fixture->arena);
    assert_int_equal(sealed.data[0], 3);
}

static void value_of_an_older_key_is_still_good(void **state)
{
    struct fixture       *fixture = *state;
    const struct keyring *before = opened_with(fixture, STR("1 " HEX_A "\n"));
    struct str            sealed = keyring_seal(before, STR("secret"), STR("row"), &fixture->arena);
    unsigned char         mac[SHA256_BYTES], later[SHA256_BYTES];
    mac_of(before, PURPOSE_LINK, mac);

    const struct keyring *after = opened_with(fixture, STR("2 " HEX_B "\n1 " HEX_A "\n"));
    struct str            plain;
    assert_true(keyring_unseal(after, sealed, STR("row"), &fixture->arena, &plain));
    assert_true(str_eq(plain, STR("secret")));
    assert_true(keyring_mac(after, 1, PURPOSE_LINK, STR("message"), later));
    assert_memory_equal(mac, later, sizeof(mac));
    keyring_mac_at(after, 1, PURPOSE_LINK, STR("message"), later);
    assert_memory_equal(mac, later, sizeof(mac));
    mac_of(after, PURPOSE_LINK, later);
    assert_memory_not_equal(mac, later, sizeof(mac));
}

static void value_of_a_dropped_key_is_not(void **state)
{
    struct fixture       *fixture = *state;
    const struct keyring *before = opened_with(fixture, STR("1 " HEX_A "\n"));
    struct str            sealed = keyring_seal(before, STR("secret"), STR("row"), &fixture->arena);
    const struct keyring *after = opened_with(fixture, STR("2 " HEX_A "\n"));
    struct str            plain;
    unsigned char         mac[SHA256_BYTES];
    assert_false(keyring_unseal(after, sealed, STR("row"), &fixture->arena, &plain));
    assert_false(keyring_mac(after, 1, PURPOSE_LINK, STR("message"), mac));
}

static void sealed_value_that_was_changed_does_not_open(void **state)
{
    struct fixture       *fixture = *state;
    const struct keyring *keyring = opened_with(fixture, STR("2 " HEX_B "\n1 " HEX_A "\n"));
    struct str plain, sealed = keyring_seal(keyring, STR("secret"), STR("row"), &fixture->arena);
    for (size_t i = 0; i < sealed.len; i++) {
        struct str changed = str_copy(&fixture->arena, sealed);
        ((char *)changed.data)[i] ^= 3; /* at 0 the number becomes that of the other key */
        assert_false(keyring_unseal(keyring, changed, STR("row"), &fixture->arena, &plain));
    }
    for (size_t len = 0; len < sealed.len; len++)
        assert_false(
            keyring_unseal(keyring, str_take(sealed, len), STR("row"), &fixture->arena, &plain));
    assert_false(keyring_unseal(keyring, sealed, STR("another row"), &fixture->arena, &plain));
    assert_false(keyring_unseal(keyring, STR_NONE, STR("row"), &fixture->arena, &plain));
}

/* --- a file that changes --- */

static void reload(struct fixture *fixture, const struct keyring *keyring, struct str text)
{
    char draft[160];
    snprintf(draft, sizeof(draft), "%s.new", fixture->path);
    int fd = open(draft, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_int_equal(write(fd, text.data, text.len), text.len);
    close(fd);
    assert_int_equal(rename(draft, fixture->path), 0);
    if (keyring_reload(keyring, &fixture->arena, &fixture->error))
        fail_msg("%s: %s", fixture->error.slug, fixture->error.detail);
}

static void reload_takes_up_a_new_key_and_drops_an_old_one(void **state)
{
    struct fixture       *fixture = *state;
    const struct keyring *keyring = opened_with(fixture, STR("1 " HEX_A "\n"));
    struct str    plain, sealed = keyring_seal(keyring, STR("x"), STR("c"), &fixture->arena);
    unsigned char mac[SHA256_BYTES], audit[SHA256_BYTES], later[SHA256_BYTES];
    assert_true(keyring_mac(keyring, 1, PURPOSE_AUDIT, STR("row"), audit));

    reload(fixture, keyring, STR("1 " HEX_A "\n2 " HEX_B "\n"));
    assert_int_equal(keyring_newest(keyring), 1);
    assert_int_equal(keyring_highest(keyring), 2);
    reload(fixture, keyring, STR("2 " HEX_B "\n1 " HEX_A "\n"));
    assert_int_equal(keyring_newest(keyring), 2);
    assert_true(keyring_unseal(keyring, sealed, STR("c"), &fixture->arena, &plain));

    struct keyring_file file;
    assert_int_equal(
        keyring_file_read(fixture->path, false, &fixture->arena, &fixture->error, &file), ERR_OK);
    keyring_file_drop(&file, 1);
    assert_int_equal(keyring_file_write(fixture->path, &file, &fixture->arena, &fixture->error),
                     ERR_OK);
    assert_int_equal(keyring_reload(keyring, &fixture->arena, &fixture->error), ERR_OK);
    assert_int_equal(keyring_count(keyring), 1);
    assert_false(keyring_unseal(keyring, sealed, STR("c"), &fixture->arena, &plain));
    assert_false(keyring_mac(keyring, 1, PURPOSE_API_KEY, STR("row"), mac));
    assert_false(keyring_mac_at(keyring, 1, PURPOSE_API_KEY, STR("row"), mac));
    assert_true(keyring_mac(keyring, 1, PURPOSE_AUDIT, STR("row"), later));
    assert_memory_equal(later, audit, sizeof(audit));

    const struct keyring *anew = opened(fixture, false);
    assert_false(keyring_mac(anew, 1, PURPOSE_LINK, STR("row"), mac));
    assert_true(keyring_mac(anew, 1, PURPOSE_AUDIT, STR("row"), later));
    assert_memory_equal(later, audit, sizeof(audit));
}

static void assert_not_reloaded(struct fixture *fixture, const struct keyring *keyring,
                                struct str text, const char *slug)
{
    assert_int_equal(unlink(fixture->path), 0);
    write_key(fixture, text);
    assert_int_not_equal(keyring_reload(keyring, &fixture->arena, &fixture->error), ERR_OK);
    assert_string_equal(fixture->error.slug, slug);
    assert_int_equal(keyring_newest(keyring), 2);
    assert_int_equal(keyring_count(keyring), 2);
}

static void reload_keeps_what_it_has_when_the_file_is_no_successor(void **state)
{
    struct fixture       *fixture = *state;
    const struct keyring *keyring = opened_with(fixture, STR("2 " HEX_A "\n1 " HEX_B "\n"));
    assert_not_reloaded(fixture, keyring, STR("3 " HEX_A "\n"), "server_key_replaced");
    assert_not_reloaded(fixture, keyring, STR("2 " HEX_B "\n"), "server_key_replaced");
    assert_not_reloaded(fixture, keyring, STR("1 " HEX_B "\n2 audit " HEX_A "\n"),
                        "server_key_replaced");
    assert_not_reloaded(fixture, keyring, STR("2 " HEX_A "\n1 nonsense\n"), "server_key_malformed");
    assert_int_equal(unlink(fixture->path), 0);
    assert_int_equal(keyring_reload(keyring, &fixture->arena, &fixture->error), ERR_UNAVAILABLE);
    assert_string_equal(fixture->error.slug, "server_key_missing");
}

static void a_dropped_key_alone_is_none(void **state)
{
    struct fixture *fixture = *state;
    write_key(fixture, STR("1 audit " HEX_A "\n"));
    assert_refused(fixture, true, "server_key_malformed");
    write_key(fixture, STR("1 audit " HEX_A "\n2 " HEX_B "\n"));
    assert_refused(fixture, true, "server_key_malformed");
}

struct user {
    const struct keyring *keyring;
    atomic_bool           is_over;
    struct arena          arena;
};

static void *use_keys(void *argument)
{
    struct user *user = argument;
    while (!atomic_load(&user->is_over)) {
        struct arena_mark mark = arena_mark(&user->arena);
        unsigned char     mac[SHA256_BYTES];
        struct str plain, sealed = keyring_seal(user->keyring, STR("x"), STR("c"), &user->arena);
        assert_true(keyring_unseal(user->keyring, sealed, STR("c"), &user->arena, &plain));
        assert_true(keyring_mac_at(user->keyring, 0, PURPOSE_API_KEY, STR("m"), mac));
        arena_rewind(&user->arena, mark);
    }
    return NULL;
}

static void keys_are_used_while_they_change(void **state)
{
    struct fixture *fixture = *state;
    struct user     user = { .keyring = opened_with(fixture, STR("1 " HEX_A "\n")) };
    pthread_t       thread;
    arena_init(&user.arena, 1 << 20);
    assert_int_equal(pthread_create(&thread, NULL, use_keys, &user), 0);
    for (int i = 0; i < 20; i++) {
        reload(fixture, user.keyring, STR("1 " HEX_A "\n2 " HEX_B "\n"));
        reload(fixture, user.keyring, STR("2 " HEX_B "\n1 " HEX_A "\n"));
    }
    atomic_store(&user.is_over, true);
    pthread_join(thread, NULL);
    arena_deinit(&user.arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        keyring_test(missing_key_is_made_for_its_owner_only),
        keyring_test(missing_key_is_made_once),
        keyring_test(missing_key_beside_a_filled_store_is_refused),
        keyring_test(key_in_a_missing_directory_is_refused),
        keyring_test(key_that_is_a_directory_is_refused),
        keyring_test(key_that_others_may_touch_is_refused),
        keyring_test(malformed_key_is_refused),
        keyring_test(key_number_given_twice_is_refused),
        keyring_test(sixteen_keys_are_taken_and_not_one_more),
        keyring_test(file_longer_than_any_key_list_is_refused),
        keyring_test(openers_at_once_agree_on_one_new_key),
        keyring_test(purposes_have_keys_of_their_own),
        keyring_test(purpose_key_is_derived_by_its_name),
        keyring_test(newest_key_is_the_first_listed),
        keyring_test(value_of_an_older_key_is_still_good),
        keyring_test(value_of_a_dropped_key_is_not),
        keyring_test(sealed_value_that_was_changed_does_not_open),
        keyring_test(reload_takes_up_a_new_key_and_drops_an_old_one),
        keyring_test(reload_keeps_what_it_has_when_the_file_is_no_successor),
        keyring_test(a_dropped_key_alone_is_none),
        keyring_test(keys_are_used_while_they_change),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
