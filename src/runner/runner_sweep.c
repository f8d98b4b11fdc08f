#include "base/log.h"
#include "domain/api_key.h"
#include "domain/credits.h"
#include "domain/event_retention.h"
#include "domain/file_removal.h"
#include "domain/idempotency.h"
#include "domain/job.h"
#include "domain/lot_warning.h"
#include "domain/reservation.h"
#include "domain/worker.h"
#include "runner/runner_call.h"

enum { SWEEP_ROWS_MAX = 200, SWEEP_ROUNDS_MAX = 100, SWEEP_ARENA_BYTES_MAX = 4 << 20 };

/* One bounded piece of sweeping: sets *ret_done to how many rows it changed. */
typedef enum err sweep_fn(struct call *call, int *ret_done);

static enum err sweep_reservations(struct call *call, int *ret_done)
{
    return reservation_lapse_all_due(call, SWEEP_ROWS_MAX, ret_done);
}

static enum err sweep_deadlines(struct call *call, int *ret_done)
{
    return job_end_all_due(call, SWEEP_ROWS_MAX, ret_done);
}

static enum err sweep_credits(struct call *call, int *ret_done)
{
    return credits_expire_all_due(call, SWEEP_ROWS_MAX, ret_done);
}

static enum err sweep_lot_warnings(struct call *call, int *ret_done)
{
    return lot_warn_all(call, SWEEP_ROWS_MAX, ret_done);
}

static enum err sweep_idempotency(struct call *call, int *ret_done)
{
    int64_t  count = 0;
    enum err e = idempotency_sweep(call, SWEEP_ROWS_MAX, &count);
    *ret_done = (int)count;
    return e;
}

static enum err sweep_old_files(struct call *call, int *ret_done)
{
    return file_remove_old(call, SWEEP_ROWS_MAX, ret_done);
}

static enum err sweep_events(struct call *call, int *ret_done)
{
    return event_retention_sweep(call, SWEEP_ROWS_MAX, ret_done);
}

struct round {
    sweep_fn *sweep;
    int       done;
};

static enum err run_round(struct call *call, void *argument)
{
    struct round *round = argument;
    return round->sweep(call, &round->done);
}

static void log_sweep_failure(const struct error *error)
{
    struct log_line line;
    log_begin(&line, LOG_WARNING, "sweep_failed");
    log_error(&line, error);
    log_end(&line);
}

/* Commit by commit, so that nobody waits long for the writer, until a round finds nothing more. */
static void sweep_all(const struct runner_services *services, sweep_fn *sweep)
{
    struct round round = { .sweep = sweep, .done = SWEEP_ROWS_MAX };
    for (int i = 0; i < SWEEP_ROUNDS_MAX && round.done >= SWEEP_ROWS_MAX; i++) {
        struct arena arena;
        struct call  call;
        arena_init(&arena, SWEEP_ARENA_BYTES_MAX);
        runner_call_init(services, &arena, &call);
        enum err e = runner_commit(services, &call, run_round, &round);
        if (e) {
            log_sweep_failure(&call.error);
            round.done = 0;
        }
        arena_deinit(&arena);
    }
}

struct uses {
    int              count;
    struct meter_use uses[SWEEP_ROWS_MAX];
};

/* Names that are neither a key nor a session (addresses) are not kept. */
static enum err store_uses(struct call *call, void *argument)
{
    const struct uses *uses = argument;
    for (int i = 0; i < uses->count; i++) {
        const struct meter_use *use = &uses->uses[i];
        struct id               id;
        enum err                e = ERR_OK;
        if (id_parse(str_of(use->name), ID_API_KEY, &id))
            e = api_key_touch(call, &id, use->used_ms);
        else if (id_parse(str_of(use->name), ID_SESSION, &id))
            e = worker_session_touch(call, &id, use->used_ms);
        if (e) return e;
    }
    return ERR_OK;
}

void sweep_uses(const struct runner_services *services)
{
    struct arena arena;
    struct call  call;
    arena_init(&arena, SWEEP_ARENA_BYTES_MAX);
    runner_call_init(services, &arena, &call);
    struct uses *uses = NEW(&arena, struct uses, 1);
    while ((uses->count = meter_collect(services->meter, uses->uses, SWEEP_ROWS_MAX)) > 0) {
        enum err e = runner_commit(services, &call, store_uses, uses);
        if (e) log_sweep_failure(&call.error);
        if (uses->count < SWEEP_ROWS_MAX) break;
    }
    arena_deinit(&arena);
}

void sweep_run(const struct runner_services *services)
{
    static sweep_fn *const sweeps[] = { sweep_reservations, sweep_deadlines,   sweep_credits,
                                        sweep_lot_warnings, sweep_idempotency, sweep_events,
                                        sweep_old_files };
    for (size_t i = 0; i < COUNT_OF(sweeps); i++)
        sweep_all(services, sweeps[i]);
    unlink_removed_files(services);
    sweep_uses(services);
    sweep_server_key(services);
    services->sweep_uploads(services->uploads_context);
    sweep_seal(services); /* last: of what the others noted, too */
}
