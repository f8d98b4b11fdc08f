#include "base/str.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

struct str str_of(const char *text)
{
    return (struct str){ text, text ? strlen(text) : 0 };
}

bool str_eq(struct str a, struct str b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

bool str_eq_ignoring_case(struct str a, struct str b)
{
    return a.len == b.len && (a.len == 0 || strncasecmp(a.data, b.data, a.len) == 0);
}

bool str_starts_with(struct str s, struct str prefix)
{
    return s.len >= prefix.len && str_eq(str_take(s, prefix.len), prefix);
}

bool str_ends_with(struct str s, struct str suffix)
{
    return s.len >= suffix.len && str_eq(str_skip(s, s.len - suffix.len), suffix);
}

int str_compare(struct str a, struct str b)
{
    size_t shared = a.len < b.len ? a.len : b.len;
    int    order = shared ? memcmp(a.data, b.data, shared) : 0;
    if (order != 0) return order;
    return (a.len > b.len) - (a.len < b.len);
}

struct str str_skip(struct str s, size_t count)
{
    if (count > s.len) count = s.len;
    if (s.data == NULL) return s;
    return (struct str){ s.data + count, s.len - count };
}

struct str str_take(struct str s, size_t count)
{
    return (struct str){ s.data, count < s.len ? count : s.len };
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

struct str str_trim(struct str s)
{
    while (s.len > 0 && is_blank(s.data[0]))
        s = str_skip(s, 1);
    while (s.len > 0 && is_blank(s.data[s.len - 1]))
        s.len--;
    return s;
}

bool str_cut(struct str *s, char separator, struct str *head)
{
    if (s->data == NULL) return false;
    const char *at = s->len ? memchr(s->data, separator, s->len) : NULL;
    if (at == NULL) {
        *head = *s;
        *s = STR_NONE;
        return true;
    }
    size_t before = (size_t)(at - s->data);
    *head = str_take(*s, before);
    *s = str_skip(*s, before + 1);
    return true;
}

struct str str_copy(struct arena *arena, struct str s)
{
    if (s.data == NULL) return s;
    char *copy = NEW(arena, char, s.len + 1);
    if (s.len) memcpy(copy, s.data, s.len);
    return (struct str){ copy, s.len };
}

const char *str_c(struct arena *arena, struct str s)
{
    return str_copy(arena, s).data;
}

struct str str_format(struct arena *arena, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    va_list again;
    va_copy(again, arguments);
    int len = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    CHECK(len >= 0);
    char *text = NEW(arena, char, len + 1);
    vsnprintf(text, (size_t)len + 1, format, again);
    va_end(again);
    return (struct str){ text, (size_t)len };
}

bool str_to_int64(struct str s, int64_t *ret_value)
{
    bool is_negative = s.len > 0 && s.data[0] == '-';
    if (is_negative) s = str_skip(s, 1);
    if (s.len == 0) return false;
    int64_t value = 0;
    for (size_t i = 0; i < s.len; i++) {
        if (s.data[i] < '0' || s.data[i] > '9') return false;
        int digit = s.data[i] - '0';
        if (__builtin_mul_overflow(value, 10, &value)) return false;
        if (__builtin_add_overflow(value, is_negative ? -digit : digit, &value)) return false;
    }
    *ret_value = value;
    return true;
}

size_t str_utf8_sequence(struct str s)
{
    if (s.len == 0) return 0;
    const unsigned char *u = (const unsigned char *)s.data;
    if (u[0] < 0x80) return u[0] == 0 ? 0 : 1;
    size_t len = u[0] >= 0xf0 ? 4 : u[0] >= 0xe0 ? 3 : 2;
    if (u[0] < 0xc2 || u[0] > 0xf4 || s.len < len) return 0;
    for (size_t i = 1; i < len; i++)
        if ((u[i] & 0xc0) != 0x80) return 0;
    if (u[0] == 0xe0 && u[1] < 0xa0) return 0;
    if (u[0] == 0xed && u[1] > 0x9f) return 0;
    if (u[0] == 0xf0 && u[1] < 0x90) return 0;
    if (u[0] == 0xf4 && u[1] > 0x8f) return 0;
    return len;
}

bool str_is_utf8(struct str s)
{
    size_t at = 0;
    while (at < s.len) {
        bool   is_ascii = s.data[at] > 0 && (unsigned char)s.data[at] < 0x80;
        size_t len = is_ascii ? 1 : str_utf8_sequence(str_skip(s, at));
        if (len == 0) return false;
        at += len;
    }
    return true;
}

size_t str_code_points(struct str s)
{
    size_t count = 0;
    for (size_t i = 0; i < s.len; i++)
        count += ((unsigned char)s.data[i] & 0xc0) != 0x80;
    return count;
}

struct str str_sanitise(struct arena *arena, struct str s, size_t bytes_max)
{
    char  *text = NEW(arena, char, (s.len < bytes_max ? s.len : bytes_max) + 1);
    size_t used = 0;
    while (s.len > 0) {
        size_t len = str_utf8_sequence(s);
        size_t take = len ? len : 1;
        if (used + take > bytes_max) break;
        bool is_plain = len > 1 || (len == 1 && s.data[0] >= 0x20 && s.data[0] != 0x7f);
        if (is_plain)
            memcpy(text + used, s.data, take);
        else
            text[used] = '?';
        used += take;
        s = str_skip(s, take);
    }
    return (struct str){ text, used };
}

int str_index(struct str s, const char *const *names, int count)
{
    for (int i = 0; i < count; i++)
        if (str_eq(s, str_of(names[i]))) return i;
    return -1;
}

uint32_t str_hash(struct str s)
{
    uint32_t hash = 2166136261u;
    for (size_t i = 0; i < s.len; i++)
        hash = (hash ^ (unsigned char)s.data[i]) * 16777619u;
    return hash;
}
