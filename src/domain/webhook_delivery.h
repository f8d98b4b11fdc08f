/* Deliveries: which events are due, what an attempt sends, and what becomes of the event. For the
 * runner that sends; it serves every organisation. */
#ifndef FIRSTHAND_DOMAIN_WEBHOOK_DELIVERY_H
#define FIRSTHAND_DOMAIN_WEBHOOK_DELIVERY_H

#include "domain/call.h"
#include "domain/webhook_signature.h"

enum { WEBHOOK_REPLY_CHARS_MAX = 256 };
static const int64_t WEBHOOK_TIMEOUT_MS = 15 * 1000;                 /* of an attempt */
static const int64_t WEBHOOK_RETRY_AFTER_S_MAX = (int64_t)24 * 3600; /* longer is cut */

/* An endpoint that has pending events, and when the first of them is due. */
struct webhook_due {
    struct id endpoint_id;
    int64_t   due_ms;
    int64_t   later_ms; /* when the first that is not due yet will be; 0 = there is none */
    bool      is_open;  /* may be told: neither disabled nor deleted */
    bool      is_deleted;
    bool      is_failing; /* its last attempt was no success */
};

/* In the order of their ids, beyond *after (empty = from the first), up to count. */
MUST_USE enum err webhook_due_endpoints(struct call *call, const struct id *after, int count,
                                        struct webhook_due *ret_rows, int *ret_count);

/* Is any event due now that may be told, or one of a deleted endpoint to be ended? */
MUST_USE enum err webhook_has_due(struct call *call, bool *ret_has);

struct webhook_due_event {
    struct id event_id;
    int64_t   due_ms; /* marks this round: replaying the event changes it */
};

/* What is due now, first due first, up to count. */
MUST_USE enum err webhook_due_events(struct call *call, const struct id *endpoint_id, int count,
                                     struct webhook_due_event *ret_rows, int *ret_count);

/* The pending events of a deleted endpoint have failed: up to count of them. */
MUST_USE enum err webhook_end_deleted(struct call *call, const struct id *endpoint_id, int count);

/* One attempt, before it is made. */
struct webhook_delivery {
    struct id   event_id, endpoint_id;
    int64_t     due_ms;
    int64_t     attempts_count; /* before this one, since it was made or replayed */
    int64_t     number;         /* of this one, on through replays */
    struct str  body;
    bool        is_signed; /* false: the secrets do not open with the server key */
    const char *headers[WEBHOOK_HEADERS];
};

struct webhook_endpoint;

/* Render and sign it, with the time of the call. ERR_NOT_FOUND "webhook_event": it is not due any
 * more, or another round of it. */
MUST_USE enum err webhook_delivery_prepare(struct call                    *call,
                                           const struct webhook_endpoint  *endpoint,
                                           const struct webhook_due_event *due,
                                           struct webhook_delivery        *ret_delivery);

/* How it ended. */
struct webhook_result {
    struct id   event_id, endpoint_id;
    int64_t     due_ms, attempts_count, number; /* as prepared */
    int64_t     started_ms, latency_ms;
    int64_t     http_status; /* 0 = no reply, and error says why */
    const char *error;       /* a slug, or NULL */
    struct str  reply;       /* how it began, as it came */
    int64_t     retry_after_s;
};

/* Is it told? 2xx. */
bool webhook_result_is_success(const struct webhook_result *result);

/* Write the attempts down and decide about their events: delivered, pending again at its time, or
 * failed. 410 and lasting failure disable the endpoint. An attempt that is written down already
 * changes nothing; one of an event that was replayed meanwhile leaves the new round alone. */
MUST_USE enum err webhook_results_record(struct call *call, const struct webhook_result *results,
                                         int count);

#endif
