#include "http_fixture.h"

#include <signal.h>
#include <sys/wait.h>

static int serve_impatiently(void **state)
{
    (void)state;
    struct http_server_options options = probe_options();
    options.idle_ms_max = 200;
    return serve_with(&options);
}

static const char *content_length(void)
{
    char *at = strcasestr(response.head_text, "\r\nContent-Length: ");
    return at ? at + strlen("\r\nContent-Length: ") : "none";
}

static void file_reply_starts_at_its_offset(void **state)
{
    (void)state;
    ask(&probe, "GET /file/120/15 HTTP/1.1\r\n" HOST "\r\n", &response);
    assert_int_equal(response.status, 200);
    assert_string_equal(response.body_text, "line 0012\nline ");
}

static void file_reply_may_be_empty(void **state)
{
    (void)state;
    client_open(&client, &probe);
    client_send(&client, "GET /file/10/0 HTTP/1.1\r\n" HOST "\r\n");
    client_read(&client, &response);
    assert_int_equal(strtoll(content_length(), NULL, 10), 0);
    client_send(&client, "GET /hello HTTP/1.1\r\n" HOST "\r\n");
    client_read(&client, &response);
    assert_string_equal(response.body_text, "hello");
    client_close(&client);
}

static void file_reply_is_whole(void **state)
{
    (void)state;
    client_open(&client, &probe);
    for (int i = 0; i < 5; i++) {
        client_send(&client, "GET /file/0/100000 HTTP/1.1\r\n" HOST "\r\n");
        client_read(&client, &response);
        assert_int_equal(response.body.len, 100000);
    }
    client_close(&client);
}

/* The file is shorter than promised: nothing moves any more, which the idle limit ends. */
static void file_reply_that_ends_early_closes_the_connection(void **state)
{
    (void)state;
    client_open(&client, &probe);
    client_send(&client, "GET /file/0/100001 HTTP/1.1\r\n" HOST "\r\n");
    assert_false(client_try_read(&client, false, &response));
    client_close(&client);
    probe_await(&probe, &probe.ended_count, 1);
    assert_int_equal(probe.complete_count, 0);
}

static void head_has_the_length_and_no_body(void **state)
{
    (void)state;
    client_open(&client, &probe);
    client_send(&client, "HEAD /hello HTTP/1.1\r\n" HOST "\r\n");
    assert_true(client_try_read(&client, true, &response));
    assert_int_equal(strtoll(content_length(), NULL, 10), 5);
    client_send(&client, "HEAD /file/0/100000 HTTP/1.1\r\n" HOST "\r\n");
    assert_true(client_try_read(&client, true, &response));
    assert_int_equal(strtoll(content_length(), NULL, 10), 100000);
    client_send(&client, "GET /hello HTTP/1.1\r\n" HOST "\r\n");
    client_read(&client, &response);
    assert_string_equal(response.body_text, "hello");
    client_close(&client);
}

static void no_content_and_not_modified_have_no_body(void **state)
{
    (void)state;
    client_open(&client, &probe);
    client_send(&client, "GET /status/204 HTTP/1.1\r\n" HOST "\r\n");
    client_read(&client, &response);
    assert_int_equal(response.status, 204);
    assert_string_equal(content_length(), "none");
    client_send(&client, "GET /status/304 HTTP/1.1\r\n" HOST "\r\n");
    client_read(&client, &response);
    assert_int_equal(response.status, 304);
    client_send(&client, "GET /status/299 HTTP/1.1\r\n" HOST "\r\n");
    client_read(&client, &response);
    assert_int_equal(response.status, 299);
    assert_string_equal(response.body_text, "hello");
    client_close(&client);
}

static void reply_headers_are_sent(void **state)
{
    (void)state;
    ask(&probe, "GET /later HTTP/1.1\r\n" HOST "\r\n", &response);
    assert_non_null(strstr(response.head_text, "\r\nX-Later: yes\r\n"));
}

static void wish_to_close_is_honoured(void **state)
{
    (void)state;
    client_open(&client, &probe);
    client_send(&client, "GET /hello HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n");
    client_read(&client, &response);
    assert_non_null(strcasestr(response.head_text, "Connection: close"));
    client_expect_end(&client);
    client_close(&client);
}

static void http_1_0_is_answered_and_closed(void **state)
{
    (void)state;
    client_open(&client, &probe);
    client_send(&client, "GET /hello HTTP/1.0\r\n\r\n");
    client_read(&client, &response);
    assert_string_equal(response.body_text, "hello");
    client_expect_end(&client);
    client_close(&client);
}

/* Only in a child: the server of the child aborts. */
static void control_character_in_a_header_value_is_a_broken_invariant(void **state)
{
    (void)state;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        if (freopen("/dev/null", "w", stderr) == NULL) _exit(3);
        serve(NULL);
        client_open(&client, &probe);
        client_send(&client, "GET /evil HTTP/1.1\r\n" HOST "\r\n");
        client_try_read(&client, false, &response);
        _exit(4);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

#define T(test) cmocka_unit_test_setup_teardown(test, serve, serve_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(control_character_in_a_header_value_is_a_broken_invariant),
        T(file_reply_starts_at_its_offset),
        T(file_reply_may_be_empty),
        T(file_reply_is_whole),
        cmocka_unit_test_setup_teardown(file_reply_that_ends_early_closes_the_connection,
                                        serve_impatiently, serve_end),
        T(head_has_the_length_and_no_body),
        T(no_content_and_not_modified_have_no_body),
        T(reply_headers_are_sent),
        T(wish_to_close_is_honoured),
        T(http_1_0_is_answered_and_closed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
