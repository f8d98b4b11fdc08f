/* The outer structure of an image file, walked before any decoder sees it: how large it says it
 * is, whether its end is there, which parts are damaged. */
#ifndef FIRSTHAND_PLATFORM_MEDIA_WRAPPER_H
#define FIRSTHAND_PLATFORM_MEDIA_WRAPPER_H

#include "base/media_type.h"

struct media_wrapper {
    int64_t width, height; /* 0 = not told */
    bool    is_complete;   /* the end marker, or the promised length, is there */
    bool    is_animated;   /* WebP animation: frames we do not decode */
    int32_t damaged_count; /* PNG chunks whose checksum is wrong */
    size_t  image_bytes;   /* what to give to the decoder, from the start */
};

/* Reads bytes[0…len). A PNG is squeezed in place to the chunks that make up the picture: text and
 * colour profiles are compressed too, and would only be bombs. */
void media_wrapper_walk(char *bytes, size_t len, enum media_type type,
                        struct media_wrapper *ret_wrapper);

#endif
