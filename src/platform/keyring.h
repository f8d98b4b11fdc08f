/* The server key: what hashes API keys, signs links and cursors, and seals secrets at rest.
 *
 * server.key (mode 0600) lists numbered 32-byte keys, newest first, one "NUMBER HEX" a line. Each
 * purpose uses its own key, derived from it. New values use the newest key; old ones say under
 * which key they were made, or are tried under every listed key. */
#ifndef FIRSTHAND_PLATFORM_KEYRING_H
#define FIRSTHAND_PLATFORM_KEYRING_H

#include "platform/crypto.h"

enum { KEYRING_KEYS_MAX = 16 };

enum keyring_purpose {
    PURPOSE_API_KEY, /* hashes of API keys and other bearer tokens */
    PURPOSE_LINK,    /* signatures of download links */
    PURPOSE_SEAL,    /* encryption at rest */
    PURPOSE_CURSOR,  /* signatures of page cursors */
    PURPOSE_AUDIT,   /* seals of the audit's rows */
    PURPOSE__COUNT
};

struct keyring;

/* Read path, or make it with one fresh key when it is absent and may_create.
 * ERR_UNAVAILABLE "server_key_missing" (absent and not may_create) | "server_key_unreadable" |
 * "server_key_permissions" (others can touch it) | "server_key_malformed" (also: a number twice, or
 * more than KEYRING_KEYS_MAX), or what disk_sync_parent answers. Several may open at once: one
 * makes it, all read the same.
 * Owned by the arena. Immutable, shared by all threads. */
MUST_USE enum err keyring_open(const char *path, bool may_create, struct arena *arena,
                               struct error *error, const struct keyring **ret_keyring);

int keyring_count(const struct keyring *keyring);
int keyring_newest(const struct keyring *keyring); /* its number */

/* MAC under the key at a position (0 = newest … keyring_count - 1). */
void keyring_mac_at(const struct keyring *keyring, int position, enum keyring_purpose purpose,
                    struct str bytes, unsigned char mac[SHA256_BYTES]);

/* MAC under the key with that number; false when it is not listed (any more). */
MUST_USE bool keyring_mac(const struct keyring *keyring, int number, enum keyring_purpose purpose,
                          struct str bytes, unsigned char mac[SHA256_BYTES]);

/* Seal under the newest key; the result says which. keyring_unseal fails when the bytes or the
 * context were changed, or the key is gone. */
struct str    keyring_seal(const struct keyring *keyring, struct str plain, struct str context,
                           struct arena *arena);
MUST_USE bool keyring_unseal(const struct keyring *keyring, struct str sealed, struct str context,
                             struct arena *arena, struct str *ret_plain);

#endif
