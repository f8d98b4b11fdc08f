#include "platform/http_server_private.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

/* Left to the library, the poll thread that wakes first takes most of the newcomers: of 64
 * connections one of four threads was seen with 50. So they are accepted here and dealt out by
 * turns. */

enum { ACCEPT_PAUSE_MS = 20 };

void http_accept_hand_over(struct http_server *server, int fd, const struct sockaddr *address,
                           socklen_t len)
{
    unsigned turn = atomic_fetch_add(&server->turns_count, 1) % (unsigned)server->threads_count;
    if (MHD_add_connection(server->daemons[turn], fd, address, len) != MHD_YES)
        http_accept_arrived(server);
}

/* Only an estimate is wanted, so it does not matter whose arrival it takes for done. */
void http_accept_arrived(struct http_server *server)
{
    int count = atomic_load_explicit(&server->arriving_count, memory_order_relaxed);
    while (count > 0 && !atomic_compare_exchange_weak(&server->arriving_count, &count, count - 1))
        continue;
}

static bool has_room(struct http_server *server)
{
    return atomic_load(&server->connections_count) + atomic_load(&server->arriving_count) <
           server->connections_max + HTTP_SURPLUS_MAX;
}

static void pause_for(struct http_server *server, int64_t ms)
{
    pthread_mutex_lock(&server->lock);
    http_connections_wait(server, ms);
    pthread_mutex_unlock(&server->lock);
}

static void accept_one(struct http_server *server)
{
    struct sockaddr_storage storage;
    struct sockaddr        *address = (struct sockaddr *)&storage;
    socklen_t               len = sizeof(storage);
    int fd = accept4(server->listen_fd, address, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
        atomic_fetch_add(&server->arriving_count, 1);
        http_accept_hand_over(server, fd, address, len);
    } else if (errno == EAGAIN) {
        poll(&(struct pollfd){ .fd = server->listen_fd, .events = POLLIN }, 1, -1);
    } else if (errno != EINTR && errno != ECONNABORTED) {
        pause_for(server, ACCEPT_PAUSE_MS); /* no descriptors, no memory: they wait in the queue */
    }
}

static void *accept_run(void *argument)
{
    struct http_server *server = argument;
    while (!atomic_load(&server->is_draining)) {
        if (has_room(server))
            accept_one(server);
        else
            pause_for(server, ACCEPT_PAUSE_MS);
    }
    return NULL;
}

void http_accept_start(struct http_server *server)
{
    CHECK(pthread_create(&server->acceptor, NULL, accept_run, server) == 0);
    pthread_setname_np(server->acceptor, "acceptor");
}

void http_accept_stop(struct http_server *server)
{
    CHECK(atomic_load(&server->is_draining));
    shutdown(server->listen_fd, SHUT_RDWR); /* wakes it */
    CHECK(pthread_join(server->acceptor, NULL) == 0);
    close(server->listen_fd);
}
