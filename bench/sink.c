/* A receiver of webhooks that costs as little as it can: 200 to every whole request, connections
 * kept, one thread.
 *
 *   sink                                             prints its port, runs until it is killed */
#include "bench_store.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CONNECTIONS_MAX = 4096, REQUEST_BYTES_MAX = 16 << 10, EVENTS_MAX = 256 };

static const char reply[] = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

static struct {
    size_t have;
    char   bytes[REQUEST_BYTES_MAX + 1];
} connections[CONNECTIONS_MAX];

/* How long the whole request at the start is; 0 = it is not whole yet. */
static size_t request_length(const char *bytes, size_t have)
{
    const char *end = memmem(bytes, have, "\r\n\r\n", 4);
    if (end == NULL) return 0;
    const char *length = memmem(bytes, (size_t)(end - bytes), "Content-Length: ", 16);
    size_t      whole = (size_t)(end + 4 - bytes) + (length ? strtoul(length + 16, NULL, 10) : 0);
    return whole <= have ? whole : 0;
}

static void serve(int fd)
{
    ssize_t got = recv(fd, connections[fd].bytes + connections[fd].have,
                       REQUEST_BYTES_MAX - connections[fd].have, MSG_DONTWAIT);
    if (got < 0 && errno == EAGAIN) return;
    if (got <= 0) {
        close(fd);
        return;
    }
    connections[fd].have += (size_t)got;
    connections[fd].bytes[connections[fd].have] = '\0';
    size_t whole = request_length(connections[fd].bytes, connections[fd].have);
    if (whole == 0) return;
    connections[fd].have -= whole;
    memmove(connections[fd].bytes, connections[fd].bytes + whole, connections[fd].have);
    if (send(fd, reply, sizeof(reply) - 1, MSG_NOSIGNAL) < 0) close(fd);
}

static void admit(int epoll_fd, int listen_fd)
{
    int one = 1, fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC);
    if (fd < 0) return;
    if (fd >= CONNECTIONS_MAX) bench_die("sink", "too many connections");
    connections[fd].have = 0;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    struct epoll_event event = { .events = EPOLLIN, .data.fd = fd };
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0)
        bench_die("epoll_ctl", strerror(errno));
}

static int open_listener(void)
{
    struct sockaddr_in address = { .sin_family = AF_INET };
    socklen_t          size = sizeof(address);
    int                fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, size) != 0 || listen(fd, 1024) != 0 ||
        getsockname(fd, (struct sockaddr *)&address, &size) != 0)
        bench_die("listen", strerror(errno));
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    return fd;
}

int main(void)
{
    int                listen_fd = open_listener(), epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event events[EVENTS_MAX], first = { .events = EPOLLIN, .data.fd = listen_fd };
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listen_fd, &first) != 0)
        bench_die("epoll_ctl", strerror(errno));
    for (;;) {
        int count = epoll_wait(epoll_fd, events, EVENTS_MAX, -1);
        for (int i = 0; i < count; i++) {
            if (events[i].data.fd == listen_fd)
                admit(epoll_fd, listen_fd);
            else
                serve(events[i].data.fd);
        }
    }
}
