/* Which libraries decode and measure. A header of its own, without base/error.h, whose struct
 * error libebur128's enum error does not bear beside it. */
#ifndef FIRSTHAND_PLATFORM_MEDIA_VERSIONS_H
#define FIRSTHAND_PLATFORM_MEDIA_VERSIONS_H

/* "libavformat 59.27.100, libavcodec …": what a score depends on beside this program. Thread-safe;
 * never freed. */
const char *media_library_versions(void);

#endif
