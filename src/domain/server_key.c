#include "domain/server_key.h"

#include "domain/audit_event.h"
#include "domain/idempotency.h"
#include "domain/webhook_endpoint.h"

#include <string.h>

static const char HIGHEST_KNOWN[] = "server_key_highest_known", USED[] = "server_key_used";

/* --- rows of server_state --- */

static enum err get(struct call *call, struct str name, int64_t *ret_value)
{
    struct stmt *q = db_query(call->db, "SELECT value FROM server_state WHERE name = $1");
    bind_text(q, 1, name);
    *ret_value = stmt_step(q) ? column_int(q, 0) : 0;
    return stmt_end(q, &call->error);
}

static enum err put(struct call *call, struct str name, int64_t value)
{
    struct stmt *q = db_query(call->db, "INSERT INTO server_state (name, value) VALUES ($1, $2)"
                                        " ON CONFLICT (name) DO UPDATE SET value = excluded.value");
    bind_text(q, 1, name);
    bind_int(q, 2, value);
    return stmt_run(q, &call->error, NULL);
}

static struct str since_name(struct call *call, int number)
{
    return str_format(call->arena, "server_key_%d_since_ms", number);
}

enum err server_key_read_state(struct call *call, struct server_key_state *ret_state)
{
    struct server_key_state state;
    enum err                e = get(call, str_of(HIGHEST_KNOWN), &state.highest_known);
    if (e == ERR_OK) e = get(call, str_of(USED), &state.used);
    if (e == ERR_OK) *ret_state = state;
    return e;
}

enum err server_key_tell_state(struct call *call)
{
    int64_t                 known = keyring_highest(call->keyring);
    int64_t                 used = keyring_newest(call->keyring);
    struct server_key_state before;
    enum err                e = server_key_read_state(call, &before);
    if (e == ERR_OK && before.highest_known != known) e = put(call, str_of(HIGHEST_KNOWN), known);
    if (e == ERR_OK && before.used != used) e = put(call, str_of(USED), used);
    return e;
}

enum err server_key_since(struct call *call, int number, int64_t *ret_ms)
{
    return get(call, since_name(call, number), ret_ms);
}

/* --- whose key it is --- */

static const char FOREIGN[] =
    "server.key is not this store's: key %d is another than the one it was"
    " used with; restore it from the same backup";

/* Tells keys apart and says nothing of them. 0 = there is no such key. */
static int64_t key_mark(const struct keyring *keyring, int number)
{
    unsigned char mac[SHA256_BYTES];
    int64_t       mark = 0;
    if (!keyring_mac(keyring, number, PURPOSE_AUDIT, STR("mark of a server key"), mac)) return 0;
    memcpy(&mark, mac, sizeof mark);
    return mark;
}

static enum err recognize(struct call *call, int number)
{
    struct str name = str_format(call->arena, "server_key_%d_mark", number);
    int64_t    known, mark = key_mark(call->keyring, number);
    if (mark == 0) return ERR_OK;
    enum err e = get(call, name, &known);
    if (e || known == mark) return e;
    if (known != 0)
        return FAIL(&call->error, ERR_UNAVAILABLE, "server_key_foreign", FOREIGN, number);
    return put(call, name, mark);
}

enum err server_key_recognize(struct call *call)
{
    enum err e = ERR_OK;
    for (int number = 1; e == ERR_OK && number <= keyring_highest(call->keyring); number++)
        e = recognize(call, number);
    return e;
}

/* --- a new key --- */

enum err server_key_reseal(struct call *call, int64_t *ret_count)
{
    int64_t  replies, endpoints;
    enum err e = idempotency_reseal(call, &replies);
    if (e == ERR_OK) e = webhook_endpoint_reseal(call, &endpoints);
    if (e == ERR_OK) *ret_count = replies + endpoints;
    return e;
}

enum err server_key_enter(struct call *call, int64_t *ret_count)
{
    int      number = keyring_newest(call->keyring);
    int64_t  since_ms;
    enum err e = server_key_reseal(call, ret_count);
    if (e == ERR_OK) e = server_key_since(call, number, &since_ms);
    if (e || since_ms) return e;
    e = put(call, since_name(call, number), call->now_ms);
    if (e) return e;
    return audit_note(call, NULL, ENVIRONMENT_LIVE, STR("server_key.rotated"),
                      str_format(call->arena, "%d", number));
}

/* --- what hangs on an old one --- */

static enum err count(struct call *call, struct stmt *q, int number, int64_t *ret_count)
{
    bind_int(q, 1, number);
    bind_int(q, 2, call->now_ms);
    *ret_count = stmt_step(q) ? column_int(q, 0) : 0;
    return stmt_end(q, &call->error);
}

static struct stmt *api_keys_under(struct db *db)
{
    /* tenant: the server key is everybody's */
    return db_query(db, "SELECT count(*) FROM api_keys WHERE coalesce(server_key, $1) = $1"
                        " AND coalesce(expires_ms, $2 + 1) > $2 AND (status = 'active'"
                        " OR (status = 'rotating' AND rotation_ends_ms > $2))");
}

static struct stmt *sessions_under(struct db *db)
{
    return db_query(db, "SELECT count(*) FROM worker_sessions"
                        " WHERE coalesce(server_key, $1) = $1"
                        " AND coalesce(last_used_ms + lifetime_ms, $2 + 1) > $2");
}

static struct stmt *invites_under(struct db *db)
{
    return db_query(db, "SELECT count(*) FROM invites WHERE coalesce(server_key, $1) = $1"
                        " AND worker_id IS NULL AND expires_ms > $2");
}

enum err server_key_find_usage(struct call *call, int number, struct server_key_usage *ret_usage)
{
    struct server_key_usage usage;
    enum err                e = count(call, api_keys_under(call->db), number, &usage.api_keys);
    if (e == ERR_OK) e = count(call, sessions_under(call->db), number, &usage.sessions);
    if (e == ERR_OK) e = count(call, invites_under(call->db), number, &usage.invites);
    if (e == ERR_OK) *ret_usage = usage;
    return e;
}

bool server_key_is_unused(const struct server_key_usage *usage)
{
    return usage->api_keys == 0 && usage->sessions == 0 && usage->invites == 0;
}
