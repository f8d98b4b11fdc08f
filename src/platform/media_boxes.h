/* The outermost boxes of an MP4 or QuickTime file, for what the demuxer does not tell. For the
 * child's media files only. */
#ifndef FIRSTHAND_PLATFORM_MEDIA_BOXES_H
#define FIRSTHAND_PLATFORM_MEDIA_BOXES_H

#include <stdbool.h>
#include <stdint.h>

/* Is the file made of fragments, the last of which is not all there? Such a file promises no whole
 * that what there is could be held against. */
bool boxes_end_in_fragment(int fd, int64_t size_bytes);

#endif
