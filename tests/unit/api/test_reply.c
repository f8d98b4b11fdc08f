#include "api/reply.h"

#include "../platform/http_probe.h"

#include <fcntl.h>

/* --- an exchange without a connection --- */

static struct arena         arena;
static struct http_exchange http;
static struct exchange      exchange;

static int exchange_setup(void **state)
{
    (void)state;
    arena_init(&arena, 64 << 20);
    http = (struct http_exchange){ .arena = &arena };
    exchange = (struct exchange){ .http = &http, .request_id = id_new(ID_REQUEST, 1) };
    exchange.call.arena = &arena;
    reply_begin(&exchange.reply, &arena);
    return 0;
}

static int exchange_teardown(void **state)
{
    (void)state;
    arena_deinit(&arena);
    return 0;
}

#define reply_test(name) cmocka_unit_test_setup_teardown(name, exchange_setup, exchange_teardown)

static struct str header_of(const char *name)
{
    for (int i = 0; i < exchange.reply.headers_count; i++)
        if (strcmp(exchange.reply.headers[i].name, name) == 0)
            return exchange.reply.headers[i].value;
    return STR_NONE;
}

/* The "error" object of the envelope that stands in the reply. */
static const json_t *enveloped(void)
{
    struct error error = { 0 };
    json_t      *root;
    assert_int_equal(json_parse(&arena, buf_str(&exchange.reply.body), &error, &root), ERR_OK);
    assert_int_equal(json_object_size(root), 1);
    return json_object_get(root, "error");
}

static const json_t *detail_of(size_t index)
{
    return json_array_get(json_object_get(enveloped(), "details"), index);
}

static void assert_text(const json_t *object, const char *key, const char *expected)
{
    struct str text = in_text(object, key, &arena);
    if (!str_eq(text, str_of(expected)))
        fail_msg("%s is \"%.*s\", not \"%s\"", key, STR_ARG(text), expected);
}

static void refuse(enum err code, const char *slug, const char *detail)
{
    error_clear(&exchange.call.error);
    assert_int_equal(FAIL(&exchange.call.error, code, slug, "%s", detail), code);
    reply_error(&exchange);
}

/* --- codes --- */

static void every_code_has_its_status_and_type(void **state)
{
    (void)state;
    static const struct {
        enum err    code;
        int         status;
        const char *type;
    } rows[] = {
        { ERR_INVALID, 400, "invalid_request" },
        { ERR_UNAUTHENTICATED, 401, "authentication_error" },
        { ERR_UNPAID, 402, "insufficient_credits" },
        { ERR_FORBIDDEN, 403, "authorization_error" },
        { ERR_NOT_FOUND, 404, "not_found" },
        { ERR_METHOD, 405, "invalid_request" },
        { ERR_CONFLICT, 409, "conflict" },
        { ERR_GONE, 410, "not_found" },
        { ERR_PRECONDITION, 412, "invalid_request" },
        { ERR_TOO_LARGE, 413, "invalid_request" },
        { ERR_MEDIA_TYPE, 415, "invalid_request" },
        { ERR_RANGE, 416, "invalid_request" },
        { ERR_UNPROCESSABLE, 422, "validation_error" },
        { ERR_CHECKSUM, 460, "invalid_request" },
        { ERR_LIMITED, 429, "rate_limit_exceeded" },
        { ERR_BUSY, 503, "internal_error" },
        { ERR_UNCERTAIN, 503, "internal_error" },
        { ERR_UNAVAILABLE, 503, "internal_error" },
        { ERR_INTERNAL, 500, "internal_error" },
    };
    assert_int_equal(COUNT_OF(rows), ERR__COUNT - 1);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        assert_int_equal(err_status(rows[i].code), rows[i].status);
        assert_string_equal(err_type(rows[i].code), rows[i].type);
        refuse(rows[i].code, "a_slug", "a detail");
        assert_int_equal(exchange.reply.status, rows[i].status);
        assert_text(enveloped(), "type", rows[i].type);
    }
}

/* --- the envelope --- */

static void refusal_without_faults_has_its_slug_as_the_only_detail(void **state)
{
    (void)state;
    refuse(ERR_CONFLICT, "job_closed", "the job is \"cancelled\"");
    assert_text(enveloped(), "message", "the job is \"cancelled\"");
    assert_text(enveloped(), "request_id", exchange.request_id.text);
    assert_int_equal(json_array_size(json_object_get(enveloped(), "details")), 1);
    assert_text(detail_of(0), "code", "job_closed");
    assert_text(detail_of(0), "message", "the job is \"cancelled\"");
    assert_false(in_has(detail_of(0), "field"));
}

static void faults_are_listed_in_the_order_found(void **state)
{
    (void)state;
    struct error *error = &exchange.call.error;
    error_add_fault(error, &arena, STR("accepted_formats[2]"), "enum", "must be one of these");
    error_add_fault(error, &arena, STR_NONE, "required", "something is missing");
    assert_int_equal(FAIL(error, ERR_UNPROCESSABLE, "body_invalid", "two faults"),
                     ERR_UNPROCESSABLE);
    reply_error(&exchange);
    assert_int_equal(json_array_size(json_object_get(enveloped(), "details")), 2);
    assert_text(detail_of(0), "field", "accepted_formats[2]");
    assert_text(detail_of(0), "code", "enum");
    assert_text(detail_of(0), "message", "must be one of these");
    assert_false(in_has(detail_of(1), "field"));
    assert_text(detail_of(1), "code", "required");
}

static void hundred_faults_of_the_longest_text_fit(void **state)
{
    (void)state;
    struct error *error = &exchange.call.error;
    char          text[ERROR_DETAIL_BYTES_MAX];
    memset(text, '"', sizeof(text) - 1); /* doubles when escaped */
    text[sizeof(text) - 1] = '\0';
    for (int i = 0; i < 2 * ERROR_FAULTS_COUNT_MAX; i++)
        error_add_fault(error, &arena, str_of(text), "format", "%s", text);
    assert_int_equal(FAIL(error, ERR_UNPROCESSABLE, "body_invalid", "%s", text), ERR_UNPROCESSABLE);
    reply_error(&exchange);
    assert_int_equal(json_array_size(json_object_get(enveloped(), "details")),
                     ERROR_FAULTS_COUNT_MAX);
}

static void refusal_replaces_what_was_written(void **state)
{
    (void)state;
    exchange.reply.status = 201;
    exchange.reply.carries_secret = true;
    out_object(&exchange.reply.out, NULL);
    out_text(&exchange.reply.out, "secret", STR("fh_live_hunter2"));
    reply_header(&exchange.reply, "ETag", STR("\"x\""));
    exchange.reply.file_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    int fd = exchange.reply.file_fd;
    refuse(ERR_NOT_FOUND, "job", "no such job");
    assert_null(strstr(str_c(&arena, buf_str(&exchange.reply.body)), "hunter2"));
    assert_null(header_of("ETag").data);
    assert_int_equal(exchange.reply.file_fd, -1);
    assert_int_equal(fcntl(fd, F_GETFD), -1);
    assert_false(exchange.reply.carries_secret);
}

static void refusal_with_broken_text_is_still_json(void **state)
{
    (void)state;
    refuse(ERR_INVALID, "bad_thing", "\xff\xfe \x01 \"quoted\" </script>");
    assert_true(in_has(enveloped(), "message"));
}

/* --- what stays inside --- */

static const char INSIDE[] = "SELECT secrets FROM /srv/data";

static void assert_says_nothing_of_the_inside(void)
{
    assert_null(strstr(str_c(&arena, buf_str(&exchange.reply.body)), "SELECT"));
    assert_null(strstr(str_c(&arena, buf_str(&exchange.reply.body)), "/srv"));
}

static void server_errors_say_nothing_of_the_inside(void **state)
{
    (void)state;
    static const enum err codes[] = { ERR_INTERNAL, ERR_BUSY, ERR_UNCERTAIN, ERR_UNAVAILABLE };
    for (size_t i = 0; i < COUNT_OF(codes); i++) {
        refuse(codes[i], "db_statement", INSIDE);
        assert_says_nothing_of_the_inside();
    }
    refuse(ERR_INTERNAL, "db_statement", INSIDE);
    assert_text(detail_of(0), "code", "internal");
}

/* A unique key that nobody foresaw is no conflict a client could do anything about. */
static void unforeseen_refusal_of_the_store_is_an_internal_error(void **state)
{
    (void)state;
    refuse(ERR_CONFLICT, "db_constraint", INSIDE);
    assert_int_equal(exchange.reply.status, 500);
    assert_text(enveloped(), "type", "internal_error");
    assert_text(detail_of(0), "code", "internal");
    assert_says_nothing_of_the_inside();
}

static void unknown_outcome_is_called_that(void **state)
{
    (void)state;
    refuse(ERR_UNAVAILABLE, "commit_unknown", INSIDE);
    assert_int_equal(exchange.reply.status, 503);
    assert_non_null(
        strstr(str_c(&arena, in_text(enveloped(), "message", &arena)), "The outcome is not known"));
    refuse(ERR_UNAVAILABLE, "store_unavailable", INSIDE);
    assert_null(strstr(str_c(&arena, in_text(enveloped(), "message", &arena)), "outcome"));
}

/* --- headers of refusals --- */

static void refused_credentials_name_the_scheme(void **state)
{
    (void)state;
    refuse(ERR_UNAUTHENTICATED, "bad_credentials", "unknown API key");
    assert_true(str_eq(header_of("WWW-Authenticate"), STR("Bearer")));
    assert_null(header_of("Retry-After").data);
    refuse(ERR_FORBIDDEN, "scope_missing", "no");
    assert_null(header_of("WWW-Authenticate").data);
}

static void wait_is_told_where_there_is_one(void **state)
{
    (void)state;
    static const enum err later[] = { ERR_BUSY, ERR_UNCERTAIN, ERR_UNAVAILABLE };
    for (size_t i = 0; i < COUNT_OF(later); i++) {
        refuse(later[i], "store_unavailable", "no");
        assert_true(str_eq(header_of("Retry-After"), STR("1")));
    }
    error_clear(&exchange.call.error);
    exchange.call.error.retry_after_s = 37;
    assert_int_equal(FAIL(&exchange.call.error, ERR_LIMITED, "rate_limit_exceeded", "slow down"),
                     ERR_LIMITED);
    reply_error(&exchange);
    assert_true(str_eq(header_of("Retry-After"), STR("37")));
    refuse(ERR_INTERNAL, "db_statement", "no");
    assert_null(header_of("Retry-After").data);
}

/* --- listings --- */

static void listing_has_its_frame(void **state)
{
    (void)state;
    reply_list_begin(&exchange.reply);
    out_int(&exchange.reply.out, NULL, 7);
    reply_list_end(&exchange.reply, STR("abc"));
    assert_true(str_eq(
        buf_str(&exchange.reply.body),
        STR("{\"object\":\"list\",\"data\":[7],\"has_more\":true,\"next_cursor\":\"abc\"}")));
    reply_begin(&exchange.reply, &arena);
    reply_list_begin(&exchange.reply);
    reply_list_end(&exchange.reply, STR_NONE);
    assert_true(
        str_eq(buf_str(&exchange.reply.body),
               STR("{\"object\":\"list\",\"data\":[],\"has_more\":false,\"next_cursor\":null}")));
}

/* --- sending, over a real connection --- */

static struct id sent_request_id;

/* Each path is one way to reply. */
static void send_by_path(void *context, struct http_exchange *request)
{
    (void)context;
    struct exchange *sent = NEW(request->arena, struct exchange, 1);
    struct str       path = request->path;
    sent->http = request;
    sent->request_id = sent_request_id;
    sent->call.arena = request->arena;
    reply_begin(&sent->reply, request->arena);
    if (str_eq(path, STR("/metered")) || str_eq(path, STR("/unlimited"))) {
        sent->is_metered = true;
        sent->rate = (struct meter_reading){ .is_allowed = true };
        if (str_eq(path, STR("/metered")))
            sent->rate = (struct meter_reading){ true, 1000, 998, 1767225660, 0 };
    }
    if (str_eq(path, STR("/none"))) {
        sent->reply.status = 204;
    } else if (str_eq(path, STR("/file")) || str_eq(path, STR("/same"))) {
        if (str_eq(path, STR("/same"))) sent->reply.status = 304;
        sent->reply.content_type = STR("text/x-source");
        sent->reply.file_fd = open(SOURCE_DIR "/src/api/reply.h", O_RDONLY | O_CLOEXEC);
        sent->reply.file_offset = 3;
        sent->reply.file_length = 7;
    } else if (str_starts_with(path, STR("/worker/v1/uploads"))) {
        enum err e = FAIL(&sent->call.error, ERR_GONE, "upload_ended", "it has ended");
        CHECK(e == ERR_GONE);
        reply_error(sent);
    } else {
        sent->is_replay = str_eq(path, STR("/replay"));
        out_object(&sent->reply.out, NULL);
        out_close(&sent->reply.out);
        reply_header(&sent->reply, "X-Own", STR("value"));
    }
    reply_send(sent);
}

static void take_body(void *context, struct http_exchange *request)
{
    (void)context;
    http_body_buffer(request, 1000);
}

static void no_body(void *context, struct http_exchange *request, struct str piece)
{
    (void)context;
    (void)request;
    (void)piece;
}

static void no_end(void *context, struct http_exchange *request, const struct http_outcome *outcome)
{
    (void)context;
    (void)request;
    (void)outcome;
}

static struct probe    probe;
static struct response response;

static int server_setup(void **state)
{
    (void)state;
    struct http_server_options options = probe_options();
    struct http_app            app = { NULL, take_body, no_body, send_by_path, no_end };
    struct error               error = { 0 };
    sent_request_id = id_new(ID_REQUEST, 1);
    probe.port = http_listen_port(options.listen_fd);
    return http_server_start(&options, &app, &error, &probe.server) ? -1 : 0;
}

static int server_teardown(void **state)
{
    (void)state;
    http_server_stop(probe.server, 5000);
    return 0;
}

#define sending_test(name) cmocka_unit_test_setup_teardown(name, server_setup, server_teardown)

static void fetch(const char *path)
{
    char request[200];
    snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n",
             path);
    ask(&probe, request, &response);
}

static bool has_line(const char *line)
{
    return strstr(response.head_text, line) != NULL;
}

static void every_reply_carries_its_request_id(void **state)
{
    (void)state;
    static const char *const paths[] = { "/json", "/none", "/file", "/same",
                                         "/worker/v1/uploads/upl_1" };
    char                     line[80];
    snprintf(line, sizeof(line), "X-Request-Id: %s\r\n", sent_request_id.text);
    for (size_t i = 0; i < COUNT_OF(paths); i++) {
        fetch(paths[i]);
        if (!has_line(line)) fail_msg("%s: %s", paths[i], response.head_text);
    }
}

static void json_is_never_kept_by_caches(void **state)
{
    (void)state;
    fetch("/json");
    assert_int_equal(response.status, 200);
    assert_true(str_eq(response.body, STR("{}")));
    assert_true(has_line("Content-Type: application/json\r\n"));
    assert_true(has_line("Cache-Control: no-store\r\n"));
    assert_true(has_line("X-Own: value\r\n"));
    assert_false(has_line("Idempotent-Replayed"));
    assert_false(has_line("Tus-Resumable"));
}

static void reply_without_a_body_has_no_type(void **state)
{
    (void)state;
    fetch("/none");
    assert_int_equal(response.status, 204);
    assert_false(has_line("Content-Type"));
}

static void file_goes_out_as_the_part_it_is(void **state)
{
    (void)state;
    fetch("/file");
    assert_int_equal(response.status, 200);
    assert_true(str_eq(response.body, STR("Replies")));
    assert_true(has_line("Content-Type: text/x-source\r\n"));
    assert_false(has_line("no-store"));
    fetch("/same");
    assert_int_equal(response.status, 304);
    assert_false(has_line("no-store"));
}

static void limits_are_told_where_there_are_any(void **state)
{
    (void)state;
    fetch("/metered");
    assert_true(has_line("X-RateLimit-Limit: 1000\r\n"));
    assert_true(has_line("X-RateLimit-Remaining: 998\r\n"));
    assert_true(has_line("X-RateLimit-Reset: 1767225660\r\n"));
    fetch("/unlimited");
    assert_false(has_line("X-RateLimit"));
    fetch("/json");
    assert_false(has_line("X-RateLimit"));
}

static void replay_says_that_it_is_one(void **state)
{
    (void)state;
    fetch("/replay");
    assert_true(has_line("Idempotent-Replayed: true\r\n"));
}

static void upload_resources_speak_tus_in_refusals_too(void **state)
{
    (void)state;
    fetch("/worker/v1/uploads/upl_1");
    assert_int_equal(response.status, 410);
    assert_true(has_line("Tus-Resumable: 1.0.0\r\n"));
    assert_true(has_line("Content-Type: application/json\r\n"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        reply_test(every_code_has_its_status_and_type),
        reply_test(refusal_without_faults_has_its_slug_as_the_only_detail),
        reply_test(faults_are_listed_in_the_order_found),
        reply_test(hundred_faults_of_the_longest_text_fit),
        reply_test(refusal_replaces_what_was_written),
        reply_test(refusal_with_broken_text_is_still_json),
        reply_test(server_errors_say_nothing_of_the_inside),
        reply_test(unforeseen_refusal_of_the_store_is_an_internal_error),
        reply_test(unknown_outcome_is_called_that),
        reply_test(refused_credentials_name_the_scheme),
        reply_test(wait_is_told_where_there_is_one),
        reply_test(listing_has_its_frame),
        sending_test(every_reply_carries_its_request_id),
        sending_test(json_is_never_kept_by_caches),
        sending_test(reply_without_a_body_has_no_type),
        sending_test(file_goes_out_as_the_part_it_is),
        sending_test(limits_are_told_where_there_are_any),
        sending_test(replay_says_that_it_is_one),
        sending_test(upload_resources_speak_tus_in_refusals_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
