/* What each credential and address has used: token buckets for the rate limits, and when a key or
 * session was last used. In memory, bounded, shared by all threads. */
#ifndef FIRSTHAND_DOMAIN_METER_H
#define FIRSTHAND_DOMAIN_METER_H

#include "base/id.h"

enum { METER_ENTRIES_MAX = 1 << 16, METER_NAME_BYTES_MAX = 64 };

struct meter;

struct meter_reading {
    bool    is_allowed;
    int64_t limit;         /* requests a minute; 0 = no limit, the rest is 0 then */
    int64_t remaining;     /* whole requests left now */
    int64_t reset_s;       /* Unix seconds when the bucket is full again */
    int64_t retry_after_s; /* > 0 when refused */
};

struct meter *meter_start(void);
void          meter_stop(struct meter *meter);

/* Take one request from the bucket of name (an id, an address) that holds per_minute and refills
 * evenly. name is cut to what METER_NAME_BYTES_MAX holds. Where there is no room for a new name,
 * the one of its neighbours that was longest unused is forgotten: its bucket is full again. */
void meter_take(struct meter *meter, struct str name, int64_t per_minute, int64_t now_ms,
                struct meter_reading *ret_reading);

struct meter_use {
    char    name[METER_NAME_BYTES_MAX];
    int64_t used_ms;
};

/* Up to count names taken from since they were last collected; returns how many. */
int meter_collect(struct meter *meter, struct meter_use *ret_uses, int count);

#endif
