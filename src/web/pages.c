#include "web/pages.h"

#include "base/encode.h"
#include "platform/embedded.h"
#include "web/checkout_page.h"

#include <string.h>

struct str page_text(const char *name)
{
    for (const struct embedded_file *file = embedded_files; file->name; file++)
        if (strcmp(file->name, name) == 0) return (struct str){ file->data, file->size_bytes };
    CHECK(!"every page is compiled in");
    return STR_NONE;
}

/* What stands between two marks of a page of ours. */
static struct str between(struct str text, const char *from, const char *to)
{
    const char *start = memmem(text.data, text.len, from, strlen(from));
    CHECK(start != NULL);
    start += strlen(from);
    const char *end = memmem(start, text.len - (size_t)(start - text.data), to, strlen(to));
    CHECK(end != NULL);
    return (struct str){ start, (size_t)(end - start) };
}

/* The page's own script and nothing else may run, and it may only talk to this server. */
static struct str content_policy(struct arena *arena, struct str page)
{
    unsigned char digest[SHA256_BYTES];
    crypto_sha256(between(page, "<script>", "</script>"), digest);
    return str_format(arena,
                      "default-src 'none'; script-src 'sha256-%s'; style-src 'unsafe-inline'; "
                      "connect-src 'self'; form-action 'none'; base-uri 'none'; "
                      "frame-ancestors 'none'",
                      encode_base64(arena, digest, sizeof(digest)).data);
}

static enum err get_join_page(struct call *call, const struct request *request, struct reply *reply)
{
    (void)request;
    struct str page = page_text("join.html");
    reply->content_type = STR("text/html; charset=utf-8");
    buf_add(&reply->body, page);
    reply_header(reply, "Content-Security-Policy", content_policy(call->arena, page));
    reply_header(reply, "X-Content-Type-Options", STR("nosniff"));
    reply_header(reply, "Referrer-Policy", STR("no-referrer")); /* the link is a secret */
    return ERR_OK;
}

const struct binding pages_bindings[] = {
    { .operation_id = "getJoinPage", .handle = get_join_page },
    { .operation_id = "getCheckoutPage", .handle = get_checkout_page },
    { .operation_id = "payCheckout", .handle = pay_checkout },
    { .operation_id = "cancelCheckout", .handle = cancel_checkout },
    { 0 },
};
