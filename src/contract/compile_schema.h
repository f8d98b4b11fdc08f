/* The parts of the schema compiler: compile_schema.c puts a schema together, compile_keyword.c
 * reads its keywords. */
#ifndef FIRSTHAND_CONTRACT_COMPILE_SCHEMA_H
#define FIRSTHAND_CONTRACT_COMPILE_SCHEMA_H

#include "contract/compile.h"

/* A schema under way. */
struct draft {
    struct compiler    *compiler;
    const struct trail *trail; /* of the schema */
    json_t             *source;
    int                 depth; /* schemas above it, references counted */
    struct schema      *schema;
};

/* Refuse unknown keywords and read the others, all but properties and required. */
MUST_USE enum err draft_read_keywords(struct draft *draft);

#endif
