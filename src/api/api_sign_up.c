#include "api/api.h"
#include "domain/render.h"
#include "domain/sign_up.h"

#include <string.h>

enum err account_body_fault(struct call *call, enum err e)
{
    if (e != ERR_INVALID) return e;
    bool is_email = strcmp(call->error.slug, "bad_email") == 0;
    error_add_fault(&call->error, call->arena, is_email ? STR("email") : STR("name"), "format",
                    "%s", call->error.detail);
    return FAIL_FAULTS(&call->error, call->arena, ERR_UNPROCESSABLE, "body_invalid");
}

/* Nobody signs up with credentials, so that only the address tells who asks too often. */
static enum err admit_sign_up(struct exchange *exchange)
{
    struct call *call = &exchange->call;
    enum err     e = sign_up_check_open(call);
    if (e) return e;
    if (exchange_take_of_address(exchange, "signups", call->config->signups_per_minute))
        return ERR_OK;
    return FAIL(&call->error, ERR_LIMITED, "too_many_signups",
                "too many attempts to sign up from this address");
}

static enum err sign_up_organisation(struct call *call, const struct request *request,
                                     struct reply *reply)
{
    struct sign_up made = {
        .name = in_text(request->body, "name", call->arena),
        .email = in_text(request->body, "email", call->arena),
    };
    enum err e = account_body_fault(call, sign_up(call, &made));
    if (e) return e;
    reply->status = 201;
    reply->carries_secret = true;
    render_sign_up(&reply->out, NULL, &made);
    return ERR_OK;
}

const struct binding sign_up_bindings[] = {
    { .operation_id = "signUp",
      .handle = sign_up_organisation,
      .admit = admit_sign_up,
      .key_is_credential = true },
    { 0 },
};
