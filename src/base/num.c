#include "base/num.h"

bool num_add(int64_t a, int64_t b, int64_t *ret)
{
    int64_t sum;
    if (__builtin_add_overflow(a, b, &sum)) return false;
    *ret = sum;
    return true;
}

bool num_mul(int64_t a, int64_t b, int64_t *ret)
{
    int64_t product;
    if (__builtin_mul_overflow(a, b, &product)) return false;
    *ret = product;
    return true;
}

int64_t num_share_ppm(int64_t cents, int64_t rate_ppm)
{
    CHECK(cents >= 0);
    CHECK(rate_ppm >= 0 && rate_ppm <= PPM_ONE);
    /* Split so that the product cannot overflow, whatever cents is. */
    int64_t whole = cents / PPM_ONE * rate_ppm;
    int64_t rest = cents % PPM_ONE * rate_ppm / PPM_ONE;
    return whole + rest;
}

int64_t num_min(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

int64_t num_max(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

int64_t num_clamp(int64_t value, int64_t low, int64_t high)
{
    return num_max(low, num_min(value, high));
}
