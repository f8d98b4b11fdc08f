/* Examines an image file: PNG, JPEG, WebP. */
#ifndef FIRSTHAND_PLATFORM_MEDIA_STILL_H
#define FIRSTHAND_PLATFORM_MEDIA_STILL_H

#include "base/arena.h"
#include "platform/media.h"

enum { STILL_BYTES_MAX = 128 << 20 };

/* result comes with version, type and orientation 1; everything else zero. */
void still_examine(struct arena *arena, int fd, int64_t size_bytes, enum media_type type,
                   struct media_result *result);

/* The verdict UNDECODABLE with its reason. */
void media_refuse(struct media_result *result, const char *reason);

/* Size as shown: the sides change places for the four orientations on their side. */
void media_set_size(struct media_result *result, int width, int height, int32_t orientation);

#endif
