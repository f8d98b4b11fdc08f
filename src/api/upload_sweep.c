#include "api/upload_table_private.h"

#include "base/log.h"

enum { SWEEP_ROWS_MAX = 100, SWEEP_ROUNDS_MAX = 100 };
static const int64_t BYTES_SWEEP_EVERY_US = (int64_t)3600 * 1000 * 1000;
static const int64_t BYTES_AGE_MS = (int64_t)24 * 3600 * 1000; /* older than any request can be */

struct round {
    const struct api *api;
    int               count;
    struct id         ids[SWEEP_ROWS_MAX];
};

static void begin_call(const struct api *api, struct db *db, struct call *call)
{
    static const struct actor runner = { .kind = ACTOR_RUNNER };
    call_begin(call, db, world_now_ms(api->world), &runner);
}

static enum err expire_run(void *argument, struct db *db, struct error *error)
{
    struct round *round = argument;
    struct call   call = { .config = round->api->config, .keyring = round->api->keyring };
    begin_call(round->api, db, &call);
    enum err e = upload_expire_due(&call, SWEEP_ROWS_MAX, round->ids, &round->count);
    if (e) *error = call.error;
    return e;
}

static void log_failure(const struct error *error)
{
    struct log_line line;
    log_begin(&line, LOG_WARNING, "upload_sweep_failed");
    log_error(&line, error);
    log_end(&line);
}

/* Rows first: a part without an open row is nobody's, a row without its part would lie. */
static void expire(const struct api *api)
{
    struct round round = { .api = api, .count = SWEEP_ROWS_MAX };
    for (int i = 0; i < SWEEP_ROUNDS_MAX && round.count == SWEEP_ROWS_MAX; i++) {
        struct error error = { 0 };
        if (writer_call(api->writer, expire_run, &round, &error)) {
            log_failure(&error);
            return;
        }
        for (int k = 0; k < round.count; k++)
            blob_part_remove(api->blobs, id_str(&round.ids[k]));
    }
}

/* When the store cannot be asked everything is kept. */
static bool is_wanted(void *context, struct str name)
{
    const struct api *api = context;
    struct arena      arena;
    struct call       call = { .config = api->config, .keyring = api->keyring, .arena = &arena };
    struct db        *db;
    bool              is_kept = true;
    arena_init(&arena, ARENA_BLOCK_BYTES);
    if (db_readers_get(api->readers, &call.error, &db) == ERR_OK) {
        begin_call(api, db, &call);
        bool is_there;
        if (upload_wants_bytes(&call, name, &is_there) == ERR_OK) is_kept = is_there;
    }
    arena_deinit(&arena);
    return is_kept;
}

static bool is_bytes_sweep_due(struct upload_table *table)
{
    int64_t now_us = world_monotonic_us();
    pthread_mutex_lock(&table->lock);
    bool is_due =
        table->bytes_swept_us == 0 || now_us - table->bytes_swept_us >= BYTES_SWEEP_EVERY_US;
    if (is_due) table->bytes_swept_us = now_us;
    pthread_mutex_unlock(&table->lock);
    return is_due;
}

void upload_sweep(void *context)
{
    struct api *api = context;
    expire(api);
    if (!is_bytes_sweep_due(api->uploads)) return;
    int removed = blob_sweep(api->blobs, BYTES_AGE_MS, is_wanted, api);
    if (removed == 0) return;
    struct log_line line;
    log_begin(&line, LOG_INFO, "bytes_swept");
    log_int(&line, "count", removed);
    log_end(&line);
}
