#include "domain/api_key.h"

#include "base/num.h"
#include "domain/audit_event.h"
#include "domain/secret_text.h"

#include <assert.h>

static const char *const state_names[] = {
    [KEY_ACTIVE] = "active",
    [KEY_ROTATING] = "rotating",
    [KEY_REVOKED] = "revoked",
};
static_assert(COUNT_OF(state_names) == KEY_STATE__COUNT, "every state has a name");

static const char *const secret_prefixes[ENVIRONMENT__COUNT] = { "fh_live_", "fh_test_" };

const char *key_state_name(enum key_state state)
{
    CHECK((unsigned)state < KEY_STATE__COUNT);
    return state_names[state];
}

bool api_key_is_well_formed(struct str secret)
{
    return secret_is_well_formed(secret, secret_prefixes[ENVIRONMENT_LIVE]) ||
           secret_is_well_formed(secret, secret_prefixes[ENVIRONMENT_TEST]);
}

#define KEY_COLUMNS                                                                                \
    "id, org_id, environment, name, prefix, hint, scopes, status, rate_limit_per_minute,"          \
    " created_ms, expires_ms, rotation_ends_ms, last_used_ms, server_key"

static enum key_state state_of(struct str name, int64_t rotation_ends_ms, int64_t now_ms)
{
    if (str_eq(name, STR("active"))) return KEY_ACTIVE;
    if (str_eq(name, STR("rotating")) && rotation_ends_ms > now_ms) return KEY_ROTATING;
    return KEY_REVOKED;
}

static void key_read(struct stmt *q, const struct call *call, struct api_key *key)
{
    *key = (struct api_key){
        .id = column_id(q, 0),
        .org_id = column_id(q, 1),
        .environment = (enum environment)column_int(q, 2),
        .name = column_text(q, 3, call->arena),
        .prefix = column_text(q, 4, call->arena),
        .hint = column_text(q, 5, call->arena),
        .scopes = (unsigned)column_int(q, 6),
        .rate_limit_per_minute = column_int(q, 8),
        .created_ms = column_int(q, 9),
        .expires_ms = column_int(q, 10),
        .rotation_ends_ms = column_int(q, 11),
        .last_used_ms = column_int(q, 12),
        .server_key = (int)column_int(q, 13),
    };
    key->state = state_of(column_text(q, 7, call->arena), key->rotation_ends_ms, call->now_ms);
}

/* --- who is it --- */

/* When the key stops working by itself; 0 = never. */
static int64_t key_ends_ms(const struct api_key *key)
{
    if (key->state != KEY_ROTATING) return key->expires_ms;
    if (key->expires_ms == 0) return key->rotation_ends_ms;
    return num_min(key->expires_ms, key->rotation_ends_ms);
}

static enum err check_works(struct call *call, const struct api_key *key)
{
    if (key->state == KEY_REVOKED)
        return FAIL(&call->error, ERR_UNAUTHENTICATED, "key_revoked", "the API key was revoked");
    if (key->expires_ms && key->expires_ms <= call->now_ms)
        return FAIL(&call->error, ERR_UNAUTHENTICATED, "key_expired", "the API key has expired");
    return ERR_OK;
}

static enum err find_by_hash(struct call *call, struct str hash, struct api_key *ret_key,
                             bool *ret_is_there)
{
    /* tenant: the hash of the secret is what says who asks */
    struct stmt *q = db_query(call->db, "SELECT " KEY_COLUMNS " FROM api_keys WHERE hash = $1");
    bind_text(q, 1, hash);
    *ret_is_there = stmt_step(q);
    if (*ret_is_there) key_read(q, call, ret_key);
    return stmt_end(q, &call->error);
}

static void actor_of(const struct api_key *key, struct actor *actor)
{
    *actor = (struct actor){
        .kind = ACTOR_API_KEY,
        .org_id = key->org_id,
        .key_id = key->id,
        .environment = key->environment,
        .scopes = key->scopes,
        .key_ends_ms = key_ends_ms(key),
        .rate_limit_per_minute = key->rate_limit_per_minute,
        .server_key = key->server_key,
    };
}

enum err api_key_authenticate(struct call *call, struct str secret, struct actor *ret_actor)
{
    struct api_key key = { 0 };
    bool           is_there = false;
    for (int i = 0; api_key_is_well_formed(secret) && i < keyring_count(call->keyring); i++) {
        struct str hash = secret_hash(call->keyring, i, secret, call->arena);
        enum err   e = find_by_hash(call, hash, &key, &is_there);
        if (e) return e;
        if (is_there) break;
    }
    if (!is_there)
        return FAIL(&call->error, ERR_UNAUTHENTICATED, "bad_credentials", "%s",
                    api_key_is_well_formed(secret)
                        ? "unknown API key"
                        : "not a whole API key: it begins with fh_live_ or fh_test_");
    enum err e = check_works(call, &key);
    if (e) return e;
    actor_of(&key, ret_actor);
    return ERR_OK;
}

/* A key the actor may see: of his organisation; a test key sees only test keys. */
static enum err key_get(struct call *call, struct str id_text, struct api_key *ret_key)
{
    struct id id;
    if (!id_parse(id_text, ID_API_KEY, &id))
        return FAIL(&call->error, ERR_NOT_FOUND, "key", "no such API key");
    struct stmt *q = db_query(call->db, "SELECT " KEY_COLUMNS " FROM api_keys WHERE id = $1"
                                        " AND org_id = $2 AND environment >= $3");
    bind_id(q, 1, &id);
    bind_id(q, 2, &call->actor.org_id);
    bind_int(q, 3, call->actor.environment);
    bool is_there = stmt_step(q);
    if (is_there) key_read(q, call, ret_key);
    enum err e = stmt_end(q, &call->error);
    if (e) return e;
    if (!is_there) return FAIL(&call->error, ERR_NOT_FOUND, "key", "no such API key");
    return ERR_OK;
}

enum err api_key_recheck(struct call *call)
{
    struct api_key key;
    enum err       e = key_get(call, id_str(&call->actor.key_id), &key);
    if (e == ERR_NOT_FOUND)
        return FAIL(&call->error, ERR_UNAUTHENTICATED, "bad_credentials", "unknown API key");
    if (e) return e;
    e = check_works(call, &key);
    if (e) return e;
    actor_of(&key, &call->actor);
    return ERR_OK;
}

/* --- making --- */

static enum err check_may_make(struct call *call, const struct key_request *request)
{
    const struct actor *actor = &call->actor;
    if (actor->kind == ACTOR_OPERATOR) return ERR_OK;
    if (request->environment == ENVIRONMENT_LIVE && actor->environment == ENVIRONMENT_TEST)
        return FAIL(&call->error, ERR_FORBIDDEN, "environment_forbidden",
                    "a test key never makes a live one");
    if (request->scopes & ~actor->scopes)
        return FAIL(&call->error, ERR_FORBIDDEN, "scope_exceeds_own",
                    "a key may only give scopes it has itself");
    if (actor->key_ends_ms &&
        (request->expires_ms == 0 || request->expires_ms > actor->key_ends_ms))
        return FAIL(&call->error, ERR_FORBIDDEN, "key_outlives_own",
                    "a key that ends may not make one that lives longer: set expires_at");
    return ERR_OK;
}

static enum err key_insert(struct call *call, const struct api_key *key)
{
    int          server_key;
    struct str   hash = secret_hash_new(call->keyring, key->secret, call->arena, &server_key);
    struct stmt *q = db_query(call->db, "INSERT INTO api_keys (id, org_id, environment, name,"
                                        " prefix, hint, scopes, status, rate_limit_per_minute,"
                                        " created_ms, expires_ms, hash, server_key) VALUES"
                                        " ($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12,$13)");
    bind_id(q, 1, &key->id);
    bind_id(q, 2, &key->org_id);
    bind_int(q, 3, key->environment);
    bind_text(q, 4, key->name);
    bind_text(q, 5, key->prefix);
    bind_text(q, 6, key->hint);
    bind_int(q, 7, key->scopes);
    bind_text(q, 8, str_of(state_names[key->state]));
    bind_nonzero(q, 9, key->rate_limit_per_minute);
    bind_int(q, 10, key->created_ms);
    bind_nonzero(q, 11, key->expires_ms);
    bind_text(q, 12, hash);
    bind_int(q, 13, server_key);
    return stmt_run(q, &call->error, NULL);
}

static enum err key_insert_new(struct call *call, const struct id *org_id,
                               const struct key_request *request, int64_t rate_limit_per_minute,
                               struct api_key *ret_key)
{
    struct str     secret = secret_new(secret_prefixes[request->environment], call->arena);
    struct api_key key = {
        .id = id_new(ID_API_KEY, call->now_ms),
        .org_id = *org_id,
        .environment = request->environment,
        .name = request->name,
        .prefix = str_copy(call->arena, str_take(secret, KEY_PREFIX_BYTES)),
        .hint = str_copy(call->arena, str_skip(secret, secret.len - KEY_HINT_BYTES)),
        .scopes = request->scopes,
        .state = KEY_ACTIVE,
        .rate_limit_per_minute = rate_limit_per_minute,
        .created_ms = call->now_ms,
        .expires_ms = request->expires_ms,
        .secret = secret,
    };
    enum err e = key_insert(call, &key);
    if (e) return e;
    *ret_key = key;
    return ERR_OK;
}

static enum err note_made(struct call *call, const struct api_key *key)
{
    return audit_note(call, &key->org_id, key->environment, STR("api_key.created"),
                      id_str(&key->id));
}

enum err api_key_make(struct call *call, const struct id *org_id, const struct key_request *request,
                      struct api_key *ret_key)
{
    enum err e = key_insert_new(call, org_id, request, 0, ret_key);
    return e ? e : note_made(call, ret_key);
}

enum err api_key_create(struct call *call, const struct id *org_id,
                        const struct key_request *request, struct api_key *ret_key)
{
    if (request->expires_ms && request->expires_ms <= call->now_ms) {
        error_add_fault(&call->error, call->arena, STR("expires_at"), "in_past",
                        "must be in the future");
        return FAIL_FAULTS(&call->error, call->arena, ERR_UNPROCESSABLE, "body_invalid");
    }
    enum err e = check_may_make(call, request);
    if (e) return e;
    if (call->actor.kind != ACTOR_API_KEY) return api_key_make(call, org_id, request, ret_key);
    return key_insert_new(call, org_id, request, 0, ret_key); /* its request is noted as such */
}

enum err api_key_list(struct call *call, const struct id *before, int count,
                      struct api_key *ret_rows, struct page_search *ret_search)
{
    struct stmt *q = db_query(call->db, "SELECT " KEY_COLUMNS " FROM api_keys WHERE org_id = $1"
                                        " AND id < $2 ORDER BY id DESC LIMIT $3");
    bind_id(q, 1, &call->actor.org_id);
    bind_text(q, 2, id_is_none(before) ? STR("key_~") : id_str(before));
    bind_int(q, 3, PAGE_SCAN_ROWS_MAX);
    struct page_search search = { 0 };
    while (search.count < count && stmt_step(q)) {
        struct arena_mark mark = arena_mark(call->arena);
        struct api_key   *key = &ret_rows[search.count];
        key_read(q, call, key);
        page_search_saw(&search, &key->id);
        if (key->environment >= call->actor.environment)
            search.count++;
        else
            arena_rewind(call->arena, mark);
    }
    *ret_search = search;
    return stmt_end(q, &call->error);
}

/* --- changing --- */

static enum err key_set_state(struct call *call, const struct api_key *key, enum key_state to,
                              int64_t rotation_ends_ms)
{
    struct stmt *q = db_query(call->db, "UPDATE api_keys SET status = $3, rotation_ends_ms = $4"
                                        " WHERE id = $1 AND org_id = $2");
    bind_id(q, 1, &key->id);
    bind_id(q, 2, &key->org_id);
    bind_text(q, 3, str_of(state_names[to]));
    bind_nonzero(q, 4, rotation_ends_ms);
    return stmt_run(q, &call->error, NULL);
}

enum err api_key_rotate(struct call *call, struct str id_text, struct api_key *ret_key,
                        int64_t *ret_old_ends_ms)
{
    struct api_key old;
    enum err       e = key_get(call, id_text, &old);
    if (e) return e;
    struct key_request same = {
        .name = old.name,
        .scopes = old.scopes,
        .environment = old.environment,
        .expires_ms = old.expires_ms,
    };
    e = check_may_make(call, &same);
    if (e) return e;
    bool is_expired = old.expires_ms && old.expires_ms <= call->now_ms;
    if (old.state != KEY_ACTIVE || is_expired)
        return FAIL(&call->error, ERR_CONFLICT, "key_not_active", "only an active key is rotated");
    int64_t ends_ms = call->now_ms + KEY_ROTATION_OVERLAP_MS;
    if (old.expires_ms) ends_ms = num_min(ends_ms, old.expires_ms);
    e = key_set_state(call, &old, KEY_ROTATING, ends_ms);
    if (e) return e;
    *ret_old_ends_ms = ends_ms;
    e = key_insert_new(call, &old.org_id, &same, old.rate_limit_per_minute, ret_key);
    if (e) return e;
    return note_made(call, ret_key);
}

enum err api_key_revoke(struct call *call, struct str id_text)
{
    struct api_key key;
    enum err       e = key_get(call, id_text, &key);
    if (e || key.state == KEY_REVOKED) return e;
    return key_set_state(call, &key, KEY_REVOKED, key.rotation_ends_ms);
}

enum err api_key_touch(struct call *call, const struct id *id, int64_t used_ms)
{
    /* tenant: keyed by the key that was used */
    struct stmt *q = db_query(call->db, "UPDATE api_keys SET last_used_ms = $2 WHERE id = $1"
                                        " AND coalesce(last_used_ms, 0) < $2");
    bind_id(q, 1, id);
    bind_int(q, 2, used_ms);
    return stmt_run(q, &call->error, NULL);
}
