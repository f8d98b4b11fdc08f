#include "web/checkout_page.h"

#include "domain/organisation.h"
#include "domain/purchase.h"
#include "web/pages.h"

#include <string.h>

enum { PAGE_BYTES_MAX = 64 << 10 };

/* What a name of the template stands for: text, escaped when it is filled in, or whether a section
 * {{#name}} … {{/name}} is there. */
struct field {
    const char *name;
    struct str  text;
    bool        is_shown;
};

static void add_escaped(struct buf *page, struct str text)
{
    for (size_t i = 0; i < text.len; i++) {
        switch (text.data[i]) {
        case '&': buf_add(page, STR("&amp;")); break;
        case '<': buf_add(page, STR("&lt;")); break;
        case '>': buf_add(page, STR("&gt;")); break;
        case '"': buf_add(page, STR("&quot;")); break;
        case '\'': buf_add(page, STR("&#39;")); break;
        default: buf_add_byte(page, text.data[i]);
        }
    }
}

static const struct field *field_of(const struct field *fields, struct str name)
{
    for (const struct field *field = fields; field->name; field++)
        if (str_eq(name, str_of(field->name))) return field;
    CHECK(!"the template names a field");
    return NULL;
}

/* Cut *text at a mark; what precedes it. False when there is none any more. */
static bool cut_at(struct str *text, struct str mark, struct str *ret_head)
{
    const char *at = memmem(text->data, text->len, mark.data, mark.len);
    *ret_head = at ? str_take(*text, (size_t)(at - text->data)) : *text;
    *text = at ? str_skip(*text, ret_head->len + mark.len) : STR("");
    return at != NULL;
}

/* Sections do not nest. */
static struct str fill(struct arena *arena, struct str template, const struct field *fields)
{
    struct buf page;
    struct str head, name;
    bool       is_shown = true;
    buf_init(&page, arena, PAGE_BYTES_MAX);
    for (;;) {
        bool has_name = cut_at(&template, STR("{{"), &head);
        if (is_shown) buf_add(&page, head);
        if (!has_name) break;
        CHECK(cut_at(&template, STR("}}"), &name));
        bool                is_begin = name.data[0] == '#', is_end = name.data[0] == '/';
        const struct field *field = field_of(fields, is_begin || is_end ? str_skip(name, 1) : name);
        if (is_begin) is_shown = field->is_shown;
        if (is_end) is_shown = true;
        if (!is_begin && !is_end && is_shown) add_escaped(&page, field->text);
    }
    CHECK(!page.failed);
    return buf_str(&page);
}

static struct str dollars(struct arena *arena, int64_t cents)
{
    return str_format(arena, "$%lld.%02lld", (long long)(cents / 100), (long long)(cents % 100));
}

/* What a state means to whoever reads the page. */
static const struct {
    struct str title, status;
} words[PURCHASE_STATE__COUNT] = {
    [PURCHASE_ASKING] = { STR("Buy credit"), STR("The payment provider is being asked.") },
    [PURCHASE_OPEN] = { STR("Buy credit"), STR("Not paid yet.") },
    [PURCHASE_PAID] = { STR("Paid"), STR("Paid. The credit is on the organization's balance.") },
    [PURCHASE_CANCELLED] = { STR("Cancelled"), STR("Cancelled. Nothing was paid.") },
    [PURCHASE_EXPIRED] = { STR("Expired"), STR("Expired. Start a new purchase to buy credit.") },
    [PURCHASE_FAILED] = { STR("Not paid"), STR("The payment failed. Nothing was credited.") },
};

static struct str status_of(const struct call *call, const struct purchase *purchase,
                            enum purchase_state state)
{
    if (state != PURCHASE_OPEN) return words[state].status;
    if (purchase->provider != PURCHASE_LOCAL)
        return STR("Not confirmed by the payment provider yet. Reload this page in a moment.");
    if (purchase_may_pay_here(call, purchase)) return words[state].status;
    return STR("This server has no payment provider, and its operator does not let live credit be "
               "had on this page. Ask the operator, or use a test key.");
}

static struct str render(struct call *call, const struct purchase *purchase, struct str token,
                         struct str organisation)
{
    enum purchase_state state = purchase_state_now(call, purchase);
    bool                is_local = purchase->provider == PURCHASE_LOCAL;
    bool                is_open = is_local && state == PURCHASE_OPEN;
    struct field        fields[] = {
               { "title", words[state].title, false },
               { "organization", organisation, false },
               { "environment", str_of(environment_name(purchase->environment)), false },
               { "amount", dollars(call->arena, purchase->amount_cents), false },
               { "bonus", dollars(call->arena, purchase->bonus_cents), false },
               { "total", dollars(call->arena, purchase->amount_cents + purchase->bonus_cents), false },
               { "session", id_str(&purchase->id), false },
               { "status", status_of(call, purchase, state), false },
               { "token", token, false },
               { "local", STR_NONE, is_local },
               { "pay", STR_NONE, is_open && purchase_may_pay_here(call, purchase) },
               { "cancel", STR_NONE, is_open },
               { NULL, STR_NONE, false },
    };
    return fill(call->arena, page_text("checkout.html"), fields);
}

/* The link is a secret, and its buttons are not for others to press. */
static void guard(struct reply *reply)
{
    reply_header(reply, "Content-Security-Policy",
                 STR("default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; "
                     "base-uri 'none'; frame-ancestors 'none'"));
    reply_header(reply, "X-Content-Type-Options", STR("nosniff"));
    reply_header(reply, "Referrer-Policy", STR("no-referrer"));
}

/* Does a person's browser ask? Programs are told of refusals in JSON. */
static bool is_person(const struct request *request)
{
    struct str accepted = http_header(request->http, "Accept"), kind = STR("text/html");
    return accepted.data && memmem(accepted.data, accepted.len, kind.data, kind.len);
}

static void show(struct reply *reply, struct str page)
{
    reply->content_type = STR("text/html; charset=utf-8");
    buf_add(&reply->body, page);
    guard(reply);
}

static enum err show_nothing_there(struct call *call, struct reply *reply)
{
    error_clear(&call->error);
    reply->status = 404;
    show(reply, page_text("no-checkout.html"));
    return ERR_OK;
}

enum err get_checkout_page(struct call *call, const struct request *request, struct reply *reply)
{
    struct purchase purchase;
    struct str      token = request_path(request, "checkout_token"), organisation;
    enum err        e = purchase_of_link(call, token, &purchase);
    if (e == ERR_NOT_FOUND && is_person(request)) return show_nothing_there(call, reply);
    if (e == ERR_OK) e = organisation_name(call, &purchase.org_id, &organisation);
    if (e) return e;
    show(reply, render(call, &purchase, token, organisation));
    return ERR_OK;
}

/* Back to the page, by a path relative to …/{token}/pay: the server may stand below another path.
 * It says to a person why a button did nothing: paid, cancelled or expired meanwhile, or not here.
 */
static enum err see_page(struct call *call, const struct request *request, enum err e,
                         struct reply *reply)
{
    bool is_refused = e == ERR_CONFLICT || e == ERR_FORBIDDEN;
    if (e && !(is_refused && is_person(request))) return e;
    error_clear(&call->error);
    struct str token = request_path(request, "checkout_token");
    reply->status = 303;
    reply_header(reply, "Location", str_format(call->arena, "../%.*s", STR_ARG(token)));
    guard(reply);
    return ERR_OK;
}

enum err pay_checkout(struct call *call, const struct request *request, struct reply *reply)
{
    struct purchase purchase;
    enum err        e = purchase_of_link(call, request_path(request, "checkout_token"), &purchase);
    if (e == ERR_NOT_FOUND && is_person(request)) return show_nothing_there(call, reply);
    if (e == ERR_OK) e = purchase_pay_here(call, &purchase);
    return see_page(call, request, e, reply);
}

enum err cancel_checkout(struct call *call, const struct request *request, struct reply *reply)
{
    struct purchase purchase;
    enum err        e = purchase_of_link(call, request_path(request, "checkout_token"), &purchase);
    if (e == ERR_NOT_FOUND && is_person(request)) return show_nothing_there(call, reply);
    if (e == ERR_OK) e = purchase_cancel_here(call, &purchase);
    return see_page(call, request, e, reply);
}
