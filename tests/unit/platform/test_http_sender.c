/* The sender against a receiver that does what receivers do. */
#include "platform/http_sender.h"

#include "base/world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <cmocka.h>

#include "raw_receiver.h"

enum { TEST_ARENA_BYTES_MAX = 4 << 20, LONG_MS = 60000, SHORT_MS = 300, MANY = 100 };

struct fixture {
    struct receiver     receiver;
    struct arena        arena;
    struct http_sender *sender;

    const struct http_guard *guard;
};

struct asked {
    struct http_send send;
    int              calls;
    char             reply[HTTP_SENDER_KEPT_BYTES_MAX + 1];
};

static void note(void *argument)
{
    struct asked *asked = argument;
    asked->calls++;
    memcpy(asked->reply, asked->send.reply.data, asked->send.reply.len);
    asked->reply[asked->send.reply.len] = '\0';
}

static void open_sender(struct fixture *at, const char *allow)
{
    struct http_sender_options options = { 0 };
    struct error               error = { 0 };
    assert_int_equal(
        http_guard_open(str_of(allow), STR_NONE, 0, &at->arena, &error, &options.guard), ERR_OK);
    if (at->sender) http_sender_close(at->sender);
    at->sender = http_sender_open(&options);
    at->guard = options.guard;
}

static int setup(void **state)
{
    struct fixture *at = calloc(1, sizeof(*at));
    assert_non_null(at);
    receiver_start(&at->receiver);
    arena_init(&at->arena, TEST_ARENA_BYTES_MAX);
    open_sender(at, "127.0.0.0/8,::1/128");
    *state = at;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *at = *state;
    http_sender_close(at->sender);
    receiver_stop(&at->receiver);
    arena_deinit(&at->arena);
    free(at);
    return 0;
}

static void submit_with(struct fixture *at, struct asked *asked, const char *url,
                        const char *header, int64_t timeout_ms)
{
    *asked = (struct asked){
        .send = { .url = url,
                  .body = STR("{\"a\":1}"),
                  .headers_count = 1,
                  .headers = { header },
                  .timeout_ms = timeout_ms,
                  .done = note,
                  .argument = asked },
    };
    http_sender_submit(at->sender, &asked->send);
}

static void submit_url(struct fixture *at, struct asked *asked, const char *url, int64_t timeout_ms)
{
    submit_with(at, asked, url, "X-Mine: yes", timeout_ms);
}

static const char *url_of(struct fixture *at, const char *host, const char *path)
{
    return str_format(&at->arena, "http://%s:%d%s", host, at->receiver.port, path).data;
}

static void submit(struct fixture *at, struct asked *asked, const char *path, int64_t timeout_ms)
{
    submit_url(at, asked, url_of(at, "127.0.0.1", path), timeout_ms);
}

static void finish(struct fixture *at, const struct asked *asked)
{
    while (asked->calls == 0)
        http_sender_run(at->sender, LONG_MS);
    assert_int_equal(asked->calls, 1);
}

/* Ask and hold the outcome and status against these. */
static void assert_ends(struct fixture *at, const char *path, int64_t timeout_ms,
                        enum http_send_outcome outcome, int status)
{
    struct asked asked;
    submit(at, &asked, path, timeout_ms);
    finish(at, &asked);
    if (asked.send.outcome != outcome)
        fail_msg("%s: %s", path, http_send_outcome_name(asked.send.outcome));
    assert_int_equal(asked.send.status, status);
}

/* --- what is sent and heard --- */

static void request_goes_out_as_it_was_given(void **state)
{
    struct fixture *at = *state;
    struct asked    asked;
    submit(at, &asked, "/echo?x=%20y", LONG_MS);
    finish(at, &asked);
    assert_int_equal(asked.send.outcome, HTTP_ANSWERED);
    assert_int_equal(asked.send.status, 200);
    assert_true(asked.send.latency_us > 0);
    assert_non_null(strstr(asked.reply, "POST /echo?x=%20y HTTP/1.1\r\n"));
    assert_non_null(strstr(asked.reply, "\r\nContent-Type: application/json\r\n"));
    assert_non_null(strstr(asked.reply, "\r\nUser-Agent: Firsthand/"));
    assert_non_null(strstr(asked.reply, "\r\nX-Mine: yes\r\n"));
    assert_non_null(strstr(asked.reply, "\r\nContent-Length: 7\r\n"));
    assert_non_null(strstr(asked.reply, "\r\n\r\n{\"a\":1}"));
    assert_null(strstr(asked.reply, "Expect"));
    assert_null(strstr(asked.reply, "Accept-Encoding"));
}

static void status_and_retry_after_are_heard(void **state)
{
    struct fixture *at = *state;
    struct asked    asked;
    assert_ends(at, "/gone", LONG_MS, HTTP_ANSWERED, 410);
    submit(at, &asked, "/later", LONG_MS);
    finish(at, &asked);
    assert_int_equal(asked.send.status, 429);
    assert_int_equal(asked.send.retry_after_s, 7);
}

/* What is made of a receiver's Retry-After. */
static int64_t heard_of(struct fixture *at, const char *value)
{
    struct asked asked;
    struct str   header = str_format(&at->arena, "X-Reply: Retry-After:%s", value);
    submit_with(at, &asked, url_of(at, "127.0.0.1", "/header"), header.data, LONG_MS);
    finish(at, &asked);
    assert_int_equal(asked.send.status, 503);
    return asked.send.retry_after_s;
}

static void retry_after_is_a_number_of_seconds(void **state)
{
    static const struct {
        const char *value;
        int64_t     seconds;
    } cases[] = {
        { " 0", 0 },
        { " 1", 1 },
        { "120", 120 },
        { " \t007 \t", 7 },
        { " 9223372036854775807", INT64_MAX },
        { " 9223372036854775808", INT64_MAX }, /* too many for 64 bits are as many as there are */
        { " 18446744073709551617", INT64_MAX },
        { " 100000000000000000000000000000000000000000", INT64_MAX },
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        int64_t heard = heard_of(*state, cases[i].value);
        if (heard != cases[i].seconds) fail_msg("%s: %lld", cases[i].value, (long long)heard);
    }
}

enum { DATE_FORMS = 3, DATE_BYTES = 64 };

/* IMF-fixdate, RFC 850 and asctime. */
static const char *date_text(struct fixture *at, time_t time_s, int form)
{
    char      day[DATE_BYTES], clock[DATE_BYTES];
    struct tm tm;
    assert_non_null(gmtime_r(&time_s, &tm));
    strftime(clock, sizeof(clock), "%H:%M:%S", &tm);
    if (form == 0)
        strftime(day, sizeof(day), "%a, %d %b %Y", &tm);
    else if (form == 1)
        strftime(day, sizeof(day), "%A, %d-%b", &tm);
    else
        strftime(day, sizeof(day), "%a %b %e", &tm);
    if (form == 0) return str_format(&at->arena, " %s %s GMT", day, clock).data;
    if (form == 1)
        return str_format(&at->arena, " %s-%02d %s GMT", day, tm.tm_year % 100, clock).data;
    return str_format(&at->arena, " %s %s %d", day, clock, tm.tm_year + 1900).data;
}

static void retry_after_is_a_date_in_each_form_of_http(void **state)
{
    enum { AHEAD_S = 24 * 3600, SLOW_S = 12 * 3600 };
    for (int form = 0; form < DATE_FORMS; form++) {
        const char *text = date_text(*state, time(NULL) + AHEAD_S, form);
        int64_t     heard = heard_of(*state, text);
        if (heard > AHEAD_S || heard < AHEAD_S - SLOW_S)
            fail_msg("%s: %lld", text, (long long)heard);
        text = date_text(*state, time(NULL) - AHEAD_S, form); /* that has come */
        assert_int_equal(heard_of(*state, text), 0);
    }
    assert_true(heard_of(*state, " Fri, 31 Dec 9999 23:59:59 GMT") > INT64_C(365) * 24 * 3600);
}

static void retry_after_that_is_neither_is_not_heard(void **state)
{
    static const char *const bad[] = {
        "",     " -5",  " +5",    " 5 seconds", " 7.5",   " 0x10",   " 1e3",
        " 5,6", " 5 6", " later", " ",          " \"5\"", " 12:30x",
    };
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        int64_t heard = heard_of(*state, bad[i]);
        if (heard != 0) fail_msg("%s: %lld", bad[i], (long long)heard);
    }
}

/* Its handle is used again: what one receiver asked for is not another's wish. */
static void retry_after_is_of_this_reply_only(void **state)
{
    struct fixture *at = *state;
    struct asked    asked;
    submit(at, &asked, "/later", LONG_MS);
    finish(at, &asked);
    submit(at, &asked, "/gone", LONG_MS);
    finish(at, &asked);
    assert_int_equal(asked.send.retry_after_s, 0);
}

static void redirects_are_not_followed(void **state)
{
    struct fixture *at = *state;
    assert_ends(at, "/redirect", LONG_MS, HTTP_ANSWERED, 302);
    assert_int_equal(at->receiver.requests, 1);
}

static void proxies_of_the_environment_are_not_asked(void **state)
{
    struct fixture *at = *state;
    setenv("http_proxy", "http://127.0.0.1:1", 1);
    setenv("ALL_PROXY", "socks5://127.0.0.1:1", 1);
    assert_ends(at, "/ok", LONG_MS, HTTP_ANSWERED, 200);
    unsetenv("http_proxy");
    unsetenv("ALL_PROXY");
}

static void connection_is_used_again(void **state)
{
    struct fixture *at = *state;
    for (int i = 0; i < 10; i++)
        assert_ends(at, "/ok", LONG_MS, HTTP_ANSWERED, 200);
    assert_int_equal(at->receiver.requests, 10);
    assert_int_equal(at->receiver.connections, 1);
}

/* The place is the address and not the name: 127.0.0.2 is not 127.0.0.1's connection. */
static void connection_is_not_used_for_another_place(void **state)
{
    struct fixture *at = *state;
    struct asked    asked;
    assert_ends(at, "/ok", LONG_MS, HTTP_ANSWERED, 200);
    submit_url(at, &asked, url_of(at, "127.0.0.2", "/ok"), LONG_MS);
    finish(at, &asked);
    assert_int_equal(at->receiver.connections, 1); /* it listens on one of them only */
    assert_int_equal(asked.send.outcome, HTTP_NOT_CONNECTED);
}

static void name_is_resolved_and_the_next_address_tried(void **state)
{
    struct fixture *at = *state;
    struct asked    asked; /* localhost may be ::1 first, where nobody listens */
    submit_url(at, &asked, url_of(at, "localhost", "/ok"), LONG_MS);
    finish(at, &asked);
    assert_int_equal(asked.send.status, 200);
}

static void kept_connection_that_was_closed_costs_nothing(void **state)
{
    struct fixture *at = *state;
    assert_ends(at, "/once", LONG_MS, HTTP_ANSWERED, 200);
    assert_ends(at, "/once", LONG_MS, HTTP_ANSWERED, 200);
    assert_int_equal(at->receiver.connections, 2);
}

/* --- what goes wrong --- */

static void broken_replies_are_told_apart(void **state)
{
    struct fixture *at = *state;
    assert_ends(at, "/reset", LONG_MS, HTTP_CLOSED, 0);
    assert_ends(at, "/close", LONG_MS, HTTP_CLOSED, 0);
    assert_ends(at, "/half", LONG_MS, HTTP_CLOSED, 0);
    assert_ends(at, "/junk", LONG_MS, HTTP_REPLY_MALFORMED, 0);
    assert_ends(at, "/headers", LONG_MS, HTTP_REPLY_MALFORMED, 0);
}

static void time_limit_is_for_all_of_it(void **state)
{
    struct fixture *at = *state;
    assert_ends(at, "/hang", SHORT_MS, HTTP_TIMED_OUT, 0);
    assert_ends(at, "/drip", SHORT_MS, HTTP_TIMED_OUT, 0);
}

static void assert_read_to_the_ceiling(struct fixture *at, const char *path)
{
    struct asked asked;
    submit(at, &asked, path, LONG_MS);
    finish(at, &asked);
    assert_int_equal(asked.send.outcome, HTTP_ANSWERED);
    assert_int_equal(asked.send.status, 200);
    assert_int_equal(strlen(asked.reply), HTTP_SENDER_KEPT_BYTES_MAX);
}

static void endless_reply_is_read_to_the_ceiling_and_answers(void **state)
{
    assert_read_to_the_ceiling(*state, "/huge");
}

/* Hardly anything to receive, and without end when it is unpacked. */
static void packed_reply_is_read_to_the_ceiling_and_answers(void **state)
{
    assert_read_to_the_ceiling(*state, "/bomb");
}

static void plain_receiver_fails_tls(void **state)
{
    struct fixture *at = *state;
    struct asked    asked;
    const char *url = str_format(&at->arena, "https://127.0.0.1:%d/junk", at->receiver.port).data;
    submit_url(at, &asked, url, SHORT_MS);
    finish(at, &asked);
    assert_true(asked.send.outcome == HTTP_TLS_FAILED || asked.send.outcome == HTTP_TIMED_OUT);
}

static void authorities_that_cannot_be_read_fail_tls(void **state)
{
    struct fixture            *at = *state;
    struct asked               asked;
    struct http_sender_options options = { .guard = at->guard, .ca_path = "/nonexistent/ca.pem" };
    http_sender_close(at->sender);
    at->sender = http_sender_open(&options);
    const char *url = str_format(&at->arena, "https://127.0.0.1:%d/ok", at->receiver.port).data;
    submit_url(at, &asked, url, LONG_MS);
    finish(at, &asked);
    assert_int_equal(asked.send.outcome, HTTP_TLS_FAILED);
}

static void nobody_there_is_not_connected(void **state)
{
    struct fixture *at = *state;
    struct asked    asked;
    submit_url(at, &asked, "http://127.0.0.1:1/", LONG_MS);
    finish(at, &asked);
    assert_int_equal(asked.send.outcome, HTTP_NOT_CONNECTED);
}

static void name_that_does_not_resolve_is_unknown(void **state)
{
    struct fixture *at = *state;
    struct asked    asked;
    submit_url(at, &asked,
               "https://aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.invalid/",
               LONG_MS);
    finish(at, &asked);
    assert_int_equal(asked.send.outcome, HTTP_NAME_UNKNOWN);
}

/* --- where nothing may go --- */

static void refused_places_are_never_connected(void **state)
{
    struct fixture *at = *state;
    struct asked    asked;
    open_sender(at, "");
    static const char *const hosts[] = {
        "127.0.0.1", "localhost",          "0x7f.1",      "2130706433",      "0177.0.0.1",
        "127.1",     "[::ffff:127.0.0.1]", "0",           "[::ffff:7f00:1]", "[::]",
        "[::1]",     "0x7f000001",         "017700000001"
    };
    for (size_t i = 0; i < COUNT_OF(hosts); i++) {
        const char *url =
            str_format(&at->arena, "https://%s:%d/ok", hosts[i], at->receiver.port).data;
        submit_url(at, &asked, url, LONG_MS);
        finish(at, &asked);
        if (asked.send.outcome != HTTP_ADDRESS_REFUSED)
            fail_msg("%s: %s", url, http_send_outcome_name(asked.send.outcome));
    }
    submit_url(at, &asked, "http://93.184.216.34/", LONG_MS);
    finish(at, &asked);
    assert_int_equal(asked.send.outcome, HTTP_ADDRESS_REFUSED); /* public, but not encrypted */
    assert_int_equal(at->receiver.connections, 0);
}

/* To the C library these are names, which nobody has; to others they might be addresses. */
static void dots_and_digits_that_are_no_address_are_never_connected(void **state)
{
    static const char *const hosts[] = { "127.0.0.1.", "2130706433.", "127.0.0.1.0", "0x7f.1.",
                                         "256.0.0.1",  "08.0.0.1",    "127.0.0.1x" };
    struct fixture          *at = *state;
    struct asked             asked;
    open_sender(at, "");
    for (size_t i = 0; i < COUNT_OF(hosts); i++) {
        const char *url =
            str_format(&at->arena, "https://%s:%d/ok", hosts[i], at->receiver.port).data;
        submit_url(at, &asked, url, LONG_MS);
        finish(at, &asked);
        if (asked.send.outcome != HTTP_NAME_UNKNOWN && asked.send.outcome != HTTP_ADDRESS_REFUSED)
            fail_msg("%s: %s", url, http_send_outcome_name(asked.send.outcome));
    }
    assert_int_equal(at->receiver.connections, 0);
}

static void malformed_urls_are_refused(void **state)
{
    static const char *const bad[] = { "", "file:///etc/passwd", "https://a@127.0.0.1/" };
    struct fixture          *at = *state;
    struct asked             asked;
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        submit_url(at, &asked, bad[i], LONG_MS);
        finish(at, &asked);
        assert_int_equal(asked.send.outcome, HTTP_URL_REFUSED);
    }
}

/* --- many at once --- */

static void hanging_ones_keep_nobody_waiting(void **state)
{
    struct fixture     *at = *state;
    static struct asked hanging[MANY], good[MANY];
    for (int i = 0; i < MANY; i++)
        submit(at, &hanging[i], "/hang", LONG_MS);
    for (int i = 0; i < MANY; i++)
        submit(at, &good[i], "/ok", LONG_MS);
    assert_int_equal(http_sender_room(at->sender), HTTP_SENDER_TRANSFERS_MAX - 2 * MANY);
    for (int i = 0; i < MANY; i++) {
        finish(at, &good[i]);
        assert_int_equal(good[i].send.status, 200);
        assert_int_equal(hanging[i].calls, 0);
    }
    assert_int_equal(http_sender_room(at->sender), HTTP_SENDER_TRANSFERS_MAX - MANY);
}

struct chain {
    struct fixture *at;
    struct asked    asked;
    int             left;
};

static void submit_next(void *argument)
{
    struct chain *chain = argument;
    assert_int_equal(chain->asked.send.status, 200);
    if (--chain->left == 0) return;
    submit(chain->at, &chain->asked, "/ok", LONG_MS);
    chain->asked.send.done = submit_next;
    chain->asked.send.argument = chain;
}

static void done_may_submit_the_next(void **state)
{
    struct chain chain = { .at = *state, .left = 2 * HTTP_SENDER_TRANSFERS_MAX };
    submit(chain.at, &chain.asked, "/ok", LONG_MS);
    chain.asked.send.done = submit_next;
    chain.asked.send.argument = &chain;
    while (chain.left > 0)
        http_sender_run(chain.at->sender, LONG_MS);
    assert_int_equal(http_sender_room(chain.at->sender), HTTP_SENDER_TRANSFERS_MAX);
}

static void *wake_it(void *argument)
{
    http_sender_wake(argument);
    return NULL;
}

static void wake_ends_the_wait(void **state)
{
    struct fixture *at = *state;
    pthread_t       thread;
    http_sender_wake(at->sender);
    http_sender_run(at->sender, INT32_MAX); /* one that came before */
    assert_int_equal(pthread_create(&thread, NULL, wake_it, at->sender), 0);
    http_sender_run(at->sender, INT32_MAX);
    pthread_join(thread, NULL);
}

static void close_gives_up_what_is_under_way(void **state)
{
    struct fixture *at = *state;
    struct asked    asked;
    submit(at, &asked, "/hang", LONG_MS);
    while (at->receiver.hanging == 0)
        http_sender_run(at->sender, 1);
    open_sender(at, ""); /* closes the first */
    assert_int_equal(asked.calls, 0);
}

#define sender_test(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        sender_test(request_goes_out_as_it_was_given),
        sender_test(status_and_retry_after_are_heard),
        sender_test(retry_after_is_a_number_of_seconds),
        sender_test(retry_after_is_a_date_in_each_form_of_http),
        sender_test(retry_after_that_is_neither_is_not_heard),
        sender_test(retry_after_is_of_this_reply_only),
        sender_test(redirects_are_not_followed),
        sender_test(proxies_of_the_environment_are_not_asked),
        sender_test(connection_is_used_again),
        sender_test(connection_is_not_used_for_another_place),
        sender_test(name_is_resolved_and_the_next_address_tried),
        sender_test(kept_connection_that_was_closed_costs_nothing),
        sender_test(broken_replies_are_told_apart),
        sender_test(time_limit_is_for_all_of_it),
        sender_test(endless_reply_is_read_to_the_ceiling_and_answers),
        sender_test(packed_reply_is_read_to_the_ceiling_and_answers),
        sender_test(plain_receiver_fails_tls),
        sender_test(authorities_that_cannot_be_read_fail_tls),
        sender_test(nobody_there_is_not_connected),
        sender_test(name_that_does_not_resolve_is_unknown),
        sender_test(refused_places_are_never_connected),
        sender_test(dots_and_digits_that_are_no_address_are_never_connected),
        sender_test(malformed_urls_are_refused),
        sender_test(hanging_ones_keep_nobody_waiting),
        sender_test(done_may_submit_the_next),
        sender_test(wake_ends_the_wait),
        sender_test(close_gives_up_what_is_under_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
