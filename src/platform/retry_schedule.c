#include "platform/retry_schedule.h"

#include "platform/config.h"

#define STRICT_SCHEDULE "0,1m,5m,30m,2h,8h"

bool retry_schedule_parse(struct str text, struct retry_schedule *ret_schedule)
{
    struct retry_schedule schedule = { .attempts_count = 1 };
    struct str            word;
    bool                  is_first = true;
    if (str_eq(text, STR("strict"))) text = STR(STRICT_SCHEDULE);
    while (str_cut(&text, ',', &word)) {
        int64_t wait_ms;
        if (!duration_parse(str_trim(word), &wait_ms) || wait_ms > RETRY_WAIT_MS_MAX) return false;
        bool is_implied = is_first && wait_ms == 0;
        is_first = false;
        if (is_implied) continue;
        if (schedule.attempts_count == RETRY_ATTEMPTS_MAX) return false;
        schedule.waits_ms[schedule.attempts_count++] = wait_ms;
    }
    if (is_first) return false;
    *ret_schedule = schedule;
    return true;
}

bool retry_schedule_wait(const struct retry_schedule *schedule, int64_t attempts_count,
                         uint32_t chance, int64_t *ret_wait_ms)
{
    CHECK(attempts_count >= 1);
    if (attempts_count >= schedule->attempts_count) return false;
    int64_t wait_ms = schedule->waits_ms[attempts_count];
    int64_t spread_ms = wait_ms * RETRY_JITTER_PERCENT / 100;
    *ret_wait_ms = wait_ms - spread_ms + (int64_t)(chance % (uint64_t)(2 * spread_ms + 1));
    return true;
}
