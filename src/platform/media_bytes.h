/* Numbers in the headers of image files. What lies beyond the end of the bytes reads as 0. */
#ifndef FIRSTHAND_PLATFORM_MEDIA_BYTES_H
#define FIRSTHAND_PLATFORM_MEDIA_BYTES_H

#include "base/str.h"

static inline unsigned byte_at(struct str bytes, size_t at)
{
    return at < bytes.len ? (unsigned char)bytes.data[at] : 0;
}

static inline unsigned be16_at(struct str bytes, size_t at)
{
    return byte_at(bytes, at) << 8 | byte_at(bytes, at + 1);
}

static inline unsigned le16_at(struct str bytes, size_t at)
{
    return byte_at(bytes, at) | byte_at(bytes, at + 1) << 8;
}

static inline uint32_t be32_at(struct str bytes, size_t at)
{
    return be16_at(bytes, at) << 16 | be16_at(bytes, at + 2);
}

static inline uint32_t le24_at(struct str bytes, size_t at)
{
    return le16_at(bytes, at) | byte_at(bytes, at + 2) << 16;
}

static inline uint32_t le32_at(struct str bytes, size_t at)
{
    return le16_at(bytes, at) | le16_at(bytes, at + 2) << 16;
}

#endif
