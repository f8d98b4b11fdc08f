#include "api/api.h"
#include "base/num.h"
#include "domain/render.h"

static enum err get_settings(struct call *call, const struct request *request, struct reply *reply)
{
    (void)request;
    struct settings settings;
    enum err        e = settings_get(call, &settings);
    if (e) return e;
    render_settings(&reply->out, NULL, &settings);
    return ERR_OK;
}

/* What is sent changes, null clears, what is absent stays. */
static void in_optional(const json_t *body, const char *key, bool *has_value, int64_t *value)
{
    if (in_has(body, key)) {
        *has_value = true;
        *value = in_int(body, key, 0);
    } else if (in_is_null(body, key)) {
        *has_value = false;
        *value = 0;
    }
}

static enum err in_fee(struct call *call, const json_t *body, struct settings *settings)
{
    const json_t *fee = json_object_get(body, "default_platform_fee_pct");
    if (fee == NULL) return ERR_OK;
    settings->has_fee = json_is_number(fee);
    settings->fee_ppm = (int64_t)(json_number_value(fee) * PPM_ONE + 0.5); /* of null: 0 */
    return settings_may_set_fee(call);
}

static enum err update_settings(struct call *call, const struct request *request,
                                struct reply *reply)
{
    struct settings settings;
    enum err        e = settings_get(call, &settings);
    if (e) return e;
    e = in_fee(call, request->body, &settings);
    if (e) return e;
    settings.is_top_up_enabled =
        in_bool(request->body, "auto_top_up_enabled", settings.is_top_up_enabled);
    in_optional(request->body, "auto_top_up_threshold_cents", &settings.has_top_up_threshold,
                &settings.top_up_threshold_cents);
    in_optional(request->body, "auto_top_up_amount_cents", &settings.has_top_up_amount,
                &settings.top_up_amount_cents);
    e = settings_put(call, &settings);
    if (e) return e;
    render_settings(&reply->out, NULL, &settings);
    return ERR_OK;
}

const struct binding organisation_bindings[] = {
    { .operation_id = "getOrganizationSettings", .handle = get_settings },
    { .operation_id = "updateOrganizationSettings", .handle = update_settings },
    { 0 },
};
