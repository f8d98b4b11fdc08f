#include "contract/compile.h"

#include <assert.h>
#include <string.h>

static const char *const method_names[] = {
    [METHOD_GET] = "GET",         [METHOD_HEAD] = "HEAD",   [METHOD_POST] = "POST",
    [METHOD_PUT] = "PUT",         [METHOD_PATCH] = "PATCH", [METHOD_DELETE] = "DELETE",
    [METHOD_OPTIONS] = "OPTIONS",
};
static_assert(COUNT_OF(method_names) == CONTRACT_METHOD__COUNT, "every method has a name");

const char *contract_method_name(enum contract_method method)
{
    CHECK((unsigned)method < CONTRACT_METHOD__COUNT);
    return method_names[method];
}

static enum err requirement_kind(struct compiler *compiler, const struct trail *trail,
                                 const json_t *requirement, enum contract_security *ret_security)
{
    static const struct {
        const char            *scheme;
        enum contract_security security;
    } schemes[] = {
        { "BearerAuth", SECURITY_API_KEY },
        { "WorkerAuth", SECURITY_WORKER },
    };
    for (size_t i = 0; i < COUNT_OF(schemes); i++) {
        const json_t *roles = json_object_get(requirement, schemes[i].scheme);
        if (roles == NULL) continue;
        if (json_object_size(requirement) != 1 || !json_is_array(roles) || json_array_size(roles))
            break;
        *ret_security = schemes[i].security;
        return ERR_OK;
    }
    return compile_refuse(compiler, trail,
                          "must be [], [{\"BearerAuth\":[]}] or [{\"WorkerAuth\":[]}]");
}

enum err compile_security(struct compiler *compiler, const struct trail *trail, const json_t *value,
                          enum contract_security *ret_security)
{
    if (json_is_array(value) && json_array_size(value) == 0) {
        *ret_security = SECURITY_NONE;
        return ERR_OK;
    }
    const json_t *requirement = json_array_size(value) == 1 ? json_array_get(value, 0) : NULL;
    return requirement_kind(compiler, trail, requirement, ret_security);
}

static enum err read_security(struct compiler *compiler, const struct trail *trail,
                              const json_t *value, struct contract_operation *operation)
{
    const json_t *security = json_object_get(value, "security");
    struct trail  here = trail_member(trail, STR("security"));
    if (security) return compile_security(compiler, &here, security, &operation->security);
    if (!compiler->has_security)
        return compile_refuse(compiler, trail, "neither the operation nor the root has security");
    operation->security = compiler->security;
    return ERR_OK;
}

static enum err read_access(struct compiler *compiler, const struct trail *trail,
                            const json_t *value, enum contract_method method,
                            struct contract_operation *operation)
{
    static const char *const names[] = {
        [ACCESS_READ] = "read",
        [ACCESS_WRITE] = "write",
        [ACCESS_EXTERNAL] = "external",
        [ACCESS_STREAM] = "stream",
    };
    struct str text = compile_text(value, "x-access");
    bool       is_safe = method == METHOD_GET || method == METHOD_HEAD || method == METHOD_OPTIONS;
    operation->access = is_safe ? ACCESS_READ : ACCESS_WRITE;
    if (text.data == NULL) return ERR_OK;
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        if (!str_eq(text, str_of(names[i]))) continue;
        operation->access = (enum contract_access)i;
        return ERR_OK;
    }
    struct trail here = trail_member(trail, STR("x-access"));
    return compile_refuse(compiler, &here, "must be read, write, external or stream");
}

static enum err read_extensions(struct compiler *compiler, const struct trail *trail,
                                const json_t *value, struct contract_operation *operation)
{
    const json_t *limit = json_object_get(value, "x-body-limit");
    struct trail  limit_trail = trail_member(trail, STR("x-body-limit"));
    struct trail  scope_trail = trail_member(trail, STR("x-scope"));
    struct trail  audit_trail = trail_member(trail, STR("x-audit"));
    operation->body_bytes_max = limit ? json_integer_value(limit) : CONTRACT_BODY_BYTES_DEFAULT;
    if (operation->body_bytes_max <= 0)
        return compile_refuse(compiler, &limit_trail, "must be at least 1");
    operation->scope = in_text(value, "x-scope", compiler->arena);
    if (operation->scope.data && operation->scope.len == 0)
        return compile_refuse(compiler, &scope_trail, "must not be empty");
    operation->is_idempotent = json_is_true(json_object_get(value, "x-idempotent"));
    operation->audit_action = in_text(value, "x-audit", compiler->arena);
    if (operation->audit_action.data && operation->audit_action.len == 0)
        return compile_refuse(compiler, &audit_trail, "must not be empty");
    operation->setting = in_text(value, "x-setting", compiler->arena);
    return ERR_OK;
}

static bool declares_path_parameter(const struct contract_operation *operation, struct str name)
{
    for (int i = 0; i < operation->parameters_count; i++) {
        const struct contract_parameter *parameter = &operation->parameters[i];
        if (parameter->place == PLACE_PATH && str_eq(parameter->name, name)) return true;
    }
    return false;
}

/* The template and the declarations name the same parameters. */
static enum err check_path_parameters(struct compiler *compiler, const struct trail *trail,
                                      const struct contract_operation *operation,
                                      const struct route              *route)
{
    for (int i = 0; i < route->segments_count; i++) {
        const struct segment *segment = &route->segments[i];
        if (segment->is_parameter && !declares_path_parameter(operation, segment->text))
            return compile_refuse(compiler, trail, "path parameter %.*s is not declared",
                                  STR_ARG(segment->text));
    }
    for (int i = 0; i < operation->parameters_count; i++) {
        const struct contract_parameter *parameter = &operation->parameters[i];
        if (parameter->place == PLACE_PATH && !route_has_parameter(route, parameter->name))
            return compile_refuse(compiler, trail, "parameter %.*s is not in the path",
                                  STR_ARG(parameter->name));
    }
    return ERR_OK;
}

static enum err read_parameters(struct compiler *compiler, const struct trail *trail,
                                const json_t *value, const json_t *path_parameters,
                                const struct route *route, struct contract_operation *operation)
{
    struct contract_parameter parameters[CONTRACT_PARAMETERS_MAX];
    int                       count = 0;
    struct trail              here = trail_member(trail, STR("parameters"));
    struct trail              path_here = trail_member(trail->up, STR("parameters"));
    enum err e = compile_parameters(compiler, &here, json_object_get(value, "parameters"), false,
                                    parameters, &count);
    if (e) return e;
    e = compile_parameters(compiler, &path_here, path_parameters, true, parameters, &count);
    if (e) return e;

    struct contract_parameter *kept = NEW(compiler->arena, struct contract_parameter, count);
    if (count) memcpy(kept, parameters, sizeof(*kept) * (size_t)count);
    operation->parameters = kept;
    operation->parameters_count = count;
    return check_path_parameters(compiler, trail, operation, route);
}

static enum err read_bodies(struct compiler *compiler, const struct trail *trail,
                            const json_t *value, struct contract_operation *operation)
{
    struct trail request = trail_member(trail, STR("requestBody"));
    struct trail responses = trail_member(trail, STR("responses"));
    json_t      *body = json_object_get(value, "requestBody");
    enum err     e = body ? compile_request_body(compiler, &request, body, operation) : ERR_OK;
    if (e) return e;
    return compile_responses(compiler, &responses, json_object_get(value, "responses"), operation);
}

static enum err operation_add(struct compiler *compiler, const struct trail *trail,
                              const struct contract_operation  *operation,
                              const struct contract_operation **ret_operation)
{
    struct contract *contract = compiler->contract;
    if (operation->operation_id.len == 0)
        return compile_refuse(compiler, trail, "operationId is empty");
    if (contract_find(contract, operation->operation_id))
        return compile_refuse(compiler, trail, "another operation has this operationId");
    if (contract->operations_count == CONTRACT_OPERATIONS_MAX)
        return compile_refuse(compiler, trail, "more than %d operations", CONTRACT_OPERATIONS_MAX);
    struct contract_operation *kept = &contract->operations[contract->operations_count];
    *kept = *operation;
    kept->index = contract->operations_count++;
    *ret_operation = kept;
    return ERR_OK;
}

enum err compile_operation(struct compiler *compiler, const struct trail *trail, json_t *value,
                           const json_t *path_parameters, const struct route *route,
                           enum contract_method              method,
                           const struct contract_operation **ret_operation)
{
    static const struct compile_key keys[] = {
        { "operationId", JSON_STRING, true },
        { "responses", JSON_OBJECT, true },
        { "summary", JSON_STRING, false },
        { "description", JSON_STRING, false },
        { "tags", JSON_ARRAY, false },
        { "deprecated", JSON_TRUE, false },
        { "parameters", JSON_ARRAY, false },
        { "requestBody", JSON_OBJECT, false },
        { "security", JSON_ARRAY, false },
        { "externalDocs", JSON_OBJECT, false },
        { "x-scope", JSON_STRING, false },
        { "x-access", JSON_STRING, false },
        { "x-body-limit", JSON_INTEGER, false },
        { "x-idempotent", JSON_TRUE, false },
        { "x-audit", JSON_STRING, false },
        { "x-setting", JSON_STRING, false },
        { NULL, JSON_NULL, false },
    };
    enum err e = compile_keys(compiler, trail, value, keys);
    if (e) return e;
    struct contract_operation operation = {
        .operation_id = in_text(value, "operationId", compiler->arena),
        .method = str_of(contract_method_name(method)),
        .path = route->path,
        .summary = in_text(value, "summary", compiler->arena),
    };
    e = read_security(compiler, trail, value, &operation);
    if (e) return e;
    e = read_access(compiler, trail, value, method, &operation);
    if (e) return e;
    e = read_extensions(compiler, trail, value, &operation);
    if (e) return e;
    e = read_parameters(compiler, trail, value, path_parameters, route, &operation);
    if (e) return e;
    e = read_bodies(compiler, trail, value, &operation);
    if (e) return e;
    return operation_add(compiler, trail, &operation, ret_operation);
}
