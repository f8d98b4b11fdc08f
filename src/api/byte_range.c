#include "api/byte_range.h"

#include "base/num.h"

/* Digits or nothing; false for anything else. What no file reaches counts as the largest number. */
static bool parse_position(struct str text, bool *ret_is_there, int64_t *ret_value)
{
    int64_t value = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] < '0' || text.data[i] > '9') return false;
        if (!num_mul(value, 10, &value) || !num_add(value, text.data[i] - '0', &value))
            value = INT64_MAX;
    }
    *ret_is_there = text.len > 0;
    *ret_value = value;
    return true;
}

enum byte_range_kind byte_range_parse(struct str header, int64_t size, int64_t *ret_offset,
                                      int64_t *ret_length)
{
    *ret_offset = 0;
    *ret_length = size;
    struct str unit, first_text;
    if (!str_cut(&header, '=', &unit) || !str_eq_ignoring_case(str_trim(unit), STR("bytes")))
        return RANGE_WHOLE;
    header = str_trim(header);
    if (!str_cut(&header, '-', &first_text) || header.data == NULL) return RANGE_WHOLE;
    bool    has_first, has_last;
    int64_t first, last;
    if (!parse_position(str_trim(first_text), &has_first, &first) ||
        !parse_position(str_trim(header), &has_last, &last))
        return RANGE_WHOLE;
    if (!has_first && !has_last) return RANGE_WHOLE;
    if (!has_first) { /* the last so many bytes */
        if (last == 0 || size == 0) return RANGE_UNSATISFIABLE;
        first = num_max(0, size - last);
        last = size - 1;
    } else {
        if (has_last && last < first) return RANGE_WHOLE;
        if (first >= size) return RANGE_UNSATISFIABLE;
        last = has_last ? num_min(last, size - 1) : size - 1;
    }
    *ret_offset = first;
    *ret_length = last - first + 1;
    return RANGE_PART;
}
