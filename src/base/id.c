#include "base/id.h"

#include "base/num.h"
#include "base/world.h"

#include <assert.h>
#include <pthread.h>
#include <string.h>

static const char crockford[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

static const char *const prefixes[] = {
    [ID_ORGANISATION] = "org_", [ID_JOB] = "job_",         [ID_SUBMISSION] = "sub_",
    [ID_FILE] = "file_",        [ID_API_KEY] = "key_",     [ID_TRANSACTION] = "crtx_",
    [ID_REQUEST] = "req_",      [ID_WORKER] = "wkr_",      [ID_INVITE] = "inv_",
    [ID_SESSION] = "ses_",      [ID_RESERVATION] = "rsv_", [ID_UPLOAD] = "upl_",
    [ID_TASK] = "tsk_",         [ID_LOT] = "lot_",         [ID_ENDPOINT] = "whe_",
    [ID_OCCURRENCE] = "occ_",   [ID_EVENT] = "evt_",       [ID_PURCHASE] = "pur_",
    [ID_AUDIT_EVENT] = "aud_",
};
static_assert(COUNT_OF(prefixes) == ID_KIND__COUNT, "every kind has a prefix");

enum { TIME_CHARS = 10, RANDOM_BYTES = 10, DIGITS_COUNT = sizeof(crockford) - 1 };
static const int64_t ULID_TIME_MS_MAX = ((int64_t)1 << 48) - 1;

/* The last id made by this process: what makes ids rise. */
static pthread_mutex_t last_lock = PTHREAD_MUTEX_INITIALIZER;
static int64_t         last_ms = -1;
static unsigned char   last_random[RANDOM_BYTES];

/* What a digit stands for; -1 for any other character. */
static int digit_value(char c)
{
    const char *digit = memchr(crockford, c, DIGITS_COUNT);
    return digit ? (int)(digit - crockford) : -1;
}

/* Ten characters of time, sixteen of chance. */
static struct id id_build(enum id_kind kind, int64_t time_ms, const unsigned char *random)
{
    struct id id = { 0 };
    size_t    at = strlen(prefixes[kind]);
    memcpy(id.text, prefixes[kind], at);
    for (int shift = 5 * (TIME_CHARS - 1); shift >= 0; shift -= 5)
        id.text[at++] = crockford[time_ms >> shift & 31];
    for (int half = 0; half < 2; half++) {
        uint64_t bits = 0;
        for (int i = 0; i < 5; i++)
            bits = bits << 8 | random[half * 5 + i];
        for (int shift = 35; shift >= 0; shift -= 5)
            id.text[at++] = crockford[bits >> shift & 31];
    }
    return id;
}

/* Add one to the 80-bit number; carries into the time on wrap. */
static void last_increment(void)
{
    for (int i = RANDOM_BYTES - 1; i >= 0; i--)
        if (++last_random[i] != 0) return;
    last_ms++;
}

/* Move on to the next id; the lock is held. */
static void last_advance(int64_t now_ms)
{
    if (now_ms > last_ms) {
        last_ms = now_ms;
        world_random(last_random, sizeof(last_random));
        last_random[0] &= 0x7f; /* room to count up within the millisecond */
    } else {
        last_increment();
    }
}

/* The 128 bits of a well-formed id. */
static void id_take_apart(const struct id *id, int64_t *ret_time_ms, unsigned char *random)
{
    const char *at = strchr(id->text, '_');
    CHECK(at != NULL && strlen(at) == 1 + ULID_CHARS);
    *ret_time_ms = id_time_ms(id);
    at += 1 + TIME_CHARS;
    for (int half = 0; half < 2; half++) {
        uint64_t bits = 0;
        for (int i = 0; i < 8; i++) {
            int digit = digit_value(*at++);
            CHECK(digit >= 0);
            bits = bits << 5 | (uint64_t)digit;
        }
        for (int i = 4; i >= 0; i--, bits >>= 8)
            random[half * 5 + i] = (unsigned char)(bits & 0xff);
    }
}

struct id id_new_above(enum id_kind kind, int64_t now_ms, const struct id *floor)
{
    CHECK((unsigned)kind < ID_KIND__COUNT);
    CHECK(now_ms >= 0 && now_ms <= ULID_TIME_MS_MAX);
    pthread_mutex_lock(&last_lock);
    last_advance(now_ms);
    struct id id = id_build(kind, last_ms, last_random);
    if (strcmp(id.text, floor->text) <= 0) {
        id_take_apart(floor, &last_ms, last_random);
        last_increment();
        id = id_build(kind, last_ms, last_random);
    }
    pthread_mutex_unlock(&last_lock);
    return id;
}

struct id id_new(enum id_kind kind, int64_t now_ms)
{
    return id_new_above(kind, now_ms, &(struct id){ 0 });
}

bool id_parse(struct str text, enum id_kind kind, struct id *ret_id)
{
    struct str prefix = str_of(prefixes[kind]);
    if (text.len != prefix.len + ULID_CHARS || !str_starts_with(text, prefix)) return false;
    for (size_t i = prefix.len; i < text.len; i++)
        if (digit_value(text.data[i]) < 0) return false;
    if (text.data[prefix.len] > '7') return false; /* more than 128 bits */
    *ret_id = id_from_store(text);
    return true;
}

struct id id_floor(enum id_kind kind, int64_t time_ms)
{
    static const unsigned char zero[RANDOM_BYTES];
    return id_build(kind, num_clamp(time_ms, 0, ULID_TIME_MS_MAX), zero);
}

int64_t id_time_ms(const struct id *id)
{
    const char *at = strchr(id->text, '_');
    CHECK(at != NULL);
    int64_t time_ms = 0;
    for (int i = 1; i <= TIME_CHARS; i++) {
        int digit = digit_value(at[i]);
        CHECK(digit >= 0);
        time_ms = time_ms << 5 | digit;
    }
    return time_ms;
}

struct str id_str(const struct id *id)
{
    return id_is_none(id) ? STR_NONE : str_of(id->text);
}

bool id_is_none(const struct id *id)
{
    return id->text[0] == '\0';
}

bool id_eq(const struct id *a, const struct id *b)
{
    return strcmp(a->text, b->text) == 0;
}

struct id id_from_store(struct str text)
{
    struct id id = { 0 };
    CHECK(text.len < sizeof(id.text));
    if (text.len) memcpy(id.text, text.data, text.len);
    return id;
}
