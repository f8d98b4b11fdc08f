/* Growing text in an arena with a ceiling. The first append that does not fit sets failed and
 * every later one is ignored, so a writer asks once, at the end. Growing leaves the smaller memory
 * behind in the arena: together less than the final size. */
#ifndef FIRSTHAND_BASE_BUF_H
#define FIRSTHAND_BASE_BUF_H

#include "base/str.h"

struct buf {
    struct arena *arena;
    char         *data;
    size_t        len;
    size_t        cap;
    size_t        bytes_max;
    bool          failed;
};

void buf_init(struct buf *buf, struct arena *arena, size_t bytes_max); /* allocates nothing yet */

void buf_add(struct buf *buf, struct str text);
void buf_add_byte(struct buf *buf, char byte);
void buf_add_int(struct buf *buf, int64_t value); /* decimal */
/* Room for count more bytes, all of which the caller writes at once; NULL when they do not fit. */
char *buf_extend(struct buf *buf, size_t count);
PRINTF_LIKE(2, 3) void buf_fmt(struct buf *buf, const char *format, ...);

/* What was written so far; valid until the next append. Never absent. */
struct str buf_str(const struct buf *buf);

#endif
