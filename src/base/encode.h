/* Text encodings of bytes and numbers. */
#ifndef FIRSTHAND_BASE_ENCODE_H
#define FIRSTHAND_BASE_ENCODE_H

#include "base/str.h"

#include <stdint.h>

/* Lower-case hexadecimal, owned by the arena. */
struct str encode_hex(struct arena *arena, const void *bytes, size_t count);

/* Exactly count bytes from 2 × count hexadecimal digits of either case. */
MUST_USE bool decode_hex(struct str text, void *bytes, size_t count);

/* RFC 4648 base64 with padding, and base64url without. Owned by the arena. */
struct str encode_base64(struct arena *arena, const void *bytes, size_t count);
struct str encode_base64url(struct arena *arena, const void *bytes, size_t count);

/* Strict: no white space, canonical padding for base64, none for base64url. */
MUST_USE bool decode_base64(struct arena *arena, struct str text, struct str *ret_bytes);
MUST_USE bool decode_base64url(struct arena *arena, struct str text, struct str *ret_bytes);

/* value as exactly count digits of 0-9A-Za-z, most significant first; higher digits are lost. */
void encode_base62(uint64_t value, char *text, size_t count);

/* CRC-32 (IEEE 802.3), as in zlib. */
uint32_t encode_crc32(struct str bytes);

/* Percent-decoding (RFC 3986); with is_form, '+' is a space. false on a malformed escape. */
MUST_USE bool decode_percent(struct arena *arena, struct str text, bool is_form,
                             struct str *ret_decoded);

#endif
