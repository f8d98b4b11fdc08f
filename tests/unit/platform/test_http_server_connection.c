#include "http_probe.h"

#include "base/world.h"

static struct probe    probe;
static struct client   client;
static struct response response;

static int serve_with(const struct http_server_options *options)
{
    probe_start(&probe, options);
    return 0;
}

static int serve_end(void **state)
{
    (void)state;
    probe_stop(&probe);
    return 0;
}

static int serve_headers_200_ms(void **state)
{
    (void)state;
    struct http_server_options options = probe_options();
    options.headers_ms_max = 200;
    return serve_with(&options);
}

static int serve_body_1000_per_s(void **state)
{
    (void)state;
    struct http_server_options options = probe_options();
    options.idle_ms_max = 200;
    options.body_bytes_per_s_min = 1000;
    return serve_with(&options);
}

static int serve_idle_200_ms(void **state)
{
    (void)state;
    struct http_server_options options = probe_options();
    options.idle_ms_max = 200;
    return serve_with(&options);
}

static int serve_one_thread_4_connections(void **state)
{
    (void)state;
    struct http_server_options options = probe_options();
    options.threads_count = 1;
    options.connections_max = 4;
    return serve_with(&options);
}

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

/* Sends one byte whenever it may, until the server hangs up; how many it took. */
static int drip(int pace_ms)
{
    int            sent = 0;
    struct timeval pace = { .tv_usec = pace_ms * 1000 };
    setsockopt(client.fd, SOL_SOCKET, SO_RCVTIMEO, &pace, sizeof(pace));
    char byte;
    while (send(client.fd, "a", 1, MSG_NOSIGNAL) == 1) {
        sent++;
        ssize_t got = recv(client.fd, &byte, 1, 0); /* paces: nothing comes but the end */
        if (got == 0 || (got < 0 && errno != EAGAIN)) break;
        assert_true(sent < 10000);
    }
    return sent;
}

static void silent_connection_is_closed(void **state)
{
    (void)state;
    client_open(&client, &probe);
    client_expect_end(&client);
    client_close(&client);
}

static void slow_headers_are_closed(void **state)
{
    (void)state;
    client_open(&client, &probe);
    client_send(&client, "GET /hello HTTP/1.1\r\nHost: t\r\nX-Slow: ");
    assert_true(drip(20) > 1);
    client_close(&client);
    assert_int_equal(probe.begun_count, 0);
}

static void kept_connection_without_a_request_is_closed(void **state)
{
    (void)state;
    client_open(&client, &probe);
    client_send(&client, "GET /hello HTTP/1.1\r\n" HOST "\r\n");
    client_read(&client, &response);
    client_expect_end(&client);
    client_close(&client);
}

static void slow_body_is_closed(void **state)
{
    (void)state;
    client_open(&client, &probe);
    client_send(&client, "PUT /stream HTTP/1.1\r\n" HOST "Content-Length: 100000\r\n\r\n");
    assert_true(drip(20) > 1);
    client_close(&client);
    probe_await(&probe, &probe.ended_count, 1);
    assert_false(probe.last.is_complete);
    assert_int_equal(probe.requests_count, 0);
}

static void body_faster_than_the_least_is_left_alone(void **state)
{
    (void)state;
    static char piece[200];
    client_open(&client, &probe);
    client_send(&client, "PUT /stream HTTP/1.1\r\n" HOST "Content-Length: 8000\r\n\r\n");
    struct timeval pace = { .tv_usec = 10000 };
    setsockopt(client.fd, SOL_SOCKET, SO_RCVTIMEO, &pace, sizeof(pace));
    for (int i = 0; i < 40; i++) { /* 0.4 s and more, well past the grace */
        assert_true(client_try_send(&client, piece, sizeof(piece)));
        if (i < 39) recv(client.fd, piece, 1, 0);
    }
    struct timeval patience = { .tv_sec = PROBE_WAIT_S };
    setsockopt(client.fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    client_read(&client, &response);
    assert_string_equal(response.body_text, "8000");
    client_close(&client);
}

/* The end comes together with the last bytes: it must be noticed long before the limits. */
static void end_in_mid_body_is_noticed(void **state)
{
    (void)state;
    for (int i = 1; i <= 20; i++) {
        client_open(&client, &probe);
        client_send(&client, "PUT /stream HTTP/1.1\r\n" HOST "Content-Length: 1000\r\n\r\nabc");
        shutdown(client.fd, SHUT_WR);
        client_expect_end(&client);
        client_close(&client);
    }
    probe_await(&probe, &probe.ended_count, 20);
    assert_int_equal(probe.complete_count, 0);
}

static void reader_that_stops_reading_is_closed(void **state)
{
    (void)state;
    client_open(&client, &probe);
    int small = 4096;
    setsockopt(client.fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
    for (int i = 0; i < 200; i++)
        client_send(&client, "GET /file/0/100000 HTTP/1.1\r\n" HOST "\r\n");
    while (http_server_connections(probe.server) == 0)
        ;
    pthread_mutex_lock(&probe.lock); /* the reply that cannot be sent ends without success */
    while (probe.ended_count == 0 || probe.last.is_complete)
        pthread_cond_wait(&probe.changed, &probe.lock);
    pthread_mutex_unlock(&probe.lock);
    client_close(&client);
}

/* The server works longer than every limit; its client is not to blame. */
static void suspended_exchange_outlives_every_limit(void **state)
{
    (void)state;
    static struct client other;
    client_open(&client, &probe);
    client_send(&client, "GET /hold HTTP/1.1\r\n" HOST "\r\n");
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

static void connection_over_the_limit_waits_its_turn(void **state)
{
    (void)state;
    static struct client clients[5];
    for (size_t i = 0; i < 5; i++) {
        client_open(&clients[i], &probe);
        client_send(&clients[i], "GET /hello HTTP/1.1\r\n" HOST "\r\n");
        if (i < 4) client_read(&clients[i], &response);
    }
    /* Only four are open, and the fifth is not answered while they stay. */
    client_send(&clients[0], "GET /later HTTP/1.1\r\n" HOST "\r\n");
    client_read(&clients[0], &response);
    assert_int_equal(http_server_connections(probe.server), 4);
    assert_int_equal(recv(clients[4].fd, clients[4].bytes, 1, MSG_DONTWAIT), -1);
    client_close(&clients[2]);
    client_read(&clients[4], &response);
    assert_string_equal(response.body_text, "hello");
    for (size_t i = 0; i < 5; i++)
        if (i != 2) client_close(&clients[i]);
}

static void connections_of_one_address_are_limited(void **state)
{
    (void)state;
    static struct client clients[3];
    for (size_t i = 0; i < 3; i++)
        client_open(&clients[i], &probe);
    for (size_t i = 0; i < 2; i++) {
        client_send(&clients[i], "GET /hello HTTP/1.1\r\n" HOST "\r\n");
        client_read(&clients[i], &response);
    }
    client_expect_end(&clients[2]);
    for (size_t i = 0; i < 3; i++)
        client_close(&clients[i]);
}

#define T(test, setup) cmocka_unit_test_setup_teardown(test, setup, serve_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(silent_connection_is_closed, serve_headers_200_ms),
        T(slow_headers_are_closed, serve_headers_200_ms),
        T(kept_connection_without_a_request_is_closed, serve_headers_200_ms),
        T(slow_body_is_closed, serve_body_1000_per_s),
        T(body_faster_than_the_least_is_left_alone, serve_body_1000_per_s),
        T(end_in_mid_body_is_noticed, serve_looking_often),
        T(reader_that_stops_reading_is_closed, serve_idle_200_ms),
        T(silent_connection_is_closed, serve_idle_200_ms),
        T(suspended_exchange_outlives_every_limit, serve_headers_200_ms),
        T(connection_over_the_limit_waits_its_turn, serve_one_thread_4_connections),
        T(connections_of_one_address_are_limited, serve_2_per_address),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
