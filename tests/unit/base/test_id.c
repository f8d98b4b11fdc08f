#include "../expect_abort.h"
#include "base/id.h"
#include "base/world.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { THREADS = 8, IDS_A_THREAD = 5000 };

static const char *const kinds[ID_KIND__COUNT] = { "org_",  "job_", "sub_", "file_", "key_",
                                                   "crtx_", "req_", "wkr_", "inv_",  "ses_",
                                                   "rsv_",  "upl_", "tsk_", "lot_",  "whe_",
                                                   "occ_",  "evt_", "pur_", "aud_" };

static int64_t now_ms(void)
{
    struct world world = { 0 };
    return world_now_ms(&world);
}

static const char *ulid(const struct id *id)
{
    return strchr(id->text, '_') + 1;
}

static void every_kind_has_its_prefix_and_parses_as_itself_only(void **state)
{
    (void)state;
    for (int kind = 0; kind < ID_KIND__COUNT; kind++) {
        struct id id = id_new((enum id_kind)kind, now_ms());
        assert_int_equal(strlen(id.text), strlen(kinds[kind]) + ULID_CHARS);
        assert_memory_equal(id.text, kinds[kind], strlen(kinds[kind]));
        for (int other = 0; other < ID_KIND__COUNT; other++) {
            struct id back;
            assert_int_equal(id_parse(id_str(&id), (enum id_kind)other, &back), other == kind);
        }
    }
}

static void parsing_gives_the_same_id(void **state)
{
    (void)state;
    struct id id = id_new(ID_JOB, now_ms()), back;
    assert_true(id_parse(id_str(&id), ID_JOB, &back));
    assert_true(id_eq(&id, &back));
    assert_string_equal(id.text, back.text);
}

static void malformed_ids_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "job_",
        "job",
        "job_01ARZ3NDEKTSV4RRFFQ69G5FA",   /* one short */
        "job_01ARZ3NDEKTSV4RRFFQ69G5FAVX", /* one long */
        "job_01arz3ndektsv4rrffq69g5fav",  /* lower case */
        "job_01ARZ3NDEKTSV4RRFFQ69G5FAI",  /* I, L, O and U are no digits */
        "job_01ARZ3NDEKTSV4RRFFQ69G5FAL",
        "job_01ARZ3NDEKTSV4RRFFQ69G5FAO",
        "job_01ARZ3NDEKTSV4RRFFQ69G5FAU",
        "job_81ARZ3NDEKTSV4RRFFQ69G5FAV", /* 129 bits */
        "JOB_01ARZ3NDEKTSV4RRFFQ69G5FAV",
        "sub_01ARZ3NDEKTSV4RRFFQ69G5FAV",
        " job_1ARZ3NDEKTSV4RRFFQ69G5FAV",
        "job_01ARZ3NDEKTSV4RRFFQ69G5F'-",
        "01ARZ3NDEKTSV4RRFFQ69G5FAV",
    };
    struct id id = { "untouched" };
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        assert_false(id_parse(str_of(bad[i]), ID_JOB, &id));
    assert_false(id_parse(STR_NONE, ID_JOB, &id));
    assert_false(id_parse(STR("job_01ARZ3NDEKTSV4RRFFQ69G5F\0V"), ID_JOB, &id));
    assert_string_equal(id.text, "untouched");
    assert_true(id_parse(STR("job_01ARZ3NDEKTSV4RRFFQ69G5FAV"), ID_JOB, &id));
    assert_true(id_parse(STR("job_7ZZZZZZZZZZZZZZZZZZZZZZZZZ"), ID_JOB, &id));
}

static void known_ulid_carries_its_time(void **state)
{
    (void)state;
    struct id id;
    assert_true(id_parse(STR("job_01ARYZ6S41TSV4RRFFQ69G5FAV"), ID_JOB, &id));
    assert_true(id_time_ms(&id) == 1469918176385);
}

static void ids_rise_within_a_millisecond_and_when_the_clock_steps_back(void **state)
{
    (void)state;
    int64_t   now = now_ms();
    struct id last = id_new(ID_JOB, now);
    for (int i = 0; i < 10000; i++) {
        struct id next = id_new(ID_JOB, i % 2 ? now : now - 5000);
        assert_true(strcmp(next.text, last.text) > 0);
        last = next;
    }
    assert_true(id_time_ms(&last) >= now);
}

static void ids_rise_across_kinds(void **state)
{
    (void)state;
    int64_t   now = now_ms();
    struct id job = id_new(ID_JOB, now);
    struct id file = id_new(ID_FILE, now);
    assert_true(strcmp(ulid(&file), ulid(&job)) > 0);
}

struct minting {
    pthread_t  thread;
    struct id *ids;
    bool       has_risen;
};

static void *mint(void *argument)
{
    struct minting *minting = argument;
    minting->has_risen = true;
    for (int i = 0; i < IDS_A_THREAD; i++) {
        minting->ids[i] = id_new(ID_TASK, now_ms());
        if (i > 0 && strcmp(minting->ids[i].text, minting->ids[i - 1].text) <= 0)
            minting->has_risen = false;
    }
    return NULL;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(((const struct id *)a)->text, ((const struct id *)b)->text);
}

static void eight_threads_get_rising_ids_and_never_the_same(void **state)
{
    (void)state;
    static struct id ids[THREADS * IDS_A_THREAD];
    struct minting   mintings[THREADS];
    for (int i = 0; i < THREADS; i++) {
        mintings[i].ids = ids + (ptrdiff_t)i * IDS_A_THREAD;
        assert_int_equal(pthread_create(&mintings[i].thread, NULL, mint, &mintings[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(mintings[i].thread, NULL);
        assert_true(mintings[i].has_risen);
    }
    qsort(ids, COUNT_OF(ids), sizeof(ids[0]), by_text);
    for (size_t i = 1; i < COUNT_OF(ids); i++)
        assert_string_not_equal(ids[i].text, ids[i - 1].text);
}

static void floor_bounds_what_is_made_from_then_on(void **state)
{
    (void)state;
    int64_t   now = now_ms() + 60000; /* later than anything made above */
    struct id id = id_new(ID_JOB, now);
    struct id floor = id_floor(ID_JOB, now), later = id_floor(ID_JOB, now + 1);
    assert_true(strcmp(floor.text, id.text) <= 0);
    assert_true(strcmp(later.text, id.text) > 0);
    assert_true(id_time_ms(&floor) == now);
}

static void floor_is_clamped_to_what_an_id_can_say(void **state)
{
    (void)state;
    struct id lowest = id_floor(ID_JOB, INT64_MIN), highest = id_floor(ID_JOB, INT64_MAX);
    assert_string_equal(lowest.text, "job_00000000000000000000000000");
    assert_string_equal(highest.text, "job_7ZZZZZZZZZ0000000000000000");
}

static void empty_id_is_none(void **state)
{
    (void)state;
    struct id none = { 0 }, job = id_new(ID_JOB, now_ms());
    assert_true(id_is_none(&none));
    assert_null(id_str(&none).data);
    assert_false(id_is_none(&job));
    assert_false(id_eq(&none, &job));
    struct id stored = id_from_store(STR_NONE);
    assert_true(id_is_none(&stored));
}

static void impossible_arguments_abort(void **state)
{
    (void)state;
    assert_aborts(id_new(ID_KIND__COUNT, 1));
    assert_aborts(id_new(ID_JOB, -1));
    assert_aborts(id_new(ID_JOB, (int64_t)1 << 48));
    assert_aborts(id_from_store(STR("crtx_01ARZ3NDEKTSV4RRFFQ69G5FAVX")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_has_its_prefix_and_parses_as_itself_only),
        cmocka_unit_test(parsing_gives_the_same_id),
        cmocka_unit_test(malformed_ids_are_refused),
        cmocka_unit_test(known_ulid_carries_its_time),
        cmocka_unit_test(ids_rise_within_a_millisecond_and_when_the_clock_steps_back),
        cmocka_unit_test(ids_rise_across_kinds),
        cmocka_unit_test(eight_threads_get_rising_ids_and_never_the_same),
        cmocka_unit_test(floor_bounds_what_is_made_from_then_on),
        cmocka_unit_test(floor_is_clamped_to_what_an_id_can_say),
        cmocka_unit_test(empty_id_is_none),
        cmocka_unit_test(impossible_arguments_abort),
    };
    return cmocka_run_group_tests_name("id", tests, NULL, NULL);
}
