#include "base/encode.h"

#include <string.h>

static const char hex_digits[] = "0123456789abcdef";
static const char base62_digits[] =
    "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
static const char base64_digits[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char base64url_digits[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

struct str encode_hex(struct arena *arena, const void *bytes, size_t count)
{
    const unsigned char *in = bytes;
    char                *text = NEW(arena, char, count * 2 + 1);
    for (size_t i = 0; i < count; i++) {
        text[2 * i] = hex_digits[in[i] >> 4];
        text[2 * i + 1] = hex_digits[in[i] & 15];
    }
    return (struct str){ text, count * 2 };
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

bool decode_hex(struct str text, void *bytes, size_t count)
{
    unsigned char *out = bytes;
    if (text.len != count * 2) return false;
    for (size_t i = 0; i < count; i++) {
        int high = hex_value(text.data[2 * i]);
        int low = hex_value(text.data[2 * i + 1]);
        if (high < 0 || low < 0) return false;
        out[i] = (unsigned char)(high << 4 | low);
    }
    return true;
}

static struct str encode_64(struct arena *arena, const void *bytes, size_t count,
                            const char *alphabet, bool has_padding)
{
    const unsigned char *in = bytes;
    char                *text = NEW(arena, char, (count + 2) / 3 * 4 + 1);
    size_t               len = 0;
    for (size_t i = 0; i < count; i += 3) {
        size_t   have = count - i < 3 ? count - i : 3;
        uint32_t group = (uint32_t)in[i] << 16;
        if (have > 1) group |= (uint32_t)in[i + 1] << 8;
        if (have > 2) group |= in[i + 2];
        for (size_t digit = 0; digit < 4; digit++) {
            if (digit <= have)
                text[len++] = alphabet[group >> (18 - 6 * digit) & 63];
            else if (has_padding)
                text[len++] = '=';
        }
    }
    return (struct str){ text, len };
}

struct str encode_base64(struct arena *arena, const void *bytes, size_t count)
{
    return encode_64(arena, bytes, count, base64_digits, true);
}

struct str encode_base64url(struct arena *arena, const void *bytes, size_t count)
{
    return encode_64(arena, bytes, count, base64url_digits, false);
}

static bool decode_64(struct arena *arena, struct str text, const char *alphabet,
                      struct str *ret_bytes)
{
    if (text.len % 4 == 1) return false;
    char    *out = NEW(arena, char, text.len / 4 * 3 + 3);
    size_t   len = 0;
    uint32_t group = 0;
    int      bits = 0;
    for (size_t i = 0; i < text.len; i++) {
        const char *at = memchr(alphabet, text.data[i], 64);
        if (at == NULL) return false;
        group = group << 6 | (uint32_t)(at - alphabet);
        bits += 6;
        if (bits >= 8) {
            bits -= 8;
            out[len++] = (char)(group >> bits & 0xff);
        }
    }
    if (group & (BIT(bits) - 1)) return false; /* stray bits: not canonical */
    *ret_bytes = (struct str){ out, len };
    return true;
}

bool decode_base64(struct arena *arena, struct str text, struct str *ret_bytes)
{
    if (text.len % 4 != 0) return false;
    for (int padding = 0; padding < 2 && str_ends_with(text, STR("=")); padding++)
        text.len--;
    return decode_64(arena, text, base64_digits, ret_bytes);
}

bool decode_base64url(struct arena *arena, struct str text, struct str *ret_bytes)
{
    return decode_64(arena, text, base64url_digits, ret_bytes);
}

void encode_base62(uint64_t value, char *text, size_t count)
{
    while (count-- > 0) {
        text[count] = base62_digits[value % 62];
        value /= 62;
    }
}

uint32_t encode_crc32(struct str bytes)
{
    uint32_t crc = UINT32_MAX;
    for (size_t i = 0; i < bytes.len; i++) {
        crc ^= (unsigned char)bytes.data[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
    }
    return ~crc;
}

bool decode_percent(struct arena *arena, struct str text, bool is_form, struct str *ret_decoded)
{
    char  *out = NEW(arena, char, text.len + 1);
    size_t len = 0;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.data[i];
        if (c == '+' && is_form) {
            c = ' ';
        } else if (c == '%') {
            if (!decode_hex(str_take(str_skip(text, i + 1), 2), &c, 1)) return false;
            i += 2;
        }
        out[len++] = c;
    }
    *ret_decoded = (struct str){ out, len };
    return true;
}
