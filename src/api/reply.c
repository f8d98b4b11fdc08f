#include "api/reply.h"

#include <assert.h>
#include <string.h>
#include <unistd.h>

/* One row a code: status and the contract's error type. */
static const struct {
    int         status;
    const char *type;
} rows[] = {
    [ERR_OK] = { 200, "" },
    [ERR_INVALID] = { 400, "invalid_request" },
    [ERR_UNAUTHENTICATED] = { 401, "authentication_error" },
    [ERR_UNPAID] = { 402, "insufficient_credits" },
    [ERR_FORBIDDEN] = { 403, "authorization_error" },
    [ERR_NOT_FOUND] = { 404, "not_found" },
    [ERR_METHOD] = { 405, "invalid_request" },
    [ERR_CONFLICT] = { 409, "conflict" },
    [ERR_GONE] = { 410, "not_found" },
    [ERR_PRECONDITION] = { 412, "invalid_request" },
    [ERR_TOO_LARGE] = { 413, "invalid_request" },
    [ERR_MEDIA_TYPE] = { 415, "invalid_request" },
    [ERR_RANGE] = { 416, "invalid_request" },
    [ERR_UNPROCESSABLE] = { 422, "validation_error" },
    [ERR_CHECKSUM] = { 460, "invalid_request" },
    [ERR_LIMITED] = { 429, "rate_limit_exceeded" },
    [ERR_BUSY] = { 503, "internal_error" },
    [ERR_UNCERTAIN] = { 503, "internal_error" },
    [ERR_UNAVAILABLE] = { 503, "internal_error" },
    [ERR_INTERNAL] = { 500, "internal_error" },
};
static_assert(COUNT_OF(rows) == ERR__COUNT, "every code has a status");

enum { RETRY_AFTER_S_DEFAULT = 1 };

int err_status(enum err code)
{
    CHECK((unsigned)code < ERR__COUNT);
    return rows[code].status;
}

const char *err_type(enum err code)
{
    CHECK((unsigned)code < ERR__COUNT);
    return rows[code].type;
}

void reply_begin(struct reply *reply, struct arena *arena)
{
    *reply = (struct reply){
        .status = 200,
        .content_type = STR("application/json"),
        .file_fd = -1,
    };
    buf_init(&reply->body, arena, REPLY_BYTES_MAX);
    json_out_init(&reply->out, &reply->body);
}

void reply_header(struct reply *reply, const char *name, struct str value)
{
    CHECK(reply->headers_count < REPLY_HEADERS_MAX);
    reply->headers[reply->headers_count++] = (struct reply_header){ name, value };
}

void reply_list_begin(struct reply *reply)
{
    out_object(&reply->out, NULL);
    out_text(&reply->out, "object", STR("list"));
    out_array(&reply->out, "data");
}

void reply_list_end(struct reply *reply, struct str cursor)
{
    out_close(&reply->out);
    out_bool(&reply->out, "has_more", cursor.data != NULL);
    out_text(&reply->out, "next_cursor", cursor);
    out_close(&reply->out);
}

#define OUTCOME_UNKNOWN "The outcome is not known: repeat with the same Idempotency-Key."

/* What a person reads. The inside of a 5xx stays in the log. */
static struct str message_of(const struct error *error)
{
    switch (error->code) {
    case ERR_INTERNAL: return STR("Something went wrong on our side.");
    case ERR_UNCERTAIN: return STR(OUTCOME_UNKNOWN);
    case ERR_BUSY:
    case ERR_UNAVAILABLE:
        if (strcmp(error->slug, "commit_unknown") == 0) return STR(OUTCOME_UNKNOWN);
        return STR("The server cannot do this now: please retry.");
    default: return str_of(error->detail);
    }
}

static void write_fault(struct json_out *out, const char *field, const char *code,
                        const char *message)
{
    out_object(out, NULL);
    if (field) out_text(out, "field", str_of(field));
    out_text(out, "message", str_of(message));
    out_text(out, "code", str_of(code));
    out_close(out);
}

static void write_envelope(struct exchange *exchange)
{
    const struct error *error = &exchange->call.error;
    struct json_out    *out = &exchange->reply.out;
    struct str          message = message_of(error);
    out_object(out, NULL);
    out_object(out, "error");
    out_text(out, "type", str_of(err_type(error->code)));
    out_text(out, "message", message);
    out_text(out, "request_id", id_str(&exchange->request_id));
    out_array(out, "details");
    for (const struct fault *fault = error->faults; fault; fault = fault->next)
        write_fault(out, fault->field, fault->code, fault->message);
    if (error->faults == NULL) {
        bool is_internal = error->code == ERR_INTERNAL;
        write_fault(out, NULL, is_internal ? "internal" : error->slug,
                    str_c(exchange->http->arena, message));
    }
    out_close(out);
    out_close(out);
    out_close(out);
}

static void error_headers(struct exchange *exchange)
{
    const struct error *error = &exchange->call.error;
    struct reply       *reply = &exchange->reply;
    int64_t             retry_after_s = error->retry_after_s;
    if (reply->status == 503 && retry_after_s == 0) retry_after_s = RETRY_AFTER_S_DEFAULT;
    if (retry_after_s > 0)
        reply_header(reply, "Retry-After",
                     str_format(exchange->http->arena, "%lld", (long long)retry_after_s));
    if (error->code == ERR_UNAUTHENTICATED) reply_header(reply, "WWW-Authenticate", STR("Bearer"));
}

/* What the store's own rules refuse and nobody has foreseen is a bug of ours, not the client's; its
 * text names tables. */
static void hide_unforeseen(struct error *error)
{
    if (error->code == ERR_CONFLICT && strcmp(error->slug, "db_constraint") == 0)
        error->code = ERR_INTERNAL;
}

/* A handler's own headers that tus needs on errors too are added by its operation, not here. */
void reply_error(struct exchange *exchange)
{
    struct reply *reply = &exchange->reply;
    if (reply->file_fd >= 0) close(reply->file_fd);
    reply_begin(reply, exchange->http->arena);
    hide_unforeseen(&exchange->call.error);
    reply->status = err_status(exchange->call.error.code);
    write_envelope(exchange);
    CHECK(!reply->body.failed); /* a hundred faults of bounded text always fit */
    error_headers(exchange);
}

static void rate_headers(struct exchange *exchange)
{
    const struct meter_reading *rate = &exchange->rate;
    struct arena               *arena = exchange->http->arena;
    if (!exchange->is_metered || rate->limit == 0) return;
    http_reply_header(exchange->http, "X-RateLimit-Limit",
                      str_format(arena, "%lld", (long long)rate->limit));
    http_reply_header(exchange->http, "X-RateLimit-Remaining",
                      str_format(arena, "%lld", (long long)rate->remaining));
    http_reply_header(exchange->http, "X-RateLimit-Reset",
                      str_format(arena, "%lld", (long long)rate->reset_s));
}

/* The worker's API has no credential that a browser would add by itself: a page may only do what
 * its token may. Keys are not for pages. */
static bool is_for_pages(const struct http_exchange *http)
{
    return str_starts_with(http->path, STR("/worker/v1/")) && http_header(http, "Origin").data;
}

bool reply_is_preflight(const struct http_exchange *http)
{
    return is_for_pages(http) && str_eq(http->method, STR("OPTIONS")) &&
           http_header(http, "Access-Control-Request-Method").data;
}

static void preflight_headers(struct http_exchange *http)
{
    http_reply_header(http, "Access-Control-Allow-Methods",
                      STR("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"));
    http_reply_header(http, "Access-Control-Allow-Headers",
                      STR("Authorization, Content-Type, Content-Disposition, Idempotency-Key,"
                          " X-Request-Id, X-Requested-With, X-HTTP-Method-Override, Tus-Resumable,"
                          " Upload-Checksum, Upload-Concat, Upload-Defer-Length, Upload-Length,"
                          " Upload-Metadata, Upload-Offset"));
    http_reply_header(http, "Access-Control-Max-Age", STR("86400"));
}

static void cross_origin_headers(struct http_exchange *http)
{
    if (!is_for_pages(http)) return;
    http_reply_header(http, "Access-Control-Allow-Origin", STR("*"));
    if (reply_is_preflight(http)) preflight_headers(http);
    http_reply_header(http, "Access-Control-Expose-Headers",
                      STR("Firsthand-Submission-Id, Idempotent-Replayed, Location, Retry-After,"
                          " Tus-Checksum-Algorithm, Tus-Extension, Tus-Max-Size, Tus-Resumable,"
                          " Tus-Version, Upload-Defer-Length, Upload-Expires, Upload-Length,"
                          " Upload-Metadata, Upload-Offset, X-RateLimit-Limit,"
                          " X-RateLimit-Remaining, X-RateLimit-Reset, X-Request-Id"));
}

void reply_send(struct exchange *exchange)
{
    struct reply         *reply = &exchange->reply;
    struct http_exchange *http = exchange->http;
    http_reply_header(http, "X-Request-Id", id_str(&exchange->request_id));
    rate_headers(exchange);
    cross_origin_headers(http);
    /* tus wants its version on every reply of an upload resource, refusals included. */
    if (str_starts_with(http->path, STR("/worker/v1/uploads")))
        http_reply_header(http, "Tus-Resumable", STR("1.0.0"));
    if (exchange->is_replay) http_reply_header(http, "Idempotent-Replayed", STR("true"));
    for (int i = 0; i < reply->headers_count; i++)
        http_reply_header(http, reply->headers[i].name, reply->headers[i].value);

    bool is_file = reply->file_fd >= 0;
    if (is_file || reply->body.len > 0)
        http_reply_header(http, "Content-Type", reply->content_type);
    if (!is_file) {
        http_reply_header(http, "Cache-Control", STR("no-store"));
        http_reply(http, reply->status, buf_str(&reply->body));
        return;
    }
    http_reply_file(http, reply->status, reply->file_fd, reply->file_offset, reply->file_length);
    reply->file_fd = -1; /* the connection's now */
}
