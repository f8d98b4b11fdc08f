#include "contract/compile_schema.h"

#include "base/num.h"

#include <assert.h>
#include <limits.h>
#include <stdlib.h>

/* properties and required are read together, after the other keywords: faults are then reported in
 * the order of properties, whichever of the two stands first. */
struct members {
    struct schema_member *items;
    int                   count;
};

static struct schema_member *members_find(const struct members *members, struct str name)
{
    for (int i = 0; i < members->count; i++)
        if (str_eq(members->items[i].name, name)) return &members->items[i];
    return NULL;
}

static enum err members_read_properties(struct draft *draft, struct members *members)
{
    struct trail trail = trail_member(draft->trail, STR("properties"));
    const char  *name;
    size_t       name_len;
    json_t      *value;
    json_object_keylen_foreach(json_object_get(draft->source, "properties"), name, name_len, value)
    {
        struct schema_member *member = &members->items[members->count++];
        member->name = str_copy(draft->compiler->arena, (struct str){ name, name_len });
        struct trail here = trail_member(&trail, member->name);
        enum err     e =
            compile_schema(draft->compiler, &here, value, draft->depth + 1, &member->schema);
        if (e) return e;
    }
    return ERR_OK;
}

static enum err members_read_required(struct draft *draft, struct members *members)
{
    struct trail trail = trail_member(draft->trail, STR("required"));
    size_t       index;
    json_t      *value;
    json_array_foreach(json_object_get(draft->source, "required"), index, value)
    {
        struct trail here = trail_element(&trail, index);
        if (!json_is_string(value))
            return compile_refuse(draft->compiler, &here, "must be the name of a member");
        struct str            name = json_text(value);
        struct schema_member *member = members_find(members, name);
        if (member == NULL) {
            member = &members->items[members->count++];
            member->name = str_copy(draft->compiler->arena, name);
        }
        if (member->is_required)
            return compile_refuse(draft->compiler, &here, "the member is named twice");
        member->is_required = true;
    }
    return ERR_OK;
}

static enum err read_members(struct draft *draft)
{
    size_t room = json_object_size(json_object_get(draft->source, "properties")) +
                  json_array_size(json_object_get(draft->source, "required"));
    if (room > SCHEMA_MEMBERS_MAX)
        return compile_refuse(draft->compiler, draft->trail, "more than %d members",
                              SCHEMA_MEMBERS_MAX);
    struct members members = { .items = NEW(draft->compiler->arena, struct schema_member, room) };
    enum err       e = members_read_properties(draft, &members);
    if (e) return e;
    e = members_read_required(draft, &members);
    if (e) return e;
    draft->schema->members = members.items;
    draft->schema->members_count = members.count;
    return ERR_OK;
}

/* The types that const and enum leave. */
static unsigned types_of_options(const struct schema *schema)
{
    unsigned      types = SCHEMA_TYPES_ALL, options = 0;
    size_t        index;
    const json_t *option;
    if (schema->constant) types &= schema_types_of(schema->constant);
    json_array_foreach(schema->options, index, option)
    {
        options |= schema_types_of(option);
    }
    return schema->options ? types & options : types;
}

static unsigned types_of_branches(const struct schema *schema)
{
    unsigned types = 0;
    for (int i = 0; i < schema->branches_count; i++)
        types |= schema->branches[i]->accepts;
    return schema->branches_count ? types : SCHEMA_TYPES_ALL;
}

static unsigned types_of_keyword(const struct schema *schema)
{
    if (schema->types == 0) return SCHEMA_TYPES_ALL;
    bool takes_integers = schema->types & BIT(TYPE_NUMBER);
    return schema->types | (takes_integers ? BIT(TYPE_INTEGER) : 0);
}

enum { SCHEMA_CHILDREN_MAX = SCHEMA_MEMBERS_MAX + SCHEMA_BRANCHES_MAX + 2 };
static_assert(SCHEMA_WEIGHT_MAX < INT_MAX / SCHEMA_CHILDREN_MAX, "adding up weights cannot wrap");

static void grow(struct schema *schema, const struct schema *child)
{
    if (child == NULL) return;
    schema->height = (int)num_max(schema->height, child->height + 1);
    schema->weight += child->weight;
}

static void measure(struct schema *schema)
{
    schema->height = 1;
    schema->weight = 1;
    for (int i = 0; i < schema->branches_count; i++)
        grow(schema, schema->branches[i]);
    for (int i = 0; i < schema->members_count; i++)
        grow(schema, schema->members[i].schema);
    grow(schema, schema->every_member);
    grow(schema, schema->items);
}

static enum err settle_types(struct draft *draft)
{
    struct schema *schema = draft->schema;
    schema->accepts =
        types_of_keyword(schema) & types_of_options(schema) & types_of_branches(schema);
    if (schema->accepts == 0)
        return compile_refuse(draft->compiler, draft->trail, "no value could have the right type");
    if (schema->length_min > schema->length_max || schema->items_min > schema->items_max ||
        (schema->minimum && schema->maximum &&
         schema_compare_numbers(schema->minimum, schema->maximum) > 0))
        return compile_refuse(draft->compiler, draft->trail, "the lower bound is above the upper");
    return ERR_OK;
}

static enum err check_whole(const struct draft *draft)
{
    const struct schema *schema = draft->schema;
    if (schema->height + draft->depth > CONTRACT_SCHEMA_DEPTH_MAX)
        return compile_refuse(draft->compiler, draft->trail, "schemas nest deeper than %d",
                              CONTRACT_SCHEMA_DEPTH_MAX);
    if (schema->weight > SCHEMA_WEIGHT_MAX)
        return compile_refuse(draft->compiler, draft->trail, "the schema has more than %d nodes",
                              SCHEMA_WEIGHT_MAX);
    if (schema->preset && !schema_accepts(schema, schema->preset))
        return compile_refuse(draft->compiler, draft->trail, "the default is outside the schema");
    return ERR_OK;
}

static enum err compile_keywords(struct draft *draft)
{
    enum err e = draft_read_keywords(draft);
    if (e) return e;
    e = read_members(draft);
    if (e) return e;
    e = settle_types(draft);
    if (e) return e;
    measure(draft->schema);
    return check_whole(draft);
}

static struct schema *schema_new(struct arena *arena)
{
    struct schema *schema = NEW(arena, struct schema, 1);
    schema->length_max = INT64_MAX;
    schema->items_max = INT64_MAX;
    schema->members_max = INT64_MAX;
    return schema;
}

static enum err compile_component(struct compiler *compiler, struct component_schema *component,
                                  const struct trail *from, int depth)
{
    if (component->state == COMPONENT_UNDER_WAY)
        return compile_refuse(compiler, from, "$ref leads back to itself");
    if (component->state == COMPONENT_DONE) return ERR_OK;
    component->state = COMPONENT_UNDER_WAY;
    struct trail components = trail_member(NULL, STR("components"));
    struct trail schemas = trail_member(&components, STR("schemas"));
    struct trail here = trail_member(&schemas, component->name);
    enum err     e = compile_schema(compiler, &here, component->source, depth, &component->schema);
    if (e) return e;
    component->state = COMPONENT_DONE;
    return ERR_OK;
}

/* A reference stands for its target; beside it only annotations and another default may be. */
static enum err compile_reference(struct draft *draft, struct str reference)
{
    static const struct compile_key keys[] = {
        { "$ref", JSON_STRING, true },
        { "title", JSON_STRING, false },
        { "description", JSON_STRING, false },
        { "example", ANY_JSON_TYPE, false },
        { "examples", JSON_ARRAY, false },
        { "default", ANY_JSON_TYPE, false },
        { NULL, JSON_NULL, false },
    };
    struct compiler *compiler = draft->compiler;
    enum err         e = compile_keys(compiler, draft->trail, draft->source, keys);
    if (e) return e;
    struct str prefix = STR("#/components/schemas/");
    if (!str_starts_with(reference, prefix))
        return compile_refuse(compiler, draft->trail, "$ref must begin with %.*s", STR_ARG(prefix));
    struct component_schema *component =
        compile_find_component(compiler->contract, str_skip(reference, prefix.len));
    if (component == NULL) return compile_refuse(compiler, draft->trail, "$ref leads nowhere");
    e = compile_component(compiler, component, draft->trail, draft->depth + 1);
    if (e) return e;

    *draft->schema = *component->schema;
    draft->schema->height++; /* so that a chain of references has an end, too */
    json_t *preset = json_object_get(draft->source, "default");
    if (preset) draft->schema->preset = compile_keep(compiler, preset);
    return check_whole(draft);
}

enum err compile_schema(struct compiler *compiler, const struct trail *trail, json_t *value,
                        int depth, const struct schema **ret_schema)
{
    if (depth >= CONTRACT_SCHEMA_DEPTH_MAX)
        return compile_refuse(compiler, trail, "schemas nest deeper than %d",
                              CONTRACT_SCHEMA_DEPTH_MAX);
    struct draft draft = { .compiler = compiler,
                           .trail = trail,
                           .source = value,
                           .depth = depth,
                           .schema = schema_new(compiler->arena) };
    struct str   reference = compile_text(value, "$ref");
    enum err e = reference.data ? compile_reference(&draft, reference) : compile_keywords(&draft);
    if (e) return e;
    *ret_schema = draft.schema;
    return ERR_OK;
}

static int component_order(const void *a, const void *b)
{
    const struct component_schema *left = a, *right = b;
    return str_compare(left->name, right->name);
}

struct component_schema *compile_find_component(const struct contract *contract, struct str name)
{
    struct component_schema key = { .name = name };
    if (contract->schemas_count == 0) return NULL;
    return bsearch(&key, contract->schemas, (size_t)contract->schemas_count, sizeof(key),
                   component_order);
}

enum err compile_component_schemas(struct compiler *compiler)
{
    struct contract *contract = compiler->contract;
    json_t          *sources = json_object_get(compiler->components, "schemas");
    size_t           count = json_object_size(sources);
    struct trail     components = trail_member(NULL, STR("components"));
    struct trail     trail = trail_member(&components, STR("schemas"));
    if (count > COMPONENT_SCHEMAS_MAX)
        return compile_refuse(compiler, &trail, "more than %d schemas", COMPONENT_SCHEMAS_MAX);
    contract->schemas = NEW(compiler->arena, struct component_schema, count);
    const char *name;
    size_t      name_len;
    json_t     *source;
    json_object_keylen_foreach(sources, name, name_len, source)
    {
        contract->schemas[contract->schemas_count++] = (struct component_schema){
            .name = str_copy(compiler->arena, (struct str){ name, name_len }), .source = source
        };
    }
    qsort(contract->schemas, count, sizeof(*contract->schemas), component_order);
    for (size_t i = 0; i < count; i++) {
        enum err e = compile_component(compiler, &contract->schemas[i], &trail, 0);
        if (e) return e;
    }
    return ERR_OK;
}
