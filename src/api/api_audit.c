#include "api/api.h"
#include "api/listing.h"
#include "base/time_text.h"
#include "domain/audit_event.h"
#include "domain/render.h"

/* A date-time parameter as the id of a row written then; the contract has checked its form. */
static struct id id_at(const struct request *request, const char *name)
{
    struct str text = request_text(request, name);
    int64_t    time_ms;
    if (text.data == NULL || !time_parse(text, &time_ms)) return (struct id){ 0 };
    return id_floor(ID_AUDIT_EVENT, time_ms);
}

/* Where the page ends above: at the cursor, or at the filter's bound when that is older. */
static struct id upper_bound(const struct request *request, const struct page *page)
{
    struct id before = id_at(request, "created_before");
    if (id_is_none(&before)) return page->before;
    if (id_is_none(&page->before)) return before;
    return str_compare(id_str(&before), id_str(&page->before)) < 0 ? before : page->before;
}

static enum err list_events(struct call *call, const struct request *request, struct reply *reply)
{
    struct listing listing;
    enum err e = listing_open(call, request, page_listing(call, "audit"), ID_AUDIT_EVENT, &listing);
    if (e) return e;
    struct audit_filter filter = {
        .action = request_text(request, "action"),
        .from = id_at(request, "created_after"),
        .before = upper_bound(request, &listing.page),
    };
    struct audit_event *rows = NEW(call->arena, struct audit_event, listing_rows(&listing));
    struct page_search  search;
    e = audit_event_list(call, &filter, listing_rows(&listing), rows, &search);
    if (e) return e;
    int shown = listing_shown(&listing, search.count);
    reply_list_begin(reply);
    for (int i = 0; i < shown; i++)
        render_audit_event(&reply->out, NULL, &rows[i]);
    const struct id *last = &rows[listing_last(&listing, search.count)].id;
    reply_list_end(reply, listing_search_cursor(call, &listing, &search, last));
    return ERR_OK;
}

const struct binding audit_bindings[] = {
    { .operation_id = "listAuditEvents", .handle = list_events },
    { 0 },
};
