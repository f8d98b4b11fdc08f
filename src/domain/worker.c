#include "domain/worker.h"

#include "domain/account.h"
#include "domain/audit_event.h"
#include "domain/secret_text.h"

static const char SESSION_PREFIX[] = "fh_wkr_";
static const char INVITE_PREFIX[] = "fh_inv_";

/* Workers are the server's, not an organisation's: what the operator does for one is noted, what
 * they do themselves is not. */
static enum err note(struct call *call, const char *action, const struct id *id)
{
    if (call->actor.kind != ACTOR_OPERATOR) return ERR_OK;
    return audit_note(call, NULL, ENVIRONMENT_LIVE, str_of(action), id_str(id));
}

enum err worker_create(struct call *call, struct str name, struct str email,
                       struct str password_hash, struct id *ret_id)
{
    struct str normal;
    enum err   e = account_check(call, name, email, &normal);
    if (e) return e;
    struct id    id = id_new(ID_WORKER, call->now_ms);
    struct stmt *q = db_query(call->db, "INSERT INTO workers (id, name, email, password_hash,"
                                        " balance_cents, created_ms) VALUES ($1, $2, $3, $4, 0, $5)"
                                        " ON CONFLICT (email) DO NOTHING");
    bind_id(q, 1, &id);
    bind_text(q, 2, name);
    bind_text(q, 3, normal);
    bind_text(q, 4, password_hash);
    bind_int(q, 5, call->now_ms);
    int64_t changes = 0;
    e = stmt_run(q, &call->error, &changes);
    if (e) return e;
    if (changes == 0)
        return FAIL(&call->error, ERR_CONFLICT, "email_taken",
                    "a worker with this e-mail address exists");
    *ret_id = id;
    return note(call, "worker.created", &id);
}

/* In the place of an address; nobody can have it, for it has no '@'. */
static struct str simulated_address(struct call *call, const struct id *org_id, int64_t number)
{
    return str_format(call->arena, "simulated:%s:%lld", org_id->text, (long long)number);
}

static enum err simulated_create(struct call *call, const struct id *org_id, struct str address,
                                 struct id *ret_id)
{
    struct id    id = id_new(ID_WORKER, call->now_ms);
    struct stmt *q = db_query(call->db, "INSERT INTO workers (id, name, email, balance_cents,"
                                        " simulated_for, created_ms)"
                                        " VALUES ($1, 'Simulated worker', $2, 0, $3, $4)");
    bind_id(q, 1, &id);
    bind_text(q, 2, address);
    bind_id(q, 3, org_id);
    bind_int(q, 4, call->now_ms);
    enum err e = stmt_run(q, &call->error, NULL);
    if (e) return e;
    *ret_id = id;
    return ERR_OK;
}

enum err worker_simulated(struct call *call, const struct id *org_id, int64_t number,
                          struct id *ret_id)
{
    struct str   address = simulated_address(call, org_id, number);
    struct stmt *q = db_query(call->db, "SELECT id FROM workers WHERE email = $1");
    bind_text(q, 1, address);
    bool      is_there = stmt_step(q);
    struct id id = is_there ? column_id(q, 0) : (struct id){ 0 };
    enum err  e = stmt_end(q, &call->error);
    if (e) return e;
    if (!is_there) return simulated_create(call, org_id, address, ret_id);
    *ret_id = id;
    return ERR_OK;
}

/* --- sessions --- */

static enum err drop_expired_sessions(struct call *call, const struct id *worker_id)
{
    struct stmt *q = db_query(call->db, "DELETE FROM worker_sessions WHERE worker_id = $1"
                                        " AND last_used_ms + lifetime_ms <= $2");
    bind_id(q, 1, worker_id);
    bind_int(q, 2, call->now_ms);
    return stmt_run(q, &call->error, NULL);
}

enum err worker_session_create(struct call *call, const struct id *worker_id, int64_t lifetime_ms,
                               struct worker_session *ret_session)
{
    struct worker_session session = {
        .id = id_new(ID_SESSION, call->now_ms),
        .worker_id = *worker_id,
        .token = secret_new(SESSION_PREFIX, call->arena),
        .expires_ms = lifetime_ms ? call->now_ms + lifetime_ms : 0,
    };
    enum err e = drop_expired_sessions(call, worker_id);
    if (e) return e;
    int          server_key;
    struct str   hash = secret_hash_new(call->keyring, session.token, call->arena, &server_key);
    struct stmt *q = db_query(call->db, "INSERT INTO worker_sessions (token_hash, id, worker_id,"
                                        " created_ms, last_used_ms, lifetime_ms, server_key)"
                                        " VALUES ($1, $2, $3, $4, $4, $5, $6)");
    bind_text(q, 1, hash);
    bind_id(q, 2, &session.id);
    bind_id(q, 3, worker_id);
    bind_int(q, 4, call->now_ms);
    bind_nonzero(q, 5, lifetime_ms);
    bind_int(q, 6, server_key);
    e = stmt_run(q, &call->error, NULL);
    if (e) return e;
    *ret_session = session;
    return ERR_OK;
}

enum err worker_session_delete(struct call *call)
{
    struct stmt *q = db_query(call->db, "DELETE FROM worker_sessions WHERE id = $1");
    bind_id(q, 1, &call->actor.session_id);
    return stmt_run(q, &call->error, NULL);
}

struct session_row {
    struct actor actor;
    int64_t      last_used_ms, lifetime_ms;
};

static bool session_read(struct stmt *q, struct session_row *row)
{
    if (!stmt_step(q)) return false;
    row->actor = (struct actor){
        .kind = ACTOR_WORKER,
        .session_id = column_id(q, 0),
        .worker_id = column_id(q, 1),
    };
    row->last_used_ms = column_int(q, 2);
    row->lifetime_ms = column_int(q, 3);
    row->actor.server_key = (int)column_int(q, 4);
    return true;
}

static enum err session_check(struct call *call, bool is_there, const struct session_row *row)
{
    if (!is_there)
        return FAIL(&call->error, ERR_UNAUTHENTICATED, "bad_credentials", "unknown session token");
    if (row->lifetime_ms && row->last_used_ms + row->lifetime_ms <= call->now_ms)
        return FAIL(&call->error, ERR_UNAUTHENTICATED, "session_expired",
                    "the session has expired: sign in again");
    return ERR_OK;
}

enum err worker_authenticate(struct call *call, struct str token, struct actor *ret_actor)
{
    struct session_row row;
    bool               is_there = false;
    bool               is_well_formed = secret_is_well_formed(token, SESSION_PREFIX);
    for (int i = 0; is_well_formed && !is_there && i < keyring_count(call->keyring); i++) {
        struct stmt *q = db_query(call->db, "SELECT id, worker_id, last_used_ms, lifetime_ms,"
                                            " server_key FROM worker_sessions"
                                            " WHERE token_hash = $1");
        bind_text(q, 1, secret_hash(call->keyring, i, token, call->arena));
        is_there = session_read(q, &row);
        enum err e = stmt_end(q, &call->error);
        if (e) return e;
    }
    if (!is_well_formed)
        return FAIL(&call->error, ERR_UNAUTHENTICATED, "bad_credentials",
                    "not a whole session token: it begins with %s", SESSION_PREFIX);
    enum err e = session_check(call, is_there, &row);
    if (e) return e;
    *ret_actor = row.actor;
    return ERR_OK;
}

enum err worker_recheck(struct call *call)
{
    struct session_row row;
    struct stmt       *q = db_query(call->db, "SELECT id, worker_id, last_used_ms, lifetime_ms,"
                                                    " server_key FROM worker_sessions"
                                                    " WHERE id = $1");
    bind_id(q, 1, &call->actor.session_id);
    bool     is_there = session_read(q, &row);
    enum err e = stmt_end(q, &call->error);
    if (e) return e;
    return session_check(call, is_there, &row);
}

enum err worker_session_touch(struct call *call, const struct id *session_id, int64_t used_ms)
{
    struct stmt *q = db_query(call->db, "UPDATE worker_sessions SET last_used_ms = $2"
                                        " WHERE id = $1 AND last_used_ms < $2");
    bind_id(q, 1, session_id);
    bind_int(q, 2, used_ms);
    return stmt_run(q, &call->error, NULL);
}

enum err worker_find_login(struct call *call, struct str email, struct id *ret_id,
                           struct str *ret_password_hash)
{
    struct str normal;
    bool       is_there = false;
    if (email_normalise(email, call->arena, &normal)) {
        struct stmt *q =
            db_query(call->db, "SELECT id, password_hash FROM workers WHERE email = $1");
        bind_text(q, 1, normal);
        is_there = stmt_step(q);
        if (is_there) {
            *ret_id = column_id(q, 0);
            *ret_password_hash = column_text(q, 1, call->arena);
        }
        enum err e = stmt_end(q, &call->error);
        if (e) return e;
    }
    if (!is_there)
        return FAIL(&call->error, ERR_UNAUTHENTICATED, "bad_credentials",
                    "wrong e-mail address or password");
    return ERR_OK;
}

/* --- invites --- */

enum err invite_create(struct call *call, struct str name, struct invite *ret_invite)
{
    enum err e = account_check_name(call, name);
    if (e) return e;
    struct invite invite = {
        .id = id_new(ID_INVITE, call->now_ms),
        .token = secret_new(INVITE_PREFIX, call->arena),
        .expires_ms = call->now_ms + INVITE_LIFETIME_MS,
    };
    int          server_key;
    struct str   hash = secret_hash_new(call->keyring, invite.token, call->arena, &server_key);
    struct stmt *q = db_query(call->db, "INSERT INTO invites (id, token_hash, name, created_ms,"
                                        " expires_ms, server_key) VALUES ($1, $2, $3, $4, $5, $6)");
    bind_id(q, 1, &invite.id);
    bind_text(q, 2, hash);
    bind_text(q, 3, name);
    bind_int(q, 4, call->now_ms);
    bind_int(q, 5, invite.expires_ms);
    bind_int(q, 6, server_key);
    e = stmt_run(q, &call->error, NULL);
    if (e) return e;
    *ret_invite = invite;
    return note(call, "worker.invited", &invite.id);
}

struct invite_row {
    struct id id;
    int64_t   expires_ms;
    bool      is_used;
};

static enum err invite_read(struct call *call, struct str token, struct invite_row *ret_row)
{
    bool is_there = false;
    bool is_well_formed = secret_is_well_formed(token, INVITE_PREFIX);
    for (int i = 0; is_well_formed && !is_there && i < keyring_count(call->keyring); i++) {
        struct stmt *q = db_query(call->db, "SELECT id, expires_ms, worker_id FROM invites"
                                            " WHERE token_hash = $1");
        bind_text(q, 1, secret_hash(call->keyring, i, token, call->arena));
        is_there = stmt_step(q);
        if (is_there)
            *ret_row = (struct invite_row){ .id = column_id(q, 0),
                                            .expires_ms = column_int(q, 1),
                                            .is_used = !column_is_null(q, 2) };
        enum err e = stmt_end(q, &call->error);
        if (e) return e;
    }
    if (!is_there) return FAIL(&call->error, ERR_NOT_FOUND, "invite", "no such invite");
    return ERR_OK;
}

enum err invite_find(struct call *call, struct str token, struct id *ret_id)
{
    struct invite_row row;
    enum err          e = invite_read(call, token, &row);
    if (e) return e;
    *ret_id = row.id;
    return ERR_OK;
}

enum err invite_check(struct call *call, struct str token, struct id *ret_id)
{
    struct invite_row row;
    enum err          e = invite_read(call, token, &row);
    if (e) return e;
    if (row.is_used)
        return FAIL(&call->error, ERR_CONFLICT, "invite_used", "the invite was used already");
    if (row.expires_ms <= call->now_ms)
        return FAIL(&call->error, ERR_CONFLICT, "invite_expired", "the invite has expired");
    *ret_id = row.id;
    return ERR_OK;
}

enum err invite_use(struct call *call, struct str token, struct str name, struct str email,
                    struct str password_hash, struct id *ret_worker_id)
{
    struct id invite_id, worker_id;
    enum err  e = invite_check(call, token, &invite_id);
    if (e) return e;
    e = worker_create(call, name, email, password_hash, &worker_id);
    if (e) return e;
    struct stmt *q = db_query(call->db, "UPDATE invites SET worker_id = $2 WHERE id = $1"
                                        " AND worker_id IS NULL");
    bind_id(q, 1, &invite_id);
    bind_id(q, 2, &worker_id);
    int64_t changes = 0;
    e = stmt_run(q, &call->error, &changes);
    if (e) return e;
    if (changes == 0)
        return FAIL(&call->error, ERR_CONFLICT, "invite_used", "the invite was used already");
    *ret_worker_id = worker_id;
    return ERR_OK;
}

/* --- earnings --- */

enum err worker_balance(struct call *call, int64_t *ret_cents)
{
    struct stmt *q = db_query(call->db, "SELECT balance_cents FROM workers WHERE id = $1");
    bind_id(q, 1, &call->actor.worker_id);
    *ret_cents = stmt_step(q) ? column_int(q, 0) : 0;
    return stmt_end(q, &call->error);
}

enum err payout_list(struct call *call, const struct id *before, int count, struct payout *ret_rows,
                     int *ret_count)
{
    struct stmt *q = db_query(call->db, "SELECT id, submission_id, job_id, amount_cents, created_ms"
                                        " FROM payouts WHERE worker_id = $1 AND id < $2"
                                        " ORDER BY id DESC LIMIT $3");
    bind_id(q, 1, &call->actor.worker_id);
    bind_text(q, 2, id_is_none(before) ? STR("crtx_~") : id_str(before));
    bind_int(q, 3, count);
    int found = 0;
    while (found < count && stmt_step(q))
        ret_rows[found++] = (struct payout){ column_id(q, 0), column_id(q, 1), column_id(q, 2),
                                             column_int(q, 3), column_int(q, 4) };
    *ret_count = found;
    return stmt_end(q, &call->error);
}
