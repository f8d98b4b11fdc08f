#include "base/media_type.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* The literal's bytes, NULs inside included. */
#define SNIFF(literal) media_sniff(STR(literal))

static void names_and_extensions_go_both_ways(void **state)
{
    (void)state;
    for (int i = 0; i < MEDIA_TYPE__COUNT; i++) {
        enum media_type type;
        assert_true(media_type_parse(str_of(media_type_name((enum media_type)i)), &type));
        assert_int_equal(type, i);
        assert_true(strlen(media_type_extension((enum media_type)i)) >= 3);
    }
    assert_string_equal(media_type_name(MEDIA_MOV), "video/quicktime");
    assert_string_equal(media_type_extension(MEDIA_JPEG), "jpg");
    assert_int_equal(media_type_kind(MEDIA_WEBP), MEDIA_IMAGE);
    assert_int_equal(media_type_kind(MEDIA_M4A), MEDIA_AUDIO);
    assert_int_equal(media_type_kind(MEDIA_MP4), MEDIA_VIDEO);
}

static void unknown_names_do_not_parse(void **state)
{
    (void)state;
    enum media_type type = MEDIA_WAV;
    assert_false(media_type_parse(STR("image/gif"), &type));
    assert_false(media_type_parse(STR("image/pn"), &type));
    assert_false(media_type_parse(STR("IMAGE/PNG"), &type));
    assert_false(media_type_parse(STR(""), &type));
    assert_false(media_type_parse(STR_NONE, &type));
    assert_int_equal(type, MEDIA_WAV);
}

static void images_are_told_by_their_signatures(void **state)
{
    (void)state;
    assert_int_equal(SNIFF("\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR"), BIT(MEDIA_PNG));
    assert_int_equal(SNIFF("\xff\xd8\xff\xe0\0\x10JFIF"), BIT(MEDIA_JPEG));
    assert_int_equal(SNIFF("\xff\xd8\xff\xdb"), BIT(MEDIA_JPEG));
    assert_int_equal(SNIFF("RIFF\x24\0\0\0WEBPVP8 "), BIT(MEDIA_WEBP));
}

static void riff_is_told_by_its_form(void **state)
{
    (void)state;
    assert_int_equal(SNIFF("RIFF\x24\0\0\0WAVEfmt "), BIT(MEDIA_WAV));
    assert_int_equal(SNIFF("RIFF\x24\0\0\0AVI LIST"), 0);
    assert_int_equal(SNIFF("RIFF\x24\0\0\0WAV"), 0);
    assert_int_equal(SNIFF("RIFX\0\0\0\x24WAVEfmt "), 0);
}

static void mp3_is_told_with_and_without_a_tag(void **state)
{
    (void)state;
    assert_int_equal(SNIFF("ID3\x03\0\0\0\0\x0f\x76TIT2"), BIT(MEDIA_MP3));
    assert_int_equal(SNIFF("\xff\xfb\x90\x64"), BIT(MEDIA_MP3));
    assert_int_equal(SNIFF("\xff\xf3\x40\xc0"), BIT(MEDIA_MP3));
    assert_int_equal(SNIFF("\xff\xe3\x18\xc4"), BIT(MEDIA_MP3));
}

static void what_only_looks_like_mp3_is_not(void **state)
{
    (void)state;
    assert_int_equal(SNIFF("ID3\xff\0\0\0\0\x0f\x76"), 0);   /* version */
    assert_int_equal(SNIFF("ID3\x03\0\0\x80\0\x0f\x76"), 0); /* size not syncsafe */
    assert_int_equal(SNIFF("ID3 is a kind of tag"), 0);
    assert_int_equal(SNIFF("\xff\xf1\x50\x80"), 0); /* AAC in ADTS: layer 0 */
    assert_int_equal(SNIFF("\xff\xfd\x90\x64"), 0); /* layer II */
    assert_int_equal(SNIFF("\xff\xfb\xf0\x64"), 0); /* bitrate 15 */
    assert_int_equal(SNIFF("\xff\xfb\x00\x64"), 0); /* free bitrate */
    assert_int_equal(SNIFF("\xff\xfb\x9c\x64"), 0); /* sample rate 3 */
    assert_int_equal(SNIFF("\xff\xeb\x90\x64"), 0); /* reserved version */
    assert_int_equal(SNIFF("\xff\xfe"
                           "h\0e\0"),
                     0); /* UTF-16 */
    assert_int_equal(SNIFF("\xff\xff\xff\xff"), 0);
}

static void brands_that_say_are_believed(void **state)
{
    (void)state;
    assert_int_equal(SNIFF("\0\0\0\x14"
                           "ftypM4A \0\0\0\0M4A "),
                     BIT(MEDIA_M4A));
    assert_int_equal(SNIFF("\0\0\0\x14"
                           "ftypM4V \0\0\0\0M4V "),
                     BIT(MEDIA_MP4));
    assert_int_equal(SNIFF("\0\0\0\x14"
                           "ftypqt  \0\0\0\0qt  "),
                     BIT(MEDIA_MOV));
}

static void brands_that_do_not_say_leave_both(void **state)
{
    (void)state;
    const unsigned both = BIT(MEDIA_M4A) | BIT(MEDIA_MP4);
    assert_int_equal(SNIFF("\0\0\0\x18"
                           "ftypisom\0\0\2\0isommp42"),
                     both);
    assert_int_equal(SNIFF("\0\0\0\x18"
                           "ftypmp42\0\0\0\0isommp42"),
                     both);
    assert_int_equal(SNIFF("\0\0\0\x14"
                           "ftypdash\0\0\0\0iso6"),
                     both);
}

static void an_unknown_major_brand_asks_the_compatible_ones(void **state)
{
    (void)state;
    assert_int_equal(SNIFF("\0\0\0\x18"
                           "ftypXYZ1\0\0\0\0XYZ2M4A "),
                     BIT(MEDIA_M4A));
    assert_int_equal(SNIFF("\0\0\0\x14"
                           "ftypXYZ1\0\0\0\0XYZ2"),
                     0);
    /* A brand beyond the box's own size is not its brand. */
    assert_int_equal(SNIFF("\0\0\0\x14"
                           "ftypXYZ1\0\0\0\0XYZ2M4A "),
                     0);
}

static void stills_in_the_same_boxes_are_not_ours(void **state)
{
    (void)state;
    assert_int_equal(SNIFF("\0\0\0\x18"
                           "ftypheic\0\0\0\0mif1heic"),
                     0);
    assert_int_equal(SNIFF("\0\0\0\x18"
                           "ftypavif\0\0\0\0avifmif1"),
                     0);
    assert_int_equal(SNIFF("\0\0\0\x18"
                           "ftypXYZ1\0\0\0\0mif1isom"),
                     0);
}

static void quicktime_without_a_brand_is_accepted(void **state)
{
    (void)state;
    assert_int_equal(SNIFF("\0\0\x12\x34moov\0\0\0\x6cmvhd"), BIT(MEDIA_MOV));
    assert_int_equal(SNIFF("\0\x12\0\0mdat"), BIT(MEDIA_MOV));
    assert_int_equal(SNIFF("\0\0\0\1mdat\0\0\0\1\0\0\0\0"), BIT(MEDIA_MOV));
    assert_int_equal(SNIFF("\0\0\0\x08wide\0\x12\0\0mdat"), BIT(MEDIA_MOV));
    assert_int_equal(SNIFF("\0\0\0\x08skip\0\0\x12\x34moov"), BIT(MEDIA_MOV));
    assert_int_equal(SNIFF("\0\0\x02\0free"), BIT(MEDIA_MOV));
}

static void padding_before_the_brand_is_stepped_over(void **state)
{
    (void)state;
    assert_int_equal(SNIFF("\0\0\0\x08"
                           "free\0\0\0\x14"
                           "ftypM4A \0\0\0\0M4A "),
                     BIT(MEDIA_M4A));
    assert_int_equal(SNIFF("\0\0\0\x08wide\0\0\0\x18"
                           "ftypheic\0\0\0\0mif1heic"),
                     0);
}

static void impossible_box_sizes_are_refused(void **state)
{
    (void)state;
    assert_int_equal(SNIFF("\0\0\0\x07moov\0\0\0\x6cmvhd"), 0);
    assert_int_equal(SNIFF("\0\0\0\x02mdat"), 0);
    assert_int_equal(SNIFF("\0\0\0\x0b"
                           "ftypM4A \0\0\0\0M4A "),
                     0);
    assert_int_equal(SNIFF("\0\0\0\0ftypM4A \0\0\0\0M4A "), 0);
}

static void other_files_are_none_of_ours(void **state)
{
    (void)state;
    assert_int_equal(SNIFF("GIF89a\x01\0\x01\0"), 0);
    assert_int_equal(SNIFF("%PDF-1.7\n"), 0);
    assert_int_equal(SNIFF("PK\3\4\x14\0\0\0"), 0);
    assert_int_equal(SNIFF("\x1a\x45\xdf\xa3\x01\0\0\0"), 0);
    assert_int_equal(SNIFF("OggS\0\2\0\0"), 0);
    assert_int_equal(SNIFF("fLaC\0\0\0\x22"), 0);
    assert_int_equal(SNIFF("<!DOCTYPE html><svg>"), 0);
    assert_int_equal(SNIFF(""), 0);
    assert_int_equal(media_sniff(STR_NONE), 0);
}

/* Every prefix of every signature, each in its own exact-size memory: the sanitizer sees one byte
 * too far. */
static void short_inputs_are_read_within_their_length(void **state)
{
    (void)state;
    static const struct str whole[] = {
        { "\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR", 16 },
        { "\xff\xd8\xff\xe0\0\x10JFIF", 10 },
        { "RIFF\x24\0\0\0WEBPVP8 ", 16 },
        { "ID3\x03\0\0\0\0\x0f\x76TIT2", 14 },
        { "\xff\xfb\x90\x64", 4 },
        { "\0\0\0\x18"
          "ftypXYZ1\0\0\0\0XYZ2M4A ",
          24 },
        { "\0\0\0\x08wide\0\0\0\x18"
          "ftypisom\0\0\0\0XYZ2M4A ",
          32 },
    };
    for (size_t i = 0; i < COUNT_OF(whole); i++) {
        for (size_t len = 0; len <= whole[i].len; len++) {
            char *exact = malloc(len ? len : 1);
            memcpy(exact, whole[i].data, len);
            unsigned found = media_sniff((struct str){ exact, len });
            if (len == whole[i].len) assert_int_not_equal(found, 0);
            if (len < 3) assert_int_equal(found, 0);
            free(exact);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_and_extensions_go_both_ways),
        cmocka_unit_test(unknown_names_do_not_parse),
        cmocka_unit_test(images_are_told_by_their_signatures),
        cmocka_unit_test(riff_is_told_by_its_form),
        cmocka_unit_test(mp3_is_told_with_and_without_a_tag),
        cmocka_unit_test(what_only_looks_like_mp3_is_not),
        cmocka_unit_test(brands_that_say_are_believed),
        cmocka_unit_test(brands_that_do_not_say_leave_both),
        cmocka_unit_test(an_unknown_major_brand_asks_the_compatible_ones),
        cmocka_unit_test(stills_in_the_same_boxes_are_not_ours),
        cmocka_unit_test(quicktime_without_a_brand_is_accepted),
        cmocka_unit_test(padding_before_the_brand_is_stepped_over),
        cmocka_unit_test(impossible_box_sizes_are_refused),
        cmocka_unit_test(other_files_are_none_of_ours),
        cmocka_unit_test(short_inputs_are_read_within_their_length),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
