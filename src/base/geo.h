/* Places on the earth, in billionths of a degree, so that those who keep and compare them need no
 * floating point. */
#ifndef FIRSTHAND_BASE_GEO_H
#define FIRSTHAND_BASE_GEO_H

#include <stdint.h>

enum { GEO_DECIMALS = 9, GEO_KM_DECIMALS = 6 };

struct geo_point {
    int64_t lat_nano; /* -90e9 to 90e9 */
    int64_t lng_nano; /* -180e9 to 180e9 */
};

/* The nearest point to degrees within those ranges. */
struct geo_point geo_point_at(double lat, double lng);

/* The nearest whole number of millimetres. */
int64_t geo_km_to_mm(double km);

/* The great-circle distance on a sphere of the earth's mean radius: within 0.6 % of the way over
 * the ellipsoid. */
int64_t geo_distance_mm(const struct geo_point *a, const struct geo_point *b);

#endif
