#include "api/upload_sweep.h"

#include "api/api.h"
#include "base/log.h"
#include "domain/upload.h"

enum { EXPIRED_AT_ONCE = 100, UPLOAD_SWEEP_ARENA_BYTES_MAX = 1 << 20 };
static const int64_t ORPHANS_EVERY_US = (int64_t)3600 * 1000 * 1000;
static const int64_t ORPHAN_AGE_MS = (int64_t)24 * 3600 * 1000;

struct expiring {
    struct call *call;
    struct api  *api;
    int          count;
    struct id    ids[EXPIRED_AT_ONCE];
};

static void call_init(struct api *api, struct arena *arena, struct call *ret_call)
{
    *ret_call = (struct call){ .arena = arena, .config = api->config, .keyring = api->keyring };
}

static const struct actor sweeper = { .kind = ACTOR_RUNNER };

static enum err expire(void *argument, struct db *db, struct error *error)
{
    struct expiring *expiring = argument;
    struct call     *call = expiring->call;
    call_begin(call, db, world_now_ms(expiring->api->world), &sweeper);
    enum err e = upload_expire_due(call, EXPIRED_AT_ONCE, expiring->ids, &expiring->count);
    if (e) *error = call->error;
    return e;
}

static void expire_due(struct api *api, struct call *call)
{
    struct expiring expiring = { .call = call, .api = api, .count = EXPIRED_AT_ONCE };
    while (expiring.count == EXPIRED_AT_ONCE) {
        struct error error = { 0 };
        if (writer_call(api->writer, expire, &expiring, &error)) {
            struct log_line line;
            log_begin(&line, LOG_WARNING, "upload_sweep_failed");
            log_error(&line, &error);
            log_end(&line);
            return;
        }
        for (int i = 0; i < expiring.count; i++)
            blob_part_remove(api->blobs, id_str(&expiring.ids[i]));
    }
}

/* When the store cannot say, the bytes stay. */
static bool is_wanted(void *context, struct str name)
{
    struct call *call = context;
    bool         is_wanted = true;
    enum err     e = upload_wants_bytes(call, name, &is_wanted);
    return e || is_wanted;
}

static void remove_orphans(struct api *api, struct call *call)
{
    struct db *db;
    if (db_readers_get(api->readers, &call->error, &db)) return;
    call_begin(call, db, world_now_ms(api->world), &sweeper);
    int removed = blob_sweep(api->blobs, ORPHAN_AGE_MS, is_wanted, call);
    if (removed == 0) return;
    struct log_line line;
    log_begin(&line, LOG_INFO, "orphans_removed");
    log_int(&line, "count", removed);
    log_end(&line);
}

void upload_sweep(void *context)
{
    static _Atomic int64_t orphans_due_us; /* the first sweep of a process looks for orphans */
    struct api            *api = context;
    struct arena           arena;
    struct call            call;
    arena_init(&arena, UPLOAD_SWEEP_ARENA_BYTES_MAX);
    call_init(api, &arena, &call);
    expire_due(api, &call);
    int64_t now_us = world_monotonic_us();
    if (now_us >= orphans_due_us) {
        orphans_due_us = now_us + ORPHANS_EVERY_US;
        remove_orphans(api, &call);
    }
    arena_deinit(&arena);
}
