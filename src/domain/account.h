/* What those who sign up have in common, organisations and workers: a name and an e-mail address.
 */
#ifndef FIRSTHAND_DOMAIN_ACCOUNT_H
#define FIRSTHAND_DOMAIN_ACCOUNT_H

#include "domain/call.h"

enum { ACCOUNT_NAME_MAX = 100 /* characters */, EMAIL_BYTES_MAX = 254 };

/* One '@' with something on both sides, no white space or control characters, at most
 * EMAIL_BYTES_MAX bytes. *ret_email is lower case (ASCII), owned by the arena. */
MUST_USE bool email_normalise(struct str text, struct arena *arena, struct str *ret_email);

/* A name of up to ACCOUNT_NAME_MAX characters, or none. ERR_INVALID "bad_name". */
MUST_USE enum err account_check_name(struct call *call, struct str name);

/* A name, and an address as email_normalise has it. ERR_INVALID "bad_name" | "bad_email". */
MUST_USE enum err account_check(struct call *call, struct str name, struct str email,
                                struct str *ret_email);

#endif
