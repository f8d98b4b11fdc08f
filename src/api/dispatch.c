#include "api/admission.h"
#include "api/exchange.h"
#include "api/long_poll.h"
#include "api/reply.h"
#include "api/request_metrics.h"
#include "base/encode.h"
#include "base/log.h"
#include "domain/api_key.h"
#include "domain/audit_event.h"
#include "domain/worker.h"
#include "platform/metrics.h"

#include <string.h>

/* --- writing --- */

static enum err recheck(struct call *call)
{
    switch (call->actor.kind) {
    case ACTOR_API_KEY: return api_key_recheck(call);
    case ACTOR_WORKER: return worker_recheck(call);
    default: return ERR_OK;
    }
}

static enum err replay(struct exchange *exchange, const struct stored_reply *stored)
{
    struct reply *reply = &exchange->reply;
    exchange->is_replay = true;
    if (stored->resource_id.data) {
        enum err e = exchange->binding->rebuild(&exchange->call, stored->resource_id, reply);
        if (e) return e;
    } else {
        buf_add(&reply->body, stored->body);
    }
    reply->status = stored->status;
    return ERR_OK;
}

static enum err remember(struct exchange *exchange)
{
    const struct reply *reply = &exchange->reply;
    bool                is_rebuilt = exchange->binding->rebuild != NULL;
    struct stored_reply stored = {
        .status = reply->status,
        .resource_id = is_rebuilt ? reply->resource_id : STR_NONE,
        .body = is_rebuilt ? STR_NONE : buf_str(&reply->body),
    };
    return idempotency_store(&exchange->call, &exchange->idempotency, &stored,
                             reply->carries_secret);
}

enum err exchange_find_reply(struct exchange *exchange, bool *ret_is_there)
{
    *ret_is_there = false;
    if (!exchange->has_idempotency_key) return ERR_OK;
    struct stored_reply stored;
    enum err e = idempotency_find(&exchange->call, &exchange->idempotency, &stored, ret_is_there);
    if (e || !*ret_is_there) return e;
    return replay(exchange, &stored);
}

/* What it was done to: what was made, what the path names, or else the organisation. */
static struct str object_of(const struct exchange *exchange)
{
    if (exchange->reply.resource_id.data) return exchange->reply.resource_id;
    CHECK(exchange->reply.status != 201);
    if (exchange->request.match.path_values_count > 0)
        return exchange->request.match.path_values[0];
    return id_str(&exchange->actor.org_id);
}

/* Write down, in its commit, what an API key does, as its operation's x-audit calls it. */
static enum err note(struct exchange *exchange)
{
    const struct contract_operation *operation = exchange->request.operation;
    struct call                     *call = &exchange->call;
    bool                             is_told = exchange->is_noted || exchange->is_replay;
    if (operation->audit_action.data == NULL || is_told) return ERR_OK;
    return audit_note(call, &call->actor.org_id, call->actor.environment, operation->audit_action,
                      object_of(exchange));
}

/* The key is another request's. What is wrong with this one comes first (docs/errors.md), and only
 * the handler knows; what it did otherwise is undone with the refusal. */
static enum err refuse_reuse(struct exchange *exchange, answer_fn *answer, void *argument)
{
    struct call *call = &exchange->call;
    struct error reused = call->error;
    error_clear(&call->error);
    enum err e = answer(call, argument, &exchange->reply);
    if (e == ERR_FORBIDDEN || e == ERR_INVALID || e == ERR_UNPROCESSABLE) return e;
    call->error = reused;
    return reused.code;
}

/* One run inside the writer's transaction, from nothing each time. */
static enum err run_answer(struct exchange *exchange, struct db *db, answer_fn *answer,
                           void *argument)
{
    struct call *call = &exchange->call;
    bool         is_there;
    arena_rewind(exchange->http->arena, exchange->mark);
    reply_begin(&exchange->reply, exchange->http->arena);
    exchange->is_replay = false;
    call_begin(call, db, world_now_ms(exchange->api->world), &exchange->actor);
    enum err e = recheck(call);
    if (e) return e;
    e = exchange_find_reply(exchange, &is_there);
    if (e == ERR_CONFLICT) return refuse_reuse(exchange, answer, argument);
    if (e || is_there) return e;
    e = answer(call, argument, &exchange->reply);
    if (e == ERR_OK) e = note(exchange);
    if (e || !exchange->has_idempotency_key) return e;
    return remember(exchange);
}

static enum err handle(struct call *call, void *argument, struct reply *reply)
{
    struct exchange *exchange = argument;
    return exchange->binding->handle(call, &exchange->request, reply);
}

static enum err write_run(void *argument, struct db *db, struct error *error)
{
    struct exchange *exchange = argument;
    enum err         e = run_answer(exchange, db, handle, exchange);
    if (e) *error = exchange->call.error;
    return e;
}

static void write_done(void *argument, enum err e, const struct error *error)
{
    struct exchange      *exchange = argument;
    struct http_exchange *http = exchange->http;
    if (e == ERR_OK) after_commit_tell(&exchange->api->after_commit, &exchange->call);
    if (e) exchange->call.error = *error;
    exchange_finish(exchange, e);
    http_resume(http);
}

static void start_write(struct exchange *exchange)
{
    exchange->mark = arena_mark(exchange->http->arena);
    exchange->write_job = (struct write_job){
        .run = write_run,
        .done = write_done,
        .argument = exchange,
    };
    http_suspend(exchange->http);
    enum err e = writer_submit(exchange->api->writer, &exchange->write_job, &exchange->call.error);
    if (e == ERR_OK) return;
    exchange_finish(exchange, e);
    http_resume(exchange->http);
}

struct commit {
    struct exchange *exchange;
    enum err (*run)(struct call *call, void *argument);
    void *argument;
};

static enum err commit_run(void *argument, struct db *db, struct error *error)
{
    struct commit   *commit = argument;
    struct exchange *exchange = commit->exchange;
    call_begin(&exchange->call, db, world_now_ms(exchange->api->world), &exchange->actor);
    enum err e = recheck(&exchange->call);
    if (e == ERR_OK) e = commit->run(&exchange->call, commit->argument);
    if (e == ERR_OK) e = note(exchange);
    if (e) *error = exchange->call.error;
    return e;
}

static enum err commit_call(struct exchange *exchange,
                            enum err (*run)(void *argument, struct db *db, struct error *error),
                            void *argument)
{
    struct error error = { 0 };
    enum err     e = writer_call(exchange->api->writer, run, argument, &error);
    if (e) exchange->call.error = error;
    if (e == ERR_OK) after_commit_tell(&exchange->api->after_commit, &exchange->call);
    return e;
}

enum err exchange_commit(struct exchange *exchange,
                         enum err (*run)(struct call *call, void *argument), void *argument)
{
    struct commit commit = { exchange, run, argument };
    enum err      e = commit_call(exchange, commit_run, &commit);
    if (e == ERR_OK) exchange->is_noted = true;
    return e;
}

struct answering {
    struct exchange *exchange;
    answer_fn       *answer;
    void            *argument;
};

static enum err answering_run(void *argument, struct db *db, struct error *error)
{
    struct answering *answering = argument;
    struct exchange  *exchange = answering->exchange;
    enum err          e = run_answer(exchange, db, answering->answer, answering->argument);
    if (e) *error = exchange->call.error;
    return e;
}

enum err exchange_answer(struct exchange *exchange, answer_fn *answer, void *argument)
{
    struct answering answering = { exchange, answer, argument };
    exchange->mark = arena_mark(exchange->http->arena);
    return commit_call(exchange, answering_run, &answering);
}

/* --- on the I/O pool --- */

static void io_run(void *argument)
{
    struct exchange *exchange = argument;
    struct db       *db;
    enum err         e = db_readers_get(exchange->api->readers, &exchange->call.error, &db);
    if (e == ERR_OK) {
        call_begin(&exchange->call, db, world_now_ms(exchange->api->world), &exchange->actor);
        e = exchange->binding->external ? exchange->binding->external(exchange)
                                        : exchange->binding->stream->finish(exchange);
    }
    struct http_exchange *http = exchange->http;
    exchange_finish(exchange, e);
    http_resume(http);
}

static void start_io(struct exchange *exchange)
{
    exchange->io_job = (struct io_job){ .run = io_run, .argument = exchange };
    http_suspend(exchange->http);
    enum err e = io_pool_submit(exchange->api->io_pool, &exchange->io_job, &exchange->call.error);
    if (e == ERR_OK) return;
    exchange_finish(exchange, e);
    http_resume(exchange->http);
}

/* --- the four callbacks --- */

/* A streamed body is wanted only from somebody who may send it. */
static enum err begin_stream(struct exchange *exchange)
{
    enum err e = exchange_begin_read(exchange);
    if (e) return e;
    e = admission_admit(exchange);
    if (e == ERR_OK) e = admission_check_parameters(exchange);
    if (e == ERR_OK) e = exchange->binding->stream->begin(exchange);
    exchange_end_read(exchange);
    exchange->is_stream_begun = e == ERR_OK;
    return e;
}

static enum err check_room(struct exchange *exchange)
{
    if (!exchange->http->is_surplus) return ERR_OK;
    return FAIL(&exchange->call.error, ERR_UNAVAILABLE, "connections_full",
                "%lld connections are busy", (long long)exchange->api->config->connections_max);
}

/* It is of no operation, but of those that its path has. */
static void answer_preflight(struct exchange *exchange)
{
    error_clear(&exchange->call.error);
    exchange->reply.status = 204;
    exchange_finish(exchange, ERR_OK);
}

static void on_headers(void *context, struct http_exchange *http)
{
    struct exchange *exchange = exchange_open(context, http);
    metric_add(METRIC_REQUESTS_NOW, 1);
    enum err e = check_room(exchange);
    if (e == ERR_OK) e = exchange_match(exchange);
    if (e == ERR_METHOD && reply_is_preflight(http)) {
        answer_preflight(exchange);
        return;
    }
    if (e) {
        exchange_finish(exchange, e);
        return;
    }
    if (exchange->request.operation->access != ACCESS_STREAM) {
        http_body_buffer(http, exchange->request.operation->body_bytes_max);
        return;
    }
    e = begin_stream(exchange);
    if (e)
        exchange_finish(exchange, e);
    else
        http_body_stream(http);
}

static void on_body(void *context, struct http_exchange *http, struct str piece)
{
    (void)context;
    struct exchange *exchange = http->app_state;
    enum err         e = exchange->binding->stream->piece(exchange, piece);
    if (e) exchange_finish(exchange, e);
}

static void run_read(struct exchange *exchange)
{
    enum err e = exchange->binding->handle(&exchange->call, &exchange->request, &exchange->reply);
    exchange_end_read(exchange);
    if (e == ERR_OK && long_poll_begin(exchange, &e)) return;
    exchange_finish(exchange, e);
}

static void on_request(void *context, struct http_exchange *http)
{
    (void)context;
    struct exchange *exchange = http->app_state;
    http->scratch = arena_mark(http->arena);
    http->has_scratch = true;
    if (exchange->request.operation->access == ACCESS_STREAM) {
        start_io(exchange);
        return;
    }
    enum err e = admission_check_envelope(exchange);
    if (e == ERR_OK) e = exchange_begin_read(exchange);
    if (e) {
        exchange_finish(exchange, e);
        return;
    }
    e = admission_admit(exchange);
    if (e == ERR_OK) e = admission_check_parameters(exchange);
    if (e == ERR_OK) e = admission_check_body(exchange);
    if (e) {
        exchange_end_read(exchange);
        exchange_finish(exchange, e);
        return;
    }
    if (exchange->request.operation->access == ACCESS_READ) {
        run_read(exchange);
        return;
    }
    exchange_end_read(exchange);
    if (exchange->request.operation->access == ACCESS_WRITE)
        start_write(exchange);
    else
        start_io(exchange);
}

/* Up to where a secret begins that begins with this. */
static struct str before_secret(struct str path, struct str beginning)
{
    const char *secret = memmem(path.data, path.len, beginning.data, beginning.len);
    return secret ? str_take(path, (size_t)(secret - path.data) + beginning.len) : path;
}

/* A client that puts a secret of ours where an id belongs does not leave it in the log, however it
 * spells it. */
static struct str path_to_log(struct arena *arena, struct str path)
{
    struct str decoded;
    if (memchr(path.data, '%', path.len) && decode_percent(arena, path, false, &decoded))
        path = decoded;
    return before_secret(before_secret(path, STR("fh_")), STR("whsec_"));
}

static void log_access(const struct exchange *exchange, const struct http_outcome *outcome,
                       int64_t us)
{
    const struct http_exchange *http = exchange->http;
    const struct actor         *actor = &exchange->actor;
    struct log_line             line;
    log_begin(&line, outcome->status >= 500 ? LOG_ERROR : LOG_INFO, "request");
    log_text(&line, "id", id_str(&exchange->request_id));
    log_text(&line, "method", http->method);
    log_text(&line, "path",
             path_to_log(http->arena, http->path)); /* never the query: links are signed there */
    if (exchange->request.operation)
        log_text(&line, "operation", exchange->request.operation->operation_id);
    log_int(&line, "status", outcome->status);
    log_int(&line, "us", us);
    log_text(&line, "peer", http->peer);
    log_text(&line, "org", id_str(&actor->org_id));
    log_text(&line, "key", id_str(&actor->key_id));
    log_text(&line, "worker", id_str(&actor->worker_id));
    if (exchange->call.error.code) log_error(&line, &exchange->call.error);
    if (!outcome->is_complete) log_text(&line, "end", STR("client_gone"));
    log_end(&line);
}

static void on_end(void *context, struct http_exchange *http, const struct http_outcome *outcome)
{
    (void)context;
    struct exchange *exchange = http->app_state;
    if (exchange->is_stream_begun && exchange->binding->stream->end)
        exchange->binding->stream->end(exchange, outcome->is_complete);
    int64_t us = world_monotonic_us() - http->started_us;
    log_access(exchange, outcome, us);
    metric_add(METRIC_REQUESTS_NOW, -1);
    if (exchange->is_long_poll)
        histogram_observe(HISTOGRAM_LONG_POLL, 0, us);
    else
        request_metrics_observe(exchange->request.operation, outcome->status, us);
}

struct http_app api_http_app(struct api *api)
{
    return (struct http_app){ api, on_headers, on_body, on_request, on_end };
}
