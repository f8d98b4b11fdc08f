#include "contract/compile_schema.h"

typedef enum err keyword_fn(struct draft *draft, const struct trail *here, json_t *value);

static bool is_scalar(const json_t *value)
{
    return !json_is_object(value) && !json_is_array(value);
}

static enum err type_add(struct draft *draft, const struct trail *here, const json_t *value)
{
    struct str name = json_text(value);
    for (int type = 0; type < SCHEMA_TYPE__COUNT; type++) {
        if (!str_eq(name, str_of(schema_type_name((enum schema_type)type)))) continue;
        if (draft->schema->types & BIT(type))
            return compile_refuse(draft->compiler, here, "the type is named twice");
        draft->schema->types |= BIT(type);
        return ERR_OK;
    }
    return compile_refuse(draft->compiler, here, "unknown type");
}

static enum err keyword_type(struct draft *draft, const struct trail *here, json_t *value)
{
    if (json_is_string(value)) return type_add(draft, here, value);
    if (json_array_size(value) == 0)
        return compile_refuse(draft->compiler, here, "must be a type or a list of types");
    size_t  index;
    json_t *name;
    json_array_foreach(value, index, name)
    {
        struct trail item = trail_element(here, index);
        enum err     e = type_add(draft, &item, name);
        if (e) return e;
    }
    return ERR_OK;
}

static enum err keyword_const(struct draft *draft, const struct trail *here, json_t *value)
{
    if (!is_scalar(value))
        return compile_refuse(draft->compiler, here, "only scalars can be compared");
    draft->schema->constant = compile_keep(draft->compiler, value);
    return ERR_OK;
}

static enum err keyword_enum(struct draft *draft, const struct trail *here, json_t *value)
{
    size_t count = json_array_size(value);
    if (count == 0 || count > SCHEMA_OPTIONS_MAX)
        return compile_refuse(draft->compiler, here, "must be a list of 1 to %d values",
                              SCHEMA_OPTIONS_MAX);
    for (size_t i = 0; i < count; i++)
        if (!is_scalar(json_array_get(value, i)))
            return compile_refuse(draft->compiler, here, "only scalars can be compared");
    draft->schema->options = compile_keep(draft->compiler, value);
    return ERR_OK;
}

static enum err keyword_any_of(struct draft *draft, const struct trail *here, json_t *value)
{
    struct schema *schema = draft->schema;
    size_t         count = json_array_size(value);
    if (count == 0 || count > SCHEMA_BRANCHES_MAX)
        return compile_refuse(draft->compiler, here, "must be a list of 1 to %d schemas",
                              SCHEMA_BRANCHES_MAX);
    const struct schema **branches = NEW(draft->compiler->arena, const struct schema *, count);
    schema->branches_are_constants = true;
    size_t  index;
    json_t *branch;
    json_array_foreach(value, index, branch)
    {
        struct trail item = trail_element(here, index);
        enum err     e =
            compile_schema(draft->compiler, &item, branch, draft->depth + 1, &branches[index]);
        if (e) return e;
        if (branches[index]->constant == NULL) schema->branches_are_constants = false;
    }
    schema->branches = branches;
    schema->branches_count = (int)count;
    return ERR_OK;
}

static enum err read_number(struct draft *draft, const struct trail *here, const json_t *value,
                            const json_t **ret_number)
{
    if (!json_is_number(value)) return compile_refuse(draft->compiler, here, "must be a number");
    *ret_number = compile_keep(draft->compiler, value);
    return ERR_OK;
}

static enum err keyword_minimum(struct draft *draft, const struct trail *here, json_t *value)
{
    return read_number(draft, here, value, &draft->schema->minimum);
}

static enum err keyword_maximum(struct draft *draft, const struct trail *here, json_t *value)
{
    return read_number(draft, here, value, &draft->schema->maximum);
}

static enum err read_count(struct draft *draft, const struct trail *here, const json_t *value,
                           int64_t *ret_count)
{
    if (!json_is_integer(value) || json_integer_value(value) < 0)
        return compile_refuse(draft->compiler, here, "must be an integer of at least 0");
    *ret_count = json_integer_value(value);
    return ERR_OK;
}

static enum err keyword_min_length(struct draft *draft, const struct trail *here, json_t *value)
{
    return read_count(draft, here, value, &draft->schema->length_min);
}

static enum err keyword_max_length(struct draft *draft, const struct trail *here, json_t *value)
{
    return read_count(draft, here, value, &draft->schema->length_max);
}

static enum err keyword_min_items(struct draft *draft, const struct trail *here, json_t *value)
{
    return read_count(draft, here, value, &draft->schema->items_min);
}

static enum err keyword_max_items(struct draft *draft, const struct trail *here, json_t *value)
{
    return read_count(draft, here, value, &draft->schema->items_max);
}

static enum err keyword_max_properties(struct draft *draft, const struct trail *here, json_t *value)
{
    return read_count(draft, here, value, &draft->schema->members_max);
}

static enum err keyword_format(struct draft *draft, const struct trail *here, json_t *value)
{
    static const char *const names[] = {
        [FORMAT_NONE] = NULL, [FORMAT_URI] = "uri", [FORMAT_DATE_TIME] = "date-time"
    };
    struct str name = json_text(value);
    for (int format = FORMAT_URI; format < SCHEMA_FORMAT__COUNT; format++) {
        if (!str_eq(name, str_of(names[format]))) continue;
        draft->schema->format = (enum schema_format)format;
        return ERR_OK;
    }
    return compile_refuse(draft->compiler, here, "unknown format");
}

static enum err keyword_items(struct draft *draft, const struct trail *here, json_t *value)
{
    return compile_schema(draft->compiler, here, value, draft->depth + 1, &draft->schema->items);
}

static enum err keyword_pattern_properties(struct draft *draft, const struct trail *here,
                                           json_t *value)
{
    static const char every_name[] = "^(.*)$";
    json_t           *schema = json_object_get(value, every_name);
    if (schema == NULL || json_object_size(value) != 1)
        return compile_refuse(draft->compiler, here, "the one pattern known is %s", every_name);
    struct trail pattern = trail_member(here, str_of(every_name));
    return compile_schema(draft->compiler, &pattern, schema, draft->depth + 1,
                          &draft->schema->every_member);
}

static enum err keyword_default(struct draft *draft, const struct trail *here, json_t *value)
{
    (void)here;
    draft->schema->preset =
        compile_keep(draft->compiler, value); /* checked when the schema is complete */
    return ERR_OK;
}

struct keyword {
    const char *name;
    int         type;     /* as in compile_key */
    keyword_fn *compile;  /* NULL: an annotation, or read elsewhere */
    bool        is_quiet; /* takes no value away: annotations, type, default */
};

static const struct keyword keywords[] = {
    { "type", ANY_JSON_TYPE, keyword_type, true },
    { "title", JSON_STRING, NULL, true },
    { "description", JSON_STRING, NULL, true },
    { "example", ANY_JSON_TYPE, NULL, true },
    { "examples", JSON_ARRAY, NULL, true },
    { "default", ANY_JSON_TYPE, keyword_default, true },
    { "const", ANY_JSON_TYPE, keyword_const, false },
    { "enum", JSON_ARRAY, keyword_enum, false },
    { "anyOf", JSON_ARRAY, keyword_any_of, false },
    { "properties", JSON_OBJECT, NULL, false },
    { "required", JSON_ARRAY, NULL, false },
    { "patternProperties", JSON_OBJECT, keyword_pattern_properties, false },
    { "maxProperties", ANY_JSON_TYPE, keyword_max_properties, false },
    { "items", JSON_OBJECT, keyword_items, false },
    { "minItems", ANY_JSON_TYPE, keyword_min_items, false },
    { "maxItems", ANY_JSON_TYPE, keyword_max_items, false },
    { "minimum", ANY_JSON_TYPE, keyword_minimum, false },
    { "maximum", ANY_JSON_TYPE, keyword_maximum, false },
    { "minLength", ANY_JSON_TYPE, keyword_min_length, false },
    { "maxLength", ANY_JSON_TYPE, keyword_max_length, false },
    { "format", JSON_STRING, keyword_format, false },
};

static enum err check_keys(const struct draft *draft)
{
    struct compile_key keys[COUNT_OF(keywords) + 1] = { 0 };
    for (size_t i = 0; i < COUNT_OF(keywords); i++)
        keys[i] = (struct compile_key){ keywords[i].name, keywords[i].type, false };
    return compile_keys(draft->compiler, draft->trail, draft->source, keys);
}

enum err draft_read_keywords(struct draft *draft)
{
    enum err e = check_keys(draft);
    if (e) return e;
    draft->schema->is_open = true;
    for (size_t i = 0; i < COUNT_OF(keywords); i++) {
        json_t *value = json_object_get(draft->source, keywords[i].name);
        if (value == NULL) continue;
        draft->schema->is_open &= keywords[i].is_quiet;
        if (keywords[i].compile == NULL) continue;
        struct trail here = trail_member(draft->trail, str_of(keywords[i].name));
        e = keywords[i].compile(draft, &here, value);
        if (e) return e;
    }
    return ERR_OK;
}
