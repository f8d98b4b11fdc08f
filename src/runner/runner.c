#include "runner/runner.h"

#include "base/log.h"
#include "base/num.h"
#include "base/time_text.h"
#include "platform/metrics.h"
#include "runner/runner_call.h"
#include "runner/runner_webhook.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

enum { RUNNER_THREADS_MAX = 64 + 4, RUNNER_ARENA_BYTES_MAX = 4 << 20 };
static const int64_t IDLE_MS_MAX = 60 * 1000;
static const int64_t LOOK_AGAIN_MS = 20; /* a task may come due with nobody telling */

/* What a kind of task needs to be run. */
static const struct {
    task_fn    *run;
    const char *failure_event;
} kinds[TASK_KIND__COUNT] = {
    [TASK_SCORE] = { score_task, "score_postponed" },
    [TASK_DELIVER] = { deliver_task, "delivery_postponed" },
    [TASK_TOP_UP] = { top_up_task, "top_up_postponed" },
    [TASK_SANDBOX] = { sandbox_task, "sandbox_postponed" },
};

struct runner_thread {
    struct runners *runners;
    enum task_kind  kind;
    pthread_t       thread;
};

struct runners {
    struct runner_services services;
    pthread_mutex_t        lock;
    pthread_cond_t         woken;    /* tasks were added, the clock moved, or stop */
    pthread_cond_t         advanced; /* a task ended */
    int64_t                wakes_count;
    int                    busy_count;
    int64_t                ended_count; /* tasks that were run */
    bool                   is_stopping;
    int                    threads_count; /* of tasks; the sweeper is one more */
    struct runner_thread   threads[RUNNER_THREADS_MAX];
    pthread_t              sweeper;
    pthread_mutex_t        sweeping; /* whoever waits for a sweep waits for that under way, too */
    struct webhook_runner *webhooks;
};

/* --- one task --- */

struct due {
    enum task_kind kind;
    int64_t        due_ms;
};

static enum err read_due(struct call *call, void *argument)
{
    struct due *due = argument;
    return task_next_due(call, due->kind, &due->due_ms);
}

/* When the next task of a kind is due; far away when none is. A store that cannot say is asked
 * again soon. */
static int64_t next_due_ms(const struct runner_services *services, enum task_kind kind)
{
    struct arena arena;
    struct call  call;
    struct due   due = { .kind = kind };
    arena_init(&arena, RUNNER_ARENA_BYTES_MAX);
    runner_call_init(services, &arena, &call);
    enum err e = runner_read(services, &call, read_due, &due);
    arena_deinit(&arena);
    if (e) return world_now_ms(services->world) + MS_PER_SECOND;
    return due.due_ms ? due.due_ms : INT64_MAX;
}

struct claim {
    enum task_kind kind;
    int64_t        lease_ms;
    struct task    task;
};

static enum err run_claim(struct call *call, void *argument)
{
    struct claim *claim = argument;
    return task_claim(call, claim->kind, claim->lease_ms, &claim->task);
}

static enum err run_fail(struct call *call, void *argument)
{
    const struct claim *claim = argument;
    return task_fail(call, &claim->task, kinds[claim->kind].failure_event);
}

static void log_failure(const char *event, const struct task *task, const struct error *error)
{
    struct log_line line;
    log_begin(&line, LOG_WARNING, event);
    log_text(&line, "task", id_str(&task->id));
    log_text(&line, "subject", id_str(&task->subject_id));
    log_int(&line, "failures", task->failures_count + 1);
    log_error(&line, error);
    log_end(&line);
}

static enum err run_claimed(const struct runner_services *services, struct task *task,
                            struct call *call)
{
    int64_t  started_us = world_monotonic_us();
    enum err e = kinds[task->kind].run(services, task, call);
    int      series = (int)task->kind * 2 + (e != ERR_OK);
    histogram_observe(HISTOGRAM_TASK, series, world_monotonic_us() - started_us);
    return e;
}

/* Claim and do one due task; false when there was none to claim. */
static bool run_one(const struct runner_services *services, enum task_kind kind)
{
    struct arena arena;
    struct call  call;
    struct claim claim = {
        .kind = kind,
        .lease_ms = kind == TASK_SCORE ? score_lease_ms(services->config) : TASK_LEASE_MS,
    };
    arena_init(&arena, RUNNER_ARENA_BYTES_MAX);
    runner_call_init(services, &arena, &call);
    bool is_claimed = runner_commit(services, &call, run_claim, &claim) == ERR_OK;
    if (is_claimed && run_claimed(services, &claim.task, &call)) {
        log_failure(kinds[kind].failure_event, &claim.task, &call.error);
        if (runner_commit(services, &call, run_fail, &claim))
            log_failure("task_stays_leased", &claim.task, &call.error);
    }
    arena_deinit(&arena);
    return is_claimed;
}

static enum err run_release(struct call *call, void *argument)
{
    return task_release_claimed(call, argument);
}

/* What a process that was killed had under way need not wait for the end of its lease. */
static void take_over(const struct runner_services *services)
{
    struct arena    arena;
    struct call     call;
    struct log_line line;
    int64_t         count = 0;
    arena_init(&arena, RUNNER_ARENA_BYTES_MAX);
    runner_call_init(services, &arena, &call);
    enum err e = runner_commit(services, &call, run_release, &count);
    if (e || count > 0) {
        log_begin(&line, e ? LOG_WARNING : LOG_INFO, e ? "take_over_failed" : "tasks_taken_over");
        log_int(&line, "count", count);
        if (e) log_error(&line, &call.error);
        log_end(&line);
    }
    arena_deinit(&arena);
}

/* --- threads --- */

static struct timespec in_ms(int64_t wait_ms)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    int64_t ns = until.tv_nsec + wait_ms % MS_PER_SECOND * 1000000;
    until.tv_sec += wait_ms / MS_PER_SECOND + ns / 1000000000;
    until.tv_nsec = ns % 1000000000;
    return until;
}

/* The lock is held. Wait for a wake since seen_wakes, or for so long. */
static void wait_woken(struct runners *runners, int64_t seen_wakes, int64_t wait_ms)
{
    struct timespec until = in_ms(wait_ms);
    int             result = 0;
    while (runners->wakes_count == seen_wakes && !runners->is_stopping && result != ETIMEDOUT)
        result = pthread_cond_timedwait(&runners->woken, &runners->lock, &until);
}

/* Do what is due; returns how long nothing will be, by the world's clock. */
static int64_t run_due_tasks(struct runners *runners, enum task_kind kind)
{
    const struct runner_services *services = &runners->services;
    for (;;) {
        int64_t due_ms = next_due_ms(services, kind), now_ms = world_now_ms(services->world);
        if (due_ms > now_ms) return num_clamp(due_ms - now_ms, 1, IDLE_MS_MAX);
        if (!run_one(services, kind)) return MS_PER_SECOND;
        pthread_mutex_lock(&runners->lock);
        bool is_stopping = runners->is_stopping;
        runners->ended_count++;
        pthread_cond_broadcast(&runners->advanced);
        pthread_mutex_unlock(&runners->lock);
        if (is_stopping) return 0;
    }
}

static void *work(void *argument)
{
    struct runner_thread *self = argument;
    struct runners       *runners = self->runners;
    pthread_mutex_lock(&runners->lock);
    while (!runners->is_stopping) {
        int64_t seen_wakes = runners->wakes_count;
        runners->busy_count++;
        pthread_mutex_unlock(&runners->lock);
        int64_t wait_ms = run_due_tasks(runners, self->kind);
        pthread_mutex_lock(&runners->lock);
        runners->busy_count--;
        pthread_cond_broadcast(&runners->advanced);
        wait_woken(runners, seen_wakes, wait_ms);
    }
    pthread_mutex_unlock(&runners->lock);
    return NULL;
}

static void sweep_in_turn(struct runners *runners)
{
    pthread_mutex_lock(&runners->sweeping);
    sweep_run(&runners->services);
    pthread_mutex_unlock(&runners->sweeping);
}

static void *sweep(void *argument)
{
    struct runners *runners = argument;
    pthread_mutex_lock(&runners->lock);
    while (!runners->is_stopping) {
        pthread_mutex_unlock(&runners->lock);
        sweep_in_turn(runners);
        pthread_mutex_lock(&runners->lock);
        /* Only time and stop end the wait: a wake is for tasks. */
        int64_t until_us = world_monotonic_us() + SWEEP_EVERY_MS * 1000;
        int64_t left_ms;
        while (!runners->is_stopping && (left_ms = (until_us - world_monotonic_us()) / 1000) > 0)
            wait_woken(runners, runners->wakes_count, left_ms);
    }
    pthread_mutex_unlock(&runners->lock);
    return NULL;
}

static void start_thread(struct runners *runners, enum task_kind kind)
{
    CHECK(runners->threads_count < RUNNER_THREADS_MAX);
    struct runner_thread *thread = &runners->threads[runners->threads_count++];
    *thread = (struct runner_thread){ .runners = runners, .kind = kind };
    CHECK(pthread_create(&thread->thread, NULL, work, thread) == 0);
}

static void on_tasks_added(void *runners)
{
    runners_wake(runners);
}

struct runners *runners_start(const struct runner_services *services)
{
    struct runners *runners = calloc(1, sizeof(*runners));
    CHECK(runners != NULL);
    runners->services = *services;
    runners->services.after_commit.tasks_added = on_tasks_added;
    runners->services.after_commit.tasks_context = runners;
    CHECK(pthread_mutex_init(&runners->lock, NULL) == 0);
    CHECK(pthread_mutex_init(&runners->sweeping, NULL) == 0);
    CHECK(pthread_cond_init(&runners->woken, NULL) == 0);
    CHECK(pthread_cond_init(&runners->advanced, NULL) == 0);
    runners->webhooks = webhook_runner_start(services); /* finds by itself what it adds */
    take_over(services);
    for (int64_t i = 0; i < services->config->score_workers; i++)
        start_thread(runners, TASK_SCORE);
    start_thread(runners, TASK_DELIVER);
    start_thread(runners, TASK_TOP_UP);
    start_thread(runners, TASK_SANDBOX);
    CHECK(pthread_create(&runners->sweeper, NULL, sweep, runners) == 0);
    return runners;
}

void runners_wake(struct runners *runners)
{
    pthread_mutex_lock(&runners->lock);
    runners->wakes_count++;
    pthread_cond_broadcast(&runners->woken);
    pthread_mutex_unlock(&runners->lock);
    webhook_runner_wake(runners->webhooks);
}

static bool has_due(struct runners *runners)
{
    int64_t now_ms = world_now_ms(runners->services.world);
    for (int kind = 0; kind < TASK_KIND__COUNT; kind++)
        if (next_due_ms(&runners->services, (enum task_kind)kind) <= now_ms) return true;
    return webhook_runner_has_due(&runners->services);
}

static int64_t count_ended(struct runners *runners)
{
    pthread_mutex_lock(&runners->lock);
    int64_t count = runners->ended_count;
    pthread_mutex_unlock(&runners->lock);
    return count;
}

void runners_run_due(struct runners *runners, int64_t wait_ms)
{
    sweep_in_turn(runners);
    runners_wake(runners);
    int64_t until_us = world_monotonic_us() + wait_ms * 1000;
    for (;;) {
        /* A task that ends meanwhile may have added another since that was looked for. */
        int64_t seen_ended = count_ended(runners);
        bool    is_due = has_due(runners);
        pthread_mutex_lock(&runners->lock);
        bool is_done = !is_due && runners->busy_count == 0 && runners->ended_count == seen_ended;
        bool is_late = world_monotonic_us() >= until_us;
        if (!is_done && !is_late) {
            struct timespec soon = in_ms(LOOK_AGAIN_MS);
            pthread_cond_timedwait(&runners->advanced, &runners->lock, &soon);
        }
        pthread_mutex_unlock(&runners->lock);
        if (is_done || is_late) return;
    }
}

void runners_stop(struct runners *runners)
{
    if (runners == NULL) return;
    pthread_mutex_lock(&runners->lock);
    runners->is_stopping = true;
    pthread_cond_broadcast(&runners->woken);
    pthread_mutex_unlock(&runners->lock);
    for (int i = 0; i < runners->threads_count; i++)
        pthread_join(runners->threads[i].thread, NULL);
    pthread_join(runners->sweeper, NULL);
    webhook_runner_stop(runners->webhooks);
    sweep_uses(&runners->services);
    sweep_seal(&runners->services); /* nobody writes any more */
    pthread_mutex_destroy(&runners->sweeping);
    pthread_cond_destroy(&runners->woken);
    pthread_cond_destroy(&runners->advanced);
    pthread_mutex_destroy(&runners->lock);
    free(runners);
}
