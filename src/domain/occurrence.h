/* Reading occurrences: what happened in the actor's organisation and environment, whoever was told.
 */
#ifndef FIRSTHAND_DOMAIN_OCCURRENCE_H
#define FIRSTHAND_DOMAIN_OCCURRENCE_H

#include "domain/event.h"
#include "domain/page.h"

struct occurrence_filter {
    enum event_type type;   /* EVENT_TYPE__COUNT = any */
    struct id       before; /* older than it; empty = from the newest */
    struct id       after;  /* newer than it; empty = to the oldest */
};

/* ERR_NOT_FOUND "occurrence": unknown, malformed, or not the actor's. */
MUST_USE enum err occurrence_get(struct call *call, struct str id_text,
                                 struct occurrence *ret_occurrence);

/* The actor's that pass the filter, newest first, up to count. */
MUST_USE enum err occurrence_list(struct call *call, const struct occurrence_filter *filter,
                                  int count, struct occurrence *ret_rows,
                                  struct page_search *ret_search);

/* Fill in the row of that id, whoever's it is: of an event that was read, or a runner's.
 * ERR_NOT_FOUND "occurrence". */
MUST_USE enum err occurrence_load(struct call *call, const struct id *id,
                                  struct occurrence *ret_occurrence);

#endif
