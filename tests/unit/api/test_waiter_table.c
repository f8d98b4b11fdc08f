#include "api/waiter_table.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { PLACES = 2000 };

static struct world         world;
static struct waiter_table *table;
static struct id            job, other_job, key, other_key;

static int setup(void **state)
{
    (void)state;
    world = (struct world){ 0 };
    table = waiter_table_open(&world, PLACES);
    job = id_new(ID_JOB, 1);
    other_job = id_new(ID_JOB, 1);
    key = id_new(ID_API_KEY, 1);
    other_key = id_new(ID_API_KEY, 1);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    assert_int_equal(waiter_table_count(table), 0);
    waiter_table_close(table);
    return 0;
}

static struct waiter *settled(const struct id *job_id, int64_t wait_s)
{
    struct waiter *waiter = waiter_enter(table, job_id, &key);
    assert_non_null(waiter);
    waiter->wait_s = wait_s;
    waiter_settle(table, waiter);
    return waiter;
}

static void assert_taken(struct waiter *expected)
{
    assert_ptr_equal(waiter_table_take(table), expected);
    waiter_leave(table, expected);
}

static void those_of_an_ended_job_are_due_and_no_others(void **state)
{
    (void)state;
    struct waiter *first = settled(&job, 10), *other = settled(&other_job, 10);
    struct waiter *second = settled(&job, 10);
    assert_null(waiter_table_take_due(table));
    waiter_table_job_ended(table, &job);
    waiter_table_job_ended(table, &job); /* twice is once */
    assert_taken(second);
    assert_taken(first);
    assert_null(waiter_table_take_due(table));
    waiter_table_job_ended(table, &other_job);
    assert_taken(other);
}

/* Between its last reading of the job and its settling. */
static void end_that_comes_before_it_settles_is_not_missed(void **state)
{
    (void)state;
    struct waiter *waiter = waiter_enter(table, &job, &key);
    waiter_table_job_ended(table, &job);
    assert_null(waiter_table_take_due(table));
    waiter->wait_s = 60;
    waiter_settle(table, waiter);
    assert_ptr_equal(waiter_table_take_due(table), waiter); /* long before its minute is over */
    waiter_leave(table, waiter);
}

/* So many that several share a place in the table of jobs. */
static void end_of_one_job_is_no_others(void **state)
{
    (void)state;
    static struct waiter *waiters[PLACES];
    for (int i = 0; i < PLACES; i++) {
        struct id one = id_new(ID_JOB, 1);
        waiters[i] = waiter_enter(table, &one, i % 2 ? &key : &other_key);
        assert_non_null(waiters[i]);
        waiters[i]->wait_s = 60;
        waiter_settle(table, waiters[i]);
    }
    for (int i = 0; i < PLACES; i++) {
        waiter_table_job_ended(table, &waiters[i]->job_id);
        assert_ptr_equal(waiter_table_take_due(table), waiters[i]);
        assert_null(waiter_table_take_due(table));
        waiter_leave(table, waiters[i]);
    }
}

static void each_is_due_at_its_deadline_by_the_worlds_clock(void **state)
{
    (void)state;
    struct waiter *long_one = settled(&job, 60), *short_one = settled(&job, 30);
    world_advance_ms(&world, 30 * 1000);
    waiter_table_look(table);
    assert_taken(short_one);
    assert_null(waiter_table_take_due(table));
    world_advance_ms(&world, 30 * 1000);
    waiter_table_look(table);
    assert_taken(long_one);
}

static void *take_run(void *unused)
{
    (void)unused;
    return waiter_table_take(table);
}

static void taker_that_sleeps_hears_of_a_moved_clock(void **state)
{
    (void)state;
    pthread_t      thread;
    void          *taken;
    struct waiter *waiter = settled(&job, 60);
    assert_int_equal(pthread_create(&thread, NULL, take_run, NULL), 0);
    world_advance_ms(&world, 60 * 1000);
    waiter_table_look(table);
    pthread_join(thread, &taken);
    assert_ptr_equal(taken, waiter);
    waiter_leave(table, waiter);
}

static void clock_that_was_set_back_makes_nobody_wait_longer(void **state)
{
    (void)state;
    struct waiter *waiter = settled(&job, 60);
    atomic_fetch_sub(&world.offset_ms, 3600 * 1000);
    assert_taken(waiter);
}

static void key_has_so_many_places_and_no_more(void **state)
{
    (void)state;
    static struct waiter *waiters[WAITERS_PER_KEY_MAX];
    for (int i = 0; i < WAITERS_PER_KEY_MAX; i++)
        assert_non_null(waiters[i] = waiter_enter(table, i % 2 ? &job : &other_job, &key));
    assert_null(waiter_enter(table, &job, &key));
    struct waiter *of_other = waiter_enter(table, &job, &other_key);
    assert_non_null(of_other);
    waiter_leave(table, of_other);
    waiter_leave(table, waiters[7]);
    assert_non_null(waiters[7] = waiter_enter(table, &job, &key));
    assert_null(waiter_enter(table, &job, &key));
    for (int i = 0; i < WAITERS_PER_KEY_MAX; i++)
        waiter_leave(table, waiters[i]);
}

static void table_has_so_many_places_and_no_more(void **state)
{
    (void)state;
    static struct waiter *waiters[PLACES];
    for (int i = 0; i < PLACES; i++) {
        struct id one = id_new(ID_API_KEY, 1);
        assert_non_null(waiters[i] = waiter_enter(table, &job, &one));
    }
    assert_null(waiter_enter(table, &job, &key));
    waiter_leave(table, waiters[PLACES - 1]);
    assert_non_null(waiters[PLACES - 1] = waiter_enter(table, &job, &key));
    for (int i = 0; i < PLACES; i++)
        waiter_leave(table, waiters[i]);
}

static void one_that_is_taken_keeps_its_place_until_it_leaves(void **state)
{
    (void)state;
    struct waiter *waiter = settled(&job, 1);
    waiter_table_job_ended(table, &job);
    assert_ptr_equal(waiter_table_take(table), waiter);
    assert_int_equal(waiter_table_count(table), 1);
    waiter_leave(table, waiter);
    assert_int_equal(waiter_table_count(table), 0);
}

static void end_makes_all_due_and_lets_nobody_in(void **state)
{
    (void)state;
    struct waiter *entered = waiter_enter(table, &job, &key), *waiting = settled(&job, 60);
    waiter_table_end(table);
    assert_null(waiter_enter(table, &job, &key));
    assert_taken(waiting);
    assert_null(waiter_table_take_due(table));
    entered->wait_s = 60;
    waiter_settle(table, entered);
    assert_taken(entered);
    assert_null(waiter_table_take(table)); /* does not wait: there is nobody left */
}

static void taker_that_sleeps_hears_of_the_last_to_leave(void **state)
{
    (void)state;
    pthread_t      thread;
    void          *taken;
    struct waiter *entered = waiter_enter(table, &job, &key);
    waiter_table_end(table);
    assert_int_equal(pthread_create(&thread, NULL, take_run, NULL), 0);
    waiter_leave(table, entered);
    pthread_join(thread, &taken);
    assert_null(taken);
}

#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(those_of_an_ended_job_are_due_and_no_others),
        T(end_that_comes_before_it_settles_is_not_missed),
        T(end_of_one_job_is_no_others),
        T(each_is_due_at_its_deadline_by_the_worlds_clock),
        T(taker_that_sleeps_hears_of_a_moved_clock),
        T(clock_that_was_set_back_makes_nobody_wait_longer),
        T(key_has_so_many_places_and_no_more),
        T(table_has_so_many_places_and_no_more),
        T(one_that_is_taken_keeps_its_place_until_it_leaves),
        T(end_makes_all_due_and_lets_nobody_in),
        T(taker_that_sleeps_hears_of_the_last_to_leave),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
