/* From measured doubles to the bounded integers of struct media_result: never a NaN, never out of
 * range, whatever the file held. */
#ifndef FIRSTHAND_PLATFORM_MEDIA_FIGURE_H
#define FIRSTHAND_PLATFORM_MEDIA_FIGURE_H

#include <stdint.h>

/* The nearest integer within ±INT32_MAX; 0 for NaN. */
int32_t figure_round(double value);

/* Thousandths of value, the same way. */
int32_t figure_milli(double value);

/* part / whole in parts per million, within 0…PPM_ONE; 0 when whole is not positive. */
int32_t figure_ppm(int64_t part, int64_t whole);

/* units × 1000 / units_per_second, rounded down; 0 when that is negative or does not fit. */
int64_t figure_ms(int64_t units, int64_t units_per_second);

#endif
