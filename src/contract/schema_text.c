/* The words of fault messages. Text that they quote comes from the contract, never from a client;
 * of a client's value only a number is told. */
#include "contract/schema.h"

#include "base/buf.h"

#include <assert.h>

enum { SCALAR_BYTES_MAX = 40, OPTIONS_BYTES_MAX = 340, TYPES_BYTES_MAX = 100 };

static const char *const type_names[] = {
    [TYPE_NULL] = "null",     [TYPE_BOOLEAN] = "boolean", [TYPE_INTEGER] = "integer",
    [TYPE_NUMBER] = "number", [TYPE_STRING] = "string",   [TYPE_ARRAY] = "array",
    [TYPE_OBJECT] = "object",
};
static_assert(COUNT_OF(type_names) == SCHEMA_TYPE__COUNT, "every type has a name");

static const char *const type_words[] = {
    [TYPE_NULL] = "null",        [TYPE_BOOLEAN] = "a boolean", [TYPE_INTEGER] = "an integer",
    [TYPE_NUMBER] = "a number",  [TYPE_STRING] = "a string",   [TYPE_ARRAY] = "an array",
    [TYPE_OBJECT] = "an object",
};
static_assert(COUNT_OF(type_words) == SCHEMA_TYPE__COUNT, "every type has its words");

const char *schema_type_name(enum schema_type type)
{
    CHECK((unsigned)type < SCHEMA_TYPE__COUNT);
    return type_names[type];
}

struct str schema_types_text(struct arena *arena, unsigned types)
{
    if (types & BIT(TYPE_NUMBER)) types &= ~BIT(TYPE_INTEGER); /* "an integer or a number" */
    int        count = __builtin_popcount(types);
    struct buf buf;
    buf_init(&buf, arena, TYPES_BYTES_MAX);
    /* null reads best last, so the walk goes down. */
    for (int type = SCHEMA_TYPE__COUNT - 1; type >= 0; type--) {
        if (!(types & BIT(type))) continue;
        if (buf.len > 0) buf_add(&buf, count == 1 ? STR(" or ") : STR(", "));
        buf_add(&buf, str_of(type_words[type]));
        count--;
    }
    return buf_str(&buf);
}

struct str schema_scalar_text(struct arena *arena, const json_t *scalar)
{
    struct str text;
    switch (json_typeof(scalar)) {
    case JSON_STRING:
        text = json_text(scalar);
        text = str_sanitise(arena, text, SCALAR_BYTES_MAX);
        return str_format(arena, "\"%.*s\"", STR_ARG(text));
    case JSON_INTEGER: return str_format(arena, "%lld", (long long)json_integer_value(scalar));
    case JSON_REAL: return str_format(arena, "%.15g", json_real_value(scalar));
    case JSON_TRUE: return STR("true");
    case JSON_FALSE: return STR("false");
    default: return STR("null");
    }
}

static const json_t *option_at(const struct schema *schema, size_t index)
{
    if (schema->options) return json_array_get(schema->options, index);
    return schema->branches[index]->constant;
}

struct str schema_options_text(struct arena *arena, const struct schema *schema)
{
    size_t count =
        schema->options ? json_array_size(schema->options) : (size_t)schema->branches_count;
    struct buf buf;
    buf_init(&buf, arena, OPTIONS_BYTES_MAX + SCALAR_BYTES_MAX + 10);
    for (size_t i = 0; i < count; i++) {
        if (i > 0) buf_add(&buf, STR(", "));
        if (buf.len > OPTIONS_BYTES_MAX - SCALAR_BYTES_MAX) {
            buf_add(&buf, STR("..."));
            break;
        }
        buf_add(&buf, schema_scalar_text(arena, option_at(schema, i)));
    }
    return buf_str(&buf);
}
