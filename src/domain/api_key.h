/* API keys: made, checked, rotated, revoked. A secret is "fh_live_" or "fh_test_", 32 random base62
 * characters and 6 of checksum; the store keeps its HMAC only. */
#ifndef FIRSTHAND_DOMAIN_API_KEY_H
#define FIRSTHAND_DOMAIN_API_KEY_H

#include "domain/call.h"
#include "domain/page.h"

enum key_state { KEY_ACTIVE, KEY_ROTATING, KEY_REVOKED, KEY_STATE__COUNT };

enum {
    KEY_SECRET_BYTES = 8 + 32 + 6,
    KEY_PREFIX_BYTES = 12,
    KEY_HINT_BYTES = 4,
};
static const int64_t KEY_ROTATION_OVERLAP_MS = (int64_t)24 * 3600 * 1000;

struct api_key {
    struct id        id;
    struct id        org_id;
    enum environment environment;
    struct str       name;
    struct str       prefix, hint;
    unsigned         scopes; /* set of BIT(enum scope) */
    enum key_state   state;  /* as it is now: a rotating key past its end is revoked */
    int64_t          rate_limit_per_minute;                                  /* 0 = the setting's */
    int64_t          created_ms, expires_ms, rotation_ends_ms, last_used_ms; /* 0 = none */
    int              server_key; /* its hash's; 0 = not known */
    struct str       secret;     /* only of a key made by this call */
};

struct key_request {
    struct str       name;
    unsigned         scopes;
    enum environment environment;
    int64_t          expires_ms; /* 0 = never */
};

/* A key for the acting key's organisation, or, for an operator, for org_id.
 * ERR_UNPROCESSABLE "body_invalid" (expires_at not in the future); ERR_FORBIDDEN
 * "environment_forbidden" (a test key making a live one) | "scope_exceeds_own" | "key_outlives_own"
 * (a rotating or expiring key may not make one that lives longer). */
MUST_USE enum err api_key_create(struct call *call, const struct id *org_id,
                                 const struct key_request *request, struct api_key *ret_key);

/* The same whoever acts, for what has decided that already: nothing of the request is looked at. */
MUST_USE enum err api_key_make(struct call *call, const struct id *org_id,
                               const struct key_request *request, struct api_key *ret_key);

/* Newest first, older than before, up to count: a live key sees both environments, a test key its
 * own. */
MUST_USE enum err api_key_list(struct call *call, const struct id *before, int count,
                               struct api_key *ret_rows, struct page_search *ret_search);

/* Replace a key: a new secret with the same name, scopes, environment and expiry; the old one works
 * until *ret_old_ends_ms. ERR_NOT_FOUND "key"; ERR_FORBIDDEN as api_key_create; ERR_CONFLICT
 * "key_not_active". */
MUST_USE enum err api_key_rotate(struct call *call, struct str id_text, struct api_key *ret_key,
                                 int64_t *ret_old_ends_ms);

/* Final, immediate, idempotent. ERR_NOT_FOUND "key". */
MUST_USE enum err api_key_revoke(struct call *call, struct str id_text);

/* Who a secret is. Needs only arena, db, keyring and now_ms of the call; sets nothing in it but the
 * error. ERR_UNAUTHENTICATED "bad_credentials" | "key_expired" | "key_revoked". */
MUST_USE enum err api_key_authenticate(struct call *call, struct str secret,
                                       struct actor *ret_actor);

/* Does the acting key still work, seen from inside the write transaction? Same errors. Makes
 * call->actor what the key is now: it may have been rotated since it was let in. */
MUST_USE enum err api_key_recheck(struct call *call);

/* Note when keys were used. */
MUST_USE enum err api_key_touch(struct call *call, const struct id *id, int64_t used_ms);

/* Offline shape test: prefix, length, alphabet, checksum. */
bool api_key_is_well_formed(struct str secret);

const char *key_state_name(enum key_state state);

#endif
