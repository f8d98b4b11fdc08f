#include "../expect_abort.h"
#include "base/arena.h"

#include <setjmp.h>
#include <stdalign.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum { SOFT_BYTES = 100 << 10 };

static char   order[16];
static size_t order_len;

static void note(void *letter)
{
    order[order_len++] = *(const char *)letter;
    order[order_len] = '\0';
}

static bool is_zero(const char *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (bytes[i] != 0) return false;
    return true;
}

static void memory_is_zeroed_and_aligned(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, SOFT_BYTES);
    for (size_t size = 1; size < 100; size++) {
        char *bytes = arena_alloc(&arena, size);
        assert_int_equal((uintptr_t)bytes % alignof(max_align_t), 0);
        assert_true(is_zero(bytes, size));
        memset(bytes, 0xff, size);
    }
    arena_deinit(&arena);
}

static void reused_memory_is_zeroed_again(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, SOFT_BYTES);
    arena_alloc(&arena, 1);
    struct arena_mark mark = arena_mark(&arena);
    char             *first = arena_alloc(&arena, 64);
    memset(first, 0xff, 64);
    arena_rewind(&arena, mark);
    char *second = arena_alloc(&arena, 64);
    assert_ptr_equal(second, first);
    assert_true(is_zero(second, 64));
    arena_deinit(&arena);
}

static void larger_than_a_block_fits(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, SOFT_BYTES);
    char *small = arena_alloc(&arena, 10);
    memset(small, 'a', 10);
    char *large = arena_alloc(&arena, ARENA_BLOCK_BYTES * 3 + 1);
    memset(large, 'b', ARENA_BLOCK_BYTES * 3 + 1);
    char *after = arena_alloc(&arena, ARENA_BLOCK_BYTES);
    memset(after, 'c', ARENA_BLOCK_BYTES);
    assert_memory_equal(small, "aaaaaaaaaa", 10);
    assert_int_equal(large[ARENA_BLOCK_BYTES * 3], 'b');
    arena_deinit(&arena);
}

static void no_bytes_is_never_null(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, SOFT_BYTES);
    assert_non_null(arena_alloc(&arena, 0));
    assert_non_null(NEW(&arena, int, 0));
    arena_deinit(&arena);
}

static void soft_limit_is_a_flag_set_beyond_it(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 64);
    arena_alloc(&arena, 64);
    assert_false(arena.is_over_limit);
    struct arena_mark mark = arena_mark(&arena);
    assert_non_null(arena_alloc(&arena, 1));
    assert_true(arena.is_over_limit);
    arena_rewind(&arena, mark);
    assert_false(arena.is_over_limit);
    arena_deinit(&arena);
}

static void hard_limit_aborts(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, SOFT_BYTES);
    assert_aborts(arena_alloc(&arena, (size_t)ARENA_HARD_BYTES_MAX + 1));
    assert_aborts(arena_alloc(&arena, SIZE_MAX));
    assert_aborts(for (int i = 0; i < 300; i++) arena_alloc(&arena, 1 << 20));
    arena_deinit(&arena);
}

static void array_size_overflow_aborts(void **state)
{
    (void)state;
    assert_int_equal(arena_array_bytes(8, 1000), 8000);
    assert_int_equal(arena_array_bytes(1, SIZE_MAX), SIZE_MAX);
    assert_aborts(arena_array_bytes(2, SIZE_MAX / 2 + 1));
}

static void deferred_runs_newest_first_once(void **state)
{
    (void)state;
    order_len = 0;
    struct arena arena;
    arena_init(&arena, SOFT_BYTES);
    arena_defer(&arena, note, "a");
    arena_defer(&arena, note, "b");
    arena_defer(&arena, note, "c");
    arena_deinit(&arena);
    arena_deinit(&arena);
    assert_string_equal(order, "cba");
}

static void rewind_runs_only_what_came_after_the_mark(void **state)
{
    (void)state;
    order_len = 0;
    struct arena arena;
    arena_init(&arena, SOFT_BYTES);
    arena_defer(&arena, note, "a");
    struct arena_mark mark = arena_mark(&arena);
    arena_defer(&arena, note, "b");
    arena_alloc(&arena, ARENA_BLOCK_BYTES * 2);
    arena_defer(&arena, note, "c");
    arena_rewind(&arena, mark);
    assert_string_equal(order, "cb");
    arena_deinit(&arena);
    assert_string_equal(order, "cba");
}

static void nested_marks_undo_in_turn(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, SOFT_BYTES);
    char *kept = arena_alloc(&arena, 8);
    memcpy(kept, "kept....", 8);
    size_t            used = arena.used_bytes;
    struct arena_mark outer = arena_mark(&arena);
    arena_alloc(&arena, ARENA_BLOCK_BYTES);
    struct arena_mark inner = arena_mark(&arena);
    arena_alloc(&arena, ARENA_BLOCK_BYTES);
    arena_rewind(&arena, inner);
    arena_rewind(&arena, outer);
    assert_int_equal(arena.used_bytes, used);
    assert_memory_equal(kept, "kept....", 8);
    arena_deinit(&arena);
}

static void ended_arena_may_be_used_again(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, SOFT_BYTES);
    arena_alloc(&arena, 10);
    arena_deinit(&arena);
    assert_int_equal(arena.used_bytes, 0);
    assert_non_null(arena_alloc(&arena, 10));
    arena_deinit(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_is_zeroed_and_aligned),
        cmocka_unit_test(reused_memory_is_zeroed_again),
        cmocka_unit_test(larger_than_a_block_fits),
        cmocka_unit_test(no_bytes_is_never_null),
        cmocka_unit_test(soft_limit_is_a_flag_set_beyond_it),
        cmocka_unit_test(hard_limit_aborts),
        cmocka_unit_test(array_size_overflow_aborts),
        cmocka_unit_test(deferred_runs_newest_first_once),
        cmocka_unit_test(rewind_runs_only_what_came_after_the_mark),
        cmocka_unit_test(nested_marks_undo_in_turn),
        cmocka_unit_test(ended_arena_may_be_used_again),
    };
    return cmocka_run_group_tests_name("arena", tests, NULL, NULL);
}
