/* Examines sound and video files: MP3, WAV, M4A, MP4, MOV. */
#ifndef FIRSTHAND_PLATFORM_MEDIA_MOVIE_H
#define FIRSTHAND_PLATFORM_MEDIA_MOVIE_H

#include "base/arena.h"
#include "platform/media.h"

/* sniffed: what media_sniff says, not 0. result comes with version, type and orientation 1;
 * everything else zero. The type is settled here, by the tracks. */
void movie_examine(struct arena *arena, int fd, int64_t size_bytes, unsigned sniffed,
                   const struct media_limits *limits, struct media_result *result);

#endif
