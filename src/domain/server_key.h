/* What the store has to do with the server key: which one a running server has loaded, since when
 * the newest is in use, what still hangs on an older one. Keys themselves are in server.key only.
 */
#ifndef FIRSTHAND_DOMAIN_SERVER_KEY_H
#define FIRSTHAND_DOMAIN_SERVER_KEY_H

#include "domain/call.h"

/* An old key stays for as long as links signed with it are good; invites end as soon. */
static const int64_t SERVER_KEY_KEPT_MS = (int64_t)7 * 24 * 3600 * 1000;

/* That the keyring is the one that the store is used with. A key's mark is noted when it is met
 * first. ERR_UNAVAILABLE "server_key_foreign": a key has another mark than that of its number. */
MUST_USE enum err server_key_recognize(struct call *call);

struct server_key_state {
    int64_t highest_known, used; /* by the server that runs, or the last that ran; 0 = never told */
};

MUST_USE enum err server_key_read_state(struct call *call, struct server_key_state *ret_state);

/* For a server: what the call's keyring has now. Writes only what has changed. */
MUST_USE enum err server_key_tell_state(struct call *call);

/* Since when the newest key is the newest; 0 = that was not noted. */
MUST_USE enum err server_key_since(struct call *call, int number, int64_t *ret_ms);

/* The newest key is in use from now on: note that, and seal anew what is sealed under another. Also
 * when that was begun before and cut off. *ret_count = sealed anew. */
MUST_USE enum err server_key_enter(struct call *call, int64_t *ret_count);

/* Seal anew, under the newest key, everything that is sealed under another. */
MUST_USE enum err server_key_reseal(struct call *call, int64_t *ret_count);

/* What would stop working without the key: credentials that are good now and whose hash is under
 * it, or is not known to be under another. */
struct server_key_usage {
    int64_t api_keys, sessions, invites;
};
MUST_USE enum err server_key_find_usage(struct call *call, int number,
                                        struct server_key_usage *ret_usage);
bool              server_key_is_unused(const struct server_key_usage *usage);

#endif
