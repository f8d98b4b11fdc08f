#include "domain/api_key.h"
#include "domain/freeze.h"
#include "domain/ledger.h"
#include "domain/organisation.h"
#include "domain/worker.h"
#include "main/commands.h"
#include "main/store.h"

enum { RESULT_BYTES_MAX = 16 << 10 };

/* What the admin commands are given and what they make. */
struct admin {
    struct str            name, email, org, environment, scopes;
    int64_t               credits_cents;
    struct id             id;
    struct api_key        live, test;
    struct worker_session session;
    struct invite         invite;
    int64_t               freezes_count;
};

typedef enum err admin_fn(struct call *call, void *argument);
typedef void admin_write_fn(struct store *store, const struct admin *admin, struct json_out *out);

static int usage(const char *problem)
{
    struct error error = { 0 };
    FAIL(&error, ERR_INVALID, "usage", "%s", problem);
    return command_refused(&error);
}

/* Open the store, run one commit, print one object. */
static int run_admin(struct flags *flags, struct arena *arena, struct admin *admin, admin_fn *run,
                     admin_write_fn *write)
{
    struct config config;
    int           exit_code = command_config(flags, arena, &config);
    if (exit_code) return exit_code;
    struct store store;
    struct error error = { 0 };
    if (store_open(&store, &config, &error)) return command_refused(&error);
    struct call call;
    enum err    e = store_commit(&store, &call, run, admin);
    if (e == ERR_OK) {
        struct buf      json;
        struct json_out out;
        buf_init(&json, &store.arena, RESULT_BYTES_MAX);
        json_out_init(&out, &json);
        out_object(&out, NULL);
        write(&store, admin, &out);
        out_close(&out);
        command_print(&json);
    }
    exit_code = e ? command_refused(&call.error) : EXIT_OK;
    store_close(&store);
    return exit_code;
}

/* --- admin create-org --- */

static enum err create_org(struct call *call, void *argument)
{
    struct admin *admin = argument;
    enum err      e =
        organisation_create(call, admin->name, admin->email, admin->credits_cents, &admin->id);
    if (e) return e;
    struct key_request request = {
        .name = STR("first key"),
        .scopes = SCOPES_ALL,
        .environment = ENVIRONMENT_LIVE,
    };
    e = api_key_create(call, &admin->id, &request, &admin->live);
    if (e) return e;
    request.environment = ENVIRONMENT_TEST;
    return api_key_create(call, &admin->id, &request, &admin->test);
}

static void write_org(struct store *store, const struct admin *admin, struct json_out *out)
{
    (void)store;
    out_text(out, "organization_id", id_str(&admin->id));
    out_text(out, "live_key", admin->live.secret);
    out_text(out, "test_key", admin->test.secret);
}

int cmd_create_org(struct flags *flags, struct arena *arena)
{
    struct admin admin = {
        .name = flags_take(flags, "name"),
        .email = flags_take(flags, "email"),
    };
    struct str credits = flags_take(flags, "credits");
    if (admin.name.data == NULL || admin.email.data == NULL)
        return usage("create-org needs --name and --email");
    if (credits.data && (!str_to_int64(credits, &admin.credits_cents) || admin.credits_cents < 0))
        return usage("--credits is a whole number of cents");
    return run_admin(flags, arena, &admin, create_org, write_org);
}

/* --- admin create-key --- */

static enum err organisation_exists(struct call *call, const struct id *id)
{
    struct balance balance;
    return ledger_balance(call, id, ENVIRONMENT_LIVE, &balance);
}

static enum err refuse_scope(struct call *call, struct str name)
{
    struct buf names;
    buf_init(&names, call->arena, ERROR_DETAIL_BYTES_MAX);
    for (int i = 0; i < SCOPE__COUNT; i++)
        buf_fmt(&names, "%s%s", i > 0 ? ", " : "", scope_name((enum scope)i));
    return FAIL(&call->error, ERR_INVALID, "usage", "unknown scope \"%.*s\": there are %.*s",
                STR_ARG(str_take(name, 40)), STR_ARG(buf_str(&names)));
}

static enum err parse_scopes(struct call *call, struct str names, unsigned *ret_scopes)
{
    struct str name;
    *ret_scopes = names.data ? 0 : SCOPES_ALL;
    while (str_cut(&names, ',', &name)) {
        enum scope scope;
        if (!scope_parse(name, &scope)) return refuse_scope(call, name);
        *ret_scopes |= BIT(scope);
    }
    return ERR_OK;
}

static enum err create_key(struct call *call, void *argument)
{
    struct admin      *admin = argument;
    struct key_request request = {
        .name = admin->name.data ? admin->name : STR("operator's key"),
        .environment =
            str_eq(admin->environment, STR("live")) ? ENVIRONMENT_LIVE : ENVIRONMENT_TEST,
    };
    if (!id_parse(admin->org, ID_ORGANISATION, &admin->id))
        return FAIL(&call->error, ERR_NOT_FOUND, "organization", "no such organization");
    enum err e = parse_scopes(call, admin->scopes, &request.scopes);
    if (e) return e;
    e = organisation_exists(call, &admin->id);
    if (e) return e;
    return api_key_create(call, &admin->id, &request, &admin->live);
}

static void write_key(struct store *store, const struct admin *admin, struct json_out *out)
{
    (void)store;
    out_text(out, "key_id", id_str(&admin->live.id));
    out_text(out, "secret", admin->live.secret);
}

int cmd_create_key(struct flags *flags, struct arena *arena)
{
    struct admin admin = {
        .org = flags_take(flags, "org"),
        .environment = flags_take(flags, "environment"),
        .name = flags_take(flags, "name"),
        .scopes = flags_take(flags, "scopes"),
    };
    bool is_environment =
        str_eq(admin.environment, STR("live")) || str_eq(admin.environment, STR("test"));
    if (admin.org.data == NULL || !is_environment)
        return usage("create-key needs --org and --environment live|test");
    return run_admin(flags, arena, &admin, create_key, write_key);
}

/* --- admin unfreeze-org --- */

static enum err unfreeze_org(struct call *call, void *argument)
{
    struct admin *admin = argument;
    if (!id_parse(admin->org, ID_ORGANISATION, &admin->id))
        return FAIL(&call->error, ERR_NOT_FOUND, "organization", "no such organization");
    enum err e = organisation_exists(call, &admin->id);
    if (e) return e;
    return freeze_lift(call, &admin->id, &admin->freezes_count);
}

static void write_freezes(struct store *store, const struct admin *admin, struct json_out *out)
{
    (void)store;
    out_text(out, "organization_id", id_str(&admin->id));
    out_int(out, "freezes_lifted", admin->freezes_count);
}

int cmd_unfreeze_org(struct flags *flags, struct arena *arena)
{
    struct admin admin = { .org = flags_take(flags, "org") };
    if (admin.org.data == NULL) return usage("unfreeze-org needs --org");
    return run_admin(flags, arena, &admin, unfreeze_org, write_freezes);
}

/* --- admin create-worker, admin invite-worker --- */

static enum err create_worker(struct call *call, void *argument)
{
    struct admin *admin = argument;
    enum err      e = worker_create(call, admin->name, admin->email, STR_NONE, &admin->id);
    if (e) return e;
    return worker_session_create(call, &admin->id, 0, &admin->session);
}

static void write_worker(struct store *store, const struct admin *admin, struct json_out *out)
{
    (void)store;
    out_text(out, "worker_id", id_str(&admin->id));
    out_text(out, "token", admin->session.token);
}

int cmd_create_worker(struct flags *flags, struct arena *arena)
{
    struct admin admin = {
        .name = flags_take(flags, "name"),
        .email = flags_take(flags, "email"),
    };
    if (admin.name.data == NULL || admin.email.data == NULL)
        return usage("create-worker needs --name and --email");
    return run_admin(flags, arena, &admin, create_worker, write_worker);
}

static enum err invite_worker(struct call *call, void *argument)
{
    struct admin *admin = argument;
    return invite_create(call, admin->name, &admin->invite);
}

static void write_invite(struct store *store, const struct admin *admin, struct json_out *out)
{
    struct str base = store->config.public_url;
    if (base.len == 0)
        base = str_format(&store->arena, "%s://%.*s", store->config.tls_cert.len ? "https" : "http",
                          STR_ARG(store->config.listen));
    out_text(out, "invite_id", id_str(&admin->invite.id));
    out_text(
        out, "url",
        str_format(&store->arena, "%.*s/join?invite=%s", STR_ARG(base), admin->invite.token.data));
    out_time(out, "expires_at", admin->invite.expires_ms);
}

int cmd_invite_worker(struct flags *flags, struct arena *arena)
{
    struct admin admin = { .name = flags_take(flags, "name") };
    return run_admin(flags, arena, &admin, invite_worker, write_invite);
}
