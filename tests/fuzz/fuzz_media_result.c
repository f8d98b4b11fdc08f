/* The record that a sandboxed child writes: whatever it is, checking it never crashes, and what
 * passes the check can be scored and written down. */
#include "domain/score.h"
#include "platform/media.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct media_result result = { 0 };
    memcpy(&result, data, size < sizeof(result) ? size : sizeof(result));
    if (size > 0 && data[0] & 1) result.version = MEDIA_RESULT_VERSION;
    if (!media_result_check(&result)) return 0;

    static const struct score_limits limits[] = {
        { .formats = BIT(MEDIA_TYPE__COUNT) - 1 },
        { .formats = BIT(MEDIA_JPEG),
          .width_min = 100000,
          .height_min = 1,
          .duration_ms_min = 1,
          .duration_ms_max = 86400000 },
    };
    struct arena arena;
    arena_init(&arena, 1 << 20);
    for (size_t i = 0; i < COUNT_OF(limits); i++) {
        struct score score;
        score_compute(&result, &limits[i], &score);
        CHECK(score.stars >= 1 && score.stars <= 5);
        CHECK(memchr(score.reasoning, '\0', sizeof(score.reasoning)) != NULL);
        CHECK(score_record(&result, &score, STR("00"), &arena).len > 0);
    }
    arena_deinit(&arena);
    return 0;
}
