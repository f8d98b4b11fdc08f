#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { BUF_BYTES_FIRST = 1024, INT64_CHARS_MAX = 20 };

void buf_init(struct buf *buf, struct arena *arena, size_t bytes_max)
{
    *buf = (struct buf){ .arena = arena, .bytes_max = bytes_max };
}

/* Room for extra more bytes and a NUL that vsnprintf may write after them, or failed. */
static bool buf_reserve(struct buf *buf, size_t extra)
{
    if (buf->failed || extra > buf->bytes_max - buf->len) {
        buf->failed = true;
        return false;
    }
    size_t needed = buf->len + extra;
    if (needed <= buf->cap) return true;
    size_t cap = buf->cap ? buf->cap * 2 : BUF_BYTES_FIRST;
    while (cap < needed)
        cap *= 2;
    char *data = NEW(buf->arena, char, cap + 1);
    if (buf->len) memcpy(data, buf->data, buf->len);
    buf->data = data;
    buf->cap = cap;
    return true;
}

char *buf_extend(struct buf *buf, size_t count)
{
    if (!buf_reserve(buf, count)) return NULL;
    buf->len += count;
    return buf->data + buf->len - count;
}

void buf_add(struct buf *buf, struct str text)
{
    char *at = text.len ? buf_extend(buf, text.len) : NULL;
    if (at) memcpy(at, text.data, text.len);
}

void buf_add_byte(struct buf *buf, char byte)
{
    if (!buf_reserve(buf, 1)) return;
    buf->data[buf->len++] = byte;
}

void buf_add_int(struct buf *buf, int64_t value)
{
    char     text[INT64_CHARS_MAX];
    size_t   at = sizeof(text);
    uint64_t magnitude = value < 0 ? -(uint64_t)value : (uint64_t)value;
    do
        text[--at] = (char)('0' + magnitude % 10);
    while (magnitude /= 10);
    if (value < 0) text[--at] = '-';
    buf_add(buf, (struct str){ text + at, sizeof(text) - at });
}

void buf_fmt(struct buf *buf, const char *format, ...)
{
    char    small[256];
    va_list arguments;
    va_start(arguments, format);
    va_list again;
    va_copy(again, arguments);
    int len = vsnprintf(small, sizeof(small), format, arguments);
    va_end(arguments);
    CHECK(len >= 0);
    if ((size_t)len < sizeof(small)) {
        buf_add(buf, (struct str){ small, (size_t)len });
    } else if (buf_reserve(buf, (size_t)len)) {
        vsnprintf(buf->data + buf->len, (size_t)len + 1, format, again);
        buf->len += (size_t)len;
    }
    va_end(again);
}

struct str buf_str(const struct buf *buf)
{
    return (struct str){ buf->data ? buf->data : "", buf->len };
}
