#include "base/encode.h"
#include "platform/crypto.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <string.h>

static struct arena arena;

static int arena_setup(void **state)
{
    (void)state;
    arena_init(&arena, 64 << 20);
    return 0;
}

static int arena_teardown(void **state)
{
    (void)state;
    arena_deinit(&arena);
    return 0;
}

#define crypto_test(name) cmocka_unit_test_setup_teardown(name, arena_setup, arena_teardown)

static void assert_hex(const void *bytes, size_t count, const char *expected)
{
    assert_string_equal(encode_hex(&arena, bytes, count).data, expected);
}

static struct str from_hex(const char *hex)
{
    size_t count = strlen(hex) / 2;
    char  *bytes = NEW(&arena, char, count + 1);
    assert_true(decode_hex(str_of(hex), bytes, count));
    return (struct str){ bytes, count };
}

static struct str repeated(char byte, size_t count)
{
    char *bytes = NEW(&arena, char, count);
    memset(bytes, byte, count);
    return (struct str){ bytes, count };
}

/* --- hashing --- */

/* FIPS 180-2, appendix B. */
static void sha256_known_digests(void **state)
{
    (void)state;
    static const struct {
        const char *text, *digest;
    } cases[] = {
        { "", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" },
        { "abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" },
        { "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
          "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1" },
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        unsigned char digest[SHA256_BYTES];
        crypto_sha256(str_of(cases[i].text), digest);
        assert_hex(digest, sizeof(digest), cases[i].digest);
    }
}

static void sha256_of_absent_is_that_of_empty(void **state)
{
    (void)state;
    unsigned char digest[SHA256_BYTES];
    crypto_sha256(STR_NONE, digest);
    assert_hex(digest, sizeof(digest),
               "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

static void sha256_runs_over_pieces_of_any_size(void **state)
{
    (void)state;
    struct str    million = repeated('a', 1000000);
    struct sha256 hash = { NULL };
    sha256_begin(&hash);
    size_t done = 0, piece = 1;
    while (done < million.len) {
        size_t count = piece < million.len - done ? piece : million.len - done;
        sha256_add(&hash, million.data + done, count);
        done += count;
        piece = piece * 3 + 1;
    }
    unsigned char digest[SHA256_BYTES];
    sha256_end(&hash, digest);
    assert_hex(digest, sizeof(digest),
               "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
    assert_null(hash.state);
}

static void sha256_drop_is_fine_at_any_time(void **state)
{
    (void)state;
    struct sha256 hash = { NULL };
    sha256_drop(&hash);
    sha256_begin(&hash);
    sha256_add(&hash, "x", 1);
    sha256_drop(&hash);
    sha256_drop(&hash);
    assert_null(hash.state);
}

/* --- HMAC and HKDF --- */

static void padded_key(struct str key, unsigned char padded[CRYPTO_KEY_BYTES])
{
    assert_true(key.len <= CRYPTO_KEY_BYTES);
    memset(padded, 0, CRYPTO_KEY_BYTES);
    memcpy(padded, key.data, key.len);
}

/* RFC 4231, 4.2 to 4.5: HMAC pads a key shorter than its block with zeros, so these keys may be
 * written with 32 bytes. */
static void hmac_known_macs(void **state)
{
    (void)state;
    const struct {
        struct str  key, text;
        const char *mac;
    } cases[] = {
        { repeated(0x0b, 20), STR("Hi There"),
          "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7" },
        { STR("Jefe"), STR("what do ya want for nothing?"),
          "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843" },
        { repeated((char)0xaa, 20), repeated((char)0xdd, 50),
          "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe" },
        { from_hex("0102030405060708090a0b0c0d0e0f10111213141516171819"), repeated((char)0xcd, 50),
          "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b" },
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        unsigned char key[CRYPTO_KEY_BYTES], mac[SHA256_BYTES];
        padded_key(cases[i].key, key);
        crypto_hmac(key, cases[i].text, mac);
        assert_hex(mac, sizeof(mac), cases[i].mac);
    }
}

/* RFC 5869, 2.2 and 2.3, without salt and for one block of output, spelled out. */
static void hkdf(struct str secret, struct str info, unsigned char derived[SHA256_BYTES])
{
    static const unsigned char no_salt[CRYPTO_KEY_BYTES];
    unsigned char              extracted[SHA256_BYTES];
    crypto_hmac(no_salt, secret, extracted);
    crypto_hmac(extracted, str_format(&arena, "%.*s\x01", STR_ARG(info)), derived);
}

/* RFC 5869, A.3: 22 bytes of secret, no salt, no info. What the next test compares with. */
static void hkdf_spelled_out_gives_the_known_key(void **state)
{
    (void)state;
    unsigned char derived[SHA256_BYTES];
    hkdf(repeated(0x0b, 22), STR(""), derived);
    assert_hex(derived, sizeof(derived),
               "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d");
}

static void derive_is_hkdf_without_salt(void **state)
{
    (void)state;
    struct str key = from_hex("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f");
    unsigned char derived[CRYPTO_KEY_BYTES], expected[SHA256_BYTES];
    crypto_derive((const unsigned char *)key.data, "api-key", derived);
    hkdf(key, STR("api-key"), expected);
    assert_memory_equal(derived, expected, sizeof(derived));
}

static void derive_gives_each_purpose_its_own_key(void **state)
{
    (void)state;
    static const unsigned char key[CRYPTO_KEY_BYTES] = { 1 };
    unsigned char              a[CRYPTO_KEY_BYTES], b[CRYPTO_KEY_BYTES];
    crypto_derive(key, "link", a);
    crypto_derive(key, "seal", b);
    assert_memory_not_equal(a, b, sizeof(a));
    assert_memory_not_equal(a, key, sizeof(a));
}

static void equal_compares_every_byte(void **state)
{
    (void)state;
    unsigned char a[SHA256_BYTES] = { 0 }, b[SHA256_BYTES] = { 0 };
    assert_true(crypto_equal(a, b, sizeof(a)));
    for (size_t i = 0; i < sizeof(a); i++) {
        b[i] = 0x80;
        assert_false(crypto_equal(a, b, sizeof(a)));
        b[i] = 0;
    }
}

/* --- sealing --- */

static const unsigned char seal_key[CRYPTO_KEY_BYTES] = { 7, 7, 7 };

static void seal_opens_with_the_same_key_and_context(void **state)
{
    (void)state;
    static const struct str plains[] = { { "", 0 }, { "x", 1 }, { "whsec_secret", 12 } };
    for (size_t i = 0; i < COUNT_OF(plains); i++) {
        struct str plain;
        struct str sealed = crypto_seal(seal_key, plains[i], STR("row 1"), &arena);
        assert_int_equal(sealed.len, plains[i].len + CRYPTO_SEAL_OVERHEAD_BYTES);
        assert_true(crypto_open(seal_key, sealed, STR("row 1"), &arena, &plain));
        assert_true(str_eq(plain, plains[i]));
    }
}

static void seal_never_repeats_itself(void **state)
{
    (void)state;
    struct str a = crypto_seal(seal_key, STR("same"), STR("same"), &arena);
    struct str b = crypto_seal(seal_key, STR("same"), STR("same"), &arena);
    assert_false(str_eq(a, b));
}

static void seal_with_any_bit_changed_does_not_open(void **state)
{
    (void)state;
    struct str plain = STR("untouched");
    struct str sealed = crypto_seal(seal_key, STR("a secret"), STR("row"), &arena);
    for (size_t bit = 0; bit < sealed.len * 8; bit++) {
        struct str changed = str_copy(&arena, sealed);
        ((char *)changed.data)[bit / 8] ^= (char)(1 << bit % 8);
        assert_false(crypto_open(seal_key, changed, STR("row"), &arena, &plain));
    }
    assert_true(str_eq(plain, STR("untouched")));
}

static void seal_of_another_length_does_not_open(void **state)
{
    (void)state;
    struct str plain;
    struct str sealed = crypto_seal(seal_key, STR("a secret"), STR("row"), &arena);
    for (size_t len = 0; len < sealed.len; len++)
        assert_false(crypto_open(seal_key, str_take(sealed, len), STR("row"), &arena, &plain));
    char *bytes = NEW(&arena, char, sealed.len + 1);
    memcpy(bytes, sealed.data, sealed.len);
    struct str longer = { bytes, sealed.len + 1 };
    assert_false(crypto_open(seal_key, longer, STR("row"), &arena, &plain));
    assert_false(crypto_open(seal_key, STR_NONE, STR("row"), &arena, &plain));
}

static void seal_is_bound_to_its_context_and_key(void **state)
{
    (void)state;
    static const unsigned char other_key[CRYPTO_KEY_BYTES] = { 7, 7, 8 };
    struct str                 plain;
    struct str sealed = crypto_seal(seal_key, STR("a secret"), STR("row 1"), &arena);
    assert_false(crypto_open(seal_key, sealed, STR("row 2"), &arena, &plain));
    assert_false(crypto_open(seal_key, sealed, STR(""), &arena, &plain));
    assert_false(crypto_open(seal_key, sealed, STR_NONE, &arena, &plain));
    assert_false(crypto_open(other_key, sealed, STR("row 1"), &arena, &plain));
}

/* Test cases 14 and 16 of the GCM specification: nonce, ciphertext, tag. */
static void open_reads_known_aes_256_gcm(void **state)
{
    (void)state;
    static const unsigned char zero_key[CRYPTO_KEY_BYTES];
    struct str                 plain;
    assert_true(crypto_open(zero_key,
                            from_hex("000000000000000000000000"
                                     "cea7403d4d606b6e074ec5d3baf39d18"
                                     "d0d1c8a799996bf0265b98b5d48ab919"),
                            STR(""), &arena, &plain));
    assert_true(str_eq(plain, from_hex("00000000000000000000000000000000")));

    struct str key = from_hex("feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308");
    assert_true(crypto_open((const unsigned char *)key.data,
                            from_hex("cafebabefacedbaddecaf888"
                                     "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555"
                                     "d1aa8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662"
                                     "76fc6ece0f4e1768cddf8853bb2d551b"),
                            from_hex("feedfacedeadbeeffeedfacedeadbeefabaddad2"), &arena, &plain));
    assert_hex(plain.data, plain.len,
               "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
               "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39");
}

/* --- passwords --- */

static bool password_matches(const char *password, const char *text)
{
    struct error error = { 0 };
    bool         matches = false;
    assert_int_equal(password_check(str_of(password), text, &error, &matches), ERR_OK);
    return matches;
}

static void password_matches_only_itself(void **state)
{
    (void)state;
    struct error error = { 0 };
    char         a[PASSWORD_HASH_BYTES_MAX], b[PASSWORD_HASH_BYTES_MAX];
    assert_int_equal(password_hash(STR("correct horse"), a, &error), ERR_OK);
    assert_int_equal(password_hash(STR("correct horse"), b, &error), ERR_OK);
    assert_true(str_starts_with(str_of(a), STR("$argon2id$v=19$m=32768,t=3,p=1$")));
    assert_string_not_equal(a, b);
    assert_true(password_matches("correct horse", a));
    assert_true(password_matches("correct horse", b));
    assert_false(password_matches("correct hors", a));
    assert_false(password_matches("Correct horse", a));
    assert_false(password_matches("", a));
}

/* From the reference implementation's own tests. */
static void password_check_reads_a_known_hash(void **state)
{
    (void)state;
    static const char known[] =
        "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc";
    assert_true(password_matches("password", known));
    assert_false(password_matches("passwort", known));
}

static void password_matches_no_malformed_hash(void **state)
{
    (void)state;
    static const char *const texts[] = { "", "x", "$argon2id$", "$argon2id$v=19$m=32768,t=3,p=1$$",
                                         "$argon2i$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$AA" };
    for (size_t i = 0; i < COUNT_OF(texts); i++)
        assert_false(password_matches("", texts[i]));
}

enum { SIGN_INS = 8 };

static void *sign_in(void *argument)
{
    enum err    *result = argument;
    struct error error = { 0 };
    char         text[PASSWORD_HASH_BYTES_MAX];
    *result = password_hash(STR("correct horse"), text, &error);
    if (*result && strcmp(error.slug, "passwords_busy") != 0) *result = ERR_INTERNAL;
    return NULL;
}

/* Whoever comes while two are at it is told so, and takes nobody's place with him. */
static void passwords_beyond_the_bound_are_refused_not_queued(void **state)
{
    (void)state;
    pthread_t threads[SIGN_INS];
    enum err  results[SIGN_INS];
    int       hashed_count = 0;
    for (int i = 0; i < SIGN_INS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, sign_in, &results[i]), 0);
    for (int i = 0; i < SIGN_INS; i++) {
        pthread_join(threads[i], NULL);
        assert_true(results[i] == ERR_OK || results[i] == ERR_UNAVAILABLE);
        if (results[i] == ERR_OK) hashed_count++;
    }
    assert_true(hashed_count >= PASSWORDS_AT_ONCE);

    for (int i = 0; i < PASSWORDS_AT_ONCE + 1; i++) {
        enum err after;
        sign_in(&after);
        assert_int_equal(after, ERR_OK);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        crypto_test(sha256_known_digests),
        crypto_test(sha256_of_absent_is_that_of_empty),
        crypto_test(sha256_runs_over_pieces_of_any_size),
        crypto_test(sha256_drop_is_fine_at_any_time),
        crypto_test(hmac_known_macs),
        crypto_test(hkdf_spelled_out_gives_the_known_key),
        crypto_test(derive_is_hkdf_without_salt),
        crypto_test(derive_gives_each_purpose_its_own_key),
        crypto_test(equal_compares_every_byte),
        crypto_test(seal_opens_with_the_same_key_and_context),
        crypto_test(seal_never_repeats_itself),
        crypto_test(seal_with_any_bit_changed_does_not_open),
        crypto_test(seal_of_another_length_does_not_open),
        crypto_test(seal_is_bound_to_its_context_and_key),
        crypto_test(open_reads_known_aes_256_gcm),
        crypto_test(password_matches_only_itself),
        crypto_test(password_check_reads_a_known_hash),
        crypto_test(password_matches_no_malformed_hash),
        crypto_test(passwords_beyond_the_bound_are_refused_not_queued),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
