#include "api/api.h"
#include "api/listing.h"
#include "domain/render.h"

static enum err get_balance(struct call *call, const struct request *request, struct reply *reply)
{
    (void)request;
    struct balance balance;
    enum err       e = ledger_balance(call, &call->actor.org_id, call->actor.environment, &balance);
    if (e) return e;
    render_balance(&reply->out, NULL, &balance);
    return ERR_OK;
}

static enum err refuse_kind(struct call *call)
{
    const char *names[TRANSFER_KIND__COUNT];
    int         count = 0;
    for (int i = 0; i < TRANSFER_KIND__COUNT; i++)
        if (transfer_is_visible((enum transfer_kind)i))
            names[count++] = transfer_kind_name((enum transfer_kind)i);
    return listing_refuse_name(call, STR("type"), names, count);
}

/* Only kinds a buyer can see; another word is 400. */
static enum err read_kind(struct call *call, const struct request *request,
                          enum transfer_kind *ret_kind)
{
    struct str type = request_text(request, "type");
    *ret_kind = TRANSFER_KIND__COUNT;
    if (type.data == NULL) return ERR_OK;
    if (transfer_kind_parse(type, ret_kind) && transfer_is_visible(*ret_kind)) return ERR_OK;
    return refuse_kind(call);
}

static enum err list_transactions(struct call *call, const struct request *request,
                                  struct reply *reply)
{
    enum transfer_kind kind;
    enum err           e = read_kind(call, request, &kind);
    if (e) return e;
    struct listing listing;
    e = listing_open(call, request, page_listing(call, "transactions"), ID_TRANSACTION, &listing);
    if (e) return e;
    struct transaction *rows = NEW(call->arena, struct transaction, listing_rows(&listing));
    struct page_search  search;
    e = ledger_list(call, kind, &listing.page.before, listing_rows(&listing), rows, &search);
    if (e) return e;
    int shown = listing_shown(&listing, search.count);
    reply_list_begin(reply);
    for (int i = 0; i < shown; i++)
        render_transaction(&reply->out, NULL, &rows[i]);
    reply_list_end(reply, listing_search_cursor(call, &listing, &search,
                                                &rows[listing_last(&listing, search.count)].id));
    return ERR_OK;
}

const struct binding billing_bindings[] = {
    { .operation_id = "getCreditBalance", .handle = get_balance },
    { .operation_id = "listTransactions", .handle = list_transactions },
    { 0 },
};
