#include "domain/meter.h"

#include "base/num.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* A request costs 60,000 units and a bucket gains per_minute units a millisecond, so that refilling
 * is exact in integers. */
enum { UNITS_PER_REQUEST = 60000, WAYS = 8, SETS = METER_ENTRIES_MAX / WAYS };

struct entry {
    char    name[METER_NAME_BYTES_MAX];
    size_t  len; /* 0 = unused */
    int64_t units;
    int64_t full_units; /* as of the last request; 0 = it had no limit */
    int64_t updated_ms;
    bool    is_used; /* since the last collection */
};

/* Set-associative: a name has WAYS places; the longest unused of them makes room. */
struct meter {
    pthread_mutex_t lock;
    int             collect_at;
    struct entry    entries[METER_ENTRIES_MAX];
};

struct meter *meter_start(void)
{
    struct meter *meter = calloc(1, sizeof(*meter));
    CHECK(meter != NULL);
    CHECK(pthread_mutex_init(&meter->lock, NULL) == 0);
    return meter;
}

void meter_stop(struct meter *meter)
{
    if (meter == NULL) return;
    pthread_mutex_destroy(&meter->lock);
    free(meter);
}

static struct entry *find(struct meter *meter, struct str name, int64_t now_ms)
{
    struct entry *set = &meter->entries[(size_t)(str_hash(name) % SETS) * WAYS];
    struct entry *oldest = set;
    for (int i = 0; i < WAYS; i++) {
        if (set[i].len && str_eq((struct str){ set[i].name, set[i].len }, name)) return &set[i];
        bool is_better = oldest->len && (!set[i].len || set[i].updated_ms < oldest->updated_ms);
        if (is_better) oldest = &set[i];
    }
    *oldest = (struct entry){ .len = name.len, .updated_ms = now_ms };
    memcpy(oldest->name, name.data, name.len);
    return oldest;
}

static void refill(struct entry *entry, int64_t per_minute, int64_t full_units, int64_t now_ms)
{
    int64_t elapsed_ms = num_max(0, now_ms - entry->updated_ms);
    int64_t gained;
    if (!num_mul(elapsed_ms, per_minute, &gained)) gained = full_units;
    if (entry->full_units == 0) gained = full_units; /* new, or without a limit until now */
    entry->units = num_min(full_units, num_min(gained, full_units) + entry->units);
    entry->full_units = full_units;
    entry->updated_ms = num_max(entry->updated_ms, now_ms);
}

void meter_take(struct meter *meter, struct str name, int64_t per_minute, int64_t now_ms,
                struct meter_reading *ret_reading)
{
    int64_t full_units = per_minute * UNITS_PER_REQUEST;
    name = str_take(name, METER_NAME_BYTES_MAX - 1);
    CHECK(name.len > 0);

    pthread_mutex_lock(&meter->lock);
    struct entry *entry = find(meter, name, now_ms);
    refill(entry, per_minute, full_units, now_ms);
    bool is_allowed = per_minute == 0 || entry->units >= UNITS_PER_REQUEST;
    if (is_allowed && per_minute) entry->units -= UNITS_PER_REQUEST;
    if (is_allowed) entry->is_used = true;
    int64_t units = entry->units;
    pthread_mutex_unlock(&meter->lock);

    *ret_reading = (struct meter_reading){ .is_allowed = is_allowed, .limit = per_minute };
    if (per_minute == 0) return;
    int64_t until_full_ms = (full_units - units + per_minute - 1) / per_minute;
    int64_t until_next_ms = (UNITS_PER_REQUEST - units + per_minute - 1) / per_minute;
    ret_reading->remaining = units / UNITS_PER_REQUEST;
    ret_reading->reset_s = (now_ms + until_full_ms + 999) / 1000;
    if (!is_allowed) ret_reading->retry_after_s = num_max(1, (until_next_ms + 999) / 1000);
}

int meter_collect(struct meter *meter, struct meter_use *ret_uses, int count)
{
    int found = 0;
    pthread_mutex_lock(&meter->lock);
    for (int seen = 0; seen < METER_ENTRIES_MAX && found < count; seen++) {
        struct entry *entry = &meter->entries[meter->collect_at];
        meter->collect_at = (meter->collect_at + 1) % METER_ENTRIES_MAX;
        if (!entry->is_used) continue;
        entry->is_used = false;
        memcpy(ret_uses[found].name, entry->name, sizeof(entry->name));
        ret_uses[found++].used_ms = entry->updated_ms;
    }
    pthread_mutex_unlock(&meter->lock);
    return found;
}
