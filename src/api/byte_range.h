/* The Range header (RFC 9110 §14) for one range of bytes. */
#ifndef FIRSTHAND_API_BYTE_RANGE_H
#define FIRSTHAND_API_BYTE_RANGE_H

#include "base/str.h"

enum byte_range_kind {
    RANGE_WHOLE,         /* absent, malformed, another unit, or several ranges: answer all of it */
    RANGE_PART,          /* answer 206 */
    RANGE_UNSATISFIABLE, /* answer 416 */
};

/* What to send of size bytes. *ret_offset and *ret_length are set for WHOLE and PART. */
enum byte_range_kind byte_range_parse(struct str header, int64_t size, int64_t *ret_offset,
                                      int64_t *ret_length);

#endif
