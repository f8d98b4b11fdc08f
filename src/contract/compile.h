/* The compiler of an OpenAPI document, seen from inside the engine: what its parts share. Each
 * compile_… reads one kind of object, refuses every key it does not know, and on success writes
 * its result. The result lives in the contract's arena, the document only until it is compiled. */
#ifndef FIRSTHAND_CONTRACT_COMPILE_H
#define FIRSTHAND_CONTRACT_COMPILE_H

#include "contract/schema.h"

enum {
    SEGMENTS_MAX = 16,             /* of a path */
    COMPONENT_SCHEMAS_MAX = 1024,  /* named ones */
    RESPONSES_MAX = 32,            /* of one operation */
    SCHEMA_MEMBERS_MAX = 256,      /* of one object schema */
    SCHEMA_BRANCHES_MAX = 64,      /* of one anyOf */
    SCHEMA_OPTIONS_MAX = 256,      /* of one enum */
    SCHEMA_WEIGHT_MAX = 1 << 14,   /* nodes of one schema, references followed */
    DOCUMENT_BYTES_MAX = 16 << 20, /* of text */
};

enum contract_method {
    METHOD_GET,
    METHOD_HEAD,
    METHOD_POST,
    METHOD_PUT,
    METHOD_PATCH,
    METHOD_DELETE,
    METHOD_OPTIONS,
    CONTRACT_METHOD__COUNT
};

struct segment {
    struct str text; /* the literal, or the parameter's name */
    bool       is_parameter;
};

struct route {
    struct str                       path; /* the template */
    int                              segments_count;
    struct segment                   segments[SEGMENTS_MAX];
    struct str                       allow; /* the value of the Allow header */
    int                              operations_count;
    const struct contract_operation *operations[CONTRACT_METHOD__COUNT];
};

enum component_state { COMPONENT_UNTOUCHED, COMPONENT_UNDER_WAY, COMPONENT_DONE };

struct component_schema {
    struct str           name;
    json_t              *source; /* gone with the document */
    enum component_state state;
    const struct schema *schema; /* once done */
};

struct contract {
    struct component_schema   *schemas; /* in order of their names */
    int                        schemas_count;
    struct contract_operation *operations; /* in the document's order */
    int                        operations_count;
    struct route              *routes; /* few segments first, literals before parameters */
    int                        routes_count;
};

struct contract_response {
    int                  status_low, status_high; /* 200 to 200; 400 to 499 for "4XX" */
    const struct schema *schema;                  /* NULL: no JSON */
};

struct compiler {
    struct arena          *arena;
    struct error          *error;
    const char *const     *settings_on;
    struct contract       *contract;
    json_t                *components; /* NULL = the document has none */
    bool                   has_security;
    enum contract_security security; /* the root's, if it has one */
};

/* ERR_INVALID "contract_invalid": "<pointer>: <reason>". */
PRINTF_LIKE(3, 4)
enum err compile_refuse(struct compiler *compiler, const struct trail *trail, const char *format,
                        ...);

/* A row for each key that an object may have; the table ends with a NULL name. */
struct compile_key {
    const char *name;
    int         type; /* a json_type; JSON_TRUE stands for either boolean */
    bool        is_required;
};
enum { ANY_JSON_TYPE = -1 };

/* Refuse what is no object, has a key outside the table, a value of another type, or lacks one. */
MUST_USE enum err compile_keys(struct compiler *compiler, const struct trail *trail,
                               const json_t *value, const struct compile_key *keys);

/* The text of a member, borrowed from the document; absent when it is not there or no text. in_text
 * is for what the contract keeps. */
struct str compile_text(const json_t *object, const char *key);

/* A copy of a value, for the contract to keep. */
const json_t *compile_keep(struct compiler *compiler, const json_t *value);

/* Follow {"$ref": "#/components/<kind>/<name>"} once, moving value and trail to its target;
 * anything else stays. storage has room for the target's trail. */
struct compile_place {
    json_t             *value;
    const struct trail *trail;
    struct trail        storage[3];
};
MUST_USE enum err compile_follow(struct compiler *compiler, const char *kind, json_t *value,
                                 const struct trail *trail, struct compile_place *place);

/* depth: how many schemas stand above this one, references followed. */
MUST_USE enum err        compile_schema(struct compiler *compiler, const struct trail *trail,
                                        json_t *value, int depth, const struct schema **ret_schema);
MUST_USE enum err        compile_component_schemas(struct compiler *compiler);
struct component_schema *compile_find_component(const struct contract *contract, struct str name);

/* Append the parameters of a list; one that is there already with the same place and name stays
 * when may_repeat (the operation's wins over its path's) and is refused otherwise. */
MUST_USE enum err compile_parameters(struct compiler *compiler, const struct trail *trail,
                                     const json_t *list, bool may_repeat,
                                     struct contract_parameter *parameters, int *count);

MUST_USE enum err compile_request_body(struct compiler *compiler, const struct trail *trail,
                                       json_t *value, struct contract_operation *operation);
MUST_USE enum err compile_responses(struct compiler *compiler, const struct trail *trail,
                                    json_t *value, struct contract_operation *operation);

MUST_USE enum err compile_security(struct compiler *compiler, const struct trail *trail,
                                   const json_t *value, enum contract_security *ret_security);

/* One operation of a route; path_parameters is the path's own list or NULL. */
MUST_USE enum err compile_operation(struct compiler *compiler, const struct trail *trail,
                                    json_t *value, const json_t *path_parameters,
                                    const struct route *route, enum contract_method method,
                                    const struct contract_operation **ret_operation);

/* The template "/v1/jobs/{job_id}" cut into segments. */
MUST_USE enum err route_parse(struct compiler *compiler, const struct trail *trail, struct str path,
                              struct route *ret_route);
bool              route_has_parameter(const struct route *route, struct str name);

/* Put the routes in matching order and write their Allow values; refuses two of one shape. */
MUST_USE enum err route_arrange(struct compiler *compiler);

const char *contract_method_name(enum contract_method method); /* "GET" */

#endif
