/* The headers that any request may carry, read as what they mean. */
#ifndef FIRSTHAND_API_REQUEST_HEADER_H
#define FIRSTHAND_API_REQUEST_HEADER_H

#include "base/str.h"

enum { PREFER_WAIT_S_MAX = 60 };

/* The credentials of an Authorization header of the scheme Bearer (RFC 6750), without blanks at
 * their ends; absent for another scheme or none. Borrowed from the value. */
struct str bearer_parse(struct str authorization);

/* Is the tag, with its quotes, one of those that If-None-Match lists? Weak comparison (RFC 9110
 * §8.8.3.2); "*" lists every tag. */
bool etag_is_listed(struct str if_none_match, struct str etag);

/* Is the media type, without its parameters, the given one? Letter case does not matter. */
bool content_type_is(struct str content_type, struct str type);

/* Does the Prefer header (RFC 7240: a list of preferences, each with parameters) ask to wait, in
 * whole seconds of at least 1? The first "wait" counts; what is no such number is no wish. Beyond
 * PREFER_WAIT_S_MAX is PREFER_WAIT_S_MAX. */
MUST_USE bool prefer_wait_parse(struct str prefer, int64_t *ret_wait_s);

#endif
