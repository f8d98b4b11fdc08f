#include "contract_fixture.h"

#include <stdlib.h>

#define OK_RESPONSES "'responses':{'200':{'description':'ok'}}"

/* A document with one operation at POST /v1/things: these members besides the needed ones. */
static struct str with_operation(struct arena *arena, const char *members)
{
    struct str paths =
        str_format(arena, "'/v1/things':{'post':{'operationId':'makeThing'," OK_RESPONSES "%s%s}}",
                   *members ? "," : "", members);
    return document_of(arena, paths.data, "'Thing':{'type':'object'}");
}

static const struct contract_operation *operation_of(struct arena *arena, const char *members)
{
    return contract_operation_at(compile_text_of(arena, with_operation(arena, members)), 0);
}

static void assert_refused(struct arena *arena, struct str document, const char *detail)
{
    assert_string_equal(refusal_of(arena, document), detail);
}

static void an_operation_carries_what_the_document_says(void **state)
{
    const struct contract_operation *operation = operation_of(
        *state,
        "'summary':'Make one','description':'d','tags':['things'],'x-scope':'jobs:write',"
        "'x-access':'external','x-body-limit':4096,'x-idempotent':true,'x-audit':'thing.made',"
        "'deprecated':false,"
        "'requestBody':{'required':true,'content':{'application/json':"
        "{'schema':{'$ref':'#/components/schemas/Thing'}}}}");
    assert_true(str_eq(operation->operation_id, STR("makeThing")));
    assert_true(str_eq(operation->method, STR("POST")));
    assert_true(str_eq(operation->path, STR("/v1/things")));
    assert_true(str_eq(operation->summary, STR("Make one")));
    assert_true(str_eq(operation->scope, STR("jobs:write")));
    assert_true(str_eq(operation->audit_action, STR("thing.made")));
    assert_int_equal(operation->access, ACCESS_EXTERNAL);
    assert_int_equal(operation->security, SECURITY_API_KEY);
    assert_int_equal(operation->body_bytes_max, 4096);
    assert_true(operation->is_idempotent);
    assert_true(operation->has_body);
    assert_true(operation->has_json_body);
    assert_true(operation->is_body_required);
    assert_non_null(operation->body);
    assert_int_equal(operation->index, 0);
}

static void an_operation_has_defaults(void **state)
{
    const struct contract_operation *operation = operation_of(*state, "");
    assert_null(operation->scope.data);
    assert_null(operation->summary.data);
    assert_int_equal(operation->access, ACCESS_WRITE);
    assert_int_equal(operation->body_bytes_max, CONTRACT_BODY_BYTES_DEFAULT);
    assert_false(operation->is_idempotent);
    assert_false(operation->has_body);
    assert_null(operation->body);
    const struct contract *contract =
        compile_of(*state, "'/a':{'get':{'operationId':'a'," OK_RESPONSES "}}", "");
    assert_int_equal(contract_operation_at(contract, 0)->access, ACCESS_READ);
}

static void access_values_are_known(void **state)
{
    static const struct {
        const char          *members;
        enum contract_access access;
    } rows[] = {
        { "'x-access':'read'", ACCESS_READ },
        { "'x-access':'write'", ACCESS_WRITE },
        { "'x-access':'external'", ACCESS_EXTERNAL },
        { "'x-access':'stream'", ACCESS_STREAM },
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        assert_int_equal(operation_of(*state, rows[i].members)->access, rows[i].access);
    assert_refused(*state, with_operation(*state, "'x-access':'admin'"),
                   "/paths/~1v1~1things/post/x-access: must be read, write, external or stream");
}

static void security_overrides_the_documents(void **state)
{
    assert_int_equal(operation_of(*state, "'security':[]")->security, SECURITY_NONE);
    assert_int_equal(operation_of(*state, "'security':[{'BearerAuth':[]}]")->security,
                     SECURITY_API_KEY);
    assert_int_equal(operation_of(*state, "'security':[{'WorkerAuth':[]}]")->security,
                     SECURITY_WORKER);
}

static void unknown_security_is_refused(void **state)
{
    static const char *const members[] = {
        "'security':[{}]",
        "'security':[{'CookieAuth':[]}]",
        "'security':[{'BearerAuth':['scope']}]",
        "'security':[{'BearerAuth':{}}]",
        "'security':[{'BearerAuth':[]},{'WorkerAuth':[]}]",
        "'security':[{'BearerAuth':[],'WorkerAuth':[]}]",
        "'security':['BearerAuth']",
    };
    for (size_t i = 0; i < COUNT_OF(members); i++)
        assert_non_null(strstr(refusal_of(*state, with_operation(*state, members[i])),
                               "/paths/~1v1~1things/post/security: must be"));
}

static void an_operation_without_any_security_is_refused(void **state)
{
    struct str document = quoted(*state, "{'openapi':'3.1.0','info':{},'paths':{'/a':{'get':"
                                         "{'operationId':'a'," OK_RESPONSES "}}}}");
    assert_refused(*state, document,
                   "/paths/~1a/get: neither the operation nor the root has security");
}

static void unknown_keys_are_refused_everywhere(void **state)
{
    static const char *const documents[] = {
        "{'openapi':'3.1.0','info':{},'paths':{},'webhooks':{}}",
        "{'openapi':'3.1.0','info':{},'paths':{},'components':{'callbacks':{}}}",
        "{'openapi':'3.1.0','info':{},'paths':{'/a':{'trace':{}}}}",
        "{'openapi':'3.1.0','info':{},'paths':{'/a':{'servers':[]}}}",
    };
    static const char *const members[] = {
        "'x-acess':'read'",
        "'callbacks':{}",
        "'parameters':[{'name':'a','in':'query','schema':{},'style':'form'}]",
        "'requestBody':{'content':{'a/b':{'encoding':{}}}}",
        "'requestBody':{'content':{'a/b':{}},'x-y':1}",
    };
    for (size_t i = 0; i < COUNT_OF(documents); i++)
        assert_non_null(
            strstr(refusal_of(*state, quoted(*state, documents[i])), "unknown keyword"));
    for (size_t i = 0; i < COUNT_OF(members); i++)
        assert_non_null(
            strstr(refusal_of(*state, with_operation(*state, members[i])), "unknown keyword"));
}

static void malformed_operations_are_refused(void **state)
{
    static const char *const members[] = {
        "'x-body-limit':0",
        "'x-body-limit':'1'",
        "'x-scope':''",
        "'x-audit':''",
        "'x-audit':3",
        "'x-setting':3",
        "'x-scope':3",
        "'x-idempotent':'yes'",
        "'tags':'a'",
        "'parameters':{}",
        "'parameters':[3]",
        "'parameters':[{'in':'query','schema':{}}]",
        "'parameters':[{'name':'','in':'query','schema':{}}]",
        "'parameters':[{'name':'a','in':'cookie','schema':{}}]",
        "'parameters':[{'name':'a','in':'query'}]",
        "'parameters':[{'name':'a','in':'query','schema':{'type':'array'}}]",
        "'parameters':[{'name':'a','in':'query','schema':{'type':['string','integer']}}]",
        "'parameters':[{'name':'a','in':'query','schema':{'type':'number','default':0.5}}]",
        "'parameters':[{'name':'a','in':'query','schema':{}},"
        "{'name':'a','in':'query','schema':{}}]",
        "'parameters':[{'name':'X-A','in':'header','schema':{}},"
        "{'name':'x-a','in':'header','schema':{}}]",
        "'parameters':[{'name':'a','in':'path','required':true,'schema':{'type':'string'}}]",
        "'parameters':[{'$ref':'#/components/parameters/Missing'}]",
        "'requestBody':{}",
        "'requestBody':{'content':{}}",
        "'requestBody':{'content':{'json':{}}}",
        "'requestBody':{'content':{'application/json':{'schema':{'oneOf':[]}}}}",
    };
    for (size_t i = 0; i < COUNT_OF(members); i++)
        refusal_of(*state, with_operation(*state, members[i]));
}

static void malformed_documents_are_refused(void **state)
{
    static const char *const documents[] = {
        "",
        "{",
        "[]",
        "null",
        "{}",
        "{'openapi':'3.0.3','info':{},'paths':{}}",
        "{'openapi':3.1,'info':{},'paths':{}}",
        "{'openapi':'3.1.0','info':{},'paths':[]}",
        "{'openapi':'3.1.0','info':{},'paths':{},'security':[{'Other':[]}]}",
        "{'openapi':'3.1.0','info':{},'paths':{'/a':3}}",
        "{'openapi':'3.1.0','info':{},'paths':{'/a':{'get':3}}}",
        "{'openapi':'3.1.0','info':{},'paths':{'/a':{'get':{}}},'security':[]}",
        "{'openapi':'3.1.0','info':{},'paths':{},'components':[]}",
        "{'openapi':'3.1.0','info':{},'paths':{},'components':{'schemas':[]}}",
    };
    for (size_t i = 0; i < COUNT_OF(documents); i++)
        refusal_of(*state, quoted(*state, documents[i]));
}

static void bodies_of_other_media_types_are_allowed(void **state)
{
    const struct contract_operation *operation =
        operation_of(*state, "'requestBody':{'content':{'application/offset+octet-stream':{},"
                             "'*/*':{'schema':{'type':'string'}}}}");
    assert_true(operation->has_body);
    assert_false(operation->has_json_body);
    assert_false(operation->is_body_required);
    assert_null(operation->body);
}

static void json_without_a_schema_accepts_everything(void **state)
{
    const struct contract_operation *operation =
        operation_of(*state, "'requestBody':{'content':{'application/json':{},'text/csv':{}}}");
    struct error error = { 0 };
    assert_true(operation->has_json_body);
    assert_int_equal(schema_check(operation->body, *state, json_of(*state, "[1]"), &error), ERR_OK);
}

static const struct contract *with_responses(struct arena *arena, const char *responses)
{
    struct str paths =
        str_format(arena, "'/a':{'get':{'operationId':'a','responses':{%s}}}", responses);
    return compile_of(arena, paths.data, "'Error':{'type':'object'}");
}

static void responses_are_found_by_status(void **state)
{
    const struct contract *contract =
        with_responses(*state, "'200':{'description':'ok','content':{'application/json':{'schema':"
                               "{'type':'array'}}}},'204':{'description':'nothing'},"
                               "'4XX':{'description':'e','content':{'application/json':{'schema':"
                               "{'$ref':'#/components/schemas/Error'}}}}");
    const struct contract_operation *operation = contract_operation_at(contract, 0);
    assert_non_null(contract_response(operation, 200));
    assert_null(contract_response(operation, 204));
    assert_null(contract_response(operation, 201));
    assert_null(contract_response(operation, 500));
    assert_ptr_equal(contract_response(operation, 404), contract_response(operation, 499));
    struct error error = { 0 };
    assert_int_equal(
        schema_check(contract_response(operation, 404), *state, json_of(*state, "[]"), &error),
        ERR_UNPROCESSABLE);
}

static void the_narrowest_response_wins(void **state)
{
    const struct contract *contract =
        with_responses(*state, "'default':{'description':'d','content':{'application/json':{}}},"
                               "'2XX':{'description':'c'},'200':{'description':'s','content':"
                               "{'application/json':{}}}");
    const struct contract_operation *operation = contract_operation_at(contract, 0);
    assert_non_null(contract_response(operation, 200));
    assert_null(contract_response(operation, 202));
    assert_non_null(contract_response(operation, 503));
}

static void unknown_keywords_in_responses_are_refused(void **state)
{
    static const char *const responses[] = {
        "'200':{'description':'d','content':{'application/json':{'schema':{'allOf':[]}}}}",
        "'200':{'description':'d','content':{'text/plain':{'schema':{'pattern':'x'}}}}",
        "'200':{'description':'d','headers':{'X-A':{'schema':{'pattern':'x'}}}}",
        "'200':{'description':'d','headers':{'X-A':{'style':'simple'}}}",
        "'200':{'description':'d','x-other':1}",
    };
    for (size_t i = 0; i < COUNT_OF(responses); i++) {
        struct str paths =
            str_format(*state, "'/a':{'get':{'operationId':'a','responses':{%s}}}", responses[i]);
        assert_non_null(
            strstr(refusal_of(*state, document_of(*state, paths.data, "")), "unknown keyword"));
    }
}

static void malformed_responses_are_refused(void **state)
{
    static const char *const responses[] = {
        "",
        "'20':{'description':'d'}",
        "'2xx':{'description':'d'}",
        "'600':{'description':'d'}",
        "'-10':{'description':'d'}",
        "'200':{}",
        "'200':{'$ref':'#/components/responses/Missing'}",
    };
    for (size_t i = 0; i < COUNT_OF(responses); i++) {
        struct str paths =
            str_format(*state, "'/a':{'get':{'operationId':'a','responses':{%s}}}", responses[i]);
        refusal_of(*state, document_of(*state, paths.data, ""));
    }
}

static void headers_and_links_of_responses_are_allowed(void **state)
{
    with_responses(*state, "'200':{'description':'d','headers':{'X-Request-Id':{'description':'d',"
                           "'schema':{'type':'string'}}},'links':{'next':{'operationId':'a'}}}");
}

static void shared_components_are_followed(void **state)
{
    struct str document = quoted(
        *state,
        "{'openapi':'3.1.0','info':{},'security':[],'paths':{'/a':{'put':{'operationId':'a',"
        "'parameters':[{'$ref':'#/components/parameters/Limit'}],"
        "'requestBody':{'$ref':'#/components/requestBodies/Any'},"
        "'responses':{'200':{'$ref':'#/components/responses/Ok'}}}}},'components':{"
        "'parameters':{'Limit':{'name':'limit','in':'query','schema':{'type':'integer'}}},"
        "'requestBodies':{'Any':{'content':{'application/json':{}}}},"
        "'headers':{'Id':{'schema':{'type':'string'}}},"
        "'responses':{'Ok':{'description':'d','headers':{'X-Id':{'$ref':'#/components/headers/Id'}},"
        "'content':{'application/json':{}}}}}}");
    const struct contract           *contract = compile_text_of(*state, document);
    const struct contract_operation *operation = contract_operation_at(contract, 0);
    assert_int_equal(operation->parameters_count, 1);
    assert_true(str_eq(operation->parameters[0].name, STR("limit")));
    assert_true(operation->has_json_body);
    assert_non_null(contract_response(operation, 200));
}

static void parameters_of_a_path_are_shared_and_overridden(void **state)
{
    const struct contract *contract = compile_of(
        *state,
        "'/a/{id}':{'parameters':[{'name':'id','in':'path','required':true,'schema':{'type':"
        "'string'}},{'name':'q','in':'query','schema':{'type':'integer'}}],"
        "'get':{'operationId':'a','parameters':[{'name':'q','in':'query','required':true,"
        "'schema':{'type':'string'}}]," OK_RESPONSES "}}",
        "");
    const struct contract_operation *operation = contract_operation_at(contract, 0);
    assert_int_equal(operation->parameters_count, 2);
    assert_true(operation->parameters[0].is_required);
    assert_int_equal(operation->parameters[1].place, PLACE_PATH);
}

static void template_and_declarations_must_agree(void **state)
{
    assert_refused(
        *state, document_of(*state, "'/a/{id}':{'get':{'operationId':'a'," OK_RESPONSES "}}", ""),
        "/paths/~1a~1{id}/get: path parameter id is not declared");
    assert_refused(
        *state,
        document_of(*state,
                    "'/a':{'get':{'operationId':'a','parameters':[{'name':'id','in':'path',"
                    "'required':true,'schema':{'type':'string'}}]," OK_RESPONSES "}}",
                    ""),
        "/paths/~1a/get: parameter id is not in the path");
}

static void path_parameters_are_plain_text(void **state)
{
    static const char *const tails[] = {
        "'required':true,'schema':{'type':'integer'}",
        "'required':true,'schema':{'type':'string','minLength':3}",
        "'required':true,'schema':{'type':'string','default':'a'}",
        "'required':false,'schema':{'type':'string'}",
        "'schema':{'type':'string'}",
    };
    for (size_t i = 0; i < COUNT_OF(tails); i++) {
        struct str paths = str_format(*state,
                                      "'/a/{id}':{'get':{'operationId':'a','parameters':[{'name':"
                                      "'id','in':'path',%s}]," OK_RESPONSES "}}",
                                      tails[i]);
        assert_non_null(
            strstr(refusal_of(*state, document_of(*state, paths.data, "")), "a path parameter"));
    }
}

static void an_operation_id_is_unique(void **state)
{
    struct str document = document_of(*state,
                                      "'/a':{'get':{'operationId':'same'," OK_RESPONSES "}},"
                                      "'/b':{'get':{'operationId':'same'," OK_RESPONSES "}}",
                                      "");
    assert_refused(*state, document, "/paths/~1b/get: another operation has this operationId");
}

static void operations_are_counted_and_found(void **state)
{
    const struct contract *contract =
        compile_of(*state,
                   "'/b':{'post':{'operationId':'one'," OK_RESPONSES
                   "},'get':{'operationId':'two'," OK_RESPONSES "}},"
                   "'/a':{'get':{'operationId':'three'," OK_RESPONSES "}}",
                   "");
    assert_int_equal(contract_operations_count(contract), 3);
    assert_true(str_eq(contract_operation_at(contract, 0)->operation_id, STR("one")));
    assert_int_equal(contract_find(contract, STR("three"))->index, 2);
    assert_null(contract_find(contract, STR("four")));
}

static void too_many_operations_are_refused(void **state)
{
    struct str paths = STR("'/p':{'get':{'operationId':'p'," OK_RESPONSES "}}");
    for (int i = 0; i < CONTRACT_OPERATIONS_MAX / 2; i++)
        paths = str_format(*state,
                           "%.*s,'/p%d':{'get':{'operationId':'g%d'," OK_RESPONSES
                           "},'put':{'operationId':'p%d'," OK_RESPONSES "}}",
                           STR_ARG(paths), i, i, i);
    assert_non_null(strstr(refusal_of(*state, document_of(*state, paths.data, "")),
                           "more than 256 operations"));
}

static void details_never_carry_control_characters(void **state)
{
    const char *detail = refusal_of(*state, document_of(*state, "'/a':{'x\\n\\u001b':1}", ""));
    assert_string_equal(detail, "/paths/~1a/x??: unknown keyword");
}

/* The document everything here exists for, where it is at hand. */
static void the_seed_document_compiles(void **state)
{
    const char *path = getenv("FIRSTHAND_SEED");
    FILE *file = fopen(path ? path : SOURCE_DIR "/../shared/contract/openapi-seed.json", "rb");
    if (file == NULL) {
        skip();
        return;
    }
    size_t size = 4 << 20;
    char  *text = NEW(*state, char, size);
    size = fread(text, 1, size, file);
    fclose(file);
    const struct contract *contract = compile_text_of(*state, (struct str){ text, size });
    assert_int_equal(contract_operations_count(contract), 23);
    const struct contract_operation *operation = contract_find(contract, STR("createJob"));
    assert_int_equal(operation->security, SECURITY_API_KEY);
    assert_int_equal(operation->parameters_count, 1);
    assert_non_null(operation->body);
    assert_non_null(contract_response(operation, 201));
    assert_non_null(contract_schema(contract, STR("ErrorEnvelope")));
    assert_null(contract_response(contract_find(contract, STR("revokeApiKey")), 204));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RULE(an_operation_carries_what_the_document_says),
        RULE(an_operation_has_defaults),
        RULE(access_values_are_known),
        RULE(security_overrides_the_documents),
        RULE(unknown_security_is_refused),
        RULE(an_operation_without_any_security_is_refused),
        RULE(unknown_keys_are_refused_everywhere),
        RULE(malformed_operations_are_refused),
        RULE(malformed_documents_are_refused),
        RULE(bodies_of_other_media_types_are_allowed),
        RULE(json_without_a_schema_accepts_everything),
        RULE(responses_are_found_by_status),
        RULE(the_narrowest_response_wins),
        RULE(unknown_keywords_in_responses_are_refused),
        RULE(malformed_responses_are_refused),
        RULE(headers_and_links_of_responses_are_allowed),
        RULE(shared_components_are_followed),
        RULE(parameters_of_a_path_are_shared_and_overridden),
        RULE(template_and_declarations_must_agree),
        RULE(path_parameters_are_plain_text),
        RULE(an_operation_id_is_unique),
        RULE(operations_are_counted_and_found),
        RULE(too_many_operations_are_refused),
        RULE(details_never_carry_control_characters),
        RULE(the_seed_document_compiles),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
