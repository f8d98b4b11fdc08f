/* Times on the wire: RFC 3339, UTC, milliseconds. In memory and in the store: integer
 * milliseconds since 1970, read of years 0 to 9999 and written of 1970 to 9999. */
#ifndef FIRSTHAND_BASE_TIME_TEXT_H
#define FIRSTHAND_BASE_TIME_TEXT_H

#include "base/str.h"

enum { TIME_TEXT_BYTES = 25 };

static const int64_t MS_PER_SECOND = 1000;
static const int64_t MS_PER_MINUTE = 60 * 1000;
static const int64_t MS_PER_DAY = 24 * 3600 * 1000;
static const int64_t TIME_MS_MAX = 253402300799999; /* 9999-12-31T23:59:59.999Z */

/* "2026-03-18T09:30:00.000Z" with NUL, for 0 <= time_ms <= TIME_MS_MAX. */
void time_format(int64_t time_ms, char text[TIME_TEXT_BYTES]);

/* The RFC 3339 date-time grammar with any offset and fraction (digits beyond milliseconds are
 * dropped); below 0 before 1970. A leap second counts as the second after it. false when malformed,
 * not a real date, or after TIME_MS_MAX. */
MUST_USE bool time_parse(struct str text, int64_t *ret_time_ms);

/* "Sun, 06 Nov 1994 08:49:37 GMT" (RFC 9110) with NUL. */
enum { TIME_HTTP_BYTES = 30 };
void time_format_http(int64_t time_ms, char text[TIME_HTTP_BYTES]);

/* The same instant twelve months later; 29 February becomes 1 March. */
int64_t time_add_year(int64_t time_ms);

#endif
