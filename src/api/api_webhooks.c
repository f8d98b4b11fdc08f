#include "api/api.h"
#include "api/listing.h"
#include "base/time_text.h"
#include "domain/render.h"

/* The contract has checked the names. Absent = all. */
static unsigned in_events(const json_t *body, unsigned when_absent)
{
    const json_t *names = json_object_get(body, "events");
    unsigned      events = 0;
    for (size_t i = 0; i < json_array_size(names); i++) {
        enum event_type type;
        CHECK(event_type_parse(json_text(json_array_get(names, i)), &type));
        events |= BIT(type);
    }
    return names ? events : when_absent;
}

/* Empty text is no description. */
static struct str in_description(struct call *call, const json_t *body)
{
    struct str text = in_text(body, "description", call->arena);
    return text.len ? text : STR_NONE;
}

static enum err create_endpoint(struct call *call, const struct request *request,
                                struct reply *reply)
{
    struct webhook_endpoint endpoint = {
        .url = in_text(request->body, "url", call->arena),
        .description = in_description(call, request->body),
        .events = in_events(request->body, EVENTS_ALL),
    };
    enum err e = webhook_endpoint_check_url(call, endpoint.url);
    if (e) return e;
    e = webhook_endpoint_create(call, &endpoint, &endpoint);
    if (e) return e;
    reply->status = 201;
    reply->resource_id = str_copy(call->arena, id_str(&endpoint.id));
    reply->carries_secret = true;
    render_new_webhook_endpoint(&reply->out, NULL, &endpoint);
    return ERR_OK;
}

static enum err list_endpoints(struct call *call, const struct request *request,
                               struct reply *reply)
{
    struct listing listing;
    enum err       e =
        listing_open(call, request, page_listing(call, "webhook_endpoints"), ID_ENDPOINT, &listing);
    if (e) return e;
    int                      rows_max = listing_rows(&listing), count;
    struct webhook_endpoint *rows = NEW(call->arena, struct webhook_endpoint, rows_max);
    e = webhook_endpoint_list(call, &listing.page.before, rows_max, rows, &count);
    if (e) return e;
    int shown = listing_shown(&listing, count);
    reply_list_begin(reply);
    for (int i = 0; i < shown; i++)
        render_webhook_endpoint(&reply->out, NULL, &rows[i]);
    reply_list_end(
        reply, listing_cursor(call, &listing, count, &rows[listing_last(&listing, count)].id, 0));
    return ERR_OK;
}

static enum err get_endpoint(struct call *call, const struct request *request, struct reply *reply)
{
    struct webhook_endpoint endpoint;
    enum err e = webhook_endpoint_get(call, request_path(request, "endpoint_id"), &endpoint);
    if (e) return e;
    render_webhook_endpoint(&reply->out, NULL, &endpoint);
    return ERR_OK;
}

/* What is sent changes, what is absent stays. */
static void in_changes(struct call *call, const json_t *body, struct webhook_endpoint *endpoint)
{
    if (in_has(body, "url")) endpoint->url = in_text(body, "url", call->arena);
    if (in_has(body, "description")) endpoint->description = in_description(call, body);
    endpoint->events = in_events(body, endpoint->events);
}

static enum err set_state(struct call *call, struct webhook_endpoint *endpoint, struct str state)
{
    if (str_eq(state, STR("active"))) return webhook_endpoint_enable(call, endpoint);
    if (str_eq(state, STR("disabled")))
        return webhook_endpoint_disable(call, endpoint, ENDPOINT_DISABLED_BY_REQUEST);
    return ERR_OK;
}

static enum err update_endpoint(struct call *call, const struct request *request,
                                struct reply *reply)
{
    const json_t           *body = request->body;
    struct webhook_endpoint endpoint;
    enum err                e = ERR_OK;
    if (in_has(body, "url"))
        e = webhook_endpoint_check_url(call, in_text(body, "url", call->arena));
    if (e) return e;
    e = webhook_endpoint_get(call, request_path(request, "endpoint_id"), &endpoint);
    if (e) return e;
    in_changes(call, body, &endpoint);
    e = webhook_endpoint_save(call, &endpoint);
    if (e) return e;
    e = set_state(call, &endpoint, in_text(body, "status", call->arena));
    if (e) return e;
    render_webhook_endpoint(&reply->out, NULL, &endpoint);
    return ERR_OK;
}

static enum err delete_endpoint(struct call *call, const struct request *request,
                                struct reply *reply)
{
    struct webhook_endpoint endpoint;
    enum err e = webhook_endpoint_get(call, request_path(request, "endpoint_id"), &endpoint);
    if (e) return e;
    reply->status = 204;
    return webhook_endpoint_delete(call, &endpoint);
}

static enum err rotate_secret(struct call *call, const struct request *request, struct reply *reply)
{
    struct webhook_endpoint endpoint;
    enum err e = webhook_endpoint_get(call, request_path(request, "endpoint_id"), &endpoint);
    if (e) return e;
    e = webhook_endpoint_rotate(call, &endpoint);
    if (e) return e;
    reply->carries_secret = true;
    out_object(&reply->out, NULL);
    out_text(&reply->out, "new_secret", endpoint.signing_secret);
    out_time(&reply->out, "old_secret_invalidates_at", endpoint.old_secret_ends_ms);
    out_close(&reply->out);
    return ERR_OK;
}

/* --- telling again --- */

static enum err in_range(struct call *call, const json_t *body, struct webhook_replay *replay)
{
    CHECK(time_parse(in_text(body, "since", call->arena), &replay->since_ms));
    CHECK(time_parse(in_text(body, "until", call->arena), &replay->until_ms));
    struct str status = in_text(body, "status", call->arena);
    replay->state = EVENT_STATE__COUNT;
    if (status.data) CHECK(event_state_parse(status, &replay->state));
    if (replay->since_ms < replay->until_ms) return ERR_OK;
    error_add_fault(&call->error, call->arena, STR("until"), "minimum", "must be after since");
    return FAIL_FAULTS(&call->error, call->arena, ERR_UNPROCESSABLE, "body_invalid");
}

static void render_replay(struct json_out *out, const struct id *endpoint_id, int replayed_count,
                          struct str next_cursor)
{
    out_object(out, NULL);
    out_text(out, "object", STR("webhook_replay"));
    out_text(out, "endpoint_id", id_str(endpoint_id));
    out_int(out, "replayed_count", replayed_count);
    out_bool(out, "has_more", next_cursor.data != NULL);
    out_text(out, "next_cursor", next_cursor);
    out_close(out);
}

static enum err replay_events(struct call *call, const struct request *request, struct reply *reply)
{
    struct webhook_endpoint endpoint;
    struct webhook_replay   replay = { 0 };
    struct str              endpoint_id = request_path(request, "endpoint_id");
    struct str              listing = str_format(call->arena, "replay:%.*s", STR_ARG(endpoint_id));
    struct str              cursor = in_text(request->body, "cursor", call->arena), next = STR_NONE;
    struct page             page;
    enum err e = page_open(call, listing, cursor, PAGE_ROWS_DEFAULT, ID_EVENT, &page);
    if (e) return e;
    e = in_range(call, request->body, &replay);
    if (e) return e;
    e = webhook_endpoint_get(call, endpoint_id, &endpoint);
    if (e) return e;
    replay.endpoint_id = endpoint.id;
    replay.after = page.before;
    struct id last;
    int       count;
    e = webhook_event_replay_range(call, &replay, &count, &last);
    if (e) return e;
    if (!id_is_none(&last)) next = page_cursor(call, listing, &last, 0);
    reply->status = 202;
    render_replay(&reply->out, &endpoint.id, count, next);
    return ERR_OK;
}

const struct binding webhooks_bindings[] = {
    { .operation_id = "createWebhookEndpoint", .handle = create_endpoint },
    { .operation_id = "listWebhookEndpoints", .handle = list_endpoints },
    { .operation_id = "getWebhookEndpoint", .handle = get_endpoint },
    { .operation_id = "updateWebhookEndpoint", .handle = update_endpoint },
    { .operation_id = "deleteWebhookEndpoint", .handle = delete_endpoint },
    { .operation_id = "rotateWebhookSecret", .handle = rotate_secret },
    { .operation_id = "replayWebhookEvents", .handle = replay_events },
    { 0 },
};
