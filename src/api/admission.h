/* Admission: everything that is decided about a request before its operation runs, in the fixed
 * order of refusals. Each answer is in exchange->call.error. */
#ifndef FIRSTHAND_API_ADMISSION_H
#define FIRSTHAND_API_ADMISSION_H

#include "api/api.h"

/* 413 and 415: before anything is known of who asks. */
MUST_USE enum err admission_check_envelope(struct exchange *exchange);

/* 401, 429, 403: who asks and whether he may, and what the operation's binding asks besides. Needs
 * a read transaction; sets exchange->actor. */
MUST_USE enum err admission_admit(struct exchange *exchange);

/* 400: headers and query, the Idempotency-Key included. */
MUST_USE enum err admission_check_parameters(struct exchange *exchange);

/* 400 and 422: the body. Sets exchange->request.body. */
MUST_USE enum err admission_check_body(struct exchange *exchange);

/* Who sent it: the peer, or, behind the trusted proxy, the last hop it names. */
struct str admission_client_address(const struct exchange *exchange);

#endif
