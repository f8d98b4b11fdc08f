/* The world outside the rules: the clock and chance. Everything that decides by time reads it
 * through here, so a test can advance it. Nothing else calls the system's generator, or its clock
 * but to bound a thread's wait or to count CPU time. */
#ifndef FIRSTHAND_BASE_WORLD_H
#define FIRSTHAND_BASE_WORLD_H

#include "base/macros.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct world {
    _Atomic int64_t offset_ms; /* added to the real clock; 0 outside tests */
};

/* Milliseconds since 1970, UTC, with the test clock's offset. Thread-safe. */
int64_t world_now_ms(struct world *world);

/* The same without the offset: for what carries the machine's own time, such as log lines, HTTP
 * dates and files. */
int64_t world_real_ms(void);

/* Move the clock forward; milliseconds >= 0. Thread-safe. */
void world_advance_ms(struct world *world, int64_t milliseconds);

/* At least that far from the real clock; never backwards. Thread-safe. */
void world_raise_offset(struct world *world, int64_t offset_ms);

/* Real microseconds from an arbitrary start that never go back: for measuring how long something
 * took, never for deciding. */
int64_t world_monotonic_us(void);

/* Cryptographically strong random bytes. Never fails (the process ends if the kernel has none). */
void world_random(void *bytes, size_t count);

#endif
