#include "platform/retry_schedule.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define MINUTES(n) ((int64_t)(n)*60 * 1000)

static void schedule_is_the_waits_before_each_attempt(void **state)
{
    (void)state;
    static const char *const same[] = { "0,1m,5m", "1m,5m", "0s, 1m , 300s" };
    for (size_t i = 0; i < COUNT_OF(same); i++) {
        struct retry_schedule schedule;
        assert_true(retry_schedule_parse(str_of(same[i]), &schedule));
        assert_int_equal(schedule.attempts_count, 3);
        assert_int_equal(schedule.waits_ms[0], 0);
        assert_int_equal(schedule.waits_ms[1], MINUTES(1));
        assert_int_equal(schedule.waits_ms[2], MINUTES(5));
    }
}

static void strict_stops_after_six_attempts(void **state)
{
    (void)state;
    static const int64_t  minutes[] = { 0, 1, 5, 30, 120, 480 };
    struct retry_schedule schedule;
    int64_t               wait_ms;
    assert_true(retry_schedule_parse(STR("strict"), &schedule));
    assert_int_equal(schedule.attempts_count, COUNT_OF(minutes));
    for (size_t i = 0; i < COUNT_OF(minutes); i++)
        assert_int_equal(schedule.waits_ms[i], MINUTES(minutes[i]));
    assert_true(retry_schedule_wait(&schedule, 5, 0, &wait_ms));
    assert_false(retry_schedule_wait(&schedule, 6, 0, &wait_ms));
}

static void malformed_schedules_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        ",",
        "1m,",
        ",1m",
        "1m,,5m",
        "1",
        "-1m",
        "31d",
        "1m;5m",
        "Strict",
        "1m strict",
        ("1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,"
         "1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s"),
    };
    struct retry_schedule schedule;
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        if (retry_schedule_parse(str_of(bad[i]), &schedule)) fail_msg("%s", bad[i]);
}

static void jitter_is_a_tenth_to_both_sides(void **state)
{
    (void)state;
    struct retry_schedule schedule;
    int64_t               wait_ms, least = INT64_MAX, most = 0;
    assert_true(retry_schedule_parse(STR("0,10s,0"), &schedule));
    for (uint32_t chance = 0; chance < 2001; chance++) {
        assert_true(retry_schedule_wait(&schedule, 1, chance, &wait_ms));
        if (wait_ms < least) least = wait_ms;
        if (wait_ms > most) most = wait_ms;
    }
    assert_int_equal(least, 9000);
    assert_int_equal(most, 11000);
    assert_true(retry_schedule_wait(&schedule, 1, UINT32_MAX, &wait_ms));
    assert_in_range(wait_ms, 9000, 11000);
    assert_true(retry_schedule_wait(&schedule, 2, UINT32_MAX, &wait_ms));
    assert_int_equal(wait_ms, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(schedule_is_the_waits_before_each_attempt),
        cmocka_unit_test(strict_stops_after_six_attempts),
        cmocka_unit_test(malformed_schedules_are_refused),
        cmocka_unit_test(jitter_is_a_tenth_to_both_sides),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
