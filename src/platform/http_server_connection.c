#include "platform/http_server_private.h"

#include "base/world.h"
#include "platform/metrics.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

enum { DRAIN_LOOK_MS = 20, ARRIVE_US_MAX = 200000 };

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

/* The time first: it may be the next wait's, never an earlier one's. */
bool http_connection_admit(struct http_connection *connection)
{
    int expected = HTTP_WAIT_HEADERS;
    atomic_store_explicit(&connection->waits_since_us, world_monotonic_us(), memory_order_release);
    return atomic_compare_exchange_strong(&connection->waits_for, &expected, HTTP_WAIT_BODY);
}

bool http_wait_is_spare(enum http_wait what)
{
    return what == HTTP_WAIT_REQUEST || what == HTTP_WAIT_HEADERS || what == HTTP_WAIT_CLOSE;
}

struct http_waiting http_connection_waiting(const struct http_connection *connection)
{
    int what = atomic_load_explicit(&connection->waits_for, memory_order_acquire);
    return (struct http_waiting){
        .what = (enum http_wait)what,
        .since_us = atomic_load_explicit(&connection->waits_since_us, memory_order_acquire),
    };
}

/* shutdown(2), not close(2): the descriptor is the library's, which sees the end of the stream and
 * closes it on the poll thread. Each is a new edge, on a socket that was shut down before, too. */
void http_connection_hang_up(const struct http_connection *connection)
{
    shutdown(connection->fd, SHUT_RDWR);
}

/* What lies in the socket unread: > 0 something, 0 only the client's end, < 0 nothing. */
static ssize_t unread(const struct http_connection *connection)
{
    char byte;
    return recv(connection->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
}

bool http_connection_has_unread(const struct http_connection *connection)
{
    return unread(connection) > 0;
}

/* The library watches edges, and misses two. It takes a short read for the end of what there is:
 * when a client's last bytes and its end arrive together it reads the bytes and hears of the end
 * never. And having taken exactly as many events as it asks for at once, it waits for another
 * before it acts on any. Closing the socket for reading is a new edge for the one, setting its low
 * watermark, whatever to, for the other. */
void http_connection_nudge(const struct http_connection *connection, int64_t now_us,
                           int64_t patience_us)
{
    struct http_waiting wait = http_connection_waiting(connection);
    bool                reads = wait.what == HTTP_WAIT_REQUEST || wait.what == HTTP_WAIT_HEADERS ||
                 wait.what == HTTP_WAIT_BODY || wait.what == HTTP_WAIT_CLOSE;
    if (!reads || now_us - wait.since_us < patience_us) return;
    ssize_t left = unread(connection);
    if (left == 0) shutdown(connection->fd, SHUT_RD);
    if (left > 0) setsockopt(connection->fd, SOL_SOCKET, SO_RCVLOWAT, &(int){ 1 }, sizeof(int));
}

void http_connections_wait(struct http_server *server, int64_t ms)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    int64_t ns = until.tv_nsec + ms * 1000000;
    until.tv_sec += ns / 1000000000;
    until.tv_nsec = ns % 1000000000;
    pthread_cond_timedwait(&server->changed, &server->lock, &until);
}

void http_connections_open(struct http_server *server)
{
    pthread_condattr_t attributes;
    CHECK(pthread_condattr_init(&attributes) == 0);
    CHECK(pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC) == 0);
    CHECK(pthread_cond_init(&server->changed, &attributes) == 0);
    pthread_condattr_destroy(&attributes);
    CHECK(pthread_mutex_init(&server->lock, NULL) == 0);
}

/* It no longer takes a place. Under the lock. */
static void stop_keeping(struct http_connection *connection)
{
    if (connection->is_kept) atomic_fetch_sub(&connection->server->kept_count, 1);
    connection->is_kept = false;
}

/* A request that arrives later finds the connection gone. */
bool http_connection_retire(struct http_connection *connection)
{
    int waits_for = (int)http_connection_waiting(connection).what;
    if (!http_wait_is_spare((enum http_wait)waits_for)) return false;
    if (waits_for != HTTP_WAIT_CLOSE && http_connection_has_unread(connection)) return false;
    if (!atomic_compare_exchange_strong(&connection->waits_for, &waits_for, HTTP_WAIT_GONE))
        return false;
    stop_keeping(connection);
    http_connection_hang_up(connection);
    return true;
}

static void drain_look(struct http_server *server, bool is_late)
{
    int64_t now_us = world_monotonic_us();
    for (struct http_connection *c = server->newest; c; c = c->older) {
        enum http_wait what = http_connection_waiting(c).what;
        if (what == HTTP_WAIT_SERVER) continue;
        if (is_late || http_reaper_is_overdue(c, now_us))
            http_connection_hang_up(c);
        else if (what == HTTP_WAIT_REQUEST)
            http_connection_retire(c);
        else
            http_connection_nudge(c, now_us, DRAIN_LOOK_MS * 1000);
    }
}

/* Those that were given to the library are about to open, unless it had no room for them. */
static bool is_drained(struct http_server *server, int64_t began_us)
{
    if (server->newest != NULL || atomic_load(&server->parked_count) > 0) return false;
    return atomic_load(&server->arriving_count) == 0 ||
           world_monotonic_us() - began_us > ARRIVE_US_MAX;
}

void http_connections_drain(struct http_server *server, int64_t drain_ms_max)
{
    int64_t began_us = world_monotonic_us(), deadline_us = began_us + drain_ms_max * 1000;
    pthread_mutex_lock(&server->lock);
    while (!is_drained(server, began_us)) {
        drain_look(server, world_monotonic_us() >= deadline_us);
        http_connections_wait(server, DRAIN_LOOK_MS);
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

static void list_add(struct http_server *server, struct http_connection *c)
{
    c->older = server->newest;
    if (c->older) c->older->newer = c;
    server->newest = c;
    c->is_kept = true;
    atomic_fetch_add(&server->connections_count, 1);
    atomic_fetch_add(&server->kept_count, 1);
    metric_add(METRIC_CONNECTIONS, 1);
}

static void list_remove(struct http_server *server, struct http_connection *c)
{
    if (c->newer)
        c->newer->older = c->older;
    else
        server->newest = c->older;
    if (c->older) c->older->newer = c->newer;
    stop_keeping(c);
    atomic_fetch_sub(&server->connections_count, 1);
    metric_add(METRIC_CONNECTIONS, -1);
}

/* Under the lock. */
static bool address_has_too_many(const struct http_server *server, const char *peer)
{
    if (server->connections_per_address_max == 0) return false;
    int count = 0;
    for (const struct http_connection *c = server->newest; c; c = c->older)
        count += strcmp(c->peer, peer) == 0;
    return count > server->connections_per_address_max;
}

/* Whatever it has sent. Under the lock. */
static void turn_away(struct http_connection *connection)
{
    http_connection_waits_for(connection, HTTP_WAIT_GONE);
    stop_keeping(connection);
    http_connection_hang_up(connection);
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
    list_add(server, c);
    http_accept_arrived(server);
    if (address_has_too_many(server, c->peer)) turn_away(c);
    bool is_full = atomic_load(&server->kept_count) > server->connections_max;
    if (is_full) http_reaper_make_room(server);
    c->is_surplus = is_full && atomic_load(&server->kept_count) > server->connections_max;
    pthread_mutex_unlock(&server->lock);
}

bool http_connection_has_no_room(struct http_connection *connection)
{
    const struct http_server *server = connection->server;
    if (connection->is_surplus)
        connection->is_surplus = atomic_load(&server->kept_count) > server->connections_max;
    return connection->is_surplus;
}

static void connection_closed(struct http_server *server, struct http_connection *c)
{
    http_exchange_end(c, false);
    pthread_mutex_lock(&server->lock);
    list_remove(server, c);
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
