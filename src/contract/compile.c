#include "contract/compile.h"

#include <stdarg.h>
#include <stdio.h>

enum { REASON_BYTES_MAX = ERROR_DETAIL_BYTES_MAX - TRAIL_POINTER_BYTES_MAX - 4 };

enum err compile_refuse(struct compiler *compiler, const struct trail *trail, const char *format,
                        ...)
{
    char    reason[ERROR_DETAIL_BYTES_MAX];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(reason, sizeof(reason), format, arguments);
    va_end(arguments);
    struct str pointer = trail_pointer(compiler->arena, trail);
    struct str words = str_sanitise(compiler->arena, str_of(reason), REASON_BYTES_MAX);
    return FAIL(compiler->error, ERR_INVALID, "contract_invalid", "%.*s: %.*s",
                STR_ARG(pointer.len ? pointer : STR("/")), STR_ARG(words));
}

static const char *json_type_words(int type)
{
    switch (type) {
    case JSON_OBJECT: return "an object";
    case JSON_ARRAY: return "an array";
    case JSON_STRING: return "a string";
    case JSON_INTEGER: return "an integer";
    case JSON_REAL: return "a number";
    case JSON_TRUE:
    case JSON_FALSE: return "true or false";
    default: return "null";
    }
}

static bool has_type(const json_t *value, int type)
{
    if (type == ANY_JSON_TYPE) return true;
    if (type == JSON_TRUE) return json_is_boolean(value);
    return (int)json_typeof(value) == type;
}

static const struct compile_key *find_key(const struct compile_key *keys, struct str name)
{
    for (; keys->name; keys++)
        if (str_eq(str_of(keys->name), name)) return keys;
    return NULL;
}

enum err compile_keys(struct compiler *compiler, const struct trail *trail, const json_t *value,
                      const struct compile_key *keys)
{
    if (!json_is_object(value)) return compile_refuse(compiler, trail, "must be an object");
    json_t     *object = (json_t *)(uintptr_t)value; /* iteration only reads */
    const char *name;
    size_t      name_len;
    json_t     *member;
    json_object_keylen_foreach(object, name, name_len, member)
    {
        struct str                text = { name, name_len };
        struct trail              here = trail_member(trail, text);
        const struct compile_key *key = find_key(keys, text);
        if (key == NULL) return compile_refuse(compiler, &here, "unknown keyword");
        if (!has_type(member, key->type))
            return compile_refuse(compiler, &here, "must be %s", json_type_words(key->type));
    }
    for (; keys->name; keys++)
        if (keys->is_required && json_object_get(value, keys->name) == NULL)
            return compile_refuse(compiler, trail, "%s is missing", keys->name);
    return ERR_OK;
}

struct str compile_text(const json_t *object, const char *key)
{
    return json_text(json_object_get(object, key));
}

static void drop(void *value)
{
    json_decref(value);
}

const json_t *compile_keep(struct compiler *compiler, const json_t *value)
{
    json_t *copy = json_deep_copy(value);
    CHECK(copy != NULL);
    arena_defer(compiler->arena, drop, copy);
    return copy;
}

enum err compile_follow(struct compiler *compiler, const char *kind, json_t *value,
                        const struct trail *trail, struct compile_place *place)
{
    place->value = value;
    place->trail = trail;
    struct str reference = compile_text(value, "$ref");
    if (reference.data == NULL) return ERR_OK;

    static const struct compile_key keys[] = {
        { "$ref", JSON_STRING, true },
        { "summary", JSON_STRING, false },
        { "description", JSON_STRING, false },
        { NULL, JSON_NULL, false },
    };
    enum err e = compile_keys(compiler, trail, value, keys);
    if (e) return e;
    struct str prefix = str_format(compiler->arena, "#/components/%s/", kind);
    if (!str_starts_with(reference, prefix))
        return compile_refuse(compiler, trail, "$ref must begin with %.*s", STR_ARG(prefix));
    struct str name = str_skip(reference, prefix.len);
    json_t    *target =
        json_object_getn(json_object_get(compiler->components, kind), name.data, name.len);
    if (target == NULL) return compile_refuse(compiler, trail, "$ref leads nowhere");
    if (json_object_get(target, "$ref"))
        return compile_refuse(compiler, trail, "$ref leads to another $ref");

    place->storage[0] = trail_member(NULL, STR("components"));
    place->storage[1] = trail_member(&place->storage[0], str_of(kind));
    place->storage[2] = trail_member(&place->storage[1], name);
    place->trail = &place->storage[2];
    place->value = target;
    return ERR_OK;
}
