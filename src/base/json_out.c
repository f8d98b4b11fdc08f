#include "base/json_out.h"

#include "base/json_in.h"
#include "base/time_text.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void json_out_init(struct json_out *out, struct buf *buf)
{
    *out = (struct json_out){ .buf = buf };
}

/* The letter that a control character has in JSON; 0 when it goes by its number. A text must not
 * grow from how it was sent, or what fitted into a request would fit nowhere else. */
static char escape_letter(unsigned char c)
{
    switch (c) {
    case '"':
    case '\\': return (char)c;
    case '\b': return 'b';
    case '\f': return 'f';
    case '\n': return 'n';
    case '\r': return 'r';
    case '\t': return 't';
    default: return 0;
    }
}

static bool is_escaped(unsigned char c)
{
    return c < 0x20 || c == '"' || c == '\\';
}

static void write_escape(struct buf *buf, unsigned char c)
{
    char letter = escape_letter(c);
    if (letter)
        buf_fmt(buf, "\\%c", letter);
    else
        buf_fmt(buf, "\\u%04x", c);
}

static void write_escaped(struct buf *buf, struct str text)
{
    buf_add_byte(buf, '"');
    size_t start = 0;
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.data[i];
        if (!is_escaped(c)) continue;
        buf_add(buf, str_take(str_skip(text, start), i - start));
        start = i + 1;
        write_escape(buf, c);
    }
    buf_add(buf, str_skip(text, start));
    buf_add_byte(buf, '"');
}

/* ASCII that is written as it stands. Every byte is looked at, so that the compiler can take many
 * at a time: most text of most replies is of this kind. */
static bool is_plain(struct str text)
{
    unsigned special = 0;
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.data[i];
        special |= (unsigned)(c < 0x20) | (unsigned)(c >= 0x80) | (unsigned)(c == '"') |
                   (unsigned)(c == '\\');
    }
    return special == 0;
}

size_t json_text_bytes(struct str text)
{
    size_t bytes = text.len + 2;
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.data[i];
        if (is_escaped(c)) bytes += escape_letter(c) ? 1 : 5;
    }
    return bytes;
}

static void write_plain(struct buf *buf, struct str text)
{
    char *at = buf_extend(buf, text.len + 2);
    if (at == NULL) return;
    at[0] = at[text.len + 1] = '"';
    if (text.len) memcpy(at + 1, text.data, text.len);
}

static void write_text(struct buf *buf, struct str text)
{
    if (is_plain(text)) {
        write_plain(buf, text);
        return;
    }
    if (str_is_utf8(text)) {
        write_escaped(buf, text);
        return;
    }
    /* Text from outside the API (a file's own words), or a message cut within a character. */
    struct buf clean;
    buf_init(&clean, buf->arena, text.len * 3);
    while (text.len > 0) {
        size_t len = str_utf8_sequence(text);
        buf_add(&clean, len ? str_take(text, len) : STR("\xef\xbf\xbd"));
        text = str_skip(text, len ? len : 1);
    }
    write_escaped(buf, buf_str(&clean));
}

/* What precedes a value: the comma, and the key inside an object. */
static void before_value(struct json_out *out, struct str key)
{
    CHECK((key.data != NULL) == (out->depth > 0 && out->closer[out->depth - 1] == '}'));
    if (out->depth > 0) {
        if (out->has_item[out->depth - 1]) buf_add_byte(out->buf, ',');
        out->has_item[out->depth - 1] = true;
    }
    if (key.data == NULL) return;
    write_text(out->buf, key);
    buf_add_byte(out->buf, ':');
}

static void open_with(struct json_out *out, struct str key, char opener, char closer)
{
    CHECK(out->depth < JSON_OUT_DEPTH_MAX);
    before_value(out, key);
    buf_add_byte(out->buf, opener);
    out->closer[out->depth] = closer;
    out->has_item[out->depth] = false;
    out->depth++;
}

void out_object(struct json_out *out, const char *key)
{
    open_with(out, str_of(key), '{', '}');
}

void out_array(struct json_out *out, const char *key)
{
    open_with(out, str_of(key), '[', ']');
}

void out_close(struct json_out *out)
{
    CHECK(out->depth > 0);
    out->depth--;
    buf_add_byte(out->buf, out->closer[out->depth]);
}

void out_raw(struct json_out *out, const char *key, struct str json)
{
    before_value(out, str_of(key));
    buf_add(out->buf, json);
}

void out_text(struct json_out *out, const char *key, struct str text)
{
    before_value(out, str_of(key));
    if (text.data == NULL)
        buf_add(out->buf, STR("null"));
    else
        write_text(out->buf, text);
}

void out_int(struct json_out *out, const char *key, int64_t value)
{
    before_value(out, str_of(key));
    buf_add_int(out->buf, value);
}

void out_bool(struct json_out *out, const char *key, bool value)
{
    out_raw(out, key, value ? STR("true") : STR("false"));
}

void out_null(struct json_out *out, const char *key)
{
    out_raw(out, key, STR("null"));
}

static void write_number(struct buf *buf, double value)
{
    if (!isfinite(value)) {
        buf_add(buf, STR("null"));
        return;
    }
    char text[40];
    for (int precision = 15; precision <= 17; precision++) {
        snprintf(text, sizeof(text), "%.*g", precision, value);
        if (strtod(text, NULL) == value) break;
    }
    buf_add(buf, str_of(text));
}

void out_number(struct json_out *out, const char *key, double value)
{
    before_value(out, str_of(key));
    write_number(out->buf, value);
}

void out_decimal(struct json_out *out, const char *key, int64_t numerator, int decimals)
{
    before_value(out, str_of(key));
    int64_t scale = 1;
    for (int i = 0; i < decimals; i++)
        scale *= 10;
    if (numerator < 0) buf_add_byte(out->buf, '-');
    uint64_t magnitude = numerator < 0 ? -(uint64_t)numerator : (uint64_t)numerator;
    uint64_t fraction = magnitude % (uint64_t)scale;
    buf_fmt(out->buf, "%llu", (unsigned long long)(magnitude / (uint64_t)scale));
    if (fraction == 0) return;
    while (fraction % 10 == 0) {
        fraction /= 10;
        decimals--;
    }
    buf_fmt(out->buf, ".%0*llu", decimals, (unsigned long long)fraction);
}

void out_time(struct json_out *out, const char *key, int64_t time_ms)
{
    if (time_ms == 0) {
        out_null(out, key);
        return;
    }
    char text[TIME_TEXT_BYTES];
    time_format(time_ms, text);
    out_text(out, key, str_of(text));
}

static void out_parsed(struct json_out *out, struct str key, const json_t *value);

static void out_members(struct json_out *out, const json_t *value)
{
    /* jansson's iteration takes a non-const pointer but does not change the object. */
    json_t     *object = (json_t *)(uintptr_t)value;
    const char *name;
    size_t      name_len;
    json_t     *member;
    json_object_keylen_foreach(object, name, name_len, member)
    {
        out_parsed(out, (struct str){ name, name_len }, member);
    }
}

static void out_parsed(struct json_out *out, struct str key, const json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        open_with(out, key, '{', '}');
        out_members(out, value);
        out_close(out);
        return;
    case JSON_ARRAY:
        open_with(out, key, '[', ']');
        for (size_t i = 0; i < json_array_size(value); i++)
            out_parsed(out, STR_NONE, json_array_get(value, i));
        out_close(out);
        return;
    default: break;
    }

    before_value(out, key);
    switch (json_typeof(value)) {
    case JSON_STRING: write_text(out->buf, json_text(value)); return;
    case JSON_INTEGER: buf_add_int(out->buf, json_integer_value(value)); return;
    case JSON_REAL: {
        size_t before = out->buf->len;
        write_number(out->buf, json_real_value(value));
        struct str written = str_skip(buf_str(out->buf), before);
        bool       has_point = false;
        for (size_t i = 0; i < written.len; i++)
            has_point |= written.data[i] == '.' || written.data[i] == 'e';
        if (!has_point) buf_add(out->buf, STR(".0")); /* 3.0 stays a real number */
        return;
    }
    case JSON_TRUE: buf_add(out->buf, STR("true")); return;
    case JSON_FALSE: buf_add(out->buf, STR("false")); return;
    default: buf_add(out->buf, STR("null")); return;
    }
}

void out_value(struct json_out *out, const char *key, const json_t *value)
{
    out_parsed(out, str_of(key), value);
}
