#include "contract/compile.h"

#include <assert.h>

static const char *const place_names[] = {
    [PLACE_PATH] = "path", [PLACE_QUERY] = "query", [PLACE_HEADER] = "header"
};

static enum err read_place(struct compiler *compiler, const struct trail *trail,
                           const json_t *value, enum contract_place *ret_place)
{
    struct str text = compile_text(value, "in");
    for (size_t i = 0; i < COUNT_OF(place_names); i++) {
        if (!str_eq(text, str_of(place_names[i]))) continue;
        *ret_place = (enum contract_place)i;
        return ERR_OK;
    }
    return compile_refuse(compiler, trail, "in must be path, query or header");
}

/* The text of a parameter is read as one type, so its schema must leave one (null aside, which
 * text cannot say). A schema that leaves everything means text. */
static enum err check_schema(struct compiler *compiler, const struct trail *trail,
                             const struct contract_parameter *parameter)
{
    const struct schema *schema = parameter->schema;
    unsigned             types = schema->accepts & ~BIT(TYPE_NULL);
    if (types & BIT(TYPE_NUMBER)) types &= ~BIT(TYPE_INTEGER);
    bool is_scalar = !(types & (BIT(TYPE_ARRAY) | BIT(TYPE_OBJECT)));
    bool is_any = schema->accepts == SCHEMA_TYPES_ALL;
    if (!is_any && (!is_scalar || __builtin_popcount(types) != 1))
        return compile_refuse(compiler, trail, "the schema must leave one scalar type");

    bool is_text = is_any || types == BIT(TYPE_STRING);
    if (parameter->place == PLACE_PATH && !(schema->is_open && is_text))
        return compile_refuse(compiler, trail, "a path parameter is text without further rules");
    bool has_preset = schema->preset != NULL;
    if (has_preset && !json_is_integer(schema->preset) && !json_is_string(schema->preset))
        return compile_refuse(compiler, trail, "the default must be an integer or a string");
    if (has_preset && parameter->place == PLACE_PATH)
        return compile_refuse(compiler, trail, "a path parameter has no default");
    return ERR_OK;
}

static enum err compile_parameter(struct compiler *compiler, const struct trail *trail,
                                  json_t *value, struct contract_parameter *ret_parameter)
{
    static const struct compile_key keys[] = {
        { "name", JSON_STRING, true },
        { "in", JSON_STRING, true },
        { "schema", JSON_OBJECT, true },
        { "required", JSON_TRUE, false },
        { "description", JSON_STRING, false },
        { "deprecated", JSON_TRUE, false },
        { "example", ANY_JSON_TYPE, false },
        { "examples", JSON_OBJECT, false },
        { NULL, JSON_NULL, false },
    };
    enum err e = compile_keys(compiler, trail, value, keys);
    if (e) return e;
    struct contract_parameter parameter = { .name = in_text(value, "name", compiler->arena) };
    if (parameter.name.len == 0) return compile_refuse(compiler, trail, "the name is empty");
    parameter.is_required = json_is_true(json_object_get(value, "required"));
    e = read_place(compiler, trail, value, &parameter.place);
    if (e) return e;
    if (parameter.place == PLACE_PATH && !parameter.is_required)
        return compile_refuse(compiler, trail, "a path parameter is always required");
    struct trail here = trail_member(trail, STR("schema"));
    e = compile_schema(compiler, &here, json_object_get(value, "schema"), 0, &parameter.schema);
    if (e) return e;
    e = check_schema(compiler, &here, &parameter);
    if (e) return e;
    *ret_parameter = parameter;
    return ERR_OK;
}

static bool is_same(const struct contract_parameter *a, const struct contract_parameter *b)
{
    if (a->place != b->place) return false;
    return a->place == PLACE_HEADER ? str_eq_ignoring_case(a->name, b->name)
                                    : str_eq(a->name, b->name);
}

static enum err parameters_add(struct compiler *compiler, const struct trail *trail,
                               const struct contract_parameter *added, bool may_repeat,
                               struct contract_parameter *parameters, int *count)
{
    for (int i = 0; i < *count; i++) {
        if (!is_same(&parameters[i], added)) continue;
        if (may_repeat) return ERR_OK;
        return compile_refuse(compiler, trail, "the parameter is declared twice");
    }
    if (*count == CONTRACT_PARAMETERS_MAX)
        return compile_refuse(compiler, trail, "more than %d parameters", CONTRACT_PARAMETERS_MAX);
    parameters[(*count)++] = *added;
    return ERR_OK;
}

enum err compile_parameters(struct compiler *compiler, const struct trail *trail,
                            const json_t *list, bool may_repeat,
                            struct contract_parameter *parameters, int *count)
{
    size_t  index;
    json_t *value;
    json_array_foreach(list, index, value)
    {
        struct trail              here = trail_element(trail, index);
        struct compile_place      place;
        struct contract_parameter added;
        enum err                  e = compile_follow(compiler, "parameters", value, &here, &place);
        if (e) return e;
        e = compile_parameter(compiler, place.trail, place.value, &added);
        if (e) return e;
        e = parameters_add(compiler, &here, &added, may_repeat, parameters, count);
        if (e) return e;
    }
    return ERR_OK;
}
