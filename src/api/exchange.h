/* The steps of a request that are the same wherever it is answered. */
#ifndef FIRSTHAND_API_EXCHANGE_H
#define FIRSTHAND_API_EXCHANGE_H

#include "api/api.h"

/* A new one, with an id of its own, in the arena of http and known to it. */
struct exchange *exchange_open(struct api *api, struct http_exchange *http);

/* Find its operation. ERR_NOT_FOUND "route_not_found", ERR_METHOD with Allow set. */
MUST_USE enum err exchange_match(struct exchange *exchange);

/* A call of its actor in a snapshot on this thread's reader; then the end of that. Errors: as
 * db_readers_get and db_begin. */
MUST_USE enum err exchange_begin_read(struct exchange *exchange);
void              exchange_end_read(struct exchange *exchange);

/* Hand the reply to the connection: the handler's, or that of the error. */
void exchange_finish(struct exchange *exchange, enum err e);

#endif
