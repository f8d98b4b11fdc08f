#include "../expect_abort.h"
#include "base/time_text.h"
#include "media_samples.h"
#include "platform/disk.h"
#include "platform/media_io.h"

/* --- clean files --- */

static void a_phone_photo_has_its_size_time_and_position(void **state)
{
    (void)state;
    struct media_result result = examine_sample("photo.jpg");
    int64_t             taken_ms = 0;
    assert_decoded(&result, MEDIA_JPEG);
    assert_true(result.has_picture && !result.has_audio && !result.has_video);
    assert_int_equal(result.width, 4000);
    assert_int_equal(result.height, 3000);
    assert_int_equal(result.orientation, 1);
    assert_int_equal(result.duration_ms, 0);
    assert_true(time_parse(STR("2020-06-08T11:16:13Z"), &taken_ms));
    assert_int_equal(result.captured_ms, taken_ms);
    assert_true(result.has_gps);
}

static void an_upside_down_photo_keeps_its_sides(void **state)
{
    (void)state;
    struct media_result result = examine_sample("oriented.jpg");
    assert_decoded(&result, MEDIA_JPEG);
    assert_int_equal(result.orientation, 3);
    assert_int_equal(result.width, 4000);
    assert_int_equal(result.height, 3000);
}

/* The real photo's own orientation field, set to each value in turn. */
static void photos_on_their_side_swap_width_and_height(void **state)
{
    (void)state;
    size_t     size = 0;
    char      *bytes = read_sample("oriented.jpg", &size);
    const char entry[] = "\x12\x01\x03\x00\x01\x00\x00\x00\x03\x00";
    const char entry_big[] = "\x01\x12\x00\x03\x00\x00\x00\x01\x00\x03";
    char      *at = memmem(bytes, 4096, entry, 10);
    char      *value = at ? at + 8 : NULL;
    if (at == NULL) {
        at = memmem(bytes, 4096, entry_big, 10);
        value = at ? at + 9 : NULL;
    }
    assert_non_null(value);
    for (char orientation = 1; orientation <= 8; orientation++) {
        *value = orientation;
        struct media_result result = examine_bytes(bytes, size);
        assert_decoded(&result, MEDIA_JPEG);
        assert_int_equal(result.orientation, orientation);
        assert_int_equal(result.width, orientation >= 5 ? 3000 : 4000);
        assert_int_equal(result.height, orientation >= 5 ? 4000 : 3000);
    }
    free(bytes);
}

static void png_and_webp_have_their_size(void **state)
{
    (void)state;
    struct media_result png = examine_sample("photo.png");
    struct media_result webp = examine_sample("photo.webp");
    struct media_result lossless = examine_sample("lossless.webp");
    assert_decoded(&png, MEDIA_PNG);
    assert_int_equal(png.width, 600);
    assert_int_equal(png.height, 400);
    assert_decoded(&webp, MEDIA_WEBP);
    assert_int_equal(webp.width, 1600);
    assert_int_equal(webp.height, 1200);
    assert_decoded(&lossless, MEDIA_WEBP);
    assert_int_equal(lossless.width, 800);
    assert_int_equal(lossless.height, 600);
}

static void sounds_have_their_decoded_length(void **state)
{
    (void)state;
    static const struct {
        const char     *name;
        enum media_type type;
    } sounds[] = { { "speech.mp3", MEDIA_MP3 },
                   { "speech.wav", MEDIA_WAV },
                   { "speech.m4a", MEDIA_M4A },
                   { "cover.mp3", MEDIA_MP3 } };
    for (size_t i = 0; i < COUNT_OF(sounds); i++) {
        struct media_result result = examine_sample(sounds[i].name);
        assert_decoded(&result, sounds[i].type);
        assert_true(result.has_audio && !result.has_picture && !result.has_video);
        assert_int_equal(result.width, 0);
        assert_int_equal(result.audio.sample_rate_hz, 44100);
        assert_int_equal(result.audio.channels_count, 1);
        assert_in_range(result.duration_ms, 5406, 5440);
    }
}

static void a_phone_clip_has_its_frames_sound_and_time(void **state)
{
    (void)state;
    struct media_result result = examine_sample("clip.mp4");
    int64_t             taken_ms = 0;
    assert_decoded(&result, MEDIA_MP4);
    assert_true(result.has_video && result.has_audio && !result.has_picture);
    assert_int_equal(result.width, 1920);
    assert_int_equal(result.height, 1080);
    assert_int_equal(result.video.frames_decoded, result.video.frames_expected);
    assert_in_range(result.video.frames_decoded, 40, 48);
    assert_in_range(result.duration_ms, 1500, 1700);
    assert_in_range(result.video.frames_measured, 8, 32);
    assert_in_range(result.video.fps_milli, 25000, 31000);
    assert_int_equal(result.video.is_sampled, 0);
    assert_int_equal(result.audio.sample_rate_hz, 48000);
    assert_true(time_parse(STR("2019-12-20T20:08:34Z"), &taken_ms));
    assert_int_equal(result.captured_ms, taken_ms);
}

static void a_display_matrix_turns_a_clip(void **state)
{
    (void)state;
    struct media_result flat = examine_sample("clip.mov");
    struct media_result turned = examine_sample("upright.mov");
    assert_decoded(&flat, MEDIA_MOV);
    assert_decoded(&turned, MEDIA_MOV);
    assert_int_equal(flat.orientation, 1);
    assert_true(turned.orientation == 6 || turned.orientation == 8);
    assert_int_equal(turned.width, flat.height);
    assert_int_equal(turned.height, flat.width);
    assert_int_equal(turned.video.frames_decoded, flat.video.frames_decoded);
}

static void a_fragmented_clip_is_decoded_although_it_tells_no_count(void **state)
{
    (void)state;
    struct media_result result = examine_sample("fragmented.mp4");
    assert_decoded(&result, MEDIA_MP4);
    assert_int_equal(result.video.frames_expected, 0);
    assert_int_equal(result.video.frames_decoded, 100);
    assert_int_equal(result.duration_ms, 4000);
}

static void the_tracks_and_not_the_name_settle_the_type(void **state)
{
    (void)state;
    struct media_result clip = examine_sample("clip-named.jpg");
    struct media_result polyglot = examine_sample("polyglot.jpg");
    assert_decoded(&clip, MEDIA_MP4);
    assert_decoded(&polyglot, MEDIA_JPEG);
    assert_false(polyglot.has_audio);
}

static void a_type_that_is_not_allowed_is_still_told(void **state)
{
    (void)state;
    int64_t             size_bytes = 0;
    int                 fd = open_sample("photo.png", &size_bytes);
    struct media_result result;
    media_examine(fd, size_bytes, BIT(MEDIA_MP3), &samples_limits, &result);
    close(fd);
    assert_decoded(&result, MEDIA_PNG);
}

static void the_same_file_gives_the_same_record(void **state)
{
    (void)state;
    static const char *const names[] = { "photo.webp", "speech.m4a", "clip.mov" };
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        struct media_result first = examine_sample(names[i]);
        struct media_result second = examine_sample(names[i]);
        assert_memory_equal(&first, &second, sizeof first);
    }
}

/* --- broken files --- */

static void files_cut_short_are_truncated(void **state)
{
    (void)state;
    static const char *const names[] = { "truncated.jpg", "truncated.png", "truncated.webp",
                                         "truncated.mp3", "truncated.wav", "truncated.mp4" };
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        struct media_result result = examine_sample(names[i]);
        assert_refused(&result, "truncated");
    }
}

/* Who writes a WAV into a pipe cannot go back and fill in how long it became. */
static void a_wav_that_tells_no_length_is_whole(void **state)
{
    (void)state;
    static const unsigned char sizes[] = { 0, 0xff };
    size_t                     size = 0;
    char                      *bytes = read_sample("speech.wav", &size);
    char                      *data = memmem(bytes, size, "data", 4);
    assert_non_null(data);
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        memset(bytes + 4, sizes[i], 4);
        memset(data + 4, sizes[i], 4);
        struct media_result result = examine_bytes(bytes, size);
        assert_decoded(&result, MEDIA_WAV);
    }
    free(bytes);
}

/* Layer III of MPEG-1 at 44100 Hz, by the frame's header. */
static size_t mp3_frame_bytes(const unsigned char *frame)
{
    static const int kbits[] = { 0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320 };
    return (size_t)(144000 * kbits[frame[2] >> 4] / 44100 + (frame[2] >> 1 & 1));
}

/* The beginning of speech.mp3, with an index that claims so many frames and so many behind it. */
static struct media_result examine_short_mp3(unsigned char claimed, int frames_count)
{
    size_t size = 0, end;
    char  *bytes = read_sample("speech.mp3", &size);
    char  *index = memmem(bytes, size, "Xing", 4);
    assert_non_null(index);
    memcpy(index + 8, (unsigned char[]){ 0, 0, 0, claimed }, 4);
    end = (size_t)(index - bytes) - 21; /* the index is in a frame of its own, mono */
    for (int i = 0; i <= frames_count; i++)
        end += mp3_frame_bytes((unsigned char *)bytes + end);
    struct media_result result = examine_bytes(bytes, end);
    free(bytes);
    return result;
}

static void the_padding_of_a_short_mp3_is_not_missed(void **state)
{
    (void)state;
    static const unsigned char frames_counts[] = { 4, 7, 10, 40 };
    for (size_t i = 0; i < COUNT_OF(frames_counts); i++) {
        unsigned char       count = frames_counts[i];
        struct media_result whole = examine_short_mp3(count, count);
        assert_decoded(&whole, MEDIA_MP3);
        struct media_result cut = examine_short_mp3(count, count / 2);
        assert_refused(&cut, "truncated");
    }
}

static void files_without_their_index_or_any_sense_are_undecodable(void **state)
{
    (void)state;
    struct media_result headless = examine_sample("headless.mp4");
    struct media_result random = examine_sample("random.mp4");
    assert_refused(&headless, "undecodable");
    assert_refused(&random, "undecodable");
}

static void empty_and_foreign_files_are_named(void **state)
{
    (void)state;
    struct media_result empty = examine_sample("empty.bin");
    struct media_result words = examine_sample("words.txt");
    assert_refused(&empty, "empty");
    assert_refused(&words, "unknown_type");
}

/* The disk's fault is no verdict on the file: the child ends, and the server tries again. */
static void a_file_that_cannot_be_read_gets_no_verdict(void **state)
{
    (void)state;
    CLEANUP(fd_close) int fd = open("/proc/self/mem", O_RDONLY | O_CLOEXEC); /* EIO at address 0 */
    struct media_result   result;
    assert_true(fd >= 0);
    assert_aborts(media_examine(fd, 1000, BIT(MEDIA_JPEG), &samples_limits, &result));
}

static void an_offset_that_no_file_has_is_its_end(void **state)
{
    (void)state;
    CLEANUP(fd_close) int fd = open(SOURCE_DIR "/LICENSE", O_RDONLY | O_CLOEXEC);
    char                  bytes[8];
    assert_int_equal(media_read_at(fd, INT64_MAX - 1, bytes, sizeof(bytes)), 0);
    assert_int_equal(media_read_at(fd, INT64_MAX / 2, bytes, sizeof(bytes)), 0);
}

static void a_pixel_bomb_is_refused_before_it_is_unpacked(void **state)
{
    (void)state;
    struct media_result result = examine_sample("bomb.png");
    assert_refused(&result, "too_many_pixels");
}

static void a_damaged_chunk_is_counted(void **state)
{
    (void)state;
    size_t size = 0;
    char  *bytes = read_sample("blank.png", &size);
    char  *data = memmem(bytes, size, "IDAT", 4);
    assert_non_null(data);
    uint32_t len = (uint32_t)(unsigned char)data[-2] << 8 | (unsigned char)data[-1];
    data[4 + len] = (char)(data[4 + len] + 1); /* its checksum */
    struct media_result result = examine_bytes(bytes, size);
    assert_int_equal(result.verdict, MEDIA_DECODED);
    assert_true(result.decode_errors > 0);
    free(bytes);
}

static void bytes_after_a_jpeg_do_not_matter(void **state)
{
    (void)state;
    size_t              size = 0;
    char               *bytes = read_sample("photo-2.jpg", &size);
    struct media_result plain = examine_bytes(bytes, size);
    struct media_result longer = examine_bytes(bytes, size + 1);
    assert_memory_equal(&plain, &longer, sizeof plain);
    struct media_result shorter = examine_bytes(bytes, size - 1);
    assert_refused(&shorter, "truncated");
    free(bytes);
}

/* --- budget --- */

static void a_video_over_budget_is_judged_by_places(void **state)
{
    (void)state;
    struct media_result whole = examine_sample("long.mp4");
    struct media_result sampled = examine_sample_within("long.mp4", 1);
    assert_decoded(&whole, MEDIA_MP4);
    assert_int_equal(whole.video.is_sampled, 0);
    assert_decoded(&sampled, MEDIA_MP4);
    assert_int_equal(sampled.video.is_sampled, 1);
    assert_true(sampled.video.frames_decoded < whole.video.frames_decoded);
    assert_int_equal(sampled.video.frames_measured, 16);
    assert_in_range(sampled.duration_ms, whole.duration_ms - 100, whole.duration_ms + 100);
    assert_in_range(sampled.image.mean_milli, whole.image.mean_milli - 10000,
                    whole.image.mean_milli + 10000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_phone_photo_has_its_size_time_and_position),
        cmocka_unit_test(an_upside_down_photo_keeps_its_sides),
        cmocka_unit_test(photos_on_their_side_swap_width_and_height),
        cmocka_unit_test(png_and_webp_have_their_size),
        cmocka_unit_test(sounds_have_their_decoded_length),
        cmocka_unit_test(a_phone_clip_has_its_frames_sound_and_time),
        cmocka_unit_test(a_display_matrix_turns_a_clip),
        cmocka_unit_test(a_fragmented_clip_is_decoded_although_it_tells_no_count),
        cmocka_unit_test(the_tracks_and_not_the_name_settle_the_type),
        cmocka_unit_test(a_type_that_is_not_allowed_is_still_told),
        cmocka_unit_test(the_same_file_gives_the_same_record),
        cmocka_unit_test(files_cut_short_are_truncated),
        cmocka_unit_test(a_wav_that_tells_no_length_is_whole),
        cmocka_unit_test(the_padding_of_a_short_mp3_is_not_missed),
        cmocka_unit_test(files_without_their_index_or_any_sense_are_undecodable),
        cmocka_unit_test(empty_and_foreign_files_are_named),
        cmocka_unit_test(a_file_that_cannot_be_read_gets_no_verdict),
        cmocka_unit_test(an_offset_that_no_file_has_is_its_end),
        cmocka_unit_test(a_pixel_bomb_is_refused_before_it_is_unpacked),
        cmocka_unit_test(a_damaged_chunk_is_counted),
        cmocka_unit_test(bytes_after_a_jpeg_do_not_matter),
        cmocka_unit_test(a_video_over_budget_is_judged_by_places),
    };
    return cmocka_run_group_tests(tests, samples_open, samples_close);
}
