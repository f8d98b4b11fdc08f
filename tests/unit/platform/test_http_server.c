#include "http_fixture.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <sys/resource.h>

static enum err listen_at(struct str address, int port, struct error *error)
{
    int      fd = -1;
    enum err e = http_listen(address, port, error, &fd);
    assert_int_equal(fd, -1);
    return e;
}

static void picked_port_can_be_read(void **state)
{
    (void)state;
    assert_true(probe.port > 0);
    ask(&probe, "GET /hello HTTP/1.1\r\n" HOST "\r\n", &response);
    assert_int_equal(response.status, 200);
}

static void taken_port_is_an_error_that_names_it(void **state)
{
    (void)state;
    struct error error = { 0 };
    int          port = probe.port;
    char         text[32];
    snprintf(text, sizeof(text), "127.0.0.1:%d", port);
    assert_int_equal(listen_at(STR("127.0.0.1"), port, &error), ERR_UNAVAILABLE);
    assert_string_equal(error.slug, "cannot_listen");
    assert_non_null(strstr(error.detail, text));
    assert_non_null(strstr(error.detail, "in use"));
}

static void address_that_is_none_is_an_error(void **state)
{
    (void)state;
    struct error error = { 0 };
    assert_int_equal(listen_at(STR("localhost"), 0, &error), ERR_UNAVAILABLE);
    assert_int_equal(listen_at(STR("1.2.3.4.5"), 0, &error), ERR_UNAVAILABLE);
    assert_int_equal(listen_at(STR(""), 0, &error), ERR_UNAVAILABLE);
    assert_int_equal(listen_at(STR("127.0.0.1"), 65536, &error), ERR_UNAVAILABLE);
    assert_int_equal(listen_at(STR("192.0.2.1"), 0, &error), ERR_UNAVAILABLE);
    assert_string_equal(error.slug, "cannot_listen");
}

/* A dual-stack socket, reached over IPv4: the peer is shown as IPv4. */
static void any_ipv6_address_takes_ipv4_too(void **state)
{
    (void)state;
    int fd = socket(AF_INET6, SOCK_STREAM, 0);
    if (fd < 0) skip(); /* a machine without IPv6 */
    close(fd);
    struct http_server_options options = probe_options();
    close(options.listen_fd);
    options.listen_fd = probe_listen(STR("::"));
    probe_start(&probe, &options);
    ask(&probe, "GET /echo HTTP/1.1\r\n" HOST "\r\n", &response);
    assert_non_null(strstr(response.head_text, "\r\nX-Peer: 127.0.0.1\r\n"));
    probe_stop(&probe);
}

static void unreadable_certificate_is_an_error(void **state)
{
    (void)state;
    struct error               error = { 0 };
    struct http_app            app = { 0 };
    struct http_server        *server = NULL;
    struct http_server_options options = probe_options();
    options.tls_cert_path = "/nonexistent/cert.pem";
    options.tls_key_path = "/nonexistent/key.pem";
    assert_int_equal(http_server_start(&options, &app, &error, &server), ERR_UNAVAILABLE);
    assert_string_equal(error.slug, "tls_unreadable");
    options.listen_fd = probe_listen(STR("127.0.0.1"));
    options.tls_cert_path = options.tls_key_path = "/proc/self/cmdline"; /* readable, no PEM */
    assert_int_equal(http_server_start(&options, &app, &error, &server), ERR_UNAVAILABLE);
    assert_string_equal(error.slug, "cannot_serve");
    assert_null(server);
}

/* Opens descriptors for as long as it goes on, and counts those that somebody else closed. */
struct opener {
    pthread_t   thread;
    atomic_bool is_ending;
    int         lost_count;
};

static void *opener_run(void *argument)
{
    struct opener *opener = argument;
    while (!atomic_load(&opener->is_ending)) {
        int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
        for (int i = 0; i < 100; i++)
            sched_yield();
        if (close(fd) != 0) opener->lost_count++;
    }
    return NULL;
}

static void refused_start_closes_nothing_of_others(void **state)
{
    (void)state;
    struct error        error = { 0 };
    struct http_app     app = { 0 };
    struct http_server *server = NULL;
    struct opener       opener = { 0 };
    assert_int_equal(pthread_create(&opener.thread, NULL, opener_run, &opener), 0);
    for (int i = 0; i < 100; i++) {
        struct http_server_options options = probe_options();
        options.tls_cert_path = options.tls_key_path = "/proc/self/cmdline"; /* readable, no PEM */
        assert_int_equal(http_server_start(&options, &app, &error, &server), ERR_UNAVAILABLE);
    }
    atomic_store(&opener.is_ending, true);
    pthread_join(opener.thread, NULL);
    assert_int_equal(opener.lost_count, 0);
}

/* --- the drain --- */

struct stopping {
    pthread_t thread;
    int64_t   drain_ms_max;
};

static void *stop_run(void *argument)
{
    const struct stopping *stopping = argument;
    http_server_stop(probe.server, stopping->drain_ms_max);
    return NULL;
}

static void stop_begin(struct stopping *stopping, int64_t drain_ms_max)
{
    stopping->drain_ms_max = drain_ms_max;
    assert_int_equal(pthread_create(&stopping->thread, NULL, stop_run, stopping), 0);
}

/* After http_server_stop has returned: the rest of probe_stop. */
static void stop_end(struct stopping *stopping)
{
    pthread_join(stopping->thread, NULL);
    pthread_mutex_lock(&probe.lock);
    probe.is_ending = true;
    pthread_cond_broadcast(&probe.changed);
    pthread_mutex_unlock(&probe.lock);
    pthread_join(probe.worker, NULL);
    close(probe.file_fd);
    assert_int_equal(probe.begun_count, probe.ended_count);
}

static void drain_closes_idle_connections_at_once(void **state)
{
    serve(state);
    struct stopping stopping;
    client_open(&client, &probe);
    client_send(&client, "GET /hello HTTP/1.1\r\n" HOST "\r\n");
    client_read(&client, &response);
    stop_begin(&stopping, 3600 * 1000);
    client_expect_end(&client);
    client_close(&client);
    stop_end(&stopping);
}

static void drain_finishes_a_suspended_exchange(void **state)
{
    serve(state);
    struct stopping      stopping;
    static struct client idle;
    client_open(&idle, &probe);
    client_open(&client, &probe);
    client_send(&client, "GET /hold HTTP/1.1\r\n" HOST "\r\n");
    probe_await_held(&probe);
    stop_begin(&stopping, 0); /* even when the time is up: it is the server that is late */
    client_expect_end(&idle);
    probe_release(&probe);
    client_read(&client, &response);
    assert_string_equal(response.body_text, "later");
    assert_non_null(strstr(response.head_text, "Connection: close"));
    client_expect_end(&client);
    client_close(&client);
    client_close(&idle);
    stop_end(&stopping);
}

static void drain_lets_a_body_under_way_finish(void **state)
{
    serve(state);
    struct stopping      stopping;
    static struct client idle;
    client_open(&idle, &probe);
    client_open(&client, &probe);
    client_send(&client, "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 6\r\n\r\nabc");
    probe_await(&probe, &probe.begun_count, 1);
    stop_begin(&stopping, 3600 * 1000);
    client_expect_end(&idle); /* the drain is on */
    client_send(&client, "def");
    client_read(&client, &response);
    assert_string_equal(response.body_text, "abcdef");
    client_expect_end(&client);
    client_close(&client);
    client_close(&idle);
    stop_end(&stopping);
}

static void drain_cuts_off_what_takes_too_long(void **state)
{
    serve(state);
    struct stopping stopping;
    client_open(&client, &probe);
    client_send(&client, "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 6\r\n\r\nabc");
    probe_await(&probe, &probe.begun_count, 1);
    stop_begin(&stopping, 50);
    client_expect_end(&client);
    client_close(&client);
    stop_end(&stopping);
    assert_int_equal(probe.complete_count, 0);
}

struct asker {
    pthread_t     thread;
    struct client client;
    const char   *request;
    bool          is_torn;
};

/* Asks over one connection until the server closes it; was the last answer not whole? */
static void *ask_until_closed(void *argument)
{
    static __thread struct response answer;
    struct asker                   *asker = argument;
    while (client_try_send(&asker->client, asker->request, strlen(asker->request)) &&
           client_try_read(&asker->client, false, &answer))
        continue;
    asker->is_torn = asker->client.len > 0;
    return NULL;
}

static void drain_under_load_tears_no_answer(void **state)
{
    static const char *const requests[] = { "GET /hello HTTP/1.1\r\n" HOST "\r\n",
                                            "GET /later HTTP/1.1\r\n" HOST "\r\n",
                                            "GET /file/0/100000 HTTP/1.1\r\n" HOST "\r\n" };
    for (int round = 0; round < 5; round++) {
        serve(state);
        static struct asker askers[12];
        struct stopping     stopping;
        /* All are connected before the drain can begin: a late one would be refused. */
        for (size_t i = 0; i < COUNT_OF(askers); i++) {
            client_open(&askers[i].client, &probe);
            askers[i].request = requests[i % COUNT_OF(requests)];
        }
        for (size_t i = 0; i < COUNT_OF(askers); i++)
            pthread_create(&askers[i].thread, NULL, ask_until_closed, &askers[i]);
        probe_await(&probe, &probe.complete_count, 200);
        stop_begin(&stopping, 3600 * 1000);
        for (size_t i = 0; i < COUNT_OF(askers); i++) {
            pthread_join(askers[i].thread, NULL);
            assert_false(askers[i].is_torn);
            client_close(&askers[i].client);
        }
        stop_end(&stopping);
        assert_int_equal(probe.complete_count, probe.ended_count);
    }
}

static void stopped_server_is_not_listening(void **state)
{
    (void)state;
    int                        port, held_fd = probe_hold_port(&port);
    struct error               error = { 0 };
    struct http_server_options options = probe_options();
    struct sockaddr_in         address = { .sin_family = AF_INET,
                                           .sin_port = htons((uint16_t)port),
                                           .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    close(options.listen_fd);
    assert_int_equal(http_listen(STR("127.0.0.1"), port, &error, &options.listen_fd), ERR_OK);
    probe_start(&probe, &options);
    ask(&probe, "GET /hello HTTP/1.1\r\n" HOST "\r\n", &response);
    assert_int_equal(response.status, 200);
    probe_stop(&probe);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), -1);
    close(fd);
    close(held_fd);
}

/* --- out of descriptors --- */

static void server_recovers_from_running_out_of_descriptors(void **state)
{
    (void)state;
    struct rlimit before, tight = { 0 };
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    static int           taken[256];
    static struct client kept;
    size_t               count = 0;
    client_open(&kept, &probe);
    client_send(&kept, "GET /hello HTTP/1.1\r\n" HOST "\r\n");
    client_read(&kept, &response);
    int fd = socket(AF_INET, SOCK_STREAM, 0); /* ours, made before they run out */
    tight = before;
    tight.rlim_cur = 128;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
    while (count < COUNT_OF(taken) && (taken[count] = dup(0)) >= 0)
        count++;
    assert_true(count < COUNT_OF(taken));

    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_port = htons((uint16_t)probe.port),
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    client.fd = fd;
    client.len = 0;
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    client_send(&client, "GET /hello HTTP/1.1\r\n" HOST "\r\n");
    /* The open connection is served as ever. */
    client_send(&kept, "GET /hello HTTP/1.1\r\n" HOST "\r\n");
    client_read(&kept, &response);
    while (count > 0)
        close(taken[--count]);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    client_close(&kept);
    struct timeval patience = { .tv_sec = PROBE_WAIT_S };
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    client_read(&client, &response);
    assert_int_equal(response.status, 200);
    client_close(&client);
}

#define T(test) cmocka_unit_test_setup_teardown(test, serve, serve_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(picked_port_can_be_read),
        T(taken_port_is_an_error_that_names_it),
        cmocka_unit_test(address_that_is_none_is_an_error),
        cmocka_unit_test(any_ipv6_address_takes_ipv4_too),
        cmocka_unit_test(unreadable_certificate_is_an_error),
        cmocka_unit_test(refused_start_closes_nothing_of_others),
        cmocka_unit_test(drain_closes_idle_connections_at_once),
        cmocka_unit_test(drain_finishes_a_suspended_exchange),
        cmocka_unit_test(drain_lets_a_body_under_way_finish),
        cmocka_unit_test(drain_cuts_off_what_takes_too_long),
        cmocka_unit_test(drain_under_load_tears_no_answer),
        cmocka_unit_test(stopped_server_is_not_listening),
        T(server_recovers_from_running_out_of_descriptors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
