#include "base/json_in.h"

#include <math.h>

static void drop_tree(void *root)
{
    json_decref(root);
}

/* Bound depth and size before jansson builds anything. Brackets and commas outside of text count
 * the values; the text's own grammar is jansson's business. */
static enum err check_bounds(struct str text, int64_t depth_max, int64_t values_max,
                             struct error *error)
{
    int64_t depth = 0, values = 0;
    bool    in_string = false;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.data[i];
        if (in_string) {
            if (c == '\\') i++;
            in_string = c != '"';
            continue;
        }
        in_string = c == '"';
        if (c == '{' || c == '[') depth++;
        if (c == '}' || c == ']') depth--;
        if (c == '{' || c == '[' || c == ',') values++;
        if (depth > depth_max)
            return FAIL(error, ERR_INVALID, "too_deep", "nested deeper than %lld",
                        (long long)depth_max);
        if (values > values_max)
            return FAIL(error, ERR_INVALID, "too_many_values", "more than %lld values",
                        (long long)values_max);
    }
    return ERR_OK;
}

static enum err fail_at(struct error *error, const char *slug, const char *what,
                        const json_error_t *fault)
{
    return FAIL(error, ERR_INVALID, slug, "%s at line %d, column %d", what, fault->line,
                fault->column);
}

static enum err fail(struct error *error, const json_error_t *fault)
{
    switch (json_error_code(fault)) {
    case json_error_duplicate_key:
        return fail_at(error, "duplicate_key", "the same key twice", fault);
    case json_error_null_character:
    case json_error_null_byte_in_key:
        return fail_at(error, "nul_character", "the character U+0000", fault);
    case json_error_invalid_utf8: return fail_at(error, "invalid_utf8", "not UTF-8", fault);
    case json_error_numeric_overflow:
        return fail_at(error, "number_out_of_range", "too large a number", fault);
    case json_error_stack_overflow: return fail_at(error, "too_deep", "nested too deep", fault);
    default: return fail_at(error, "malformed_json", "malformed JSON", fault);
    }
}

static enum err parse(struct arena *arena, struct str text, struct error *error, json_t **ret_root)
{
    if (text.len == 0) return FAIL(error, ERR_INVALID, "malformed_json", "no JSON: it is empty");

    json_error_t fault;
    json_t      *root =
        json_loadb(text.data, text.len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &fault);
    if (root == NULL) return fail(error, &fault);
    arena_defer(arena, drop_tree, root);
    *ret_root = root;
    return ERR_OK;
}

enum err json_parse(struct arena *arena, struct str text, struct error *error, json_t **ret_root)
{
    enum err e = check_bounds(text, JSON_IN_DEPTH_MAX, JSON_IN_VALUES_MAX, error);
    return e ? e : parse(arena, text, error, ret_root);
}

enum err json_parse_reply(struct arena *arena, struct str text, struct error *error,
                          json_t **ret_root)
{
    enum err e = check_bounds(text, JSON_REPLY_DEPTH_MAX, INT64_MAX, error);
    return e ? e : parse(arena, text, error, ret_root);
}

struct str json_text(const json_t *value)
{
    return (struct str){ json_string_value(value), json_string_length(value) };
}

struct str in_text(const json_t *object, const char *key, struct arena *arena)
{
    return str_copy(arena, json_text(json_object_get(object, key)));
}

bool json_whole_number(const json_t *value, int64_t *ret_value)
{
    if (json_is_integer(value)) {
        *ret_value = json_integer_value(value);
        return true;
    }
    if (!json_is_real(value)) return false;
    double real = json_real_value(value);
    if (real != trunc(real) || real < -0x1p63 || real >= 0x1p63) return false;
    *ret_value = (int64_t)real;
    return true;
}

int64_t in_int(const json_t *object, const char *key, int64_t when_absent)
{
    int64_t value = when_absent;
    return json_whole_number(json_object_get(object, key), &value) ? value : when_absent;
}

bool in_bool(const json_t *object, const char *key, bool when_absent)
{
    const json_t *value = json_object_get(object, key);
    return json_is_boolean(value) ? json_is_true(value) : when_absent;
}

double in_number(const json_t *object, const char *key, double when_absent)
{
    const json_t *value = json_object_get(object, key);
    return json_is_number(value) ? json_number_value(value) : when_absent;
}

bool in_has(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    return value != NULL && !json_is_null(value);
}

bool in_is_null(const json_t *object, const char *key)
{
    return json_is_null(json_object_get(object, key));
}
