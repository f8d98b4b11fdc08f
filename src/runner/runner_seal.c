#include "base/encode.h"
#include "base/log.h"
#include "domain/audit_chain.h"
#include "runner/runner_call.h"

enum { SEAL_ROUNDS_MAX = 100, SEAL_ARENA_BYTES_MAX = 4 << 20 };

static void log_failure(const struct error *error)
{
    struct log_line line;
    log_begin(&line, LOG_WARNING, "sealing_failed");
    log_error(&line, error);
    log_end(&line);
}

/* Where no one who changes the store can change it, too. */
static void log_head(const struct audit_head *head, struct arena *arena)
{
    struct log_line line;
    struct str      seal = encode_hex(arena, head->seal.data, head->seal.len);
    log_begin(&line, LOG_INFO, "audit_head");
    log_text(&line, "head", str_format(arena, "%lld:%s", (long long)head->number, seal.data));
    log_text(&line, "last", id_str(&head->event_id));
    log_int(&line, "seals", head->seals_count);
    log_end(&line);
}

static enum err run_seal(struct call *call, void *argument)
{
    return audit_seal(call, argument);
}

static enum err run_head(struct call *call, void *argument)
{
    return audit_head_to_log(call, argument);
}

/* One commit; false when nothing is left to seal, or it failed. */
static bool seal_some(const struct runner_services *services)
{
    struct arena arena;
    struct call  call;
    int          count = 0;
    arena_init(&arena, SEAL_ARENA_BYTES_MAX);
    runner_call_init(services, &arena, &call);
    enum err e = runner_commit(services, &call, run_seal, &count);
    if (e) log_failure(&call.error);
    arena_deinit(&arena);
    return e == ERR_OK && count == AUDIT_SEALS_MAX;
}

static void tell_head(const struct runner_services *services)
{
    struct arena      arena;
    struct call       call;
    struct audit_head head = { 0 };
    arena_init(&arena, SEAL_ARENA_BYTES_MAX);
    runner_call_init(services, &arena, &call);
    if (runner_commit(services, &call, run_head, &head))
        log_failure(&call.error);
    else if (head.number > 0)
        log_head(&head, &arena);
    arena_deinit(&arena);
}

void sweep_seal(const struct runner_services *services)
{
    for (int i = 0; i < SEAL_ROUNDS_MAX && seal_some(services); i++)
        continue;
    tell_head(services);
}
