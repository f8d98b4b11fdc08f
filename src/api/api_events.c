#include "api/api.h"
#include "api/listing.h"
#include "domain/occurrence.h"
#include "domain/render.h"

/* --- events of endpoints --- */

static enum err refuse_type(struct call *call)
{
    const char *names[EVENT_TYPE__COUNT];
    for (int i = 0; i < EVENT_TYPE__COUNT; i++)
        names[i] = event_type_name((enum event_type)i);
    return listing_refuse_name(call, STR("event_type"), names, EVENT_TYPE__COUNT);
}

/* An endpoint of the actor's, also one that is deleted: its events are there still. */
static enum err read_filter(struct call *call, const struct request *request,
                            struct webhook_event_filter *ret_filter)
{
    struct webhook_event_filter filter = { .state = EVENT_STATE__COUNT, .type = EVENT_TYPE__COUNT };
    struct str                  status = request_text(request, "status");
    struct str                  type = request_text(request, "event_type");
    struct str                  endpoint_id = request_text(request, "endpoint_id");
    struct webhook_endpoint     endpoint;
    if (status.data) CHECK(event_state_parse(status, &filter.state));
    if (type.data && !event_type_parse(type, &filter.type)) return refuse_type(call);
    if (endpoint_id.data) {
        enum err e = webhook_endpoint_get_kept(call, endpoint_id, &endpoint);
        if (e) return e;
        filter.endpoint_id = endpoint.id;
    }
    *ret_filter = filter;
    return ERR_OK;
}

static enum err list_webhook_events(struct call *call, const struct request *request,
                                    struct reply *reply)
{
    struct listing              listing;
    struct webhook_event_filter filter;
    struct page_search          search;
    enum err                    e =
        listing_open(call, request, page_listing(call, "webhook_events"), ID_EVENT, &listing);
    if (e) return e;
    e = read_filter(call, request, &filter);
    if (e) return e;
    filter.before = listing.page.before;
    struct webhook_event *rows = NEW(call->arena, struct webhook_event, listing_rows(&listing));
    e = webhook_event_list(call, &filter, listing_rows(&listing), rows, &search);
    if (e) return e;
    int shown = listing_shown(&listing, search.count);
    reply_list_begin(reply);
    for (int i = 0; i < shown; i++)
        render_webhook_event(call, &reply->out, NULL, &rows[i]);
    const struct id *last = &rows[listing_last(&listing, search.count)].id;
    reply_list_end(reply, listing_search_cursor(call, &listing, &search, last));
    return ERR_OK;
}

static enum err get_webhook_event(struct call *call, const struct request *request,
                                  struct reply *reply)
{
    struct webhook_event event;
    enum err             e = webhook_event_get(call, request_path(request, "event_id"), &event);
    if (e) return e;
    render_webhook_event(call, &reply->out, NULL, &event);
    return ERR_OK;
}

static enum err replay_webhook_event(struct call *call, const struct request *request,
                                     struct reply *reply)
{
    struct webhook_event event;
    enum err             e = webhook_event_replay(call, request_path(request, "event_id"), &event);
    if (e) return e;
    reply->status = 202;
    render_webhook_event(call, &reply->out, NULL, &event);
    return ERR_OK;
}

static enum err list_webhook_attempts(struct call *call, const struct request *request,
                                      struct reply *reply)
{
    struct str           event_id = request_path(request, "event_id");
    struct str           name = str_format(call->arena, "attempts:%.*s", STR_ARG(event_id));
    struct listing       listing;
    struct webhook_event event;
    int                  count;
    enum err             e = listing_open(call, request, name, ID_EVENT, &listing);
    if (e) return e;
    e = webhook_event_get(call, event_id, &event);
    if (e) return e;
    int                     rows_max = listing_rows(&listing);
    struct webhook_attempt *rows = NEW(call->arena, struct webhook_attempt, rows_max);
    e = webhook_attempt_list(call, &event.id, listing.page.key, rows_max, rows, &count);
    if (e) return e;
    int shown = listing_shown(&listing, count);
    reply_list_begin(reply);
    for (int i = 0; i < shown; i++)
        render_webhook_attempt(call, &reply->out, NULL, &event.id, &rows[i]);
    int64_t last = rows[listing_last(&listing, count)].number;
    reply_list_end(reply, listing_cursor(call, &listing, count, &event.id, last));
    return ERR_OK;
}

/* --- occurrences --- */

static enum err read_after(struct call *call, const struct request *request, struct id *ret_after)
{
    struct str text = request_text(request, "after");
    if (text.data == NULL || id_parse(text, ID_OCCURRENCE, ret_after)) return ERR_OK;
    error_add_fault(&call->error, call->arena, STR("after"), "format",
                    "must be the id of an event, occ_…");
    return FAIL_FAULTS(&call->error, call->arena, ERR_INVALID, "invalid_parameters");
}

static enum err list_occurrences(struct call *call, const struct request *request,
                                 struct reply *reply)
{
    struct listing           listing;
    struct occurrence_filter filter = { .type = EVENT_TYPE__COUNT };
    struct str               type = request_text(request, "type");
    struct page_search       search;
    enum err e = listing_open(call, request, page_listing(call, "events"), ID_OCCURRENCE, &listing);
    if (e) return e;
    e = read_after(call, request, &filter.after);
    if (e) return e;
    if (type.data) CHECK(event_type_parse(type, &filter.type));
    filter.before = listing.page.before;
    struct occurrence *rows = NEW(call->arena, struct occurrence, listing_rows(&listing));
    e = occurrence_list(call, &filter, listing_rows(&listing), rows, &search);
    if (e) return e;
    int shown = listing_shown(&listing, search.count);
    reply_list_begin(reply);
    for (int i = 0; i < shown; i++)
        event_render_body(call, &reply->out, NULL, &rows[i].id, &rows[i]);
    const struct id *last = &rows[listing_last(&listing, search.count)].id;
    reply_list_end(reply, listing_search_cursor(call, &listing, &search, last));
    return ERR_OK;
}

static enum err get_occurrence(struct call *call, const struct request *request,
                               struct reply *reply)
{
    struct occurrence occurrence;
    enum err          e = occurrence_get(call, request_path(request, "occurrence_id"), &occurrence);
    if (e) return e;
    event_render_body(call, &reply->out, NULL, &occurrence.id, &occurrence);
    return ERR_OK;
}

const struct binding events_bindings[] = {
    { .operation_id = "listWebhookEvents", .handle = list_webhook_events },
    { .operation_id = "getWebhookEvent", .handle = get_webhook_event },
    { .operation_id = "replayWebhookEvent", .handle = replay_webhook_event },
    { .operation_id = "listWebhookAttempts", .handle = list_webhook_attempts },
    { .operation_id = "listOccurrences", .handle = list_occurrences },
    { .operation_id = "getOccurrence", .handle = get_occurrence },
    { 0 },
};
