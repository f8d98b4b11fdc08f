/* Filling struct media_result where images and movies do it alike. */
#ifndef FIRSTHAND_PLATFORM_MEDIA_RECORD_H
#define FIRSTHAND_PLATFORM_MEDIA_RECORD_H

#include "platform/media.h"

/* The verdict UNDECODABLE with its reason, a lower snake slug. */
void record_refuse(struct media_result *result, const char *reason);

/* Size as shown: the sides change places for the four orientations on their side. */
void record_set_size(struct media_result *result, int width, int height, int32_t orientation);

#endif
