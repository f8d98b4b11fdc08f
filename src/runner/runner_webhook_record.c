#include "base/log.h"
#include "runner/runner_webhook_private.h"

enum { RECORD_ARENA_BYTES_MAX = 16 << 20 };
static const int64_t RECORD_AGAIN_US = 1000 * 1000;

void webhook_record_add(struct webhook_runner *runner, struct delivery *delivery)
{
    delivery->next = NULL;
    *runner->ended_last = delivery;
    runner->ended_last = &delivery->next;
}

static void set_state(struct recording *recording, enum recording_state state)
{
    pthread_mutex_lock(&recording->lock);
    recording->state = state;
    pthread_mutex_unlock(&recording->lock);
}

enum recording_state webhook_recording_state(struct webhook_runner *runner)
{
    pthread_mutex_lock(&runner->recording.lock);
    enum recording_state state = runner->recording.state;
    pthread_mutex_unlock(&runner->recording.lock);
    return state;
}

bool webhook_record_is_busy(struct webhook_runner *runner)
{
    return runner->ended != NULL || webhook_recording_state(runner) != RECORDING_IDLE;
}

/* --- on the writer's thread --- */

static enum err run(void *argument, struct db *db, struct error *error)
{
    static const struct actor actor = { .kind = ACTOR_RUNNER };
    struct recording         *recording = argument;
    struct call              *call = &recording->call;
    arena_deinit(&recording->arena);
    arena_init(&recording->arena, RECORD_ARENA_BYTES_MAX);
    runner_call_init(&recording->runner->services, &recording->arena, call);
    call_begin(call, db, world_now_ms(recording->runner->services.world), &actor);
    enum err e = webhook_results_record(call, recording->results, recording->count);
    if (e) *error = call->error;
    return e;
}

static void done(void *argument, enum err e, const struct error *error)
{
    struct recording *recording = argument;
    recording->is_recorded = e == ERR_OK;
    if (e) recording->error = *error;
    pthread_mutex_lock(&recording->lock); /* until woken: the runner may be gone right after */
    recording->state = RECORDING_ANSWERED;
    http_sender_wake(recording->runner->sender);
    pthread_mutex_unlock(&recording->lock);
}

/* --- on the sender's --- */

static void log_postponed(const struct recording *recording)
{
    struct log_line line;
    log_begin(&line, LOG_WARNING, "webhook_attempts_postponed");
    log_int(&line, "attempts", recording->count);
    log_error(&line, &recording->error);
    log_end(&line);
}

/* They stay as they are and are tried again, the oldest first. */
static void postpone(struct webhook_runner *runner, struct recording *recording)
{
    struct delivery *rest = runner->ended;
    log_postponed(recording);
    runner->record_after_us = world_monotonic_us() + RECORD_AGAIN_US;
    runner->ended = NULL;
    runner->ended_last = &runner->ended;
    for (int i = 0; i < recording->count; i++)
        webhook_record_add(runner, recording->deliveries[i]);
    while (rest) {
        struct delivery *delivery = rest;
        rest = rest->next;
        webhook_record_add(runner, delivery);
    }
}

void webhook_lane_end(struct webhook_runner *runner, struct lane *lane)
{
    if (lane->is_closed || runner->lanes.is_short) runner->wants_scan = true;
    lane_release(&runner->lanes, lane);
}

static void let_go(struct webhook_runner *runner, struct recording *recording)
{
    for (int i = 0; i < recording->count; i++) {
        struct lane *lane = recording->deliveries[i]->lane;
        if (recording->deliveries[i]->is_replayed) lane->has_due = true;
        if (!webhook_result_is_success(&recording->results[i])) runner->wants_scan = true;
        delivery_release(&runner->lanes, recording->deliveries[i]);
        if (lane->is_closed) lane_clear(lane);
        if (lane_is_done(lane)) webhook_lane_end(runner, lane);
    }
}

static void take_answer(struct webhook_runner *runner)
{
    struct recording *recording = &runner->recording;
    if (webhook_recording_state(runner) != RECORDING_ANSWERED) return;
    if (recording->is_recorded)
        let_go(runner, recording);
    else
        postpone(runner, recording);
    arena_deinit(&recording->arena);
    set_state(recording, RECORDING_IDLE);
}

static void submit(struct webhook_runner *runner)
{
    struct recording *recording = &runner->recording;
    recording->count = 0;
    while (runner->ended && recording->count < RECORD_BATCH_MAX) {
        struct delivery *delivery = runner->ended;
        runner->ended = delivery->next;
        recording->deliveries[recording->count] = delivery;
        recording->results[recording->count++] = delivery->result;
    }
    if (runner->ended == NULL) runner->ended_last = &runner->ended;
    recording->job = (struct write_job){ .run = run, .done = done, .argument = recording };
    set_state(recording, RECORDING_QUEUED);
    if (writer_submit(runner->services.writer, &recording->job, &recording->error) == ERR_OK)
        return;
    postpone(runner, recording);
    set_state(recording, RECORDING_IDLE);
}

void webhook_record_run(struct webhook_runner *runner)
{
    take_answer(runner);
    if (runner->ended == NULL || webhook_recording_state(runner) != RECORDING_IDLE) return;
    if (world_monotonic_us() >= runner->record_after_us) submit(runner);
}
