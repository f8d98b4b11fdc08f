#include "contract_fixture.h"

#define OK_RESPONSES "'responses':{'200':{'description':'ok'}}"
#define PATH_ID      "{'name':'id','in':'path','required':true,'schema':{'type':'string'}}"
#define PATH_B       "{'name':'b','in':'path','required':true,'schema':{'type':'string'}}"

static const char routes[] =
    "'/v1/jobs':{'get':{'operationId':'list'," OK_RESPONSES "},"
    "'post':{'operationId':'create'," OK_RESPONSES "}},"
    "'/v1/jobs/{id}':{'parameters':[" PATH_ID "],'get':{'operationId':'get'," OK_RESPONSES "}},"
    "'/v1/jobs/search':{'post':{'operationId':'search'," OK_RESPONSES "}},"
    "'/v1/jobs/{id}/files':{'parameters':[" PATH_ID "],"
    "'get':{'operationId':'files'," OK_RESPONSES "}},"
    "'/v1/jobs/{id}/files/{b}':{'parameters':[" PATH_ID "," PATH_B "],"
    "'delete':{'operationId':'drop'," OK_RESPONSES "}},"
    "'/v1/files/{id}':{'parameters':[" PATH_ID "],'get':{'operationId':'file'," OK_RESPONSES
    "},'head':{'operationId':'fileHead'," OK_RESPONSES "}}";

/* "operationId name=value …", "404" or "405 Allow". */
static const char *answer_of(const struct contract *contract, struct arena *arena,
                             const char *method, struct str path)
{
    struct error          error = { 0 };
    struct contract_match match = { 0 };
    struct str            allow = STR_NONE;
    enum err e = contract_match(contract, arena, str_of(method), path, &error, &match, &allow);
    if (e == ERR_NOT_FOUND) {
        assert_string_equal(error.slug, "route_not_found");
        return "404";
    }
    if (e == ERR_METHOD) {
        assert_string_equal(error.slug, "method_not_allowed");
        return str_format(arena, "405 %.*s", STR_ARG(allow)).data;
    }
    assert_int_equal(e, ERR_OK);
    struct str text = str_copy(arena, match.operation->operation_id);
    for (int i = 0; i < match.path_values_count; i++)
        text = str_format(arena, "%.*s %.*s=%.*s", STR_ARG(text), STR_ARG(match.path_names[i]),
                          STR_ARG(match.path_values[i]));
    return text.data;
}

static const char *answer(struct arena *arena, const char *method, struct str path)
{
    return answer_of(compile_of(arena, routes, ""), arena, method, path);
}

#define ANSWERS(method, path, expected)                                                            \
    assert_string_equal(answer(*state, method, STR(path)), expected)

static void a_path_and_method_find_their_operation(void **state)
{
    ANSWERS("GET", "/v1/jobs", "list");
    ANSWERS("POST", "/v1/jobs", "create");
    ANSWERS("GET", "/v1/jobs/job_1", "get id=job_1");
    ANSWERS("DELETE", "/v1/jobs/job_1/files/f%202", "drop id=job_1 b=f 2");
}

static void what_a_setting_opens_is_not_there_without_it(void **state)
{
    static const char *const on[] = { "other", "clock", NULL };
    static const char        paths[] =
        "'/clock':{'post':{'operationId':'move','x-setting':'clock'," OK_RESPONSES "}},"
        "'/time':{'get':{'operationId':'read'," OK_RESPONSES "},"
        "'put':{'operationId':'set','x-setting':'clock'," OK_RESPONSES "}}";
    struct arena          *arena = *state;
    struct error           error = { 0 };
    const struct contract *with, *without = compile_of(arena, paths, "");
    assert_int_equal(contract_compile(arena, document_of(arena, paths, ""), on, &error, &with),
                     ERR_OK);
    assert_string_equal(answer_of(with, arena, "POST", STR("/clock")), "move");
    assert_string_equal(answer_of(with, arena, "GET", STR("/clock")), "405 POST");
    assert_string_equal(answer_of(with, arena, "PUT", STR("/time")), "set");
    assert_string_equal(answer_of(without, arena, "POST", STR("/clock")), "404");
    assert_string_equal(answer_of(without, arena, "GET", STR("/clock")), "404");
    assert_string_equal(answer_of(without, arena, "PUT", STR("/time")), "405 GET, HEAD");
    assert_non_null(contract_find(without, STR("move")));
}

static void a_literal_wins_over_a_parameter(void **state)
{
    ANSWERS("POST", "/v1/jobs/search", "search");
    ANSWERS("GET", "/v1/jobs/search", "405 POST");
    ANSWERS("GET", "/v1/jobs/search/files", "files id=search");
}

static void head_is_answered_by_get(void **state)
{
    ANSWERS("HEAD", "/v1/jobs", "list");
    ANSWERS("HEAD", "/v1/files/x", "fileHead id=x");
    ANSWERS("HEAD", "/v1/jobs/search", "405 POST");
}

static void another_method_is_told_what_is_allowed(void **state)
{
    ANSWERS("DELETE", "/v1/jobs", "405 GET, HEAD, POST");
    ANSWERS("PUT", "/v1/files/x", "405 GET, HEAD");
    ANSWERS("GET", "/v1/jobs/a/files/b", "405 DELETE");
    ANSWERS("get", "/v1/jobs", "405 GET, HEAD, POST");
    ANSWERS("", "/v1/jobs", "405 GET, HEAD, POST");
    ANSWERS("TRACE", "/v1/jobs", "405 GET, HEAD, POST");
}

static void other_paths_are_not_found(void **state)
{
    static const char *const paths[] = {
        "",
        "/",
        "v1/jobs",
        "//v1/jobs",
        "/v1/jobs/",
        "/v1//jobs",
        "/v1/jobs//files",
        "/v1/Jobs",
        "/v1/jobs/a/b",
        "/v1/jobs/a/files/b/c",
        "*",
        "/v1/jobs?limit=3",
        "/1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16/17/18/19",
    };
    for (size_t i = 0; i < COUNT_OF(paths); i++)
        assert_string_equal(answer(*state, "GET", str_of(paths[i])), "404");
    assert_string_equal(answer(*state, "GET", STR_NONE), "404");
}

static void segments_are_decoded_after_they_are_cut(void **state)
{
    ANSWERS("GET", "/v1/jobs/a%2Fb", "get id=a/b");
    ANSWERS("GET", "/v1/%6aobs", "list");
    ANSWERS("GET", "/v1/jobs/%7Bid%7D", "get id={id}");
    ANSWERS("GET", "/v1/jobs/a+b", "get id=a+b");
    ANSWERS("GET", "/v1/jobs/%E2%82%AC", "get id=\xe2\x82\xac");
}

static void paths_that_do_not_decode_are_not_found(void **state)
{
    ANSWERS("GET", "/v1/jobs/%", "404");
    ANSWERS("GET", "/v1/jobs/%4", "404");
    ANSWERS("GET", "/v1/jobs/%zz", "404");
    ANSWERS("GET", "/v1/jobs/%00", "404");
    ANSWERS("GET", "/v1/jobs/a\0b", "404");
    ANSWERS("GET", "/v1/jobs/%ff", "404");
    ANSWERS("GET", "/v1/jobs/%C0%AF", "404");
    ANSWERS("GET", "/v1/jobs/\xed\xa0\x80", "404");
}

static void a_refused_path_is_not_echoed(void **state)
{
    const struct contract *contract = compile_of(*state, routes, "");
    struct error           error = { 0 };
    struct contract_match  match = { 0 };
    struct str             allow = STR_NONE;
    assert_int_equal(
        contract_match(contract, *state, STR("GET"), STR("/secret-token"), &error, &match, &allow),
        ERR_NOT_FOUND);
    assert_null(strstr(error.detail, "secret"));
    assert_null(match.operation);
    assert_null(allow.data);
}

static void two_routes_of_one_shape_are_refused(void **state)
{
    struct str document = document_of(
        *state,
        "'/a/{id}/x':{'parameters':[" PATH_ID "],'get':{'operationId':'a'," OK_RESPONSES
        "}},'/a/{b}/x':{'parameters':[" PATH_B "],'put':{'operationId':'b'," OK_RESPONSES "}}",
        "");
    assert_non_null(strstr(refusal_of(*state, document), "matches what /a/{"));
}

static void malformed_templates_are_refused(void **state)
{
    static const char *const paths[] = {
        "",
        "a",
        "/",
        "/a/",
        "//a",
        "/a//b",
        "/a%20b",
        "/a b",
        "/{}",
        "/{a",
        "/a}",
        "/x{a}",
        "/{a}{b}",
        "/{a}/{a}",
        "/{a/b}",
        "/a?b",
        "/a#b",
        "/{a}.json",
        "/{a}/{b}/{c}/{d}/{e}",
        "/1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16/17",
    };
    for (size_t i = 0; i < COUNT_OF(paths); i++) {
        struct str path = str_format(*state, "'%s':{}", paths[i]);
        struct str pointer = STR("/paths/");
        struct str detail = str_of(refusal_of(*state, document_of(*state, path.data, "")));
        assert_true(str_starts_with(detail, pointer));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RULE(a_path_and_method_find_their_operation),
        RULE(what_a_setting_opens_is_not_there_without_it),
        RULE(a_literal_wins_over_a_parameter),
        RULE(head_is_answered_by_get),
        RULE(another_method_is_told_what_is_allowed),
        RULE(other_paths_are_not_found),
        RULE(segments_are_decoded_after_they_are_cut),
        RULE(paths_that_do_not_decode_are_not_found),
        RULE(a_refused_path_is_not_echoed),
        RULE(two_routes_of_one_shape_are_refused),
        RULE(malformed_templates_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
