#include "domain/webhook_endpoint.h"

#include "base/encode.h"
#include "base/world.h"
#include "domain/audit_event.h"
#include "domain/event.h"
#include "domain/render.h"
#include "platform/http_guard.h"

#include <assert.h>
#include <string.h>

static const char *const state_names[] = {
    [ENDPOINT_ACTIVE] = "active",
    [ENDPOINT_DISABLED] = "disabled",
};
static_assert(COUNT_OF(state_names) == ENDPOINT_STATE__COUNT, "every state has a name");

const char *endpoint_state_name(enum endpoint_state state)
{
    CHECK((unsigned)state < ENDPOINT_STATE__COUNT);
    return state_names[state];
}

/* --- rows --- */

#define ENDPOINT_COLUMNS                                                                           \
    "id, org_id, environment, url, description, events, status, disabled_reason, secret,"          \
    " old_secret, old_secret_ends_ms, failures_count, first_failed_ms, created_ms, updated_ms,"    \
    " deleted_ms"

static void endpoint_read(struct stmt *q, struct arena *arena, struct webhook_endpoint *endpoint)
{
    *endpoint = (struct webhook_endpoint){
        .id = column_id(q, 0),
        .org_id = column_id(q, 1),
        .environment = (enum environment)column_int(q, 2),
        .url = column_text(q, 3, arena),
        .description = column_text(q, 4, arena),
        .events = (unsigned)column_int(q, 5),
        .disabled_reason = column_text(q, 7, arena),
        .sealed_secret = column_bytes(q, 8, arena),
        .sealed_old_secret = column_bytes(q, 9, arena),
        .old_secret_ends_ms = column_int(q, 10),
        .failures_count = column_int(q, 11),
        .first_failed_ms = column_int(q, 12),
        .created_ms = column_int(q, 13),
        .updated_ms = column_int(q, 14),
        .deleted_ms = column_int(q, 15),
    };
    int state = str_index(column_text(q, 6, arena), state_names, ENDPOINT_STATE__COUNT);
    CHECK(state >= 0);
    endpoint->state = (enum endpoint_state)state;
}

static enum err no_endpoint(struct call *call)
{
    return FAIL(&call->error, ERR_NOT_FOUND, "webhook_endpoint", "no such webhook endpoint");
}

static enum err read_one(struct call *call, struct stmt *q, struct webhook_endpoint *ret_endpoint)
{
    bool is_there = stmt_step(q);
    if (is_there) endpoint_read(q, call->arena, ret_endpoint);
    enum err e = stmt_end(q, &call->error);
    if (e) return e;
    return is_there ? ERR_OK : no_endpoint(call);
}

enum err webhook_endpoint_get_any(struct call *call, const struct id *id,
                                  struct webhook_endpoint *ret_endpoint)
{
    /* tenant: runners serve every organisation */
    struct stmt *q =
        db_query(call->db, "SELECT " ENDPOINT_COLUMNS " FROM webhook_endpoints WHERE id = $1");
    bind_id(q, 1, id);
    return read_one(call, q, ret_endpoint);
}

enum err webhook_endpoint_get_kept(struct call *call, struct str id_text,
                                   struct webhook_endpoint *ret_endpoint)
{
    struct id id;
    if (!id_parse(id_text, ID_ENDPOINT, &id)) return no_endpoint(call);
    struct stmt *q = db_query(call->db, "SELECT " ENDPOINT_COLUMNS " FROM webhook_endpoints"
                                        " WHERE id = $1 AND org_id = $2 AND environment = $3");
    bind_id(q, 1, &id);
    bind_id(q, 2, &call->actor.org_id);
    bind_int(q, 3, call->actor.environment);
    return read_one(call, q, ret_endpoint);
}

enum err webhook_endpoint_get(struct call *call, struct str id_text,
                              struct webhook_endpoint *ret_endpoint)
{
    struct webhook_endpoint endpoint;
    enum err                e = webhook_endpoint_get_kept(call, id_text, &endpoint);
    if (e) return e;
    if (endpoint.deleted_ms) return no_endpoint(call);
    *ret_endpoint = endpoint;
    return ERR_OK;
}

enum err webhook_endpoint_list(struct call *call, const struct id *before, int count,
                               struct webhook_endpoint *ret_rows, int *ret_count)
{
    struct stmt *q = db_query(call->db, "SELECT " ENDPOINT_COLUMNS " FROM webhook_endpoints"
                                        " WHERE org_id = $1 AND environment = $2 AND id < $3"
                                        " AND deleted_ms IS NULL ORDER BY id DESC LIMIT $4");
    bind_id(q, 1, &call->actor.org_id);
    bind_int(q, 2, call->actor.environment);
    bind_text(q, 3, id_is_none(before) ? STR("whe_~") : id_str(before));
    bind_int(q, 4, count);
    int found = 0;
    while (found < count && stmt_step(q))
        endpoint_read(q, call->arena, &ret_rows[found++]);
    *ret_count = found;
    return stmt_end(q, &call->error);
}

/* --- secrets --- */

static struct str secret_context(struct call *call, const struct id *id, const char *which)
{
    return str_format(call->arena, "webhook_endpoint:%s:%s", id->text, which);
}

static struct str seal(struct call *call, const struct id *id, const char *which, struct str secret)
{
    return keyring_seal(call->keyring, secret, secret_context(call, id, which), call->arena);
}

static enum err unseal(struct call *call, const struct id *id, const char *which, struct str sealed,
                       struct str *ret_secret)
{
    if (keyring_unseal(call->keyring, sealed, secret_context(call, id, which), call->arena,
                       ret_secret))
        return ERR_OK;
    return FAIL(&call->error, ERR_INTERNAL, "unseal_failed",
                "a webhook secret does not open with the server key");
}

static void make_secret(struct call *call, struct webhook_endpoint *endpoint)
{
    unsigned char bytes[ENDPOINT_SECRET_RANDOM_BYTES];
    world_random(bytes, sizeof(bytes));
    struct str text = encode_base64(call->arena, bytes, sizeof(bytes));
    endpoint->signing_secret = str_format(call->arena, "whsec_%.*s", STR_ARG(text));
    endpoint->sealed_secret = seal(call, &endpoint->id, "secret", endpoint->signing_secret);
}

enum err webhook_endpoint_open_secrets(struct call *call, const struct webhook_endpoint *endpoint,
                                       struct str *ret_current, struct str *ret_old)
{
    struct str current, old = STR_NONE;
    enum err   e = unseal(call, &endpoint->id, "secret", endpoint->sealed_secret, &current);
    if (e) return e;
    if (endpoint->old_secret_ends_ms > call->now_ms)
        e = unseal(call, &endpoint->id, "old_secret", endpoint->sealed_old_secret, &old);
    if (e) return e;
    *ret_current = current;
    *ret_old = old;
    return ERR_OK;
}

/* One that does not open with the server key has not signed anything: it ends at once. */
static void retire_secret(struct call *call, struct webhook_endpoint *endpoint)
{
    struct str secret;
    endpoint->old_secret_ends_ms = call->now_ms + ENDPOINT_SECRET_OVERLAP_MS;
    if (unseal(call, &endpoint->id, "secret", endpoint->sealed_secret, &secret) == ERR_OK) {
        endpoint->sealed_old_secret = seal(call, &endpoint->id, "old_secret", secret);
        return;
    }
    error_clear(&call->error);
    endpoint->sealed_old_secret = STR_NONE;
    endpoint->old_secret_ends_ms = call->now_ms;
}

enum err webhook_endpoint_rotate(struct call *call, struct webhook_endpoint *endpoint)
{
    struct webhook_endpoint rotated = *endpoint;
    retire_secret(call, &rotated);
    rotated.updated_ms = call->now_ms;
    make_secret(call, &rotated);
    struct stmt *q = db_query(call->db, "UPDATE webhook_endpoints SET secret = $3, old_secret = $4,"
                                        " old_secret_ends_ms = $5, updated_ms = $6"
                                        " WHERE id = $1 AND org_id = $2");
    bind_id(q, 1, &rotated.id);
    bind_id(q, 2, &rotated.org_id);
    bind_bytes(q, 3, rotated.sealed_secret);
    bind_bytes(q, 4, rotated.sealed_old_secret);
    bind_int(q, 5, rotated.old_secret_ends_ms);
    bind_int(q, 6, rotated.updated_ms);
    enum err e = stmt_run(q, &call->error, NULL);
    if (e) return e;
    *endpoint = rotated;
    return ERR_OK;
}

/* Under the newest server key; one that does not open, or that is not there, stays as it is. */
static struct str seal_anew(struct call *call, const struct id *id, const char *which,
                            struct str sealed, int64_t *count)
{
    struct str secret, context = secret_context(call, id, which);
    if (keyring_sealed_under(sealed) == keyring_newest(call->keyring)) return sealed;
    if (!keyring_unseal(call->keyring, sealed, context, call->arena, &secret)) return sealed;
    (*count)++;
    return seal(call, id, which, secret);
}

static enum err reseal_one(struct call *call, const struct id *id, struct str secret,
                           struct str old_secret, int64_t *count)
{
    /* tenant: the server key is everybody's */
    struct stmt *q = db_query(call->db, "UPDATE webhook_endpoints SET secret = $2, old_secret = $3"
                                        " WHERE id = $1");
    bind_id(q, 1, id);
    bind_bytes(q, 2, seal_anew(call, id, "secret", secret, count));
    bind_bytes(q, 3, seal_anew(call, id, "old_secret", old_secret, count));
    return stmt_run(q, &call->error, NULL);
}

static enum err find_next(struct call *call, struct id *id, struct str *ret_secret,
                          struct str *ret_old_secret)
{
    /* tenant: the server key is everybody's */
    struct stmt *q = db_query(call->db, "SELECT id, secret, old_secret FROM webhook_endpoints"
                                        " WHERE id > $1 ORDER BY id LIMIT 1");
    bind_text(q, 1, id_is_none(id) ? STR("") : id_str(id));
    *id = stmt_step(q) ? column_id(q, 0) : (struct id){ 0 };
    *ret_secret = id_is_none(id) ? STR_NONE : column_bytes(q, 1, call->arena);
    *ret_old_secret = id_is_none(id) ? STR_NONE : column_bytes(q, 2, call->arena);
    return stmt_end(q, &call->error);
}

enum err webhook_endpoint_reseal(struct call *call, int64_t *ret_count)
{
    struct id  id = { 0 };
    struct str secret, old_secret;
    int64_t    count = 0;
    for (;;) {
        struct arena_mark mark = arena_mark(call->arena);
        enum err          e = find_next(call, &id, &secret, &old_secret);
        if (e) return e;
        if (id_is_none(&id)) break;
        e = reseal_one(call, &id, secret, old_secret, &count);
        if (e) return e;
        arena_rewind(call->arena, mark);
    }
    *ret_count = count;
    return ERR_OK;
}

/* --- making and changing --- */

enum err webhook_endpoint_check_url(struct call *call, struct str url)
{
    bool         may_be_plain = call->config->webhook_allow.len > 0;
    struct error refusal = { 0 };
    if (http_guard_check_url(url, may_be_plain, &refusal, NULL) == ERR_OK) return ERR_OK;
    error_add_fault(&call->error, call->arena, STR("url"), "format", "%s", refusal.detail);
    return FAIL_FAULTS(&call->error, call->arena, ERR_UNPROCESSABLE, "body_invalid");
}

static enum err check_has_room(struct call *call)
{
    struct stmt *q = db_query(call->db, "SELECT count(*) FROM webhook_endpoints WHERE org_id = $1"
                                        " AND environment = $2 AND deleted_ms IS NULL");
    bind_id(q, 1, &call->actor.org_id);
    bind_int(q, 2, call->actor.environment);
    int64_t  count = stmt_step(q) ? column_int(q, 0) : 0;
    enum err e = stmt_end(q, &call->error);
    if (e) return e;
    if (count < ENDPOINTS_PER_ORGANISATION_MAX) return ERR_OK;
    return FAIL(&call->error, ERR_CONFLICT, "too_many_endpoints",
                "an organization has at most %d webhook endpoints in each environment",
                ENDPOINTS_PER_ORGANISATION_MAX);
}

static enum err endpoint_insert(struct call *call, const struct webhook_endpoint *endpoint)
{
    struct stmt *q = db_query(call->db, "INSERT INTO webhook_endpoints (id, org_id, environment,"
                                        " url, description, events, status, secret, failures_count,"
                                        " created_ms, updated_ms)"
                                        " VALUES ($1,$2,$3,$4,$5,$6,$7,$8,0,$9,$9)");
    bind_id(q, 1, &endpoint->id);
    bind_id(q, 2, &endpoint->org_id);
    bind_int(q, 3, endpoint->environment);
    bind_text(q, 4, endpoint->url);
    bind_text(q, 5, endpoint->description);
    bind_int(q, 6, endpoint->events);
    bind_text(q, 7, str_of(state_names[endpoint->state]));
    bind_bytes(q, 8, endpoint->sealed_secret);
    bind_int(q, 9, endpoint->created_ms);
    return stmt_run(q, &call->error, NULL);
}

enum err webhook_endpoint_create(struct call *call, const struct webhook_endpoint *asked,
                                 struct webhook_endpoint *ret_endpoint)
{
    enum err e = check_has_room(call);
    if (e) return e;
    struct webhook_endpoint endpoint = {
        .id = id_new(ID_ENDPOINT, call->now_ms),
        .org_id = call->actor.org_id,
        .environment = call->actor.environment,
        .url = asked->url,
        .description = asked->description,
        .events = asked->events,
        .state = ENDPOINT_ACTIVE,
    };
    endpoint.created_ms = id_time_ms(&endpoint.id);
    endpoint.updated_ms = endpoint.created_ms;
    make_secret(call, &endpoint);
    e = endpoint_insert(call, &endpoint);
    if (e) return e;
    *ret_endpoint = endpoint;
    return ERR_OK;
}

enum err webhook_endpoint_save(struct call *call, struct webhook_endpoint *endpoint)
{
    struct stmt *q =
        db_query(call->db, "UPDATE webhook_endpoints SET url = $3, description = $4, events = $5,"
                           " updated_ms = $6 WHERE id = $1 AND org_id = $2");
    bind_id(q, 1, &endpoint->id);
    bind_id(q, 2, &endpoint->org_id);
    bind_text(q, 3, endpoint->url);
    bind_text(q, 4, endpoint->description);
    bind_int(q, 5, endpoint->events);
    bind_int(q, 6, call->now_ms);
    endpoint->updated_ms = call->now_ms;
    return stmt_run(q, &call->error, NULL);
}

/* --- state --- */

/* The only way to another state. *ret_has_changed is false when the store says it is there already,
 * or deleted. */
static enum err endpoint_set_state(struct call *call, struct webhook_endpoint *endpoint,
                                   enum endpoint_state to, const char *reason,
                                   bool *ret_has_changed)
{
    struct stmt *q = db_query(call->db, "UPDATE webhook_endpoints SET status = $3,"
                                        " disabled_reason = $4, failures_count = 0,"
                                        " first_failed_ms = NULL, updated_ms = $5 WHERE id = $1"
                                        " AND org_id = $2 AND status <> $3 AND deleted_ms IS NULL");
    bind_id(q, 1, &endpoint->id);
    bind_id(q, 2, &endpoint->org_id);
    bind_text(q, 3, str_of(state_names[to]));
    bind_text(q, 4, str_of(reason));
    bind_int(q, 5, call->now_ms);
    int64_t  changes = 0;
    enum err e = stmt_run(q, &call->error, &changes);
    if (e) return e;
    *ret_has_changed = changes > 0;
    if (changes == 0) return ERR_OK;
    endpoint->state = to;
    endpoint->disabled_reason = str_of(reason);
    endpoint->failures_count = 0;
    endpoint->first_failed_ms = 0;
    endpoint->updated_ms = call->now_ms;
    return ERR_OK;
}

enum err webhook_endpoint_disable(struct call *call, struct webhook_endpoint *endpoint,
                                  const char *reason)
{
    bool     has_changed;
    enum err e = endpoint_set_state(call, endpoint, ENDPOINT_DISABLED, reason, &has_changed);
    if (e || !has_changed) return e;
    bool is_asked_for = strcmp(reason, ENDPOINT_DISABLED_BY_REQUEST) == 0;
    if (!is_asked_for)
        e = audit_note_system(call, &endpoint->org_id, endpoint->environment,
                              STR("webhook_endpoint.disabled"), id_str(&endpoint->id));
    if (e) return e;
    struct event_data data;
    event_data_begin(call, &data);
    render_webhook_endpoint(&data.out, NULL, endpoint);
    return event_emit(call, &(struct occurrence){
                                .org_id = endpoint->org_id,
                                .environment = endpoint->environment,
                                .type = EVENT_ENDPOINT_DISABLED,
                                .subject_id = endpoint->id,
                                .data = event_data_end(&data),
                            });
}

/* What was not tried yet is due since it was made. */
static enum err release_events(struct call *call, const struct webhook_endpoint *endpoint)
{
    /* tenant: keyed by the endpoint */
    struct stmt *q = db_query(
        call->db, "UPDATE webhook_events SET next_ms = created_ms WHERE id IN"
                  " (SELECT id FROM webhook_events WHERE endpoint_id = $1 AND status = 'pending'"
                  " AND awaits_job_id IS NULL AND next_ms > $2 ORDER BY next_ms LIMIT $3)");
    bind_id(q, 1, &endpoint->id);
    bind_int(q, 2, call->now_ms);
    bind_int(q, 3, ENDPOINT_RELEASED_EVENTS_MAX);
    call->wakes_tasks = true;
    return stmt_run(q, &call->error, NULL);
}

enum err webhook_endpoint_enable(struct call *call, struct webhook_endpoint *endpoint)
{
    bool     has_changed;
    enum err e = endpoint_set_state(call, endpoint, ENDPOINT_ACTIVE, NULL, &has_changed);
    if (e || !has_changed) return e;
    return release_events(call, endpoint);
}

enum err webhook_endpoint_delete(struct call *call, struct webhook_endpoint *endpoint)
{
    struct stmt *q = db_query(
        call->db, "UPDATE webhook_endpoints SET deleted_ms = $3, updated_ms = $3, url = '',"
                  " description = NULL, secret = '', old_secret = NULL,"
                  " old_secret_ends_ms = NULL"
                  " WHERE id = $1 AND org_id = $2 AND deleted_ms IS NULL");
    bind_id(q, 1, &endpoint->id);
    bind_id(q, 2, &endpoint->org_id);
    bind_int(q, 3, call->now_ms);
    endpoint->deleted_ms = endpoint->updated_ms = call->now_ms;
    call->wakes_tasks = true;
    return stmt_run(q, &call->error, NULL);
}

/* --- how telling it goes --- */

static enum err note_success(struct call *call, const struct id *id)
{
    /* tenant: keyed by the endpoint that was told */
    struct stmt *q = db_query(call->db, "UPDATE webhook_endpoints SET failures_count = 0,"
                                        " first_failed_ms = NULL WHERE id = $1"
                                        " AND failures_count <> 0");
    bind_id(q, 1, id);
    return stmt_run(q, &call->error, NULL);
}

static enum err note_failure(struct call *call, const struct id *id)
{
    /* tenant: keyed by the endpoint that was told */
    struct stmt *q = db_query(call->db, "UPDATE webhook_endpoints SET"
                                        " failures_count = failures_count + 1,"
                                        " first_failed_ms = coalesce(first_failed_ms, $2)"
                                        " WHERE id = $1");
    bind_id(q, 1, id);
    bind_int(q, 2, call->now_ms);
    return stmt_run(q, &call->error, NULL);
}

enum err webhook_endpoint_note(struct call *call, const struct id *id, bool is_success)
{
    struct webhook_endpoint endpoint;
    if (is_success) return note_success(call, id);
    enum err e = note_failure(call, id);
    if (e) return e;
    e = webhook_endpoint_get_any(call, id, &endpoint);
    if (e) return e;
    if (endpoint.failures_count < ENDPOINT_FAILING_ATTEMPTS_MIN ||
        call->now_ms - endpoint.first_failed_ms < ENDPOINT_FAILING_MS_MIN)
        return ERR_OK;
    return webhook_endpoint_disable(call, &endpoint, ENDPOINT_DISABLED_AS_FAILING);
}
