/* Where in a JSON value a walk stands: a list of steps that grows down the stack, so a place costs
 * nothing until somebody has to name it. */
#ifndef FIRSTHAND_CONTRACT_TRAIL_H
#define FIRSTHAND_CONTRACT_TRAIL_H

#include "base/str.h"

struct trail {
    const struct trail *up;    /* NULL at the first step */
    struct str          name;  /* a member; absent = an element */
    size_t              index; /* of an element */
};

enum { TRAIL_NAME_BYTES_MAX = 64, TRAIL_FIELD_BYTES_MAX = 240, TRAIL_POINTER_BYTES_MAX = 120 };

struct trail trail_member(const struct trail *up, struct str name);
struct trail trail_element(const struct trail *up, size_t index);

/* "accepted_formats[2]", "metadata.colour"; absent for NULL, the root. Names may come from a
 * client: control characters become '?', each name and the whole are cut at the limits above. */
struct str trail_field(struct arena *arena, const struct trail *trail);

/* RFC 6901: "/paths/~1v1~1jobs/post"; empty for the root. Of a longer one the end is kept. */
struct str trail_pointer(struct arena *arena, const struct trail *trail);

#endif
