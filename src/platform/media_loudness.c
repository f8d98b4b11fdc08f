#include "platform/media_loudness.h"

#include <ebur128.h>
#include <math.h>
#include <stdint.h>

/* struct loudness is never defined: a pointer to it is a pointer to the library's state. */
static ebur128_state *state_of(const struct loudness *loudness)
{
    return (ebur128_state *)(uintptr_t)loudness;
}

struct loudness *loudness_open(int channels_count, int sample_rate_hz)
{
    ebur128_state *state = ebur128_init((unsigned)channels_count, (unsigned long)sample_rate_hz,
                                        EBUR128_MODE_I | EBUR128_MODE_TRUE_PEAK);
    CHECK(state != NULL);
    return (struct loudness *)state;
}

void loudness_close(struct loudness **loudness)
{
    ebur128_state *state = state_of(*loudness);
    if (state != NULL) ebur128_destroy(&state);
    *loudness = NULL;
}

void loudness_add(struct loudness *loudness, const float *samples, int samples_count)
{
    int e = ebur128_add_frames_float(state_of(loudness), samples, (size_t)samples_count);
    CHECK(e == EBUR128_SUCCESS);
}

bool loudness_integrated(const struct loudness *loudness, double *ret_lufs)
{
    double lufs = -HUGE_VAL;
    int    e = ebur128_loudness_global(state_of(loudness), &lufs);
    if (e != EBUR128_SUCCESS || !isfinite(lufs)) return false;
    *ret_lufs = lufs;
    return true;
}

double loudness_true_peak(const struct loudness *loudness)
{
    ebur128_state *state = state_of(loudness);
    double         peak = 0;
    for (unsigned channel = 0; channel < state->channels; channel++) {
        double of_channel = 0;
        if (ebur128_true_peak(state, channel, &of_channel) == EBUR128_SUCCESS)
            peak = fmax(peak, of_channel);
    }
    return peak;
}
