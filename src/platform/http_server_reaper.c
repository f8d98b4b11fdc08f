#include "platform/http_server_private.h"

#include "base/num.h"
#include "base/world.h"

enum { REAP_MS_MIN = 20, REAP_MS_MAX = 250, DEADLINE_LOOKS = 8 };

/* A request that is on its way has come by then; hanging up earlier would hit good clients. */
enum { ROOM_GRACE_US = 1000000 };

/* A client that has its reply already needs no more than a few round trips to notice. */
enum { LINGER_US_MAX = 5000000 };

/* Room is made for so many newcomers at once, as finding it looks at every connection. */
enum { ROOM_SHARE = 64 };

/* --- pace --- */

/* Looked at in windows, so that what was sent quickly long ago does not excuse a trickle now. */
static bool is_too_slow(struct http_connection *connection, int64_t body_us, int64_t now_us)
{
    const struct http_server *server = connection->server;
    if (connection->pace_body_us != body_us) {
        connection->pace_body_us = connection->pace_from_us = body_us;
        connection->pace_bytes = 0;
    }
    int64_t window_us = now_us - connection->pace_from_us;
    if (window_us <= server->idle_us_max) return false;
    int64_t bytes = atomic_load_explicit(&connection->body_bytes, memory_order_relaxed);
    int64_t arrived = bytes - connection->pace_bytes;
    connection->pace_from_us = now_us;
    connection->pace_bytes = bytes;
    return arrived < server->body_bytes_per_s_min * (window_us / 1000) / 1000;
}

/* What has come and lies unread is late by our fault: the poll thread is busy with others. */
bool http_reaper_is_overdue(struct http_connection *connection, int64_t now_us)
{
    const struct http_server *server = connection->server;
    struct http_waiting       wait = http_connection_waiting(connection);
    int64_t                   waited_us = now_us - wait.since_us;
    switch (wait.what) {
    case HTTP_WAIT_REQUEST:
    case HTTP_WAIT_HEADERS:
        return waited_us > server->headers_us_max && !http_connection_has_unread(connection);
    case HTTP_WAIT_BODY:
        return is_too_slow(connection, wait.since_us, now_us) &&
               !http_connection_has_unread(connection);
    case HTTP_WAIT_CLOSE: return waited_us > num_min(server->idle_us_max, LINGER_US_MAX);
    case HTTP_WAIT_GONE: return true; /* the library may have missed that edge */
    case HTTP_WAIT_SERVER:
    case HTTP_WAIT_REPLY:
    case HTTP_WAIT_LEFT: return false;
    }
    return false;
}

/* --- room --- */

/* How long it has been spare; -1 = it is not. */
static int64_t waited_us(const struct http_connection *connection, int64_t now_us)
{
    struct http_waiting wait = http_connection_waiting(connection);
    return http_wait_is_spare(wait.what) ? now_us - wait.since_us : -1;
}

static int64_t longest_wait_us(const struct http_server *server, int64_t now_us)
{
    int64_t longest_us = 0;
    for (const struct http_connection *c = server->newest; c; c = c->older)
        longest_us = num_max(longest_us, waited_us(c, now_us));
    return longest_us;
}

/* Whoever has waited half as long as the longest is as good as that one. */
void http_reaper_make_room(struct http_server *server)
{
    int64_t now_us = world_monotonic_us();
    if (now_us < server->no_room_until_us) return;
    int64_t longest_us = longest_wait_us(server, now_us);
    if (longest_us < ROOM_GRACE_US) {
        server->no_room_until_us = now_us + ROOM_GRACE_US - longest_us;
        return;
    }
    int64_t least_us = num_max(longest_us / 2, ROOM_GRACE_US);
    int     wanted = atomic_load(&server->kept_count) - server->connections_max +
                 server->connections_max / ROOM_SHARE;
    for (struct http_connection *c = server->newest; c && wanted > 0; c = c->older)
        if (waited_us(c, now_us) >= least_us && http_connection_retire(c)) wanted--;
}

/* --- replies that nobody takes --- */

static int64_t reading_us(const struct http_connection *connection, int64_t now_us)
{
    struct http_waiting wait = http_connection_waiting(connection);
    return wait.what == HTTP_WAIT_REPLY ? now_us - wait.since_us : -1;
}

/* As for room: whoever has waited half as long as the longest is as good as that one. */
static void hang_up_on_slow_readers(struct http_server *server, int64_t now_us)
{
    int64_t longest_us = 0;
    for (const struct http_connection *c = server->newest; c; c = c->older)
        longest_us = num_max(longest_us, reading_us(c, now_us));
    if (longest_us < ROOM_GRACE_US) return;
    for (struct http_connection *c = server->newest; c; c = c->older)
        if (reading_us(c, now_us) >= num_max(longest_us / 2, ROOM_GRACE_US))
            http_connection_hang_up(c);
}

/* --- the thread --- */

static void reap(struct http_server *server, int64_t period_us)
{
    int64_t now_us = world_monotonic_us();
    for (struct http_connection *c = server->newest; c; c = c->older) {
        if (http_reaper_is_overdue(c, now_us))
            http_connection_hang_up(c);
        else
            http_connection_nudge(c, now_us, period_us);
    }
    if (atomic_load(&server->kept_count) > server->connections_max) http_reaper_make_room(server);
    if (atomic_load(&server->reply_bytes) > server->reply_bytes_max)
        hang_up_on_slow_readers(server, now_us);
}

static void *reaper_run(void *argument)
{
    struct http_server *server = argument;
    int64_t             shortest_ms = num_min(server->idle_us_max, server->headers_us_max) / 1000;
    int64_t period_ms = num_clamp(shortest_ms / DEADLINE_LOOKS, REAP_MS_MIN, REAP_MS_MAX);
    pthread_mutex_lock(&server->lock);
    while (!server->is_reaper_stopping) {
        reap(server, period_ms * 1000);
        http_connections_wait(server, period_ms);
    }
    pthread_mutex_unlock(&server->lock);
    return NULL;
}

void http_reaper_start(struct http_server *server)
{
    CHECK(pthread_create(&server->reaper, NULL, reaper_run, server) == 0);
}

void http_reaper_stop(struct http_server *server)
{
    pthread_mutex_lock(&server->lock);
    server->is_reaper_stopping = true;
    pthread_cond_broadcast(&server->changed);
    pthread_mutex_unlock(&server->lock);
    CHECK(pthread_join(server->reaper, NULL) == 0);
}
