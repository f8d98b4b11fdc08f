#include "http_fixture.h"

static char filler[256 << 10];

static int serve_with_filler(void **state)
{
    memset(filler, 'x', sizeof(filler));
    return serve(state);
}

/* Sends count bytes of filler; false when the server stops taking them. */
static bool send_filler(size_t count)
{
    while (count > 0) {
        size_t piece = count < sizeof(filler) ? count : sizeof(filler);
        if (!client_try_send(&client, filler, piece)) return false;
        count -= piece;
    }
    return true;
}

static bool send_chunk(size_t count)
{
    char line[32];
    snprintf(line, sizeof(line), "%zx\r\n", count);
    return client_try_send(&client, line, strlen(line)) && send_filler(count) &&
           client_try_send(&client, "\r\n", 2);
}

static void request_is_answered_inline(void **state)
{
    (void)state;
    ask(&probe, "GET /hello HTTP/1.1\r\n" HOST "\r\n", &response);
    assert_int_equal(response.status, 200);
    assert_string_equal(response.body_text, "hello");
    assert_non_null(strstr(response.head_text, "\r\nDate: "));
    probe_await(&probe, &probe.ended_count, 1);
    assert_true(probe.last.is_complete);
    assert_int_equal(probe.last.status, 200);
}

static void connection_is_kept_alive(void **state)
{
    (void)state;
    client_open(&client, &probe);
    for (int i = 0; i < 50; i++) {
        client_send(&client, "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\nabc");
        client_read(&client, &response);
        assert_string_equal(response.body_text, "abc");
    }
    assert_int_equal(http_server_connections(probe.server), 1);
    client_close(&client);
}

static void pipelined_requests_are_answered_in_order(void **state)
{
    (void)state;
    client_open(&client, &probe);
    char all[64 * 128] = "";
    for (int i = 0; i < 64; i++) {
        char one[128];
        if (i % 3 == 2)
            snprintf(one, sizeof(one), "GET /later HTTP/1.1\r\n" HOST "\r\n");
        else
            snprintf(one, sizeof(one),
                     "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 4\r\n\r\n%04d", i);
        memcpy(all + strlen(all), one, strlen(one) + 1);
    }
    client_send(&client, all);
    for (int i = 0; i < 64; i++) {
        char expected[16] = "later";
        if (i % 3 != 2) snprintf(expected, sizeof(expected), "%04d", i);
        client_read(&client, &response);
        assert_string_equal(response.body_text, expected);
    }
    client_close(&client);
}

static void *ask_later_often(void *argument)
{
    (void)argument;
    static __thread struct response answer;
    struct client                  *mine = malloc(sizeof(*mine));
    client_open(mine, &probe);
    intptr_t good = 0;
    for (int i = 0; i < 20; i++) {
        client_send(mine, "GET /later HTTP/1.1\r\n" HOST "\r\n");
        client_read(mine, &answer);
        good += answer.status == 200 && strcmp(answer.body_text, "later") == 0;
    }
    client_close(mine);
    free(mine);
    return (void *)good;
}

static void suspended_exchanges_are_answered_by_another_thread(void **state)
{
    (void)state;
    pthread_t threads[64];
    intptr_t  good = 0;
    for (size_t i = 0; i < COUNT_OF(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, ask_later_often, NULL), 0);
    for (size_t i = 0; i < COUNT_OF(threads); i++) {
        void *result;
        pthread_join(threads[i], &result);
        good += (intptr_t)result;
    }
    assert_int_equal(good, 64 * 20);
}

static void expected_body_is_waved_through(void **state)
{
    (void)state;
    client_open(&client, &probe);
    client_send(&client,
                "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 5\r\nExpect: 100-continue\r\n\r\n");
    client_read(&client, &response);
    assert_int_equal(response.status, 100);
    client_send(&client, "12345");
    client_read(&client, &response);
    assert_int_equal(response.status, 200);
    assert_string_equal(response.body_text, "12345");
    client_close(&client);
}

static void nothing_expected_is_no_reason_to_hang_up(void **state)
{
    (void)state;
    client_open(&client, &probe);
    client_send(&client, "GET /hello HTTP/1.1\r\n" HOST "Expect: 100-continue\r\n\r\n"
                         "GET /later HTTP/1.1\r\n" HOST "Expect: 100-continue\r\n\r\n"
                         "GET /echo HTTP/1.1\r\n" HOST "\r\n");
    for (int answered = 0; answered < 3;) {
        client_read(&client, &response);
        answered += response.status == 200;
        if (response.status != 200) assert_int_equal(response.status, 100);
    }
    client_close(&client);
}

static void early_refusal_reaches_a_client_that_sends_first(void **state)
{
    (void)state;
    client_open(&client, &probe);
    for (int i = 0; i < 2; i++) { /* and the connection lives on */
        client_send(&client, "POST /refuse HTTP/1.1\r\n" HOST "Content-Length: 204800\r\n\r\n");
        assert_true(send_filler(204800));
        client_read(&client, &response);
        assert_int_equal(response.status, 404);
        assert_string_equal(response.body_text, "no such place");
    }
    client_close(&client);
    probe_await(&probe, &probe.ended_count, 2);
    assert_int_equal(probe.requests_count, 0);
    assert_int_equal(probe.last.body_bytes_received, 204800);
    assert_int_equal(probe.last.status, 404);
}

static void early_refusal_needs_no_expected_body(void **state)
{
    (void)state;
    client_open(&client, &probe);
    client_send(&client, "POST /refuse HTTP/1.1\r\n" HOST
                         "Content-Length: 204800\r\nExpect: 100-continue\r\n\r\n");
    client_read(&client, &response);
    assert_int_equal(response.status, 404);
    client_expect_end(&client);
    client_close(&client);
}

static void early_refusal_of_a_huge_body_does_not_wait_for_it(void **state)
{
    (void)state;
    client_open(&client, &probe);
    client_send(&client, "POST /refuse HTTP/1.1\r\n" HOST "Content-Length: 9000000000\r\n\r\n");
    assert_true(send_filler(100000));
    client_read(&client, &response);
    assert_int_equal(response.status, 404);
    assert_non_null(strstr(response.head_text, "Connection: close"));
    client_expect_end(&client);
    client_close(&client);
    probe_await(&probe, &probe.ended_count, 1);
    assert_true(probe.last.is_complete);
}

static void refusal_in_mid_body_reaches_the_client_at_once(void **state)
{
    (void)state;
    client_open(&client, &probe);
    client_send(&client, "PUT /refuse-type HTTP/1.1\r\n" HOST "Content-Length: 500000000\r\n\r\n");
    assert_true(send_filler(64));
    client_read(&client, &response);
    assert_int_equal(response.status, 415);
    assert_string_equal(response.body_text, "not that");
    client_expect_end(&client);
    client_close(&client);
    probe_await(&probe, &probe.ended_count, 1);
    assert_int_equal(probe.last.status, 415);
    assert_true(probe.last.is_complete);
}

static void refusal_reaches_a_client_that_sends_all_before_it_reads(void **state)
{
    (void)state;
    client_open(&client, &probe);
    client_send(&client, "POST /refuse HTTP/1.1\r\n" HOST "Content-Length: 33554432\r\n\r\n");
    assert_true(send_filler(33554432));
    client_read(&client, &response);
    assert_int_equal(response.status, 404);
    client_expect_end(&client);
    client_close(&client);
}

static void refusal_in_mid_body_stops_a_client_that_never_reads(void **state)
{
    (void)state;
    client_open(&client, &probe);
    client_send(&client, "PUT /refuse-type HTTP/1.1\r\n" HOST "Content-Length: 500000000\r\n\r\n");
    assert_false(send_filler(500000000));
    client_close(&client);
    probe_await(&probe, &probe.ended_count, 1);
    assert_true(probe.last.body_bytes_received < 4 << 20);
}

static void refusal_in_mid_body_keeps_the_connection_when_little_is_left(void **state)
{
    (void)state;
    client_open(&client, &probe);
    client_send(&client, "PUT /refuse-type HTTP/1.1\r\n" HOST "Content-Length: 300000\r\n\r\n");
    assert_true(send_filler(300000));
    client_read(&client, &response);
    assert_int_equal(response.status, 415);
    client_send(&client, "GET /hello HTTP/1.1\r\n" HOST "\r\n");
    client_read(&client, &response);
    assert_int_equal(response.status, 200);
    client_close(&client);
}

static void body_at_its_limit_is_taken(void **state)
{
    (void)state;
    client_open(&client, &probe);
    client_send(&client, "POST /small HTTP/1.1\r\n" HOST "Content-Length: 1000\r\n\r\n");
    assert_true(send_filler(PROBE_SMALL_BYTES));
    client_read(&client, &response);
    assert_int_equal(response.status, 200);
    client_send(&client, "POST /small HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n");
    assert_true(send_chunk(400) && send_chunk(600));
    client_send(&client, "0\r\n\r\n");
    client_read(&client, &response);
    assert_int_equal(response.status, 200);
    client_close(&client);
    assert_int_equal(probe.too_large_count, 0);
}

static void announced_body_over_its_limit_is_too_large(void **state)
{
    (void)state;
    client_open(&client, &probe);
    client_send(&client, "POST /small HTTP/1.1\r\n" HOST "Content-Length: 1001\r\n\r\n");
    assert_true(send_filler(PROBE_SMALL_BYTES + 1));
    client_read(&client, &response);
    assert_int_equal(response.status, 413);
    client_send(&client, "POST /small HTTP/1.1\r\n" HOST
                         "Content-Length: 1001\r\nExpect: 100-continue\r\n\r\n");
    client_read(&client, &response);
    assert_int_equal(response.status, 413);
    client_expect_end(&client);
    client_close(&client);
    assert_int_equal(probe.too_large_count, 2);
}

static void chunked_body_over_its_limit_is_too_large(void **state)
{
    (void)state;
    client_open(&client, &probe);
    client_send(&client, "POST /small HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n");
    assert_true(send_chunk(1001) && send_chunk(70000));
    client_send(&client, "0\r\n\r\n");
    client_read(&client, &response);
    assert_int_equal(response.status, 413);
    client_expect_end(&client);
    client_close(&client);
}

static void endless_chunked_body_is_answered_and_cut_off(void **state)
{
    (void)state;
    client_open(&client, &probe);
    client_send(&client, "POST /small HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n");
    for (int i = 0; i < 20; i++)
        if (!send_chunk(64 << 10)) break; /* 1.25 MiB, and no end in sight */
    client_read(&client, &response);
    assert_int_equal(response.status, 413);
    client_expect_end(&client);
    client_close(&client);
    probe_await(&probe, &probe.ended_count, 1);
    assert_int_equal(probe.too_large_count, 1);
    assert_true(probe.arena_bytes_max < 256 << 10);
}

/* The exchange is suspended while the library has unread bytes of the body. */
static void endless_body_may_be_answered_by_another_thread(void **state)
{
    (void)state;
    client_open(&client, &probe);
    client_send(&client, "POST /later HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n");
    for (int i = 0; i < 60; i++)
        if (!send_chunk(64 << 10)) break;
    client_read(&client, &response);
    assert_int_equal(response.status, 413);
    assert_non_null(strstr(response.head_text, "X-Later: yes"));
    client_close(&client);
}

static void buffered_body_arrives_whole(void **state)
{
    (void)state;
    static char sent[PROBE_ECHO_BYTES], got[PROBE_ECHO_BYTES];
    for (size_t i = 0; i < sizeof(sent); i++)
        sent[i] = (char)(i * 2654435761u >> 13);
    client_open(&client, &probe);
    client_send(&client, "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 2097152\r\n\r\n");
    assert_true(client_try_send(&client, sent, sizeof(sent)));
    size_t len = 0;
    while (strstr(client.len ? client.bytes : "", "\r\n\r\n") == NULL)
        assert_true(client_fill(&client));
    client_consume(&client, (size_t)(strstr(client.bytes, "\r\n\r\n") + 4 - client.bytes));
    for (;;) {
        assert_true(len + client.len <= sizeof(got));
        memcpy(got + len, client.bytes, client.len);
        len += client.len;
        client.len = 0;
        if (len == sizeof(got)) break;
        assert_true(client_fill(&client));
    }
    assert_memory_equal(sent, got, sizeof(sent));
    client_close(&client);
}

static void declared_length_alone_costs_no_memory(void **state)
{
    (void)state;
    client_open(&client, &probe);
    client_send(&client, "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 2000000\r\n\r\nx");
    probe_await(&probe, &probe.begun_count, 1);
    client_close(&client);
    probe_await(&probe, &probe.ended_count, 1);
    assert_true(probe.arena_bytes_max <= 128 << 10);
}

static void streamed_body_arrives_whole_in_constant_memory(void **state)
{
    (void)state;
    client_open(&client, &probe);
    client_send(&client, "PUT /stream HTTP/1.1\r\n" HOST "Content-Length: 20971520\r\n\r\n");
    assert_true(send_filler(20 << 20));
    client_read(&client, &response);
    assert_string_equal(response.body_text, "20971520");
    client_close(&client);
    assert_true(probe.piece_bytes_max <= HTTP_PIECE_BYTES_MAX);
    assert_true(probe.piece_bytes_max > 16 << 10);
    probe_await(&probe, &probe.ended_count, 1);
    assert_true(probe.arena_bytes_max < 16 << 10);
}

static void streamed_body_may_be_chunked(void **state)
{
    (void)state;
    client_open(&client, &probe);
    client_send(&client, "PUT /stream HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n");
    assert_true(send_chunk(1) && send_chunk(300000) && send_chunk(17));
    client_send(&client, "0\r\nTrailer: x\r\n\r\n");
    client_read(&client, &response);
    assert_string_equal(response.body_text, "300018");
    client_close(&client);
}

static void client_that_leaves_in_mid_body_ends_the_exchange_once(void **state)
{
    (void)state;
    client_open(&client, &probe);
    client_send(&client, "PUT /stream HTTP/1.1\r\n" HOST "Content-Length: 1000\r\n\r\nabc");
    pthread_mutex_lock(&probe.lock);
    while (probe.streamed_bytes < 3)
        pthread_cond_wait(&probe.changed, &probe.lock);
    pthread_mutex_unlock(&probe.lock);
    client_close(&client);
    probe_await(&probe, &probe.ended_count, 1);
    assert_false(probe.last.is_complete);
    assert_int_equal(probe.last.status, 0);
    assert_int_equal(probe.last.body_bytes_received, 3);
    assert_int_equal(probe.requests_count, 0);
}

static void client_that_leaves_while_suspended_ends_the_exchange_once(void **state)
{
    (void)state;
    client_open(&client, &probe);
    client_send(&client, "GET /hold HTTP/1.1\r\n" HOST "\r\n");
    probe_await_held(&probe);
    struct linger now = { .l_onoff = 1 };
    setsockopt(client.fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    client_close(&client);
    probe_release(&probe);
    probe_await(&probe, &probe.ended_count, 1);
    assert_false(probe.last.is_complete);
}

static void early_refusal_of_a_request_without_body_keeps_the_connection(void **state)
{
    (void)state;
    client_open(&client, &probe);
    for (int i = 0; i < 3; i++) {
        client_send(&client, "GET /refuse HTTP/1.1\r\n" HOST "\r\n");
        client_read(&client, &response);
        assert_int_equal(response.status, 404);
    }
    client_close(&client);
}

#define T(test) cmocka_unit_test_setup_teardown(test, serve_with_filler, serve_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(request_is_answered_inline),
        T(connection_is_kept_alive),
        T(pipelined_requests_are_answered_in_order),
        T(suspended_exchanges_are_answered_by_another_thread),
        T(expected_body_is_waved_through),
        T(nothing_expected_is_no_reason_to_hang_up),
        T(early_refusal_reaches_a_client_that_sends_first),
        T(early_refusal_needs_no_expected_body),
        T(early_refusal_of_a_huge_body_does_not_wait_for_it),
        T(early_refusal_of_a_request_without_body_keeps_the_connection),
        T(refusal_in_mid_body_reaches_the_client_at_once),
        T(refusal_reaches_a_client_that_sends_all_before_it_reads),
        T(refusal_in_mid_body_stops_a_client_that_never_reads),
        T(refusal_in_mid_body_keeps_the_connection_when_little_is_left),
        T(body_at_its_limit_is_taken),
        T(announced_body_over_its_limit_is_too_large),
        T(chunked_body_over_its_limit_is_too_large),
        T(endless_chunked_body_is_answered_and_cut_off),
        T(endless_body_may_be_answered_by_another_thread),
        T(buffered_body_arrives_whole),
        T(declared_length_alone_costs_no_memory),
        T(streamed_body_arrives_whole_in_constant_memory),
        T(streamed_body_may_be_chunked),
        T(client_that_leaves_in_mid_body_ends_the_exchange_once),
        T(client_that_leaves_while_suspended_ends_the_exchange_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
