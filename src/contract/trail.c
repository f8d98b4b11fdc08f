#include "contract/trail.h"

#include "base/buf.h"

/* Before it is cut: names come from the document, which may be long, and not from a client. */
enum { POINTER_BYTES_MAX = 1 << 20 };

struct trail trail_member(const struct trail *up, struct str name)
{
    return (struct trail){ .up = up, .name = name };
}

struct trail trail_element(const struct trail *up, size_t index)
{
    return (struct trail){ .up = up, .index = index };
}

/* As deep as the value it walks, which the parser bounds. */
static void add_field(struct buf *buf, struct arena *arena, const struct trail *trail)
{
    if (trail == NULL) return;
    add_field(buf, arena, trail->up);
    if (trail->name.data == NULL) {
        buf_fmt(buf, "[%zu]", trail->index);
        return;
    }
    if (buf->len > 0) buf_add_byte(buf, '.');
    buf_add(buf, str_sanitise(arena, trail->name, TRAIL_NAME_BYTES_MAX));
}

struct str trail_field(struct arena *arena, const struct trail *trail)
{
    if (trail == NULL) return STR_NONE;
    struct buf buf;
    buf_init(&buf, arena, TRAIL_FIELD_BYTES_MAX); /* an append that does not fit is left out */
    add_field(&buf, arena, trail);
    return buf_str(&buf);
}

static void add_pointer(struct buf *buf, const struct trail *trail)
{
    if (trail == NULL) return;
    add_pointer(buf, trail->up);
    buf_add_byte(buf, '/');
    if (trail->name.data == NULL) buf_fmt(buf, "%zu", trail->index);
    for (size_t i = 0; i < trail->name.len; i++) {
        char c = trail->name.data[i];
        if (c == '~' || c == '/')
            buf_add(buf, c == '~' ? STR("~0") : STR("~1"));
        else
            buf_add_byte(buf, c);
    }
}

struct str trail_pointer(struct arena *arena, const struct trail *trail)
{
    struct buf buf;
    buf_init(&buf, arena, POINTER_BYTES_MAX);
    add_pointer(&buf, trail);
    struct str pointer = buf_str(&buf);
    if (pointer.len > TRAIL_POINTER_BYTES_MAX) {
        struct str end = str_skip(pointer, pointer.len - TRAIL_POINTER_BYTES_MAX + 3);
        pointer = str_format(arena, "...%.*s", STR_ARG(end));
    }
    return str_sanitise(arena, pointer, TRAIL_POINTER_BYTES_MAX);
}
