/* The HTTP client against a real server on loopback. */
#include "platform/http_client.h"

#include "http_probe.h"

static struct probe        probe;
static struct http_client *client;
static struct arena        arena;
static struct error        error;

static int serve(void **state)
{
    (void)state;
    struct http_server_options options = probe_options();
    probe_start(&probe, &options);
    client = http_client_open();
    arena_init(&arena, 8 << 20);
    error_clear(&error);
    return 0;
}

static int serve_end(void **state)
{
    (void)state;
    http_client_close(client);
    arena_deinit(&arena);
    probe_stop(&probe);
    return 0;
}

static enum err ask_client(const char *method, const char *path, struct str body,
                           const char *file_path, struct http_client_reply *reply)
{
    struct http_client_request request = {
        .method = method,
        .url = str_format(&arena, "http://127.0.0.1:%d%s", probe.port, path).data,
        .body = body,
        .file_path = file_path,
        .timeout_ms = 5000,
    };
    return http_client_send(client, &request, &arena, &error, reply);
}

static void body_arrives_whole_and_the_reply_comes_back(void **state)
{
    (void)state;
    struct http_client_reply reply;
    assert_int_equal(ask_client("POST", "/echo", STR("one\0two"), NULL, &reply), ERR_OK);
    assert_int_equal(reply.status, 200);
    assert_true(str_eq(reply.body, STR("one\0two")));
}

static void file_is_streamed_as_the_body(void **state)
{
    (void)state;
    char path[] = "/tmp/client-XXXXXX";
    int  fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "from a file", 11), 11);
    close(fd);
    struct http_client_reply reply;
    enum err                 e = ask_client("PUT", "/echo", STR_NONE, path, &reply);
    unlink(path);
    assert_int_equal(e, ERR_OK);
    assert_true(str_eq(reply.body, STR("from a file")));
}

static void status_is_an_answer_whatever_it_is(void **state)
{
    (void)state;
    struct http_client_reply reply;
    assert_int_equal(ask_client("GET", "/status/503", STR_NONE, NULL, &reply), ERR_OK);
    assert_int_equal(reply.status, 503);
}

static void one_handle_serves_many_requests(void **state)
{
    (void)state;
    struct http_client_reply reply;
    for (int i = 0; i < 20; i++) {
        assert_int_equal(ask_client("POST", "/echo", STR("again"), NULL, &reply), ERR_OK);
        assert_true(str_eq(reply.body, STR("again")));
        assert_int_equal(ask_client("GET", "/where?x=1", STR_NONE, NULL, &reply), ERR_OK);
        assert_int_equal(reply.status, 200);
    }
}

static void reply_over_the_limit_is_refused(void **state)
{
    (void)state;
    struct http_client_reply reply = { 0 };
    char                    *large = NEW(&arena, char, HTTP_CLIENT_REPLY_BYTES_MAX + 1);
    memset(large, 'a', HTTP_CLIENT_REPLY_BYTES_MAX + 1);
    struct str body = { large, HTTP_CLIENT_REPLY_BYTES_MAX + 1 };
    assert_int_equal(ask_client("POST", "/echo", body, NULL, &reply), ERR_TOO_LARGE);
    assert_string_equal(error.slug, "http_reply_too_large");
    assert_int_equal(reply.status, 0);
}

static void absent_file_is_an_error_that_names_it(void **state)
{
    (void)state;
    struct http_client_reply reply;
    assert_int_equal(ask_client("PUT", "/echo", STR_NONE, "/nonexistent/file", &reply),
                     ERR_NOT_FOUND);
    assert_string_equal(error.slug, "file_unreadable");
    assert_non_null(strstr(error.detail, "/nonexistent/file"));
    assert_int_equal(ask_client("PUT", "/echo", STR_NONE, "/tmp", &reply), ERR_NOT_FOUND);
}

static void nobody_listening_is_unavailable(void **state)
{
    (void)state;
    int                        port, fd = probe_hold_port(&port);
    struct http_client_request request = {
        .method = "GET",
        .url = str_format(&arena, "http://127.0.0.1:%d/", port).data,
        .timeout_ms = 5000,
    };
    struct http_client_reply reply;
    assert_int_equal(http_client_send(client, &request, &arena, &error, &reply), ERR_UNAVAILABLE);
    assert_string_equal(error.slug, "http_failed");
    close(fd);
}

static void other_schemes_are_refused(void **state)
{
    (void)state;
    struct http_client_request request = { .method = "GET",
                                           .url = "file:///etc/passwd",
                                           .timeout_ms = 5000 };
    struct http_client_reply   reply;
    assert_int_equal(http_client_send(client, &request, &arena, &error, &reply), ERR_UNAVAILABLE);
}

static void time_is_limited(void **state)
{
    (void)state;
    int                        fd = probe_listen(STR("127.0.0.1")); /* and nobody accepts */
    struct http_client_request request = {
        .method = "GET",
        .url = str_format(&arena, "http://127.0.0.1:%d/", http_listen_port(fd)).data,
        .timeout_ms = 200,
    };
    struct http_client_reply reply;
    assert_int_equal(http_client_send(client, &request, &arena, &error, &reply), ERR_UNAVAILABLE);
    close(fd);
}

static void reply_may_be_as_large_as_the_request_says(void **state)
{
    (void)state;
    struct http_client_reply   reply = { 0 };
    struct http_client_request request = {
        .method = "POST",
        .url = str_format(&arena, "http://127.0.0.1:%d/echo", probe.port).data,
        .body = STR("0123456789"),
        .timeout_ms = 5000,
        .reply_bytes_max = 9,
    };
    assert_int_equal(http_client_send(client, &request, &arena, &error, &reply), ERR_TOO_LARGE);
    request.reply_bytes_max = 10;
    assert_int_equal(http_client_send(client, &request, &arena, &error, &reply), ERR_OK);
}

/* The server has it, and does not answer. */
static bool is_held(void *context)
{
    struct probe *at = context;
    pthread_mutex_lock(&at->lock);
    bool is = at->held != NULL;
    pthread_mutex_unlock(&at->lock);
    return is;
}

static void request_ends_when_it_is_cancelled(void **state)
{
    (void)state;
    struct http_client_request request = {
        .method = "GET",
        .url = str_format(&arena, "http://127.0.0.1:%d/hold", probe.port).data,
        .timeout_ms = 60 * 1000,
        .is_cancelled = is_held,
        .context = &probe,
    };
    struct http_client_reply reply;
    assert_int_equal(http_client_send(client, &request, &arena, &error, &reply), ERR_UNAVAILABLE);
    probe_release(&probe);
}

int main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, serve, serve_end)
    const struct CMUnitTest tests[] = {
        T(body_arrives_whole_and_the_reply_comes_back),
        T(file_is_streamed_as_the_body),
        T(status_is_an_answer_whatever_it_is),
        T(one_handle_serves_many_requests),
        T(reply_over_the_limit_is_refused),
        T(absent_file_is_an_error_that_names_it),
        T(nobody_listening_is_unavailable),
        T(other_schemes_are_refused),
        T(time_is_limited),
        T(reply_may_be_as_large_as_the_request_says),
        T(request_ends_when_it_is_cancelled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
