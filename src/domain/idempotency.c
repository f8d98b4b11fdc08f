#include "domain/idempotency.h"

#include "base/encode.h"

bool idempotency_key_is_valid(struct str key)
{
    if (key.len == 0 || key.len > IDEMPOTENCY_KEY_BYTES_MAX) return false;
    for (size_t i = 0; i < key.len; i++)
        if (key.data[i] <= ' ' || key.data[i] > '~') return false;
    return true;
}

void idempotency_fingerprint(struct str method, struct str path, struct str query, struct str body,
                             unsigned char fingerprint[SHA256_BYTES])
{
    struct sha256 hash;
    sha256_begin(&hash);
    sha256_add(&hash, method.data, method.len);
    sha256_add(&hash, "\n", 1);
    sha256_add(&hash, path.data, path.len);
    sha256_add(&hash, "?", 1);
    if (query.len) sha256_add(&hash, query.data, query.len);
    sha256_add(&hash, "\n", 1);
    if (body.len) sha256_add(&hash, body.data, body.len);
    sha256_end(&hash, fingerprint);
}

void idempotency_set_owner(struct idempotency *idempotency, const struct actor *actor)
{
    bool is_worker = actor->kind == ACTOR_WORKER;
    idempotency->owner_id = is_worker ? actor->worker_id : actor->org_id;
    idempotency->asker_id = is_worker ? actor->worker_id : actor->key_id;
    idempotency->environment = actor->environment;
}

void idempotency_set_server_owner(struct idempotency *idempotency)
{
    static const struct id server = { "server" };
    idempotency->owner_id = idempotency->asker_id = server;
}

/* As the store has it, when it was stored under the server key at a position; false: there is none
 * at it. */
static bool as_stored(struct call *call, const struct idempotency *idempotency, int position,
                      struct idempotency *ret_stored)
{
    *ret_stored = *idempotency;
    if (!idempotency->has_secret_key) return position == 0;
    unsigned char mac[SHA256_BYTES];
    struct str    text = str_format(call->arena, "idempotency-key:%.*s", STR_ARG(idempotency->key));
    if (!keyring_mac_at(call->keyring, position, PURPOSE_API_KEY, text, mac)) return false;
    ret_stored->key = encode_hex(call->arena, mac, sizeof(mac));
    return true;
}

static void bind_scope(struct stmt *q, const struct idempotency *idempotency)
{
    CHECK(!id_is_none(&idempotency->owner_id));
    bind_id(q, 1, &idempotency->owner_id);
    bind_int(q, 2, idempotency->environment);
    bind_text(q, 3, idempotency->operation);
    bind_text(q, 4, idempotency->key);
}

/* Bound to the row, so that a sealed reply cannot be moved to another. */
static struct str seal_context(struct call *call, const struct idempotency *idempotency)
{
    return str_format(call->arena, "idempotency:%s:%d:%.*s:%.*s", idempotency->owner_id.text,
                      (int)idempotency->environment, STR_ARG(idempotency->operation),
                      STR_ARG(idempotency->key));
}

static struct str fingerprint_str(const unsigned char fingerprint[SHA256_BYTES])
{
    return (struct str){ (const char *)fingerprint, SHA256_BYTES };
}

/* The fingerprint as it is stored. A bare hash of a body with a password would be a quick hash of
 * the password. */
static void fingerprint_at(struct call *call, const struct idempotency *idempotency, int position,
                           unsigned char fingerprint[SHA256_BYTES])
{
    struct str text = str_format(
        call->arena, "idempotency:%s",
        encode_hex(call->arena, idempotency->fingerprint, sizeof(idempotency->fingerprint)).data);
    keyring_mac_at(call->keyring, position, PURPOSE_API_KEY, text, fingerprint);
}

static bool is_same_request(struct call *call, const struct idempotency *idempotency,
                            struct str stored)
{
    if (!idempotency->has_secret_body)
        return str_eq(stored, fingerprint_str(idempotency->fingerprint));
    for (int i = 0; i < keyring_count(call->keyring); i++) {
        unsigned char fingerprint[SHA256_BYTES];
        fingerprint_at(call, idempotency, i, fingerprint);
        if (stored.len == SHA256_BYTES && crypto_equal(stored.data, fingerprint, SHA256_BYTES))
            return true;
    }
    return false;
}

struct row {
    struct str fingerprint, body;
    struct id  asker_id;
    bool       is_sealed;
};

static enum err read_row(struct call *call, const struct idempotency *idempotency, struct row *row,
                         struct stored_reply *reply, bool *ret_is_there)
{
    struct stmt *q = db_query(
        call->db, "SELECT fingerprint, asker_id, status, resource_id, response, is_sealed"
                  " FROM idempotency WHERE owner_id = $1 AND environment = $2 AND operation = $3"
                  " AND key = $4 AND created_ms > $5");
    bind_scope(q, idempotency);
    bind_int(q, 5, call->now_ms - IDEMPOTENCY_KEPT_MS);
    *ret_is_there = stmt_step(q);
    if (*ret_is_there) {
        row->fingerprint = column_bytes(q, 0, call->arena);
        row->asker_id = column_id(q, 1);
        reply->status = (int)column_int(q, 2);
        reply->resource_id = column_text(q, 3, call->arena);
        reply->body = column_bytes(q, 4, call->arena);
        row->is_sealed = column_int(q, 5) != 0;
    }
    return stmt_end(q, &call->error);
}

static enum err find_row(struct call *call, const struct idempotency *idempotency,
                         struct idempotency *stored, struct row *row, struct stored_reply *reply,
                         bool *ret_is_there)
{
    *ret_is_there = false;
    for (int i = 0; !*ret_is_there && as_stored(call, idempotency, i, stored); i++) {
        enum err e = read_row(call, stored, row, reply, ret_is_there);
        if (e) return e;
    }
    return ERR_OK;
}

enum err idempotency_find(struct call *call, const struct idempotency *idempotency,
                          struct stored_reply *ret_reply, bool *ret_is_there)
{
    struct idempotency  stored;
    struct row          row;
    struct stored_reply reply = { 0 };
    enum err            e = find_row(call, idempotency, &stored, &row, &reply, ret_is_there);
    if (e || !*ret_is_there) return e;
    if (!is_same_request(call, idempotency, row.fingerprint))
        return FAIL(&call->error, ERR_CONFLICT, "idempotency_key_reused",
                    "this Idempotency-Key was used with another request");
    if (row.is_sealed) {
        if (!id_eq(&row.asker_id, &idempotency->asker_id))
            return FAIL(&call->error, ERR_CONFLICT, "idempotency_key_reused",
                        "this Idempotency-Key was used by another API key");
        if (!keyring_unseal(call->keyring, reply.body, seal_context(call, &stored), call->arena,
                            &reply.body))
            return FAIL(&call->error, ERR_INTERNAL, "unseal_failed",
                        "a stored reply does not open with the server key");
    }
    *ret_reply = reply;
    return ERR_OK;
}

enum err idempotency_store(struct call *call, const struct idempotency *idempotency,
                           const struct stored_reply *reply, bool is_secret)
{
    struct str         body = reply->body;
    struct idempotency stored;
    CHECK(as_stored(call, idempotency, 0, &stored));
    if (is_secret)
        body = keyring_seal(call->keyring, body, seal_context(call, &stored), call->arena);
    struct str    fingerprint = fingerprint_str(idempotency->fingerprint);
    unsigned char hidden[SHA256_BYTES];
    if (idempotency->has_secret_body) {
        fingerprint_at(call, idempotency, 0, hidden);
        fingerprint = fingerprint_str(hidden);
    }
    /* A row past its 24 hours that the sweeper has not met yet is replaced. */
    struct stmt *q = db_query(
        call->db, "INSERT INTO idempotency (owner_id, environment, operation, key, fingerprint,"
                  " asker_id, status, resource_id, response, is_sealed, created_ms)"
                  " VALUES ($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11)"
                  " ON CONFLICT (owner_id, environment, operation, key) DO UPDATE SET"
                  " fingerprint = excluded.fingerprint, asker_id = excluded.asker_id,"
                  " status = excluded.status, resource_id = excluded.resource_id,"
                  " response = excluded.response, is_sealed = excluded.is_sealed,"
                  " created_ms = excluded.created_ms");
    bind_scope(q, &stored);
    bind_bytes(q, 5, fingerprint);
    bind_id(q, 6, &idempotency->asker_id);
    bind_int(q, 7, reply->status);
    bind_text(q, 8, reply->resource_id);
    bind_bytes(q, 9, body);
    bind_int(q, 10, is_secret);
    bind_int(q, 11, call->now_ms);
    return stmt_run(q, &call->error, NULL);
}

/* --- a new server key --- */

struct sealed_row {
    struct sealed_row *next;
    struct idempotency at;
    struct str         response;
};

static enum err find_sealed(struct call *call, struct sealed_row **ret_rows)
{
    struct sealed_row *rows = NULL;
    struct stmt *q = db_query(call->db, "SELECT owner_id, environment, operation, key, response"
                                        " FROM idempotency WHERE is_sealed <> 0");
    while (stmt_step(q)) {
        struct sealed_row *row = NEW(call->arena, struct sealed_row, 1);
        *row = (struct sealed_row){
            .next = rows,
            .at.owner_id = column_id(q, 0),
            .at.environment = (enum environment)column_int(q, 1),
            .at.operation = column_text(q, 2, call->arena),
            .at.key = column_text(q, 3, call->arena),
            .response = column_bytes(q, 4, call->arena),
        };
        if (keyring_sealed_under(row->response) != keyring_newest(call->keyring)) rows = row;
    }
    *ret_rows = rows;
    return stmt_end(q, &call->error);
}

static enum err reseal_row(struct call *call, const struct sealed_row *row, int64_t *count)
{
    struct str plain, context = seal_context(call, &row->at);
    if (!keyring_unseal(call->keyring, row->response, context, call->arena, &plain)) return ERR_OK;
    struct stmt *q = db_query(call->db, "UPDATE idempotency SET response = $5 WHERE owner_id = $1"
                                        " AND environment = $2 AND operation = $3 AND key = $4");
    bind_scope(q, &row->at);
    bind_bytes(q, 5, keyring_seal(call->keyring, plain, context, call->arena));
    (*count)++;
    return stmt_run(q, &call->error, NULL);
}

enum err idempotency_reseal(struct call *call, int64_t *ret_count)
{
    struct sealed_row *rows;
    int64_t            count = 0;
    enum err           e = find_sealed(call, &rows);
    for (; e == ERR_OK && rows; rows = rows->next)
        e = reseal_row(call, rows, &count);
    if (e == ERR_OK) *ret_count = count;
    return e;
}

enum err idempotency_sweep(struct call *call, int count, int64_t *ret_count)
{
    struct stmt *q = db_query(
        call->db, "DELETE FROM idempotency WHERE (owner_id, environment, operation, key) IN"
                  " (SELECT owner_id, environment, operation, key FROM idempotency"
                  " WHERE created_ms <= $1 ORDER BY created_ms LIMIT $2)");
    bind_int(q, 1, call->now_ms - IDEMPOTENCY_KEPT_MS);
    bind_int(q, 2, count);
    return stmt_run(q, &call->error, ret_count);
}
