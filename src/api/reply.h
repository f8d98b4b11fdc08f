/* Replies: the error envelope, the map from errors to statuses, and sending. */
#ifndef FIRSTHAND_API_REPLY_H
#define FIRSTHAND_API_REPLY_H

#include "api/api.h"

/* An empty 200 of JSON in the call's arena. */
void reply_begin(struct reply *reply, struct arena *arena);

/* Replace whatever was written by the envelope of call.error. */
void reply_error(struct exchange *exchange);

/* Hand the reply to the connection, with the headers every reply carries. */
void reply_send(struct exchange *exchange);

/* Does a browser ask whether a page of another origin may send a request? To the worker's API it
 * may: the answer is an empty 204, whatever the path's methods are. */
bool reply_is_preflight(const struct http_exchange *http);

int         err_status(enum err code); /* HTTP status */
const char *err_type(enum err code);   /* the contract's error type */

#endif
