#include "http_fixture.h"

#include "base/world.h"

static int serve_2_per_address(void **state)
{
    (void)state;
    struct http_server_options options = probe_options();
    options.connections_per_address_max = 2;
    return serve_with(&options);
}

static int serve_looking_often(void **state)
{
    (void)state;
    struct http_server_options options = probe_options();
    options.headers_ms_max = 160; /* the list is looked over every 20 ms */
    return serve_with(&options);
}

/* The end comes together with the last bytes: it must be noticed long before the limits. */
static void end_in_mid_body_is_noticed(void **state)
{
    static const char body_cut_short[] =
        "PUT /stream HTTP/1.1\r\n" HOST "Content-Length: 1000\r\n\r\nabc";
    (void)state;
    while (begun_count() < 20) { /* one that comes late is not heard at all */
        client_open(&client, &probe);
        client_try_send(&client, body_cut_short, strlen(body_cut_short));
        shutdown(client.fd, SHUT_WR);
        client_expect_end(&client);
        client_close(&client);
    }
    probe_await(&probe, &probe.ended_count, 20);
    assert_int_equal(probe.complete_count, 0);
}

/* The server works longer than every limit; its client is not to blame. */
static void suspended_exchange_outlives_every_limit(void **state)
{
    (void)state;
    static struct client other;
    client_begin(&client, "GET /hold HTTP/1.1\r\n" HOST "\r\n");
    probe_await_held(&probe);
    for (int i = 0; i < 3; i++) { /* three deadlines pass for others meanwhile */
        client_open(&other, &probe);
        client_expect_end(&other);
        client_close(&other);
    }
    probe_release(&probe);
    client_read(&client, &response);
    assert_string_equal(response.body_text, "later");
    client_close(&client);
}

static void connections_of_one_address_are_limited(void **state)
{
    (void)state;
    static struct client clients[3];
    for (size_t i = 0; i < 3; i++) {
        client_open(&clients[i], &probe);
        client_send(&clients[i], "GET /hello HTTP/1.1\r\n" HOST "\r\n");
        if (i < 2) client_read(&clients[i], &response);
    }
    client_expect_end(&clients[2]);
    assert_int_equal(probe.requests_count, 2);
    for (size_t i = 0; i < 3; i++)
        client_close(&clients[i]);
}

#define T(test, setup) cmocka_unit_test_setup_teardown(test, setup, serve_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(end_in_mid_body_is_noticed, serve_looking_often),
        T(suspended_exchange_outlives_every_limit, serve_headers_200_ms),
        T(connections_of_one_address_are_limited, serve_2_per_address),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
