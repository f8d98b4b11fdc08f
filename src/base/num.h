/* Checked integers for money and counts. Money is whole US cents; a rate is parts per million. */
#ifndef FIRSTHAND_BASE_NUM_H
#define FIRSTHAND_BASE_NUM_H

#include "base/macros.h"

#include <stdbool.h>
#include <stdint.h>

enum { PPM_ONE = 1000000 };

/* false when the result does not fit; *ret is untouched then. */
MUST_USE bool num_add(int64_t a, int64_t b, int64_t *ret);
MUST_USE bool num_mul(int64_t a, int64_t b, int64_t *ret);

/* floor(cents × rate_ppm / 1,000,000), for 0 <= cents and 0 <= rate_ppm <= PPM_ONE. */
int64_t num_share_ppm(int64_t cents, int64_t rate_ppm);

int64_t num_min(int64_t a, int64_t b);
int64_t num_max(int64_t a, int64_t b);
int64_t num_clamp(int64_t value, int64_t low, int64_t high);

#endif
