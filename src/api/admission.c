#include "api/admission.h"

#include "api/request_header.h"
#include "domain/api_key.h"
#include "domain/worker.h"

static struct str header_of(const void *context, const char *name)
{
    return http_header(context, name);
}

struct str admission_client_address(const struct exchange *exchange)
{
    struct str peer = exchange->http->peer, proxy = exchange->api->config->trusted_proxy;
    if (proxy.len == 0 || !str_eq(peer, proxy)) return peer;
    struct str hops = http_header_list(exchange->http, "X-Forwarded-For"), hop, last = peer;
    while (str_cut(&hops, ',', &hop))
        if (str_trim(hop).len) last = str_trim(hop);
    return last;
}

bool exchange_take_of_address(struct exchange *exchange, const char *what, int64_t per_minute)
{
    struct meter_reading reading;
    struct str           name = str_format(exchange->http->arena, "%s:%.*s", what,
                                           STR_ARG(admission_client_address(exchange)));
    meter_take(exchange->api->meter, name, per_minute, exchange->call.now_ms, &reading);
    if (!reading.is_allowed) exchange->call.error.retry_after_s = reading.retry_after_s;
    return reading.is_allowed;
}

enum err exchange_count_failure(struct exchange *exchange)
{
    int64_t per_minute = exchange->api->config->auth_failures_per_minute;
    if (exchange_take_of_address(exchange, "failures", per_minute))
        return exchange->call.error.code;
    return FAIL(&exchange->call.error, ERR_LIMITED, "too_many_failures",
                "too many failed authentications from this address");
}

static enum err authenticate(struct exchange *exchange)
{
    enum contract_security security = exchange->request.operation->security;
    if (security == SECURITY_NONE) return ERR_OK;
    struct str bearer = bearer_parse(http_header(exchange->http, "Authorization"));
    enum err   e;
    if (bearer.data == NULL)
        e = FAIL(&exchange->call.error, ERR_UNAUTHENTICATED, "credentials_missing",
                 "send Authorization: Bearer with %s",
                 security == SECURITY_API_KEY ? "an API key" : "a session token");
    else if (security == SECURITY_API_KEY)
        e = api_key_authenticate(&exchange->call, bearer, &exchange->actor);
    else
        e = worker_authenticate(&exchange->call, bearer, &exchange->actor);
    if (e == ERR_UNAUTHENTICATED) return exchange_count_failure(exchange);
    if (e) return e;
    exchange->call.actor = exchange->actor;
    rehash_note(exchange->api->rehash, &exchange->call, bearer);
    return ERR_OK;
}

static enum err take_rate(struct exchange *exchange)
{
    const struct actor *actor = &exchange->actor;
    if (actor->kind == ACTOR_NOBODY) return ERR_OK;
    int64_t          limit = actor->rate_limit_per_minute ? actor->rate_limit_per_minute
                                                          : exchange->api->config->rate_limit_per_minute;
    const struct id *credential = actor->kind == ACTOR_WORKER ? &actor->session_id : &actor->key_id;
    meter_take(exchange->api->meter, id_str(credential), limit, exchange->call.now_ms,
               &exchange->rate);
    exchange->is_metered = true;
    if (exchange->rate.is_allowed) return ERR_OK;
    exchange->call.error.retry_after_s = exchange->rate.retry_after_s;
    return FAIL(&exchange->call.error, ERR_LIMITED, "rate_limit_exceeded",
                "more than %lld requests a minute", (long long)limit);
}

static enum err check_scope(struct exchange *exchange)
{
    struct str name = exchange->request.operation->scope;
    enum scope scope;
    if (name.data == NULL || exchange->actor.kind != ACTOR_API_KEY) return ERR_OK;
    CHECK(scope_parse(name, &scope));
    if (exchange->actor.scopes & BIT(scope)) return ERR_OK;
    return FAIL(&exchange->call.error, ERR_FORBIDDEN, "scope_missing",
                "the API key lacks the scope %.*s", STR_ARG(name));
}

enum err admission_admit(struct exchange *exchange)
{
    enum err e = authenticate(exchange);
    if (e) return e;
    e = take_rate(exchange);
    if (e) return e;
    e = check_scope(exchange);
    if (e || exchange->binding->admit == NULL) return e;
    return exchange->binding->admit(exchange);
}

static enum err check_key_form(struct exchange *exchange, struct str key, bool is_credential)
{
    struct error *error = &exchange->call.error;
    struct arena *arena = exchange->http->arena;
    int           bytes_min = is_credential ? IDEMPOTENCY_SECRET_KEY_BYTES_MIN : 1;
    bool          is_repeated = http_header_is_repeated(exchange->http, "Idempotency-Key");
    if (!is_repeated && idempotency_key_is_valid(key) && key.len >= (size_t)bytes_min)
        return ERR_OK;
    if (is_repeated)
        error_add_fault(error, arena, STR("Idempotency-Key"), "duplicate",
                        "is given more than once");
    else
        error_add_fault(error, arena, STR("Idempotency-Key"), "pattern",
                        "must have %d to %d visible characters", bytes_min,
                        IDEMPOTENCY_KEY_BYTES_MAX);
    return FAIL_FAULTS(error, arena, ERR_INVALID, "invalid_parameters");
}

static enum err check_idempotency_key(struct exchange *exchange)
{
    struct str key = http_header(exchange->http, "Idempotency-Key");
    if (!exchange->request.operation->is_idempotent || key.data == NULL) return ERR_OK;
    bool     is_credential = exchange->binding->key_is_credential;
    enum err e = check_key_form(exchange, key, is_credential);
    if (e) return e;
    exchange->has_idempotency_key = true;
    exchange->idempotency.operation = exchange->request.operation->operation_id;
    exchange->idempotency.key = key;
    exchange->idempotency.has_secret_body = /* it stands for the credential */
        exchange->request.operation->security == SECURITY_NONE;
    idempotency_set_owner(&exchange->idempotency, &exchange->actor);
    idempotency_fingerprint(exchange->http->method, exchange->http->path, exchange->http->query,
                            exchange->http->body, exchange->idempotency.fingerprint);
    exchange->idempotency.has_secret_key = is_credential;
    if (is_credential) idempotency_set_server_owner(&exchange->idempotency);
    return ERR_OK;
}

enum err admission_check_parameters(struct exchange *exchange)
{
    enum err e = contract_check_parameters(exchange->request.operation, exchange->http->arena,
                                           exchange->http->query, header_of, exchange->http,
                                           &exchange->call.error, exchange->request.values);
    if (e) return e;
    return check_idempotency_key(exchange);
}

enum err admission_check_body(struct exchange *exchange)
{
    const struct contract_operation *operation = exchange->request.operation;
    if (operation->body == NULL) return ERR_OK;
    if (exchange->http->body.len == 0 && !operation->is_body_required) return ERR_OK;
    json_t  *root;
    enum err e =
        json_parse(exchange->http->arena, exchange->http->body, &exchange->call.error, &root);
    if (e) return e;
    if (!json_is_object(root))
        return FAIL(&exchange->call.error, ERR_INVALID, "wrong_root",
                    "the body must be a JSON object");
    exchange->request.body = root;
    return schema_check(operation->body, exchange->http->arena, root, &exchange->call.error);
}

enum err admission_check_envelope(struct exchange *exchange)
{
    const struct contract_operation *operation = exchange->request.operation;
    if (http_body_is_too_large(exchange->http))
        return FAIL(&exchange->call.error, ERR_TOO_LARGE, "body_too_large",
                    "the body is larger than %lld bytes", (long long)operation->body_bytes_max);
    if (operation->body && exchange->http->body.len > 0 &&
        !content_type_is(http_header(exchange->http, "Content-Type"), STR("application/json")))
        return FAIL(&exchange->call.error, ERR_MEDIA_TYPE, "not_json",
                    "send Content-Type: application/json");
    return ERR_OK;
}
