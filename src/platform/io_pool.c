#include "platform/io_pool.h"

#include <pthread.h>
#include <stdlib.h>

enum { THREADS_MAX = 64 };

struct io_pool {
    pthread_mutex_t lock;
    pthread_cond_t  changed;
    struct io_job  *first, *last;
    int             queued_count;
    bool            is_stopping;
    int             threads_count;
    pthread_t       threads[THREADS_MAX];
};

/* The next job, or NULL when the pool stops and nothing is left. */
static struct io_job *take(struct io_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    while (pool->first == NULL && !pool->is_stopping)
        pthread_cond_wait(&pool->changed, &pool->lock);
    struct io_job *job = pool->first;
    if (job) {
        pool->first = job->next;
        if (pool->first == NULL) pool->last = NULL;
        pool->queued_count--;
    }
    pthread_mutex_unlock(&pool->lock);
    return job;
}

static void *work(void *argument)
{
    struct io_job *job;
    while ((job = take(argument)) != NULL)
        job->run(job->argument);
    return NULL;
}

struct io_pool *io_pool_start(int threads_count)
{
    CHECK(threads_count > 0 && threads_count <= THREADS_MAX);
    struct io_pool *pool = calloc(1, sizeof(*pool));
    CHECK(pool != NULL);
    CHECK(pthread_mutex_init(&pool->lock, NULL) == 0);
    CHECK(pthread_cond_init(&pool->changed, NULL) == 0);
    pool->threads_count = threads_count;
    for (int i = 0; i < threads_count; i++)
        CHECK(pthread_create(&pool->threads[i], NULL, work, pool) == 0);
    return pool;
}

enum err io_pool_submit(struct io_pool *pool, struct io_job *job, struct error *error)
{
    job->next = NULL;
    pthread_mutex_lock(&pool->lock);
    bool is_full = pool->queued_count >= IO_POOL_QUEUE_MAX || pool->is_stopping;
    if (!is_full) {
        if (pool->last)
            pool->last->next = job;
        else
            pool->first = job;
        pool->last = job;
        pool->queued_count++;
        pthread_cond_signal(&pool->changed);
    }
    pthread_mutex_unlock(&pool->lock);
    if (is_full) return FAIL(error, ERR_UNAVAILABLE, "io_queue_full", "too much work is waiting");
    return ERR_OK;
}

int io_pool_queued(struct io_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    int count = pool->queued_count;
    pthread_mutex_unlock(&pool->lock);
    return count;
}

void io_pool_stop(struct io_pool *pool)
{
    if (pool == NULL) return;
    pthread_mutex_lock(&pool->lock);
    pool->is_stopping = true;
    pthread_cond_broadcast(&pool->changed);
    pthread_mutex_unlock(&pool->lock);
    for (int i = 0; i < pool->threads_count; i++)
        pthread_join(pool->threads[i], NULL);
    pthread_cond_destroy(&pool->changed);
    pthread_mutex_destroy(&pool->lock);
    free(pool);
}
