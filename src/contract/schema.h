/* A compiled schema, seen from inside the engine. Everything in it is owned by the contract's
 * arena. */
#ifndef FIRSTHAND_CONTRACT_SCHEMA_H
#define FIRSTHAND_CONTRACT_SCHEMA_H

#include "base/json_in.h"
#include "contract/contract.h"
#include "contract/trail.h"

enum schema_type {
    TYPE_NULL,
    TYPE_BOOLEAN,
    TYPE_INTEGER,
    TYPE_NUMBER,
    TYPE_STRING,
    TYPE_ARRAY,
    TYPE_OBJECT,
    SCHEMA_TYPE__COUNT
};

enum { SCHEMA_TYPES_ALL = BIT(SCHEMA_TYPE__COUNT) - 1 };

enum schema_format { FORMAT_NONE, FORMAT_URI, FORMAT_DATE_TIME, SCHEMA_FORMAT__COUNT };

struct schema_member {
    struct str           name;
    const struct schema *schema; /* NULL: only required, nothing is said about its value */
    bool                 is_required;
};

struct schema {
    unsigned           types;   /* set of BIT(enum schema_type); 0 = no type keyword */
    unsigned           accepts; /* the types a value may have after all keywords; never 0 */
    enum schema_format format;
    bool               is_open; /* says nothing beyond its type */

    const json_t *constant; /* const; NULL = none. Always a scalar */
    const json_t *options;  /* enum: a non-empty array of scalars; NULL = none */

    const struct schema *const *branches; /* anyOf */
    int                         branches_count;
    bool                        branches_are_constants;

    const json_t *minimum, *maximum; /* numbers; NULL = none */

    /* Counts: the smallest 0, the largest INT64_MAX where the document says nothing. */
    int64_t length_min, length_max; /* Unicode code points */
    int64_t items_min, items_max;
    int64_t members_max;

    const struct schema        *items;        /* NULL = anything */
    const struct schema        *every_member; /* patternProperties "^(.*)$"; NULL = anything */
    const struct schema_member *members;
    int                         members_count;

    const json_t *preset; /* default; NULL = none */

    int height; /* of the tree below, references followed; 1 for a leaf */
    int weight; /* nodes of that tree */
};

const char *schema_type_name(enum schema_type type); /* "integer" */

/* The types a value has: 3 is integer and number, 3.5 number only. */
unsigned schema_types_of(const json_t *value);

/* Is the text a value of the format? */
bool schema_format_holds(enum schema_format format, struct str text);

/* <0, 0, >0 as for the mathematical values of two JSON numbers. */
int schema_compare_numbers(const json_t *a, const json_t *b);

/* Only the verdict, at the first fault. */
bool schema_accepts(const struct schema *schema, const json_t *value);

/* schema_check for a value that stands at trail: appends faults, leaves code and slug alone.
 * true when there were none. */
bool schema_check_at(const struct schema *schema, struct arena *arena, const struct trail *trail,
                     const json_t *value, struct error *error);

/* "a string or null", "\"open\", \"closed\"": for messages. Cut, owned by the arena. */
struct str schema_types_text(struct arena *arena, unsigned types);
struct str schema_scalar_text(struct arena *arena, const json_t *scalar);
struct str schema_options_text(struct arena *arena, const struct schema *schema);

#endif
