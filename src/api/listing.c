#include "api/listing.h"

enum err listing_open(struct call *call, const struct request *request, struct str name,
                      enum id_kind kind, struct listing *ret_listing)
{
    ret_listing->name = name;
    return page_open(call, name, request_text(request, "cursor"),
                     request_int(request, "limit", PAGE_ROWS_DEFAULT), kind, &ret_listing->page);
}

int listing_rows(const struct listing *listing)
{
    return listing->page.rows_max + 1;
}

int listing_shown(const struct listing *listing, int count)
{
    return count > listing->page.rows_max ? listing->page.rows_max : count;
}

int listing_last(const struct listing *listing, int count)
{
    int shown = listing_shown(listing, count);
    return shown > 0 ? shown - 1 : 0;
}

struct str listing_cursor(struct call *call, const struct listing *listing, int count,
                          const struct id *last, int64_t key)
{
    if (count <= listing->page.rows_max) return STR_NONE;
    return page_cursor(call, listing->name, last, key);
}
