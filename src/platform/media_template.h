/* Templates: one small, valid file of each media format, compiled in (tools/make-templates), from
 * which files with bytes of their own are made. What tells them apart stands in a comment inside.
 */
#ifndef FIRSTHAND_PLATFORM_MEDIA_TEMPLATE_H
#define FIRSTHAND_PLATFORM_MEDIA_TEMPLATE_H

#include "platform/media.h"

enum { MEDIA_TEMPLATE_BYTES_MAX = 16 << 10, MEDIA_NONCE_BYTES = 16 };

/* A file of the type with the nonce in it: the same nonce gives the same bytes. Owned by the arena.
 */
struct str media_template_make(enum media_type type, const unsigned char nonce[MEDIA_NONCE_BYTES],
                               struct arena *arena);

/* What examining such a file finds of verdict, type, size and duration; the rest is zero. */
void media_template_facts(enum media_type type, struct media_result *ret_facts);

#endif
