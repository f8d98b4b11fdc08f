#include "http_fixture.h"

#define PARK "GET /park HTTP/1.1\r\n" HOST "\r\n"

static void connections_reach(int count)
{
    for (int i = 0; i < PROBE_WAIT_S * 1000 && http_server_connections(probe.server) != count; i++)
        usleep(1000);
    assert_int_equal(http_server_connections(probe.server), count);
}

static void send_parked(const char *request, int number)
{
    client_send(&client, request);
    probe_await(&probe, &probe.waiting_count, number);
}

static void assert_hello_on_the_same_connection(void)
{
    client_send(&client, "GET /hello HTTP/1.1\r\n" HOST "\r\n");
    client_read(&client, &response);
    assert_string_equal(response.body_text, "hello");
}

static void parked_request_holds_no_connection(void **state)
{
    (void)state;
    client_open(&client, &probe);
    send_parked(PARK, 1);
    connections_reach(0);
    assert_int_equal(probe.ended_count, 0);
    probe_answer(&probe.waiting[0], STR("at last"));
    client_read(&client, &response);
    assert_int_equal(response.status, 200);
    assert_string_equal(response.body_text, "at last");
    assert_non_null(strstr(response.head_text, "\r\nX-Peer: 127.0.0.1\r\n"));
    assert_non_null(strstr(response.head_text, "\r\nDate: "));
    assert_null(strstr(response.head_text, "Connection:"));
    assert_int_equal(probe.ended_count, 1);
    assert_int_equal(probe.last.status, 200);
    assert_true(probe.last.is_complete);
    client_close(&client);
}

static void connection_goes_on_after_it_and_may_park_again(void **state)
{
    (void)state;
    client_open(&client, &probe);
    assert_hello_on_the_same_connection();
    for (int i = 0; i < 3; i++) {
        send_parked(PARK, i + 1);
        connections_reach(0); /* what was in the library's buffer before is not taken for more */
        probe_answer(&probe.waiting[i], STR("at last"));
        client_read(&client, &response);
        assert_string_equal(response.body_text, "at last");
        assert_hello_on_the_same_connection();
    }
    connections_reach(1);
    client_close(&client);
}

/* What came with it is in the library's memory, which must not be let go. */
static void request_that_came_with_it_is_not_lost(void **state)
{
    (void)state;
    client_open(&client, &probe);
    send_parked(PARK "GET /where?next HTTP/1.1\r\n" HOST "\r\n", 1);
    probe_answer(&probe.waiting[0], STR("at last"));
    client_read(&client, &response);
    assert_string_equal(response.body_text, "at last");
    client_read(&client, &response);
    assert_string_equal(response.body_text, "/where|next|query");
    client_close(&client);
}

static void request_that_comes_while_it_waits_is_heard_after_it(void **state)
{
    (void)state;
    client_open(&client, &probe);
    send_parked(PARK, 1);
    connections_reach(0);
    client_send(&client, "GET /where?next HTTP/1.1\r\n" HOST "\r\n");
    probe_answer(&probe.waiting[0], STR("at last"));
    client_read(&client, &response);
    assert_string_equal(response.body_text, "at last");
    client_read(&client, &response);
    assert_string_equal(response.body_text, "/where|next|query");
    client_close(&client);
}

static void assert_last(const char *request)
{
    int number = probe.waiting_count;
    client_open(&client, &probe);
    send_parked(request, number + 1);
    probe_answer(&probe.waiting[number], STR("at last"));
    client_read(&client, &response);
    assert_string_equal(response.body_text, "at last");
    assert_non_null(strstr(response.head_text, "\r\nConnection: close\r\n"));
    client_expect_end(&client);
    client_close(&client);
}

static void client_that_closes_is_closed(void **state)
{
    (void)state;
    assert_last("GET /park HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n");
    assert_last("GET /park HTTP/1.1\r\n" HOST "Connection: x, Close\r\n\r\n");
    assert_last("GET /park HTTP/1.1\r\n" HOST "Connection: x\r\nConnection: close\r\n\r\n");
    assert_last("GET /park HTTP/1.0\r\n\r\n");
    connections_reach(0);
}

static void reply_too_large_for_one_write_stays_with_the_library(void **state)
{
    (void)state;
    static char large[200 << 10];
    memset(large, 'x', sizeof(large));
    client_open(&client, &probe);
    send_parked("GET /park-large HTTP/1.1\r\n" HOST "\r\n", 1);
    assert_int_equal(http_server_connections(probe.server), 1);
    probe_answer(&probe.waiting[0], (struct str){ large, sizeof(large) });
    client_read(&client, &response);
    assert_int_equal(response.body.len, sizeof(large));
    assert_hello_on_the_same_connection();
    client_close(&client);
}

static void request_with_a_body_stays_with_the_library(void **state)
{
    (void)state;
    client_open(&client, &probe);
    send_parked("GET /park HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\nabc", 1);
    assert_int_equal(http_server_connections(probe.server), 1);
    probe_answer(&probe.waiting[0], STR("at last"));
    client_read(&client, &response);
    assert_hello_on_the_same_connection();
    client_close(&client);
}

static void client_that_has_gone_is_found_out_by_the_reply(void **state)
{
    (void)state;
    client_open(&client, &probe);
    send_parked(PARK, 1);
    connections_reach(0);
    struct linger now = { .l_onoff = 1 };
    assert_int_equal(setsockopt(client.fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now)), 0);
    client_close(&client); /* a reset */
    probe_answer(&probe.waiting[0], STR("at last"));
    assert_int_equal(probe.ended_count, 1);
    assert_false(probe.last.is_complete);
    connections_reach(0);
}

static int serve_8_connections(void **state)
{
    (void)state;
    struct http_server_options options = probe_options();
    options.connections_max = 8;
    return serve_with(&options);
}

static void those_that_come_back_leave_room_for_others(void **state)
{
    (void)state;
    static struct client clients[8];
    int                  returned_count = 0;
    for (int i = 0; i < 8; i++) {
        client_open(&clients[i], &probe);
        client_send(&clients[i], PARK);
        probe_await(&probe, &probe.waiting_count, i + 1);
    }
    connections_reach(0);
    for (int i = 0; i < 8; i++) {
        probe_answer(&probe.waiting[i], STR("at last"));
        client_read(&clients[i], &response);
        assert_string_equal(response.body_text, "at last");
        returned_count += strstr(response.head_text, "Connection: close") == NULL;
    }
    assert_in_range(returned_count, 1, 6); /* of 8, a quarter is left */
    for (int i = 0; i < 8; i++)
        client_close(&clients[i]);
}

static void *stop_run(void *argument)
{
    (void)argument;
    http_server_stop(probe.server, 0);
    return NULL;
}

/* As probe_stop, which stops the server itself. */
static int serve_over(void **state)
{
    (void)state;
    pthread_mutex_lock(&probe.lock);
    probe.is_ending = true;
    pthread_cond_broadcast(&probe.changed);
    pthread_mutex_unlock(&probe.lock);
    pthread_join(probe.worker, NULL);
    close(probe.file_fd);
    return 0;
}

static void stop_waits_for_those_that_are_parked(void **state)
{
    (void)state;
    static struct client idle;
    pthread_t            thread;
    client_open(&client, &probe);
    send_parked(PARK, 1);
    connections_reach(0);
    client_open(&idle, &probe);
    assert_int_equal(pthread_create(&thread, NULL, stop_run, NULL), 0);
    client_expect_end(&idle); /* it is draining */
    probe_answer(&probe.waiting[0], STR("at last"));
    client_read(&client, &response);
    assert_string_equal(response.body_text, "at last");
    assert_non_null(strstr(response.head_text, "Connection: close"));
    client_expect_end(&client);
    pthread_join(thread, NULL);
    client_close(&client);
    client_close(&idle);
}

#define T(test) cmocka_unit_test_setup_teardown(test, serve, serve_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(parked_request_holds_no_connection),
        T(connection_goes_on_after_it_and_may_park_again),
        T(request_that_came_with_it_is_not_lost),
        T(request_that_comes_while_it_waits_is_heard_after_it),
        T(client_that_closes_is_closed),
        T(reply_too_large_for_one_write_stays_with_the_library),
        T(request_with_a_body_stays_with_the_library),
        T(client_that_has_gone_is_found_out_by_the_reply),
        cmocka_unit_test_setup_teardown(those_that_come_back_leave_room_for_others,
                                        serve_8_connections, serve_end),
        cmocka_unit_test_setup_teardown(stop_waits_for_those_that_are_parked, serve, serve_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
