#include "platform/http_server_private.h"

#include "base/num.h"
#include "base/world.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

enum { REAP_MS_MIN = 20, REAP_MS_MAX = 1000, DRAIN_LOOK_MS = 20, DEADLINE_LOOKS = 8 };

/* since before what: whoever sees the new wait sees its new start too. */
void http_connection_waits_for(struct http_connection *connection, enum http_wait what)
{
    atomic_store_explicit(&connection->waits_since_us, world_monotonic_us(), memory_order_release);
    atomic_store_explicit(&connection->waits_for, (int)what, memory_order_release);
}

bool http_connection_begin(struct http_connection *connection)
{
    int expected = HTTP_WAIT_REQUEST; /* the deadline runs on: since stays */
    return atomic_compare_exchange_strong(&connection->waits_for, &expected, HTTP_WAIT_HEADERS);
}

static enum http_wait wait_of(const struct http_connection *connection)
{
    return (enum http_wait)atomic_load_explicit(&connection->waits_for, memory_order_acquire);
}

static bool is_overdue(const struct http_connection *connection, int64_t now_us)
{
    const struct http_server *server = connection->server;
    enum http_wait            what = wait_of(connection);
    int64_t                   waited_us =
        now_us - atomic_load_explicit(&connection->waits_since_us, memory_order_acquire);
    switch (what) {
    case HTTP_WAIT_REQUEST:
    case HTTP_WAIT_HEADERS: return waited_us > server->headers_us_max;
    case HTTP_WAIT_BODY: {
        if (waited_us <= server->idle_us_max) return false;
        double got = (double)atomic_load_explicit(&connection->body_bytes, memory_order_relaxed);
        return got * 1e6 < (double)server->body_bytes_per_s_min * (double)waited_us;
    }
    case HTTP_WAIT_CLOSE: return waited_us > server->idle_us_max;
    case HTTP_WAIT_SERVER:
    case HTTP_WAIT_REPLY:
    case HTTP_WAIT_GONE: return false;
    }
    return false;
}

/* shutdown(2), not close(2): the descriptor is the library's, which sees the end of the stream and
 * closes it on the poll thread. Under the lock, so the descriptor is still this connection's. */
static void hang_up(const struct http_connection *connection)
{
    shutdown(connection->fd, SHUT_RDWR);
}

/* What lies in the socket unread: > 0 something, 0 only the client's end, < 0 nothing. */
static ssize_t unread(const struct http_connection *connection)
{
    char byte;
    return recv(connection->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
}

/* The library watches edges, and takes a short read for the end of what there is: when a client's
 * last bytes and its end arrive together it reads the bytes and hears of the end never. Closing the
 * socket for reading is a new edge. */
static void nudge_if_client_has_ended(const struct http_connection *connection, int64_t now_us,
                                      int64_t patience_us)
{
    enum http_wait what = wait_of(connection);
    bool reads = what == HTTP_WAIT_REQUEST || what == HTTP_WAIT_HEADERS || what == HTTP_WAIT_BODY ||
                 what == HTTP_WAIT_CLOSE;
    if (!reads || now_us - atomic_load(&connection->waits_since_us) < patience_us) return;
    if (unread(connection) == 0) shutdown(connection->fd, SHUT_RD);
}

static void reap(struct http_server *server, int64_t period_us)
{
    int64_t now_us = world_monotonic_us();
    for (struct http_connection *c = server->newest; c; c = c->older) {
        if (is_overdue(c, now_us))
            hang_up(c);
        else
            nudge_if_client_has_ended(c, now_us, period_us);
    }
}

static void wait_for_change(struct http_server *server, int64_t ms)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    int64_t ns = until.tv_nsec + ms * 1000000;
    until.tv_sec += ns / 1000000000;
    until.tv_nsec = ns % 1000000000;
    pthread_cond_timedwait(&server->changed, &server->lock, &until);
}

static void *reaper_run(void *argument)
{
    struct http_server *server = argument;
    int64_t             shortest_ms = num_min(server->idle_us_max, server->headers_us_max) / 1000;
    int64_t period_ms = num_clamp(shortest_ms / DEADLINE_LOOKS, REAP_MS_MIN, REAP_MS_MAX);
    pthread_mutex_lock(&server->lock);
    while (!server->is_reaper_stopping) {
        reap(server, period_ms * 1000);
        wait_for_change(server, period_ms);
    }
    pthread_mutex_unlock(&server->lock);
    return NULL;
}

void http_connections_open(struct http_server *server)
{
    pthread_condattr_t attributes;
    CHECK(pthread_condattr_init(&attributes) == 0);
    CHECK(pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC) == 0);
    CHECK(pthread_cond_init(&server->changed, &attributes) == 0);
    pthread_condattr_destroy(&attributes);
    CHECK(pthread_mutex_init(&server->lock, NULL) == 0);
    CHECK(pthread_create(&server->reaper, NULL, reaper_run, server) == 0);
}

static void reaper_end(struct http_server *server)
{
    pthread_mutex_lock(&server->lock);
    server->is_reaper_stopping = true;
    pthread_cond_broadcast(&server->changed);
    pthread_mutex_unlock(&server->lock);
    CHECK(pthread_join(server->reaper, NULL) == 0);
}

/* Hang up unless a request has arrived; one that arrives later finds the connection gone. */
static void close_if_idle(struct http_connection *connection)
{
    int expected = HTTP_WAIT_REQUEST;
    if (unread(connection) > 0) return;
    if (atomic_compare_exchange_strong(&connection->waits_for, &expected, HTTP_WAIT_GONE))
        hang_up(connection);
}

static void drain_look(struct http_server *server, bool is_late)
{
    int64_t now_us = world_monotonic_us();
    for (struct http_connection *c = server->newest; c; c = c->older) {
        enum http_wait what = wait_of(c);
        if (what == HTTP_WAIT_SERVER) continue;
        if (is_late || is_overdue(c, now_us))
            hang_up(c);
        else if (what == HTTP_WAIT_REQUEST)
            close_if_idle(c);
        else
            nudge_if_client_has_ended(c, now_us, DRAIN_LOOK_MS * 1000);
    }
}

void http_connections_drain(struct http_server *server, int64_t drain_ms_max)
{
    reaper_end(server);
    int64_t deadline_us = world_monotonic_us() + drain_ms_max * 1000;
    pthread_mutex_lock(&server->lock);
    while (server->newest != NULL) {
        drain_look(server, world_monotonic_us() >= deadline_us);
        wait_for_change(server, DRAIN_LOOK_MS);
    }
    pthread_mutex_unlock(&server->lock);
}

void http_connections_close(struct http_server *server)
{
    CHECK(server->newest == NULL);
    pthread_cond_destroy(&server->changed);
    pthread_mutex_destroy(&server->lock);
}

/* An IPv4 client of a dual-stack socket is shown as IPv4. */
static void peer_text(const struct sockaddr *address, char text[INET6_ADDRSTRLEN])
{
    static const unsigned char mapped[12] = { [10] = 0xff, [11] = 0xff };
    const void                *bytes = NULL;
    int                        family = address ? address->sa_family : AF_UNSPEC;
    if (family == AF_INET) {
        bytes = &((const struct sockaddr_in *)(const void *)address)->sin_addr;
    } else if (family == AF_INET6) {
        const struct in6_addr *in6 =
            &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr;
        bytes = in6;
        if (memcmp(in6->s6_addr, mapped, sizeof(mapped)) == 0) {
            family = AF_INET;
            bytes = in6->s6_addr + sizeof(mapped);
        }
    }
    if (bytes == NULL || inet_ntop(family, bytes, text, INET6_ADDRSTRLEN) == NULL) text[0] = '\0';
}

static void connection_opened(struct http_server *server, struct MHD_Connection *mhd,
                              void **context)
{
    struct http_connection *c = calloc(1, sizeof(*c));
    CHECK(c != NULL);
    c->server = server;
    c->mhd = mhd;
    c->fd = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
    peer_text(MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CLIENT_ADDRESS)->client_addr,
              c->peer);
    http_connection_waits_for(c, HTTP_WAIT_REQUEST);
    /* Replies leave at once; the library corks what belongs together itself. */
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int));
    *context = c;

    pthread_mutex_lock(&server->lock);
    c->older = server->newest;
    if (c->older) c->older->newer = c;
    server->newest = c;
    atomic_fetch_add(&server->connections_count, 1);
    pthread_mutex_unlock(&server->lock);
}

static void connection_closed(struct http_server *server, struct http_connection *c)
{
    http_exchange_end(c, false);
    pthread_mutex_lock(&server->lock);
    if (c->newer)
        c->newer->older = c->older;
    else
        server->newest = c->older;
    if (c->older) c->older->newer = c->newer;
    atomic_fetch_sub(&server->connections_count, 1);
    if (server->newest == NULL) pthread_cond_broadcast(&server->changed);
    pthread_mutex_unlock(&server->lock);
    free(c);
}

void http_connection_notice(void *server, struct MHD_Connection *mhd, void **context,
                            enum MHD_ConnectionNotificationCode code)
{
    if (code == MHD_CONNECTION_NOTIFY_STARTED)
        connection_opened(server, mhd, context);
    else if (*context != NULL)
        connection_closed(server, *context);
}
