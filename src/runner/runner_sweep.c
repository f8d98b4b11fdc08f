#include "base/log.h"
#include "domain/api_key.h"
#include "domain/credits.h"
#include "domain/file_removal.h"
#include "domain/idempotency.h"
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

static enum err sweep_credits(struct call *call, int *ret_done)
{
    return credits_expire_all_due(call, SWEEP_ROWS_MAX, ret_done);
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

static void sweep_uses(const struct runner_services *services)
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

/* --- bytes that nobody gets any more --- */

struct unlinking {
    int                    count;
    struct delivered_file *files;
};

static enum err read_to_unlink(struct call *call, void *argument)
{
    struct unlinking *unlinking = argument;
    return file_list_to_unlink(call, SWEEP_ROWS_MAX, unlinking->files, &unlinking->count);
}

static enum err note_unlinked(struct call *call, void *argument)
{
    const struct unlinking *unlinking = argument;
    for (int i = 0; i < unlinking->count; i++) {
        enum err e = file_set_unlinked(call, &unlinking->files[i].id);
        if (e) return e;
    }
    return ERR_OK;
}

/* The blob last: while it is there, the file is found again. */
static void unlink_bytes(const struct runner_services *services, struct arena *arena,
                         const struct delivered_file *file)
{
    struct str folder = str_format(arena, "%s/%s", file->org_id.text, file->job_id.text);
    blob_undeliver(services->blobs, folder, file_name(file, arena));
    blob_remove(services->blobs, file->blob);
}

/* Up to a round of them; a crash between the disk and the commit has them removed once more. */
static enum err unlink_some(const struct runner_services *services, struct call *call,
                            int *ret_done)
{
    struct unlinking unlinking = {
        .files = NEW(call->arena, struct delivered_file, SWEEP_ROWS_MAX),
    };
    enum err e = runner_read(services, call, read_to_unlink, &unlinking);
    *ret_done = unlinking.count;
    if (e || unlinking.count == 0) return e;
    for (int i = 0; i < unlinking.count; i++)
        unlink_bytes(services, call->arena, &unlinking.files[i]);
    return runner_commit(services, call, note_unlinked, &unlinking);
}

static void sweep_removed_bytes(const struct runner_services *services)
{
    int done = SWEEP_ROWS_MAX;
    for (int i = 0; i < SWEEP_ROUNDS_MAX && done == SWEEP_ROWS_MAX; i++) {
        struct arena arena;
        struct call  call;
        arena_init(&arena, SWEEP_ARENA_BYTES_MAX);
        runner_call_init(services, &arena, &call);
        if (unlink_some(services, &call, &done)) {
            log_sweep_failure(&call.error);
            done = 0;
        }
        arena_deinit(&arena);
    }
}

void sweep_run(const struct runner_services *services)
{
    sweep_all(services, sweep_reservations);
    sweep_all(services, sweep_credits);
    sweep_all(services, sweep_idempotency);
    sweep_all(services, sweep_old_files);
    sweep_removed_bytes(services);
    sweep_uses(services);
    services->sweep_uploads(services->uploads_context);
}
