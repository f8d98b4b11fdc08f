#include "contract/compile.h"

#include "base/json_in.h"

static bool is_on(const struct compiler *compiler, struct str setting)
{
    if (setting.data == NULL) return true;
    for (const char *const *name = compiler->settings_on; *name; name++)
        if (str_eq(setting, str_of(*name))) return true;
    return false;
}

/* Operations keep the document's order, so the members are walked and not the methods. */
static enum err compile_methods(struct compiler *compiler, const struct trail *trail, json_t *value,
                                struct route *route)
{
    const json_t *path_parameters = json_object_get(value, "parameters");
    const char   *name;
    size_t        name_len;
    json_t       *operation;
    json_object_keylen_foreach(value, name, name_len, operation)
    {
        struct trail here = trail_member(trail, (struct str){ name, name_len });
        for (int method = 0; method < CONTRACT_METHOD__COUNT; method++) {
            const char *known = contract_method_name((enum contract_method)method);
            /* The path's keys were checked: a method stands here in lower case only. */
            if (!str_eq_ignoring_case(here.name, str_of(known))) continue;
            const struct contract_operation *compiled;
            enum err e = compile_operation(compiler, &here, operation, path_parameters, route,
                                           (enum contract_method)method, &compiled);
            if (e) return e;
            if (!is_on(compiler, compiled->setting)) continue;
            route->operations[method] = compiled;
            route->operations_count++;
        }
    }
    return ERR_OK;
}

static enum err compile_path(struct compiler *compiler, const struct trail *trail, json_t *value,
                             struct route *ret_route)
{
    static const struct compile_key keys[] = {
        { "get", JSON_OBJECT, false },     { "head", JSON_OBJECT, false },
        { "post", JSON_OBJECT, false },    { "put", JSON_OBJECT, false },
        { "patch", JSON_OBJECT, false },   { "delete", JSON_OBJECT, false },
        { "options", JSON_OBJECT, false }, { "parameters", JSON_ARRAY, false },
        { "summary", JSON_STRING, false }, { "description", JSON_STRING, false },
        { NULL, JSON_NULL, false },
    };
    struct route route = { 0 };
    enum err     e = compile_keys(compiler, trail, value, keys);
    if (e) return e;
    e = route_parse(compiler, trail, str_copy(compiler->arena, trail->name), &route);
    if (e) return e;
    e = compile_methods(compiler, trail, value, &route);
    if (e) return e;
    *ret_route = route;
    return ERR_OK;
}

static enum err compile_paths(struct compiler *compiler, json_t *paths)
{
    struct contract *contract = compiler->contract;
    struct trail     trail = trail_member(NULL, STR("paths"));
    size_t           count = json_object_size(paths);
    if (count > CONTRACT_OPERATIONS_MAX)
        return compile_refuse(compiler, &trail, "more than %d paths", CONTRACT_OPERATIONS_MAX);
    contract->operations = NEW(compiler->arena, struct contract_operation, CONTRACT_OPERATIONS_MAX);
    contract->routes = NEW(compiler->arena, struct route, count);
    const char *name;
    size_t      name_len;
    json_t     *path;
    json_object_keylen_foreach(paths, name, name_len, path)
    {
        struct trail  here = trail_member(&trail, (struct str){ name, name_len });
        struct route *route = &contract->routes[contract->routes_count];
        enum err      e = compile_path(compiler, &here, path, route);
        if (e) return e;
        if (route->operations_count > 0) contract->routes_count++;
    }
    return route_arrange(compiler);
}

static enum err compile_components(struct compiler *compiler)
{
    static const struct compile_key keys[] = {
        { "schemas", JSON_OBJECT, false },
        { "securitySchemes", JSON_OBJECT, false },
        { "parameters", JSON_OBJECT, false },
        { "responses", JSON_OBJECT, false },
        { "headers", JSON_OBJECT, false },
        { "examples", JSON_OBJECT, false },
        { "requestBodies", JSON_OBJECT, false },
        { "links", JSON_OBJECT, false },
        { NULL, JSON_NULL, false },
    };
    struct trail trail = trail_member(NULL, STR("components"));
    if (compiler->components == NULL) return ERR_OK;
    enum err e = compile_keys(compiler, &trail, compiler->components, keys);
    return e ? e : compile_component_schemas(compiler);
}

static enum err compile_root(struct compiler *compiler, json_t *root)
{
    static const struct compile_key keys[] = {
        { "openapi", JSON_STRING, true }, { "info", JSON_OBJECT, true },
        { "paths", JSON_OBJECT, true },   { "components", JSON_OBJECT, false },
        { "servers", JSON_ARRAY, false }, { "security", JSON_ARRAY, false },
        { "tags", JSON_ARRAY, false },    { "externalDocs", JSON_OBJECT, false },
        { NULL, JSON_NULL, false },
    };
    enum err e = compile_keys(compiler, NULL, root, keys);
    if (e) return e;
    struct trail version = trail_member(NULL, STR("openapi"));
    if (!str_starts_with(compile_text(root, "openapi"), STR("3.1.")))
        return compile_refuse(compiler, &version, "the version must be 3.1");

    const json_t *security = json_object_get(root, "security");
    struct trail  here = trail_member(NULL, STR("security"));
    compiler->has_security = security != NULL;
    if (security) e = compile_security(compiler, &here, security, &compiler->security);
    if (e) return e;
    compiler->components = json_object_get(root, "components");
    e = compile_components(compiler);
    if (e) return e;
    return compile_paths(compiler, json_object_get(root, "paths"));
}

static enum err compile_tree(struct arena *arena, json_t *root, const char *const *settings_on,
                             struct error *error, const struct contract **ret_contract)
{
    struct compiler compiler = { .arena = arena, .error = error, .settings_on = settings_on };
    compiler.contract = NEW(arena, struct contract, 1);
    enum err e = compile_root(&compiler, root);
    if (e) return e;
    *ret_contract = compiler.contract;
    return ERR_OK;
}

enum err contract_compile(struct arena *arena, struct str document, const char *const *settings_on,
                          struct error *error, const struct contract **ret_contract)
{
    if (document.len > DOCUMENT_BYTES_MAX)
        return FAIL(error, ERR_INVALID, "contract_invalid", "/: more than %d bytes",
                    DOCUMENT_BYTES_MAX);
    struct arena tree;
    json_t      *root = NULL;
    arena_init(&tree, DOCUMENT_BYTES_MAX);
    enum err e = json_parse(&tree, document, error, &root);
    if (e)
        e = FAIL(error, ERR_INVALID, "contract_invalid", "/: not JSON (%s)", error->slug);
    else
        e = compile_tree(arena, root, settings_on, error, ret_contract);
    arena_deinit(&tree);
    return e;
}
