/* For the tests of the HTTP adapter: a small application to serve, and a raw client. */
#ifndef FIRSTHAND_TESTS_HTTP_PROBE_H
#define FIRSTHAND_TESTS_HTTP_PROBE_H

#include "platform/http_server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

enum { PROBE_WAIT_S = 30, PROBE_SMALL_BYTES = 1000, PROBE_ECHO_BYTES = 2 << 20, PARKED_MAX = 4096 };

/* --- the application --- */

/* Paths: /echo gives the body back, /where path and query, /stream counts what it is given,
 * /small takes PROBE_SMALL_BYTES, /refuse answers 404 from the headers, /refuse-type 415 from the
 * first piece, /later is answered by another thread, /park waits
 * for long and /park-large for a large reply, /hold when the test says so (/block too, and
 * its poll thread does nothing else meanwhile), /file/O/L from
 * the file, /status/N with that status; /thread with the poll thread's number; everything else is
 * "hello". */
struct probe {
    struct http_server *server;
    int                 port;
    pthread_mutex_t     lock;
    pthread_cond_t      changed;

    int                 begun_count, requests_count, ended_count, complete_count;
    int                 too_large_count;
    int64_t             streamed_bytes;
    size_t              piece_bytes_max, arena_bytes_max;
    struct http_outcome last;

    struct http_exchange *parked[PARKED_MAX]; /* a ring: /later, and /hold once released */
    size_t                parked_first, parked_end;
    struct http_exchange *held;
    struct http_parked    waiting[8]; /* /park, in the order of their coming */
    int                   waiting_count;
    int                   blocked_count;
    int                   may_go_on_count; /* so many of them */
    bool                  is_ending;
    pthread_t             worker;
    int                   file_fd;
};

struct probe_stream {
    int64_t bytes;
};

static inline struct str probe_count_text(struct http_exchange *exchange, int64_t count)
{
    return str_format(exchange->arena, "%lld", (long long)count);
}

static inline void probe_on_headers(void *context, struct http_exchange *exchange)
{
    struct probe *probe = context;
    pthread_mutex_lock(&probe->lock);
    probe->begun_count++;
    pthread_cond_broadcast(&probe->changed);
    pthread_mutex_unlock(&probe->lock);
    if (exchange->is_surplus) {
        http_reply(exchange, 503, STR("too many"));
    } else if (str_starts_with(exchange->path, STR("/refuse-type")) ||
               str_eq(exchange->path, STR("/stream"))) {
        exchange->app_state = NEW(exchange->arena, struct probe_stream, 1);
        http_body_stream(exchange);
    } else if (str_eq(exchange->path, STR("/refuse"))) {
        http_reply(exchange, 404, STR("no such place"));
    } else if (str_eq(exchange->path, STR("/small"))) {
        http_body_buffer(exchange, PROBE_SMALL_BYTES);
    } else {
        http_body_buffer(exchange, PROBE_ECHO_BYTES);
    }
}

static inline void probe_on_body(void *context, struct http_exchange *exchange, struct str piece)
{
    struct probe        *probe = context;
    struct probe_stream *stream = exchange->app_state;
    stream->bytes += (int64_t)piece.len;
    pthread_mutex_lock(&probe->lock);
    probe->streamed_bytes += (int64_t)piece.len;
    if (piece.len > probe->piece_bytes_max) probe->piece_bytes_max = piece.len;
    pthread_cond_broadcast(&probe->changed);
    pthread_mutex_unlock(&probe->lock);
    if (str_eq(exchange->path, STR("/refuse-type"))) http_reply(exchange, 415, STR("not that"));
}

static inline void probe_park(struct probe *probe, struct http_exchange *exchange)
{
    CHECK(probe->parked_end - probe->parked_first < PARKED_MAX);
    probe->parked[probe->parked_end++ % PARKED_MAX] = exchange;
    pthread_cond_broadcast(&probe->changed);
}

static inline void probe_reply_file(struct probe *probe, struct http_exchange *exchange)
{
    struct str rest = str_skip(exchange->path, strlen("/file/"));
    struct str offset_text;
    int64_t    offset, length;
    CHECK(str_cut(&rest, '/', &offset_text) && str_to_int64(offset_text, &offset));
    CHECK(str_to_int64(rest, &length));
    http_reply_file(exchange, 200, dup(probe->file_fd), offset, length);
}

static inline void probe_suspend(struct probe *probe, struct http_exchange *exchange)
{
    http_suspend(exchange);
    pthread_mutex_lock(&probe->lock);
    if (str_eq(exchange->path, STR("/hold")))
        probe->held = exchange;
    else
        probe_park(probe, exchange);
    pthread_cond_broadcast(&probe->changed);
    pthread_mutex_unlock(&probe->lock);
}

static inline void probe_wait(struct probe *probe, struct http_exchange *exchange)
{
    bool is_large = str_eq(exchange->path, STR("/park-large"));
    pthread_mutex_lock(&probe->lock);
    CHECK(probe->waiting_count < (int)COUNT_OF(probe->waiting));
    http_park(exchange, is_large ? HTTP_PARKED_REPLY_BYTES_MAX + 1 : HTTP_PARKED_REPLY_BYTES_MAX,
              &probe->waiting[probe->waiting_count++]);
    pthread_cond_broadcast(&probe->changed);
    pthread_mutex_unlock(&probe->lock);
}

/* Answer a waiting one, as any thread may. */
static inline void probe_answer(struct http_parked *parked, struct str body)
{
    struct arena arena;
    arena_init(&arena, 1 << 20);
    struct http_exchange *exchange = http_unpark(parked, &arena);
    CHECK(str_eq(exchange->method, STR("GET")) && exchange->started_us > 0);
    http_reply_header(exchange, "X-Peer", exchange->peer);
    http_reply(exchange, 200, body);
    http_resume(exchange);
    http_parked_end(parked);
    arena_deinit(&arena);
}

static inline void probe_block(struct probe *probe)
{
    pthread_mutex_lock(&probe->lock);
    int number = ++probe->blocked_count;
    pthread_cond_broadcast(&probe->changed);
    while (probe->may_go_on_count < number)
        pthread_cond_wait(&probe->changed, &probe->lock);
    pthread_mutex_unlock(&probe->lock);
}

static inline void probe_unblock(struct probe *probe)
{
    pthread_mutex_lock(&probe->lock);
    probe->may_go_on_count++;
    pthread_cond_broadcast(&probe->changed);
    pthread_mutex_unlock(&probe->lock);
}

static inline void probe_on_request(void *context, struct http_exchange *exchange)
{
    struct probe *probe = context;
    int64_t       status = 0;
    pthread_mutex_lock(&probe->lock);
    probe->requests_count++;
    if (http_body_is_too_large(exchange)) probe->too_large_count++;
    pthread_cond_broadcast(&probe->changed);
    pthread_mutex_unlock(&probe->lock);

    if (str_eq(exchange->path, STR("/block"))) probe_block(probe);
    if (str_eq(exchange->path, STR("/later")) || str_eq(exchange->path, STR("/hold"))) {
        probe_suspend(probe, exchange);
    } else if (str_starts_with(exchange->path, STR("/park"))) {
        probe_wait(probe, exchange);
    } else if (http_body_is_too_large(exchange)) {
        CHECK(exchange->body.len == 0);
        http_reply(exchange, 413, STR("too much"));
    } else if (str_eq(exchange->path, STR("/echo"))) {
        http_reply_header(exchange, "X-Peer", exchange->peer);
        http_reply(exchange, 200, exchange->body);
    } else if (str_eq(exchange->path, STR("/where")) ||
               str_starts_with(exchange->path, STR("/where/"))) {
        http_reply(exchange, 200,
                   str_format(exchange->arena, "%.*s|%.*s|%s", STR_ARG(exchange->path),
                              STR_ARG(exchange->query), exchange->query.data ? "query" : "none"));
    } else if (str_eq(exchange->path, STR("/thread"))) {
        http_reply(exchange, 200, probe_count_text(exchange, gettid()));
    } else if (str_eq(exchange->path, STR("/header"))) {
        struct str value = http_header(exchange, "x-probe");
        http_reply(exchange, 200, value.data ? value : STR("absent"));
    } else if (str_eq(exchange->path, STR("/headers"))) {
        struct str value = http_header_list(exchange, "x-probe");
        http_reply(exchange, 200, value.data ? value : STR("absent"));
    } else if (str_eq(exchange->path, STR("/stream"))) {
        struct probe_stream *stream = exchange->app_state;
        http_reply(exchange, 200, probe_count_text(exchange, stream->bytes));
    } else if (str_eq(exchange->path, STR("/evil"))) {
        http_reply_header(exchange, "X-Evil", STR("a\rSet-Cookie: b"));
        http_reply(exchange, 200, STR(""));
    } else if (str_starts_with(exchange->path, STR("/file/"))) {
        probe_reply_file(probe, exchange);
    } else if (str_starts_with(exchange->path, STR("/status/"))) {
        CHECK(str_to_int64(str_skip(exchange->path, strlen("/status/")), &status));
        http_reply(exchange, (int)status, STR("hello"));
    } else {
        http_reply(exchange, 200, STR("hello"));
    }
}

static inline void probe_on_end(void *context, struct http_exchange *exchange,
                                const struct http_outcome *outcome)
{
    struct probe *probe = context;
    pthread_mutex_lock(&probe->lock);
    probe->ended_count++;
    probe->complete_count += outcome->is_complete;
    probe->last = *outcome;
    if (exchange->arena->used_bytes > probe->arena_bytes_max)
        probe->arena_bytes_max = exchange->arena->used_bytes;
    pthread_cond_broadcast(&probe->changed);
    pthread_mutex_unlock(&probe->lock);
}

static inline void *probe_worker(void *context)
{
    struct probe *probe = context;
    pthread_mutex_lock(&probe->lock);
    while (!probe->is_ending || probe->parked_first != probe->parked_end) {
        if (probe->parked_first == probe->parked_end) {
            pthread_cond_wait(&probe->changed, &probe->lock);
            continue;
        }
        struct http_exchange *exchange = probe->parked[probe->parked_first++ % PARKED_MAX];
        pthread_mutex_unlock(&probe->lock);
        http_reply_header(exchange, "X-Later", STR("yes"));
        http_reply(exchange, http_body_is_too_large(exchange) ? 413 : 200, STR("later"));
        http_resume(exchange);
        pthread_mutex_lock(&probe->lock);
    }
    pthread_mutex_unlock(&probe->lock);
    return NULL;
}

static inline int probe_listen(struct str address)
{
    struct error error = { 0 };
    int          fd = -1;
    if (http_listen(address, 0, &error, &fd) != ERR_OK)
        fail_msg("%s: %s", error.slug, error.detail);
    return fd;
}

/* A port where nobody listens, and nobody else can as long as the descriptor is open: for who says
 * SO_REUSEADDR, as http_listen does, it is free. */
static inline int probe_hold_port(int *ret_port)
{
    int                fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){ 1 }, sizeof(int)), 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    *ret_port = http_listen_port(fd);
    return fd;
}

static inline struct http_server_options probe_options(void)
{
    return (struct http_server_options){
        .listen_fd = probe_listen(STR("127.0.0.1")),
        .threads_count = 2,
        .connections_max = 200,
        .idle_ms_max = 20000,
        .headers_ms_max = 20000,
        .body_bytes_per_s_min = 1,
        .reply_bytes_max = HTTP_REPLY_BYTES_MAX,
    };
}

static inline void probe_start(struct probe *probe, const struct http_server_options *options)
{
    memset(probe, 0, sizeof(*probe));
    pthread_mutex_init(&probe->lock, NULL);
    pthread_cond_init(&probe->changed, NULL);
    char path[] = "/tmp/probe-XXXXXX";
    probe->file_fd = mkstemp(path);
    assert_true(probe->file_fd >= 0);
    unlink(path);
    for (int i = 0; i < 10000; i++)
        assert_int_equal(dprintf(probe->file_fd, "line %04d\n", i), 10);
    assert_int_equal(pthread_create(&probe->worker, NULL, probe_worker, probe), 0);
    struct http_app app = { probe, probe_on_headers, probe_on_body, probe_on_request,
                            probe_on_end };
    struct error    error = { 0 };
    probe->port = http_listen_port(options->listen_fd);
    if (http_server_start(options, &app, &error, &probe->server) != ERR_OK)
        fail_msg("%s: %s", error.slug, error.detail);
}

static inline void probe_release(struct probe *probe)
{
    pthread_mutex_lock(&probe->lock);
    assert_non_null(probe->held);
    probe_park(probe, probe->held);
    probe->held = NULL;
    pthread_mutex_unlock(&probe->lock);
}

static inline void probe_stop(struct probe *probe)
{
    http_server_stop(probe->server, 5000);
    pthread_mutex_lock(&probe->lock);
    probe->is_ending = true;
    pthread_cond_broadcast(&probe->changed);
    pthread_mutex_unlock(&probe->lock);
    pthread_join(probe->worker, NULL);
    close(probe->file_fd);
    assert_int_equal(probe->begun_count, probe->ended_count);
    pthread_cond_destroy(&probe->changed);
    pthread_mutex_destroy(&probe->lock);
}

/* Wait until the counter is at least that. */
static inline void probe_await(struct probe *probe, const int *counter, int at_least)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += PROBE_WAIT_S;
    int failed = 0;
    pthread_mutex_lock(&probe->lock);
    while (*counter < at_least && failed == 0)
        failed = pthread_cond_timedwait(&probe->changed, &probe->lock, &until);
    int reached = *counter;
    pthread_mutex_unlock(&probe->lock);
    assert_true(reached >= at_least);
}

static inline void probe_await_held(struct probe *probe)
{
    pthread_mutex_lock(&probe->lock);
    while (probe->held == NULL)
        pthread_cond_wait(&probe->changed, &probe->lock);
    pthread_mutex_unlock(&probe->lock);
}

/* --- the client --- */

struct client {
    int    fd;
    size_t len;
    char   bytes[256 << 10]; /* received, not yet consumed */
};

struct response {
    int        status;
    struct str head; /* both borrowed from the client until the next response */
    struct str body;
    char       head_text[8192];
    char       body_text[4096];
};

static inline int client_dial(int port)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    struct timeval     wait = { .tv_sec = PROBE_WAIT_S };
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_port = htons((uint16_t)port),
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait));
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

static inline void client_open(struct client *client, struct probe *probe)
{
    client->fd = client_dial(probe->port);
    client->len = 0;
}

static inline void client_close(struct client *client)
{
    close(client->fd);
}

/* False when the peer does not take it all. */
static inline bool client_try_send(struct client *client, const void *bytes, size_t count)
{
    const char *at = bytes;
    while (count > 0) {
        ssize_t sent = send(client->fd, at, count, MSG_NOSIGNAL);
        if (sent <= 0) return false;
        at += sent;
        count -= (size_t)sent;
    }
    return true;
}

static inline void client_send(struct client *client, const char *text)
{
    assert_true(client_try_send(client, text, strlen(text)));
}

/* More bytes into the buffer; false at the end of the stream. A time-out fails the test. */
static inline bool client_fill(struct client *client)
{
    assert_true(client->len < sizeof(client->bytes) - 1);
    ssize_t got =
        recv(client->fd, client->bytes + client->len, sizeof(client->bytes) - 1 - client->len, 0);
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) fail_msg("no answer in time");
    if (got <= 0) return false;
    client->len += (size_t)got;
    client->bytes[client->len] = '\0';
    return true;
}

static inline void client_consume(struct client *client, size_t count)
{
    memmove(client->bytes, client->bytes + count, client->len - count);
    client->len -= count;
    client->bytes[client->len] = '\0';
}

/* One response; false when the connection ends first. */
static inline bool client_try_read(struct client *client, bool is_head, struct response *response)
{
    client->bytes[client->len] = '\0';
    char *end;
    while ((end = strstr(client->bytes, "\r\n\r\n")) == NULL)
        if (!client_fill(client)) return false;
    size_t head_len = (size_t)(end - client->bytes) + 4;
    assert_true(head_len < sizeof(response->head_text));
    memcpy(response->head_text, client->bytes, head_len);
    response->head_text[head_len] = '\0';
    response->head = (struct str){ response->head_text, head_len };
    assert_int_equal(sscanf(response->head_text, "HTTP/1.1 %d", &response->status), 1);

    char  *length_text = strcasestr(response->head_text, "\r\nContent-Length: ");
    size_t length = length_text ? (size_t)strtoll(length_text + 18, NULL, 10) : 0;
    if (is_head || response->status == 204 || response->status == 304 || response->status == 100)
        length = 0;
    client_consume(client, head_len);
    while (client->len < length)
        if (!client_fill(client)) return false;
    size_t kept =
        length < sizeof(response->body_text) - 1 ? length : sizeof(response->body_text) - 1;
    memcpy(response->body_text, client->bytes, kept);
    response->body_text[kept] = '\0';
    response->body = (struct str){ response->body_text, length };
    client_consume(client, length);
    return true;
}

static inline void client_read(struct client *client, struct response *response)
{
    assert_true(client_try_read(client, false, response));
}

/* The connection ends without another byte. */
static inline void client_expect_end(struct client *client)
{
    if (client->len == 0 && !client_fill(client)) return;
    fail_msg("unexpected: %.200s", client->bytes);
}

/* One request on a connection of its own. */
static inline void ask(struct probe *probe, const char *request, struct response *response)
{
    static __thread struct client client;
    client_open(&client, probe);
    client_send(&client, request);
    client_read(&client, response);
    client_close(&client);
}

#define HOST "Host: t\r\n"

#endif
