/* The contract engine: an OpenAPI 3.1 document compiled once into a route table and validators.
 *
 * It knows the keywords below and refuses a document with any other, so nothing that a document
 * demands is silently not checked.
 *
 *   schema     type (name or list), const, enum (scalars only), anyOf, required, properties,
 *              patternProperties (only "^(.*)$": every name), maxProperties, items, minItems,
 *              maxItems, minimum, maximum, minLength, maxLength (Unicode code points), format (uri,
 *              date-time), default, $ref to #/components/schemas/… (beside it only annotations and
 *              default); and the annotations title, description, example, examples
 *   parameter  name, in (path, query, header), required, schema (one scalar type; {} is text; of a
 *              path parameter nothing beyond "string"), description, deprecated, example, examples
 *   operation  operationId, summary, description, tags, deprecated, externalDocs, parameters,
 *              requestBody, responses, security, x-scope, x-access, x-body-limit, x-idempotent,
 *              x-audit, x-setting
 *   path       the methods, parameters shared by them, summary, description
 *   body       content, required, description; of a media type schema, example, examples
 *   response   description, content, headers, links
 *   header     schema, required, description, deprecated, example, examples
 *   components schemas, parameters, requestBodies, responses, headers; and, not looked into,
 *              securitySchemes, examples, links
 *   document   openapi ("3.1.x"), info, paths, components, security; and, not looked into, servers,
 *              tags, externalDocs
 *
 * parameters, requestBodies, responses and headers may also be references into components. Schemas
 * that contain themselves, nest deeper than CONTRACT_SCHEMA_DEPTH_MAX (a $ref counts as a step) or
 * weigh too much are refused, which bounds the stack and the work of every check.
 *
 * The document is immutable after compilation and may be read by any number of threads. */
#ifndef FIRSTHAND_CONTRACT_CONTRACT_H
#define FIRSTHAND_CONTRACT_CONTRACT_H

#include "base/error.h"

#include <jansson.h>

enum {
    CONTRACT_OPERATIONS_MAX = 256,
    CONTRACT_PARAMETERS_MAX = 16, /* of one operation */
    CONTRACT_PATH_PARAMETERS_MAX = 4,
    CONTRACT_SCHEMA_DEPTH_MAX = 32,
};

struct contract;
struct contract_response;
struct schema;

enum contract_access {
    ACCESS_READ,     /* inline, on a read-only connection */
    ACCESS_WRITE,    /* one transaction of the writer */
    ACCESS_EXTERNAL, /* speaks to something slow outside a transaction */
    ACCESS_STREAM,   /* takes its body piece by piece */
};

enum contract_security {
    SECURITY_NONE,    /* security: []; without the key the document's own security holds */
    SECURITY_API_KEY, /* BearerAuth */
    SECURITY_WORKER,  /* WorkerAuth */
};

enum contract_place { PLACE_PATH, PLACE_QUERY, PLACE_HEADER };

struct contract_parameter {
    struct str           name;
    enum contract_place  place;
    bool                 is_required;
    const struct schema *schema;
};

struct contract_operation {
    struct str             operation_id;
    struct str             method; /* "GET" */
    struct str             path;   /* "/v1/jobs/{job_id}" */
    struct str             summary;
    struct str             scope;  /* x-scope; absent = any valid credential */
    enum contract_access   access; /* x-access; default read for GET, write for others */
    enum contract_security security;
    int64_t                body_bytes_max; /* x-body-limit; default CONTRACT_BODY_BYTES_DEFAULT */
    bool                   is_idempotent;  /* x-idempotent */
    struct str             audit_action;   /* x-audit; absent = nothing is noted */
    struct str             setting;        /* x-setting: it answers only where that is on */
    bool                   has_body;
    bool                   is_body_required;
    bool                   has_json_body; /* application/json is among the body's media types */
    const struct schema   *body;          /* NULL when the body is not JSON */
    int                    parameters_count;
    const struct contract_parameter *parameters;
    int                              responses_count;
    const struct contract_response  *responses; /* ask contract_response */
    int index; /* position in the table: 0 … contract_operations_count - 1 */
};

static const int64_t CONTRACT_BODY_BYTES_DEFAULT = 1 << 20;

/* Compile. Everything is owned by the arena; document is the caller's and not needed any more.
 * settings_on: the names of those that are, up to a NULL. An operation whose x-setting is not among
 * them is compiled, and no request matches it. ERR_INVALID "contract_invalid" with the JSON pointer
 * and the reason in the detail. */
MUST_USE enum err contract_compile(struct arena *arena, struct str document,
                                   const char *const *settings_on, struct error *error,
                                   const struct contract **ret_contract);

int                              contract_operations_count(const struct contract *contract);
const struct contract_operation *contract_operation_at(const struct contract *contract, int index);
const struct contract_operation *contract_find(const struct contract *contract,
                                               struct str operation_id); /* NULL when absent */

/* The JSON schema of a response: of its very status, else of its class ("4XX"), else of "default".
 * NULL when the status is undeclared or its response holds no JSON. */
const struct schema *contract_response(const struct contract_operation *operation, int status);

struct contract_match {
    const struct contract_operation *operation;
    int                              path_values_count;
    struct str                       path_names[CONTRACT_PATH_PARAMETERS_MAX];
    struct str path_values[CONTRACT_PATH_PARAMETERS_MAX]; /* percent-decoded, in the arena */
};

/* Find the operation for a request. HEAD matches GET when the path declares no HEAD.
 * A literal segment wins over a parameter, whatever the method: the path is decided first; an empty
 * segment matches nothing; a trailing slash is another path; a path that does not percent-decode to
 * valid UTF-8 without NUL is not found. ERR_NOT_FOUND "route_not_found"; ERR_METHOD
 * "method_not_allowed": *ret_allow is then the value for the Allow header, owned by the arena (HEAD
 * included wherever GET is). */
MUST_USE enum err contract_match(const struct contract *contract, struct arena *arena,
                                 struct str method, struct str path, struct error *error,
                                 struct contract_match *ret_match, struct str *ret_allow);

/* One query or header parameter as it came; value absent = it did not come. */
struct contract_value {
    const struct contract_parameter *parameter;
    struct str                       text; /* decoded */
    int64_t integer; /* parameters of type integer: the value, or the schema's default */
    bool    is_present;
};

/* Parse the query and check every query and header parameter the operation declares; unknown query
 * parameters are ignored, a declared one given twice is a fault. Values appear in the order of
 * operation->parameters, defaults filled in (an integer's in integer, a string's in text,
 * is_present stays false); those of path parameters stay empty. ret_values has room for
 * operation->parameters_count of them, error holds no faults yet. header(context, name) yields a
 * header or STR_NONE. ERR_INVALID "invalid_parameters" with one fault per bad one: field = the
 * parameter's name, code = required, duplicate, encoding, or as in schema_check. */
MUST_USE enum err contract_check_parameters(
    const struct contract_operation *operation, struct arena *arena, struct str query,
    struct str (*header)(const void *context, const char *name), const void *context,
    struct error *error, struct contract_value *ret_values);

/* Validate a value. ERR_UNPROCESSABLE "body_invalid" with one fault per problem, all of them (up to
 * ERROR_FAULTS_COUNT_MAX), depth first in the document's order: field is a path such as
 * "accepted_formats[2]" or "metadata.colour" (NULL for the root), code the failed keyword
 * (required, type, const, enum, anyOf, minimum, …; a failed anyOf is one fault, code "enum" when
 * all its branches are consts). A missing required member is reported at the member's own path. 3.0
 * is an integer. Unknown members are ignored. Never recurses deeper than the value or the schema.
 */
MUST_USE enum err schema_check(const struct schema *schema, struct arena *arena,
                               const json_t *value, struct error *error);

/* A schema of components, by name; NULL when absent. */
const struct schema *contract_schema(const struct contract *contract, struct str name);

#endif
