/* Signatures of what is sent to an endpoint, in two schemes, so that either kind of library can
 * check it. docs/webhooks.md tells receivers how. */
#ifndef FIRSTHAND_DOMAIN_WEBHOOK_SIGNATURE_H
#define FIRSTHAND_DOMAIN_WEBHOOK_SIGNATURE_H

#include "base/str.h"

enum { WEBHOOK_SECRETS_MAX = 2 }; /* the current one, and during a rotation the old one */

#define WEBHOOK_SECRET_PREFIX "whsec_"

/* The request headers of one attempt, "Name: value" each. */
enum { WEBHOOK_HEADERS = 5 };

struct webhook_signing {
    struct str event_id;
    int64_t    time_s;
    struct str body;
    int        secrets_count;
    struct str secrets[WEBHOOK_SECRETS_MAX]; /* "whsec_" and base64 */
};

/* X-FirstHand-Signature and -Event-Id, and webhook-id, -timestamp and -signature of the Standard
 * Webhooks. Every secret signs. False when a secret is not of its form. Owned by the arena. */
MUST_USE bool webhook_sign(const struct webhook_signing *signing, struct arena *arena,
                           const char *ret_headers[WEBHOOK_HEADERS]);

/* The v1 of X-FirstHand-Signature, and of Stripe's: lower-case hex of the HMAC-SHA256 of
 * "time.body" under the whole secret as it is. Owned by the arena. */
struct str webhook_signature_hex(struct str secret, int64_t time_s, struct str body,
                                 struct arena *arena);

#endif
