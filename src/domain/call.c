#include "domain/call.h"

#include <assert.h>

static const char *const scope_names[] = {
    [SCOPE_JOBS_READ] = "jobs:read",         [SCOPE_JOBS_WRITE] = "jobs:write",
    [SCOPE_WEBHOOKS_READ] = "webhooks:read", [SCOPE_WEBHOOKS_WRITE] = "webhooks:write",
    [SCOPE_KEYS_MANAGE] = "keys:manage",     [SCOPE_USAGE_READ] = "usage:read",
    [SCOPE_BILLING_WRITE] = "billing:write", [SCOPE_AUDIT_READ] = "audit:read",
};
static_assert(COUNT_OF(scope_names) == SCOPE__COUNT, "every scope has a name");

const char *environment_name(enum environment environment)
{
    CHECK((unsigned)environment < ENVIRONMENT__COUNT);
    return environment == ENVIRONMENT_LIVE ? "live" : "test";
}

const char *scope_name(enum scope scope)
{
    CHECK((unsigned)scope < SCOPE__COUNT);
    return scope_names[scope];
}

bool scope_parse(struct str name, enum scope *ret_scope)
{
    int index = str_index(name, scope_names, SCOPE__COUNT);
    if (index >= 0) *ret_scope = (enum scope)index;
    return index >= 0;
}

void call_begin(struct call *call, struct db *db, int64_t now_ms, const struct actor *actor)
{
    call->db = db;
    call->now_ms = now_ms;
    call->actor = *actor;
    call->wakes_tasks = false;
    call->ended_jobs = call->spare_ended = NULL;
    error_clear(&call->error);
}

void call_note_ended(struct call *call, const struct id *job_id)
{
    struct ended_job *ended = call->spare_ended;
    if (ended == NULL) ended = NEW(call->arena, struct ended_job, 1);
    call->spare_ended = NULL;
    *ended = (struct ended_job){ .id = *job_id, .next = call->ended_jobs };
    call->ended_jobs = ended;
}

void call_reserve_ended(struct call *call)
{
    if (call->spare_ended == NULL) call->spare_ended = NEW(call->arena, struct ended_job, 1);
}
