#include "http_fixture.h"

#include "base/world.h"

static int serve_one_thread_headers_200_ms(void **state)
{
    (void)state;
    struct http_server_options options = probe_options();
    options.threads_count = 1;
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

static int serve_idle_an_hour(void **state)
{
    (void)state;
    struct http_server_options options = probe_options();
    options.idle_ms_max = options.headers_ms_max = 3600000;
    return serve_with(&options);
}

static int serve_one_thread_an_hour(void **state)
{
    (void)state;
    struct http_server_options options = probe_options();
    options.threads_count = 1;
    options.idle_ms_max = options.headers_ms_max = 3600000;
    return serve_with(&options);
}

static int serve_4_mib_of_replies(void **state)
{
    (void)state;
    struct http_server_options options = probe_options();
    options.idle_ms_max = options.headers_ms_max = 3600000;
    options.reply_bytes_max = 4 << 20;
    return serve_with(&options);
}

static int serve_4_connections(void **state)
{
    (void)state;
    struct http_server_options options = probe_options();
    options.threads_count = 1;
    options.connections_max = 4;
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

/* Its request has come in time; that nobody has read it yet is not the client's doing. */
static void request_that_waits_for_its_poll_thread_is_left_alone(void **state)
{
    (void)state;
    static struct client blocker;
    client_open(&client, &probe);
    client_open(&blocker, &probe);
    client_send(&blocker, "GET /block HTTP/1.1\r\n" HOST "\r\n");
    probe_await(&probe, &probe.blocked_count, 1);
    client_send(&client, "GET /hello HTTP/1.1\r\n" HOST "\r\n");
    struct timeval five_deadlines = { .tv_sec = 1 };
    setsockopt(client.fd, SOL_SOCKET, SO_RCVTIMEO, &five_deadlines, sizeof(five_deadlines));
    ssize_t got = recv(client.fd, client.bytes, 1, 0);
    probe_unblock(&probe);
    assert_int_equal(got, -1); /* nothing, and not the end */
    struct timeval patience = { .tv_sec = PROBE_WAIT_S };
    setsockopt(client.fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    client_read(&client, &response);
    assert_int_equal(response.status, 200);
    client_close(&client);
    client_close(&blocker);
}

/* The library asks the system for 128 events at a time; full, it waits for more before it acts. */
static void requests_that_come_at_once_are_answered_however_many(void **state)
{
    (void)state;
    enum { LEAST = 124, MOST = 132 };
    static struct client blocker;
    static struct client clients[MOST];
    for (int i = 0; i < MOST; i++) {
        client_open(&clients[i], &probe);
        client_send(&clients[i], "GET /hello HTTP/1.1\r\n" HOST "\r\n");
        client_read(&clients[i], &response);
    }
    client_open(&blocker, &probe);
    for (int count = LEAST; count <= MOST; count++) {
        client_send(&blocker, "GET /block HTTP/1.1\r\n" HOST "\r\n");
        probe_await(&probe, &probe.blocked_count, count - LEAST + 1);
        for (int i = 0; i < count; i++)
            client_send(&clients[i], "GET /hello HTTP/1.1\r\n" HOST "\r\n");
        probe_unblock(&probe);
        for (int i = 0; i < count; i++)
            client_read(&clients[i], &response);
        client_read(&blocker, &response);
    }
    for (int i = 0; i < MOST; i++)
        client_close(&clients[i]);
    client_close(&blocker);
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

/* It has its reply, and neither sends the rest nor hangs up. */
static void client_that_does_not_notice_its_refusal_is_closed(void **state)
{
    (void)state;
    client_open(&client, &probe);
    client_send(&client, "POST /refuse HTTP/1.1\r\n" HOST "Content-Length: 9000000\r\n\r\na");
    client_read(&client, &response);
    assert_int_equal(response.status, 404);
    probe_await(&probe, &probe.ended_count, 1);
    client_close(&client);
}

/* --- the pace of a body --- */

static void trickle_after_a_quick_beginning_is_closed(void **state)
{
    (void)state;
    static char much[1 << 20];
    client_open(&client, &probe);
    client_send(&client, "PUT /stream HTTP/1.1\r\n" HOST "Content-Length: 9000000\r\n\r\n");
    assert_true(client_try_send(&client, much, sizeof(much)));
    assert_true(drip(20) > 1);
    client_close(&client);
    probe_await(&probe, &probe.ended_count, 1);
    assert_false(probe.last.is_complete);
    assert_int_equal(probe.requests_count, 0);
}

/* --- replies that nobody takes --- */

enum { ECHO_BYTES = 2 << 20, ECHOS = 8, READERS = 4 };

/* More than the system's buffers take, so that a reply is left in the server. */
static void ask_for_much(struct client *one)
{
    static char    body[ECHO_BYTES];
    char           head[128];
    struct timeval brief = { .tv_usec = 200000 };
    snprintf(head, sizeof(head), "POST /echo HTTP/1.1\r\n" HOST "Content-Length: %d\r\n\r\n",
             ECHO_BYTES);
    setsockopt(one->fd, SOL_SOCKET, SO_SNDTIMEO, &brief, sizeof(brief));
    for (int i = 0; i < ECHOS; i++)
        if (!client_try_send(one, head, strlen(head)) || !client_try_send(one, body, sizeof(body)))
            return; /* the server reads no more before somebody reads the replies */
}

static void readers_that_hold_too_much_are_closed(void **state)
{
    (void)state;
    static struct client readers[READERS];
    for (size_t i = 0; i < READERS; i++) {
        client_open(&readers[i], &probe);
        ask_for_much(&readers[i]);
    }
    pthread_mutex_lock(&probe.lock);
    while (probe.ended_count == 0 || probe.last.is_complete)
        pthread_cond_wait(&probe.changed, &probe.lock);
    pthread_mutex_unlock(&probe.lock);
    for (size_t i = 0; i < READERS; i++)
        client_close(&readers[i]);
    ask(&probe, "GET /hello HTTP/1.1\r\n" HOST "\r\n", &response);
    assert_int_equal(response.status, 200);
}

/* --- room --- */

static void ask_on(struct client *one, const char *request)
{
    client_send(one, request);
    client_read(one, &response);
}

/* Ask anew until there is room: whoever holds it has to have waited for a second. */
static void ask_until_served(int *ret_refused)
{
    static struct client newcomer;
    *ret_refused = 0;
    do {
        client_open(&newcomer, &probe);
        ask_on(&newcomer, "GET /hello HTTP/1.1\r\n" HOST "\r\n");
        if (response.status != 503) break;
        assert_non_null(strstr(response.head_text, "\r\nConnection: close\r\n"));
        client_expect_end(&newcomer);
        client_close(&newcomer);
        ++*ret_refused;
    } while (*ret_refused < 1000000);
    assert_int_equal(response.status, 200);
    client_close(&newcomer);
}

static void newcomer_takes_the_place_of_an_idle_connection(void **state)
{
    (void)state;
    static struct client idle[4];
    int                  refused;
    for (size_t i = 0; i < 4; i++) {
        client_open(&idle[i], &probe);
        ask_on(&idle[i], "GET /hello HTTP/1.1\r\n" HOST "\r\n");
    }
    ask_until_served(&refused);
    int closed = 0;
    for (size_t i = 0; i < 4; i++) {
        char byte;
        closed += recv(idle[i].fd, &byte, 1, MSG_DONTWAIT) == 0;
        client_close(&idle[i]);
    }
    assert_in_range(closed, 1, 3); /* not all of them */
}

static void newcomer_takes_the_place_of_headers_that_do_not_come(void **state)
{
    (void)state;
    static struct client slow[4];
    int                  refused;
    for (size_t i = 0; i < 4; i++) {
        client_open(&slow[i], &probe);
        client_send(&slow[i], "GET /hello HTTP/1.1\r\nHost: t\r\nX-Slow: ");
    }
    ask_until_served(&refused);
    for (size_t i = 0; i < 4; i++)
        client_close(&slow[i]);
    assert_int_equal(probe.requests_count, 1);
}

/* Whoever works keeps his place, however long it takes, and gets his reply. */
static void newcomer_is_refused_while_all_are_busy(void **state)
{
    (void)state;
    static struct client busy[4];
    static struct client newcomer;
    for (size_t i = 0; i < 4; i++) {
        client_open(&busy[i], &probe);
        client_send(&busy[i], "PUT /stream HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\n");
    }
    probe_await(&probe, &probe.begun_count, 4);
    for (int i = 0; i < 500; i++) {
        client_open(&newcomer, &probe);
        ask_on(&newcomer, "GET /hello HTTP/1.1\r\n" HOST "\r\n");
        assert_int_equal(response.status, 503);
        client_expect_end(&newcomer);
        client_close(&newcomer);
    }
    /* Nor is its body waited for. */
    client_open(&newcomer, &probe);
    ask_on(&newcomer, "PUT /stream HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\na");
    assert_int_equal(response.status, 503);
    client_close(&newcomer);
    for (size_t i = 0; i < 4; i++) {
        ask_on(&busy[i], "abc");
        assert_int_equal(response.status, 200);
        client_close(&busy[i]);
    }
    int refused;
    ask_until_served(&refused);
}

/* More than may wait to be refused: they stand in the system's queue, and get out of it. */
static void silent_newcomers_do_not_close_the_door(void **state)
{
    (void)state;
    enum { SILENT = HTTP_SURPLUS_MAX + 100 };
    static int silent[SILENT];
    int        refused;
    for (size_t i = 0; i < SILENT; i++)
        silent[i] = client_dial(probe.port);
    ask_until_served(&refused);
    for (size_t i = 0; i < SILENT; i++)
        close(silent[i]);
}

#define T(test, setup) cmocka_unit_test_setup_teardown(test, setup, serve_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(silent_connection_is_closed, serve_headers_200_ms),
        T(slow_headers_are_closed, serve_headers_200_ms),
        T(kept_connection_without_a_request_is_closed, serve_headers_200_ms),
        T(request_that_waits_for_its_poll_thread_is_left_alone, serve_one_thread_headers_200_ms),
        T(requests_that_come_at_once_are_answered_however_many, serve_one_thread_an_hour),
        T(slow_body_is_closed, serve_body_1000_per_s),
        T(body_faster_than_the_least_is_left_alone, serve_body_1000_per_s),
        T(trickle_after_a_quick_beginning_is_closed, serve_body_1000_per_s),
        T(reader_that_stops_reading_is_closed, serve_idle_200_ms),
        T(silent_connection_is_closed, serve_idle_200_ms),
        T(client_that_does_not_notice_its_refusal_is_closed, serve_idle_an_hour),
        T(readers_that_hold_too_much_are_closed, serve_4_mib_of_replies),
        T(newcomer_takes_the_place_of_an_idle_connection, serve_4_connections),
        T(newcomer_takes_the_place_of_headers_that_do_not_come, serve_4_connections),
        T(newcomer_is_refused_while_all_are_busy, serve_4_connections),
        T(silent_newcomers_do_not_close_the_door, serve_4_connections),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
