#include "platform/media_boxes.h"

#include "base/str.h"
#include "platform/media_io.h"

enum { HEAD_BYTES = 8, LONG_HEAD_BYTES = 16, BOXES_MAX = 100000 };

struct head {
    char    kind[4];
    int64_t size_bytes; /* of the whole box; beyond the file's when it says nonsense */
};

static uint64_t be_at(const unsigned char *bytes, int count)
{
    uint64_t value = 0;
    for (int i = 0; i < count; i++)
        value = value << 8 | bytes[i];
    return value;
}

/* false when no box can begin there. */
static bool head_read(int fd, int64_t at, int64_t left_bytes, struct head *ret_head)
{
    unsigned char bytes[LONG_HEAD_BYTES] = { 0 };
    if (media_read_at(fd, at, bytes, sizeof bytes) < HEAD_BYTES) return false;
    uint64_t size = be_at(bytes, 4);
    if (size == 0) size = (uint64_t)left_bytes; /* to the end of the file */
    if (size == 1) size = be_at(bytes + HEAD_BYTES, 8);
    if (size < HEAD_BYTES) return false;
    *ret_head = (struct head){
        .kind = { (char)bytes[4], (char)bytes[5], (char)bytes[6], (char)bytes[7] },
        .size_bytes = size > INT64_MAX ? INT64_MAX : (int64_t)size,
    };
    return true;
}

static bool is_kind(const struct head *head, struct str kind)
{
    return str_eq((struct str){ head->kind, sizeof head->kind }, kind);
}

bool boxes_end_in_fragment(int fd, int64_t size_bytes)
{
    bool        is_fragmented = false;
    struct head head;
    int64_t     at = 0;
    for (int i = 0; i < BOXES_MAX && at < size_bytes; i++) {
        if (!head_read(fd, at, size_bytes - at, &head)) return false;
        bool is_fragment = is_kind(&head, STR("moof"));
        is_fragmented |= is_fragment;
        if (head.size_bytes > size_bytes - at)
            return is_fragmented && (is_fragment || is_kind(&head, STR("mdat")));
        at += head.size_bytes;
    }
    return false;
}
