/* Pages of a listing: newest first by id, continued by an opaque cursor that is bound to the
 * listing it came from. */
#ifndef FIRSTHAND_DOMAIN_PAGE_H
#define FIRSTHAND_DOMAIN_PAGE_H

#include "domain/call.h"

enum {
    PAGE_ROWS_MAX = 100,
    PAGE_ROWS_DEFAULT = 20,
    PAGE_SCAN_ROWS_MAX = 10000,
    PAGE_TEXT_BYTES_MAX =
        3 << 20, /* of the rows' long texts, as JSON, when there is more than one */
};

struct page {
    int       rows_max;
    struct id before; /* rows older than this; empty = from the newest */
    int64_t   key;    /* a second sort key that the listing put into its cursor; 0 without one */
};

/* Read a page's parameters. listing names what is listed and for whom, such as "jobs:org_…:live".
 * ERR_INVALID "invalid_parameters" with a fault for field "cursor" (code "cursor") when the cursor
 * is malformed, forged, or another listing's. */
MUST_USE enum err page_open(struct call *call, struct str listing, struct str cursor, int64_t limit,
                            enum id_kind kind, struct page *ret_page);

/* The cursor that continues after a row. Owned by the arena. */
struct str page_cursor(struct call *call, struct str listing, const struct id *last, int64_t key);

/* "NAME:org_…:live" for the actor's organisation, "NAME:wkr_…" for a worker. Owned by the arena. */
struct str page_listing(struct call *call, const char *name);

/* How a search for the rows of a page ended. It looks at no more than rows_max rows, or
 * PAGE_SCAN_ROWS_MAX where that is 0, and finds no more than PAGE_TEXT_BYTES_MAX of text; when one
 * of these bounds ended it, more may lie behind the last row it looked at. */
struct page_search {
    int       rows_max;
    int       count; /* rows found */
    int       seen_count;
    struct id last_seen; /* empty when it saw none */
    int64_t   last_key;  /* its second sort key; 0 without one */
    size_t    text_bytes;
    bool      is_full; /* a row was left to the next page for its length */
};

/* Is there room for a row with so much text? The first always has. When not, the search ends here,
 * before the row counts as seen. */
bool page_search_has_room(struct page_search *search, size_t text_bytes);

/* The search looks at a row. */
void page_search_saw(struct page_search *search, const struct id *id);

/* The rows found from this one on are left to the next page. last is the id of the one before. */
void page_search_end_before(struct page_search *search, int index, const struct id *last);

bool page_search_is_cut(const struct page_search *search);

#endif
