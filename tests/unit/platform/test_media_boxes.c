#include "media_samples.h"

#include "platform/media_boxes.h"

/* --- files of boxes that hold nothing --- */

static void put_box(FILE *file, const char *kind, uint32_t size, size_t body_bytes)
{
    unsigned char head[8] = { (unsigned char)(size >> 24), (unsigned char)(size >> 16),
                              (unsigned char)(size >> 8), (unsigned char)size };
    memcpy(head + 4, kind, 4);
    assert_int_equal(fwrite(head, 1, sizeof head, file), sizeof head);
    for (size_t i = 0; i < body_bytes; i++)
        assert_int_not_equal(fputc(0, file), EOF);
}

static FILE *begin_fragmented(void)
{
    FILE *file = tmpfile();
    assert_non_null(file);
    put_box(file, "ftyp", 24, 16);
    put_box(file, "moov", 108, 100);
    put_box(file, "moof", 58, 50);
    put_box(file, "mdat", 1008, 1000);
    return file;
}

static bool ends_in_fragment(FILE *file)
{
    assert_int_equal(fflush(file), 0);
    bool answer = boxes_end_in_fragment(fileno(file), ftell(file));
    assert_int_equal(fclose(file), 0);
    return answer;
}

static void a_whole_fragmented_file_does_not(void **state)
{
    (void)state;
    assert_false(ends_in_fragment(begin_fragmented()));
}

static void a_last_fragment_that_is_cut_does(void **state)
{
    (void)state;
    FILE *head = begin_fragmented(), *body = begin_fragmented();
    put_box(head, "moof", 58, 20);
    put_box(body, "moof", 58, 50);
    put_box(body, "mdat", 1008, 999);
    assert_true(ends_in_fragment(head));
    assert_true(ends_in_fragment(body));
}

static void a_long_size_is_read_in_full(void **state)
{
    (void)state;
    for (int missing = 0; missing < 2; missing++) {
        FILE               *file = begin_fragmented();
        const unsigned char size[8] = { 0, 0, 0, 0, 0, 0, 0, 20 };
        put_box(file, "mdat", 1, 0);
        assert_int_equal(fwrite(size, 1, sizeof size, file), sizeof size);
        for (int i = missing; i < 4; i++)
            assert_int_not_equal(fputc(0, file), EOF);
        assert_int_equal(ends_in_fragment(file), missing);
    }
}

static void a_file_without_fragments_never_does(void **state)
{
    (void)state;
    FILE *file = tmpfile();
    assert_non_null(file);
    put_box(file, "ftyp", 24, 16);
    put_box(file, "moov", 108, 100);
    put_box(file, "mdat", 5000, 10);
    assert_false(ends_in_fragment(file));
}

static void what_follows_the_last_fragment_is_no_part_of_it(void **state)
{
    (void)state;
    FILE *words = begin_fragmented(), *few = begin_fragmented(), *to_the_end = begin_fragmented(),
         *nonsense = begin_fragmented();
    assert_true(fputs("<html>some words after the end</html>", words) >= 0);
    assert_true(fputs("bye", few) >= 0);
    put_box(to_the_end, "mdat", 0, 77);
    put_box(nonsense, "mdat", 7, 77);
    assert_false(ends_in_fragment(words));
    assert_false(ends_in_fragment(few));
    assert_false(ends_in_fragment(to_the_end));
    assert_false(ends_in_fragment(nonsense));
}

static void a_hundred_thousand_boxes_are_enough(void **state)
{
    (void)state;
    FILE *file = begin_fragmented();
    for (int i = 0; i < 100000; i++)
        put_box(file, "free", 8, 0);
    put_box(file, "mdat", 1000, 0);
    assert_false(ends_in_fragment(file));
}

static void an_empty_file_does_not(void **state)
{
    (void)state;
    FILE *file = tmpfile();
    assert_non_null(file);
    assert_false(ends_in_fragment(file));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_whole_fragmented_file_does_not),
        cmocka_unit_test(a_last_fragment_that_is_cut_does),
        cmocka_unit_test(a_long_size_is_read_in_full),
        cmocka_unit_test(a_file_without_fragments_never_does),
        cmocka_unit_test(what_follows_the_last_fragment_is_no_part_of_it),
        cmocka_unit_test(a_hundred_thousand_boxes_are_enough),
        cmocka_unit_test(an_empty_file_does_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
