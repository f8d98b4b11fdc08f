/* Webhook events: an occurrence that one endpoint has to hear of, and how telling it went. */
#ifndef FIRSTHAND_DOMAIN_WEBHOOK_EVENT_H
#define FIRSTHAND_DOMAIN_WEBHOOK_EVENT_H

#include "domain/event.h"
#include "domain/page.h"
#include "domain/webhook_endpoint.h"

enum { EVENTS_REPLAYED_MAX = 1000 /* by one call */ };

struct webhook_event {
    struct id         id;
    struct id         endpoint_id;
    struct occurrence occurrence;
    enum event_state  state; /* one that is pending when its endpoint is deleted has failed */
    bool              is_endpoint_deleted;
    bool              is_held;        /* pending, and its endpoint is disabled */
    int64_t           attempts_count; /* since it was made or replayed */
    int64_t           next_ms;        /* of a pending one that is not held and awaits nothing */
    int64_t           created_ms;
    int64_t           delivered_ms; /* 0 = not */
};

struct webhook_event_filter {
    enum event_state state;       /* EVENT_STATE__COUNT = any */
    enum event_type  type;        /* EVENT_TYPE__COUNT = any */
    struct id        endpoint_id; /* empty = any */
    struct id        before;      /* older than it; empty = from the newest */
};

/* ERR_NOT_FOUND "webhook_event": unknown, malformed, or not the actor's. */
MUST_USE enum err webhook_event_get(struct call *call, struct str id_text,
                                    struct webhook_event *ret_event);

/* The actor's that pass the filter, newest first, up to count. */
MUST_USE enum err webhook_event_list(struct call *call, const struct webhook_event_filter *filter,
                                     int count, struct webhook_event *ret_rows,
                                     struct page_search *ret_search);

struct webhook_attempt {
    int64_t    number; /* from 1, on through replays */
    int64_t    started_ms, latency_ms;
    int64_t    http_status; /* 0 = there was no reply */
    struct str error;       /* the class of failure; absent when there was a reply */
    struct str reply;       /* its first characters, sanitised; absent without one */
};

/* Of an event that was read: newest first, before that number (0 = from the newest), up to count.
 */
MUST_USE enum err webhook_attempt_list(struct call *call, const struct id *event_id,
                                       int64_t before_number, int count,
                                       struct webhook_attempt *ret_rows, int *ret_count);

/* Tell it again, whatever became of it: pending, due at once, attempts counted anew, same id. One
 * that awaits its job's deliveries goes on to wait, a disabled endpoint's is held.
 * ERR_NOT_FOUND "webhook_event"; ERR_CONFLICT "endpoint_deleted". */
MUST_USE enum err webhook_event_replay(struct call *call, struct str id_text,
                                       struct webhook_event *ret_event);

/* Which of an endpoint's events to tell again. */
struct webhook_replay {
    struct id        endpoint_id;        /* of the actor's; the caller has read it */
    int64_t          since_ms, until_ms; /* made at or after, made before */
    enum event_state state;              /* EVENT_STATE__COUNT = any */
    struct id        after;              /* the last one that an earlier call looked at, or empty */
};

/* The same for up to EVENTS_REPLAYED_MAX of them, oldest first, among PAGE_SCAN_ROWS_MAX events of
 * the organisation. *ret_last is where to go on, empty when nothing is left. */
MUST_USE enum err webhook_event_replay_range(struct call *call, const struct webhook_replay *replay,
                                             int *ret_count, struct id *ret_last);

#endif
