#include "api/listing.h"

#include <assert.h>

enum { ROW_REST_BYTES_MAX = 4 << 10 }; /* of a row, what is not long text */
static_assert(PAGE_TEXT_BYTES_MAX + PAGE_ROWS_MAX * ROW_REST_BYTES_MAX < REPLY_BYTES_MAX,
              "every page fits into a reply");

enum err listing_open(struct call *call, const struct request *request, struct str name,
                      enum id_kind kind, struct listing *ret_listing)
{
    ret_listing->name = name;
    return page_open(call, name, request_text(request, "cursor"),
                     request_int(request, "limit", PAGE_ROWS_DEFAULT), kind, &ret_listing->page);
}

enum err listing_open_of_job(struct call *call, const struct request *request, const char *name,
                             enum id_kind kind, struct job *ret_job, struct listing *ret_listing)
{
    struct str job_id = request_path(request, "job_id");
    struct str listing_name = str_format(call->arena, "%s:%.*s", name, STR_ARG(job_id));
    enum err   e = listing_open(call, request, listing_name, kind, ret_listing);
    if (e) return e;
    return job_get(call, job_id, ret_job);
}

enum err listing_refuse_name(struct call *call, struct str filter, const char *const names[],
                             int count)
{
    struct buf list;
    buf_init(&list, call->arena, ERROR_DETAIL_BYTES_MAX);
    for (int i = 0; i < count; i++)
        buf_fmt(&list, "%s\"%s\"", i > 0 ? ", " : "", names[i]);
    error_add_fault(&call->error, call->arena, filter, "enum", "must be one of %.*s",
                    STR_ARG(buf_str(&list)));
    return FAIL_FAULTS(&call->error, call->arena, ERR_INVALID, "invalid_parameters");
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

struct str listing_search_cursor(struct call *call, const struct listing *listing,
                                 const struct page_search *search, const struct id *last)
{
    if (search->count <= listing->page.rows_max && page_search_is_cut(search))
        return page_cursor(call, listing->name, &search->last_seen, 0);
    return listing_cursor(call, listing, search->count, last, 0);
}
