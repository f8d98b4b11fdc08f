/* Workers: people who send files. They belong to the server, not to an organisation. */
#ifndef FIRSTHAND_DOMAIN_WORKER_H
#define FIRSTHAND_DOMAIN_WORKER_H

#include "domain/call.h"

static const int64_t WORKER_SESSION_LIFETIME_MS =
    (int64_t)90 * 24 * 3600 * 1000; /* from last use */
static const int64_t INVITE_LIFETIME_MS = (int64_t)7 * 24 * 3600 * 1000;

struct worker_session {
    struct id  id;
    struct id  worker_id;
    struct str token;      /* "fh_wkr_…", only here */
    int64_t    expires_ms; /* 0 = does not expire */
};

/* A new account; without a password_hash nobody signs in to it.
 * ERR_INVALID "bad_name" | "bad_email", ERR_CONFLICT "email_taken". */
MUST_USE enum err worker_create(struct call *call, struct str name, struct str email,
                                struct str password_hash, struct id *ret_id);

/* One of the simulated workers, numbered from 0, who fill an organisation's test jobs; made when it
 * is first asked for. Nobody can sign in as him. */
MUST_USE enum err worker_simulated(struct call *call, const struct id *org_id, int64_t number,
                                   struct id *ret_id);

/* A session of lifetime_ms from its last use; 0 = does not expire. The worker's expired ones go. */
MUST_USE enum err worker_session_create(struct call *call, const struct id *worker_id,
                                        int64_t lifetime_ms, struct worker_session *ret_session);
MUST_USE enum err worker_session_delete(struct call *call); /* the acting one */

/* Who a token is; needs and sets of the call what api_key_authenticate does.
 * ERR_UNAUTHENTICATED "bad_credentials" | "session_expired". */
MUST_USE enum err worker_authenticate(struct call *call, struct str token, struct actor *ret_actor);
/* Does the acting session still work, seen from inside the write transaction? Same errors. */
MUST_USE enum err worker_recheck(struct call *call);
/* Note when a session was used: its lifetime counts from there. */
MUST_USE enum err worker_session_touch(struct call *call, const struct id *session_id,
                                       int64_t used_ms);

/* The account behind an address: its id and password hash (empty = it has none).
 * ERR_UNAUTHENTICATED "bad_credentials" when there is no such account. */
MUST_USE enum err worker_find_login(struct call *call, struct str email, struct id *ret_id,
                                    struct str *ret_password_hash);

struct invite {
    struct id  id;
    struct str token; /* "fh_inv_…", only here */
    int64_t    expires_ms;
};

/* For a worker who may be called name, which may be absent. ERR_INVALID "bad_name". */
MUST_USE enum err invite_create(struct call *call, struct str name, struct invite *ret_invite);

/* Whose token it is, good or not any more. ERR_NOT_FOUND "invite". */
MUST_USE enum err invite_find(struct call *call, struct str token, struct id *ret_id);

/* Is the invite good? ERR_NOT_FOUND "invite", ERR_CONFLICT "invite_used" | "invite_expired". */
MUST_USE enum err invite_check(struct call *call, struct str token, struct id *ret_id);

/* Use it up for a new account. Errors: as invite_check and worker_create. */
MUST_USE enum err invite_use(struct call *call, struct str token, struct str name, struct str email,
                             struct str password_hash, struct id *ret_worker_id);

struct payout {
    struct id id;
    struct id submission_id;
    struct id job_id;
    int64_t   amount_cents;
    int64_t   created_ms;
};

/* What is owed to the acting worker. */
MUST_USE enum err worker_balance(struct call *call, int64_t *ret_cents);
/* The acting worker's payouts, newest first, older than before (empty = from the newest). */
MUST_USE enum err payout_list(struct call *call, const struct id *before, int count,
                              struct payout *ret_rows, int *ret_count);

#endif
