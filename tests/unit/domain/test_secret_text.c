#include "domain/secret_text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "store_call.h"

static void secret_is_well_formed_under_its_own_prefix_only(void **state)
{
    struct store_call *at = *state;
    struct str         secret = secret_new("fh_live_", &at->arena);
    assert_int_equal(secret.len, 8 + SECRET_RANDOM_CHARS + SECRET_CHECKSUM_CHARS);
    assert_true(secret_is_well_formed(secret, "fh_live_"));
    assert_false(secret_is_well_formed(secret, "fh_test_"));
    assert_false(secret_is_well_formed(secret, "fh_live"));
    assert_false(secret_is_well_formed(secret, ""));
}

/* The check is offline: it must find any slip of the hand. */
static void secret_with_any_character_changed_is_not_well_formed(void **state)
{
    struct store_call *at = *state;
    struct str         secret = secret_new("fh_test_", &at->arena);
    for (size_t i = 0; i < secret.len; i++) {
        static const char others[] = { 'A', 'b', '0', '_', ' ', '\0', '\n', (char)0xc3 };
        for (size_t j = 0; j < sizeof(others); j++) {
            struct str changed = str_copy(&at->arena, secret);
            if (changed.data[i] == others[j]) continue;
            ((char *)changed.data)[i] = others[j];
            assert_false(secret_is_well_formed(changed, "fh_test_"));
        }
    }
}

static void secret_of_another_length_is_not_well_formed(void **state)
{
    struct store_call *at = *state;
    struct str         secret = secret_new("fh_wkr_", &at->arena);
    for (size_t len = 0; len < secret.len; len++)
        assert_false(secret_is_well_formed(str_take(secret, len), "fh_wkr_"));
    assert_false(
        secret_is_well_formed(str_format(&at->arena, "%.*s0", STR_ARG(secret)), "fh_wkr_"));
    assert_false(secret_is_well_formed(STR_NONE, "fh_wkr_"));
}

/* So that scanners of other people's making can rely on it: CRC-32 of all before, in base62. */
static void known_secret_is_well_formed(void **state)
{
    (void)state;
    assert_true(
        secret_is_well_formed(STR("fh_live_000000000000000000000000000000003oqUsv"), "fh_live_"));
}

static void secrets_use_the_whole_alphabet_and_never_repeat(void **state)
{
    struct store_call *at = *state;
    bool               was_seen[256] = { false };
    struct str         before = STR("");
    int                letters_count = 0;
    for (int i = 0; i < 200; i++) {
        struct str secret = secret_new("fh_live_", &at->arena);
        assert_false(str_eq(secret, before));
        before = secret;
        for (size_t j = 8; j < 8 + SECRET_RANDOM_CHARS; j++)
            was_seen[(unsigned char)secret.data[j]] = true;
    }
    for (int i = 0; i < 256; i++)
        letters_count += was_seen[i];
    assert_int_equal(letters_count, 62);
}

static void hash_depends_on_secret_and_key(void **state)
{
    struct store_call *at = *state;
    store_call_key(at, "2 bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb\n"
                       "1 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n");
    const struct keyring *keyring = at->call.keyring;
    struct str            newest = secret_hash(keyring, 0, STR("secret"), &at->arena);
    assert_int_equal(newest.len, 64);
    assert_true(str_eq(newest, secret_hash(keyring, 0, STR("secret"), &at->arena)));
    assert_false(str_eq(newest, secret_hash(keyring, 1, STR("secret"), &at->arena)));
    assert_false(str_eq(newest, secret_hash(keyring, 0, STR("secreT"), &at->arena)));
    assert_null(strstr(newest.data, "secret"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        store_call_test(secret_is_well_formed_under_its_own_prefix_only),
        store_call_test(secret_with_any_character_changed_is_not_well_formed),
        store_call_test(secret_of_another_length_is_not_well_formed),
        store_call_test(known_secret_is_well_formed),
        store_call_test(secrets_use_the_whole_alphabet_and_never_repeat),
        store_call_test(hash_depends_on_secret_and_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
