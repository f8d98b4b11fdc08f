/* JSON in: strict parsing by jansson, and readers of values in the tree.
 * Refused beyond RFC 8259: duplicate keys, NUL in text, invalid UTF-8, depth over
 * JSON_IN_DEPTH_MAX, more than JSON_IN_VALUES_MAX values, numbers outside int64 or double. */
#ifndef FIRSTHAND_BASE_JSON_IN_H
#define FIRSTHAND_BASE_JSON_IN_H

#include "base/error.h"

#include <jansson.h>

enum {
    JSON_IN_DEPTH_MAX = 32,
    JSON_IN_VALUES_MAX = 100000,
    JSON_REPLY_DEPTH_MAX = JSON_IN_DEPTH_MAX + 8,
};

/* The tree of text, dropped when the arena ends.
 * ERR_INVALID "malformed_json" | "duplicate_key" | "nul_character" | "invalid_utf8" | "too_deep" |
 * "too_many_values" | "number_out_of_range"; *ret_root is untouched then. */
MUST_USE enum err json_parse(struct arena *arena, struct str text, struct error *error,
                             json_t **ret_root);

/* The same for a reply of this program, which wraps what it once took: a little deeper, and as
 * large as it came. */
MUST_USE enum err json_parse_reply(struct arena *arena, struct str text, struct error *error,
                                   json_t **ret_root);

/* A member copied out; absent or of another type gives the default (STR_NONE for text).
 * in_int also takes a real number that is a whole one (3.0). Text is owned by the arena. */
struct str in_text(const json_t *object, const char *key, struct arena *arena);
int64_t    in_int(const json_t *object, const char *key, int64_t when_absent);
bool       in_bool(const json_t *object, const char *key, bool when_absent);
double     in_number(const json_t *object, const char *key, double when_absent);

/* The member is there, and is not null / is null. */
bool in_has(const json_t *object, const char *key);
bool in_is_null(const json_t *object, const char *key);

/* The text of a JSON string, borrowed from the tree; absent for any other value and for NULL. */
struct str json_text(const json_t *value);

/* A whole number of either JSON number type that fits int64. */
MUST_USE bool json_whole_number(const json_t *value, int64_t *ret_value);

#endif
