/* Measures decoded sound as it comes: loudness, peaks, clipping, silence, bandwidth, noise. */
#ifndef FIRSTHAND_PLATFORM_MEDIA_SOUND_H
#define FIRSTHAND_PLATFORM_MEDIA_SOUND_H

#include "platform/media.h"
#include "platform/media_loudness.h"
#include "platform/media_spectrum.h"

#include <libavutil/frame.h>
#include <libswresample/swresample.h>

enum {
    SOUND_CHANNELS_MAX = 8,
    SOUND_RATE_HZ_MIN = 4000, /* the loudness filter needs its 1.7 kHz shelf below half of it */
    SOUND_RATE_HZ_MAX = 384000,
    SOUND_RATE_RATIO_MAX = 4, /* between frames of one sound */
    SOUND_FRAME_SAMPLES_MAX = 1 << 18,
    SOUND_LEVELS_COUNT = 1300, /* tenths of a decibel from -120 dBFS */
};

struct sound {
    struct arena    *arena;
    struct loudness *loudness;
    int              rate_hz, channels_count; /* of the first frame; 0 before it */
    int64_t          samples_count;           /* per channel */

    SwrContext *convert; /* from the frames now coming to interleaved float as first measured */
    int         convert_format, convert_rate_hz, convert_channels_count;
    float      *samples;
    int         samples_capacity;

    int64_t clipped_count;
    int     clipped_run[SOUND_CHANNELS_MAX];

    double   level_energy; /* of the 50 ms being filled */
    int      level_filled, level_length;
    int64_t  levels_seen, silent_count, silent_lead, silent_tail;
    uint32_t levels[SOUND_LEVELS_COUNT];

    struct spectrum spectrum;
};

/* Nothing is allocated before the first frame. */
void sound_open(struct sound *sound, struct arena *arena);

/* A frame unlike the first (AAC may announce its doubled rate late) is resampled to be like it.
 * false when it cannot be measured: a rate, channel count or length outside the limits. */
MUST_USE bool sound_add(struct sound *sound, const AVFrame *frame);

/* How long it was so far. */
int64_t sound_ms(const struct sound *sound);

void sound_finish(const struct sound *sound, struct media_audio_figures *ret_figures);
void sound_close(struct sound *sound);

#endif
