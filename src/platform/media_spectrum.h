/* The mean power spectrum of a sound, and how far up it carries signal. */
#ifndef FIRSTHAND_PLATFORM_MEDIA_SPECTRUM_H
#define FIRSTHAND_PLATFORM_MEDIA_SPECTRUM_H

#include "base/arena.h"

#include <libavutil/tx.h>
#include <stdint.h>

enum { SPECTRUM_WINDOW = 2048, SPECTRUM_BINS = SPECTRUM_WINDOW / 2 };

struct spectrum {
    AVTXContext    *transform;
    av_tx_fn        transform_run;
    float          *window; /* Hann */
    float          *samples;
    AVComplexFloat *in, *out;
    double         *power; /* sum over the windows so far */
    int64_t         windows_count;
    int             filled;
};

void spectrum_open(struct spectrum *spectrum, struct arena *arena);
void spectrum_add(struct spectrum *spectrum, float sample);
void spectrum_close(struct spectrum *spectrum);

/* Upper end of the highest band that stands out; 0 when nothing does. */
int32_t spectrum_bandwidth_hz(const struct spectrum *spectrum, int sample_rate_hz);

#endif
