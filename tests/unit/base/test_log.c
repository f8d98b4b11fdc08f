#include "base/json_in.h"
#include "base/log.h"
#include "base/time_text.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static struct arena arena;
static char         folder[] = "/tmp/firsthand_test_log_XXXXXX";
static char         path[64], moved_path[64];

static int set_up(void **state)
{
    (void)state;
    arena_init(&arena, 16 << 20);
    if (mkdtemp(folder) == NULL) return -1;
    snprintf(path, sizeof(path), "%s/log", folder);
    snprintf(moved_path, sizeof(moved_path), "%s/log.1", folder);
    return log_open(LOG_INFO, path) ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    unlink(path);
    unlink(moved_path);
    rmdir(folder);
    arena_deinit(&arena);
    return 0;
}

static int empty_log(void **state)
{
    (void)state;
    return truncate(path, 0);
}

static struct str read_file(const char *name)
{
    int fd = open(name, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    char   *bytes = NEW(&arena, char, 1 << 20);
    ssize_t len = read(fd, bytes, 1 << 20);
    close(fd);
    assert_true(len >= 0);
    return (struct str){ bytes, (size_t)len };
}

/* The one line the log holds, as JSON. */
static json_t *only_line(void)
{
    struct str text = read_file(path), line;
    assert_true(str_ends_with(text, STR("\n")));
    assert_true(text.len <= LOG_LINE_BYTES_MAX);
    str_cut(&text, '\n', &line);
    assert_int_equal(text.len, 0);
    struct error error;
    json_t      *root;
    if (json_parse(&arena, line, &error, &root)) fail_msg("not JSON: %.*s", STR_ARG(line));
    return root;
}

static void assert_member(const json_t *line, const char *key, const char *expected)
{
    assert_string_equal(in_text(line, key, &arena).data, expected);
}

static void line_says_when_how_grave_and_what(void **state)
{
    (void)state;
    struct log_line line;
    log_begin(&line, LOG_WARNING, "request");
    log_text(&line, "method", STR("GET"));
    log_int(&line, "status", INT64_MIN);
    log_text(&line, "absent", STR_NONE);
    log_end(&line);
    json_t *root = only_line();
    assert_member(root, "level", "warning");
    assert_member(root, "event", "request");
    assert_member(root, "method", "GET");
    assert_true(in_int(root, "status", 0) == INT64_MIN);
    assert_false(in_has(root, "absent"));
    int64_t time_ms;
    assert_true(time_parse(in_text(root, "time", &arena), &time_ms));
}

static void levels_below_the_chosen_one_are_dropped(void **state)
{
    (void)state;
    struct log_line line;
    log_begin(&line, LOG_DEBUG, "detail");
    log_end(&line);
    assert_int_equal(read_file(path).len, 0);
    log_begin(&line, LOG_INFO, "news");
    log_end(&line);
    assert_member(only_line(), "event", "news");
}

static void text_comes_back_as_it_was(void **state)
{
    (void)state;
    static const char text[] = "a\"b\\c\n\t\x01\x7f \xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80 \xc2\x9b"
                               "31m";
    struct log_line   line;
    log_begin(&line, LOG_INFO, "text");
    log_text(&line, "value", str_of(text));
    log_end(&line);
    assert_member(only_line(), "value", text);
}

static void no_control_character_reaches_the_terminal(void **state)
{
    (void)state;
    char            controls[33 + 2 * 32];
    size_t          len = 0;
    struct log_line line;
    for (int c = 1; c < 0x20; c++)
        controls[len++] = (char)c;
    controls[len++] = 0x7f;
    for (int c = 0x80; c < 0xa0; c++) {
        controls[len++] = (char)0xc2;
        controls[len++] = (char)c;
    }
    log_begin(&line, LOG_INFO, "controls");
    log_text(&line, "value", (struct str){ controls, len });
    log_end(&line);
    struct str written = read_file(path);
    for (size_t i = 0; i + 1 < written.len; i++)
        assert_true(written.data[i] >= 0x20 && written.data[i] < 0x7f);
    assert_int_equal(str_code_points(in_text(only_line(), "value", &arena)), 31 + 1 + 32);
}

static void invalid_utf8_and_nul_are_replaced(void **state)
{
    (void)state;
    struct log_line line;
    log_begin(&line, LOG_INFO, "bytes");
    log_text(&line, "value", STR("a\xff\0\xed\xa0\x80z"));
    log_end(&line);
    assert_member(only_line(), "value",
                  "a\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbdz");
}

/* Every length around the cut, in characters that are written as one to six bytes. */
static void overlong_text_is_cut_and_the_line_stays_json(void **state)
{
    (void)state;
    static const char *const pieces[] = {
        "a", "\"", "\x01", "\xff", "\xc3\xa4", "\xf0\x9f\x98\x80"
    };
    static char text[4 * LOG_LINE_BYTES_MAX];
    for (size_t p = 0; p < COUNT_OF(pieces); p++)
        for (size_t pad = 0; pad < 8; pad++) {
            size_t piece_len = strlen(pieces[p]), len = pad;
            memset(text, 'x', pad);
            while (len + piece_len <= sizeof(text)) {
                memcpy(text + len, pieces[p], piece_len);
                len += piece_len;
            }
            empty_log(NULL);
            struct log_line line;
            log_begin(&line, LOG_INFO, "long");
            log_text(&line, "value", (struct str){ text, len });
            log_int(&line, "dropped", INT64_MIN);
            log_end(&line);
            struct str value = in_text(only_line(), "value", &arena);
            assert_true(value.len > 200 && value.len < len);
        }
}

static void more_fields_than_fit_are_left_out(void **state)
{
    (void)state;
    struct log_line line;
    log_begin(&line, LOG_INFO, "fields");
    for (int i = 0; i < 1000; i++)
        if (i % 2)
            log_int(&line, str_format(&arena, "key_%d", i).data, INT64_MIN);
        else
            log_text(&line, str_format(&arena, "key_%d", i).data, STR("some text\""));
    log_end(&line);
    assert_true(json_object_size(only_line()) > 20);
}

static void error_is_logged_with_its_place(void **state)
{
    (void)state;
    struct error error = { 0 };
    error_set(&error, ERR_CONFLICT, "job_closed", "src/domain/job.c", 7, "job is \"closed\"");
    struct log_line line;
    log_begin(&line, LOG_ERROR, "refused");
    log_error(&line, &error);
    log_end(&line);
    json_t *root = only_line();
    assert_member(root, "error", "conflict");
    assert_member(root, "slug", "job_closed");
    assert_member(root, "detail", "job is \"closed\"");
    assert_member(root, "file", "src/domain/job.c");
    assert_int_equal(in_int(root, "line", 0), 7);
}

static void levels_have_one_name_each(void **state)
{
    (void)state;
    static const char *const names[] = { "debug", "info", "warning", "error" };
    enum log_level           level = LOG_LEVEL__COUNT;
    for (int i = 0; i < LOG_LEVEL__COUNT; i++) {
        assert_true(log_level_parse(str_of(names[i]), &level));
        assert_int_equal(level, i);
    }
    static const char *const others[] = { "", "Info", "warn", "errors", NULL };
    for (size_t i = 0; i < COUNT_OF(others); i++)
        assert_false(log_level_parse(str_of(others[i]), &level));
    assert_int_equal(level, LOG_ERROR);
}

static void reopening_starts_a_new_file_after_a_move(void **state)
{
    (void)state;
    struct log_line line;
    log_begin(&line, LOG_INFO, "before");
    log_end(&line);
    assert_int_equal(rename(path, moved_path), 0);
    log_begin(&line, LOG_INFO, "moved");
    log_end(&line);
    log_reopen();
    log_begin(&line, LOG_INFO, "after");
    log_end(&line);
    assert_member(only_line(), "event", "after");
    assert_non_null(strstr(str_c(&arena, read_file(moved_path)), "\"moved\""));
}

static void unusable_path_changes_nothing(void **state)
{
    (void)state;
    char nowhere[2000];
    memset(nowhere, 'x', sizeof(nowhere) - 1);
    nowhere[sizeof(nowhere) - 1] = '\0';
    assert_false(log_open(LOG_INFO, nowhere));
    snprintf(nowhere, sizeof(nowhere), "%s/no/such/folder/log", folder);
    assert_false(log_open(LOG_INFO, nowhere));
    log_reopen();
    struct log_line line;
    log_begin(&line, LOG_INFO, "still");
    log_end(&line);
    assert_member(only_line(), "event", "still");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(line_says_when_how_grave_and_what, empty_log),
        cmocka_unit_test_setup(levels_below_the_chosen_one_are_dropped, empty_log),
        cmocka_unit_test(levels_have_one_name_each),
        cmocka_unit_test_setup(text_comes_back_as_it_was, empty_log),
        cmocka_unit_test_setup(no_control_character_reaches_the_terminal, empty_log),
        cmocka_unit_test_setup(invalid_utf8_and_nul_are_replaced, empty_log),
        cmocka_unit_test_setup(overlong_text_is_cut_and_the_line_stays_json, empty_log),
        cmocka_unit_test_setup(more_fields_than_fit_are_left_out, empty_log),
        cmocka_unit_test_setup(error_is_logged_with_its_place, empty_log),
        cmocka_unit_test_setup(reopening_starts_a_new_file_after_a_move, empty_log),
        cmocka_unit_test_setup(unusable_path_changes_nothing, empty_log),
    };
    return cmocka_run_group_tests_name("log", tests, set_up, tear_down);
}
