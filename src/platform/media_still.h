/* Examines an image file: PNG, JPEG, WebP. */
#ifndef FIRSTHAND_PLATFORM_MEDIA_STILL_H
#define FIRSTHAND_PLATFORM_MEDIA_STILL_H

#include "base/arena.h"
#include "platform/media.h"

enum { STILL_BYTES_MAX = 128 << 20 };

/* result comes with version, type and orientation 1; everything else zero. */
void still_examine(struct arena *arena, int fd, int64_t size_bytes, enum media_type type,
                   struct media_result *result);

#endif
