#include "platform/http_server_private.h"

#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* The library walks all suspended connections of a thread whenever one of them is resumed, and each
 * holds its 64 KiB of memory. So a connection that waits for long leaves it: we keep a duplicate of
 * the socket, let the library close its own, answer ourselves, and hand the socket back as if it
 * had just been accepted. */

enum { PARKED_HEAD_BYTES_MAX = 4 << 10 };

static_assert(sizeof((struct http_connection){ 0 }.peer) == HTTP_PEER_BYTES,
              "an address is kept whole");

/* RFC 9112 §9.3: a connection persists unless somebody says otherwise. */
static bool client_keeps_open(const struct http_exchange *exchange)
{
    struct str options = http_header_list(exchange, "Connection"), option;
    if (!exchange->private->is_http_1_1) return false;
    while (str_cut(&options, ',', &option))
        if (str_eq_ignoring_case(str_trim(option), STR("close"))) return false;
    return true;
}

/* What the library has read beyond the request would be lost. Its buffer is zeroed, so that a byte
 * behind the header block tells. */
static bool may_leave(const struct http_exchange *exchange, int64_t reply_bytes)
{
    const struct http_exchange_private *x = exchange->private;
    return !x->connection->server->is_tls && !exchange->is_surplus &&
           exchange->body_bytes_declared == 0 && *x->block_end == '\0' &&
           reply_bytes <= HTTP_PARKED_REPLY_BYTES_MAX;
}

void http_park(struct http_exchange *exchange, int64_t reply_bytes, struct http_parked *ret_parked)
{
    struct http_exchange_private *x = exchange->private;
    struct http_connection       *c = x->connection;
    CHECK(x->step == HTTP_STEP_REQUEST && !x->is_suspended && !x->has_reply);
    CHECK(str_eq(exchange->method, STR("GET")));
    *ret_parked = (struct http_parked){
        .server = c->server,
        .fd = may_leave(exchange, reply_bytes) ? fcntl(c->fd, F_DUPFD_CLOEXEC, 0) : -1,
        .is_last = !client_keeps_open(exchange),
        .started_us = exchange->started_us,
    };
    memcpy(ret_parked->peer, c->peer, sizeof(c->peer));
    if (ret_parked->fd < 0) {
        ret_parked->exchange = exchange;
        http_suspend(exchange);
        return;
    }
    atomic_fetch_add(&c->server->parked_count, 1);
    x->is_parked = true;
    x->has_begun = false; /* on_end is for the exchange that comes of http_unpark */
}

struct http_exchange *http_unpark(struct http_parked *parked, struct arena *arena)
{
    if (parked->exchange) return parked->exchange;
    struct http_connection       *c = NEW(arena, struct http_connection, 1);
    struct http_exchange_private *x = &c->exchange_private;
    c->server = parked->server;
    c->fd = parked->fd;
    memcpy(c->peer, parked->peer, sizeof(c->peer));
    *x = (struct http_exchange_private){
        .connection = c,
        .step = HTTP_STEP_REQUEST,
        .has_begun = true,
        .is_suspended = true,
        .parked = parked,
        .reply_fd = -1,
    };
    c->exchange = (struct http_exchange){
        .arena = arena,
        .method = STR("GET"),
        .path = STR(""),
        .peer = str_of(c->peer),
        .body = STR(""),
        .started_us = parked->started_us,
        .private = x,
    };
    return &c->exchange;
}

/* A quarter of the places stays for newcomers. */
static bool may_return(struct http_server *server)
{
    int taken = atomic_load(&server->kept_count) + atomic_fetch_add(&server->arriving_count, 1);
    if (!atomic_load(&server->is_draining) &&
        taken < server->connections_max - server->connections_max / 4)
        return true;
    http_accept_arrived(server);
    return false;
}

static bool send_reply(struct http_connection *connection, bool is_last)
{
    const struct http_exchange_private *x = &connection->exchange_private;
    struct buf                          text;
    buf_init(&text, connection->exchange.arena, PARKED_HEAD_BYTES_MAX + x->reply_body.len);
    http_reply_write_head(x, is_last, &text);
    buf_add(&text, x->reply_body);
    return !text.failed && http_reply_send_whole(connection->fd, buf_str(&text));
}

void http_park_answer(struct http_connection *connection)
{
    struct http_server           *server = connection->server;
    struct http_exchange_private *x = &connection->exchange_private;
    CHECK(x->reply_fd < 0);
    if (!x->parked->is_last) x->parked->is_last = !may_return(server);
    struct http_outcome outcome = {
        .status = x->status,
        .is_complete = send_reply(connection, x->parked->is_last),
    };
    server->app.on_end(server->app.context, &connection->exchange, &outcome);
}

/* As if it had just been accepted. A socket that the library does not want it closes. */
static void give_back(struct http_server *server, int fd)
{
    struct sockaddr_storage address = { 0 };
    socklen_t               len = sizeof(address);
    if (getpeername(fd, (struct sockaddr *)&address, &len) == 0) {
        http_accept_hand_over(server, fd, (struct sockaddr *)&address, len);
        return;
    }
    close(fd);
    http_accept_arrived(server);
}

void http_parked_end(struct http_parked *parked)
{
    if (parked->exchange) return;
    if (parked->is_last)
        close(parked->fd);
    else
        give_back(parked->server, parked->fd);
    atomic_fetch_sub(&parked->server->parked_count, 1);
}
