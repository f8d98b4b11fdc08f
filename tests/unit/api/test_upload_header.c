#include "api/upload_header.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "domain/submission.h"

#include <string.h>

enum { ARENA_BYTES_MAX = 1 << 20 };

static int setup(void **state)
{
    static struct arena arena;
    arena_init(&arena, ARENA_BYTES_MAX);
    *state = &arena;
    return 0;
}

static int teardown(void **state)
{
    arena_deinit(*state);
    return 0;
}

#define header_test(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

static void expect_name(struct str name, const char *expected)
{
    if (expected == NULL)
        assert_null(name.data);
    else if (!str_eq(name, str_of(expected)))
        fail_msg("%.*s is not %s", STR_ARG(name), expected);
}

static void a_number_of_bytes_is_digits_alone(void **state)
{
    (void)state;
    int64_t bytes = -7;
    assert_true(upload_bytes_parse(STR("0"), &bytes));
    assert_int_equal(bytes, 0);
    assert_true(upload_bytes_parse(STR("9223372036854775807"), &bytes));
    assert_true(bytes == INT64_MAX);
    bytes = -7;
    const struct str bad[] = { STR(""),    STR("-1"),  STR("+1"),
                               STR(" 1"),  STR("1 "),  STR("1x"),
                               STR("0x1"), STR("1.0"), STR("9223372036854775808") };
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        assert_false(upload_bytes_parse(bad[i], &bytes));
    assert_int_equal(bytes, -7);
}

static void a_checksum_is_an_algorithm_and_a_digest_of_its_length(void **state)
{
    struct error           error = { 0 };
    struct upload_checksum checksum;
    assert_int_equal(
        upload_checksum_parse(*state, STR("sha1 Kq5sNclPz7QV2+lfQIuc6R7oRu0="), &error, &checksum),
        ERR_OK);
    assert_int_equal(checksum.kind, CHECKSUM_SHA1);
    assert_int_equal(checksum.digest[0], 0x2a);
    assert_int_equal(
        upload_checksum_parse(*state, STR("sha256 LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ="),
                              &error, &checksum),
        ERR_OK);
    assert_int_equal(checksum.kind, CHECKSUM_SHA256);
    static const struct {
        struct str  value;
        const char *slug;
    } bad[] = {
        { STR(""), "checksum_algorithm" },
        { STR("sha1"), "checksum_malformed" },
        { STR("sha1 "), "checksum_malformed" },
        { STR("sha1 ###"), "checksum_malformed" },
        { STR("sha1 AAAA"), "checksum_malformed" },
        { STR("sha256 Kq5sNclPz7QV2+lfQIuc6R7oRu0="), "checksum_malformed" },
        { STR("md5 1B2M2Y8AsgTpgAmy7PhCfg=="), "checksum_algorithm" },
        { STR("SHA1 Kq5sNclPz7QV2+lfQIuc6R7oRu0="), "checksum_algorithm" },
    };
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        enum err e = upload_checksum_parse(*state, bad[i].value, &error, &checksum);
        assert_int_equal(e, ERR_INVALID);
        assert_string_equal(error.slug, bad[i].slug);
    }
}

static void metadata_gives_the_file_name_and_nothing_else(void **state)
{
    struct error error = { 0 };
    struct str   name = STR("untouched");
    static const struct {
        struct str  value;
        const char *name;
    } good[] = {
        { STR(""), NULL },
        { STR("filename c2lnbi5wbmc="), "sign.png" },
        { STR("filetype aW1hZ2UvcG5n,filename c2lnbi5wbmc="), "sign.png" },
        { STR("filename c2lnbi5wbmc=,filetype aW1hZ2UvcG5n, is_public"), "sign.png" },
        { STR("filename"), NULL },
        { STR("Filename c2lnbi5wbmc="), NULL },
        { STR("filename Li4vLi4vZXRjL3Bhc3N3ZA=="), "passwd" },
    };
    for (size_t i = 0; i < COUNT_OF(good); i++) {
        assert_int_equal(upload_metadata_parse(*state, good[i].value, &error, &name), ERR_OK);
        expect_name(name, good[i].name);
    }
    name = STR("untouched");
    const struct str bad[] = {
        STR("filename ???"),    STR(","), STR("a,,b"), STR("a\tYQ=="), STR("filename c2lnbi5wbmc"),
        STR("n\xc3\xa4me YQ==")
    };
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        enum err e = upload_metadata_parse(*state, bad[i], &error, &name);
        assert_int_equal(e, ERR_INVALID);
        assert_string_equal(error.slug, "metadata_malformed");
    }
    char long_value[5000];
    memset(long_value, 'a', sizeof(long_value));
    assert_int_equal(upload_metadata_parse(*state, (struct str){ long_value, sizeof(long_value) },
                                           &error, &name),
                     ERR_INVALID);
    assert_string_equal(error.slug, "metadata_too_large");
}

static void a_disposition_gives_its_file_name(void **state)
{
    static const struct {
        struct str  value;
        const char *name;
    } cases[] = {
        { { NULL, 0 }, NULL },
        { STR(""), NULL },
        { STR("attachment"), NULL },
        { STR("attachment; filename=sign.png"), "sign.png" },
        { STR("attachment;filename = \"a b.png\" ; x=y"), "a b.png" },
        { STR("inline; x=\";filename=no\"; filename=\"q\\\"uote.png\""), "q\"uote.png" },
        { STR("attachment; FILENAME=\"C:\\\\dir\\\\f.png\""), "f.png" },
        { STR("attachment; filename=a.png; filename*=utf-8'de'%e2%82%ac.png"), "\xe2\x82\xac.png" },
        { STR("attachment; filename*=UTF-8''x%2Fy.png"), "y.png" },
        { STR("attachment; filename*=latin-1''x.png; filename=a.png"), "a.png" },
        { STR("attachment; filename*=UTF-8''%zz; filename=a.png"), "a.png" },
        { STR("attachment; filename=\"never closed"), NULL },
        { STR("attachment; filename"), NULL },
        { STR("attachment; filename=\"\""), NULL },
        { STR("attachment; filename=\"..\""), NULL },
        { STR("; ; ;"), NULL },
        { STR("attachment; filename=\"\\"), NULL },
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        expect_name(upload_disposition_filename(*state, cases[i].value), cases[i].name);
}

static void a_file_name_is_text_for_people(void **state)
{
    expect_name(upload_filename(*state, STR("a\nb\x01.png")), "a?b?.png");
    expect_name(upload_filename(*state, STR("dir/")), NULL);
    expect_name(upload_filename(*state, STR("  ")), NULL);
    char long_name[600];
    memset(long_name, 'x', sizeof(long_name));
    struct str cut = upload_filename(*state, (struct str){ long_name, sizeof(long_name) });
    assert_int_equal(cut.len, FILENAME_BYTES_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_number_of_bytes_is_digits_alone),
        header_test(a_checksum_is_an_algorithm_and_a_digest_of_its_length),
        header_test(metadata_gives_the_file_name_and_nothing_else),
        header_test(a_disposition_gives_its_file_name),
        header_test(a_file_name_is_text_for_people),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
