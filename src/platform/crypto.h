/* Cryptography, by libcrypto and libargon2; the only users of their headers.
 * Nothing here fails on valid arguments: a library that cannot hash is a broken invariant. */
#ifndef FIRSTHAND_PLATFORM_CRYPTO_H
#define FIRSTHAND_PLATFORM_CRYPTO_H

#include "base/error.h"

#include <stdint.h>

enum {
    SHA256_BYTES = 32,
    CHECKSUM_BYTES_MAX = 32,
    CRYPTO_KEY_BYTES = 32,
    CRYPTO_SEAL_OVERHEAD_BYTES = 12 + 16, /* nonce and tag */
    PASSWORD_HASH_BYTES_MAX = 128,
};

struct sha256 {
    void *state; /* EVP_MD_CTX; NULL = not begun */
};

/* Running SHA-256. Begin allocates; end writes the digest; both end and drop free. drop is fine on
 * one that was never begun and is a CLEANUP function. */
void sha256_begin(struct sha256 *hash);
void sha256_add(struct sha256 *hash, const void *bytes, size_t count);
void sha256_end(struct sha256 *hash, unsigned char digest[SHA256_BYTES]);
void sha256_drop(struct sha256 *hash);

/* Running digests by which a client checks a transfer. SHA-1 is here because tus asks for it; it
 * guards against accidents only. The same rules as for struct sha256. */
enum checksum_kind { CHECKSUM_SHA1, CHECKSUM_SHA256, CHECKSUM_KIND__COUNT };

struct checksum {
    void *state; /* NULL = not begun */
};

void   checksum_begin(struct checksum *checksum, enum checksum_kind kind);
void   checksum_add(struct checksum *checksum, const void *bytes, size_t count);
void   checksum_end(struct checksum *checksum, unsigned char digest[CHECKSUM_BYTES_MAX]);
void   checksum_drop(struct checksum *checksum);
size_t checksum_bytes(enum checksum_kind kind); /* length of its digest */

void crypto_sha256(struct str bytes, unsigned char digest[SHA256_BYTES]);
void crypto_hmac(const unsigned char key[CRYPTO_KEY_BYTES], struct str bytes,
                 unsigned char mac[SHA256_BYTES]);

/* HMAC-SHA256 of head and tail, one after the other, under a key of any length. */
void crypto_hmac_of(struct str key, struct str head, struct str tail,
                    unsigned char mac[SHA256_BYTES]);

/* HKDF-SHA256 without salt: the key for one purpose. */
void crypto_derive(const unsigned char key[CRYPTO_KEY_BYTES], const char *purpose,
                   unsigned char derived[CRYPTO_KEY_BYTES]);

/* In time that depends only on the length. */
bool crypto_equal(const void *a, const void *b, size_t count);

/* AES-256-GCM with a random nonce: nonce ‖ ciphertext ‖ tag, owned by the arena. context is
 * authenticated and not stored: opening with another fails. */
struct str    crypto_seal(const unsigned char key[CRYPTO_KEY_BYTES], struct str plain,
                          struct str context, struct arena *arena);
MUST_USE bool crypto_open(const unsigned char key[CRYPTO_KEY_BYTES], struct str sealed,
                          struct str context, struct arena *arena, struct str *ret_plain);

/* Argon2id, 32 MiB, 3 passes: about 50 ms of CPU, at most PASSWORDS_AT_ONCE at a time in the
 * process. text is the encoded form with its parameters; one that is malformed matches no password.
 * Never on a poll thread or the writer. ERR_UNAVAILABLE "passwords_busy". */
enum { PASSWORDS_AT_ONCE = 2 };
MUST_USE enum err password_hash(struct str password, char text[PASSWORD_HASH_BYTES_MAX],
                                struct error *error);
MUST_USE enum err password_check(struct str password, const char *text, struct error *error,
                                 bool *ret_matches);

#endif
