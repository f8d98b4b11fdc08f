/* Compiler attributes and the few macros used everywhere. gcc and clang only. */
#ifndef FIRSTHAND_BASE_MACROS_H
#define FIRSTHAND_BASE_MACROS_H

#include <stddef.h>

#define MUST_USE __attribute__((warn_unused_result))
#define NORETURN __attribute__((noreturn))
#define PRINTF_LIKE(format_index, first_index)                                                     \
    __attribute__((format(printf, format_index, first_index)))

/* Runs fn(&variable) when the block that declares the variable ends. */
#define CLEANUP(fn) __attribute__((cleanup(fn)))

#define BIT(n)          (1u << (n))
#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

/* A broken invariant is not an error: print where and abort, also in release builds. */
#define CHECK(condition)                                                                           \
    ((condition) ? (void)0 : check_failed(#condition, __FILE__, __LINE__, __func__))

NORETURN void check_failed(const char *condition, const char *file, int line, const char *function);

#endif
