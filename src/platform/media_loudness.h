/* EBU R128 loudness and true peak. Apart from the other meters because ebur128.h has an
 * `enum error`, which cannot be seen together with our struct of that name. */
#ifndef FIRSTHAND_PLATFORM_MEDIA_LOUDNESS_H
#define FIRSTHAND_PLATFORM_MEDIA_LOUDNESS_H

#include "base/arena.h"

struct loudness;

/* Running out of memory ends the process. */
struct loudness *loudness_open(int channels_count, int sample_rate_hz);
void             loudness_close(struct loudness **loudness); /* NULL inside is fine */

void loudness_add(struct loudness *loudness, const float *samples, int samples_count);

/* Integrated, gated; false when nothing was loud or long enough to have one. */
MUST_USE bool loudness_integrated(const struct loudness *loudness, double *ret_lufs);

/* Of the loudest channel, linear; 0 for silence. */
double loudness_true_peak(const struct loudness *loudness);

#endif
