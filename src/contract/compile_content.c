/* Bodies: what a request may bring and what the responses hold. */
#include "contract/compile.h"

#include <string.h>

/* What a media type without a schema means. */
static const struct schema anything = {
    .accepts = SCHEMA_TYPES_ALL,
    .is_open = true,
    .length_max = INT64_MAX,
    .items_max = INT64_MAX,
    .members_max = INT64_MAX,
    .height = 1,
    .weight = 1,
};

static enum err compile_media_type(struct compiler *compiler, const struct trail *trail,
                                   json_t *value, const struct schema **ret_schema)
{
    static const struct compile_key keys[] = {
        { "schema", JSON_OBJECT, false },
        { "example", ANY_JSON_TYPE, false },
        { "examples", JSON_OBJECT, false },
        { NULL, JSON_NULL, false },
    };
    enum err e = compile_keys(compiler, trail, value, keys);
    if (e) return e;
    json_t *source = json_object_get(value, "schema");
    if (source == NULL) {
        *ret_schema = &anything;
        return ERR_OK;
    }
    struct trail here = trail_member(trail, STR("schema"));
    return compile_schema(compiler, &here, source, 0, ret_schema);
}

/* Every media type is compiled, so that no keyword goes unseen; JSON's schema is handed out, NULL
 * when JSON is not among them. */
static enum err compile_content(struct compiler *compiler, const struct trail *trail,
                                json_t *content, const struct schema **ret_json)
{
    const struct schema *found = NULL;
    const char          *name;
    size_t               name_len;
    json_t              *value;
    json_object_keylen_foreach(content, name, name_len, value)
    {
        const struct schema *schema = NULL;
        struct trail         here = trail_member(trail, (struct str){ name, name_len });
        if (memchr(name, '/', name_len) == NULL)
            return compile_refuse(compiler, &here, "not a media type");
        enum err e = compile_media_type(compiler, &here, value, &schema);
        if (e) return e;
        if (str_eq_ignoring_case(here.name, STR("application/json"))) found = schema;
    }
    *ret_json = found;
    return ERR_OK;
}

enum err compile_request_body(struct compiler *compiler, const struct trail *trail, json_t *value,
                              struct contract_operation *operation)
{
    static const struct compile_key keys[] = {
        { "content", JSON_OBJECT, true },
        { "required", JSON_TRUE, false },
        { "description", JSON_STRING, false },
        { NULL, JSON_NULL, false },
    };
    struct compile_place place;
    enum err             e = compile_follow(compiler, "requestBodies", value, trail, &place);
    if (e) return e;
    e = compile_keys(compiler, place.trail, place.value, keys);
    if (e) return e;
    json_t *content = json_object_get(place.value, "content");
    if (json_object_size(content) == 0)
        return compile_refuse(compiler, place.trail, "content names no media type");
    struct trail here = trail_member(place.trail, STR("content"));
    e = compile_content(compiler, &here, content, &operation->body);
    if (e) return e;
    operation->has_body = true;
    operation->has_json_body = operation->body != NULL;
    operation->is_body_required = json_is_true(json_object_get(place.value, "required"));
    return ERR_OK;
}

static enum err compile_header(struct compiler *compiler, const struct trail *trail, json_t *value)
{
    static const struct compile_key keys[] = {
        { "description", JSON_STRING, false },
        { "schema", JSON_OBJECT, false },
        { "required", JSON_TRUE, false },
        { "deprecated", JSON_TRUE, false },
        { "example", ANY_JSON_TYPE, false },
        { "examples", JSON_OBJECT, false },
        { NULL, JSON_NULL, false },
    };
    struct compile_place place;
    enum err             e = compile_follow(compiler, "headers", value, trail, &place);
    if (e) return e;
    e = compile_keys(compiler, place.trail, place.value, keys);
    if (e) return e;
    const struct schema *unused;
    json_t              *source = json_object_get(place.value, "schema");
    struct trail         here = trail_member(place.trail, STR("schema"));
    return source ? compile_schema(compiler, &here, source, 0, &unused) : ERR_OK;
}

/* "200" is one status, "4XX" a hundred, "default" all of them. */
static bool parse_status(struct str text, struct contract_response *response)
{
    if (str_eq(text, STR("default"))) {
        response->status_low = 100;
        response->status_high = 599;
        return true;
    }
    if (text.len != 3 || text.data[0] < '1' || text.data[0] > '5') return false;
    int     hundreds = (text.data[0] - '0') * 100;
    int64_t status;
    if (str_eq(str_skip(text, 1), STR("XX"))) {
        response->status_low = hundreds;
        response->status_high = hundreds + 99;
        return true;
    }
    if (!str_to_int64(text, &status)) return false;
    response->status_low = response->status_high = (int)status;
    return true;
}

static enum err compile_response(struct compiler *compiler, const struct trail *trail,
                                 json_t *value, struct contract_response *response)
{
    static const struct compile_key keys[] = {
        { "description", JSON_STRING, true }, { "content", JSON_OBJECT, false },
        { "headers", JSON_OBJECT, false },    { "links", JSON_OBJECT, false },
        { NULL, JSON_NULL, false },
    };
    struct compile_place place;
    enum err             e = compile_follow(compiler, "responses", value, trail, &place);
    if (e) return e;
    e = compile_keys(compiler, place.trail, place.value, keys);
    if (e) return e;
    if (!parse_status(trail->name, response))
        return compile_refuse(compiler, trail, "not a status");

    struct trail headers = trail_member(place.trail, STR("headers"));
    const char  *name;
    size_t       name_len;
    json_t      *header;
    json_object_keylen_foreach(json_object_get(place.value, "headers"), name, name_len, header)
    {
        struct trail here = trail_member(&headers, (struct str){ name, name_len });
        e = compile_header(compiler, &here, header);
        if (e) return e;
    }
    struct trail content = trail_member(place.trail, STR("content"));
    return compile_content(compiler, &content, json_object_get(place.value, "content"),
                           &response->schema);
}

enum err compile_responses(struct compiler *compiler, const struct trail *trail, json_t *value,
                           struct contract_operation *operation)
{
    size_t count = json_object_size(value);
    if (count == 0 || count > RESPONSES_MAX)
        return compile_refuse(compiler, trail, "must name 1 to %d responses", RESPONSES_MAX);
    struct contract_response *responses = NEW(compiler->arena, struct contract_response, count);
    const char               *name;
    size_t                    name_len;
    json_t                   *response;
    json_object_keylen_foreach(value, name, name_len, response)
    {
        struct trail here = trail_member(trail, (struct str){ name, name_len });
        enum err     e =
            compile_response(compiler, &here, response, &responses[operation->responses_count]);
        if (e) return e;
        operation->responses_count++;
    }
    operation->responses = responses;
    return ERR_OK;
}
