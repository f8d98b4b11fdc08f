/* Query and header parameters: text from outside, read as the schema's type. */
#include "contract/schema.h"

#include "base/encode.h"

#include <string.h>

struct reading {
    const struct contract_operation *operation;
    struct arena                    *arena;
    struct error                    *error;
    struct contract_value           *values;
};

static void fault(const struct reading *reading, int index, const char *code, const char *message)
{
    error_add_fault(reading->error, reading->arena, reading->operation->parameters[index].name,
                    code, "%s", message);
}

/* A number of JSON's grammar and nothing around it; NULL when it is none or does not fit. */
static json_t *parse_number(struct str text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.data[i] == '\0' || strchr("0123456789+-.eE", text.data[i]) == NULL) return NULL;
    return json_loadb(text.data, text.len, JSON_DECODE_ANY, NULL);
}

/* A new JSON value, or NULL when the text is none of that type. */
static json_t *parse_text(const struct schema *schema, struct str text)
{
    int64_t integer;
    if (schema->accepts & BIT(TYPE_STRING)) return json_stringn(text.data, text.len);
    if (schema->accepts & BIT(TYPE_NUMBER)) return parse_number(text);
    if (schema->accepts & BIT(TYPE_BOOLEAN)) {
        if (str_eq(text, STR("true"))) return json_true();
        return str_eq(text, STR("false")) ? json_false() : NULL;
    }
    return str_to_int64(text, &integer) ? json_integer(integer) : NULL;
}

static void check_value(const struct reading *reading, int index)
{
    struct contract_value           *value = &reading->values[index];
    const struct contract_parameter *parameter = &reading->operation->parameters[index];
    if (!str_is_utf8(value->text)) {
        fault(reading, index, "encoding", "must be UTF-8 without NUL");
        return;
    }
    json_auto_t *parsed = parse_text(parameter->schema, value->text);
    if (parsed == NULL) {
        struct str type = schema_types_text(reading->arena, parameter->schema->accepts);
        error_add_fault(reading->error, reading->arena, parameter->name, "type", "must be %.*s",
                        STR_ARG(type));
        return;
    }
    struct trail trail = trail_member(NULL, parameter->name);
    if (schema_check_at(parameter->schema, reading->arena, &trail, parsed, reading->error))
        value->integer = json_integer_value(parsed);
}

static void fill_preset(struct contract_value *value)
{
    const json_t *preset = value->parameter->schema->preset;
    if (json_is_string(preset)) value->text = json_text(preset);
    if (json_is_integer(preset)) value->integer = json_integer_value(preset);
}

/* The declared query parameter of this name, -1 when there is none. */
static int find_query(const struct contract_operation *operation, struct str name)
{
    for (int i = 0; i < operation->parameters_count; i++)
        if (operation->parameters[i].place == PLACE_QUERY &&
            str_eq(operation->parameters[i].name, name))
            return i;
    return -1;
}

enum arrival { ARRIVAL_ABSENT, ARRIVAL_ONCE, ARRIVAL_REPEATED, ARRIVAL_MALFORMED };

/* Take the declared parameters out of the query. Names are decoded in scratch memory, so that a
 * query of many unknown ones costs none. */
static void read_query(const struct reading *reading, struct str query, enum arrival *arrivals)
{
    struct str pair;
    while (str_cut(&query, '&', &pair)) {
        struct arena_mark mark = arena_mark(reading->arena);
        struct str        text = pair, head, name;
        str_cut(&text, '=', &head);
        int index = decode_percent(reading->arena, head, true, &name)
                        ? find_query(reading->operation, name)
                        : -1;
        arena_rewind(reading->arena, mark);
        if (index < 0 || arrivals[index] == ARRIVAL_REPEATED) continue;
        struct contract_value *value = &reading->values[index];
        if (arrivals[index] != ARRIVAL_ABSENT)
            arrivals[index] = ARRIVAL_REPEATED;
        else if (decode_percent(reading->arena, text.data ? text : STR(""), true, &value->text))
            arrivals[index] = ARRIVAL_ONCE;
        else
            arrivals[index] = ARRIVAL_MALFORMED;
    }
}

static void settle(const struct reading *reading, int index, enum arrival arrival)
{
    struct contract_value *value = &reading->values[index];
    value->is_present = arrival != ARRIVAL_ABSENT;
    switch (arrival) {
    case ARRIVAL_ABSENT:
        if (value->parameter->is_required) fault(reading, index, "required", "is required");
        fill_preset(value);
        return;
    case ARRIVAL_REPEATED: fault(reading, index, "duplicate", "is given more than once"); return;
    case ARRIVAL_MALFORMED: fault(reading, index, "encoding", "has a malformed % escape"); return;
    case ARRIVAL_ONCE: check_value(reading, index); return;
    }
}

enum err contract_check_parameters(const struct contract_operation *operation, struct arena *arena,
                                   struct str query,
                                   struct str (*header)(const void *context, const char *name),
                                   const void *context, struct error *error,
                                   struct contract_value *ret_values)
{
    struct contract_value values[CONTRACT_PARAMETERS_MAX] = { 0 };
    enum arrival          arrivals[CONTRACT_PARAMETERS_MAX] = { ARRIVAL_ABSENT };
    struct reading        reading = { operation, arena, error, values };
    read_query(&reading, query, arrivals);
    for (int i = 0; i < operation->parameters_count; i++) {
        const struct contract_parameter *parameter = &operation->parameters[i];
        values[i].parameter = parameter;
        if (parameter->place == PLACE_PATH) continue;
        if (parameter->place == PLACE_HEADER) {
            values[i].text = str_copy(arena, header(context, parameter->name.data));
            arrivals[i] = values[i].text.data ? ARRIVAL_ONCE : ARRIVAL_ABSENT;
        }
        settle(&reading, i, arrivals[i]);
    }
    if (error->faults_count > 0)
        return FAIL_FAULTS(error, arena, ERR_INVALID, "invalid_parameters");
    if (operation->parameters_count)
        memcpy(ret_values, values, sizeof(*values) * (size_t)operation->parameters_count);
    return ERR_OK;
}
