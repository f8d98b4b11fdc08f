/* What the sender of webhooks has in memory: a lane for each endpoint with work, and the deliveries
 * under way or not written down yet. One thread's. */
#ifndef FIRSTHAND_RUNNER_WEBHOOK_LANE_H
#define FIRSTHAND_RUNNER_WEBHOOK_LANE_H

#include "domain/webhook_delivery.h"
#include "platform/http_sender.h"

enum {
    LANES_MAX = 1024, /* endpoints with work; others wait for one of these to be done */
    LANE_QUEUE_MAX = 64,
    DELIVERIES_MAX = 2048,
    LANE_BUCKETS = 1024,
    TENANT_BUCKETS = 4096,
    DELIVERY_BUCKETS = 4096,
};

struct lane {
    struct id endpoint_id;
    int       window;           /* how many may be under way */
    int       in_flight;        /* how many are */
    int       taken;            /* and with those that are not written down */
    bool      has_due;          /* there may be more in the store */
    bool      is_failing;       /* since its last success */
    bool      is_closed;        /* nothing more until it has ended */
    int      *tenant_in_flight; /* of all its organisation's lanes; NULL = not known */
    int       queue_first;      /* read from the store, not yet begun */
    int       queue_count;
    struct webhook_due_event queue[LANE_QUEUE_MAX];
    int                      position; /* among the lanes in use */
    struct lane             *next;     /* in its bucket */
};

struct delivery {
    struct lane            *lane;
    struct arena            arena;
    struct webhook_delivery what;
    struct http_send        send;
    struct webhook_result   result;
    void                   *owner;
    bool                    is_replayed;    /* meanwhile: there is another round in the store */
    struct delivery        *next;           /* unused, or ended */
    struct delivery        *next_in_bucket; /* of those in use, by event */
};

/* Begins as zeroes. A lane and a delivery are never touched before they are first used. */
struct lanes {
    int              count;
    struct lane     *in_use[LANES_MAX];
    int              lanes_used; /* ever; those given back are in unused */
    struct lane     *unused;
    struct lane     *buckets[LANE_BUCKETS];
    int              deliveries_used;
    struct delivery *deliveries_unused;
    struct delivery *delivery_buckets[DELIVERY_BUCKETS];
    int              failing_in_flight;                /* of lanes that are failing */
    bool             is_short;                         /* an endpoint found no lane */
    int              tenant_in_flight[TENANT_BUCKETS]; /* by organisation's hash */
    struct lane      lanes[LANES_MAX];
    struct delivery  deliveries[DELIVERIES_MAX];
};

/* NULL: it has none. */
struct lane *lane_find(const struct lanes *lanes, const struct id *endpoint_id);

/* One that does not fail takes the lane of one that does and has nothing under way, when there is
 * no other. NULL: none to be had; lanes->is_short is set. */
struct lane *lane_take(struct lanes *lanes, const struct id *endpoint_id, bool is_failing);

/* Whose it is, before the first lane_begun. Two organisations may share a count by chance. */
void lane_set_tenant(struct lanes *lanes, struct lane *lane, const struct id *org_id);

/* Requests under way to its organisation's endpoints; 0 when it is not known whose it is. */
int lane_tenant_in_flight(const struct lane *lane);

/* Nothing under way, nothing waiting: give it back. */
bool lane_is_done(const struct lane *lane);
void lane_release(struct lanes *lanes, struct lane *lane);

/* Queue what was read from the store, first due first, but for what is under way or not written
 * down: of that, another round is noted. is_all: there was no more to read. */
void lane_fill(const struct lanes *lanes, struct lane *lane, const struct webhook_due_event *rows,
               int count, bool is_all);
struct webhook_due_event lane_pop(struct lane *lane);
void                     lane_clear(struct lane *lane);

bool delivery_is_left(const struct lanes *lanes);
/* NULL: none is left. The arena is begun. */
struct delivery *delivery_take(struct lanes *lanes, struct lane *lane, const struct id *event_id);
void             delivery_release(struct lanes *lanes, struct delivery *delivery);
/* NULL: that event is not under way. */
struct delivery *delivery_find(const struct lanes *lanes, const struct id *event_id);

/* A delivery is under way, and how it ended. The window is small for who fails and grows with every
 * success. */
void lane_begun(struct lanes *lanes, struct lane *lane);
void lane_ended(struct lanes *lanes, struct lane *lane, bool is_success);
void lane_set_failing(struct lanes *lanes, struct lane *lane, bool is_failing);

#endif
