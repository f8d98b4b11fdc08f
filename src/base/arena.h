/* Arena: zeroed memory that is all given back at once.
 *
 * One arena belongs to one call and is used by one thread at a time. Allocation never returns
 * NULL. Crossing the soft limit sets is_over_limit, which the owner turns into an answer (413 or
 * 503); crossing ARENA_HARD_BYTES_MAX is a broken invariant, because inputs are bounded before
 * they reach an arena. */
#ifndef FIRSTHAND_BASE_ARENA_H
#define FIRSTHAND_BASE_ARENA_H

#include "base/macros.h"

#include <stdbool.h>
#include <stddef.h>

enum { ARENA_BLOCK_BYTES = 16 << 10, ARENA_HARD_BYTES_MAX = 256 << 20 };

struct arena_block;
struct arena_deferred;

struct arena {
    struct arena_block    *newest;
    struct arena_deferred *deferred;
    size_t                 used_bytes;
    size_t                 soft_bytes_max;
    bool                   is_over_limit;
};

struct arena_mark {
    struct arena_block    *block;
    struct arena_deferred *deferred;
    size_t                 block_used_bytes;
    size_t                 used_bytes;
};

/* Set up an empty arena in the caller's memory; nothing is allocated yet. */
void arena_init(struct arena *arena, size_t soft_bytes_max);

/* Run what was deferred, newest first, and give every byte back. The arena may be used again. */
void arena_deinit(struct arena *arena);

/* size zeroed bytes, aligned for any type. Never NULL. Owned by the arena. */
void *arena_alloc(struct arena *arena, size_t size);

/* Run fn(argument) when the arena ends or is rewound past this point. */
void arena_defer(struct arena *arena, void (*fn)(void *), void *argument);

/* Scratch scope: everything allocated or deferred after the mark is undone by the rewind. */
struct arena_mark arena_mark(const struct arena *arena);
void              arena_rewind(struct arena *arena, struct arena_mark mark);

#define NEW(arena, type, count)                                                                    \
    ((type *)arena_alloc((arena), arena_array_bytes(sizeof(type), (size_t)(count))))

/* size * count; the product overflowing is a broken invariant. */
size_t arena_array_bytes(size_t size, size_t count);

#endif
