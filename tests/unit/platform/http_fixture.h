/* What the tests of the HTTP adapter share: one server, one client and its last reply a program. */
#ifndef FIRSTHAND_TESTS_HTTP_FIXTURE_H
#define FIRSTHAND_TESTS_HTTP_FIXTURE_H

#include "http_probe.h"

static struct probe    probe;
static struct client   client;
static struct response response;

static inline int serve_with(const struct http_server_options *options)
{
    probe_start(&probe, options);
    return 0;
}

static inline int serve(void **state)
{
    (void)state;
    struct http_server_options options = probe_options();
    return serve_with(&options);
}

static inline int serve_headers_200_ms(void **state)
{
    (void)state;
    struct http_server_options options = probe_options();
    options.headers_ms_max = 200;
    return serve_with(&options);
}

static inline int begun_count(void)
{
    pthread_mutex_lock(&probe.lock);
    int count = probe.begun_count;
    pthread_mutex_unlock(&probe.lock);
    return count;
}

static inline bool has_ended(const struct client *one)
{
    char    byte;
    ssize_t got = recv(one->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    return got == 0 || (got < 0 && errno != EAGAIN);
}

/* Open and send what begins a request, anew when the server has hung up before it came: it was this
 * thread that was late. */
static inline void client_begin(struct client *one, const char *text)
{
    int before_count = begun_count();
    for (;;) {
        client_open(one, &probe);
        bool is_sent = client_try_send(one, text, strlen(text));
        while (is_sent && begun_count() == before_count && !has_ended(one))
            usleep(1000);
        if (begun_count() > before_count) return;
        client_close(one);
    }
}

static inline int serve_end(void **state)
{
    (void)state;
    probe_stop(&probe);
    return 0;
}

#endif
