#include "api/api.h"

/* --- binding --- */

static const struct binding *const binding_tables[] = {
    jobs_bindings,     sign_up_bindings,      keys_bindings,        billing_bindings,
    purchase_bindings, organisation_bindings, webhooks_bindings,    events_bindings,
    audit_bindings,    worker_bindings,       worker_jobs_bindings, submissions_bindings,
    uploads_bindings,  downloads_bindings,    server_bindings,      metrics_bindings,
};

static bool has_shape_of(const struct binding *binding, enum contract_access access)
{
    switch (access) {
    case ACCESS_READ:
    case ACCESS_WRITE: return binding->handle && !binding->external && !binding->stream;
    case ACCESS_EXTERNAL: return binding->external && !binding->handle && !binding->stream;
    case ACCESS_STREAM: return binding->stream && !binding->handle && !binding->external;
    }
    return false;
}

static enum err bind_table(struct api *api, const struct binding *table, struct error *error)
{
    for (const struct binding *b = table; b->operation_id; b++) {
        const struct contract_operation *operation =
            contract_find(api->contract, str_of(b->operation_id));
        if (operation == NULL || api->bindings[operation->index])
            return FAIL(error, ERR_INVALID, "handler_unknown",
                        "%s: no such operation, or bound twice", b->operation_id);
        if (!has_shape_of(b, operation->access))
            return FAIL(error, ERR_INVALID, "handler_mismatch",
                        "%s: the handler does not fit x-access", b->operation_id);
        api->bindings[operation->index] = b;
    }
    return ERR_OK;
}

/* What a key changes is noted: nobody forgets to say as what. */
static enum err check_audited(const struct api *api, struct error *error)
{
    for (int i = 0; i < contract_operations_count(api->contract); i++) {
        const struct contract_operation *operation = contract_operation_at(api->contract, i);
        bool                             is_change =
            operation->security == SECURITY_API_KEY && operation->access != ACCESS_READ;
        if (is_change && operation->audit_action.data == NULL)
            return FAIL(error, ERR_INVALID, "operation_unaudited",
                        "%.*s changes something and has no x-audit",
                        STR_ARG(operation->operation_id));
    }
    return ERR_OK;
}

enum err api_bind(struct api *api, const struct binding *more, struct error *error)
{
    enum err e = bind_table(api, more, error);
    for (size_t i = 0; e == ERR_OK && i < COUNT_OF(binding_tables); i++)
        e = bind_table(api, binding_tables[i], error);
    if (e) return e;
    for (int i = 0; i < contract_operations_count(api->contract); i++)
        if (api->bindings[i] == NULL)
            return FAIL(error, ERR_INVALID, "operation_unbound", "%.*s has no handler",
                        STR_ARG(contract_operation_at(api->contract, i)->operation_id));
    return check_audited(api, error);
}

/* --- for handlers --- */

struct str request_path(const struct request *request, const char *name)
{
    for (int i = 0; i < request->match.path_values_count; i++)
        if (str_eq(request->match.path_names[i], str_of(name)))
            return request->match.path_values[i];
    CHECK(!"the operation has no such path parameter");
    return STR_NONE;
}

static const struct contract_value *find_value(const struct request *request, const char *name)
{
    for (int i = 0; i < request->operation->parameters_count; i++) {
        const struct contract_parameter *parameter = &request->operation->parameters[i];
        if (parameter->place != PLACE_PATH && str_eq(parameter->name, str_of(name)))
            return &request->values[i];
    }
    CHECK(!"the operation has no such parameter");
    return NULL;
}

struct str request_text(const struct request *request, const char *name)
{
    const struct contract_value *value = find_value(request, name);
    return value->is_present ? value->text : STR_NONE;
}

int64_t request_int(const struct request *request, const char *name, int64_t when_absent)
{
    const struct contract_value *value = find_value(request, name);
    return value->is_present ? value->integer : when_absent;
}
