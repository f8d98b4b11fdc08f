#include "base/world.h"

#include <errno.h>
#include <sys/random.h>
#include <time.h>

static int64_t clock_us(clockid_t clock)
{
    struct timespec now;
    CHECK(clock_gettime(clock, &now) == 0);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

int64_t world_real_ms(void)
{
    return clock_us(CLOCK_REALTIME) / 1000;
}

int64_t world_now_ms(struct world *world)
{
    return world_real_ms() + atomic_load(&world->offset_ms);
}

void world_advance_ms(struct world *world, int64_t milliseconds)
{
    CHECK(milliseconds >= 0);
    atomic_fetch_add(&world->offset_ms, milliseconds);
}

void world_raise_offset(struct world *world, int64_t offset_ms)
{
    int64_t known_ms = atomic_load(&world->offset_ms);
    while (known_ms < offset_ms)
        if (atomic_compare_exchange_weak(&world->offset_ms, &known_ms, offset_ms)) return;
}

int64_t world_monotonic_us(void)
{
    return clock_us(CLOCK_MONOTONIC);
}

void world_random(void *bytes, size_t count)
{
    char *at = bytes;
    while (count > 0) {
        ssize_t got = getrandom(at, count, 0);
        if (got < 0 && errno == EINTR) continue;
        CHECK(got > 0);
        at += got;
        count -= (size_t)got;
    }
}
