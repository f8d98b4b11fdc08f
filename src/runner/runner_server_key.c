#include "base/log.h"
#include "domain/server_key.h"
#include "runner/runner_call.h"

enum { SERVER_KEY_ARENA_BYTES_MAX = 4 << 20 };

static void log_failure(const char *event, const struct error *error)
{
    struct log_line line;
    log_begin(&line, LOG_WARNING, event);
    log_error(&line, error);
    log_end(&line);
}

static enum err run_tell(struct call *call, void *argument)
{
    (void)argument;
    return server_key_tell_state(call);
}

struct rehashes {
    int           count;
    struct rehash rows[REHASH_MAX];
};

static enum err run_rehash(struct call *call, void *argument)
{
    const struct rehashes *rehashes = argument;
    enum err               e = ERR_OK;
    for (int i = 0; e == ERR_OK && i < rehashes->count; i++)
        e = rehash_store(call, &rehashes->rows[i]);
    return e;
}

static void take_up(const struct runner_services *services, struct call *call)
{
    if (keyring_reload(services->keyring, call->arena, &call->error))
        log_failure("server_key_not_reloaded", &call->error);
    if (runner_commit(services, call, run_tell, NULL))
        log_failure("server_key_not_told", &call->error);
}

void sweep_server_key(const struct runner_services *services)
{
    struct arena arena;
    struct call  call;
    arena_init(&arena, SERVER_KEY_ARENA_BYTES_MAX);
    runner_call_init(services, &arena, &call);
    take_up(services, &call);
    struct rehashes *rehashes = NEW(&arena, struct rehashes, 1);
    rehashes->count = rehash_collect(services->rehash, rehashes->rows, REHASH_MAX);
    if (rehashes->count > 0 && runner_commit(services, &call, run_rehash, rehashes))
        log_failure("rehash_failed", &call.error);
    arena_deinit(&arena);
}
