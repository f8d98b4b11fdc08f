#include "platform/media_io.h"
#include "platform/media_movie.h"
#include "platform/media_record.h"
#include "platform/media_still.h"

#include <libavutil/log.h>
#include <libavutil/mem.h>
#include <time.h>

enum {
    EXAMINE_SOFT_BYTES_MAX = ARENA_HARD_BYTES_MAX,
    IMAGE_TYPES = BIT(MEDIA_PNG) | BIT(MEDIA_JPEG) | BIT(MEDIA_WEBP)
};

void media_prepare(void)
{
    av_log_set_level(AV_LOG_QUIET);
    av_max_alloc(MEDIA_ALLOCATION_BYTES_MAX);
    tzset(); /* reads the time zone file now, while files can be opened */
    media_io_prepare();
}

static enum media_type first_type(unsigned set)
{
    CHECK(set != 0);
    return (enum media_type)__builtin_ctz(set);
}

/* What to call the file until the tracks inside tell: what it may be and was said to be, else what
 * it may be, else what it was said to be. */
static enum media_type presumed_type(unsigned sniffed, unsigned allowed)
{
    allowed &= BIT(MEDIA_TYPE__COUNT) - 1;
    if (sniffed & allowed) return first_type(sniffed & allowed);
    if (sniffed != 0) return first_type(sniffed);
    return allowed != 0 ? first_type(allowed) : MEDIA_PNG;
}

void media_examine(int fd, int64_t size_bytes, unsigned allowed, const struct media_limits *limits,
                   struct media_result *ret_result)
{
    char                first[MEDIA_SNIFF_BYTES];
    size_t              have = media_read_at(fd, 0, first, sizeof first);
    unsigned            sniffed = media_sniff((struct str){ first, have });
    struct media_result result = { .version = MEDIA_RESULT_VERSION, .orientation = 1 };
    struct arena        arena;
    arena_init(&arena, EXAMINE_SOFT_BYTES_MAX);
    result.type = (int32_t)presumed_type(sniffed, allowed);
    if (size_bytes <= 0 || have == 0)
        record_refuse(&result, "empty");
    else if (sniffed == 0)
        record_refuse(&result, "unknown_type");
    else if (sniffed & IMAGE_TYPES)
        still_examine(&arena, fd, size_bytes, first_type(sniffed), &result);
    else
        movie_examine(&arena, fd, size_bytes, sniffed, limits, &result);
    arena_deinit(&arena);
    *ret_result = result;
}
