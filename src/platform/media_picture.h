/* What one picture's luma tells: exposure, sharpness, noise, blocking. */
#ifndef FIRSTHAND_PLATFORM_MEDIA_PICTURE_H
#define FIRSTHAND_PLATFORM_MEDIA_PICTURE_H

#include "platform/media.h"
#include "platform/media_luma.h"

void picture_measure(struct arena *arena, const struct luma *luma,
                     struct media_image_figures *ret_figures);

enum { PICTURE_SAMPLES_MAX = 32 };

/* Figure by figure the median of count pictures, 1 to PICTURE_SAMPLES_MAX. */
void picture_median(const struct media_image_figures *figures, int count,
                    struct media_image_figures *ret_median);

#endif
