/* Idempotency keys: one row per (owner, environment, operation, key), bound by the commit of a 2xx,
 * kept for 24 hours. Finding and storing need an owner. */
#ifndef FIRSTHAND_DOMAIN_IDEMPOTENCY_H
#define FIRSTHAND_DOMAIN_IDEMPOTENCY_H

#include "domain/call.h"

/* A key that stands for a credential must not be guessed: as long as a UUID's bits in base64. */
enum { IDEMPOTENCY_KEY_BYTES_MAX = 255, IDEMPOTENCY_SECRET_KEY_BYTES_MIN = 22 };
static const int64_t IDEMPOTENCY_KEPT_MS = (int64_t)24 * 3600 * 1000;

struct idempotency {
    struct str operation;
    struct str key;
    struct id  owner_id;       /* whose key it is: an organisation, a worker, an invite,
                                * the server */
    struct id        asker_id; /* to whom alone a secret is replayed */
    enum environment environment;
    bool          has_secret_key; /* it alone opens the reply: kept as a MAC under the server key */
    bool          has_secret_body;           /* the fingerprint is kept under the server key */
    unsigned char fingerprint[SHA256_BYTES]; /* of method, path with query, and body as received */
};

/* What was answered the first time. */
struct stored_reply {
    int        status;
    struct str resource_id; /* absent unless the reply is to be rebuilt from it */
    struct str body;        /* absent when resource_id is there, or the reply had none */
};

/* 1 to IDEMPOTENCY_KEY_BYTES_MAX visible ASCII characters. */
bool idempotency_key_is_valid(struct str key);

void idempotency_fingerprint(struct str method, struct str path, struct str query, struct str body,
                             unsigned char fingerprint[SHA256_BYTES]);

/* The key is the actor's: owner, asker and environment. Of nobody's it stays without an owner. */
void idempotency_set_owner(struct idempotency *idempotency, const struct actor *actor);

/* Owner and asker are "server", which is nobody's id: for what anybody may ask, the keys of all are
 * one space. */
void idempotency_set_server_owner(struct idempotency *idempotency);

/* Was it answered before? *ret_is_there and the reply. What is kept under a server key is found for
 * as long as that one is listed.
 * ERR_CONFLICT "idempotency_key_reused": with another request, or, where the reply carries a
 * secret, by another key. */
MUST_USE enum err idempotency_find(struct call *call, const struct idempotency *idempotency,
                                   struct stored_reply *ret_reply, bool *ret_is_there);

/* Bind the key to this reply. is_secret: the body is sealed at rest and replays only to this asker.
 */
MUST_USE enum err idempotency_store(struct call *call, const struct idempotency *idempotency,
                                    const struct stored_reply *reply, bool is_secret);

/* Seal anew, under the newest server key, what is sealed under another. What does not open is left
 * as it is. *ret_count = sealed anew. */
MUST_USE enum err idempotency_reseal(struct call *call, int64_t *ret_count);

/* Drop up to count rows past their time; *ret_count = dropped. */
MUST_USE enum err idempotency_sweep(struct call *call, int count, int64_t *ret_count);

#endif
