#include "base/arena.h"

#include <stdalign.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct arena_block {
    struct arena_block *older;
    size_t              size_bytes;
    size_t              used_bytes;
    alignas(max_align_t) char bytes[];
};

struct arena_deferred {
    struct arena_deferred *older;
    void (*fn)(void *);
    void *argument;
};

void arena_init(struct arena *arena, size_t soft_bytes_max)
{
    *arena = (struct arena){ .soft_bytes_max = soft_bytes_max };
}

static struct arena_block *block_new(struct arena_block *older, size_t size_bytes)
{
    struct arena_block *block = malloc(sizeof(*block) + size_bytes);
    CHECK(block != NULL);
    block->older = older;
    block->size_bytes = size_bytes;
    block->used_bytes = 0;
    return block;
}

void *arena_alloc(struct arena *arena, size_t size)
{
    const size_t align = alignof(max_align_t);
    CHECK(size <= ARENA_HARD_BYTES_MAX);
    size = (size + align - 1) / align * align;

    struct arena_block *block = arena->newest;
    if (block == NULL || block->size_bytes - block->used_bytes < size) {
        block = block_new(block, size > ARENA_BLOCK_BYTES ? size : ARENA_BLOCK_BYTES);
        arena->newest = block;
    }
    void *memory = block->bytes + block->used_bytes;
    block->used_bytes += size;
    memset(memory, 0, size);

    arena->used_bytes += size;
    CHECK(arena->used_bytes <= ARENA_HARD_BYTES_MAX);
    if (arena->used_bytes > arena->soft_bytes_max) arena->is_over_limit = true;
    return memory;
}

size_t arena_array_bytes(size_t size, size_t count)
{
    size_t bytes;
    CHECK(!__builtin_mul_overflow(size, count, &bytes));
    return bytes;
}

void arena_defer(struct arena *arena, void (*fn)(void *), void *argument)
{
    struct arena_deferred *deferred = NEW(arena, struct arena_deferred, 1);
    *deferred = (struct arena_deferred){ arena->deferred, fn, argument };
    arena->deferred = deferred;
}

struct arena_mark arena_mark(const struct arena *arena)
{
    return (struct arena_mark){
        .block = arena->newest,
        .deferred = arena->deferred,
        .block_used_bytes = arena->newest ? arena->newest->used_bytes : 0,
        .used_bytes = arena->used_bytes,
    };
}

void arena_rewind(struct arena *arena, struct arena_mark mark)
{
    while (arena->deferred != mark.deferred) {
        struct arena_deferred *deferred = arena->deferred;
        arena->deferred = deferred->older;
        deferred->fn(deferred->argument);
    }
    while (arena->newest != mark.block) {
        struct arena_block *block = arena->newest;
        arena->newest = block->older;
        free(block);
    }
    if (arena->newest) arena->newest->used_bytes = mark.block_used_bytes;
    arena->used_bytes = mark.used_bytes;
    arena->is_over_limit = arena->used_bytes > arena->soft_bytes_max;
}

void arena_deinit(struct arena *arena)
{
    arena_rewind(arena, (struct arena_mark){ 0 });
}
