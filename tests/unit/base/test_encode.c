#include "base/encode.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static struct arena arena;

static int set_up(void **state)
{
    (void)state;
    arena_init(&arena, 8 << 20);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    arena_deinit(&arena);
    return 0;
}

static void assert_str(struct str actual, struct str expected)
{
    assert_non_null(actual.data);
    assert_int_equal(actual.len, expected.len);
    assert_memory_equal(actual.data, expected.data, expected.len);
}

/* RFC 4648, section 10. */
static const struct {
    struct str bytes, base64;
} vectors[] = {
    { { "", 0 }, { "", 0 } },
    { { "f", 1 }, { "Zg==", 4 } },
    { { "fo", 2 }, { "Zm8=", 4 } },
    { { "foo", 3 }, { "Zm9v", 4 } },
    { { "foob", 4 }, { "Zm9vYg==", 8 } },
    { { "fooba", 5 }, { "Zm9vYmE=", 8 } },
    { { "foobar", 6 }, { "Zm9vYmFy", 8 } },
    { { "\xfb\xff\xbe", 3 }, { "+/++", 4 } },
};

static void base64_meets_the_known_vectors(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(vectors); i++) {
        struct str bytes = vectors[i].bytes, decoded;
        assert_str(encode_base64(&arena, bytes.data, bytes.len), vectors[i].base64);
        assert_true(decode_base64(&arena, vectors[i].base64, &decoded));
        assert_str(decoded, bytes);
    }
}

static void base64url_has_its_own_alphabet_and_no_padding(void **state)
{
    (void)state;
    struct str decoded;
    assert_str(encode_base64url(&arena, "\xfb\xff\xbe", 3), STR("-_--"));
    assert_str(encode_base64url(&arena, "f", 1), STR("Zg"));
    assert_true(decode_base64url(&arena, STR("-_--"), &decoded));
    assert_str(decoded, STR("\xfb\xff\xbe"));
    assert_false(decode_base64url(&arena, STR("+/++"), &decoded));
    assert_false(decode_base64url(&arena, STR("Zg=="), &decoded));
}

static void base64_that_is_not_canonical_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = { "Z",        "Zg",   "Zg=",  "Zh==",      "Zm9=",  "Zg==\n",
                                       " Zg==",    "Z===", "====", "Zg==Zg==",  "Zm9v=", "Zm9v====",
                                       "Zm9vZg=v", "-_--", "Zm 9", "Z\xc3\xa4g" };
    struct str               decoded = STR("untouched");
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        assert_false(decode_base64(&arena, str_of(bad[i]), &decoded));
    assert_false(decode_base64(&arena, STR("Zg\0="), &decoded));
    assert_false(decode_base64url(&arena, STR("Zh"), &decoded));
    assert_false(decode_base64url(&arena, STR("Zm9vY"), &decoded));
    assert_str(decoded, STR("untouched"));
}

static void every_byte_survives_every_encoding(void **state)
{
    (void)state;
    unsigned char bytes[256];
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (unsigned char)i;
    for (size_t count = 0; count <= sizeof(bytes); count++) {
        struct str decoded, expected = { (const char *)bytes, count };
        assert_true(decode_base64(&arena, encode_base64(&arena, bytes, count), &decoded));
        assert_str(decoded, expected);
        assert_true(decode_base64url(&arena, encode_base64url(&arena, bytes, count), &decoded));
        assert_str(decoded, expected);
        unsigned char back[256];
        assert_true(decode_hex(encode_hex(&arena, bytes, count), back, count));
        assert_memory_equal(back, bytes, count);
    }
}

static void hex_is_lower_case_and_reads_both(void **state)
{
    (void)state;
    unsigned char back[3];
    assert_str(encode_hex(&arena, "\x00\xab\xff", 3), STR("00abff"));
    assert_true(decode_hex(STR("00aBFf"), back, 3));
    assert_memory_equal(back, "\x00\xab\xff", 3);
}

static void hex_of_another_length_or_alphabet_is_refused(void **state)
{
    (void)state;
    unsigned char back[2];
    assert_false(decode_hex(STR("00a"), back, 2));
    assert_false(decode_hex(STR("00aabb"), back, 2));
    assert_false(decode_hex(STR("00ag"), back, 2));
    assert_false(decode_hex(STR("0x00"), back, 2));
    assert_false(decode_hex(STR_NONE, back, 2));
}

static void base62_fills_its_width_and_drops_higher_digits(void **state)
{
    (void)state;
    char text[12] = "...........";
    encode_base62(0, text, 6);
    assert_memory_equal(text, "000000.", 7);
    encode_base62(61, text, 6);
    assert_memory_equal(text, "00000z.", 7);
    encode_base62(62 * 62 + 10, text, 6);
    assert_memory_equal(text, "00010A.", 7);
    encode_base62(UINT64_MAX, text, 11);
    assert_memory_equal(text, "LygHa16AHYF", 11);
    encode_base62(62 * 62 + 10, text, 2);
    assert_memory_equal(text, "0A", 2);
}

static void crc32_meets_the_known_vectors(void **state)
{
    (void)state;
    assert_int_equal(encode_crc32(STR("")), 0);
    assert_int_equal(encode_crc32(STR("123456789")), 0xcbf43926);
    assert_int_equal(encode_crc32(STR("The quick brown fox jumps over the lazy dog")), 0x414fa339);
    assert_int_equal(encode_crc32(STR("\0\0\0\0")), 0x2144df1c);
}

static void percent_escapes_are_decoded(void **state)
{
    (void)state;
    struct str decoded;
    assert_true(decode_percent(&arena, STR("a%20b%2fc%2F%00"), false, &decoded));
    assert_str(decoded, STR("a b/c/\0"));
    assert_true(decode_percent(&arena, STR("a+b%2B"), false, &decoded));
    assert_str(decoded, STR("a+b+"));
    assert_true(decode_percent(&arena, STR("a+b%2B"), true, &decoded));
    assert_str(decoded, STR("a b+"));
    assert_true(decode_percent(&arena, STR("%2541"), false, &decoded));
    assert_str(decoded, STR("%41"));
}

static void malformed_percent_escapes_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = { "%", "%4", "a%", "%%41", "%zz", "%4g", "%-1", "% 1" };
    struct str               decoded = STR("untouched");
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        assert_false(decode_percent(&arena, str_of(bad[i]), false, &decoded));
    assert_str(decoded, STR("untouched"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(base64_meets_the_known_vectors),
        cmocka_unit_test(base64url_has_its_own_alphabet_and_no_padding),
        cmocka_unit_test(base64_that_is_not_canonical_is_refused),
        cmocka_unit_test(every_byte_survives_every_encoding),
        cmocka_unit_test(hex_is_lower_case_and_reads_both),
        cmocka_unit_test(hex_of_another_length_or_alphabet_is_refused),
        cmocka_unit_test(base62_fills_its_width_and_drops_higher_digits),
        cmocka_unit_test(crc32_meets_the_known_vectors),
        cmocka_unit_test(percent_escapes_are_decoded),
        cmocka_unit_test(malformed_percent_escapes_are_refused),
    };
    return cmocka_run_group_tests_name("encode", tests, set_up, tear_down);
}
