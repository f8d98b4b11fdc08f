#include "runner/webhook_lane.h"

#include "runner/runner_webhook.h"

enum { DELIVERY_ARENA_BYTES_MAX = 32 << 20, WINDOW_AT_FIRST = 2 };

static uint32_t bucket_of(const struct id *id, int buckets_count)
{
    return str_hash(id_str(id)) % (uint32_t)buckets_count;
}

/* --- lanes --- */

struct lane *lane_find(const struct lanes *lanes, const struct id *endpoint_id)
{
    struct lane *lane = lanes->buckets[bucket_of(endpoint_id, LANE_BUCKETS)];
    while (lane && !id_eq(&lane->endpoint_id, endpoint_id))
        lane = lane->next;
    return lane;
}

/* What it had queued is in the store still. */
static void give_up_failing(struct lanes *lanes)
{
    for (int i = 0; i < lanes->count; i++) {
        struct lane *lane = lanes->in_use[i];
        if (!lane->is_failing || lane->taken > 0) continue;
        lane_release(lanes, lane);
        return;
    }
}

static struct lane *place_take(struct lanes *lanes)
{
    struct lane *lane = lanes->unused;
    if (lane == NULL) return &lanes->lanes[lanes->lanes_used++];
    lanes->unused = lane->next;
    return lane;
}

struct lane *lane_take(struct lanes *lanes, const struct id *endpoint_id, bool is_failing)
{
    if (lanes->count == LANES_MAX) lanes->is_short = true;
    if (lanes->count == LANES_MAX && !is_failing) give_up_failing(lanes);
    if (lanes->count == LANES_MAX) return NULL;
    struct lane **bucket = &lanes->buckets[bucket_of(endpoint_id, LANE_BUCKETS)];
    struct lane  *lane = place_take(lanes);
    *lane = (struct lane){ .endpoint_id = *endpoint_id, .window = WINDOW_AT_FIRST };
    lane_set_failing(lanes, lane, is_failing);
    lane->next = *bucket;
    *bucket = lane;
    lane->position = lanes->count;
    lanes->in_use[lanes->count++] = lane;
    return lane;
}

bool lane_is_done(const struct lane *lane)
{
    return lane->taken == 0 && lane->queue_count == 0 && !lane->has_due;
}

void lane_release(struct lanes *lanes, struct lane *lane)
{
    struct lane **at = &lanes->buckets[bucket_of(&lane->endpoint_id, LANE_BUCKETS)];
    CHECK(lane->taken == 0 && lane->in_flight == 0);
    while (*at != lane)
        at = &(*at)->next;
    *at = lane->next;
    struct lane *last = lanes->in_use[--lanes->count];
    lanes->in_use[lane->position] = last;
    last->position = lane->position;
    lane->next = lanes->unused;
    lanes->unused = lane;
}

void lane_set_tenant(struct lanes *lanes, struct lane *lane, const struct id *org_id)
{
    lane->tenant_in_flight = &lanes->tenant_in_flight[bucket_of(org_id, TENANT_BUCKETS)];
}

int lane_tenant_in_flight(const struct lane *lane)
{
    return lane->tenant_in_flight ? *lane->tenant_in_flight : 0;
}

/* False when the queue is full. */
static bool lane_push(struct lane *lane, const struct webhook_due_event *due)
{
    if (lane->queue_count == LANE_QUEUE_MAX) return false;
    lane->queue[(lane->queue_first + lane->queue_count++) % LANE_QUEUE_MAX] = *due;
    return true;
}

void lane_fill(const struct lanes *lanes, struct lane *lane, const struct webhook_due_event *rows,
               int count, bool is_all)
{
    lane->has_due = !is_all;
    for (int i = 0; i < count; i++) {
        struct delivery *taken = delivery_find(lanes, &rows[i].event_id);
        if (taken == NULL && !lane_push(lane, &rows[i])) lane->has_due = true;
        if (taken && taken->what.due_ms != rows[i].due_ms) taken->is_replayed = true;
    }
}

struct webhook_due_event lane_pop(struct lane *lane)
{
    CHECK(lane->queue_count > 0);
    struct webhook_due_event due = lane->queue[lane->queue_first];
    lane->queue_first = (lane->queue_first + 1) % LANE_QUEUE_MAX;
    lane->queue_count--;
    return due;
}

void lane_clear(struct lane *lane)
{
    lane->queue_count = 0;
    lane->has_due = false;
}

void lane_set_failing(struct lanes *lanes, struct lane *lane, bool is_failing)
{
    if (lane->is_failing == is_failing) return;
    lanes->failing_in_flight += is_failing ? lane->in_flight : -lane->in_flight;
    lane->is_failing = is_failing;
    if (is_failing) lane->window = 1;
}

void lane_begun(struct lanes *lanes, struct lane *lane)
{
    CHECK(lane->tenant_in_flight != NULL);
    lane->in_flight++;
    (*lane->tenant_in_flight)++;
    if (lane->is_failing) lanes->failing_in_flight++;
}

void lane_ended(struct lanes *lanes, struct lane *lane, bool is_success)
{
    lane->in_flight--;
    (*lane->tenant_in_flight)--;
    if (lane->is_failing) lanes->failing_in_flight--;
    lane_set_failing(lanes, lane, !is_success);
    if (is_success && lane->window < WEBHOOK_LANE_WINDOW) lane->window *= 2;
}

/* --- deliveries --- */

bool delivery_is_left(const struct lanes *lanes)
{
    return lanes->deliveries_unused != NULL || lanes->deliveries_used < DELIVERIES_MAX;
}

struct delivery *delivery_take(struct lanes *lanes, struct lane *lane, const struct id *event_id)
{
    struct delivery **bucket = &lanes->delivery_buckets[bucket_of(event_id, DELIVERY_BUCKETS)];
    struct delivery  *delivery = lanes->deliveries_unused;
    if (!delivery_is_left(lanes)) return NULL;
    if (delivery)
        lanes->deliveries_unused = delivery->next;
    else
        delivery = &lanes->deliveries[lanes->deliveries_used++];
    *delivery = (struct delivery){ .lane = lane, .next_in_bucket = *bucket };
    delivery->what.event_id = *event_id;
    arena_init(&delivery->arena, DELIVERY_ARENA_BYTES_MAX);
    *bucket = delivery;
    lane->taken++;
    return delivery;
}

void delivery_release(struct lanes *lanes, struct delivery *delivery)
{
    const struct id  *event_id = &delivery->what.event_id;
    struct delivery **at = &lanes->delivery_buckets[bucket_of(event_id, DELIVERY_BUCKETS)];
    while (*at != delivery)
        at = &(*at)->next_in_bucket;
    *at = delivery->next_in_bucket;
    arena_deinit(&delivery->arena);
    delivery->lane->taken--;
    delivery->next = lanes->deliveries_unused;
    lanes->deliveries_unused = delivery;
}

struct delivery *delivery_find(const struct lanes *lanes, const struct id *event_id)
{
    struct delivery *at = lanes->delivery_buckets[bucket_of(event_id, DELIVERY_BUCKETS)];
    while (at && !id_eq(&at->what.event_id, event_id))
        at = at->next_in_bucket;
    return at;
}
