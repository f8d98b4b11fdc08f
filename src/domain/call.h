/* The call: everything one unit of work may use. Its transaction, its frozen now, who asks, and the
 * error it ends with. Domain functions take it first and reach for nothing else. A call may run
 * again from the top; what it did to arena, reply and store is undone before that. */
#ifndef FIRSTHAND_DOMAIN_CALL_H
#define FIRSTHAND_DOMAIN_CALL_H

#include "base/error.h"
#include "base/id.h"
#include "platform/config.h"
#include "platform/db.h"
#include "platform/keyring.h"

/* Live and test data are two separate worlds of one organisation. The values are stored. */
enum environment { ENVIRONMENT_LIVE = 0, ENVIRONMENT_TEST = 1, ENVIRONMENT__COUNT };

const char *environment_name(enum environment environment); /* "live", "test" */

/* What a key may do; a set of BITs. The order is stored. */
enum scope {
    SCOPE_JOBS_READ,
    SCOPE_JOBS_WRITE,
    SCOPE_WEBHOOKS_READ,
    SCOPE_WEBHOOKS_WRITE,
    SCOPE_KEYS_MANAGE,
    SCOPE_USAGE_READ,
    SCOPE_BILLING_WRITE,
    SCOPE_AUDIT_READ,
    SCOPE__COUNT
};

enum { SCOPES_ALL = (1 << SCOPE__COUNT) - 1 };

const char   *scope_name(enum scope scope); /* "jobs:read" */
MUST_USE bool scope_parse(struct str name, enum scope *ret_scope);

enum actor_kind { ACTOR_NOBODY, ACTOR_API_KEY, ACTOR_WORKER, ACTOR_OPERATOR, ACTOR_RUNNER };

struct actor {
    enum actor_kind  kind;
    struct id        org_id; /* of the key */
    struct id        key_id;
    enum environment environment;
    unsigned         scopes;
    int64_t          key_ends_ms;           /* when the key stops working; 0 = never */
    int64_t          rate_limit_per_minute; /* 0 = the setting's */
    struct id        worker_id;
    struct id        session_id;
    int              server_key; /* the number of that under which the credential's hash was found;
                                    0 = not known */
};

/* Where a call came from, for the audit. */
struct origin {
    struct str address;    /* of the client, or "command"; absent = the server itself */
    struct id  request_id; /* empty when it was no request */
};

struct ended_job {
    struct id         id;
    struct ended_job *next;
};

struct call {
    struct arena         *arena;
    struct db            *db;
    int64_t               now_ms;
    struct actor          actor;
    const struct config  *config;
    const struct keyring *keyring;
    struct origin         origin;
    struct error          error;
    /* What others are told after the commit: domain/after_commit.h. */
    bool              wakes_tasks; /* a task was added */
    struct ended_job *ended_jobs;  /* completed or cancelled */
    struct ended_job *spare_ended; /* of call_reserve_ended */
};

/* Everything of the call but arena, config, keyring and origin is reset; the caller fills in the
 * rest. */
void call_begin(struct call *call, struct db *db, int64_t now_ms, const struct actor *actor);

/* A job ended: noted for after the commit. */
void call_note_ended(struct call *call, const struct id *job_id);

/* Before an arena_mark: the next job to be noted is noted beneath it, and outlives the rewind. */
void call_reserve_ended(struct call *call);

#endif
