/* Webhook endpoints: where an organisation wants to hear of events, per environment. A secret is
 * "whsec_" and the base64 of 32 random bytes, sealed at rest, shown once. */
#ifndef FIRSTHAND_DOMAIN_WEBHOOK_ENDPOINT_H
#define FIRSTHAND_DOMAIN_WEBHOOK_ENDPOINT_H

#include "domain/call.h"

enum endpoint_state { ENDPOINT_ACTIVE, ENDPOINT_DISABLED, ENDPOINT_STATE__COUNT };

enum {
    ENDPOINT_SECRET_RANDOM_BYTES = 32,
    ENDPOINT_FAILING_ATTEMPTS_MIN = 20,
    ENDPOINT_RELEASED_EVENTS_MAX = 5000,
};
static const int64_t ENDPOINT_FAILING_MS_MIN = (int64_t)3 * 24 * 3600 * 1000;
static const int64_t ENDPOINT_SECRET_OVERLAP_MS = (int64_t)24 * 3600 * 1000;

/* Why an endpoint is disabled. */
#define ENDPOINT_DISABLED_BY_REQUEST "requested"
#define ENDPOINT_DISABLED_AS_GONE    "gone"    /* it answered 410 */
#define ENDPOINT_DISABLED_AS_FAILING "failing" /* see webhook_endpoint_note */

struct webhook_endpoint {
    struct id           id;
    struct id           org_id;
    enum environment    environment;
    struct str          url;
    struct str          description;
    unsigned            events; /* set of BIT(enum event_type) */
    enum endpoint_state state;
    struct str          disabled_reason; /* absent while active */
    struct str          sealed_secret, sealed_old_secret;
    int64_t             old_secret_ends_ms; /* 0 = there is none */
    int64_t             failures_count;     /* attempts since the last success */
    int64_t             first_failed_ms;    /* 0 = none failed since */
    int64_t             created_ms, updated_ms;
    int64_t             deleted_ms;     /* 0 = not deleted */
    struct str          signing_secret; /* only of a secret made by this call */
};

/* Is this an address an endpoint may have: https (http too where webhook-allow is set), a host, and
 * no user info? ERR_UNPROCESSABLE "body_invalid" with a fault for field "url". */
MUST_USE enum err webhook_endpoint_check_url(struct call *call, struct str url);

/* A new active endpoint of the actor's organisation and environment, with the url (checked by the
 * caller), description and events of *asked.
 * ERR_CONFLICT "too_many_endpoints": there are ENDPOINTS_PER_ORGANISATION_MAX. */
MUST_USE enum err webhook_endpoint_create(struct call *call, const struct webhook_endpoint *asked,
                                          struct webhook_endpoint *ret_endpoint);

/* ERR_NOT_FOUND "webhook_endpoint": unknown, deleted, or not the actor's. */
MUST_USE enum err webhook_endpoint_get(struct call *call, struct str id_text,
                                       struct webhook_endpoint *ret_endpoint);

/* The same, also one that is deleted: its events are listed still. */
MUST_USE enum err webhook_endpoint_get_kept(struct call *call, struct str id_text,
                                            struct webhook_endpoint *ret_endpoint);

/* For runners: whoever's it is, also a deleted one. ERR_NOT_FOUND "webhook_endpoint". */
MUST_USE enum err webhook_endpoint_get_any(struct call *call, const struct id *id,
                                           struct webhook_endpoint *ret_endpoint);

/* The actor's, newest first, older than before, up to count. */
MUST_USE enum err webhook_endpoint_list(struct call *call, const struct id *before, int count,
                                        struct webhook_endpoint *ret_rows, int *ret_count);

/* Store url, description and events, which the caller has checked. Sets updated_ms. */
MUST_USE enum err webhook_endpoint_save(struct call *call, struct webhook_endpoint *endpoint);

/* Its pending events are held from now on. Emits endpoint.disabled to the organisation's others.
 * One that the store says is disabled or deleted is left as it is. Updates *endpoint. */
MUST_USE enum err webhook_endpoint_disable(struct call *call, struct webhook_endpoint *endpoint,
                                           const char *reason);

/* Failures are forgotten and what was held is due at once, in the order it happened; beyond
 * ENDPOINT_RELEASED_EVENTS_MAX that wait for another attempt, at their times. One that is active
 * is left as it is. Updates *endpoint. */
MUST_USE enum err webhook_endpoint_enable(struct call *call, struct webhook_endpoint *endpoint);

/* Final: it hears nothing more, its pending events count as failed, and of its row nothing is kept
 * that only sending needs: no URL, no secrets. The events name it until event-retention drops them.
 */
MUST_USE enum err webhook_endpoint_delete(struct call *call, struct webhook_endpoint *endpoint);

/* A new signing_secret. The one until now signs too for ENDPOINT_SECRET_OVERLAP_MS; an older one
 * that still did stops at once, and so does one that does not open with the server key. Updates
 * *endpoint. */
MUST_USE enum err webhook_endpoint_rotate(struct call *call, struct webhook_endpoint *endpoint);

/* Seal anew, under the newest server key, what is sealed under another. What does not open is left
 * as it is. *ret_count = sealed anew. */
MUST_USE enum err webhook_endpoint_reseal(struct call *call, int64_t *ret_count);

/* What signs now: *ret_old is absent unless a rotation's overlap lasts.
 * ERR_INTERNAL "unseal_failed": it does not open with the server key. */
MUST_USE enum err webhook_endpoint_open_secrets(struct call                   *call,
                                                const struct webhook_endpoint *endpoint,
                                                struct str *ret_current, struct str *ret_old);

/* An attempt ended. Failures without a success between them, at least ENDPOINT_FAILING_ATTEMPTS_MIN
 * of them over at least ENDPOINT_FAILING_MS_MIN, disable the endpoint. A success after a success
 * writes nothing. */
MUST_USE enum err webhook_endpoint_note(struct call *call, const struct id *id, bool is_success);

const char *endpoint_state_name(enum endpoint_state state); /* "active", "disabled" */

#endif
