#include "http_fixture.h"

#include "base/world.h"
#include "platform/metrics.h"

enum { LIMIT_MS = 200 };

static int serve_one_thread_headers_200_ms(void **state)
{
    (void)state;
    struct http_server_options options = probe_options();
    options.threads_count = 1;
    options.headers_ms_max = LIMIT_MS;
    return serve_with(&options);
}

static int serve_body_1000_per_s(void **state)
{
    (void)state;
    struct http_server_options options = probe_options();
    options.idle_ms_max = LIMIT_MS;
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
    options.idle_ms_max = options.headers_ms_max = 3600000;
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
    static const char half[] = "GET /hello HTTP/1.1\r\nHost: t\r\nX-Slow: ";
    int               dripped;
    do { /* until it was closed although something came */
        client_open(&client, &probe);
        dripped = client_try_send(&client, half, strlen(half)) ? drip(20) : 0;
        client_close(&client);
    } while (dripped <= 1);
    assert_int_equal(probe.begun_count, 0);
}

static void kept_connection_without_a_request_is_closed(void **state)
{
    (void)state;
    client_begin(&client, "GET /hello HTTP/1.1\r\n" HOST "\r\n");
    client_read(&client, &response);
    client_expect_end(&client);
    client_close(&client);
}

/* With its poll thread busy for the so-manieth time; false when this thread was late with it. */
static bool ask_in_time_behind(struct client *blocker, int number)
{
    static const char hello[] = "GET /hello HTTP/1.1\r\n" HOST "\r\n";
    int64_t           from_us = world_monotonic_us();
    client_open(&client, &probe);
    client_begin(blocker, "GET /block HTTP/1.1\r\n" HOST "\r\n");
    probe_await(&probe, &probe.blocked_count, number);
    bool is_sent = client_try_send(&client, hello, strlen(hello));
    return is_sent && world_monotonic_us() - from_us < LIMIT_MS * 1000;
}

/* Its request has come in time; that nobody has read it yet is not the client's doing. */
static void request_that_waits_for_its_poll_thread_is_left_alone(void **state)
{
    (void)state;
    static struct client blocker;
    for (int number = 1; !ask_in_time_behind(&blocker, number); number++) {
        probe_unblock(&probe);
        client_close(&client);
        client_close(&blocker);
    }
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
    int dripped;
    do {
        client_begin(&client, "PUT /stream HTTP/1.1\r\n" HOST "Content-Length: 100000\r\n\r\n");
        dripped = drip(20);
        client_close(&client);
    } while (dripped <= 1);
    probe_await(&probe, &probe.ended_count, 1);
    assert_false(probe.last.is_complete);
    assert_int_equal(probe.requests_count, 0);
}

/* Is it answered? *ret_gap_us: the longest that the server was left without a piece. */
static bool send_a_body_in_pieces(int64_t *ret_gap_us)
{
    static char    piece[200];
    struct timeval pace = { .tv_usec = 10000 }, patience = { .tv_sec = PROBE_WAIT_S };
    bool           is_taken = true;
    int64_t        last_us = world_monotonic_us();
    *ret_gap_us = 0;
    client_begin(&client, "PUT /stream HTTP/1.1\r\n" HOST "Content-Length: 8000\r\n\r\n");
    setsockopt(client.fd, SOL_SOCKET, SO_RCVTIMEO, &pace, sizeof(pace));
    for (int i = 0; i < 40 && is_taken; i++) { /* 0.4 s and more, well past the grace */
        is_taken = client_try_send(&client, piece, sizeof(piece));
        int64_t now_us = world_monotonic_us();
        if (now_us - last_us > *ret_gap_us) *ret_gap_us = now_us - last_us;
        last_us = now_us;
        if (i < 39) recv(client.fd, piece, 1, 0);
    }
    setsockopt(client.fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    return is_taken && client_try_read(&client, false, &response);
}

static void body_faster_than_the_least_is_left_alone(void **state)
{
    (void)state;
    int64_t gap_us;
    while (!send_a_body_in_pieces(&gap_us)) { /* once more when it was not that fast */
        assert_true(gap_us > LIMIT_MS * 1000 / 2);
        client_close(&client);
    }
    assert_string_equal(response.body_text, "8000");
    client_close(&client);
}

static void reader_that_stops_reading_is_closed(void **state)
{
    (void)state;
    client_open(&client, &probe);
    int small = 4096;
    setsockopt(client.fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
    static const char request[] = "GET /file/0/100000 HTTP/1.1\r\n" HOST "\r\n";
    for (int i = 0; i < 200 && client_try_send(&client, request, strlen(request)); i++)
        continue;
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
    int         dripped;
    do {
        client_begin(&client, "PUT /stream HTTP/1.1\r\n" HOST "Content-Length: 9000000\r\n\r\n");
        dripped = client_try_send(&client, much, sizeof(much)) ? drip(20) : 0;
        client_close(&client);
    } while (dripped <= 1);
    probe_await(&probe, &probe.ended_count, 1);
    assert_false(probe.last.is_complete);
    assert_int_equal(probe.requests_count, 0);
}

/* --- replies that nobody takes --- */

enum { ECHO_BYTES = 2 << 20, READERS = 4 };

#define ECHO_HEAD "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 2097152\r\n\r\n"

/* Send on what the server takes of one request after another: more than the system's buffers hold,
 * so that a reply is left in the server. *sent: how much of the request it has. */
static void ask_for_more(const struct client *one, size_t *sent)
{
    static char request[sizeof(ECHO_HEAD) - 1 + ECHO_BYTES] = ECHO_HEAD;
    ssize_t     taken =
        send(one->fd, request + *sent, sizeof(request) - *sent, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (taken > 0) *sent = (*sent + (size_t)taken) % sizeof(request);
}

static bool a_reply_was_cut_off(void)
{
    pthread_mutex_lock(&probe.lock);
    bool was_cut_off = probe.ended_count > probe.complete_count;
    pthread_mutex_unlock(&probe.lock);
    return was_cut_off;
}

static void readers_that_hold_too_much_are_closed(void **state)
{
    (void)state;
    static struct client readers[READERS];
    size_t               sent[READERS] = { 0 };
    for (size_t i = 0; i < READERS; i++)
        client_open(&readers[i], &probe);
    while (!a_reply_was_cut_off()) {
        for (size_t i = 0; i < READERS; i++)
            ask_for_more(&readers[i], &sent[i]);
        usleep(1000);
    }
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

/* On a connection of its own, until somebody answers: one that is heard so late that it has waited
 * as long as the idle ones makes room itself. */
static void ask_as_newcomer(struct client *newcomer, const char *request)
{
    for (;;) {
        client_open(newcomer, &probe);
        if (client_try_send(newcomer, request, strlen(request)) &&
            client_try_read(newcomer, false, &response))
            return;
        client_close(newcomer);
    }
}

/* Ask anew until there is room: whoever holds it has to have waited for a second. */
static void ask_until_served(int *ret_refused)
{
    static struct client newcomer;
    *ret_refused = 0;
    do {
        ask_as_newcomer(&newcomer, "GET /hello HTTP/1.1\r\n" HOST "\r\n");
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
        ask_as_newcomer(&newcomer, "GET /hello HTTP/1.1\r\n" HOST "\r\n");
        assert_int_equal(response.status, 503);
        client_expect_end(&newcomer);
        client_close(&newcomer);
    }
    /* Nor is its body waited for. */
    ask_as_newcomer(&newcomer, "PUT /stream HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\na");
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

enum { PLACES = 4, SILENT = PLACES + HTTP_SURPLUS_MAX - 1 };

static int count_ended(const int *fds, int count)
{
    int ended = 0;
    for (int i = 0; i < count; i++)
        ended += recv(fds[i], &(char){ 0 }, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
    return ended;
}

/* One that holds the poll thread, and as many silent ones as there is room for; false when that
 * took so long that it was told to make room itself. */
static bool fill_the_house(struct client *blocker, int *silent)
{
    static const char block[] = "GET /block HTTP/1.1\r\n" HOST "\r\n";
    client_begin(blocker, "GET /hello HTTP/1.1\r\n" HOST "\r\n");
    client_read(blocker, &response);
    for (int i = 0; i < SILENT; i++)
        silent[i] = client_dial(probe.port);
    while (metric_value(METRIC_CONNECTIONS) < SILENT + 1 && !has_ended(blocker))
        usleep(1000);
    int  before_count = begun_count();
    bool is_sent = client_try_send(blocker, block, strlen(block));
    while (is_sent && begun_count() == before_count && !has_ended(blocker))
        usleep(1000);
    return begun_count() > before_count;
}

/* The library takes 128 events at a time; full, it waits for more before it acts, and from those
 * that were hung up on nothing more comes. */
static void silent_connections_leave_however_many_at_once(void **state)
{
    (void)state;
    enum { LEAVING = SILENT + 1 - PLACES };
    static struct client blocker;
    static int           silent[SILENT];
    int                  refused;
    assert_int_equal(LEAVING % 128, 0);
    while (!fill_the_house(&blocker, silent)) {
        for (int i = 0; i < SILENT; i++)
            close(silent[i]);
        client_close(&blocker);
    }
    while (count_ended(silent, SILENT) < LEAVING)
        usleep(1000);
    probe_unblock(&probe);
    ask_until_served(&refused);
    for (int i = 0; i < SILENT; i++)
        close(silent[i]);
    client_close(&blocker);
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
        T(silent_connections_leave_however_many_at_once, serve_4_connections),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
