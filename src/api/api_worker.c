#include "api/api.h"
#include "api/listing.h"
#include "domain/account.h"
#include "domain/render.h"

/* What join and sign-in carry between their steps. */
struct sign_in {
    struct str            invite, name, email, password_hash;
    struct id             worker_id;
    struct worker_session session;
};

static enum err answer_session(struct call *call, void *argument, struct reply *reply)
{
    struct sign_in *sign_in = argument;
    enum err        e = worker_session_create(call, &sign_in->worker_id, WORKER_SESSION_LIFETIME_MS,
                                              &sign_in->session);
    if (e) return e;
    reply->status = 201;
    reply->carries_secret = true;
    render_worker_session(&reply->out, NULL, &sign_in->session);
    return ERR_OK;
}

static enum err answer_join(struct call *call, void *argument, struct reply *reply)
{
    struct sign_in *sign_in = argument;
    enum err        e = invite_use(call, sign_in->invite, sign_in->name, sign_in->email,
                                   sign_in->password_hash, &sign_in->worker_id);
    if (e) return e;
    return answer_session(call, sign_in, reply);
}

/* The invite's own keys: who repeats one must have the invite, and say the same password. */
static enum err find_joined(struct exchange *exchange, struct str invite, bool *ret_is_there)
{
    struct idempotency *idempotency = &exchange->idempotency;
    enum err            e = invite_find(&exchange->call, invite, &idempotency->owner_id);
    if (e) return e;
    idempotency->asker_id = idempotency->owner_id;
    return exchange_find_reply(exchange, ret_is_there);
}

static enum err join(struct exchange *exchange)
{
    struct call   *call = &exchange->call;
    const json_t  *body = exchange->request.body;
    struct str     email;
    struct id      invite_id;
    bool           is_there;
    struct sign_in sign_in = {
        .invite = in_text(body, "invite", call->arena),
        .name = in_text(body, "name", call->arena),
        .email = in_text(body, "email", call->arena),
    };
    enum err e = account_body_fault(call, account_check(call, sign_in.name, sign_in.email, &email));
    if (e) return e;
    /* Look before the costly hash; the commit looks again. */
    e = find_joined(exchange, sign_in.invite, &is_there);
    if (e || is_there) return e;
    e = invite_check(call, sign_in.invite, &invite_id);
    if (e) return e;
    char hash[PASSWORD_HASH_BYTES_MAX];
    e = password_hash(in_text(body, "password", call->arena), hash, &call->error);
    if (e) return e;
    sign_in.password_hash = str_of(hash);
    return exchange_answer(exchange, answer_join, &sign_in);
}

/* A hash that no password has: an unknown address costs as much time as a known one. */
static const char NOBODYS_HASH[] = "$argon2id$v=19$m=32768,t=3,p=1$AAAAAAAAAAAAAAAAAAAAAA$"
                                   "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

static enum err sign_in(struct exchange *exchange)
{
    struct call   *call = &exchange->call;
    const json_t  *body = exchange->request.body;
    struct sign_in sign_in = { 0 };
    struct str     stored = STR_NONE;
    enum err       e =
        worker_find_login(call, in_text(body, "email", call->arena), &sign_in.worker_id, &stored);
    if (e && e != ERR_UNAUTHENTICATED) return e;
    bool is_known = e == ERR_OK && stored.data != NULL;
    bool is_right;
    e = password_check(in_text(body, "password", call->arena),
                       is_known ? stored.data : NOBODYS_HASH, &call->error, &is_right);
    if (e) return e;
    if (!is_known || !is_right) {
        e = FAIL(&call->error, ERR_UNAUTHENTICATED, "bad_credentials",
                 "wrong e-mail address or password");
        return exchange_count_failure(exchange);
    }
    /* Only who has the password finds the worker's keys. */
    exchange->idempotency.owner_id = exchange->idempotency.asker_id = sign_in.worker_id;
    return exchange_answer(exchange, answer_session, &sign_in);
}

static enum err sign_out(struct call *call, const struct request *request, struct reply *reply)
{
    (void)request;
    reply->status = 204;
    return worker_session_delete(call);
}

static enum err get_earnings(struct call *call, const struct request *request, struct reply *reply)
{
    struct listing listing;
    enum err       e =
        listing_open(call, request, page_listing(call, "earnings"), ID_TRANSACTION, &listing);
    if (e) return e;
    int64_t balance_cents;
    e = worker_balance(call, &balance_cents);
    if (e) return e;
    struct payout *rows = NEW(call->arena, struct payout, listing_rows(&listing));
    int            count;
    e = payout_list(call, &listing.page.before, listing_rows(&listing), rows, &count);
    if (e) return e;
    int              shown = listing_shown(&listing, count);
    struct json_out *out = &reply->out;
    out_object(out, NULL);
    out_text(out, "object", STR("earnings"));
    out_int(out, "balance_cents", balance_cents);
    out_text(out, "currency", STR("usd"));
    out_array(out, "data");
    for (int i = 0; i < shown; i++)
        render_payout(out, NULL, &rows[i]);
    reply_list_end(
        reply, listing_cursor(call, &listing, count, &rows[listing_last(&listing, count)].id, 0));
    return ERR_OK;
}

const struct binding worker_bindings[] = {
    { .operation_id = "joinWithInvite", .external = join },
    { .operation_id = "createWorkerSession", .external = sign_in },
    { .operation_id = "deleteWorkerSession", .handle = sign_out },
    { .operation_id = "getEarnings", .handle = get_earnings },
    { 0 },
};
