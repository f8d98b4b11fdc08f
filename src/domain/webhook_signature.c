#include "domain/webhook_signature.h"

#include "base/buf.h"
#include "base/encode.h"
#include "platform/crypto.h"

enum { HEADER_BYTES_MAX = 512 };

struct str webhook_signature_hex(struct str secret, int64_t time_s, struct str body,
                                 struct arena *arena)
{
    unsigned char mac[SHA256_BYTES];
    crypto_hmac_of(secret, str_format(arena, "%lld.", (long long)time_s), body, mac);
    return encode_hex(arena, mac, sizeof(mac));
}

/* Of the Standard Webhooks: base64 of the HMAC-SHA256 of "id.time.body" under the secret's bytes.
 */
static bool standard_signature(const struct webhook_signing *signing, struct str secret,
                               struct arena *arena, struct str *ret_signature)
{
    unsigned char mac[SHA256_BYTES];
    struct str    key, prefix = STR(WEBHOOK_SECRET_PREFIX);
    if (!str_starts_with(secret, prefix)) return false;
    if (!decode_base64(arena, str_skip(secret, prefix.len), &key) || key.len == 0) return false;
    struct str head =
        str_format(arena, "%.*s.%lld.", STR_ARG(signing->event_id), (long long)signing->time_s);
    crypto_hmac_of(key, head, signing->body, mac);
    *ret_signature = encode_base64(arena, mac, sizeof(mac));
    return true;
}

bool webhook_sign(const struct webhook_signing *signing, struct arena *arena,
                  const char *ret_headers[WEBHOOK_HEADERS])
{
    struct buf ours, standard;
    buf_init(&ours, arena, HEADER_BYTES_MAX);
    buf_init(&standard, arena, HEADER_BYTES_MAX);
    buf_fmt(&ours, "X-FirstHand-Signature: t=%lld", (long long)signing->time_s);
    buf_add(&standard, STR("webhook-signature:"));
    for (int i = 0; i < signing->secrets_count; i++) {
        struct str signature;
        if (!standard_signature(signing, signing->secrets[i], arena, &signature)) return false;
        buf_fmt(&standard, " v1,%.*s", STR_ARG(signature));
        signature =
            webhook_signature_hex(signing->secrets[i], signing->time_s, signing->body, arena);
        buf_fmt(&ours, ",v1=%.*s", STR_ARG(signature));
    }
    CHECK(!ours.failed && !standard.failed);
    struct str id = signing->event_id;
    ret_headers[0] = str_c(arena, buf_str(&ours));
    ret_headers[1] = str_format(arena, "X-FirstHand-Event-Id: %.*s", STR_ARG(id)).data;
    ret_headers[2] = str_format(arena, "webhook-id: %.*s", STR_ARG(id)).data;
    ret_headers[3] = str_format(arena, "webhook-timestamp: %lld", (long long)signing->time_s).data;
    ret_headers[4] = str_c(arena, buf_str(&standard));
    return true;
}
