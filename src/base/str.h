/* Text as a slice: a pointer and a length, borrowed, not necessarily NUL-terminated.
 * A slice with data == NULL means "absent"; one with data != NULL and len == 0 is empty text. */
#ifndef FIRSTHAND_BASE_STR_H
#define FIRSTHAND_BASE_STR_H

#include "base/arena.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct str {
    const char *data;
    size_t      len;
};

#define STR(literal) ((struct str){ "" literal, sizeof(literal) - 1 })
#define STR_NONE     ((struct str){ NULL, 0 })

/* For printf's "%.*s". */
#define STR_ARG(s) (int)(s).len, (s).data ? (s).data : ""

/* The slice of a NUL-terminated string; absent for NULL. */
struct str str_of(const char *text);

bool str_eq(struct str a, struct str b);
bool str_eq_ignoring_case(struct str a, struct str b); /* ASCII */
bool str_starts_with(struct str s, struct str prefix);
bool str_ends_with(struct str s, struct str suffix);
int  str_compare(struct str a, struct str b); /* bytewise; shorter first */

struct str str_skip(struct str s, size_t count); /* without the first count bytes (at most all) */
struct str str_take(struct str s, size_t count); /* the first count bytes (at most all) */
struct str str_trim(struct str s);               /* without spaces and tabs at both ends */

/* Cut s at the first separator: *head is what precedes it, *s what follows.
 * Without a separator *head is all of s and *s becomes absent. False when s is absent. */
bool str_cut(struct str *s, char separator, struct str *head);

/* A copy owned by the arena; its data is NUL-terminated (beyond len). Absent stays absent. */
struct str str_copy(struct arena *arena, struct str s);

/* The same copy as a C string; NULL for absent. */
const char *str_c(struct arena *arena, struct str s);

/* printf into the arena. */
PRINTF_LIKE(2, 3) struct str str_format(struct arena *arena, const char *format, ...);

/* A plain decimal integer with an optional minus, nothing around it, that fits. */
MUST_USE bool str_to_int64(struct str s, int64_t *ret_value);

/* Is it valid UTF-8 (RFC 3629: no surrogates, no overlong forms) without NUL? */
bool str_is_utf8(struct str s);

/* Length in bytes of the valid character at the start of s; 0 when there is none: empty, NUL, or
 * malformed. */
size_t str_utf8_sequence(struct str s);

/* Number of Unicode code points of valid UTF-8. */
size_t str_code_points(struct str s);

/* Which of count names it is; -1 = none of them. */
int str_index(struct str s, const char *const *names, int count);

/* FNV-1a: for tables in memory. */
uint32_t str_hash(struct str s);

/* Without control characters (below 0x20, and 0x7f) and invalid UTF-8, which become '?', cut at
 * bytes_max on a code-point boundary. Owned by the arena. */
struct str str_sanitise(struct arena *arena, struct str s, size_t bytes_max);

#endif
