#include "domain/meter.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const int64_t NOW_MS = (int64_t)1767225600 * 1000;

static int meter_setup(void **state)
{
    *state = meter_start();
    return 0;
}

static int meter_teardown(void **state)
{
    meter_stop(*state);
    return 0;
}

#define meter_test(name) cmocka_unit_test_setup_teardown(name, meter_setup, meter_teardown)

static struct meter_reading take(struct meter *meter, const char *name, int64_t per_minute,
                                 int64_t now_ms)
{
    struct meter_reading reading;
    meter_take(meter, str_of(name), per_minute, now_ms, &reading);
    return reading;
}

static void drain(struct meter *meter, const char *name, int64_t per_minute, int64_t now_ms)
{
    for (int64_t i = 0; i < per_minute; i++)
        assert_true(take(meter, name, per_minute, now_ms).is_allowed);
}

/* --- tokens --- */

static void bucket_begins_full_and_counts_down(void **state)
{
    for (int64_t i = 0; i < 10; i++) {
        struct meter_reading reading = take(*state, "key", 10, NOW_MS);
        assert_true(reading.is_allowed);
        assert_int_equal(reading.limit, 10);
        assert_int_equal(reading.remaining, 9 - i);
        assert_int_equal(reading.retry_after_s, 0);
        assert_int_equal(reading.reset_s, NOW_MS / 1000 + 6 * (i + 1));
    }
    struct meter_reading reading = take(*state, "key", 10, NOW_MS);
    assert_false(reading.is_allowed);
    assert_int_equal(reading.remaining, 0);
    assert_int_equal(reading.retry_after_s, 6);
    assert_int_equal(reading.reset_s, NOW_MS / 1000 + 60);
}

/* 7 a minute: one each 8571.43 ms, and not one too many or too few in any minute. */
static void refill_is_exact_for_rates_that_do_not_divide_a_minute(void **state)
{
    drain(*state, "key", 7, NOW_MS);
    int64_t now_ms = NOW_MS;
    for (int64_t n = 1; n <= 70; n++) {
        int64_t due_ms = NOW_MS + (n * 60000 + 6) / 7;
        for (; now_ms < due_ms; now_ms += 97)
            assert_false(take(*state, "key", 7, now_ms < due_ms ? now_ms : due_ms).is_allowed);
        assert_false(take(*state, "key", 7, due_ms - 1).is_allowed);
        assert_true(take(*state, "key", 7, due_ms).is_allowed);
        now_ms = due_ms;
    }
}

static void refill_stops_at_the_limit(void **state)
{
    drain(*state, "key", 5, NOW_MS);
    struct meter_reading reading = take(*state, "key", 5, NOW_MS + 3600000);
    assert_true(reading.is_allowed);
    assert_int_equal(reading.remaining, 4);
}

static void told_wait_is_long_enough(void **state)
{
    static const int64_t rates[] = { 1, 7, 59, 60, 61, 1000, 59999, 60000, 60001, 10000000 };
    for (size_t i = 0; i < COUNT_OF(rates); i++) {
        char name[32];
        snprintf(name, sizeof(name), "key %zu", i);
        drain(*state, name, rates[i], NOW_MS);
        struct meter_reading refused = take(*state, name, rates[i], NOW_MS);
        assert_false(refused.is_allowed);
        assert_true(refused.retry_after_s >= 1 && refused.retry_after_s <= 60);
        int64_t later_ms = NOW_MS + refused.retry_after_s * 1000;
        assert_true(take(*state, name, rates[i], later_ms).is_allowed);
    }
}

static void told_reset_is_when_the_bucket_is_full_again(void **state)
{
    struct meter_reading reading = take(*state, "key", 7, NOW_MS + 1);
    int64_t              full_ms = reading.reset_s * 1000;
    assert_true(full_ms >= NOW_MS + 1 + 8572 && full_ms < NOW_MS + 1 + 8572 + 1000);
    assert_int_equal(take(*state, "key", 7, full_ms).remaining, 6);
}

static void refused_request_costs_nothing(void **state)
{
    drain(*state, "key", 60, NOW_MS);
    for (int i = 0; i < 1000; i++)
        assert_false(take(*state, "key", 60, NOW_MS + 999).is_allowed);
    assert_true(take(*state, "key", 60, NOW_MS + 1000).is_allowed);
}

static void clock_that_steps_back_gives_and_takes_nothing(void **state)
{
    drain(*state, "key", 60, NOW_MS);
    assert_false(take(*state, "key", 60, NOW_MS - 3600000).is_allowed);
    assert_false(take(*state, "key", 60, NOW_MS + 999).is_allowed);
    assert_true(take(*state, "key", 60, NOW_MS + 1000).is_allowed);
}

static void bucket_survives_the_end_of_time(void **state)
{
    drain(*state, "key", 10000000 / 1000, 0);
    struct meter_reading reading = take(*state, "key", 10000000 / 1000, INT64_MAX / 2);
    assert_true(reading.is_allowed);
    assert_int_equal(reading.remaining, 9999);
}

static void no_limit_is_always_allowed(void **state)
{
    for (int i = 0; i < 100; i++) {
        struct meter_reading reading = take(*state, "key", 0, NOW_MS);
        assert_true(reading.is_allowed);
        assert_int_equal(reading.limit, 0);
        assert_int_equal(reading.remaining, 0);
        assert_int_equal(reading.reset_s, 0);
        assert_int_equal(reading.retry_after_s, 0);
    }
}

static void limit_that_is_switched_on_begins_with_a_full_bucket(void **state)
{
    take(*state, "key", 0, NOW_MS);
    assert_int_equal(take(*state, "key", 10, NOW_MS).remaining, 9);
}

static void limit_that_is_lowered_holds_at_once(void **state)
{
    take(*state, "key", 1000, NOW_MS);
    assert_int_equal(take(*state, "key", 10, NOW_MS).remaining, 9);
}

/* --- names --- */

static void names_have_buckets_of_their_own(void **state)
{
    drain(*state, "key_a", 3, NOW_MS);
    assert_false(take(*state, "key_a", 3, NOW_MS).is_allowed);
    assert_true(take(*state, "key_b", 3, NOW_MS).is_allowed);
    assert_true(take(*state, "key_", 3, NOW_MS).is_allowed);
    assert_true(take(*state, "key_a2", 3, NOW_MS).is_allowed);
}

static void long_names_share_what_is_kept_of_them(void **state)
{
    char a[200], b[200];
    memset(a, 'x', sizeof(a));
    memset(b, 'x', sizeof(b));
    a[sizeof(a) - 1] = b[sizeof(b) - 1] = '\0';
    a[150] = 'a';
    drain(*state, a, 3, NOW_MS);
    assert_false(take(*state, b, 3, NOW_MS).is_allowed);
}

static void flood_of_names_forgets_old_ones_and_stays_in_bounds(void **state)
{
    char name[32];
    drain(*state, "victim", 3, NOW_MS);
    for (int i = 0; i < METER_ENTRIES_MAX * 4; i++) {
        snprintf(name, sizeof(name), "10.%d.%d.%d", i >> 16, i >> 8 & 255, i & 255);
        assert_true(take(*state, name, 3, NOW_MS + 1 + i / 1000).is_allowed);
    }
    assert_true(take(*state, "victim", 3, NOW_MS + 300).is_allowed); /* as new */
}

static void name_in_use_outlives_a_flood(void **state)
{
    char name[32];
    drain(*state, "busy", 60, NOW_MS);
    for (int i = 0; i < METER_ENTRIES_MAX * 2; i++) {
        snprintf(name, sizeof(name), "10.%d.%d.%d", i >> 16, i >> 8 & 255, i & 255);
        take(*state, name, 3, NOW_MS + i / 1000);
        if (i % 100 == 0) assert_false(take(*state, "busy", 60, NOW_MS + i / 1000).is_allowed);
    }
}

/* --- collecting --- */

static void uses_are_collected_once(void **state)
{
    struct meter_use uses[8];
    take(*state, "key_a", 10, NOW_MS);
    take(*state, "key_a", 10, NOW_MS + 5);
    take(*state, "key_b", 0, NOW_MS + 7);
    assert_int_equal(meter_collect(*state, uses, 8), 2);
    int a = strcmp(uses[0].name, "key_a") == 0 ? 0 : 1;
    assert_string_equal(uses[a].name, "key_a");
    assert_int_equal(uses[a].used_ms, NOW_MS + 5);
    assert_string_equal(uses[1 - a].name, "key_b");
    assert_int_equal(uses[1 - a].used_ms, NOW_MS + 7);
    assert_int_equal(meter_collect(*state, uses, 8), 0);
    take(*state, "key_b", 0, NOW_MS + 9);
    assert_int_equal(meter_collect(*state, uses, 8), 1);
}

static void uses_beyond_the_room_are_collected_later(void **state)
{
    struct meter_use uses[3];
    char             name[32];
    int              seen_count = 0, found;
    bool             was_seen[10] = { false };
    for (int i = 0; i < 10; i++) {
        snprintf(name, sizeof(name), "%d", i);
        take(*state, name, 10, NOW_MS);
    }
    while ((found = meter_collect(*state, uses, 3)) > 0)
        for (int i = 0; i < found; i++) {
            int64_t number = -1;
            assert_true(str_to_int64(str_of(uses[i].name), &number));
            assert_false(was_seen[number]);
            was_seen[number] = true;
            seen_count++;
        }
    assert_int_equal(seen_count, 10);
}

/* --- threads --- */

enum { THREADS = 8, TAKES = 2000 };

struct taker {
    struct meter *meter;
    _Atomic int  *allowed_count;
    pthread_t     thread;
    int           number;
};

static void *take_many(void *argument)
{
    struct taker    *taker = argument;
    struct meter_use uses[4];
    char             name[32];
    for (int i = 0; i < TAKES; i++) {
        if (take(taker->meter, "shared", 1000, NOW_MS).is_allowed)
            atomic_fetch_add(taker->allowed_count, 1);
        snprintf(name, sizeof(name), "own %d %d", taker->number, i);
        take(taker->meter, name, 10, NOW_MS);
        if (i % 100 == 0) meter_collect(taker->meter, uses, COUNT_OF(uses));
    }
    return NULL;
}

static void threads_together_get_exactly_the_limit(void **state)
{
    _Atomic int  allowed_count = 0;
    struct taker takers[THREADS];
    for (int i = 0; i < THREADS; i++) {
        takers[i] = (struct taker){ .meter = *state, .allowed_count = &allowed_count, .number = i };
        assert_int_equal(pthread_create(&takers[i].thread, NULL, take_many, &takers[i]), 0);
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(takers[i].thread, NULL);
    assert_int_equal(allowed_count, 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        meter_test(bucket_begins_full_and_counts_down),
        meter_test(refill_is_exact_for_rates_that_do_not_divide_a_minute),
        meter_test(refill_stops_at_the_limit),
        meter_test(told_wait_is_long_enough),
        meter_test(told_reset_is_when_the_bucket_is_full_again),
        meter_test(refused_request_costs_nothing),
        meter_test(clock_that_steps_back_gives_and_takes_nothing),
        meter_test(bucket_survives_the_end_of_time),
        meter_test(no_limit_is_always_allowed),
        meter_test(limit_that_is_switched_on_begins_with_a_full_bucket),
        meter_test(limit_that_is_lowered_holds_at_once),
        meter_test(names_have_buckets_of_their_own),
        meter_test(long_names_share_what_is_kept_of_them),
        meter_test(flood_of_names_forgets_old_ones_and_stays_in_bounds),
        meter_test(name_in_use_outlives_a_flood),
        meter_test(uses_are_collected_once),
        meter_test(uses_beyond_the_room_are_collected_later),
        meter_test(threads_together_get_exactly_the_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
