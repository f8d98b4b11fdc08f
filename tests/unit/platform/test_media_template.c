#include "platform/media_template.h"

#include "domain/score.h"
#include "media_samples.h"

static const unsigned char ONE[MEDIA_NONCE_BYTES] = { 1 };
static const unsigned char OTHER[MEDIA_NONCE_BYTES] = { 0xff, [MEDIA_NONCE_BYTES - 1] = 0xff };

static struct arena arena;

static struct media_result examined(enum media_type type, const unsigned char *nonce)
{
    struct str bytes = media_template_make(type, nonce, &arena);
    return examine_bytes(bytes.data, bytes.len);
}

static void every_type_makes_sound_files_of_that_type(void **state)
{
    (void)state;
    for (enum media_type type = 0; type < MEDIA_TYPE__COUNT; type++) {
        struct media_result result = examined(type, OTHER);
        assert_decoded(&result, type);
    }
}

static void facts_are_what_examining_finds(void **state)
{
    (void)state;
    for (enum media_type type = 0; type < MEDIA_TYPE__COUNT; type++) {
        struct media_result result = examined(type, ONE), facts;
        media_template_facts(type, &facts);
        assert_int_equal(facts.version, result.version);
        assert_int_equal(facts.verdict, result.verdict);
        assert_int_equal(facts.type, result.type);
        assert_int_equal(facts.width, result.width);
        assert_int_equal(facts.height, result.height);
        assert_int_equal(facts.duration_ms, result.duration_ms);
        assert_int_equal(facts.captured_ms, result.captured_ms);
    }
}

/* What the sandbox approves would not be stopped by a gate of the live scorer. */
static void every_type_passes_the_gates(void **state)
{
    (void)state;
    for (enum media_type type = 0; type < MEDIA_TYPE__COUNT; type++) {
        struct media_result result = examined(type, ONE);
        struct score_limits limits = { .formats = BIT(type) };
        struct score        score;
        score_compute(&result, &limits, &score);
        assert_string_equal(score_gate_name(score.gate), score_gate_name(GATE_NONE));
    }
}

static void every_type_is_known_by_its_first_bytes(void **state)
{
    (void)state;
    for (enum media_type type = 0; type < MEDIA_TYPE__COUNT; type++) {
        struct str bytes = media_template_make(type, ONE, &arena);
        assert_true(media_sniff(str_take(bytes, MEDIA_SNIFF_BYTES)) & BIT(type));
    }
}

static void files_are_small(void **state)
{
    (void)state;
    for (enum media_type type = 0; type < MEDIA_TYPE__COUNT; type++) {
        struct str bytes = media_template_make(type, ONE, &arena);
        assert_in_range(bytes.len, 1, MEDIA_TEMPLATE_BYTES_MAX);
    }
}

static void the_nonce_and_nothing_else_decides_about_the_bytes(void **state)
{
    (void)state;
    for (enum media_type type = 0; type < MEDIA_TYPE__COUNT; type++) {
        struct str one = media_template_make(type, ONE, &arena);
        struct str again = media_template_make(type, ONE, &arena);
        struct str other = media_template_make(type, OTHER, &arena);
        assert_true(str_eq(one, again));
        assert_false(str_eq(one, other));
        assert_int_equal(one.len, other.len);
    }
}

static int open_all(void **state)
{
    arena_init(&arena, 1 << 20);
    return samples_open(state);
}

static int close_all(void **state)
{
    arena_deinit(&arena);
    return samples_close(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type_makes_sound_files_of_that_type),
        cmocka_unit_test(facts_are_what_examining_finds),
        cmocka_unit_test(every_type_passes_the_gates),
        cmocka_unit_test(every_type_is_known_by_its_first_bytes),
        cmocka_unit_test(files_are_small),
        cmocka_unit_test(the_nonce_and_nothing_else_decides_about_the_bytes),
    };
    return cmocka_run_group_tests(tests, open_all, close_all);
}
