#include "platform/stripe.h"

#include "base/buf.h"
#include "base/json_in.h"
#include "platform/http_client.h"

#include <stdatomic.h>
#include <string.h>

enum { FORM_BYTES_MAX = 16 << 10, WORD_BYTES_MAX = 100 };

static atomic_int asks_count;

bool stripe_key_is_live(struct str key)
{
    return str_starts_with(key, STR("sk_live_")) || str_starts_with(key, STR("rk_live_"));
}

/* --- questions --- */

static void form_escaped(struct buf *form, struct str text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.data[i];
        bool          is_plain = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') ||
                        (c >= 'a' && c <= 'z') || c == '-' || c == '_' || c == '.' || c == '~';
        if (is_plain)
            buf_add_byte(form, (char)c);
        else
            buf_fmt(form, "%%%02X", c);
    }
}

/* An absent value leaves the field out. */
static void form_add(struct buf *form, const char *name, struct str value)
{
    if (value.data == NULL) return;
    if (form->len) buf_add_byte(form, '&');
    form_escaped(form, str_of(name));
    buf_add_byte(form, '=');
    form_escaped(form, value);
}

static void form_add_int(struct buf *form, const char *name, int64_t value, struct arena *arena)
{
    form_add(form, name, str_format(arena, "%lld", (long long)value));
}

static void client_close(struct http_client **client)
{
    http_client_close(*client);
}

static enum err send(const struct stripe_account *account, const char *path, struct str key,
                     const struct buf *form, struct arena *arena, struct error *error,
                     struct http_client_reply *ret_reply)
{
    CHECK(!form->failed); /* made of ids, numbers and settings */
    CLEANUP(client_close) struct http_client *client = http_client_open();
    struct http_client_request                request = {
                       .method = "POST",
                       .url = str_format(arena, "%.*s%s", STR_ARG(account->api_url), path).data,
                       .body = buf_str(form),
                       .headers_count = 4,
                       .headers = {
            str_format(arena, "Authorization: Bearer %.*s", STR_ARG(account->key)).data,
            "Content-Type: application/x-www-form-urlencoded",
            "Stripe-Version: " STRIPE_API_VERSION,
            str_format(arena, "Idempotency-Key: %.*s", STR_ARG(key)).data,
        },
                       .timeout_ms = STRIPE_ASK_MS_MAX,
                       .ca_path = account->ca.len ? str_c(arena, account->ca) : NULL,
    };
    return http_client_send(client, &request, arena, error, ret_reply);
}

/* One question and its answer as JSON, whatever its status. */
static enum err ask(const struct stripe_account *account, const char *path, struct str key,
                    const struct buf *form, struct arena *arena, struct error *error,
                    int *ret_status, json_t **ret_root)
{
    struct http_client_reply reply;
    if (atomic_fetch_add(&asks_count, 1) >= STRIPE_ASKS_AT_ONCE) {
        atomic_fetch_sub(&asks_count, 1);
        return FAIL(error, ERR_UNAVAILABLE, "provider_busy", "%d questions are under way",
                    STRIPE_ASKS_AT_ONCE);
    }
    enum err e = send(account, path, key, form, arena, error, &reply);
    atomic_fetch_sub(&asks_count, 1);
    if (e)
        return FAIL(error, ERR_UNAVAILABLE, "provider_failed", "no answer: %s",
                    str_c(arena, str_sanitise(arena, str_of(error->detail), WORD_BYTES_MAX)));
    e = json_parse(arena, reply.body, error, ret_root);
    if (e || !json_is_object(*ret_root))
        return FAIL(error, ERR_UNAVAILABLE, "provider_failed", "status %d without an object",
                    reply.status);
    *ret_status = reply.status;
    return ERR_OK;
}

/* A word of Stripe's for the log; its messages may repeat the key. */
static struct str error_word(const json_t *root, const char *name, struct arena *arena)
{
    struct str word = in_text(json_object_get(root, "error"), name, arena);
    return word.data ? str_sanitise(arena, word, WORD_BYTES_MAX) : STR_NONE;
}

static enum err refused(const json_t *root, int status, struct arena *arena, struct error *error)
{
    struct str type = error_word(root, "type", arena), code = error_word(root, "code", arena);
    return FAIL(error, ERR_UNAVAILABLE, "provider_failed", "status %d %.*s %.*s", status,
                STR_ARG(type), STR_ARG(code));
}

enum err stripe_create_checkout(const struct stripe_account  *account,
                                const struct stripe_checkout *checkout, struct arena *arena,
                                struct error *error, struct stripe_session *ret_session)
{
    struct buf form;
    buf_init(&form, arena, FORM_BYTES_MAX);
    form_add(&form, "mode", STR("payment"));
    form_add(&form, "line_items[0][quantity]", STR("1"));
    form_add(&form, "line_items[0][price_data][currency]", STR("usd"));
    form_add_int(&form, "line_items[0][price_data][unit_amount]", checkout->amount_cents, arena);
    form_add(&form, "line_items[0][price_data][product_data][name]", STR("Firsthand credit"));
    form_add(&form, "client_reference_id", checkout->purchase_id);
    form_add(&form, "metadata[purchase_id]", checkout->purchase_id);
    form_add(&form, "payment_intent_data[metadata][purchase_id]", checkout->purchase_id);
    form_add(&form, "payment_intent_data[setup_future_usage]", STR("off_session"));
    form_add(&form, "customer", checkout->customer);
    form_add(&form, "customer_creation", checkout->customer.data ? STR_NONE : STR("always"));
    form_add(&form, "success_url", checkout->return_url);
    form_add(&form, "cancel_url", checkout->return_url);
    json_t  *root;
    int      status;
    enum err e = ask(account, "/v1/checkout/sessions", checkout->purchase_id, &form, arena, error,
                     &status, &root);
    if (e) return e;
    if (status != 200) return refused(root, status, arena, error);
    struct stripe_session session = { in_text(root, "id", arena), in_text(root, "url", arena) };
    if (session.id.len == 0 || session.url.len == 0)
        return FAIL(error, ERR_UNAVAILABLE, "provider_failed", "a session without id or url");
    *ret_session = session;
    return ERR_OK;
}

static enum stripe_payment_state payment_state(struct str status)
{
    if (str_eq(status, STR("succeeded"))) return STRIPE_PAYMENT_SUCCEEDED;
    if (str_eq(status, STR("processing"))) return STRIPE_PAYMENT_PROCESSING;
    return STRIPE_PAYMENT_DECLINED; /* it wants a person, and there is none */
}

static void form_charge(struct buf *form, const struct stripe_charge *charge, struct arena *arena)
{
    buf_init(form, arena, FORM_BYTES_MAX);
    form_add_int(form, "amount", charge->amount_cents, arena);
    form_add(form, "currency", STR("usd"));
    form_add(form, "customer", charge->customer);
    form_add(form, "payment_method", charge->payment_method);
    form_add(form, "off_session", STR("true"));
    form_add(form, "confirm", STR("true"));
    form_add(form, "metadata[purchase_id]", charge->purchase_id);
}

enum err stripe_charge_card(const struct stripe_account *account,
                            const struct stripe_charge *charge, struct arena *arena,
                            struct error *error, struct stripe_payment *ret_payment)
{
    struct buf form;
    form_charge(&form, charge, arena);
    struct str key =
        str_format(arena, "%.*s-%lld", STR_ARG(charge->purchase_id), (long long)charge->try_number);
    json_t  *root;
    int      status;
    enum err e = ask(account, "/v1/payment_intents", key, &form, arena, error, &status, &root);
    if (e) return e;
    bool is_declined = status == 402;
    if (status != 200 && !is_declined) return refused(root, status, arena, error);
    const json_t *intent =
        is_declined ? json_object_get(json_object_get(root, "error"), "payment_intent") : root;
    struct str decline = error_word(root, "decline_code", arena);
    *ret_payment = (struct stripe_payment){
        .state =
            is_declined ? STRIPE_PAYMENT_DECLINED : payment_state(in_text(root, "status", arena)),
        .id = in_text(intent, "id", arena),
        .received_cents = in_int(intent, "amount_received", 0),
        .currency = in_text(intent, "currency", arena),
        .is_live = in_bool(intent, "livemode", false),
        .decline_code = decline.data ? decline : error_word(root, "code", arena),
    };
    return ERR_OK;
}
