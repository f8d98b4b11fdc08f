#include "domain/sign_up.h"

#include "domain/credits.h"
#include "domain/organisation.h"

enum err sign_up_check_open(struct call *call)
{
    if (str_eq(call->config->signup, STR("open"))) return ERR_OK;
    return FAIL(&call->error, ERR_FORBIDDEN, "signup_closed",
                "the operator of this server opens organizations");
}

static enum err make_keys(struct call *call, struct sign_up *sign_up)
{
    struct key_request request = {
        .name = STR("first key"),
        .scopes = SCOPES_ALL,
        .environment = ENVIRONMENT_LIVE,
    };
    enum err e = api_key_make(call, &sign_up->org_id, &request, &sign_up->live);
    if (e) return e;
    request.environment = ENVIRONMENT_TEST;
    return api_key_make(call, &sign_up->org_id, &request, &sign_up->test);
}

enum err sign_up(struct call *call, struct sign_up *sign_up)
{
    enum err e = sign_up_check_open(call);
    if (e) return e;
    e = organisation_create(call, sign_up->name, sign_up->email, 0, &sign_up->org_id);
    if (e) return e;
    sign_up->credits_cents = call->config->signup_credit_cents;
    if (sign_up->credits_cents > 0) {
        e = credits_grant(call, &sign_up->org_id, ENVIRONMENT_LIVE, TRANSFER_FREE_TIER,
                          sign_up->credits_cents, STR_NONE, STR("Sign-up credit"));
        if (e) return e;
    }
    return make_keys(call, sign_up);
}
