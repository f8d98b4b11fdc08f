/* Everything the contract engine reads from outside. The first byte says what the rest is:
 * 'd' a document, 'b' a JSON body, 'r' "METHOD path", 'p' a query and header values, 'u' a URI. */
#include "base/json_in.h"
#include "contract/schema.h"

#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define OK_RESPONSES "\"responses\":{\"200\":{\"description\":\"ok\"}}"
#define ID_PARAMETER                                                                               \
    "{\"name\":\"id\",\"in\":\"path\",\"required\":true,\"schema\":{\"type\":\"string\"}}"

static const char rich_document[] =
    "{\"openapi\":\"3.1.0\",\"info\":{},\"security\":[],\"paths\":{"
    "\"/v1/jobs\":{\"get\":{\"operationId\":\"list\",\"parameters\":["
    "{\"name\":\"limit\",\"in\":\"query\",\"schema\":{\"type\":\"integer\",\"minimum\":1,"
    "\"maximum\":100,\"default\":20}},"
    "{\"name\":\"ratio\",\"in\":\"query\",\"schema\":{\"type\":\"number\",\"maximum\":1}},"
    "{\"name\":\"full\",\"in\":\"query\",\"schema\":{\"type\":\"boolean\"}},"
    "{\"name\":\"after\",\"in\":\"query\",\"schema\":{\"type\":\"string\","
    "\"format\":\"date-time\"}},"
    "{\"name\":\"name\",\"in\":\"query\",\"required\":true,\"schema\":{\"type\":\"string\","
    "\"minLength\":2,\"maxLength\":5}},"
    "{\"name\":\"status\",\"in\":\"query\",\"schema\":{\"enum\":[\"open\",\"done\"]}},"
    "{\"name\":\"Key\",\"in\":\"header\",\"schema\":{\"type\":\"string\",\"maxLength\":9}}"
    "]," OK_RESPONSES "}},"
    "\"/v1/jobs/{id}\":{\"parameters\":[" ID_PARAMETER "],\"get\":{\"operationId\":"
    "\"get\"," OK_RESPONSES "}},"
    "\"/v1/jobs/search\":{\"post\":{\"operationId\":\"search\"," OK_RESPONSES "}},"
    "\"/v1/jobs/{id}/files\":{\"parameters\":[" ID_PARAMETER "],\"get\":{\"operationId\":"
    "\"files\"," OK_RESPONSES "}}},"
    "\"components\":{\"schemas\":{\"Rich\":{\"type\":\"object\","
    "\"required\":[\"t\",\"n\",\"beyond\"],\"maxProperties\":12,\"properties\":{"
    "\"t\":{\"type\":\"string\",\"minLength\":2,\"maxLength\":5},"
    "\"n\":{\"type\":\"integer\",\"minimum\":-3,\"maximum\":9007199254740993},"
    "\"r\":{\"type\":[\"number\",\"null\"],\"minimum\":0.5},"
    "\"c\":{\"const\":3},\"e\":{\"enum\":[1,\"a\",null,true,2.5]},"
    "\"k\":{\"anyOf\":[{\"const\":\"x\",\"type\":\"string\"},{\"const\":\"y\"}]},"
    "\"o\":{\"anyOf\":[{\"$ref\":\"#/components/schemas/Place\"},{\"type\":\"null\"}]},"
    "\"u\":{\"type\":\"string\",\"format\":\"uri\"},"
    "\"d\":{\"type\":\"string\",\"format\":\"date-time\"},"
    "\"l\":{\"type\":\"array\",\"minItems\":1,\"maxItems\":3,\"items\":"
    "{\"anyOf\":[{\"$ref\":\"#/components/schemas/Place\"},{\"type\":\"array\",\"items\":"
    "{\"type\":\"boolean\"}},{\"type\":\"string\",\"maxLength\":1}]}},"
    "\"m\":{\"type\":\"object\",\"maxProperties\":3,\"patternProperties\":{\"^(.*)$\":"
    "{\"anyOf\":[{\"type\":\"string\"},{\"type\":\"number\"}]}}}}},"
    "\"Place\":{\"type\":\"object\",\"required\":[\"lat\"],\"properties\":{"
    "\"lat\":{\"type\":\"number\",\"minimum\":-90,\"maximum\":90},\"lng\":{\"type\":\"number\"}}}"
    "}}}";

static const char *const settings_off[] = { NULL };

/* Compiled once; lives as long as the process. */
static const struct contract *rich(void)
{
    static struct arena           arena;
    static const struct contract *contract;
    struct error                  error = { 0 };
    if (contract != NULL) return contract;
    arena_init(&arena, SIZE_MAX);
    enum err e = contract_compile(&arena, str_of(rich_document), settings_off, &error, &contract);
    CHECK(e == ERR_OK);
    return contract;
}

static void check_faults(const struct error *error)
{
    int kept = 0;
    for (const struct fault *fault = error->faults; fault; fault = fault->next) {
        CHECK(fault->code != NULL && fault->message != NULL);
        CHECK(str_is_utf8(str_of(fault->message)));
        if (fault->field) CHECK(strlen(fault->field) <= TRAIL_FIELD_BYTES_MAX);
        if (fault->field) CHECK(str_is_utf8(str_of(fault->field)));
        kept++;
    }
    CHECK(kept <= ERROR_FAULTS_COUNT_MAX && kept <= error->faults_count);
    CHECK((error->code != ERR_OK) == (error->faults_count > 0));
    CHECK(str_is_utf8(str_of(error->detail)));
}

static void hold(const struct schema *schema, struct arena *arena, const json_t *value)
{
    struct error error = { 0 };
    enum err     e = schema_check(schema, arena, value, &error);
    CHECK(e == error.code);
    CHECK(schema_accepts(schema, value) == (e == ERR_OK));
    check_faults(&error);
}

static void try_body(struct arena *arena, struct str text)
{
    struct error error = { 0 };
    json_t      *root;
    if (json_parse(arena, text, &error, &root) != ERR_OK) return;
    hold(contract_schema(rich(), STR("Rich")), arena, root);
    hold(contract_schema(rich(), STR("Place")), arena, root);
}

static void match_path(const struct contract *contract, struct arena *arena, struct str method,
                       struct str path)
{
    struct error          error = { 0 };
    struct contract_match match = { 0 };
    struct str            allow = STR_NONE;
    enum err              e = contract_match(contract, arena, method, path, &error, &match, &allow);
    CHECK((e == ERR_OK) == (match.operation != NULL));
    CHECK((e == ERR_METHOD) == (allow.data != NULL));
    for (int i = 0; i < match.path_values_count; i++)
        CHECK(match.path_values[i].len > 0 && str_is_utf8(match.path_values[i]));
}

static void try_route(struct arena *arena, struct str text)
{
    struct str method;
    if (str_cut(&text, ' ', &method)) match_path(rich(), arena, method, text);
}

static struct str header_of(const void *context, const char *name)
{
    (void)name;
    return *(const struct str *)context;
}

static void check_parameters(const struct contract_operation *operation, struct arena *arena,
                             struct str query, struct str header)
{
    struct error          error = { 0 };
    struct contract_value values[CONTRACT_PARAMETERS_MAX];
    enum err              e =
        contract_check_parameters(operation, arena, query, header_of, &header, &error, values);
    check_faults(&error);
    for (int i = 0; e == ERR_OK && i < operation->parameters_count; i++) {
        CHECK(values[i].parameter == &operation->parameters[i]);
        CHECK(values[i].text.data == NULL || str_is_utf8(values[i].text));
        CHECK(!values[i].is_present || values[i].text.data != NULL);
    }
}

static void try_parameters(struct arena *arena, struct str text)
{
    struct str query;
    if (!str_cut(&text, '\n', &query)) return;
    const struct contract_operation *operation = contract_find(rich(), STR("list"));
    check_parameters(operation, arena, query, text);
    struct contract_value values[CONTRACT_PARAMETERS_MAX];
    struct error          error = { 0 };
    if (contract_check_parameters(operation, arena, query, header_of, &text, &error, values) ==
        ERR_OK)
        CHECK(values[0].integer >= 1 && values[0].integer <= 100);
}

static void use_contract(const struct contract *contract, struct arena *arena)
{
    static const char *const values[] = { "null", "3.0", "\"text\"", "[1,\"a\",{}]", "{\"a\":{}}" };
    json_t                  *roots[COUNT_OF(values)];
    struct error             error = { 0 };
    for (size_t i = 0; i < COUNT_OF(values); i++)
        CHECK(json_parse(arena, str_of(values[i]), &error, &roots[i]) == ERR_OK);

    for (int at = 0; at < contract_operations_count(contract); at++) {
        const struct contract_operation *operation = contract_operation_at(contract, at);
        CHECK(operation->index == at);
        CHECK(contract_find(contract, operation->operation_id) == operation);
        match_path(contract, arena, operation->method, operation->path);
        check_parameters(operation, arena, STR("a=1&limit=x"), STR("3"));
        for (size_t i = 0; i < COUNT_OF(values); i++) {
            const struct schema *response = contract_response(operation, 200);
            if (response) hold(response, arena, roots[i]);
            if (operation->body) hold(operation->body, arena, roots[i]);
        }
    }
    const struct schema *schema = contract_schema(contract, STR("A"));
    for (size_t i = 0; schema && i < COUNT_OF(values); i++)
        hold(schema, arena, roots[i]);
}

static void try_document(struct arena *arena, struct str text)
{
    struct error           error = { 0 };
    const struct contract *contract = NULL;
    enum err               e = contract_compile(arena, text, settings_off, &error, &contract);
    CHECK((e == ERR_OK) == (contract != NULL));
    CHECK(str_is_utf8(str_of(error.detail)));
    if (contract) use_contract(contract, arena);
}

static void try_uri(struct str text)
{
    if (!schema_format_holds(FORMAT_URI, text)) return;
    for (size_t i = 0; i < text.len; i++)
        CHECK(text.data[i] > ' ' && text.data[i] < 0x7f &&
              strchr("\"<>\\^`{|}", text.data[i]) == NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) return 0;
    struct arena arena;
    arena_init(&arena, SIZE_MAX);
    struct str text = { (const char *)data + 1, size - 1 };
    switch (data[0]) {
    case 'd': try_document(&arena, text); break;
    case 'b': try_body(&arena, text); break;
    case 'r': try_route(&arena, text); break;
    case 'p': try_parameters(&arena, text); break;
    case 'u': try_uri(text); break;
    default: break;
    }
    arena_deinit(&arena);
    return 0;
}
