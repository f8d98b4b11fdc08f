#include "platform/http_server_private.h"

#include "base/buf.h"
#include "base/time_text.h"
#include "base/world.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { REPLY_HEAD_BYTES_MAX = 64 << 10, REPLY_COPIED_BYTES_MIN = 32 << 10 };

static void set_reply(struct http_exchange_private *x, int status)
{
    CHECK(x->has_begun && !x->has_reply);
    CHECK(x->step == HTTP_STEP_LINE || x->step == HTTP_STEP_BODY || x->step == HTTP_STEP_REQUEST);
    CHECK(status >= 200 && status <= 599);
    x->status = status;
    x->has_reply = true;
}

void http_reply(struct http_exchange *exchange, int status, struct str body)
{
    set_reply(exchange->private, status);
    exchange->private->reply_body = body;
}

void http_reply_file(struct http_exchange *exchange, int status, int fd, int64_t offset,
                     int64_t length)
{
    struct http_exchange_private *x = exchange->private;
    CHECK(fd >= 0 && offset >= 0 && length >= 0);
    set_reply(x, status);
    x->reply_fd = fd;
    x->reply_offset = offset;
    x->reply_length = length;
}

void http_reply_header(struct http_exchange *exchange, const char *name, struct str value)
{
    struct http_exchange_private *x = exchange->private;
    for (size_t i = 0; i < value.len; i++)
        CHECK((unsigned char)value.data[i] >= 0x20 && value.data[i] != 0x7f);
    for (const char *at = name; *at; at++)
        CHECK(*at > 0x20 && *at < 0x7f && *at != ':');
    CHECK(strcasecmp(name, "Content-Length") != 0 && strcasecmp(name, "Connection") != 0);
    CHECK(strcasecmp(name, "Transfer-Encoding") != 0 && strcasecmp(name, "Date") != 0);

    struct http_reply_line *line = NEW(exchange->arena, struct http_reply_line, 1);
    line->name = str_c(exchange->arena, str_of(name));
    line->value = value.data ? str_c(exchange->arena, value) : "";
    if (x->reply_lines_last)
        x->reply_lines_last->next = line;
    else
        x->reply_lines = line;
    x->reply_lines_last = line;
}

void http_reply_drop(struct http_exchange_private *x)
{
    atomic_fetch_sub(&x->connection->server->reply_bytes, x->reply_bytes);
    x->reply_bytes = 0;
    if (x->reply_fd >= 0) close(x->reply_fd);
    x->reply_fd = -1;
}

/* The library copies none of the bytes: they are the arena's, which ends after the exchange. */
static struct MHD_Response *response_from_text(struct str text)
{
    return MHD_create_response_from_buffer(
        text.len, (void *)(uintptr_t)(text.data ? text.data : ""), MHD_RESPMEM_PERSISTENT);
}

/* A large reply is copied, and all that it took to make is given back: who is slow to take it holds
 * that copy and nothing else. */
static struct MHD_Response *response_from_reply(struct http_connection *connection)
{
    struct http_exchange_private *x = &connection->exchange_private;
    struct str                    text = x->reply_body;
    if (text.len < REPLY_COPIED_BYTES_MIN) return response_from_text(text);
    struct MHD_Response *response = MHD_create_response_from_buffer(
        text.len, (void *)(uintptr_t)text.data, MHD_RESPMEM_MUST_COPY);
    if (response == NULL) return NULL;
    x->reply_bytes = (int64_t)text.len;
    atomic_fetch_add(&connection->server->reply_bytes, x->reply_bytes);
    return response;
}

static void scratch_drop(struct http_connection *connection)
{
    if (!connection->exchange.has_scratch || connection->exchange_private.reply_bytes == 0) return;
    arena_rewind(&connection->arena, connection->exchange.scratch);
    connection->exchange_private.reply_lines = NULL;
}

/* The descriptor becomes the library's, which sends it with sendfile(2) where it can. */
static struct MHD_Response *response_from_file(struct http_exchange_private *x)
{
    if (x->reply_length == 0) return response_from_text(STR_NONE);
    struct MHD_Response *response = MHD_create_response_from_fd_at_offset64(
        (uint64_t)x->reply_length, x->reply_fd, (uint64_t)x->reply_offset);
    if (response) x->reply_fd = -1;
    return response;
}

static enum MHD_Result queue(struct http_connection *connection, int status,
                             struct MHD_Response *response)
{
    enum MHD_Result result = MHD_queue_response(connection->mhd, (unsigned)status, response);
    MHD_destroy_response(response); /* the queue holds its own reference */
    if (result == MHD_NO) return MHD_NO;
    http_connection_waits_for(connection, HTTP_WAIT_REPLY);
    return MHD_YES;
}

/* The library takes a bare LF for a chunk's line end, and trailers as they come: where such a body
 * ends, others may see otherwise. So nothing is heard after it. */
static bool is_last(const struct http_connection *connection)
{
    return connection->exchange.body_bytes_declared < 0 || connection->exchange.is_surplus ||
           atomic_load(&connection->server->is_draining);
}

enum MHD_Result http_reply_queue(struct http_connection *connection)
{
    struct http_exchange_private *x = &connection->exchange_private;
    CHECK(x->has_reply);
    struct MHD_Response *response =
        x->reply_fd >= 0 ? response_from_file(x) : response_from_reply(connection);
    if (response == NULL) return MHD_NO;
    for (const struct http_reply_line *line = x->reply_lines; line; line = line->next)
        CHECK(MHD_add_response_header(response, line->name, line->value) == MHD_YES);
    if (is_last(connection)) MHD_add_response_header(response, "Connection", "close");
    x->step = HTTP_STEP_REPLIED;
    scratch_drop(connection);
    return queue(connection, x->status, response);
}

enum MHD_Result http_reply_refusal(struct http_connection *connection, int status)
{
    struct MHD_Response *response = response_from_text(STR("The request is malformed.\n"));
    if (response == NULL) return MHD_NO;
    MHD_add_response_header(response, "Content-Type", "text/plain");
    MHD_add_response_header(response, "Connection", "close");
    return queue(connection, status, response);
}

void http_reply_write_head(const struct http_exchange_private *x, bool is_last, struct buf *out)
{
    char date[TIME_HTTP_BYTES];
    time_format_http(world_real_ms(), date);
    buf_fmt(out, "HTTP/1.1 %d %s\r\nDate: %s\r\n%sContent-Length: %zu\r\n", x->status,
            MHD_get_reason_phrase_for((unsigned)x->status), date,
            is_last ? "Connection: close\r\n" : "", x->reply_body.len);
    for (const struct http_reply_line *line = x->reply_lines; line; line = line->next)
        buf_fmt(out, "%s: %s\r\n", line->name, line->value);
    buf_add(out, STR("\r\n"));
}

/* Nothing else is under way on the socket, so its buffer takes a short reply whole. */
bool http_reply_send_whole(int fd, struct str text)
{
    return text.len == 0 ||
           send(fd, text.data, text.len, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)text.len;
}

bool http_reply_send(struct http_connection *connection)
{
    struct http_exchange_private *x = &connection->exchange_private;
    CHECK(x->has_reply && !connection->server->is_tls);
    if (x->reply_fd >= 0) return false; /* a refusal is short text */
    struct buf head;
    buf_init(&head, &connection->arena, REPLY_HEAD_BYTES_MAX);
    http_reply_write_head(x, true, &head);
    if (head.failed) return false;
    bool has_body = !str_eq(connection->exchange.method, STR("HEAD"));
    x->is_sent = http_reply_send_whole(connection->fd, buf_str(&head)) &&
                 (!has_body || http_reply_send_whole(connection->fd, x->reply_body));
    shutdown(connection->fd, SHUT_WR);
    return x->is_sent;
}
