#include "contract/compile.h"

int contract_operations_count(const struct contract *contract)
{
    return contract->operations_count;
}

const struct contract_operation *contract_operation_at(const struct contract *contract, int index)
{
    CHECK(index >= 0 && index < contract->operations_count);
    return &contract->operations[index];
}

const struct contract_operation *contract_find(const struct contract *contract,
                                               struct str             operation_id)
{
    for (int i = 0; i < contract->operations_count; i++)
        if (str_eq(contract->operations[i].operation_id, operation_id))
            return &contract->operations[i];
    return NULL;
}

const struct schema *contract_response(const struct contract_operation *operation, int status)
{
    const struct contract_response *best = NULL;
    for (int i = 0; i < operation->responses_count; i++) {
        const struct contract_response *response = &operation->responses[i];
        if (status < response->status_low || status > response->status_high) continue;
        int width = response->status_high - response->status_low;
        if (best == NULL || width < best->status_high - best->status_low) best = response;
    }
    return best ? best->schema : NULL;
}

const struct schema *contract_schema(const struct contract *contract, struct str name)
{
    const struct component_schema *component = compile_find_component(contract, name);
    return component ? component->schema : NULL;
}
