/* The record that a sandboxed child writes: whatever it is, checking it never crashes, and what
 * passes the check gets a score within its bounds, the same each time, whose words are plain and
 * whose stored record is JSON. */
#include "base/json_in.h"
#include "domain/score.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_words(const char *words)
{
    size_t len = strnlen(words, SCORE_REASONING_BYTES_MAX);
    CHECK(len > 0 && len < SCORE_REASONING_BYTES_MAX && words[len - 1] == '.');
    for (size_t i = 0; i < len; i++)
        CHECK(words[i] >= ' ' && words[i] <= '~');
}

static void check_parts(const struct score *score)
{
    CHECK(score->parts_count >= 0 && score->parts_count <= SCORE_PARTS_COUNT_MAX);
    for (int i = 0; i < score->parts_count; i++)
        CHECK(score->parts[i].milli >= 0 && score->parts[i].milli <= 1000);
    CHECK(score->quality_milli >= 1000 && score->quality_milli <= 5000);
    CHECK(score->completeness_milli >= 1000 && score->completeness_milli <= 5000);
}

static void check_score(const struct media_result *result, const struct score *score)
{
    CHECK(score->stars >= 1 && score->stars <= 5);
    CHECK(score->gate == GATE_NONE || score->stars == 1);
    CHECK(result->verdict == MEDIA_DECODED || score->gate != GATE_NONE);
    check_parts(score);
    check_words(score->reasoning);
}

static struct str record_of(const struct media_result *result, const struct score_limits *limits,
                            struct arena *arena)
{
    struct score score;
    score_compute(result, limits, &score);
    check_score(result, &score);
    CHECK(score_annotations(result, &score, arena).len > 0);
    return score_record(result, &score, STR("00"), arena);
}

static void hold(const struct media_result *result, const struct score_limits *limits)
{
    struct arena arena;
    struct error error = { 0 };
    json_t      *root;
    arena_init(&arena, 1 << 20);
    struct str record = record_of(result, limits, &arena);
    CHECK(json_parse(&arena, record, &error, &root) == ERR_OK);
    CHECK(str_eq(record, record_of(result, limits, &arena)));
    arena_deinit(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct score_limits limits[] = {
        { .formats = BIT(MEDIA_TYPE__COUNT) - 1 },
        { .formats = BIT(MEDIA_JPEG),
          .width_min = 100000,
          .height_min = 1,
          .duration_ms_min = 1,
          .duration_ms_max = 86400000 },
    };
    struct media_result result = { 0 };
    memcpy(&result, data, size < sizeof(result) ? size : sizeof(result));
    if (size > 0 && data[0] & 1) result.version = MEDIA_RESULT_VERSION;
    if (!media_result_check(&result)) return 0;
    for (size_t i = 0; i < COUNT_OF(limits); i++)
        hold(&result, &limits[i]);
    return 0;
}
