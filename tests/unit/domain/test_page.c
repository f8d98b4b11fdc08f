#include "domain/page.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/encode.h"
#include "store_call.h"

#define KEY_1 "1 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n"
#define KEY_2 "2 bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb\n"

static struct str cursor_of(struct store_call *at, const char *listing, const struct id *last,
                            int64_t key)
{
    return page_cursor(&at->call, str_of(listing), last, key);
}

static struct page opened(struct store_call *at, const char *listing, struct str cursor,
                          enum id_kind kind)
{
    struct page page;
    assert_done(&at->call, page_open(&at->call, str_of(listing), cursor, 20, kind, &page));
    return page;
}

static void assert_no_cursor(struct store_call *at, const char *listing, struct str cursor,
                             enum id_kind kind)
{
    struct page page = { .rows_max = -7 };
    assert_refused(&at->call, page_open(&at->call, str_of(listing), cursor, 20, kind, &page),
                   ERR_INVALID, "invalid_parameters");
    assert_fault(&at->call, "cursor", "cursor");
    assert_int_equal(page.rows_max, -7);
}

/* --- reading a page's parameters --- */

static void page_without_a_cursor_begins_at_the_newest(void **state)
{
    struct page page = opened(*state, "jobs", STR_NONE, ID_JOB);
    assert_true(id_is_none(&page.before));
    assert_int_equal(page.rows_max, 20);
    assert_int_equal(page.key, 0);
}

static void limit_is_kept_in_bounds(void **state)
{
    struct store_call *at = *state;
    static const struct {
        int64_t limit;
        int     rows_max;
    } cases[] = { { 1, 1 },  { 100, 100 },       { 101, 100 },    { 0, 1 },
                  { -5, 1 }, { INT64_MAX, 100 }, { INT64_MIN, 1 } };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct page page;
        assert_done(&at->call,
                    page_open(&at->call, STR("jobs"), STR_NONE, cases[i].limit, ID_JOB, &page));
        assert_int_equal(page.rows_max, cases[i].rows_max);
    }
}

static void cursor_says_where_to_go_on(void **state)
{
    struct store_call   *at = *state;
    static const int64_t keys[] = { 0, 1, -1, INT64_MAX, INT64_MIN };
    for (size_t i = 0; i < COUNT_OF(keys); i++) {
        struct id   last = id_new(ID_JOB, START_MS);
        struct page page = opened(at, "jobs", cursor_of(at, "jobs", &last, keys[i]), ID_JOB);
        assert_true(id_eq(&page.before, &last));
        assert_int_equal(page.key, keys[i]);
    }
}

static void cursor_goes_into_a_url_as_it_is(void **state)
{
    struct store_call *at = *state;
    for (int i = 0; i < 50; i++) {
        struct id  last = id_new(ID_TRANSACTION, START_MS);
        struct str cursor = cursor_of(at, "transactions", &last, i);
        assert_int_equal(strspn(str_c(&at->arena, cursor),
                                "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"),
                         cursor.len);
    }
}

/* --- how much goes into a page --- */

static void page_ends_before_the_row_that_has_no_room(void **state)
{
    (void)state;
    struct page_search search = { 0 };
    assert_true(page_search_has_room(&search, PAGE_TEXT_BYTES_MAX - 1));
    assert_true(page_search_has_room(&search, 1));
    assert_false(page_search_is_cut(&search));
    assert_false(page_search_has_room(&search, 1));
    assert_true(page_search_is_cut(&search));
}

static void first_row_of_a_page_always_has_room(void **state)
{
    (void)state;
    struct page_search search = { 0 };
    assert_true(page_search_has_room(&search, PAGE_TEXT_BYTES_MAX + 1));
    assert_false(page_search_is_cut(&search));
    assert_false(page_search_has_room(&search, 1));
    assert_true(page_search_is_cut(&search));
}

/* --- whose cursor it is --- */

static void cursor_of_another_listing_is_refused(void **state)
{
    struct store_call *at = *state;
    struct id          last = id_new(ID_JOB, START_MS);
    struct str         cursor = cursor_of(at, "jobs:org_a:live", &last, 0);
    assert_no_cursor(at, "files:org_a:live", cursor, ID_JOB);
    assert_no_cursor(at, "jobs:org_b:live", cursor, ID_JOB);
    assert_no_cursor(at, "jobs:org_a:test", cursor, ID_JOB);
    assert_no_cursor(at, "", cursor, ID_JOB);
    opened(at, "jobs:org_a:live", cursor, ID_JOB);
}

static void cursor_of_another_kind_of_id_is_refused(void **state)
{
    struct store_call *at = *state;
    struct id          last = id_new(ID_JOB, START_MS);
    assert_no_cursor(at, "jobs", cursor_of(at, "jobs", &last, 0), ID_FILE);
}

static void listings_are_named_after_who_asks(void **state)
{
    struct store_call *at = *state;
    struct id org = id_new(ID_ORGANISATION, START_MS), worker = id_new(ID_WORKER, START_MS);
    at->call.actor = (struct actor){ .kind = ACTOR_API_KEY, .org_id = org };
    struct str live = page_listing(&at->call, "jobs");
    assert_true(str_eq(live, str_format(&at->arena, "jobs:%s:live", org.text)));
    at->call.actor.environment = ENVIRONMENT_TEST;
    assert_true(
        str_eq(page_listing(&at->call, "jobs"), str_format(&at->arena, "jobs:%s:test", org.text)));
    at->call.actor = (struct actor){ .kind = ACTOR_WORKER, .worker_id = worker };
    assert_true(
        str_eq(page_listing(&at->call, "jobs"), str_format(&at->arena, "jobs:%s", worker.text)));
}

/* --- forgeries --- */

static void cursor_with_any_character_changed_is_refused(void **state)
{
    struct store_call *at = *state;
    struct id          last = id_new(ID_JOB, START_MS);
    struct str         cursor = cursor_of(at, "jobs", &last, 42), bytes;
    assert_true(decode_base64url(&at->arena, cursor, &bytes));
    for (size_t i = 0; i < bytes.len; i++) {
        struct str changed = str_copy(&at->arena, bytes);
        ((char *)changed.data)[i] ^= 1;
        assert_no_cursor(at, "jobs", encode_base64url(&at->arena, changed.data, changed.len),
                         ID_JOB);
    }
    for (size_t i = 0; i < cursor.len; i++) {
        struct str changed = str_copy(&at->arena, cursor);
        ((char *)changed.data)[i] = changed.data[i] == 'A' ? 'B' : 'A';
        assert_no_cursor(at, "jobs", changed, ID_JOB);
    }
}

static void cursor_that_was_cut_or_lengthened_is_refused(void **state)
{
    struct store_call *at = *state;
    struct id          last = id_new(ID_JOB, START_MS);
    struct str         cursor = cursor_of(at, "jobs", &last, 42);
    for (size_t len = 0; len < cursor.len; len++)
        assert_no_cursor(at, "jobs", str_take(cursor, len), ID_JOB);
    assert_no_cursor(at, "jobs", str_format(&at->arena, "%.*sA", STR_ARG(cursor)), ID_JOB);
    assert_no_cursor(at, "jobs", str_format(&at->arena, "%.*s=", STR_ARG(cursor)), ID_JOB);
}

static void other_text_is_no_cursor(void **state)
{
    struct store_call       *at = *state;
    static const char *const texts[] = { "",
                                         "0",
                                         "A",
                                         "AAAA",
                                         "null",
                                         "job_01ARZ3NDEKTSV4RRFFQ69G5FAV",
                                         "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
                                         "\xff\xfe",
                                         "../..",
                                         "' OR 1=1 --" };
    for (size_t i = 0; i < COUNT_OF(texts); i++)
        assert_no_cursor(at, "jobs", str_of(texts[i]), ID_JOB);
    char *big = NEW(&at->arena, char, 100000);
    memset(big, 'A', 100000);
    assert_no_cursor(at, "jobs", (struct str){ big, 100000 }, ID_JOB);
}

/* --- server keys --- */

static void cursor_of_an_older_server_key_goes_on(void **state)
{
    struct store_call *at = *state;
    struct id          last = id_new(ID_JOB, START_MS);
    store_call_key(at, KEY_1);
    struct str cursor = cursor_of(at, "jobs", &last, 0);
    store_call_key(at, KEY_2 KEY_1);
    opened(at, "jobs", cursor, ID_JOB);
    struct str newer = cursor_of(at, "jobs", &last, 0);
    assert_false(str_eq(cursor, newer));
    store_call_key(at, KEY_2);
    assert_no_cursor(at, "jobs", cursor, ID_JOB);
    opened(at, "jobs", newer, ID_JOB);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        store_call_test(page_without_a_cursor_begins_at_the_newest),
        store_call_test(limit_is_kept_in_bounds),
        store_call_test(cursor_says_where_to_go_on),
        store_call_test(cursor_goes_into_a_url_as_it_is),
        store_call_test(page_ends_before_the_row_that_has_no_room),
        store_call_test(first_row_of_a_page_always_has_room),
        store_call_test(cursor_of_another_listing_is_refused),
        store_call_test(cursor_of_another_kind_of_id_is_refused),
        store_call_test(listings_are_named_after_who_asks),
        store_call_test(cursor_with_any_character_changed_is_refused),
        store_call_test(cursor_that_was_cut_or_lengthened_is_refused),
        store_call_test(other_text_is_no_cursor),
        store_call_test(cursor_of_an_older_server_key_goes_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
