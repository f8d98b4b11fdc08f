#include "http_fixture.h"

enum { CLIENTS = 64, THREADS = 4 };

static struct client clients[CLIENTS];

static int serve_on_4_threads(void **state)
{
    (void)state;
    struct http_server_options options = probe_options();
    options.threads_count = THREADS;
    options.connections_max = 2 * CLIENTS;
    return serve_with(&options);
}

static long thread_of(struct client *one)
{
    client_send(one, "GET /thread HTTP/1.1\r\n" HOST "\r\n");
    client_read(one, &response);
    return strtol(response.body_text, NULL, 10);
}

static void newcomers_are_dealt_evenly_to_the_poll_threads(void **state)
{
    (void)state;
    long threads[CLIENTS];
    for (int i = 0; i < CLIENTS; i++)
        client_open(&clients[i], &probe);
    for (int i = 0; i < CLIENTS; i++)
        threads[i] = thread_of(&clients[i]);
    for (int i = 0; i < CLIENTS; i++) {
        int alike = 0;
        for (int j = 0; j < CLIENTS; j++)
            alike += threads[j] == threads[i];
        assert_int_equal(alike, CLIENTS / THREADS);
    }
    for (int i = 0; i < CLIENTS; i++)
        client_close(&clients[i]);
    client_open(&client, &probe);
    assert_int_equal(thread_of(&client), threads[0]); /* it is the first one's turn again */
    client_close(&client);
}

#define T(test, setup) cmocka_unit_test_setup_teardown(test, setup, serve_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(newcomers_are_dealt_evenly_to_the_poll_threads, serve_on_4_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
