/* A receiver of requests that answers as the path says, well or badly: a thread for each
 * connection, on a free port of 127.0.0.1. The including test has cmocka.h included before. */
#ifndef FIRSTHAND_TESTS_RAW_RECEIVER_H
#define FIRSTHAND_TESTS_RAW_RECEIVER_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { RECEIVER_REQUEST_BYTES_MAX = 64 << 10, RECEIVER_CONNECTIONS_MAX = 512 };

struct receiver {
    int        fd, port;
    pthread_t  thread;
    atomic_int connections, requests, hanging;
    pthread_t  threads[RECEIVER_CONNECTIONS_MAX];
};

struct connection {
    struct receiver *receiver;
    int              fd;
    char             request[RECEIVER_REQUEST_BYTES_MAX];
};

static inline bool receiver_send(int fd, const char *text, size_t len)
{
    while (len > 0) {
        ssize_t sent = send(fd, text, len, MSG_NOSIGNAL);
        if (sent <= 0) return false;
        text += sent;
        len -= (size_t)sent;
    }
    return true;
}

static inline bool receiver_say(int fd, const char *text)
{
    return receiver_send(fd, text, strlen(text));
}

/* A whole request; false when the peer is gone. */
static inline bool receiver_read(struct connection *c)
{
    size_t have = 0;
    for (;;) {
        ssize_t got = recv(c->fd, c->request + have, sizeof(c->request) - 1 - have, 0);
        if (got <= 0) return false;
        have += (size_t)got;
        c->request[have] = '\0';
        const char *end = strstr(c->request, "\r\n\r\n");
        const char *length = strstr(c->request, "Content-Length: ");
        if (end == NULL) continue;
        size_t body = length ? strtoul(length + 16, NULL, 10) : 0;
        if (have >= (size_t)(end + 4 - c->request) + body) return true;
    }
}

static inline void receiver_wait_for_end(struct connection *c)
{
    char byte;
    atomic_fetch_add(&c->receiver->hanging, 1);
    while (recv(c->fd, &byte, 1, 0) > 0)
        ;
    atomic_fetch_sub(&c->receiver->hanging, 1);
}

static inline void receiver_drip(struct connection *c)
{
    receiver_say(c->fd, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n");
    while (receiver_send(c->fd, "x", 1))
        usleep(20000);
}

static inline void receiver_flood(struct connection *c, const char *head, const char *piece)
{
    receiver_say(c->fd, head);
    while (receiver_say(c->fd, piece))
        ;
}

/* gzip: a hundred bytes that are a hundred thousand when they are unpacked. */
static inline void receiver_bomb(struct connection *c)
{
    static const char packed[132] = {
        [0] = '\x1f',   [1] = '\x8b',   [2] = '\x08',   [8] = '\x02',   [9] = '\x03',
        [10] = '\xed',  [11] = '\xc1',  [12] = '\x31',  [13] = '\x01',  [17] = '\xc2',
        [18] = '\xa0',  [19] = '\xda',  [20] = '\x8b',  [21] = '\x6f',  [22] = '\x0d',
        [23] = '\x0f',  [24] = '\xa0',  [121] = '\x80', [122] = '\x57', [123] = '\x03',
        [124] = '\x71', [125] = '\x11', [126] = '\x07', [127] = '\xfe', [128] = '\xa0',
        [129] = '\x86', [130] = '\x01'
    };
    receiver_say(c->fd, "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n");
    receiver_send(c->fd, packed, sizeof(packed));
}

static inline void receiver_reset(struct connection *c)
{
    struct linger none = { .l_onoff = 1 };
    setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &none, sizeof(none));
}

static inline bool receiver_echo(struct connection *c)
{
    char head[80];
    snprintf(head, sizeof(head), "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n",
             strlen(c->request));
    return receiver_say(c->fd, head) && receiver_say(c->fd, c->request);
}

/* Is the path of the request this? */
static inline bool receiver_asked(const struct connection *c, const char *path)
{
    return strncmp(c->request + strlen("POST "), path, strlen(path)) == 0;
}

/* The reply has the header that the request's X-Reply has. */
static inline bool receiver_say_back(struct connection *c)
{
    static const char name[] = "\r\nX-Reply: ";
    const char       *line = strstr(c->request, name);
    char              head[512];
    if (line == NULL) return false;
    line += strlen(name);
    snprintf(head, sizeof(head), "HTTP/1.1 503 Later\r\nContent-Length: 0\r\n%.*s\r\n\r\n",
             (int)strcspn(line, "\r"), line);
    return receiver_say(c->fd, head);
}

/* May another request follow on the connection? */
static inline bool receiver_answer(struct connection *c, int number)
{
    static const char big[] = "0123456789012345678901234567890123456789012345678901234567890123456";
    if (receiver_asked(c, "/ok"))
        return receiver_say(c->fd, "HTTP/1.1 200 OK\r\nContent-Length: 4"
                                   "\r\n\r\nfine");
    if (receiver_asked(c, "/echo")) return receiver_echo(c);
    if (receiver_asked(c, "/gone"))
        return receiver_say(c->fd, "HTTP/1.1 410 Gone\r\nContent-Length: 0\r\n\r\n");
    if (receiver_asked(c, "/later"))
        return receiver_say(c->fd, "HTTP/1.1 429 Later\r\nRetry-After: 7\r\nContent-Length: 0\r\n"
                                   "\r\n");
    if (receiver_asked(c, "/headers")) receiver_flood(c, "HTTP/1.1 200 OK\r\n", "X-Long: yes\r\n");
    if (receiver_asked(c, "/header")) return receiver_say_back(c);
    if (receiver_asked(c, "/bomb")) receiver_bomb(c);
    if (receiver_asked(c, "/redirect"))
        return receiver_say(c->fd, "HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/\r\n"
                                   "Content-Length: 0\r\n\r\n");
    if (receiver_asked(c, "/once") && number == 1)
        return receiver_say(c->fd, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    if (receiver_asked(c, "/half"))
        receiver_say(c->fd, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf");
    if (receiver_asked(c, "/junk")) receiver_say(c->fd, "SSH-2.0-OpenSSH_9.2\r\n\r\n");
    if (receiver_asked(c, "/hang")) receiver_wait_for_end(c);
    if (receiver_asked(c, "/drip")) receiver_drip(c);
    if (receiver_asked(c, "/huge")) receiver_flood(c, "HTTP/1.1 200 OK\r\n\r\n", big);
    if (receiver_asked(c, "/reset")) receiver_reset(c);
    return false; /* closed without a word */
}

static inline void *receiver_serve(void *argument)
{
    struct connection *c = argument;
    for (int number = 1; receiver_read(c); number++) {
        atomic_fetch_add(&c->receiver->requests, 1);
        if (!receiver_answer(c, number)) break;
    }
    close(c->fd);
    free(c);
    return NULL;
}

static inline void *receiver_accept(void *argument)
{
    struct receiver *receiver = argument;
    int              fd;
    while ((fd = accept(receiver->fd, NULL, NULL)) >= 0) {
        struct connection *c = calloc(1, sizeof(*c));
        c->receiver = receiver;
        c->fd = fd;
        int at = atomic_fetch_add(&receiver->connections, 1);
        if (at >= RECEIVER_CONNECTIONS_MAX) abort();
        if (pthread_create(&receiver->threads[at], NULL, receiver_serve, c) != 0) abort();
    }
    return NULL;
}

static inline void receiver_start(struct receiver *receiver)
{
    struct sockaddr_in address = { .sin_family = AF_INET };
    socklen_t          size = sizeof(address);
    *receiver = (struct receiver){ .fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0) };
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(bind(receiver->fd, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(receiver->fd, 256), 0);
    assert_int_equal(getsockname(receiver->fd, (struct sockaddr *)&address, &size), 0);
    receiver->port = ntohs(address.sin_port);
    assert_int_equal(pthread_create(&receiver->thread, NULL, receiver_accept, receiver), 0);
}

/* After whoever sends to it has closed. */
static inline void receiver_stop(struct receiver *receiver)
{
    shutdown(receiver->fd, SHUT_RDWR);
    pthread_join(receiver->thread, NULL);
    for (int i = 0; i < receiver->connections; i++)
        pthread_join(receiver->threads[i], NULL);
    close(receiver->fd);
}

#endif
