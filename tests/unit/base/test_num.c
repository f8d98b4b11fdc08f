#include "../expect_abort.h"
#include "base/num.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

static void sums_and_products_that_fit_are_exact(void **state)
{
    (void)state;
    int64_t result;
    assert_true(num_add(INT64_MAX - 1, 1, &result));
    assert_true(result == INT64_MAX);
    assert_true(num_add(INT64_MIN + 1, -1, &result));
    assert_true(result == INT64_MIN);
    assert_true(num_mul(3037000499, 3037000499, &result));
    assert_true(result == 9223372030926249001);
    assert_true(num_mul(INT64_MIN, 1, &result));
    assert_true(result == INT64_MIN);
}

static void overflow_leaves_the_result_untouched(void **state)
{
    (void)state;
    int64_t result = 42;
    assert_false(num_add(INT64_MAX, 1, &result));
    assert_false(num_add(INT64_MIN, -1, &result));
    assert_false(num_mul(3037000500, 3037000500, &result));
    assert_false(num_mul(INT64_MIN, -1, &result));
    assert_int_equal(result, 42);
}

static void result_may_be_an_operand(void **state)
{
    (void)state;
    int64_t sum = 40;
    assert_true(num_add(sum, 2, &sum));
    assert_int_equal(sum, 42);
}

static void share_is_rounded_down(void **state)
{
    (void)state;
    assert_int_equal(num_share_ppm(50, 200000), 10);
    assert_int_equal(num_share_ppm(49, 200000), 9);
    assert_int_equal(num_share_ppm(4, 200000), 0);
    assert_int_equal(num_share_ppm(5, 200000), 1);
    assert_int_equal(num_share_ppm(1, 999999), 0);
    assert_int_equal(num_share_ppm(3333333, 333333), 1111109);
}

static void share_of_everything_and_nothing(void **state)
{
    (void)state;
    assert_true(num_share_ppm(INT64_MAX, PPM_ONE) == INT64_MAX);
    assert_int_equal(num_share_ppm(INT64_MAX, 0), 0);
    assert_int_equal(num_share_ppm(0, PPM_ONE), 0);
}

static void share_agrees_with_wide_arithmetic(void **state)
{
    (void)state;
    static const int64_t cents[] = { 1, 999999, 1000000, 1000001, 123456789012345, INT64_MAX - 1 };
    static const int64_t rates[] = { 1, 2, 150000, 333333, 500000, 999999 };
    for (size_t c = 0; c < COUNT_OF(cents); c++)
        for (size_t r = 0; r < COUNT_OF(rates); r++) {
            __extension__ typedef __int128 wide;
            wide                           exact = (wide)cents[c] * rates[r] / PPM_ONE;
            assert_true(num_share_ppm(cents[c], rates[r]) == (int64_t)exact);
        }
}

static void share_outside_its_range_aborts(void **state)
{
    (void)state;
    assert_aborts(num_share_ppm(-1, 1));
    assert_aborts(num_share_ppm(1, -1));
    assert_aborts(num_share_ppm(1, PPM_ONE + 1));
}

static void clamp_keeps_within_both_bounds(void **state)
{
    (void)state;
    assert_int_equal(num_clamp(5, 1, 9), 5);
    assert_int_equal(num_clamp(INT64_MIN, 1, 9), 1);
    assert_int_equal(num_clamp(INT64_MAX, 1, 9), 9);
    assert_true(num_min(INT64_MIN, INT64_MAX) == INT64_MIN);
    assert_true(num_max(INT64_MIN, INT64_MAX) == INT64_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums_and_products_that_fit_are_exact),
        cmocka_unit_test(overflow_leaves_the_result_untouched),
        cmocka_unit_test(result_may_be_an_operand),
        cmocka_unit_test(share_is_rounded_down),
        cmocka_unit_test(share_of_everything_and_nothing),
        cmocka_unit_test(share_agrees_with_wide_arithmetic),
        cmocka_unit_test(share_outside_its_range_aborts),
        cmocka_unit_test(clamp_keeps_within_both_bounds),
    };
    return cmocka_run_group_tests_name("num", tests, NULL, NULL);
}
