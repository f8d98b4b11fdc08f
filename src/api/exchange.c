#include "api/exchange.h"

#include "api/admission.h"
#include "api/reply.h"

struct exchange *exchange_open(struct api *api, struct http_exchange *http)
{
    struct exchange *exchange = NEW(http->arena, struct exchange, 1);
    exchange->api = api;
    exchange->http = http;
    exchange->call.arena = http->arena;
    exchange->call.config = api->config;
    exchange->call.keyring = api->keyring;
    exchange->request.http = http;
    exchange->request.api = api;
    exchange->request_id = id_new(ID_REQUEST, world_now_ms(api->world));
    exchange->call.origin =
        (struct origin){ admission_client_address(exchange), exchange->request_id };
    reply_begin(&exchange->reply, http->arena);
    http->app_state = exchange;
    return exchange;
}

/* tus asks for it: some clients can only say POST. */
static struct str method_of(const struct http_exchange *http)
{
    struct str asked = http_header(http, "X-HTTP-Method-Override");
    bool       may_override =
        str_eq(http->method, STR("POST")) && str_starts_with(http->path, STR("/worker/v1/uploads"));
    return may_override && asked.data ? asked : http->method;
}

enum err exchange_match(struct exchange *exchange)
{
    struct str allow = STR_NONE;
    enum err   e = contract_match(exchange->api->contract, exchange->http->arena,
                                  method_of(exchange->http), exchange->http->path,
                                  &exchange->call.error, &exchange->request.match, &allow);
    if (e == ERR_METHOD) http_reply_header(exchange->http, "Allow", allow);
    if (e) return e;
    exchange->request.operation = exchange->request.match.operation;
    exchange->binding = exchange->api->bindings[exchange->request.operation->index];
    return ERR_OK;
}

enum err exchange_begin_read(struct exchange *exchange)
{
    struct db *db;
    error_clear(&exchange->call.error);
    enum err e = db_readers_get(exchange->api->readers, &exchange->call.error, &db);
    if (e) return e;
    call_begin(&exchange->call, db, world_now_ms(exchange->api->world), &exchange->actor);
    return db_begin(db, &exchange->call.error);
}

void exchange_end_read(struct exchange *exchange)
{
    CHECK(db_open_statements(exchange->call.db) == 0);
    db_rollback(exchange->call.db);
}

void exchange_finish(struct exchange *exchange, enum err e)
{
    if (e == ERR_OK && exchange->reply.body.failed)
        e = FAIL(&exchange->call.error, ERR_INTERNAL, "reply_too_large", "over %d bytes",
                 REPLY_BYTES_MAX);
    if (e) {
        exchange->call.error.code = e;
        reply_error(exchange);
    }
    reply_send(exchange);
}
