/* The brightness of a picture as one plane of bytes, from whatever pixel format the decoder
 * yields, and copies of it at other sizes. For the child's media files only. */
#ifndef FIRSTHAND_PLATFORM_MEDIA_LUMA_H
#define FIRSTHAND_PLATFORM_MEDIA_LUMA_H

#include "base/str.h"

#include <libavutil/frame.h>

struct luma {
    const uint8_t *data;
    ptrdiff_t      stride;
    int            width, height;
    bool           is_limited; /* 16…235 stands for black…white */
};

/* The frame's luma, as coded: borrowed from the frame where it has such a plane, else converted
 * into the arena. false when the pixel format cannot be read. */
MUST_USE bool luma_of_frame(struct arena *arena, const AVFrame *frame, struct luma *ret_luma);

/* The same at full range 0…255: itself, or a copy in the arena. */
struct luma luma_full_range(struct arena *arena, const struct luma *luma);

/* Area-averaged to width × height at full range, into out (width × height bytes). Scratch comes
 * from the arena. */
void luma_scale(struct arena *arena, const struct luma *luma, int width, int height, uint8_t *out);

static inline const uint8_t *luma_row(const struct luma *luma, int y)
{
    return luma->data + luma->stride * y;
}

#endif
