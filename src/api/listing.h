/* One page of a listing, from its parameters to its frame: what every list operation shares. */
#ifndef FIRSTHAND_API_LISTING_H
#define FIRSTHAND_API_LISTING_H

#include "api/api.h"
#include "domain/job.h"

struct listing {
    struct str  name; /* which the cursor is bound to */
    struct page page;
};

/* Read cursor and limit. name says what is listed and for whom; see page_listing. */
MUST_USE enum err listing_open(struct call *call, const struct request *request, struct str name,
                               enum id_kind kind, struct listing *ret_listing);

/* The same inside the job that the path names, which the caller must be allowed to see.
 * ERR_NOT_FOUND "job". */
MUST_USE enum err listing_open_of_job(struct call *call, const struct request *request,
                                      const char *name, enum id_kind kind, struct job *ret_job,
                                      struct listing *ret_listing);

/* ERR_INVALID "invalid_parameters": the filter is none of these names. */
MUST_USE enum err listing_refuse_name(struct call *call, struct str filter,
                                      const char *const names[], int count);

/* How many rows to ask the store for: one more than the page shows. */
int listing_rows(const struct listing *listing);

/* Of count rows found, how many the page shows. */
int listing_shown(const struct listing *listing, int count);

/* The index of the last row shown; 0 when there is none. */
int listing_last(const struct listing *listing, int count);

/* The cursor for the frame's end: absent unless more than the page shows was found. last is the id
 * of the last row shown. */
struct str listing_cursor(struct call *call, const struct listing *listing, int count,
                          const struct id *last, int64_t key);

/* The same after a search, which may end before the page is full: such a page goes on behind the
 * last row looked at, not the last it shows. */
struct str listing_search_cursor(struct call *call, const struct listing *listing,
                                 const struct page_search *search, const struct id *last);

#endif
