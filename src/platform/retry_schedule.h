/* When to try again what did not work, as an operator writes it down. */
#ifndef FIRSTHAND_PLATFORM_RETRY_SCHEDULE_H
#define FIRSTHAND_PLATFORM_RETRY_SCHEDULE_H

#include "base/str.h"

#include <stdint.h>

enum { RETRY_ATTEMPTS_MAX = 32, RETRY_JITTER_PERCENT = 10 };
static const int64_t RETRY_WAIT_MS_MAX = (int64_t)30 * 24 * 3600 * 1000;

struct retry_schedule {
    int     attempts_count;
    int64_t waits_ms[RETRY_ATTEMPTS_MAX]; /* before each attempt; the first is 0 */
};

/* Waits before each attempt, "0,1m,5m,30m"; the 0 of the first may be left out. "strict" is the
 * first six attempts of the usual schedule: 0,1m,5m,30m,2h,8h. False when a wait is malformed, is
 * longer than RETRY_WAIT_MS_MAX, or there are none or more than RETRY_ATTEMPTS_MAX. */
MUST_USE bool retry_schedule_parse(struct str text, struct retry_schedule *ret_schedule);

/* How long to wait after so many attempts (at least 1): the schedule's wait, longer or shorter by
 * up to RETRY_JITTER_PERCENT as chance (any number) says. False when there are no more. */
MUST_USE bool retry_schedule_wait(const struct retry_schedule *schedule, int64_t attempts_count,
                                  uint32_t chance, int64_t *ret_wait_ms);

#endif
