/* Damaged copies of the samples: media_examine may refuse them, but always with a sound record.
 * FIRSTHAND_FLIP_ROUNDS asks for more rounds than a test run has time for. */
#include "media_samples.h"

/* Small enough that hundreds of damaged copies are decoded in seconds. */
static const char *const victims[] = { "photo.png",      "photo-2.jpg", "lossy.webp",
                                       "lossless.webp",  "speech.mp3",  "speech.wav",
                                       "speech.m4a",     "clip.mov",    "faststart.mp4",
                                       "fragmented.mp4", "cover.mp3",   "palette.png" };

static void every_sixteenth_of_every_file_yields_a_sound_record(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(victims); i++) {
        size_t size = 0;
        char  *bytes = read_sample(victims[i], &size);
        for (size_t part = 0; part < 16; part++)
            (void)examine_bytes(bytes, size * part / 16);
        free(bytes);
    }
}

static uint32_t next_random(uint32_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 17;
    *seed ^= *seed << 5;
    return *seed;
}

/* A few flipped bits, half of them in the first kilobyte where the structure is. */
static void flip_bits(char *bytes, size_t size, uint32_t *seed)
{
    for (int flips = 1 + (int)(next_random(seed) % 8); flips > 0; flips--) {
        size_t reach = flips % 2 && size > 1024 ? 1024 : size;
        size_t at = next_random(seed) % reach;
        bytes[at] = (char)(bytes[at] ^ 1 << next_random(seed) % 8);
    }
}

static void flipped_bits_yield_a_sound_record(void **state)
{
    (void)state;
    const char *rounds_text = getenv("FIRSTHAND_FLIP_ROUNDS");
    int64_t     rounds = 12;
    if (rounds_text != NULL) assert_true(str_to_int64(str_of(rounds_text), &rounds));
    for (size_t i = 0; i < COUNT_OF(victims); i++) {
        size_t size = 0;
        char  *bytes = read_sample(victims[i], &size);
        char  *copy = malloc(size);
        for (int64_t round = 0; round < rounds; round++) {
            uint32_t seed = (uint32_t)(0x9e3779b9u * (unsigned)(round * 64 + (int64_t)i + 1));
            memcpy(copy, bytes, size);
            flip_bits(copy, size, &seed);
            (void)examine_bytes(copy, size);
        }
        free(copy);
        free(bytes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_sixteenth_of_every_file_yields_a_sound_record),
        cmocka_unit_test(flipped_bits_yield_a_sound_record),
    };
    return cmocka_run_group_tests(tests, samples_open, samples_close);
}
