#include "domain/secret_text.h"

#include "base/encode.h"
#include "base/world.h"

#include <string.h>

enum { PREFIX_BYTES_MAX = 16 };

/* Uniform base62 characters: bytes that would favour some are drawn again. */
static void random_base62(char *text, size_t count)
{
    enum { UNBIASED = 256 / 62 * 62 };
    for (size_t i = 0; i < count;) {
        unsigned char byte;
        world_random(&byte, 1);
        if (byte >= UNBIASED) continue;
        encode_base62(byte % 62, &text[i++], 1);
    }
}

static void checksum(struct str text, char sum[SECRET_CHECKSUM_CHARS])
{
    encode_base62(encode_crc32(text), sum, SECRET_CHECKSUM_CHARS);
}

struct str secret_new(const char *prefix, struct arena *arena)
{
    size_t prefix_len = strlen(prefix);
    CHECK(prefix_len <= PREFIX_BYTES_MAX);
    size_t body_len = prefix_len + SECRET_RANDOM_CHARS;
    char  *text = NEW(arena, char, body_len + SECRET_CHECKSUM_CHARS + 1);
    memcpy(text, prefix, prefix_len);
    random_base62(text + prefix_len, SECRET_RANDOM_CHARS);
    checksum((struct str){ text, body_len }, text + body_len);
    return (struct str){ text, body_len + SECRET_CHECKSUM_CHARS };
}

static bool is_base62(struct str text)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.data[i];
        bool is_digit = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
        if (!is_digit) return false;
    }
    return true;
}

bool secret_is_well_formed(struct str secret, const char *prefix)
{
    struct str start = str_of(prefix);
    size_t     body_len = start.len + SECRET_RANDOM_CHARS;
    if (secret.len != body_len + SECRET_CHECKSUM_CHARS) return false;
    if (!str_starts_with(secret, start) || !is_base62(str_skip(secret, start.len))) return false;
    char sum[SECRET_CHECKSUM_CHARS];
    checksum(str_take(secret, body_len), sum);
    return crypto_equal(secret.data + body_len, sum, sizeof(sum));
}

struct str secret_hash(const struct keyring *keyring, int position, struct str secret,
                       struct arena *arena)
{
    unsigned char mac[SHA256_BYTES];
    if (!keyring_mac_at(keyring, position, PURPOSE_API_KEY, secret, mac)) return STR_NONE;
    return encode_hex(arena, mac, sizeof(mac));
}

struct str secret_hash_new(const struct keyring *keyring, struct str secret, struct arena *arena,
                           int *ret_server_key)
{
    unsigned char mac[SHA256_BYTES];
    *ret_server_key = keyring_newest(keyring);
    CHECK(keyring_mac(keyring, *ret_server_key, PURPOSE_API_KEY, secret, mac));
    return encode_hex(arena, mac, sizeof(mac));
}
