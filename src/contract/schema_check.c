#include "contract/schema.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* One walk over a value. Every step goes one schema down, and schemas are at most
 * CONTRACT_SCHEMA_DEPTH_MAX high, so the stack is bounded whatever the value is. */
struct check {
    struct arena *arena;
    struct error *error; /* NULL: only the verdict is wanted */
    bool          is_first_only;
};

static bool check_value(const struct check *check, const struct trail *trail,
                        const struct schema *schema, const json_t *value);

/* Nobody will read another message: spare the work of writing it. */
static bool is_full(const struct check *check)
{
    return check->error == NULL || check->error->faults_count >= ERROR_FAULTS_COUNT_MAX;
}

static bool fault_untold(const struct check *check)
{
    if (check->error) check->error->faults_count++;
    return false;
}

/* Report a fault; always false, so that a check can end with it. */
PRINTF_LIKE(4, 5)
static bool fault(const struct check *check, const struct trail *trail, const char *code,
                  const char *format, ...)
{
    if (is_full(check)) return fault_untold(check);
    char    message[ERROR_DETAIL_BYTES_MAX];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof(message), format, arguments);
    va_end(arguments);

    /* The path is long only while it is built. Cutting may have split a character. */
    char              field[TRAIL_FIELD_BYTES_MAX + 1] = { 0 };
    struct arena_mark mark = arena_mark(check->arena);
    struct str        path = trail_field(check->arena, trail);
    struct str        words = str_sanitise(check->arena, str_of(message), sizeof(message));
    if (path.len) memcpy(field, path.data, path.len);
    memcpy(message, words.data, words.len);
    arena_rewind(check->arena, mark);
    error_add_fault(check->error, check->arena, trail ? str_of(field) : STR_NONE, code, "%s",
                    message);
    return false;
}

static bool fault_of_type(const struct check *check, const struct trail *trail, const char *code,
                          unsigned types)
{
    if (is_full(check)) return fault_untold(check);
    return fault(check, trail, code, "must be %.*s",
                 STR_ARG(schema_types_text(check->arena, types)));
}

static bool fault_of_options(const struct check *check, const struct trail *trail,
                             const struct schema *schema)
{
    if (is_full(check)) return fault_untold(check);
    return fault(check, trail, "enum", "must be one of %.*s",
                 STR_ARG(schema_options_text(check->arena, schema)));
}

static bool fault_of_constant(const struct check *check, const struct trail *trail,
                              const struct schema *schema)
{
    if (is_full(check)) return fault_untold(check);
    return fault(check, trail, "const", "must be %.*s",
                 STR_ARG(schema_scalar_text(check->arena, schema->constant)));
}

static bool fault_of_bound(const struct check *check, const struct trail *trail, bool is_low,
                           const json_t *bound, const json_t *value)
{
    if (is_full(check)) return fault_untold(check);
    return fault(check, trail, is_low ? "minimum" : "maximum", "must be at %s %.*s, got %.*s",
                 is_low ? "least" : "most", STR_ARG(schema_scalar_text(check->arena, bound)),
                 STR_ARG(schema_scalar_text(check->arena, value)));
}

unsigned schema_types_of(const json_t *value)
{
    int64_t whole;
    switch (json_typeof(value)) {
    case JSON_OBJECT: return BIT(TYPE_OBJECT);
    case JSON_ARRAY: return BIT(TYPE_ARRAY);
    case JSON_STRING: return BIT(TYPE_STRING);
    case JSON_INTEGER: return BIT(TYPE_INTEGER) | BIT(TYPE_NUMBER);
    case JSON_REAL:
        return BIT(TYPE_NUMBER) | (json_whole_number(value, &whole) ? BIT(TYPE_INTEGER) : 0);
    case JSON_TRUE:
    case JSON_FALSE: return BIT(TYPE_BOOLEAN);
    default: return BIT(TYPE_NULL);
    }
}

static int compare_integer_to_real(json_int_t integer, double real)
{
    if (real >= 0x1p63) return -1;
    if (real < -0x1p63) return 1;
    json_int_t whole = (json_int_t)real; /* towards zero */
    if (integer != whole) return integer < whole ? -1 : 1;
    double rest = real - (double)whole;
    return (rest < 0) - (rest > 0);
}

int schema_compare_numbers(const json_t *a, const json_t *b)
{
    if (json_is_integer(a) && json_is_integer(b)) {
        json_int_t left = json_integer_value(a), right = json_integer_value(b);
        return (left > right) - (left < right);
    }
    if (json_is_integer(a))
        return compare_integer_to_real(json_integer_value(a), json_real_value(b));
    if (json_is_integer(b))
        return -compare_integer_to_real(json_integer_value(b), json_real_value(a));
    double left = json_real_value(a), right = json_real_value(b);
    return (left > right) - (left < right);
}

static bool scalars_are_equal(const json_t *a, const json_t *b)
{
    if (json_is_number(a) && json_is_number(b)) return schema_compare_numbers(a, b) == 0;
    return json_equal(a, b) != 0;
}

static bool check_options(const struct check *check, const struct trail *trail,
                          const struct schema *schema, const json_t *value)
{
    size_t        index;
    const json_t *option;
    json_array_foreach(schema->options, index, option)
    {
        if (scalars_are_equal(option, value)) return true;
    }
    return fault_of_options(check, trail, schema);
}

/* The one branch that takes values of this type, NULL when none or several do: its own first
 * fault then says more than "none of the allowed forms". */
static const struct schema *branch_for(const struct schema *schema, unsigned types)
{
    const struct schema *found = NULL;
    for (int i = 0; i < schema->branches_count; i++) {
        if (!(schema->branches[i]->accepts & types)) continue;
        if (found) return NULL;
        found = schema->branches[i];
    }
    return found;
}

static bool fault_of_branch(const struct check *check, const struct trail *trail,
                            const struct schema *branch, const json_t *value)
{
    struct error error = { 0 };
    struct check inner = { .arena = check->arena, .error = &error, .is_first_only = true };
    bool         holds = check_value(&inner, NULL, branch, value);
    CHECK(!holds && error.faults != NULL);
    if (error.faults->field == NULL)
        return fault(check, trail, "anyOf", "%s", error.faults->message);
    return fault(check, trail, "anyOf", "%s %s", error.faults->field, error.faults->message);
}

static bool check_branches(const struct check *check, const struct trail *trail,
                           const struct schema *schema, const json_t *value)
{
    struct check quiet = { .arena = check->arena, .is_first_only = true };
    for (int i = 0; i < schema->branches_count; i++)
        if (check_value(&quiet, trail, schema->branches[i], value)) return true;

    if (schema->branches_are_constants) return fault_of_options(check, trail, schema);
    unsigned types = schema_types_of(value);
    if (!(schema->accepts & types)) return fault_of_type(check, trail, "anyOf", schema->accepts);
    if (is_full(check)) return fault_untold(check);
    const struct schema *branch = branch_for(schema, types);
    if (branch) return fault_of_branch(check, trail, branch, value);
    return fault(check, trail, "anyOf", "has none of the allowed forms");
}

static bool check_number(const struct check *check, const struct trail *trail,
                         const struct schema *schema, const json_t *value)
{
    if (schema->minimum && schema_compare_numbers(value, schema->minimum) < 0)
        return fault_of_bound(check, trail, true, schema->minimum, value);
    if (schema->maximum && schema_compare_numbers(value, schema->maximum) > 0)
        return fault_of_bound(check, trail, false, schema->maximum, value);
    return true;
}

struct count_rule {
    const char *code_min, *code_max;
    const char *verb, *noun; /* "must have at least 3 items" */
    int64_t     min, max;
};

static bool check_count(const struct check *check, const struct trail *trail,
                        const struct count_rule *rule, size_t count)
{
    bool is_short = (int64_t)count < rule->min;
    if (!is_short && (int64_t)count <= rule->max) return true;
    int64_t limit = is_short ? rule->min : rule->max;
    return fault(check, trail, is_short ? rule->code_min : rule->code_max,
                 "must %s at %s %lld %s%s, got %zu", rule->verb, is_short ? "least" : "most",
                 (long long)limit, rule->noun, limit == 1 ? "" : "s", count);
}

static bool check_text(const struct check *check, const struct trail *trail,
                       const struct schema *schema, const json_t *value)
{
    static const char *const format_words[] = {
        [FORMAT_NONE] = "",
        [FORMAT_URI] = "an absolute URI such as https://example.com/path",
        [FORMAT_DATE_TIME] = "a date and time such as 2026-03-18T09:30:00Z",
    };
    struct str        text = json_text(value);
    struct count_rule rule = { "minLength", "maxLength",        "be",
                               "character", schema->length_min, schema->length_max };
    bool              holds = check_count(check, trail, &rule, str_code_points(text));
    if (!holds && check->is_first_only) return false;
    if (schema_format_holds(schema->format, text)) return holds;
    return fault(check, trail, "format", "must be %s", format_words[schema->format]);
}

static bool check_items(const struct check *check, const struct trail *trail,
                        const struct schema *schema, const json_t *value)
{
    struct count_rule rule = { "minItems", "maxItems",        "have",
                               "item",     schema->items_min, schema->items_max };
    bool              holds = check_count(check, trail, &rule, json_array_size(value));
    if (schema->items == NULL) return holds;
    size_t        index;
    const json_t *item;
    json_array_foreach(value, index, item)
    {
        if (!holds && check->is_first_only) return false;
        struct trail here = trail_element(trail, index);
        holds &= check_value(check, &here, schema->items, item);
    }
    return holds;
}

static bool check_named_members(const struct check *check, const struct trail *trail,
                                const struct schema *schema, const json_t *value)
{
    bool holds = true;
    for (int i = 0; i < schema->members_count; i++) {
        const struct schema_member *member = &schema->members[i];
        struct trail                here = trail_member(trail, member->name);
        const json_t *found = json_object_getn(value, member->name.data, member->name.len);
        if (found == NULL && member->is_required)
            holds = fault(check, &here, "required", "is required");
        else if (found != NULL && member->schema != NULL)
            holds &= check_value(check, &here, member->schema, found);
        if (!holds && check->is_first_only) return false;
    }
    return holds;
}

static bool check_members(const struct check *check, const struct trail *trail,
                          const struct schema *schema, const json_t *value)
{
    struct count_rule rule = { NULL, "maxProperties", "have", "member", 0, schema->members_max };
    bool              holds = check_count(check, trail, &rule, json_object_size(value));
    if (!holds && check->is_first_only) return false;
    holds &= check_named_members(check, trail, schema, value);
    if (schema->every_member == NULL) return holds;

    /* jansson's iteration takes a non-const pointer but does not change the object. */
    json_t     *object = (json_t *)(uintptr_t)value;
    const char *name;
    size_t      name_len;
    json_t     *member;
    json_object_keylen_foreach(object, name, name_len, member)
    {
        if (!holds && check->is_first_only) return false;
        struct trail here = trail_member(trail, (struct str){ name, name_len });
        holds &= check_value(check, &here, schema->every_member, member);
    }
    return holds;
}

static bool check_by_type(const struct check *check, const struct trail *trail,
                          const struct schema *schema, const json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT: return check_members(check, trail, schema, value);
    case JSON_ARRAY: return check_items(check, trail, schema, value);
    case JSON_STRING: return check_text(check, trail, schema, value);
    case JSON_INTEGER:
    case JSON_REAL: return check_number(check, trail, schema, value);
    default: return true;
    }
}

static bool check_value(const struct check *check, const struct trail *trail,
                        const struct schema *schema, const json_t *value)
{
    /* Of another type nothing else could hold: one fault says it. */
    if (schema->types && !(schema->types & schema_types_of(value)))
        return fault_of_type(check, trail, "type", schema->types);

    bool holds = true;
    if (schema->constant && !scalars_are_equal(schema->constant, value))
        holds = fault_of_constant(check, trail, schema);
    if (!holds && check->is_first_only) return false;
    if (schema->options) holds &= check_options(check, trail, schema, value);
    if (!holds && check->is_first_only) return false;
    if (schema->branches_count) holds &= check_branches(check, trail, schema, value);
    if (!holds && check->is_first_only) return false;
    return holds & check_by_type(check, trail, schema, value);
}

bool schema_accepts(const struct schema *schema, const json_t *value)
{
    struct check quiet = { .is_first_only = true };
    return check_value(&quiet, NULL, schema, value);
}

bool schema_check_at(const struct schema *schema, struct arena *arena, const struct trail *trail,
                     const json_t *value, struct error *error)
{
    struct check check = { .arena = arena, .error = error };
    return check_value(&check, trail, schema, value);
}

enum err schema_check(const struct schema *schema, struct arena *arena, const json_t *value,
                      struct error *error)
{
    if (schema_check_at(schema, arena, NULL, value, error)) return ERR_OK;
    return FAIL_FAULTS(error, arena, ERR_UNPROCESSABLE, "body_invalid");
}
