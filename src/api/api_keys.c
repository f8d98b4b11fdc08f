#include "api/api.h"
#include "api/listing.h"
#include "base/num.h"
#include "base/time_text.h"
#include "domain/render.h"

static unsigned in_scopes(const json_t *names)
{
    unsigned scopes = 0;
    for (size_t i = 0; i < json_array_size(names); i++) {
        enum scope scope;
        CHECK(scope_parse(str_of(json_string_value(json_array_get(names, i))), &scope));
        scopes |= BIT(scope);
    }
    return scopes;
}

/* The contract only says "string": a time that does not parse is a fault of the body. Never 0,
 * which is none: what is past is past. */
static enum err in_expiry(struct call *call, const json_t *body, int64_t *ret_expires_ms)
{
    struct str text = in_text(body, "expires_at", call->arena);
    int64_t    expires_ms;
    *ret_expires_ms = 0;
    if (text.data == NULL) return ERR_OK;
    if (time_parse(text, &expires_ms)) {
        *ret_expires_ms = num_max(1, expires_ms);
        return ERR_OK;
    }
    error_add_fault(&call->error, call->arena, STR("expires_at"), "format",
                    "must be an RFC 3339 date-time");
    return FAIL_FAULTS(&call->error, call->arena, ERR_UNPROCESSABLE, "body_invalid");
}

static enum err create_key(struct call *call, const struct request *request, struct reply *reply)
{
    const json_t      *body = request->body;
    struct str         environment = in_text(body, "environment", call->arena);
    struct key_request asked = {
        .name = in_text(body, "name", call->arena),
        .scopes = in_scopes(json_object_get(body, "scopes")),
        .environment = str_eq(environment, STR("live")) ? ENVIRONMENT_LIVE : ENVIRONMENT_TEST,
    };
    struct api_key key;
    enum err       e = in_expiry(call, body, &asked.expires_ms);
    if (e) return e;
    e = api_key_create(call, &call->actor.org_id, &asked, &key);
    if (e) return e;
    reply->status = 201;
    reply->resource_id = str_copy(call->arena, id_str(&key.id));
    reply->carries_secret = true;
    render_new_key(&reply->out, NULL, &key);
    return ERR_OK;
}

static enum err list_keys(struct call *call, const struct request *request, struct reply *reply)
{
    struct listing listing;
    enum err e = listing_open(call, request, page_listing(call, "keys"), ID_API_KEY, &listing);
    if (e) return e;
    struct api_key    *keys = NEW(call->arena, struct api_key, listing_rows(&listing));
    struct page_search search;
    e = api_key_list(call, &listing.page.before, listing_rows(&listing), keys, &search);
    if (e) return e;
    int shown = listing_shown(&listing, search.count);
    reply_list_begin(reply);
    for (int i = 0; i < shown; i++)
        render_key(&reply->out, NULL, &keys[i]);
    reply_list_end(reply, listing_search_cursor(call, &listing, &search,
                                                &keys[listing_last(&listing, search.count)].id));
    return ERR_OK;
}

static enum err rotate_key(struct call *call, const struct request *request, struct reply *reply)
{
    struct api_key key;
    int64_t        old_ends_ms;
    enum err       e = api_key_rotate(call, request_path(request, "key_id"), &key, &old_ends_ms);
    if (e) return e;
    reply->carries_secret = true;
    out_object(&reply->out, NULL);
    render_new_key(&reply->out, "new_key", &key);
    out_time(&reply->out, "old_key_expires_at", old_ends_ms);
    out_close(&reply->out);
    return ERR_OK;
}

static enum err revoke_key(struct call *call, const struct request *request, struct reply *reply)
{
    reply->status = 204;
    return api_key_revoke(call, request_path(request, "key_id"));
}

const struct binding keys_bindings[] = {
    { .operation_id = "createApiKey", .handle = create_key },
    { .operation_id = "listApiKeys", .handle = list_keys },
    { .operation_id = "rotateApiKey", .handle = rotate_key },
    { .operation_id = "revokeApiKey", .handle = revoke_key },
    { 0 },
};
