/* Sign-up: an organisation opened by whoever asks, where the operator lets anybody. */
#ifndef FIRSTHAND_DOMAIN_SIGN_UP_H
#define FIRSTHAND_DOMAIN_SIGN_UP_H

#include "domain/api_key.h"

struct sign_up {
    struct str     name, email;
    struct id      org_id; /* from here on: what was made */
    struct api_key live, test;
    int64_t        credits_cents;
};

/* Is it open? ERR_FORBIDDEN "signup_closed". */
MUST_USE enum err sign_up_check_open(struct call *call);

/* Make the organisation with signup-credit-cents as its free tier, and a key of all scopes for
 * each environment. ERR_FORBIDDEN "signup_closed"; ERR_INVALID "bad_name" | "bad_email",
 * ERR_CONFLICT "email_taken". */
MUST_USE enum err sign_up(struct call *call, struct sign_up *sign_up);

#endif
