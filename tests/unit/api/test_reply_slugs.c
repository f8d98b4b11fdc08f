/* docs/errors.md has a row for every slug that the source can answer with, with the status and the
 * type that it is answered with. */
#include "api/reply.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <assert.h>
#include <dirent.h>
#include <stdio.h>
#include <string.h>

enum { TEXT_BYTES_MAX = 1 << 20, SOURCE_BYTES_MAX = 16 << 20, ARGUMENTS_MAX = 6 };

static struct arena arena;
static const char  *page;
static int          rows_count;

static const char *read_text_into(struct arena *into, const char *path)
{
    FILE *file = fopen(path, "r");
    if (file == NULL) fail_msg("cannot open %s", path);
    char  *text = NEW(into, char, TEXT_BYTES_MAX);
    size_t len = fread(text, 1, TEXT_BYTES_MAX - 1, file);
    fclose(file);
    assert_true(len > 0 && len < TEXT_BYTES_MAX - 1);
    return text;
}

static const char *read_text(const char *path)
{
    return read_text_into(&arena, path);
}

/* --- reading calls out of C source --- */

static const char *skip_literal(const char *at)
{
    for (at++; *at && *at != '"'; at++)
        if (*at == '\\') at++;
    return at;
}

/* The arguments of a call, from just behind its bracket; how many there are. */
static int split_arguments(const char *at, struct str arguments[ARGUMENTS_MAX])
{
    int         depth = 0, count = 0;
    const char *begin = at;
    for (; *at; at++) {
        if (*at == '"') at = skip_literal(at);
        if (*at == '(' || *at == '{') depth++;
        bool is_end = *at == ')' && depth == 0;
        if (*at == ')' || *at == '}') depth--;
        if (!is_end && !(*at == ',' && depth == 0)) continue;
        if (count < ARGUMENTS_MAX) arguments[count++] = (struct str){ begin, (size_t)(at - begin) };
        begin = at + 1;
        if (is_end) break;
    }
    return count;
}

static bool is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

/* The next literal in a piece of source; absent when there is none. */
static struct str next_literal(struct str *text)
{
    const char *begin = text->len ? memchr(text->data, '"', text->len) : NULL;
    if (begin == NULL) return STR_NONE;
    const char *end = skip_literal(begin);
    *text = str_skip(*text, (size_t)(end - text->data) + 1);
    return (struct str){ begin + 1, (size_t)(end - begin) - 1 };
}

#define CODE(code)                                                                                 \
    {                                                                                              \
#code, code                                                                                \
    }
static const struct {
    const char *text;
    enum err    code;
} codes[] = {
    CODE(ERR_INVALID),      CODE(ERR_UNAUTHENTICATED), CODE(ERR_UNPAID),     CODE(ERR_FORBIDDEN),
    CODE(ERR_NOT_FOUND),    CODE(ERR_METHOD),          CODE(ERR_CONFLICT),   CODE(ERR_GONE),
    CODE(ERR_PRECONDITION), CODE(ERR_TOO_LARGE),       CODE(ERR_MEDIA_TYPE), CODE(ERR_RANGE),
    CODE(ERR_CHECKSUM),     CODE(ERR_UNPROCESSABLE),   CODE(ERR_LIMITED),    CODE(ERR_BUSY),
    CODE(ERR_UNCERTAIN),    CODE(ERR_UNAVAILABLE),     CODE(ERR_INTERNAL)
};
static_assert(COUNT_OF(codes) == ERR__COUNT - 1, "every code but ERR_OK");

/* --- looking them up --- */

static void assert_row(const char *path, struct str row)
{
    if (strstr(page, row.data) == NULL)
        fail_msg("%s: docs/errors.md has no row \"%s\"", path, row.data + 1);
    rows_count++;
}

static void check_refusal(const char *path, struct str code, struct str slugs)
{
    struct str slug;
    while ((slug = next_literal(&slugs)).data) {
        bool is_known = false;
        for (size_t i = 0; i < COUNT_OF(codes); i++) {
            if (!str_eq(str_trim(code), str_of(codes[i].text))) continue;
            is_known = true;
            assert_row(path, str_format(&arena, "\n| `%.*s` | %d | %s |", STR_ARG(slug),
                                        err_status(codes[i].code), err_type(codes[i].code)));
        }
        if (!is_known) assert_row(path, str_format(&arena, "\n| `%.*s` |", STR_ARG(slug)));
    }
}

static void check_fault(const char *path, struct str fault_codes)
{
    struct str code;
    while ((code = next_literal(&fault_codes)).data)
        assert_row(path, str_format(&arena, "\n| `%.*s` |", STR_ARG(code)));
}

/* The functions that name a slug: where it is among their arguments, and where its code is. */
static const struct {
    const char *name;
    int         slug_at, code_at; /* code_at -1: the code of a single fault */
} namers[] = {
    { "FAIL(", 2, 1 },        { "fail_at(", 1, -1 },
    { "FAIL_FAULTS(", 3, 2 }, { "error_add_fault(", 3, -1 },
    { "fault(", 2, -1 },
};

static void check_file(const char *path)
{
    const char *text = read_text(path);
    for (size_t i = 0; i < COUNT_OF(namers); i++) {
        size_t len = strlen(namers[i].name);
        for (const char *at = text; (at = strstr(at, namers[i].name)) != NULL; at += len) {
            struct str arguments[ARGUMENTS_MAX];
            if (at > text && is_word(at[-1])) continue;
            if (split_arguments(at + len, arguments) <= namers[i].slug_at) continue;
            if (namers[i].code_at < 0)
                check_fault(path, arguments[namers[i].slug_at]);
            else
                check_refusal(path, arguments[namers[i].code_at], arguments[namers[i].slug_at]);
        }
    }
}

static void check_folder(const char *folder)
{
    DIR *dir = opendir(folder);
    assert_non_null(dir);
    for (struct dirent *entry = readdir(dir); entry; entry = readdir(dir)) {
        if (!str_ends_with(str_of(entry->d_name), STR(".c"))) continue;
        struct arena_mark mark = arena_mark(&arena);
        check_file(str_format(&arena, "%s/%s", folder, entry->d_name).data);
        arena_rewind(&arena, mark);
    }
    closedir(dir);
}

static int setup(void **state)
{
    (void)state;
    arena_init(&arena, 64 << 20);
    page = read_text(SOURCE_DIR "/docs/errors.md");
    rows_count = 0;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_deinit(&arena);
    return 0;
}

#define slug_test(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

/* --- rules --- */

static void slugs_of_the_api_are_documented(void **state)
{
    (void)state;
    check_folder(SOURCE_DIR "/src/api");
    assert_true(rows_count >= 20);
}

static void slugs_of_the_domain_are_documented(void **state)
{
    (void)state;
    check_folder(SOURCE_DIR "/src/domain");
    assert_true(rows_count >= 50);
}

static void slugs_of_the_contract_are_documented(void **state)
{
    (void)state;
    check_folder(SOURCE_DIR "/src/contract");
    assert_true(rows_count >= 15);
}

/* The reader of bodies takes its slugs from the library's: met by example. */
static void slugs_of_malformed_bodies_are_documented(void **state)
{
    (void)state;
    check_file(SOURCE_DIR "/src/base/json_in.c");
    static const struct str bodies[] = {
        { "", 0 },         { "{", 1 },     { "{\"a\":1,\"a\":2}", 13 }, { "\"\\u0000\"", 8 },
        { "\"\xff\"", 3 }, { "1e999", 5 },
    };
    for (size_t i = 0; i < COUNT_OF(bodies); i++) {
        struct error error = { 0 };
        json_t      *root;
        assert_int_equal(json_parse(&arena, bodies[i], &error, &root), ERR_INVALID);
        assert_row("json_in", str_format(&arena, "\n| `%s` | 400 | invalid_request |", error.slug));
    }
}

/* All source of a folder, one after the other. */
static void add_source(struct buf *source, const char *folder)
{
    struct arena scratch;
    DIR         *dir = opendir(folder);
    assert_non_null(dir);
    arena_init(&scratch, 4 << 20);
    for (struct dirent *entry = readdir(dir); entry; entry = readdir(dir)) {
        if (!str_ends_with(str_of(entry->d_name), STR(".c"))) continue;
        struct arena_mark mark = arena_mark(&scratch);
        const char       *path = str_format(&scratch, "%s/%s", folder, entry->d_name).data;
        buf_add(source, str_of(read_text_into(&scratch, path)));
        arena_rewind(&scratch, mark);
    }
    arena_deinit(&scratch);
    closedir(dir);
}

static void rows_of_the_page_are_of_slugs_that_the_source_has(void **state)
{
    (void)state;
    static const char *const folders[] = { "base", "contract", "platform", "domain",
                                           "api",  "runner",   "web",      "main" };
    struct buf               source;
    buf_init(&source, &arena, SOURCE_BYTES_MAX);
    for (size_t i = 0; i < COUNT_OF(folders); i++)
        add_source(&source, str_format(&arena, SOURCE_DIR "/src/%s", folders[i]).data);
    assert_false(source.failed);
    const char *text = str_c(&arena, buf_str(&source));
    for (const char *at = page; (at = strstr(at, "\n| `")) != NULL; at += 4) {
        struct str slug = { at + 4, strcspn(at + 4, "`") };
        struct str literal = str_format(&arena, "\"%.*s\"", STR_ARG(slug));
        if (strstr(text, literal.data) == NULL) fail_msg("no source names %s", literal.data);
        rows_count++;
    }
    assert_true(rows_count >= 140);
}

static void slugs_of_the_platform_that_clients_meet_are_documented(void **state)
{
    (void)state;
    static const char *const slugs[] = {
        "passwords_busy", "io_queue_full", "writer_full", "writer_stopping", "store_unavailable",
        "commit_unknown", "db_busy",       "db_full",     "db_io",           "disk_full",
        "disk_io"
    };
    for (size_t i = 0; i < COUNT_OF(slugs); i++)
        assert_row("platform", str_format(&arena, "\n| `%s` | 503 | internal_error |", slugs[i]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        slug_test(slugs_of_the_api_are_documented),
        slug_test(slugs_of_the_domain_are_documented),
        slug_test(slugs_of_the_contract_are_documented),
        slug_test(rows_of_the_page_are_of_slugs_that_the_source_has),
        slug_test(slugs_of_malformed_bodies_are_documented),
        slug_test(slugs_of_the_platform_that_clients_meet_are_documented),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
