/* JSON out: a streaming writer into a buf; no tree. Commas and closing brackets are its business.
 * key is a NUL-terminated literal, or NULL inside an array and at the root. Failure sticks in the
 * buf. Text must be valid UTF-8 (invalid bytes are written as U+FFFD). */
#ifndef FIRSTHAND_BASE_JSON_OUT_H
#define FIRSTHAND_BASE_JSON_OUT_H

#include "base/buf.h"

#include <jansson.h>

enum { JSON_OUT_DEPTH_MAX = 40 };

struct json_out {
    struct buf *buf;
    int         depth;
    bool        has_item[JSON_OUT_DEPTH_MAX];
    char        closer[JSON_OUT_DEPTH_MAX];
};

void json_out_init(struct json_out *out, struct buf *buf);

void out_object(struct json_out *out, const char *key); /* until out_close */
void out_array(struct json_out *out, const char *key);  /* until out_close */
void out_close(struct json_out *out);

void out_text(struct json_out *out, const char *key, struct str text); /* absent → null */
void out_int(struct json_out *out, const char *key, int64_t value);
void out_bool(struct json_out *out, const char *key, bool value);
void out_null(struct json_out *out, const char *key);

/* How many bytes out_text writes for it, if it is UTF-8. */
size_t json_text_bytes(struct str text);

/* The shortest decimal that reads back as the same double; not finite → null. */
void out_number(struct json_out *out, const char *key, double value);

/* numerator / 10^decimals without floating point: (200000, 6) → 0.2, (1500, 3) → 1.5. */
void out_decimal(struct json_out *out, const char *key, int64_t numerator, int decimals);

/* RFC 3339 text; 0 → null (no time this program stores is zero). */
void out_time(struct json_out *out, const char *key, int64_t time_ms);

/* Text that is JSON already. */
void out_raw(struct json_out *out, const char *key, struct str json);

/* A parsed value, keys in their order, numbers as they were. */
void out_value(struct json_out *out, const char *key, const json_t *value);

#endif
