#include "base/time_text.h"
#include "platform/media_exif.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { FIELD_ASCII = 2, FIELD_SHORT = 3, FIELD_LONG = 4, FIELD_RATIONAL = 5, BLOCK_BYTES = 512 };

/* A TIFF block under construction. */
struct block {
    unsigned char bytes[BLOCK_BYTES];
    size_t        len;
    bool          is_little;
};

static void put(struct block *block, size_t at, uint32_t value, size_t size)
{
    assert_true(at + size <= BLOCK_BYTES);
    for (size_t i = 0; i < size; i++) {
        size_t shift = 8 * (block->is_little ? i : size - 1 - i);
        block->bytes[at + i] = (unsigned char)(value >> shift);
    }
    if (block->len < at + size) block->len = at + size;
}

static void put_text(struct block *block, size_t at, const char *text)
{
    memcpy(block->bytes + at, text, strlen(text) + 1);
    if (block->len < at + strlen(text) + 1) block->len = at + strlen(text) + 1;
}

static void begin(struct block *block, bool is_little)
{
    *block = (struct block){ .is_little = is_little };
    memcpy(block->bytes, is_little ? "II" : "MM", 2);
    put(block, 2, 42, 2);
    put(block, 4, 8, 4);
}

static void put_entry(struct block *block, size_t at, unsigned tag, unsigned field, uint32_t count,
                      uint32_t value)
{
    put(block, at, tag, 2);
    put(block, at + 2, field, 2);
    put(block, at + 4, count, 4);
    put(block, at + 8, 0, 4);
    put(block, at + 8, value, field == FIELD_SHORT ? 2 : 4);
}

/* Directory 0 at 8 with orientation and pointers; Exif at 80, GPS at 160, texts behind. */
static void make_full(struct block *block, bool is_little, unsigned orientation)
{
    begin(block, is_little);
    put(block, 8, 3, 2);
    put_entry(block, 10, 0x0112, FIELD_SHORT, 1, orientation);
    put_entry(block, 22, 0x8769, FIELD_LONG, 1, 80);
    put_entry(block, 34, 0x8825, FIELD_LONG, 1, 160);
    put(block, 80, 2, 2);
    put_entry(block, 82, 0x9003, FIELD_ASCII, 20, 240);
    put_entry(block, 94, 0x9011, FIELD_ASCII, 7, 270);
    put(block, 160, 2, 2);
    put_entry(block, 162, 0x0002, FIELD_RATIONAL, 3, 300);
    put_entry(block, 174, 0x0004, FIELD_RATIONAL, 3, 324);
    put_text(block, 240, "2020:06:08 11:16:13");
    put_text(block, 270, "+02:00");
    put(block, 344, 0, 4);
}

static struct media_exif read_block(const struct block *block)
{
    struct media_exif exif;
    char             *exact = malloc(block->len);
    memcpy(exact, block->bytes, block->len);
    media_exif_read((struct str){ exact, block->len }, &exif);
    free(exact);
    return exif;
}

static int64_t ms_of(const char *text)
{
    int64_t time_ms = -1;
    assert_true(time_parse(str_of(text), &time_ms));
    return time_ms;
}

/* --- the three containers --- */

enum { FILE_BYTES = 1024 };

static struct str in_jpeg(const struct block *block, char file[FILE_BYTES])
{
    size_t length = 2 + 6 + block->len;
    memcpy(file, "\xff\xd8\xff\xe0\0\x04zz\xff\xff\xe1", 11);
    file[11] = (char)(length >> 8);
    file[12] = (char)length;
    memcpy(file + 13, "Exif\0\0", 6);
    memcpy(file + 19, block->bytes, block->len);
    memcpy(file + 19 + block->len, "\xff\xda\0\x02", 4);
    return (struct str){ file, 23 + block->len };
}

static struct str in_webp(const struct block *block, char file[FILE_BYTES])
{
    memcpy(file, "RIFF\0\4\0\0WEBPVP8X\3\0\0\0abc\0EXIF", 28);
    file[28] = (char)block->len;
    file[29] = (char)(block->len >> 8);
    file[30] = file[31] = 0;
    memcpy(file + 32, block->bytes, block->len);
    return (struct str){ file, 32 + block->len };
}

static struct str in_png(const struct block *block, char file[FILE_BYTES])
{
    memcpy(file, "\x89PNG\r\n\x1a\n\0\0\0\2tEXtabCRC!\0\0", 24);
    file[24] = (char)(block->len >> 8);
    file[25] = (char)block->len;
    memcpy(file + 26, "eXIf", 4);
    memcpy(file + 30, block->bytes, block->len);
    memcpy(file + 30 + block->len, "CRC!", 4);
    return (struct str){ file, 34 + block->len };
}

typedef struct str wrap_fn(const struct block *block, char file[FILE_BYTES]);

static const struct {
    enum media_type type;
    wrap_fn        *wrap;
} containers[] = { { MEDIA_JPEG, in_jpeg }, { MEDIA_WEBP, in_webp }, { MEDIA_PNG, in_png } };

static void all_orientations_are_read_from_all_containers(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(containers); i++) {
        for (unsigned orientation = 1; orientation <= 8; orientation++) {
            for (int is_little = 0; is_little <= 1; is_little++) {
                struct block      block;
                char              file[FILE_BYTES];
                struct media_exif exif;
                make_full(&block, is_little, orientation);
                struct str whole = containers[i].wrap(&block, file);
                struct str tiff = media_exif_find(whole, containers[i].type);
                assert_int_equal(tiff.len, block.len);
                media_exif_read(tiff, &exif);
                assert_int_equal(exif.orientation, orientation);
                assert_true(exif.has_gps);
                assert_int_equal(exif.captured_ms, ms_of("2020-06-08T11:16:13+02:00"));
            }
        }
    }
}

static void files_cut_anywhere_are_read_within_their_length(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(containers); i++) {
        struct block block;
        char         file[FILE_BYTES];
        make_full(&block, true, 6);
        struct str whole = containers[i].wrap(&block, file);
        for (size_t len = 0; len <= whole.len; len++) {
            struct media_exif exif;
            char             *exact = malloc(len ? len : 1);
            memcpy(exact, whole.data, len);
            media_exif_read(media_exif_find((struct str){ exact, len }, containers[i].type), &exif);
            assert_in_range(exif.orientation, 1, 8);
            free(exact);
        }
    }
}

static void files_without_exif_have_none(void **state)
{
    (void)state;
    assert_null(media_exif_find(STR("\xff\xd8\xff\xda\0\2xx"), MEDIA_JPEG).data);
    assert_null(media_exif_find(STR("\xff\xd8\xff\xe1\0\x08http:/"), MEDIA_JPEG).data);
    assert_null(media_exif_find(STR("RIFF\0\0\0\0WEBPVP8 \2\0\0\0ab"), MEDIA_WEBP).data);
    assert_null(media_exif_find(STR("\x89PNG\r\n\x1a\n\0\0\0\0IEND\0\0\0\0"), MEDIA_PNG).data);
    assert_null(media_exif_find(STR("Exif\0\0II*\0"), MEDIA_MP3).data);
}

static void exif_after_the_picture_data_of_a_jpeg_is_not_looked_for(void **state)
{
    (void)state;
    assert_null(media_exif_find(STR("\xff\xd8\xff\xda\0\2\xff\xe1\0\x0c"
                                    "Exif\0\0II*\0"),
                                MEDIA_JPEG)
                    .data);
}

static void chunk_sizes_beyond_the_file_end_the_search(void **state)
{
    (void)state;
    assert_null(media_exif_find(STR("RIFF\0\0\0\0WEBPVP8X\xff\xff\xff\xff"
                                    "EXIF"),
                                MEDIA_WEBP)
                    .data);
    assert_null(
        media_exif_find(STR("\x89PNG\r\n\x1a\n\xff\xff\xff\xfftEXt\0\0eXIfII*\0"), MEDIA_PNG).data);
    assert_null(media_exif_find(STR("\xff\xd8\xff\xe0\xff\xffzz"), MEDIA_JPEG).data);
    assert_null(media_exif_find(STR("\xff\xd8\xff\xe0\0\1\xff\xe1"), MEDIA_JPEG).data);
}

/* --- the directories --- */

static void orientations_out_of_range_count_as_upright(void **state)
{
    (void)state;
    const unsigned nonsense[] = { 0, 9, 255, 65535 };
    for (size_t i = 0; i < COUNT_OF(nonsense); i++) {
        struct block block;
        make_full(&block, true, nonsense[i]);
        assert_int_equal(read_block(&block).orientation, 1);
    }
}

static void an_orientation_of_another_field_type_is_not_believed(void **state)
{
    (void)state;
    struct block block;
    make_full(&block, true, 6);
    put(&block, 12, FIELD_LONG, 2);
    assert_int_equal(read_block(&block).orientation, 1);
}

static void a_date_without_an_offset_is_taken_as_utc(void **state)
{
    (void)state;
    struct block block;
    make_full(&block, false, 1);
    put(&block, 80, 1, 2); /* one entry only: no offset */
    assert_int_equal(read_block(&block).captured_ms, ms_of("2020-06-08T11:16:13Z"));
}

static void a_blank_offset_is_taken_as_utc(void **state)
{
    (void)state;
    struct block block;
    make_full(&block, false, 1);
    put_text(&block, 270, "   :  ");
    assert_int_equal(read_block(&block).captured_ms, ms_of("2020-06-08T11:16:13Z"));
}

static void impossible_dates_are_unknown(void **state)
{
    (void)state;
    static const char *const dates[] = { "0000:00:00 00:00:00", "2020:13:08 11:16:13",
                                         "2020:02:30 11:16:13", "    :  :     :  :  ",
                                         "not a date at all!!", "1969:12:31 23:59:59" };
    for (size_t i = 0; i < COUNT_OF(dates); i++) {
        struct block block;
        make_full(&block, true, 1);
        put_text(&block, 240, dates[i]);
        assert_int_equal(read_block(&block).captured_ms, 0);
    }
}

static void a_position_needs_latitude_and_longitude(void **state)
{
    (void)state;
    struct block block;
    make_full(&block, true, 1);
    put(&block, 174, 0x001d, 2); /* a GPS date in place of the longitude */
    assert_false(read_block(&block).has_gps);
}

static void offsets_beyond_the_block_lead_nowhere(void **state)
{
    (void)state;
    const uint32_t offsets[] = { 0, 1, 7, 400, 0x7fffffff, 0xfffffff0, 0xffffffff };
    const size_t   places[] = { 4, 30, 42, 90, 102 }; /* header, Exif, GPS, date, offset */
    for (size_t i = 0; i < COUNT_OF(offsets); i++) {
        for (size_t j = 0; j < COUNT_OF(places); j++) {
            struct block block;
            make_full(&block, true, 6);
            put(&block, places[j], offsets[i], 4);
            struct media_exif exif = read_block(&block);
            assert_in_range(exif.orientation, 1, 8);
            assert_true(exif.captured_ms >= 0);
        }
    }
}

static void directories_that_point_at_each_other_end(void **state)
{
    (void)state;
    struct block block;
    make_full(&block, true, 6);
    put(&block, 30, 8, 4);  /* Exif is directory 0 itself */
    put(&block, 42, 80, 4); /* GPS is Exif */
    put(&block, 46, 8, 4);  /* and the next directory is the first */
    struct media_exif exif = read_block(&block);
    assert_int_equal(exif.orientation, 6);
    assert_int_equal(exif.captured_ms, 0);
    assert_false(exif.has_gps);
}

static void absurd_entry_counts_are_refused(void **state)
{
    (void)state;
    struct block block;
    make_full(&block, true, 6);
    put(&block, 8, 0xffff, 2);
    assert_int_equal(read_block(&block).orientation, 1);
}

static void other_bytes_are_not_tiff(void **state)
{
    (void)state;
    struct media_exif exif;
    media_exif_read(STR_NONE, &exif);
    assert_int_equal(exif.orientation, 1);
    media_exif_read(STR("II"), &exif);
    assert_int_equal(exif.orientation, 1);
    media_exif_read(STR("IM*\0\x08\0\0\0\1\0\x12\1\3\0\1\0\0\0\6\0\0\0"), &exif);
    assert_int_equal(exif.orientation, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_orientations_are_read_from_all_containers),
        cmocka_unit_test(files_cut_anywhere_are_read_within_their_length),
        cmocka_unit_test(files_without_exif_have_none),
        cmocka_unit_test(exif_after_the_picture_data_of_a_jpeg_is_not_looked_for),
        cmocka_unit_test(chunk_sizes_beyond_the_file_end_the_search),
        cmocka_unit_test(orientations_out_of_range_count_as_upright),
        cmocka_unit_test(an_orientation_of_another_field_type_is_not_believed),
        cmocka_unit_test(a_date_without_an_offset_is_taken_as_utc),
        cmocka_unit_test(a_blank_offset_is_taken_as_utc),
        cmocka_unit_test(impossible_dates_are_unknown),
        cmocka_unit_test(a_position_needs_latitude_and_longitude),
        cmocka_unit_test(offsets_beyond_the_block_lead_nowhere),
        cmocka_unit_test(directories_that_point_at_each_other_end),
        cmocka_unit_test(absurd_entry_counts_are_refused),
        cmocka_unit_test(other_bytes_are_not_tiff),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
