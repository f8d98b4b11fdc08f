/* Files compiled into the binary (tools/embed): the contract, migrations, pages, templates. */
#ifndef FIRSTHAND_PLATFORM_EMBEDDED_H
#define FIRSTHAND_PLATFORM_EMBEDDED_H

#include <stddef.h>

struct embedded_file {
    const char *name; /* base name, such as "openapi.json"; NULL ends the table */
    const char *data; /* followed by a NUL that size_bytes does not count */
    size_t      size_bytes;
};

/* Sorted by name. */
extern const struct embedded_file embedded_files[];

#endif
