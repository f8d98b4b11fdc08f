#include "platform/io_pool.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

/* --- a gate that holds pool threads until the test opens it --- */

struct gate {
    pthread_mutex_t lock;
    pthread_cond_t  changed;
    int             waiting_count;
    bool            is_open;
};

#define GATE_CLOSED                                                                                \
    {                                                                                              \
        PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, false                              \
    }

static void gate_wait(void *argument)
{
    struct gate *gate = argument;
    pthread_mutex_lock(&gate->lock);
    gate->waiting_count++;
    pthread_cond_broadcast(&gate->changed);
    while (!gate->is_open)
        pthread_cond_wait(&gate->changed, &gate->lock);
    pthread_mutex_unlock(&gate->lock);
}

static void gate_await(struct gate *gate, int waiting_count)
{
    pthread_mutex_lock(&gate->lock);
    while (gate->waiting_count < waiting_count)
        pthread_cond_wait(&gate->changed, &gate->lock);
    pthread_mutex_unlock(&gate->lock);
}

static void gate_open(struct gate *gate)
{
    pthread_mutex_lock(&gate->lock);
    gate->is_open = true;
    pthread_cond_broadcast(&gate->changed);
    pthread_mutex_unlock(&gate->lock);
}

static void submit(struct io_pool *pool, struct io_job *job)
{
    struct error error = { 0 };
    assert_int_equal(io_pool_submit(pool, job, &error), ERR_OK);
}

static void count_up(void *argument)
{
    atomic_fetch_add((_Atomic int *)argument, 1);
}

/* --- rules --- */

static void note_thread(void *argument)
{
    *(pthread_t *)argument = pthread_self();
}

static void job_runs_on_a_thread_of_the_pool(void **state)
{
    (void)state;
    pthread_t       runner = pthread_self();
    struct io_pool *pool = io_pool_start(1);
    struct io_job   job = { note_thread, &runner, NULL };
    submit(pool, &job);
    io_pool_stop(pool);
    assert_false(pthread_equal(runner, pthread_self()));
}

static void threads_run_at_the_same_time(void **state)
{
    (void)state;
    struct gate     gate = GATE_CLOSED;
    struct io_pool *pool = io_pool_start(4);
    struct io_job   jobs[4];
    for (int i = 0; i < 4; i++) {
        jobs[i] = (struct io_job){ gate_wait, &gate, NULL };
        submit(pool, &jobs[i]);
    }
    gate_await(&gate, 4);
    gate_open(&gate);
    io_pool_stop(pool);
}

struct step {
    int *next;
    int  number;
    bool is_in_turn;
};

static void take_step(void *argument)
{
    struct step *step = argument;
    step->is_in_turn = *step->next == step->number;
    (*step->next)++;
}

static void one_thread_runs_jobs_in_the_order_they_came(void **state)
{
    (void)state;
    enum { STEPS = 100 };
    int             next = 0;
    struct step     steps[STEPS];
    struct io_job   jobs[STEPS];
    struct io_pool *pool = io_pool_start(1);
    for (int i = 0; i < STEPS; i++) {
        steps[i] = (struct step){ &next, i, false };
        jobs[i] = (struct io_job){ take_step, &steps[i], NULL };
        submit(pool, &jobs[i]);
    }
    io_pool_stop(pool);
    for (int i = 0; i < STEPS; i++)
        assert_true(steps[i].is_in_turn);
}

static void full_queue_refuses_and_takes_again_later(void **state)
{
    (void)state;
    struct gate     gate = GATE_CLOSED;
    _Atomic int     run_count = 0, refused_count = 0;
    struct error    error = { 0 };
    struct io_pool *pool = io_pool_start(2);
    struct io_job   blockers[2] = { { gate_wait, &gate, NULL }, { gate_wait, &gate, NULL } };
    submit(pool, &blockers[0]);
    submit(pool, &blockers[1]);
    gate_await(&gate, 2); /* both threads are busy: the queue is empty and stays what we make it */

    struct io_job *jobs = calloc(IO_POOL_QUEUE_MAX, sizeof(*jobs));
    for (int i = 0; i < IO_POOL_QUEUE_MAX; i++) {
        jobs[i] = (struct io_job){ count_up, &run_count, NULL };
        submit(pool, &jobs[i]);
    }
    struct io_job refused = { count_up, &refused_count, NULL };
    assert_int_equal(io_pool_queued(pool), IO_POOL_QUEUE_MAX);
    assert_int_equal(io_pool_submit(pool, &refused, &error), ERR_UNAVAILABLE);
    assert_string_equal(error.slug, "io_queue_full");

    gate_open(&gate);
    while (io_pool_submit(pool, &refused, &error) != ERR_OK)
        sched_yield();
    io_pool_stop(pool);
    free(jobs);
    assert_int_equal(run_count, IO_POOL_QUEUE_MAX);
    assert_int_equal(refused_count, 1);
}

static void *stop_pool(void *argument)
{
    io_pool_stop(argument);
    return NULL;
}

static void stop_runs_what_is_queued(void **state)
{
    (void)state;
    enum { QUEUED = 100 };
    struct gate     gate = GATE_CLOSED;
    _Atomic int     run_count = 0;
    struct io_pool *pool = io_pool_start(1);
    struct io_job   blocker = { gate_wait, &gate, NULL }, jobs[QUEUED];
    submit(pool, &blocker);
    gate_await(&gate, 1);
    for (int i = 0; i < QUEUED; i++) {
        jobs[i] = (struct io_job){ count_up, &run_count, NULL };
        submit(pool, &jobs[i]);
    }
    assert_int_equal(run_count, 0);
    pthread_t stopper;
    assert_int_equal(pthread_create(&stopper, NULL, stop_pool, pool), 0);
    gate_open(&gate);
    pthread_join(stopper, NULL);
    assert_int_equal(run_count, QUEUED);
}

static void stop_ends_threads_that_wait_for_work(void **state)
{
    (void)state;
    io_pool_stop(io_pool_start(8));
    io_pool_stop(NULL);
}

struct own_job {
    struct io_job job;
    _Atomic int  *freed_count;
};

static void free_itself(void *argument)
{
    struct own_job *own = argument;
    atomic_fetch_add(own->freed_count, 1);
    free(own);
}

static void job_may_free_itself(void **state)
{
    (void)state;
    _Atomic int     freed_count = 0;
    struct io_pool *pool = io_pool_start(2);
    for (int i = 0; i < 200; i++) {
        struct own_job *own = calloc(1, sizeof(*own));
        own->job = (struct io_job){ free_itself, own, NULL };
        own->freed_count = &freed_count;
        submit(pool, &own->job);
    }
    io_pool_stop(pool);
    assert_int_equal(freed_count, 200);
}

struct sender {
    struct io_pool *pool;
    _Atomic int    *run_count;
    struct io_job   jobs[100];
    pthread_t       thread;
};

static void *send(void *argument)
{
    struct sender *sender = argument;
    for (size_t i = 0; i < COUNT_OF(sender->jobs); i++) {
        struct error error = { 0 };
        sender->jobs[i] = (struct io_job){ count_up, sender->run_count, NULL };
        while (io_pool_submit(sender->pool, &sender->jobs[i], &error) != ERR_OK)
            sched_yield();
    }
    return NULL;
}

static void jobs_of_many_threads_run_once_each(void **state)
{
    (void)state;
    enum { SENDERS = 8 };
    _Atomic int     run_count = 0;
    struct io_pool *pool = io_pool_start(3);
    struct sender  *senders = calloc(SENDERS, sizeof(*senders));
    for (int i = 0; i < SENDERS; i++) {
        senders[i].pool = pool;
        senders[i].run_count = &run_count;
        assert_int_equal(pthread_create(&senders[i].thread, NULL, send, &senders[i]), 0);
    }
    for (int i = 0; i < SENDERS; i++)
        pthread_join(senders[i].thread, NULL);
    io_pool_stop(pool);
    free(senders);
    assert_int_equal(run_count, SENDERS * 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(job_runs_on_a_thread_of_the_pool),
        cmocka_unit_test(threads_run_at_the_same_time),
        cmocka_unit_test(one_thread_runs_jobs_in_the_order_they_came),
        cmocka_unit_test(full_queue_refuses_and_takes_again_later),
        cmocka_unit_test(stop_runs_what_is_queued),
        cmocka_unit_test(stop_ends_threads_that_wait_for_work),
        cmocka_unit_test(job_may_free_itself),
        cmocka_unit_test(jobs_of_many_threads_run_once_each),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
