#include "platform/http_server_private.h"

#include "base/num.h"
#include "base/world.h"

#include <string.h>

enum { BODY_BYTES_FIRST = 4 << 10, BODY_BYTES_TRUSTED = 64 << 10 };

/* --- begin and end --- */

/* The library would make a record of every parameter of a query in the connection's own memory, and
 * hang up without a word on a query of some hundred. Nobody asks it for them: leave it one, in its
 * own buffer, from which the target was copied. */
static void join_parameters(const char *uri)
{
    for (char *at = (char *)(uintptr_t)uri; (at = strchr(at, '&')) != NULL;)
        *at = '+';
}

void *http_exchange_line(void *server, const char *uri, struct MHD_Connection *mhd)
{
    (void)server;
    struct http_connection *c =
        MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
    struct http_exchange_private *x = &c->exchange_private;
    CHECK(x->step == HTTP_STEP_NONE);
    arena_init(&c->arena, HTTP_ARENA_SOFT_BYTES_MAX);
    *x = (struct http_exchange_private){
        .connection = c,
        .step = HTTP_STEP_LINE,
        .line = uri,
        .line_len = strlen(uri),
        .reply_fd = -1,
    };
    c->exchange = (struct http_exchange){
        .arena = &c->arena,
        .path = str_copy(&c->arena, str_of(uri)), /* the library is about to cut and alter it */
        .peer = str_of(c->peer),
        .body = STR(""),
        .private = x,
    };
    join_parameters(uri);
    atomic_store_explicit(&c->body_bytes, 0, memory_order_relaxed);
    x->is_unwelcome = !http_connection_begin(c);
    return c;
}

void http_exchange_end(struct http_connection *c, bool is_complete)
{
    struct http_exchange_private *x = &c->exchange_private;
    if (x->step == HTTP_STEP_NONE) return;
    if (x->has_begun) {
        bool is_handed_over = x->step == HTTP_STEP_REPLIED || x->step == HTTP_STEP_LINGER;
        struct http_outcome outcome = {
            .status = is_handed_over ? x->status : 0,
            .is_complete = x->is_sent || (x->step == HTTP_STEP_REPLIED && is_complete),
            .body_bytes_received = x->body_bytes_received,
        };
        c->server->app.on_end(c->server->app.context, &c->exchange, &outcome);
    }
    http_reply_drop(x);
    arena_deinit(&c->arena);
    x->step = HTTP_STEP_NONE;
}

void http_exchange_completed(void *server, struct MHD_Connection *mhd, void **context,
                             enum MHD_RequestTerminationCode how)
{
    (void)server;
    (void)mhd;
    struct http_connection *c = *context;
    if (c == NULL) return;
    http_exchange_end(c, how == MHD_REQUEST_TERMINATED_COMPLETED_OK);
    *context = NULL;
    bool is_parked = c->exchange_private.is_parked;
    http_connection_waits_for(c, is_parked ? HTTP_WAIT_LEFT : HTTP_WAIT_REQUEST);
}

/* --- replying --- */

/* Bytes of the body that have yet to come; -1 when the client did not say. */
static int64_t body_bytes_left(const struct http_connection *c)
{
    if (c->exchange_private.place == HTTP_AT_END) return 0;
    if (c->exchange.body_bytes_declared < 0) return -1;
    return c->exchange.body_bytes_declared - c->exchange_private.body_bytes_received;
}

/* Reply while the client is still sending, then go on reading for a while: closing at once would
 * answer its next bytes with a reset, which may reach it before the reply does. */
static enum MHD_Result reply_and_linger(struct http_connection *c)
{
    struct http_exchange_private *x = &c->exchange_private;
    x->step = HTTP_STEP_LINGER;
    x->body_bytes_dropped = 0;
    if (!http_reply_send(c)) return MHD_NO;
    http_connection_waits_for(c, HTTP_WAIT_CLOSE);
    return MHD_YES;
}

/* Send the reply by the means the place in the request allows. */
static enum MHD_Result deliver(struct http_connection *c, size_t *data_size)
{
    struct http_exchange_private *x = &c->exchange_private;
    CHECK(x->has_reply);
    bool is_tls = c->server->is_tls;
    switch (x->place) {
    case HTTP_AT_END: return http_reply_queue(c);
    case HTTP_AT_HEADERS:
        /* The library closes after a reply that precedes its body. */
        if (is_tls || http_request_expects_continue(&c->exchange)) return http_reply_queue(c);
        return reply_and_linger(c);
    case HTTP_IN_BODY: *data_size = 0; return is_tls ? MHD_NO : reply_and_linger(c);
    }
    return MHD_NO;
}

/* The application's turn. A suspended exchange leaves data_size as it is: the library then calls
 * again with the same bytes when it is resumed in mid-body. */
static enum MHD_Result ask_application(struct http_connection *c, size_t *data_size)
{
    struct http_exchange_private *x = &c->exchange_private;
    x->step = HTTP_STEP_REQUEST;
    http_connection_waits_for(c, HTTP_WAIT_SERVER);
    c->server->app.on_request(c->server->app.context, &c->exchange);
    if (x->is_parked) return MHD_NO; /* the library is to forget the connection */
    if (x->is_suspended) return MHD_YES;
    return deliver(c, data_size);
}

static enum MHD_Result answer(struct http_connection *c, size_t *data_size)
{
    return c->exchange_private.has_reply ? deliver(c, data_size) : ask_application(c, data_size);
}

/* The body is not wanted: drop what is left of it first if that is little, else answer now. Who has
 * no place is not waited for. */
static enum MHD_Result refuse(struct http_connection *c, size_t *data_size)
{
    struct http_exchange_private *x = &c->exchange_private;
    int64_t                       left = body_bytes_left(c);
    bool                          is_waiting =
        x->place == HTTP_AT_HEADERS && left != 0 && http_request_expects_continue(&c->exchange);
    bool is_little =
        left >= 0 ? left <= HTTP_DRAIN_BYTES_MAX : x->body_bytes_dropped <= HTTP_DRAIN_BYTES_MAX;
    bool is_surplus = c->exchange.is_surplus && left != 0;
    if (is_waiting || !is_little || is_surplus) return answer(c, data_size);
    x->step = HTTP_STEP_DROP;
    *data_size = 0;
    return MHD_YES;
}

void http_suspend(struct http_exchange *exchange)
{
    struct http_exchange_private *x = exchange->private;
    CHECK(x->step == HTTP_STEP_REQUEST && !x->is_suspended && !x->has_reply);
    x->is_suspended = true;
    MHD_suspend_connection(x->connection->mhd);
}

void http_resume(struct http_exchange *exchange)
{
    struct http_exchange_private *x = exchange->private;
    CHECK(x->has_reply);
    if (x->connection->mhd)
        MHD_resume_connection(x->connection->mhd);
    else
        http_park_answer(x->connection);
}

/* --- the body --- */

void http_body_buffer(struct http_exchange *exchange, int64_t bytes_max)
{
    CHECK(exchange->private->step == HTTP_STEP_LINE && bytes_max >= 0);
    CHECK(bytes_max <= ARENA_HARD_BYTES_MAX / 4); /* grown by doubling in the arena */
    exchange->private->body_bytes_max = bytes_max;
    exchange->private->is_streamed = false;
}

void http_body_stream(struct http_exchange *exchange)
{
    CHECK(exchange->private->step == HTTP_STEP_LINE);
    exchange->private->is_streamed = true;
}

bool http_body_is_too_large(const struct http_exchange *exchange)
{
    return exchange->private->is_too_large;
}

/* A declared length is believed up to a point, so that a client cannot make the server set memory
 * aside by declaring alone. */
static size_t body_cap_next(const struct http_connection *c, size_t needed)
{
    const struct http_exchange_private *x = &c->exchange_private;
    int64_t                             declared = c->exchange.body_bytes_declared;
    int64_t                             cap = x->body_cap     ? (int64_t)x->body_cap * 2
                                              : declared >= 0 ? num_min(declared, BODY_BYTES_TRUSTED)
                                                              : BODY_BYTES_FIRST;
    while (cap < (int64_t)needed)
        cap *= 2;
    if (declared >= 0) cap = num_min(cap, declared);
    return (size_t)num_min(cap, x->body_bytes_max);
}

/* False when the body grows over its limit; what was kept is let go then. */
static bool body_keep(struct http_connection *c, struct str piece)
{
    struct http_exchange_private *x = &c->exchange_private;
    size_t                        kept = c->exchange.body.len;
    if ((int64_t)piece.len > x->body_bytes_max - (int64_t)kept) {
        c->exchange.body = STR("");
        return false;
    }
    if (kept + piece.len > x->body_cap) {
        size_t cap = body_cap_next(c, kept + piece.len);
        char  *body = NEW(&c->arena, char, cap);
        if (kept) memcpy(body, x->body, kept);
        x->body = body;
        x->body_cap = cap;
    }
    memcpy(x->body + kept, piece.data, piece.len);
    c->exchange.body = (struct str){ x->body, kept + piece.len };
    return true;
}

static void count_received(struct http_connection *c, size_t count)
{
    c->exchange_private.body_bytes_received += (int64_t)count;
    atomic_store_explicit(&c->body_bytes, c->exchange_private.body_bytes_received,
                          memory_order_relaxed);
}

static enum MHD_Result take_piece(struct http_connection *c, const char *data, size_t *data_size)
{
    struct http_exchange_private *x = &c->exchange_private;
    struct str                    piece = { data, *data_size };
    count_received(c, piece.len);
    if (x->is_streamed)
        c->server->app.on_body(c->server->app.context, &c->exchange, piece);
    else if (!body_keep(c, piece))
        x->is_too_large = true;
    if (x->has_reply || x->is_too_large) return refuse(c, data_size);
    *data_size = 0;
    return MHD_YES;
}

static enum MHD_Result drop_piece(struct http_connection *c, size_t *data_size)
{
    count_received(c, *data_size);
    c->exchange_private.body_bytes_dropped += (int64_t)*data_size;
    return refuse(c, data_size);
}

static enum MHD_Result linger(struct http_connection *c, size_t *data_size)
{
    struct http_exchange_private *x = &c->exchange_private;
    x->body_bytes_dropped += (int64_t)*data_size;
    bool is_over = x->place == HTTP_AT_END || x->body_bytes_dropped > HTTP_LINGER_BYTES_MAX;
    *data_size = 0;
    return is_over ? MHD_NO : MHD_YES; /* MHD_NO closes */
}

/* --- the library's call --- */

static enum MHD_Result take_headers(struct http_connection *c, const char *method,
                                    const char *version, size_t *data_size)
{
    struct http_exchange_private *x = &c->exchange_private;
    if (x->is_unwelcome || !http_connection_admit(c)) return MHD_NO;
    int refusal = http_request_read(&c->exchange, method, version);
    if (refusal != 0) return http_reply_refusal(c, refusal);

    c->exchange.started_us = world_monotonic_us();
    c->exchange.is_surplus = http_connection_has_no_room(c);
    x->has_begun = true;
    c->server->app.on_headers(c->server->app.context, &c->exchange);

    if (!x->has_reply && !x->is_streamed)
        x->is_too_large = c->exchange.body_bytes_declared > x->body_bytes_max;
    if (x->has_reply || x->is_too_large) return refuse(c, data_size);
    x->step = HTTP_STEP_BODY;
    return MHD_YES;
}

/* Called with the headers in, then for every piece of a body, then at its end, and once more after
 * a resume. */
enum MHD_Result http_exchange_access(void *server, struct MHD_Connection *mhd, const char *url,
                                     const char *method, const char *version, const char *data,
                                     size_t *data_size, void **context)
{
    (void)server;
    (void)mhd;
    (void)url;
    struct http_connection       *c = *context;
    struct http_exchange_private *x = &c->exchange_private;
    if (x->step == HTTP_STEP_LINE) return take_headers(c, method, version, data_size);
    if (x->step == HTTP_STEP_REQUEST) return deliver(c, data_size); /* resumed */
    /* A piece of nothing: comes after a 100 to a request without a body, before its end. */
    if (data != NULL && *data_size == 0) return MHD_YES;

    bool is_piece = *data_size > 0;
    x->place = is_piece ? HTTP_IN_BODY : HTTP_AT_END;
    switch (x->step) {
    case HTTP_STEP_BODY: return is_piece ? take_piece(c, data, data_size) : answer(c, data_size);
    case HTTP_STEP_DROP: return is_piece ? drop_piece(c, data_size) : answer(c, data_size);
    case HTTP_STEP_LINGER: return linger(c, data_size);
    default: return MHD_NO;
    }
}
