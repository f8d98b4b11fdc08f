#include "platform/crypto.h"

#include "base/world.h"

#include <argon2.h>
#include <assert.h>
#include <limits.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

enum {
    NONCE_BYTES = 12,
    TAG_BYTES = 16,
    ARGON2_PASSES = 3,
    ARGON2_KIB = 32 << 10,
    ARGON2_LANES = 1,
    ARGON2_SALT_BYTES = 16,
    ARGON2_TAG_BYTES = 32,
};
static_assert(NONCE_BYTES + TAG_BYTES == CRYPTO_SEAL_OVERHEAD_BYTES, "the header says so");

static const unsigned char *bytes_of(struct str s)
{
    return (const unsigned char *)(s.data ? s.data : "");
}

/* Looked up once for the life of the process: the library's search for an algorithm by its name
 * costs more than hashing the little that most calls hash. */
static pthread_once_t methods_once = PTHREAD_ONCE_INIT;
static EVP_MD        *sha256_method;
static EVP_MAC_CTX   *hmac_unkeyed; /* HMAC with SHA-256; copied and given a key for each use */

static void methods_fetch(void)
{
    char       digest[] = "SHA256";
    OSSL_PARAM parameters[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_end(),
    };
    EVP_MAC *hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    sha256_method = EVP_MD_fetch(NULL, digest, NULL);
    hmac_unkeyed = EVP_MAC_CTX_new(hmac);
    CHECK(sha256_method != NULL && hmac_unkeyed != NULL);
    CHECK(EVP_MAC_CTX_set_params(hmac_unkeyed, parameters) == 1);
    EVP_MAC_free(hmac);
}

static const EVP_MD *sha256(void)
{
    CHECK(pthread_once(&methods_once, methods_fetch) == 0);
    return sha256_method;
}

static void *digest_begin(const EVP_MD *method)
{
    EVP_MD_CTX *state = EVP_MD_CTX_new();
    CHECK(state != NULL);
    CHECK(EVP_DigestInit_ex(state, method, NULL) == 1);
    return state;
}

static void digest_drop(void **state)
{
    EVP_MD_CTX_free(*state);
    *state = NULL;
}

static void digest_end(void **state, unsigned char *digest)
{
    CHECK(EVP_DigestFinal_ex(*state, digest, NULL) == 1);
    digest_drop(state);
}

void sha256_begin(struct sha256 *hash)
{
    hash->state = digest_begin(sha256());
}

void sha256_add(struct sha256 *hash, const void *bytes, size_t count)
{
    CHECK(EVP_DigestUpdate(hash->state, bytes, count) == 1);
}

void sha256_end(struct sha256 *hash, unsigned char digest[SHA256_BYTES])
{
    digest_end(&hash->state, digest);
}

void sha256_drop(struct sha256 *hash)
{
    digest_drop(&hash->state);
}

static const EVP_MD *checksum_method(enum checksum_kind kind)
{
    CHECK((unsigned)kind < CHECKSUM_KIND__COUNT);
    return kind == CHECKSUM_SHA1 ? EVP_sha1() : sha256();
}

void checksum_begin(struct checksum *checksum, enum checksum_kind kind)
{
    checksum->state = digest_begin(checksum_method(kind));
}

void checksum_add(struct checksum *checksum, const void *bytes, size_t count)
{
    CHECK(EVP_DigestUpdate(checksum->state, bytes, count) == 1);
}

void checksum_end(struct checksum *checksum, unsigned char digest[CHECKSUM_BYTES_MAX])
{
    digest_end(&checksum->state, digest);
}

void checksum_drop(struct checksum *checksum)
{
    digest_drop(&checksum->state);
}

size_t checksum_bytes(enum checksum_kind kind)
{
    return (size_t)EVP_MD_get_size(checksum_method(kind));
}

void crypto_sha256(struct str bytes, unsigned char digest[SHA256_BYTES])
{
    CHECK(EVP_Digest(bytes_of(bytes), bytes.len, digest, NULL, sha256(), NULL) == 1);
}

void crypto_hmac_of(struct str key, struct str head, struct str tail,
                    unsigned char mac[SHA256_BYTES])
{
    CHECK(pthread_once(&methods_once, methods_fetch) == 0);
    EVP_MAC_CTX *context = EVP_MAC_CTX_dup(hmac_unkeyed);
    size_t       count = 0;
    CHECK(context != NULL);
    CHECK(EVP_MAC_init(context, bytes_of(key), key.len, NULL) == 1);
    CHECK(EVP_MAC_update(context, bytes_of(head), head.len) == 1);
    CHECK(EVP_MAC_update(context, bytes_of(tail), tail.len) == 1);
    CHECK(EVP_MAC_final(context, mac, &count, SHA256_BYTES) == 1);
    CHECK(count == SHA256_BYTES);
    EVP_MAC_CTX_free(context);
}

void crypto_hmac(const unsigned char key[CRYPTO_KEY_BYTES], struct str bytes,
                 unsigned char mac[SHA256_BYTES])
{
    crypto_hmac_of((struct str){ (const char *)key, CRYPTO_KEY_BYTES }, bytes, STR(""), mac);
}

void crypto_derive(const unsigned char key[CRYPTO_KEY_BYTES], const char *purpose,
                   unsigned char derived[CRYPTO_KEY_BYTES])
{
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_id(EVP_PKEY_HKDF, NULL);
    CHECK(context != NULL);
    size_t count = CRYPTO_KEY_BYTES;
    CHECK(EVP_PKEY_derive_init(context) == 1);
    CHECK(EVP_PKEY_CTX_set_hkdf_md(context, EVP_sha256()) == 1);
    CHECK(EVP_PKEY_CTX_set1_hkdf_key(context, key, CRYPTO_KEY_BYTES) == 1);
    CHECK(EVP_PKEY_CTX_add1_hkdf_info(context, (const unsigned char *)purpose,
                                      (int)strlen(purpose)) == 1);
    CHECK(EVP_PKEY_derive(context, derived, &count) == 1);
    EVP_PKEY_CTX_free(context);
}

bool crypto_equal(const void *a, const void *b, size_t count)
{
    return CRYPTO_memcmp(a, b, count) == 0;
}

struct str crypto_seal(const unsigned char key[CRYPTO_KEY_BYTES], struct str plain,
                       struct str context, struct arena *arena)
{
    CHECK(plain.len < INT_MAX && context.len < INT_MAX);
    size_t         size = plain.len + CRYPTO_SEAL_OVERHEAD_BYTES;
    unsigned char *sealed = NEW(arena, unsigned char, size);
    world_random(sealed, NONCE_BYTES);

    EVP_CIPHER_CTX *cipher = EVP_CIPHER_CTX_new();
    int             count = 0;
    CHECK(cipher != NULL);
    CHECK(EVP_EncryptInit_ex(cipher, EVP_aes_256_gcm(), NULL, key, sealed) == 1);
    CHECK(EVP_EncryptUpdate(cipher, NULL, &count, bytes_of(context), (int)context.len) == 1);
    CHECK(EVP_EncryptUpdate(cipher, sealed + NONCE_BYTES, &count, bytes_of(plain),
                            (int)plain.len) == 1);
    CHECK(EVP_EncryptFinal_ex(cipher, sealed + NONCE_BYTES + count, &count) == 1);
    CHECK(EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_GCM_GET_TAG, TAG_BYTES,
                              sealed + NONCE_BYTES + plain.len) == 1);
    EVP_CIPHER_CTX_free(cipher);
    return (struct str){ (char *)sealed, size };
}

bool crypto_open(const unsigned char key[CRYPTO_KEY_BYTES], struct str sealed, struct str context,
                 struct arena *arena, struct str *ret_plain)
{
    if (sealed.len < CRYPTO_SEAL_OVERHEAD_BYTES || sealed.len >= INT_MAX) return false;
    size_t               size = sealed.len - CRYPTO_SEAL_OVERHEAD_BYTES;
    const unsigned char *nonce = bytes_of(sealed);
    unsigned char       *plain = NEW(arena, unsigned char, size + 1);
    unsigned char        tag[TAG_BYTES];
    memcpy(tag, nonce + NONCE_BYTES + size, TAG_BYTES);

    EVP_CIPHER_CTX *cipher = EVP_CIPHER_CTX_new();
    int             count = 0;
    CHECK(cipher != NULL);
    CHECK(EVP_DecryptInit_ex(cipher, EVP_aes_256_gcm(), NULL, key, nonce) == 1);
    CHECK(EVP_DecryptUpdate(cipher, NULL, &count, bytes_of(context), (int)context.len) == 1);
    CHECK(EVP_DecryptUpdate(cipher, plain, &count, nonce + NONCE_BYTES, (int)size) == 1);
    CHECK(EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_GCM_SET_TAG, TAG_BYTES, tag) == 1);
    bool is_genuine = EVP_DecryptFinal_ex(cipher, plain + count, &count) == 1;
    EVP_CIPHER_CTX_free(cipher);
    if (is_genuine) *ret_plain = (struct str){ (char *)plain, size };
    return is_genuine;
}

/* How many are being hashed now: memory for passwords is bounded, whatever arrives. */
static _Atomic int passwords_now;

static enum err password_enter(struct error *error)
{
    if (atomic_fetch_add(&passwords_now, 1) < PASSWORDS_AT_ONCE) return ERR_OK;
    atomic_fetch_sub(&passwords_now, 1);
    return FAIL(error, ERR_UNAVAILABLE, "passwords_busy", "too many sign-ins at once");
}

enum err password_hash(struct str password, char text[PASSWORD_HASH_BYTES_MAX], struct error *error)
{
    enum err e = password_enter(error);
    if (e) return e;
    unsigned char salt[ARGON2_SALT_BYTES];
    world_random(salt, sizeof(salt));
    CHECK(argon2id_hash_encoded(ARGON2_PASSES, ARGON2_KIB, ARGON2_LANES, bytes_of(password),
                                password.len, salt, sizeof(salt), ARGON2_TAG_BYTES, text,
                                PASSWORD_HASH_BYTES_MAX) == ARGON2_OK);
    atomic_fetch_sub(&passwords_now, 1);
    return ERR_OK;
}

enum err password_check(struct str password, const char *text, struct error *error,
                        bool *ret_matches)
{
    enum err e = password_enter(error);
    if (e) return e;
    *ret_matches = argon2id_verify(text, bytes_of(password), password.len) == ARGON2_OK;
    atomic_fetch_sub(&passwords_now, 1);
    return ERR_OK;
}
