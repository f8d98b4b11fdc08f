/* Real media, through the real sandbox, to stars: what the scorer was tuned for must come out, and
 * nothing may be ended by the walls. The samples are made by tests/media/make-samples from
 * Debian packages. */
#include "domain/score.h"
#include "platform/media_zygote.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

enum { PATH_BYTES_MAX = 4096 };

static const char          *samples;
static struct media_zygote *zygote;

static const struct media_limits limits = { .cpu_seconds = 60,
                                            .wall_ms = 90000,
                                            .memory_bytes_max = (int64_t)512 << 20 };

static const struct sample {
    const char     *name;
    int             stars_min, stars_max;
    enum score_gate gate;
    const char     *word; /* the reasoning names it */
} table[] = {
    { "photo.jpg", 5, 5, GATE_NONE, "sharp" },
    { "photo.png", 4, 5, GATE_NONE, "600x400" },
    { "photo.webp", 4, 5, GATE_NONE, "sharp" },
    { "oriented.jpg", 4, 5, GATE_NONE, "4000x3000" },
    { "photo-2.jpg", 4, 5, GATE_NONE, NULL },
    { "photo-3.jpg", 4, 5, GATE_NONE, NULL },
    { "photo-4.jpg", 4, 5, GATE_NONE, NULL },
    { "photo-5.jpg", 4, 5, GATE_NONE, NULL },
    { "photo-6.jpg", 4, 5, GATE_NONE, NULL },
    { "photo-7.jpg", 4, 5, GATE_NONE, NULL },
    { "photo-8.jpg", 4, 5, GATE_NONE, NULL },
    { "photo-9.jpg", 4, 5, GATE_NONE, NULL },
    { "photo-10.jpg", 4, 5, GATE_NONE, NULL },
    { "photo-11.jpg", 4, 5, GATE_NONE, NULL },
    { "photo-12.jpg", 4, 5, GATE_NONE, NULL },
    { "plain.jpg", 5, 5, GATE_NONE, NULL },
    { "gray.jpg", 4, 5, GATE_NONE, NULL },
    { "deep.png", 4, 5, GATE_NONE, NULL },
    { "palette.png", 4, 5, GATE_NONE, NULL },
    { "lossy.webp", 4, 5, GATE_NONE, NULL },
    { "lossless.webp", 4, 5, GATE_NONE, NULL },
    { "polyglot.jpg", 4, 5, GATE_NONE, NULL },
    { "blurred.jpg", 2, 2, GATE_NONE, "blurred (sharpness" },
    { "smeared.jpg", 2, 2, GATE_NONE, "movement" },
    { "dark.jpg", 2, 2, GATE_NONE, "dark" },
    { "bright.jpg", 2, 2, GATE_NONE, "overexposed" },
    { "noisy.jpg", 2, 2, GATE_NONE, "noisy" },
    { "q4.jpg", 2, 2, GATE_NONE, "compression" },
    { "blank.png", 1, 1, GATE_BLANK, "nothing to see" },
    { "bomb.png", 1, 1, GATE_UNDECODABLE, "more pixels" },
    { "truncated.jpg", 1, 1, GATE_UNDECODABLE, "cut short" },
    { "truncated.png", 1, 1, GATE_UNDECODABLE, "cut short" },
    { "truncated.webp", 1, 1, GATE_UNDECODABLE, "cut short" },
    { "speech.wav", 4, 5, GATE_NONE, "loud enough" },
    { "speech.mp3", 4, 5, GATE_NONE, "loud enough" },
    { "speech.m4a", 4, 5, GATE_NONE, "loud enough" },
    { "cover.mp3", 4, 5, GATE_NONE, NULL },
    { "padded.wav", 4, 5, GATE_NONE, NULL },
    { "telephone.wav", 3, 4, GATE_NONE, "muffled" },
    { "quiet.wav", 2, 2, GATE_NONE, "quiet" },
    { "clipped.wav", 2, 2, GATE_NONE, "distorted" },
    { "silent.wav", 1, 1, GATE_SILENT, "nothing to hear" },
    { "truncated.mp3", 1, 1, GATE_UNDECODABLE, "cut short" },
    { "truncated.wav", 1, 1, GATE_UNDECODABLE, "cut short" },
    { "clip.mp4", 4, 5, GATE_NONE, NULL },
    { "long.mp4", 4, 5, GATE_NONE, NULL },
    { "faststart.mp4", 4, 5, GATE_NONE, NULL },
    { "fragmented.mp4", 4, 5, GATE_NONE, NULL },
    { "frozen.mp4", 2, 2, GATE_NONE, "frozen" },
    { "black.mp4", 1, 1, GATE_BLANK, "black" },
    { "truncated.mp4", 1, 1, GATE_UNDECODABLE, "cut short" },
    { "headless.mp4", 1, 1, GATE_UNDECODABLE, "damaged" },
    { "random.mp4", 1, 1, GATE_UNDECODABLE, "damaged" },
    { "words.txt", 1, 1, GATE_UNDECODABLE, "unknown type" },
    { "empty.bin", 1, 1, GATE_UNDECODABLE, "empty" },
};

static int sample_open(const char *name, int64_t *ret_size_bytes)
{
    char        path[PATH_BYTES_MAX];
    struct stat status;
    snprintf(path, sizeof(path), "%s/%s", samples, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &status) != 0) fail_msg("%s is missing", path);
    *ret_size_bytes = status.st_size;
    return fd;
}

static void sample_examine(const char *name, struct media_result *ret_result)
{
    struct error error = { 0 };
    char         first[MEDIA_SNIFF_BYTES];
    int64_t      size_bytes;
    int          fd = sample_open(name, &size_bytes);
    ssize_t      have = pread(fd, first, sizeof(first), 0);
    unsigned     allowed = media_sniff((struct str){ first, (size_t)have });
    if (media_zygote_examine(zygote, fd, size_bytes, allowed, &limits, &error, ret_result))
        fail_msg("%s: %s: %s", name, error.slug, error.detail);
    close(fd);
}

static void sample_gets_its_stars(void **state)
{
    const struct sample      *sample = *state;
    const struct score_limits none = { 0 };
    struct media_result       result;
    struct score              score;
    sample_examine(sample->name, &result);
    score_compute(&result, &none, &score);
    bool is_right = score.gate == sample->gate && score.stars >= sample->stars_min &&
                    score.stars <= sample->stars_max &&
                    (sample->word == NULL || strstr(score.reasoning, sample->word));
    if (!is_right)
        fail_msg("%d stars, gate %s: %s", (int)score.stars, score_gate_name(score.gate),
                 score.reasoning);
}

static void same_file_gives_the_same_record_twice(void **state)
{
    static const char *const  names[] = { "photo.jpg", "speech.mp3", "clip.mov" };
    const struct score_limits none = { 0 };
    struct arena              arena;
    (void)state;
    arena_init(&arena, 1 << 20);
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        struct str records[2];
        for (int run = 0; run < 2; run++) {
            struct media_result result;
            struct score        score;
            sample_examine(names[i], &result);
            score_compute(&result, &none, &score);
            records[run] = score_record(&result, &score, STR("00"), &arena);
        }
        assert_true(str_eq(records[0], records[1]));
    }
    arena_deinit(&arena);
}

/* From far too little to enough: decoders fail in many places, and none of them may pass for a
 * broken file. */
static void too_little_memory_is_named_and_never_a_verdict(void **state)
{
    enum { FROM_MB = 100, TO_MB = 300, STEP_MB = 5 };
    static const char *const names[] = { "photo.jpg", "clip.mp4", "speech.mp3", "deep.png" };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        int64_t size_bytes;
        int     fd = sample_open(names[i], &size_bytes), decoded_count = 0, killed_count = 0;
        for (int mb = FROM_MB; mb <= TO_MB; mb += STEP_MB) {
            struct media_limits tight = limits;
            struct media_result result;
            struct error        error = { 0 };
            tight.memory_bytes_max = (int64_t)mb << 20;
            if (media_zygote_examine(zygote, fd, size_bytes, ~0u, &tight, &error, &result)) {
                assert_string_equal(error.slug, "media_child_killed");
                if (!strstr(error.detail, "memory limit"))
                    fail_msg("%s, %d MB: %s", names[i], mb, error.detail);
                killed_count++;
            } else {
                if (result.verdict != MEDIA_DECODED || result.decode_errors > 0)
                    fail_msg("%s, %d MB: \"%s\"", names[i], mb, result.reason);
                decoded_count++;
            }
        }
        close(fd);
        assert_true(killed_count > 0 && decoded_count > 0);
    }
}

static int zygote_begin(void **state)
{
    struct error error = { 0 };
    (void)state;
    return media_zygote_start(&error, &zygote) || media_zygote_await(zygote, &error) ? -1 : 0;
}

static int zygote_finish(void **state)
{
    (void)state;
    media_zygote_stop(zygote);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "media-zygote") == 0) return media_zygote_main();
    samples = argc > 1 ? argv[1] : "samples";
    struct CMUnitTest tests[COUNT_OF(table) + 2] = { 0 };
    size_t            count = 0;
    for (size_t i = 0; i < COUNT_OF(table); i++)
        tests[count++] = (struct CMUnitTest){ .name = table[i].name,
                                              .test_func = sample_gets_its_stars,
                                              .initial_state = (void *)&table[i] };
    tests[count++] = (struct CMUnitTest)cmocka_unit_test(same_file_gives_the_same_record_twice);
    tests[count++] =
        (struct CMUnitTest)cmocka_unit_test(too_little_memory_is_named_and_never_a_verdict);
    return cmocka_run_group_tests(tests, zygote_begin, zygote_finish);
}
