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

static inline int serve_end(void **state)
{
    (void)state;
    probe_stop(&probe);
    return 0;
}

#endif
