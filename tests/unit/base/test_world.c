#include "../expect_abort.h"
#include "base/world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

static int64_t system_ms(void)
{
    struct timespec now;
    assert_int_equal(clock_gettime(CLOCK_REALTIME, &now), 0);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void unmoved_clock_is_the_systems(void **state)
{
    (void)state;
    struct world world = { 0 };
    int64_t      before = system_ms();
    int64_t      now = world_now_ms(&world);
    int64_t      after = system_ms();
    assert_true(before <= now && now <= after);
}

static void real_time_is_the_systems(void **state)
{
    (void)state;
    int64_t before = system_ms();
    int64_t now = world_real_ms();
    int64_t after = system_ms();
    assert_true(before <= now && now <= after);
}

static void advancing_adds_up(void **state)
{
    (void)state;
    struct world  world = { 0 };
    const int64_t year_ms = (int64_t)365 * 24 * 3600 * 1000;
    int64_t       before = system_ms();
    world_advance_ms(&world, year_ms);
    world_advance_ms(&world, 0);
    world_advance_ms(&world, year_ms);
    int64_t now = world_now_ms(&world);
    assert_true(now >= before + 2 * year_ms && now <= system_ms() + 2 * year_ms);
}

static void raising_leads_forwards_only(void **state)
{
    (void)state;
    struct world world = { 0 };
    world_raise_offset(&world, 5000);
    world_raise_offset(&world, 5000);
    world_raise_offset(&world, 4000);
    assert_int_equal(atomic_load(&world.offset_ms), 5000);
    world_raise_offset(&world, 6000);
    assert_int_equal(atomic_load(&world.offset_ms), 6000);
}

static void worlds_do_not_share_their_offset(void **state)
{
    (void)state;
    struct world moved = { 0 }, still = { 0 };
    world_advance_ms(&moved, 1000000);
    assert_true(world_now_ms(&still) <= system_ms());
}

static void going_back_aborts(void **state)
{
    (void)state;
    struct world world = { 0 };
    assert_aborts(world_advance_ms(&world, -1));
}

static void monotonic_clock_never_goes_back(void **state)
{
    (void)state;
    int64_t last = world_monotonic_us();
    for (int i = 0; i < 100000; i++) {
        int64_t now = world_monotonic_us();
        assert_true(now >= last);
        last = now;
    }
}

static void random_fills_exactly_what_was_asked(void **state)
{
    (void)state;
    /* Each byte must change within 64 draws (chance of a false alarm: 2^-512 a byte); the guard
     * bytes around must not. */
    unsigned char bytes[1002];
    bool          has_changed[1000] = { 0 };
    for (int draw = 0; draw < 64; draw++) {
        memset(bytes, 0xa5, sizeof(bytes));
        world_random(bytes + 1, 1000);
        assert_int_equal(bytes[0], 0xa5);
        assert_int_equal(bytes[1001], 0xa5);
        for (int i = 0; i < 1000; i++)
            has_changed[i] |= bytes[i + 1] != 0xa5;
    }
    for (int i = 0; i < 1000; i++)
        assert_true(has_changed[i]);
}

static void large_random_requests_are_filled(void **state)
{
    (void)state;
    /* More than one getrandom(2) call yields: 1 MiB, of which no 16-byte run may stay zero. */
    static unsigned char       bytes[1 << 20];
    static const unsigned char zero[16];
    world_random(bytes, sizeof(bytes));
    for (size_t at = 0; at < sizeof(bytes); at += sizeof(zero))
        assert_memory_not_equal(bytes + at, zero, sizeof(zero));
}

static void random_of_nothing_is_fine(void **state)
{
    (void)state;
    world_random(NULL, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unmoved_clock_is_the_systems),
        cmocka_unit_test(real_time_is_the_systems),
        cmocka_unit_test(advancing_adds_up),
        cmocka_unit_test(raising_leads_forwards_only),
        cmocka_unit_test(worlds_do_not_share_their_offset),
        cmocka_unit_test(going_back_aborts),
        cmocka_unit_test(monotonic_clock_never_goes_back),
        cmocka_unit_test(random_fills_exactly_what_was_asked),
        cmocka_unit_test(large_random_requests_are_filled),
        cmocka_unit_test(random_of_nothing_is_fine),
    };
    return cmocka_run_group_tests_name("world", tests, NULL, NULL);
}
