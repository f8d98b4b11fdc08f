/* The eight media formats, and telling them apart by their first bytes. */
#ifndef FIRSTHAND_BASE_MEDIA_TYPE_H
#define FIRSTHAND_BASE_MEDIA_TYPE_H

#include "base/str.h"

enum media_type {
    MEDIA_PNG,
    MEDIA_JPEG,
    MEDIA_WEBP,
    MEDIA_MP3,
    MEDIA_WAV,
    MEDIA_M4A,
    MEDIA_MP4,
    MEDIA_MOV,
    MEDIA_TYPE__COUNT
};

enum media_kind { MEDIA_IMAGE, MEDIA_AUDIO, MEDIA_VIDEO, MEDIA_KIND__COUNT };

enum { MEDIA_SNIFF_BYTES = 64 }; /* what media_sniff wants to see; fewer only for shorter files */

/* "image/png" …; never NULL. */
const char     *media_type_name(enum media_type type);
const char     *media_type_extension(enum media_type type); /* "png" without the dot */
enum media_kind media_type_kind(enum media_type type);
MUST_USE bool   media_type_parse(struct str name, enum media_type *ret_type);

/* Which types the first bytes allow, as a set of BIT(type); 0 = none of ours. Usually one; an ISO
 * base media file whose brand does not say (isom, mp42, …) may be audio or video: both. Accepts
 * QuickTime files that begin with moov, mdat, wide, free or skip, and MP3 with or without ID3v2.
 * Never reads beyond first.len. */
unsigned media_sniff(struct str first);

#endif
