#include "base/geo.h"

#include <math.h>

static const double NANO = 1e9;
static const double MM_PER_KM = 1e6;
static const double EARTH_RADIUS_MM = 6371008771.4;
static const double RADIANS_PER_NANO = 3.14159265358979323846 / 180e9;

struct geo_point geo_point_at(double lat, double lng)
{
    return (struct geo_point){ llround(lat * NANO), llround(lng * NANO) };
}

int64_t geo_km_to_mm(double km)
{
    return llround(km * MM_PER_KM);
}

/* The haversine formula, which stays exact for places near each other. */
int64_t geo_distance_mm(const struct geo_point *a, const struct geo_point *b)
{
    double lat_a = (double)a->lat_nano * RADIANS_PER_NANO;
    double lat_b = (double)b->lat_nano * RADIANS_PER_NANO;
    double half_lat = (double)(a->lat_nano - b->lat_nano) * RADIANS_PER_NANO / 2;
    double half_lng = (double)(a->lng_nano - b->lng_nano) * RADIANS_PER_NANO / 2;
    double s =
        sin(half_lat) * sin(half_lat) + cos(lat_a) * cos(lat_b) * sin(half_lng) * sin(half_lng);
    return llround(2 * EARTH_RADIUS_MM * asin(sqrt(fmin(s, 1))));
}
