/* Bearer secrets: a prefix, 32 random base62 characters, and 6 of checksum, so that a leaked one
 * can be recognised offline; and the hash they are stored as. */
#ifndef FIRSTHAND_DOMAIN_SECRET_TEXT_H
#define FIRSTHAND_DOMAIN_SECRET_TEXT_H

#include "base/str.h"
#include "platform/keyring.h"

enum { SECRET_RANDOM_CHARS = 32, SECRET_CHECKSUM_CHARS = 6 };

/* A new secret, owned by the arena. */
struct str secret_new(const char *prefix, struct arena *arena);

/* Right prefix, length, alphabet and checksum? */
bool secret_is_well_formed(struct str secret, const char *prefix);

/* The hex HMAC it is stored as, under the server key at a position (0 = newest); absent, which
 * equals no hash, when there is none at it any more. */
struct str secret_hash(const struct keyring *keyring, int position, struct str secret,
                       struct arena *arena);

/* The hash for a secret that is stored now, and the number of the server key it is under. */
struct str secret_hash_new(const struct keyring *keyring, struct str secret, struct arena *arena,
                           int *ret_server_key);

#endif
