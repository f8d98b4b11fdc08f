#include "base/geo.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

static int64_t distance_mm(double lat_a, double lng_a, double lat_b, double lng_b)
{
    struct geo_point a = geo_point_at(lat_a, lng_a), b = geo_point_at(lat_b, lng_b);
    assert_int_equal(geo_distance_mm(&a, &b), geo_distance_mm(&b, &a));
    return geo_distance_mm(&a, &b);
}

static void assert_near(int64_t found_mm, int64_t expected_mm, int64_t tolerance_mm)
{
    if (llabs(found_mm - expected_mm) > tolerance_mm)
        fail_msg("%lld mm, expected %lld", (long long)found_mm, (long long)expected_mm);
}

static void points_keep_nine_decimals(void **state)
{
    (void)state;
    struct geo_point point = geo_point_at(-0.127758123, 179.999999999);
    assert_int_equal(point.lat_nano, -127758123);
    assert_int_equal(point.lng_nano, 179999999999);
    assert_int_equal(geo_km_to_mm(2.5), 2500000);
    assert_int_equal(geo_km_to_mm(0.000001), 1);
}

static void distance_of_a_point_to_itself_is_nothing(void **state)
{
    (void)state;
    assert_int_equal(distance_mm(52.52, 13.405, 52.52, 13.405), 0);
    assert_int_equal(distance_mm(90, 0, 90, 120), 0); /* a pole has every longitude */
}

/* A degree of a great circle: the radius times pi / 180. */
static void degree_of_a_great_circle_has_its_length(void **state)
{
    (void)state;
    static const int64_t degree_mm = 111195080;
    assert_near(distance_mm(0, 0, 0, 1), degree_mm, 2);
    assert_near(distance_mm(10, 40, 11, 40), degree_mm, 2);
    assert_near(distance_mm(0, 0, 0, 180), 180 * degree_mm, 500);
    assert_near(distance_mm(90, 0, -90, 0), 180 * degree_mm, 500);
}

/* London to Paris, known from elsewhere to the kilometre. */
static void distance_of_cities_is_known(void **state)
{
    (void)state;
    assert_near(distance_mm(51.5074, -0.1278, 48.8566, 2.3522), 343556000, 1000000);
}

static void distance_crosses_the_date_line(void **state)
{
    (void)state;
    assert_near(distance_mm(0, 179.5, 0, -179.5), distance_mm(0, 0, 0, 1), 2);
    assert_int_equal(distance_mm(0, 180, 0, -180), 0);
}

static void short_distances_are_exact(void **state)
{
    (void)state;
    assert_near(distance_mm(52.52, 13.405, 52.520009, 13.405), 1001, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(points_keep_nine_decimals),
        cmocka_unit_test(distance_of_a_point_to_itself_is_nothing),
        cmocka_unit_test(degree_of_a_great_circle_has_its_length),
        cmocka_unit_test(distance_of_cities_is_known),
        cmocka_unit_test(distance_crosses_the_date_line),
        cmocka_unit_test(short_distances_are_exact),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
