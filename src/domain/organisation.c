#include "domain/organisation.h"

#include "domain/account.h"
#include "domain/audit_event.h"
#include "domain/credits.h"
#include "domain/low_balance.h"

static enum err insert_organisation(struct call *call, const struct id *id, struct str name,
                                    struct str email)
{
    int64_t      changes = 0;
    struct stmt *q = db_query(call->db, "INSERT INTO organisations (id, name, email, created_ms)"
                                        " VALUES ($1, $2, $3, $4) ON CONFLICT (email) DO NOTHING");
    bind_id(q, 1, id);
    bind_text(q, 2, name);
    bind_text(q, 3, email);
    bind_int(q, 4, call->now_ms);
    enum err e = stmt_run(q, &call->error, &changes);
    if (e) return e;
    if (changes == 0)
        return FAIL(&call->error, ERR_CONFLICT, "email_taken",
                    "an organization with this e-mail address exists");
    return ERR_OK;
}

static enum err insert_balance(struct call *call, const struct id *id, enum environment environment)
{
    struct stmt *q = db_query(call->db, "INSERT INTO balances (org_id, environment, balance_cents,"
                                        " held_cents, last_transfer_id, updated_ms)"
                                        " VALUES ($1, $2, 0, 0, '', $3)");
    bind_id(q, 1, id);
    bind_int(q, 2, environment);
    bind_int(q, 3, call->now_ms);
    return stmt_run(q, &call->error, NULL);
}

enum err organisation_create(struct call *call, struct str name, struct str email,
                             int64_t credits_cents, struct id *ret_id)
{
    struct str normal;
    enum err   e = account_check(call, name, email, &normal);
    if (e) return e;
    if (credits_cents < 0)
        return FAIL(&call->error, ERR_INVALID, "bad_credits", "credits must not be negative");

    struct id id = id_new(ID_ORGANISATION, call->now_ms);
    e = insert_organisation(call, &id, name, normal);
    if (e) return e;
    e = audit_note(call, &id, ENVIRONMENT_LIVE, STR("organization.created"), id_str(&id));
    if (e) return e;
    e = insert_balance(call, &id, ENVIRONMENT_LIVE);
    if (e) return e;
    e = insert_balance(call, &id, ENVIRONMENT_TEST);
    if (e) return e;
    if (credits_cents > 0) {
        e = credits_grant(call, &id, ENVIRONMENT_LIVE, TRANSFER_BONUS, credits_cents, STR_NONE,
                          STR("Granted by the operator"));
        if (e) return e;
        e = audit_note(call, &id, ENVIRONMENT_LIVE, STR("credits.granted"), id_str(&id));
        if (e) return e;
    }
    e = credits_grant(call, &id, ENVIRONMENT_TEST, TRANSFER_FREE_TIER,
                      ORGANISATION_TEST_GRANT_CENTS, STR_NONE, STR("Sandbox credit"));
    if (e) return e;
    *ret_id = id;
    return ERR_OK;
}

enum err settings_get_of(struct call *call, const struct id *org_id, enum environment environment,
                         struct settings *ret_settings)
{
    struct stmt *q = db_query(
        call->db, "SELECT platform_fee_ppm, auto_top_up_enabled, auto_top_up_threshold_cents,"
                  " auto_top_up_amount_cents FROM organisation_settings"
                  " WHERE org_id = $1 AND environment = $2");
    bind_id(q, 1, org_id);
    bind_int(q, 2, environment);
    struct settings settings = { 0 };
    if (stmt_step(q))
        settings = (struct settings){
            .has_fee = !column_is_null(q, 0),
            .fee_ppm = column_int(q, 0),
            .is_top_up_enabled = column_int(q, 1) != 0,
            .has_top_up_threshold = !column_is_null(q, 2),
            .top_up_threshold_cents = column_int(q, 2),
            .has_top_up_amount = !column_is_null(q, 3),
            .top_up_amount_cents = column_int(q, 3),
        };
    *ret_settings = settings;
    return stmt_end(q, &call->error);
}

enum err settings_get(struct call *call, struct settings *ret_settings)
{
    return settings_get_of(call, &call->actor.org_id, call->actor.environment, ret_settings);
}

enum err settings_end_top_up(struct call *call, const struct id *org_id,
                             enum environment environment)
{
    struct stmt *q = db_query(call->db, "UPDATE organisation_settings SET auto_top_up_enabled = 0"
                                        " WHERE org_id = $1 AND environment = $2");
    bind_id(q, 1, org_id);
    bind_int(q, 2, environment);
    return stmt_run(q, &call->error, NULL);
}

enum err organisation_name(struct call *call, const struct id *org_id, struct str *ret_name)
{
    struct stmt *q = db_query(call->db, "SELECT name FROM organisations WHERE id = $1");
    bind_id(q, 1, org_id);
    *ret_name = stmt_step(q) ? column_text(q, 0, call->arena) : STR_NONE;
    enum err e = stmt_end(q, &call->error);
    if (e || ret_name->data) return e;
    return FAIL(&call->error, ERR_NOT_FOUND, "organization", "no such organization");
}

enum err settings_may_set_fee(struct call *call)
{
    if (!call->config->platform_fee_locked) return ERR_OK;
    return FAIL(&call->error, ERR_FORBIDDEN, "platform_fee_locked",
                "the operator has fixed the platform fee");
}

static enum err check_settings(struct call *call, const struct settings *settings)
{
    if (!settings->is_top_up_enabled) return ERR_OK;
    if (!settings->has_top_up_threshold)
        error_add_fault(&call->error, call->arena, STR("auto_top_up_threshold_cents"), "required",
                        "is required for auto top-up");
    if (!settings->has_top_up_amount)
        error_add_fault(&call->error, call->arena, STR("auto_top_up_amount_cents"), "required",
                        "is required for auto top-up");
    if (call->error.faults_count == 0) return ERR_OK;
    return FAIL_FAULTS(&call->error, call->arena, ERR_UNPROCESSABLE, "body_invalid");
}

enum err settings_put(struct call *call, const struct settings *settings)
{
    enum err e = check_settings(call, settings);
    if (e) return e;
    struct stmt *q = db_query(
        call->db, "INSERT INTO organisation_settings (org_id, environment, platform_fee_ppm,"
                  " auto_top_up_enabled, auto_top_up_threshold_cents, auto_top_up_amount_cents)"
                  " VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (org_id, environment) DO UPDATE SET"
                  " platform_fee_ppm = excluded.platform_fee_ppm,"
                  " auto_top_up_enabled = excluded.auto_top_up_enabled,"
                  " auto_top_up_threshold_cents = excluded.auto_top_up_threshold_cents,"
                  " auto_top_up_amount_cents = excluded.auto_top_up_amount_cents");
    bind_id(q, 1, &call->actor.org_id);
    bind_int(q, 2, call->actor.environment);
    bind_optional(q, 3, settings->has_fee, settings->fee_ppm);
    bind_int(q, 4, settings->is_top_up_enabled);
    bind_optional(q, 5, settings->has_top_up_threshold, settings->top_up_threshold_cents);
    bind_optional(q, 6, settings->has_top_up_amount, settings->top_up_amount_cents);
    e = stmt_run(q, &call->error, NULL);
    if (e) return e;
    return low_balance_look(call, &call->actor.org_id, call->actor.environment);
}

enum err organisation_fee_ppm(struct call *call, const struct id *org_id,
                              enum environment environment, int64_t *ret_ppm)
{
    struct settings settings;
    enum err        e = settings_get_of(call, org_id, environment, &settings);
    if (e) return e;
    *ret_ppm = settings.has_fee ? settings.fee_ppm : call->config->platform_fee_ppm;
    return ERR_OK;
}
