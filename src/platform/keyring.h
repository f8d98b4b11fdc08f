/* The server key: what hashes API keys, signs links and cursors, seals secrets at rest, and chains
 * the audit.
 *
 * server.key (keyring_file.h) lists numbered 32-byte keys, newest first. Each purpose uses its own
 * key, derived from it. New values use the newest key; old ones say under which key they were made,
 * or are tried under every listed key. */
#ifndef FIRSTHAND_PLATFORM_KEYRING_H
#define FIRSTHAND_PLATFORM_KEYRING_H

#include "platform/keyring_file.h"

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
 * Owned by the arena. Shared by all threads; changes only by keyring_reload. */
MUST_USE enum err keyring_open(const char *path, bool may_create, struct arena *arena,
                               struct error *error, const struct keyring **ret_keyring);

/* Take the file's keys up if it changed since; all threads see all of it or nothing. Refused when
 * the key in use until now is gone from it, or a number means another key: such a file needs a new
 * start. Errors: as keyring_open; ERR_CONFLICT "server_key_replaced" | "server_key_reloads" (too
 * many in one life). What was loaded stays then. arena is for scratch. Thread-safe. */
MUST_USE enum err keyring_reload(const struct keyring *keyring, struct arena *arena,
                                 struct error *error);

int keyring_count(const struct keyring *keyring);
int keyring_newest(const struct keyring *keyring);  /* its number: that of the first listed */
int keyring_highest(const struct keyring *keyring); /* the highest number listed */

/* MAC under the key at a position (0 = newest …); false when there is none at it (any more). */
bool keyring_mac_at(const struct keyring *keyring, int position, enum keyring_purpose purpose,
                    struct str bytes, unsigned char mac[SHA256_BYTES]);

/* MAC under the key with that number; false when it is not listed (any more). For the audit also
 * one that was dropped will do. */
MUST_USE bool keyring_mac(const struct keyring *keyring, int number, enum keyring_purpose purpose,
                          struct str bytes, unsigned char mac[SHA256_BYTES]);

/* Seal under the newest key; the result says which. keyring_unseal fails when the bytes or the
 * context were changed, or the key is gone. */
struct str    keyring_seal(const struct keyring *keyring, struct str plain, struct str context,
                           struct arena *arena);
MUST_USE bool keyring_unseal(const struct keyring *keyring, struct str sealed, struct str context,
                             struct arena *arena, struct str *ret_plain);
int           keyring_sealed_under(struct str sealed); /* the number of the key; 0 = not sealed */

#endif
