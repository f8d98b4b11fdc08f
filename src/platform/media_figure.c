#include "platform/media_figure.h"

#include "base/num.h"

#include <math.h>

int32_t figure_round(double value)
{
    if (isnan(value)) return 0;
    if (value >= (double)INT32_MAX) return INT32_MAX;
    if (value <= -(double)INT32_MAX) return -INT32_MAX;
    return (int32_t)lround(value);
}

int32_t figure_milli(double value)
{
    return figure_round(value * 1000.0);
}

int32_t figure_ppm(int64_t part, int64_t whole)
{
    if (whole <= 0 || part <= 0) return 0;
    if (part >= whole) return PPM_ONE;
    return figure_round((double)part / (double)whole * PPM_ONE);
}

int64_t figure_ms(int64_t units, int64_t units_per_second)
{
    int64_t thousandths;
    if (units <= 0 || units_per_second <= 0 || !num_mul(units, 1000, &thousandths)) return 0;
    return thousandths / units_per_second;
}
