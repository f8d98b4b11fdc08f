#include "base/log.h"
#include "base/num.h"
#include "base/time_text.h"
#include "domain/webhook_endpoint.h"
#include "platform/metrics.h"
#include "runner/runner_webhook_private.h"

#include <stdlib.h>

enum {
    PASS_ARENA_BYTES_MAX = 16 << 20,
    SCAN_ENDPOINTS_MAX = 256,
    END_DELETED_MAX = 500,
    /* The rest of the sender's room is for endpoints that work. */
    FAILING_IN_FLIGHT_MAX = HTTP_SENDER_TRANSFERS_MAX / 2,
    GONE = 410,
};
static const int64_t IDLE_MS_MAX = 60 * 1000; /* another process may have added events */
/* However often it is woken: a scan takes at most one part in so many of the time. */
static const int64_t SCAN_SHARE = 10, SCAN_US_MIN = 1000, SCAN_AGAIN_US = 1000 * 1000;

static void log_trouble(const char *event, const struct error *error)
{
    struct log_line line;
    log_begin(&line, LOG_WARNING, event);
    log_error(&line, error);
    log_end(&line);
}

/* --- which endpoints have something due --- */

struct scan {
    struct webhook_runner *runner;
    struct id              after;
    int                    count;
    struct webhook_due     rows[SCAN_ENDPOINTS_MAX];
};

static enum err read_scan(struct call *call, void *argument)
{
    struct scan *scan = argument;
    return webhook_due_endpoints(call, &scan->after, SCAN_ENDPOINTS_MAX, scan->rows, &scan->count);
}

static enum err end_deleted(struct call *call, void *argument)
{
    const struct webhook_due *row = argument;
    return webhook_end_deleted(call, &row->endpoint_id, END_DELETED_MAX);
}

static void note_due(struct webhook_runner *runner, const struct webhook_due *row, int64_t now_ms)
{
    bool    is_due = row->due_ms <= now_ms;
    int64_t later_ms = is_due ? row->later_ms : row->due_ms;
    if (later_ms && later_ms < runner->next_due_ms) runner->next_due_ms = later_ms;
    if (!is_due) return;
    struct lane *lane = lane_find(&runner->lanes, &row->endpoint_id);
    if (lane == NULL) lane = lane_take(&runner->lanes, &row->endpoint_id, row->is_failing);
    if (lane && !lane->is_closed) lane->has_due = true;
}

static enum err take_scan(struct scan *scan, struct call *call)
{
    struct webhook_runner *runner = scan->runner;
    int64_t                now_ms = world_now_ms(runner->services.world);
    enum err               e = ERR_OK;
    for (int i = 0; i < scan->count && e == ERR_OK; i++) {
        struct webhook_due *row = &scan->rows[i];
        if (row->is_open) note_due(runner, row, now_ms);
        if (!row->is_deleted) continue;
        e = runner_commit(&runner->services, call, end_deleted, row);
        runner->wants_scan = true; /* until none is left */
    }
    return e;
}

/* Page by page through all endpoints with pending events. */
static enum err scan_all(struct webhook_runner *runner, struct call *call)
{
    struct scan *scan = NEW(call->arena, struct scan, 1);
    scan->runner = runner;
    do {
        enum err e = runner_read(&runner->services, call, read_scan, scan);
        if (e == ERR_OK) e = take_scan(scan, call);
        if (e) return e;
        if (scan->count > 0) scan->after = scan->rows[scan->count - 1].endpoint_id;
    } while (scan->count == SCAN_ENDPOINTS_MAX);
    return ERR_OK;
}

static void scan_when_wanted(struct webhook_runner *runner)
{
    int64_t started_us = world_monotonic_us();
    if (atomic_exchange(&runner->is_woken, false)) runner->wants_scan = true;
    if (world_now_ms(runner->services.world) >= runner->next_due_ms) runner->wants_scan = true;
    if (!runner->wants_scan || started_us < runner->scan_after_us) return;
    struct arena arena;
    struct call  call;
    arena_init(&arena, PASS_ARENA_BYTES_MAX);
    runner_call_init(&runner->services, &arena, &call);
    runner->wants_scan = runner->lanes.is_short = false;
    runner->next_due_ms = world_now_ms(runner->services.world) + IDLE_MS_MAX;
    enum err e = scan_all(runner, &call);
    int64_t  now_us = world_monotonic_us();
    runner->scan_after_us = now_us + num_max(SCAN_US_MIN, (now_us - started_us) * SCAN_SHARE);
    if (e) {
        log_trouble("webhook_scan_failed", &call.error);
        runner->wants_scan = true;
        runner->scan_after_us = now_us + SCAN_AGAIN_US;
    }
    arena_deinit(&arena);
}

/* --- one attempt --- */

static void log_attempt(const struct delivery *delivery)
{
    struct log_line line;
    log_begin(&line, LOG_DEBUG, "webhook_attempt");
    log_text(&line, "endpoint", id_str(&delivery->what.endpoint_id));
    log_text(&line, "event", id_str(&delivery->what.event_id));
    log_int(&line, "number", delivery->what.number);
    if (delivery->result.error) log_text(&line, "error", str_of(delivery->result.error));
    if (delivery->result.http_status) log_int(&line, "status", delivery->result.http_status);
    log_int(&line, "latency_ms", delivery->result.latency_ms);
    log_end(&line);
}

static void end_attempt(struct delivery *delivery)
{
    struct webhook_runner *runner = delivery->owner;
    bool                   is_success = webhook_result_is_success(&delivery->result);
    lane_ended(&runner->lanes, delivery->lane, is_success);
    metric_add(METRIC_WEBHOOKS_NOW, -1);
    histogram_observe(HISTOGRAM_WEBHOOK, is_success ? 0 : 1, delivery->send.latency_us);
    if (delivery->result.http_status == GONE) delivery->lane->is_closed = true;
    log_attempt(delivery);
    webhook_record_add(runner, delivery);
}

static void take_outcome(void *argument)
{
    struct delivery        *delivery = argument;
    const struct http_send *send = &delivery->send;
    struct webhook_result  *result = &delivery->result;
    result->latency_ms = send->latency_us / 1000;
    if (send->outcome == HTTP_ANSWERED) {
        result->http_status = send->status;
        result->retry_after_s = send->retry_after_s;
        result->reply = str_copy(&delivery->arena, send->reply);
    } else {
        result->error = http_send_outcome_name(send->outcome);
    }
    end_attempt(delivery);
}

static void send_it(struct delivery *delivery, struct str url)
{
    struct webhook_runner *runner = delivery->owner;
    struct http_send      *send = &delivery->send;
    delivery->result = (struct webhook_result){
        .event_id = delivery->what.event_id,
        .endpoint_id = delivery->what.endpoint_id,
        .due_ms = delivery->what.due_ms,
        .attempts_count = delivery->what.attempts_count,
        .number = delivery->what.number,
        .started_ms = world_now_ms(runner->services.world),
    };
    lane_begun(&runner->lanes, delivery->lane);
    metric_add(METRIC_WEBHOOKS_NOW, 1);
    if (!delivery->what.is_signed) {
        delivery->result.error = "secret_unreadable";
        end_attempt(delivery);
        return;
    }
    *send = (struct http_send){
        .url = str_c(&delivery->arena, url),
        .body = delivery->what.body,
        .headers_count = WEBHOOK_HEADERS,
        .timeout_ms = WEBHOOK_TIMEOUT_MS,
        .done = take_outcome,
        .argument = delivery,
    };
    for (int i = 0; i < WEBHOOK_HEADERS; i++)
        send->headers[i] = delivery->what.headers[i];
    http_sender_submit(runner->sender, send);
}

/* One that is not due any more is passed over. */
static enum err begin_delivery(struct call *call, struct delivery *delivery,
                               const struct webhook_endpoint  *endpoint,
                               const struct webhook_due_event *due)
{
    struct webhook_runner *runner = delivery->owner;
    struct arena          *pass = call->arena;
    call->arena = &delivery->arena;
    enum err e = webhook_delivery_prepare(call, endpoint, due, &delivery->what);
    call->arena = pass;
    if (e == ERR_OK)
        send_it(delivery, endpoint->url);
    else
        delivery_release(&runner->lanes, delivery);
    return e == ERR_NOT_FOUND ? ERR_OK : e;
}

/* --- one lane --- */

/* An organisation has no more under way than are free, so that others find a place whatever its
 * endpoints do. */
static bool may_begin(const struct webhook_runner *runner, const struct lane *lane)
{
    if (lane->is_closed || (lane->queue_count == 0 && !lane->has_due)) return false;
    if (lane->is_failing && runner->lanes.failing_in_flight >= FAILING_IN_FLIGHT_MAX) return false;
    if (lane_tenant_in_flight(lane) >= http_sender_room(runner->sender)) return false;
    return lane->in_flight < lane->window && delivery_is_left(&runner->lanes);
}

/* Read what is due, but for what is under way or not written down yet. */
static enum err fill_queue(struct call *call, struct webhook_runner *runner, struct lane *lane)
{
    int                       count, wanted = lane->taken + LANE_QUEUE_MAX;
    struct webhook_due_event *rows = NEW(call->arena, struct webhook_due_event, wanted);
    enum err e = webhook_due_events(call, &lane->endpoint_id, wanted, rows, &count);
    if (e) return e;
    lane_fill(&runner->lanes, lane, rows, count, count < wanted);
    return ERR_OK;
}

static enum err serve_lane(struct call *call, struct webhook_runner *runner, struct lane *lane)
{
    struct webhook_endpoint endpoint;
    enum err                e = ERR_OK;
    if (lane->queue_count == 0) e = fill_queue(call, runner, lane);
    if (e == ERR_OK) e = webhook_endpoint_get_any(call, &lane->endpoint_id, &endpoint);
    if (e) return e;
    lane_set_tenant(&runner->lanes, lane, &endpoint.org_id);
    if (endpoint.state != ENDPOINT_ACTIVE || endpoint.deleted_ms) lane_clear(lane);
    if (lane->taken == 0) lane_set_failing(&runner->lanes, lane, endpoint.failures_count > 0);
    while (lane->queue_count > 0 && may_begin(runner, lane) && e == ERR_OK) {
        struct webhook_due_event due = lane_pop(lane);
        struct delivery         *delivery = delivery_take(&runner->lanes, lane, &due.event_id);
        delivery->owner = runner;
        e = begin_delivery(call, delivery, &endpoint, &due);
        if (e) lane->has_due = true; /* it is still in the store */
    }
    return e;
}

/* In turns, beginning with another lane each time, so that none gets all the room. */
static enum err serve_lanes(struct call *call, void *argument)
{
    struct webhook_runner *runner = argument;
    struct lanes          *lanes = &runner->lanes;
    unsigned               first = runner->turn++;
    for (int i = 0; i < lanes->count; i++) {
        struct lane *lane = lanes->in_use[(first + (unsigned)i) % (unsigned)lanes->count];
        enum err     e = may_begin(runner, lane) ? serve_lane(call, runner, lane) : ERR_OK;
        if (e) return e;
    }
    return ERR_OK;
}

static bool any_may_begin(const struct webhook_runner *runner)
{
    for (int i = 0; i < runner->lanes.count; i++)
        if (may_begin(runner, runner->lanes.in_use[i])) return true;
    return false;
}

static void drop_done_lanes(struct webhook_runner *runner)
{
    for (int i = runner->lanes.count - 1; i >= 0; i--)
        if (lane_is_done(runner->lanes.in_use[i]))
            webhook_lane_end(runner, runner->lanes.in_use[i]);
}

static void serve(struct webhook_runner *runner)
{
    if (!any_may_begin(runner)) return;
    struct arena arena;
    struct call  call;
    arena_init(&arena, PASS_ARENA_BYTES_MAX);
    runner_call_init(&runner->services, &arena, &call);
    if (runner_read(&runner->services, &call, serve_lanes, runner)) {
        log_trouble("webhook_read_failed", &call.error);
        runner->wants_scan = true;
        runner->scan_after_us = world_monotonic_us() + SCAN_AGAIN_US;
    } else if (any_may_begin(runner)) { /* a queue ran empty and there is more in the store */
        http_sender_wake(runner->sender);
    }
    arena_deinit(&arena);
    drop_done_lanes(runner);
}

/* --- the thread --- */

static int64_t wait_ms_of(const struct webhook_runner *runner)
{
    int64_t now_us = world_monotonic_us();
    int64_t wait_ms =
        num_clamp(runner->next_due_ms - world_now_ms(runner->services.world), 0, IDLE_MS_MAX);
    if (runner->wants_scan)
        wait_ms = num_min(wait_ms, num_max(0, runner->scan_after_us - now_us) / 1000 + 1);
    if (runner->ended)
        wait_ms = num_min(wait_ms, num_max(0, runner->record_after_us - now_us) / 1000 + 1);
    return wait_ms;
}

static bool is_under_way(const struct webhook_runner *runner)
{
    return http_sender_room(runner->sender) < HTTP_SENDER_TRANSFERS_MAX;
}

/* What is under way may end, and all that has ended is written down, unless the store fails. What
 * is given up is sent again by the next server. */
static void drain(struct webhook_runner *runner)
{
    int64_t until_us = world_monotonic_us() + WEBHOOK_DRAIN_MS * 1000;
    while (world_monotonic_us() < until_us &&
           (is_under_way(runner) || webhook_record_is_busy(runner))) {
        webhook_record_run(runner);
        http_sender_run(runner->sender, num_max(0, until_us - world_monotonic_us()) / 1000);
    }
    while (webhook_recording_state(runner) == RECORDING_QUEUED)
        http_sender_run(runner->sender, IDLE_MS_MAX);
}

static void *work(void *argument)
{
    struct webhook_runner *runner = argument;
    while (!atomic_load(&runner->is_stopping)) {
        webhook_record_run(runner);
        scan_when_wanted(runner);
        serve(runner);
        http_sender_run(runner->sender, wait_ms_of(runner));
    }
    drain(runner);
    return NULL;
}

struct webhook_runner *webhook_runner_start(const struct runner_services *services)
{
    struct webhook_runner     *runner = calloc(1, sizeof(*runner));
    struct http_sender_options options = { .guard = services->guard,
                                           .ca_path = services->webhook_ca_path };
    CHECK(runner != NULL);
    runner->services = *services;
    runner->wants_scan = true;
    runner->ended_last = &runner->ended;
    runner->recording.runner = runner;
    CHECK(pthread_mutex_init(&runner->recording.lock, NULL) == 0);
    runner->sender = http_sender_open(&options);
    CHECK(pthread_create(&runner->thread, NULL, work, runner) == 0);
    pthread_setname_np(runner->thread, "webhooks");
    return runner;
}

void webhook_runner_wake(struct webhook_runner *runner)
{
    atomic_store(&runner->is_woken, true);
    http_sender_wake(runner->sender);
}

static enum err read_has_due(struct call *call, void *argument)
{
    return webhook_has_due(call, argument);
}

bool webhook_runner_has_due(const struct runner_services *services)
{
    struct arena arena;
    struct call  call;
    bool         has_due = true;
    arena_init(&arena, PASS_ARENA_BYTES_MAX);
    runner_call_init(services, &arena, &call);
    if (runner_read(services, &call, read_has_due, &has_due)) has_due = true;
    arena_deinit(&arena);
    return has_due;
}

void webhook_runner_stop(struct webhook_runner *runner)
{
    atomic_store(&runner->is_stopping, true);
    http_sender_wake(runner->sender);
    CHECK(pthread_join(runner->thread, NULL) == 0);
    http_sender_close(runner->sender);
    for (int i = 0; i < runner->lanes.deliveries_used; i++)
        arena_deinit(&runner->lanes.deliveries[i].arena);
    arena_deinit(&runner->recording.arena);
    pthread_mutex_destroy(&runner->recording.lock);
    free(runner);
}
