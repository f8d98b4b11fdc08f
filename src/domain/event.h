/* Events: what a buyer's endpoints hear of. Something that happens is one occurrence, written in
 * the commit that caused it, and in the same commit one event for each endpoint that wants to know.
 */
#ifndef FIRSTHAND_DOMAIN_EVENT_H
#define FIRSTHAND_DOMAIN_EVENT_H

#include "base/json_out.h"
#include "domain/call.h"

/* The order is stored: an endpoint's wishes are a set of BITs. */
enum event_type {
    EVENT_SUBMISSION_SCORED,
    EVENT_SUBMISSION_APPROVED,
    EVENT_SUBMISSION_REJECTED,
    EVENT_JOB_COMPLETED,
    EVENT_JOB_CANCELLED,
    EVENT_JOB_FLAGGED,
    EVENT_CREDITS_PURCHASED,
    EVENT_CREDITS_LOW_BALANCE,
    EVENT_CREDITS_AUTO_TOPPED_UP,
    EVENT_CREDITS_EXPIRED,
    EVENT_CREDITS_EXPIRING_SOON,
    EVENT_ENDPOINT_DISABLED,
    EVENT_TYPE__COUNT
};

enum {
    EVENTS_ALL = (1 << EVENT_TYPE__COUNT) - 1,
    EVENT_DATA_BYTES_MAX = 4 << 20,
    ENDPOINTS_PER_ORGANISATION_MAX = 16, /* and environment */
};

#define EVENT_API_VERSION "2026-03-18"

enum event_state { EVENT_PENDING, EVENT_DELIVERED, EVENT_FAILED, EVENT_STATE__COUNT };

struct occurrence {
    struct id        id; /* made by event_emit */
    struct id        org_id;
    enum environment environment;
    enum event_type  type;
    struct id        subject_id;
    struct str       data;   /* JSON: the resource as the API returns it, with LINKS_LATER */
    struct id awaits_job_id; /* tell of it once this job's files are delivered; empty = at once */
    int64_t   created_ms;    /* the id's time */
};

/* Write an occurrence and its events. Wakes the sender after the commit. */
MUST_USE enum err event_emit(struct call *call, const struct occurrence *occurrence);

/* A file of the job was delivered: when it was the last that had to be, what awaits that is due. */
MUST_USE enum err event_job_delivered(struct call *call, const struct id *job_id);

/* Begin an occurrence's data in the arena; event_data_end is what to emit. */
struct event_data {
    struct buf      buf;
    struct json_out out;
};
void       event_data_begin(struct call *call, struct event_data *data);
struct str event_data_end(struct event_data *data);

/* Inside a file resource: leave a place for its two link properties. */
void event_data_place_link(struct call *call, struct json_out *out, const struct id *file_id);

/* Data as it is told: its places filled with links signed now. Owned by the arena. */
struct str event_data_render(struct call *call, struct str data);

/* The body of a delivery, and an item of listOccurrences: {id, object, type, api_version,
 * created_at, data}. id is the event's, or the occurrence's own. */
void event_render_body(struct call *call, struct json_out *out, const char *key,
                       const struct id *id, const struct occurrence *occurrence);

const char   *event_type_name(enum event_type type); /* "job.completed" */
MUST_USE bool event_type_parse(struct str name, enum event_type *ret_type);
const char   *event_state_name(enum event_state state);
MUST_USE bool event_state_parse(struct str name, enum event_state *ret_state);

#endif
