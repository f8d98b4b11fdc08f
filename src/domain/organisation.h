/* Organisations: buyers, their settings per environment. */
#ifndef FIRSTHAND_DOMAIN_ORGANISATION_H
#define FIRSTHAND_DOMAIN_ORGANISATION_H

#include "domain/call.h"

static const int64_t ORGANISATION_TEST_GRANT_CENTS = 10000000;

struct settings {
    bool    has_fee;
    int64_t fee_ppm;
    bool    is_top_up_enabled;
    bool    has_top_up_threshold, has_top_up_amount;
    int64_t top_up_threshold_cents, top_up_amount_cents;
};

/* A new organisation with empty live credit (or credits_cents as a bonus) and the test grant.
 * ERR_INVALID "bad_name" | "bad_email" | "bad_credits", ERR_CONFLICT "email_taken". */
MUST_USE enum err organisation_create(struct call *call, struct str name, struct str email,
                                      int64_t credits_cents, struct id *ret_id);

/* The actor's settings; all absent when never set. */
MUST_USE enum err settings_get(struct call *call, struct settings *ret_settings);

/* Those of any organisation. */
MUST_USE enum err settings_get_of(struct call *call, const struct id *org_id,
                                  enum environment environment, struct settings *ret_settings);

/* Switch auto top-up off. */
MUST_USE enum err settings_end_top_up(struct call *call, const struct id *org_id,
                                      enum environment environment);

/* What a person calls it. ERR_NOT_FOUND "organization". */
MUST_USE enum err organisation_name(struct call *call, const struct id *org_id,
                                    struct str *ret_name);

/* May a request name the fee at all? ERR_FORBIDDEN "platform_fee_locked" when the operator fixed
 * it. */
MUST_USE enum err settings_may_set_fee(struct call *call);

/* Store them. ERR_UNPROCESSABLE "body_invalid" when top-up is enabled without threshold and amount.
 */
MUST_USE enum err settings_put(struct call *call, const struct settings *settings);

/* The share that a job posted now gets: the organisation's or the operator's default. */
MUST_USE enum err organisation_fee_ppm(struct call *call, const struct id *org_id,
                                       enum environment environment, int64_t *ret_ppm);

#endif
