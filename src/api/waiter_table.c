#include "api/waiter_table.h"

#include "base/num.h"
#include "base/time_text.h"

#include <pthread.h>
#include <stdlib.h>

enum { WAITER_BUCKETS = 1 << 12 };

/* How many places a key has taken. */
struct waiter_key {
    struct id          id;
    int                count;
    struct waiter_key *next; /* in its bucket, or unused */
};

struct waiter_queue {
    struct waiter *first, *last;
};

struct waiter_table {
    struct world   *world;
    pthread_mutex_t lock;
    pthread_cond_t  changed; /* somebody is due, an earlier deadline, a moved clock, or the end */
    bool            is_ending;
    int64_t         waiters_max, count;

    /* Places, never touched before they are first used. */
    struct waiter     *waiters, *unused_waiters;
    struct waiter_key *keys, *unused_keys;
    int64_t            waiters_used, keys_used;

    struct waiter      *of_job[WAITER_BUCKETS];
    struct waiter_key  *of_key[WAITER_BUCKETS];
    struct waiter_queue by_wait[PREFER_WAIT_S_MAX + 1]; /* each in the order of its deadlines */
    struct waiter_queue due;
};

struct waiter_table *waiter_table_open(struct world *world, int64_t waiters_max)
{
    struct waiter_table *table = calloc(1, sizeof(*table));
    CHECK(table != NULL);
    table->world = world;
    table->waiters_max = waiters_max;
    table->waiters = calloc((size_t)waiters_max, sizeof(*table->waiters));
    table->keys = calloc((size_t)waiters_max, sizeof(*table->keys));
    CHECK(table->waiters != NULL && table->keys != NULL);
    pthread_condattr_t attributes;
    CHECK(pthread_condattr_init(&attributes) == 0);
    CHECK(pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC) == 0);
    CHECK(pthread_cond_init(&table->changed, &attributes) == 0);
    pthread_condattr_destroy(&attributes);
    CHECK(pthread_mutex_init(&table->lock, NULL) == 0);
    return table;
}

void waiter_table_close(struct waiter_table *table)
{
    if (table == NULL) return;
    CHECK(table->count == 0);
    pthread_cond_destroy(&table->changed);
    pthread_mutex_destroy(&table->lock);
    free(table->keys);
    free(table->waiters);
    free(table);
}

/* --- lists, under the lock --- */

static void queue_add(struct waiter_queue *queue, struct waiter *waiter)
{
    waiter->queue_next = NULL;
    waiter->queue_previous = queue->last;
    if (queue->last)
        queue->last->queue_next = waiter;
    else
        queue->first = waiter;
    queue->last = waiter;
}

static void queue_remove(struct waiter_queue *queue, struct waiter *waiter)
{
    if (waiter->queue_next)
        waiter->queue_next->queue_previous = waiter->queue_previous;
    else
        queue->last = waiter->queue_previous;
    if (waiter->queue_previous)
        waiter->queue_previous->queue_next = waiter->queue_next;
    else
        queue->first = waiter->queue_next;
}

static size_t bucket_of(const struct id *id)
{
    return str_hash(id_str(id)) % WAITER_BUCKETS;
}

static void job_add(struct waiter_table *table, struct waiter *waiter)
{
    struct waiter **bucket = &table->of_job[bucket_of(&waiter->job_id)];
    waiter->of_job_previous = NULL;
    waiter->of_job_next = *bucket;
    if (*bucket) (*bucket)->of_job_previous = waiter;
    *bucket = waiter;
}

static void job_remove(struct waiter_table *table, struct waiter *waiter)
{
    if (waiter->of_job_next) waiter->of_job_next->of_job_previous = waiter->of_job_previous;
    if (waiter->of_job_previous)
        waiter->of_job_previous->of_job_next = waiter->of_job_next;
    else
        table->of_job[bucket_of(&waiter->job_id)] = waiter->of_job_next;
}

static void make_due(struct waiter_table *table, struct waiter *waiter)
{
    if (waiter->state == WAITER_SETTLED) queue_remove(&table->by_wait[waiter->wait_s], waiter);
    waiter->state = WAITER_DUE;
    queue_add(&table->due, waiter);
}

/* --- places --- */

static struct waiter_key *key_find(struct waiter_table *table, const struct id *key_id)
{
    struct waiter_key *key = table->of_key[bucket_of(key_id)];
    while (key && !id_eq(&key->id, key_id))
        key = key->next;
    return key;
}

static struct waiter_key *key_add(struct waiter_table *table, const struct id *key_id)
{
    struct waiter_key **bucket = &table->of_key[bucket_of(key_id)], *key = table->unused_keys;
    if (key)
        table->unused_keys = key->next;
    else
        key = &table->keys[table->keys_used++];
    *key = (struct waiter_key){ .id = *key_id, .next = *bucket };
    *bucket = key;
    return key;
}

static void key_release(struct waiter_table *table, struct waiter_key *key)
{
    if (--key->count > 0) return;
    struct waiter_key **at = &table->of_key[bucket_of(&key->id)];
    while (*at != key)
        at = &(*at)->next;
    *at = key->next;
    key->next = table->unused_keys;
    table->unused_keys = key;
}

static struct waiter *place_take(struct waiter_table *table)
{
    struct waiter *waiter = table->unused_waiters;
    if (waiter)
        table->unused_waiters = waiter->queue_next;
    else
        waiter = &table->waiters[table->waiters_used++];
    *waiter = (struct waiter){ .state = WAITER_ENTERED };
    table->count++;
    return waiter;
}

static struct waiter *enter(struct waiter_table *table, const struct id *job_id,
                            const struct id *key_id)
{
    if (table->is_ending || table->count >= table->waiters_max) return NULL;
    struct waiter_key *key = key_find(table, key_id);
    if (key && key->count >= WAITERS_PER_KEY_MAX) return NULL;
    if (key == NULL) key = key_add(table, key_id);
    key->count++;
    struct waiter *waiter = place_take(table);
    waiter->job_id = *job_id;
    waiter->key = key;
    job_add(table, waiter);
    return waiter;
}

struct waiter *waiter_enter(struct waiter_table *table, const struct id *job_id,
                            const struct id *key_id)
{
    pthread_mutex_lock(&table->lock);
    struct waiter *waiter = enter(table, job_id, key_id);
    pthread_mutex_unlock(&table->lock);
    return waiter;
}

void waiter_settle(struct waiter_table *table, struct waiter *waiter)
{
    CHECK(waiter->wait_s >= 1 && waiter->wait_s <= PREFER_WAIT_S_MAX);
    pthread_mutex_lock(&table->lock);
    CHECK(waiter->state == WAITER_ENTERED);
    struct waiter_queue *queue = &table->by_wait[waiter->wait_s];
    waiter->deadline_ms = world_now_ms(table->world) + waiter->wait_s * MS_PER_SECOND;
    waiter->state = WAITER_SETTLED;
    queue_add(queue, waiter);
    if (waiter->is_ended || table->is_ending) make_due(table, waiter);
    if (waiter->state == WAITER_DUE || queue->first == waiter) pthread_cond_signal(&table->changed);
    pthread_mutex_unlock(&table->lock);
}

void waiter_leave(struct waiter_table *table, struct waiter *waiter)
{
    pthread_mutex_lock(&table->lock);
    CHECK(waiter->state == WAITER_ENTERED || waiter->state == WAITER_TAKEN);
    job_remove(table, waiter);
    key_release(table, waiter->key);
    waiter->queue_next = table->unused_waiters;
    table->unused_waiters = waiter;
    table->count--;
    if (table->is_ending && table->count == 0) pthread_cond_broadcast(&table->changed);
    pthread_mutex_unlock(&table->lock);
}

/* --- what makes them due --- */

void waiter_table_job_ended(struct waiter_table *table, const struct id *job_id)
{
    bool is_any_due = false;
    pthread_mutex_lock(&table->lock);
    struct waiter *waiter = table->of_job[bucket_of(job_id)];
    for (; waiter; waiter = waiter->of_job_next) {
        if (!id_eq(&waiter->job_id, job_id)) continue;
        waiter->is_ended = true;
        if (waiter->state != WAITER_SETTLED) continue;
        make_due(table, waiter);
        is_any_due = true;
    }
    if (is_any_due) pthread_cond_broadcast(&table->changed);
    pthread_mutex_unlock(&table->lock);
}

void waiter_table_look(struct waiter_table *table)
{
    pthread_mutex_lock(&table->lock);
    pthread_cond_broadcast(&table->changed);
    pthread_mutex_unlock(&table->lock);
}

void waiter_table_end(struct waiter_table *table)
{
    pthread_mutex_lock(&table->lock);
    table->is_ending = true;
    for (int wait_s = 1; wait_s <= PREFER_WAIT_S_MAX; wait_s++)
        while (table->by_wait[wait_s].first)
            make_due(table, table->by_wait[wait_s].first);
    pthread_cond_broadcast(&table->changed);
    pthread_mutex_unlock(&table->lock);
}

/* A clock that was set back makes nobody wait longer than it asked for. */
static int64_t left_ms(const struct waiter *waiter, int64_t now_ms)
{
    int64_t left = waiter->deadline_ms - now_ms;
    return left > waiter->wait_s * MS_PER_SECOND ? 0 : left;
}

/* Make due whose time is up; how long until the next; -1 = there is none. */
static int64_t expire(struct waiter_table *table)
{
    int64_t now_ms = world_now_ms(table->world), next_ms = -1;
    for (int wait_s = 1; wait_s <= PREFER_WAIT_S_MAX; wait_s++) {
        struct waiter_queue *queue = &table->by_wait[wait_s];
        while (queue->first && left_ms(queue->first, now_ms) <= 0)
            make_due(table, queue->first);
        if (queue->first == NULL) continue;
        int64_t left = left_ms(queue->first, now_ms);
        next_ms = next_ms < 0 ? left : num_min(next_ms, left);
    }
    return next_ms;
}

static void wait_changed(struct waiter_table *table, int64_t ms)
{
    if (ms < 0) {
        pthread_cond_wait(&table->changed, &table->lock);
        return;
    }
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    int64_t ns = until.tv_nsec + ms % MS_PER_SECOND * 1000000;
    until.tv_sec += ms / MS_PER_SECOND + ns / 1000000000;
    until.tv_nsec = ns % 1000000000;
    pthread_cond_timedwait(&table->changed, &table->lock, &until);
}

static struct waiter *take_due(struct waiter_table *table)
{
    struct waiter *waiter = table->due.first;
    if (waiter == NULL) return NULL;
    queue_remove(&table->due, waiter);
    waiter->state = WAITER_TAKEN;
    return waiter;
}

struct waiter *waiter_table_take_due(struct waiter_table *table)
{
    pthread_mutex_lock(&table->lock);
    struct waiter *waiter = take_due(table);
    pthread_mutex_unlock(&table->lock);
    return waiter;
}

static struct waiter *take(struct waiter_table *table)
{
    for (;;) {
        int64_t        next_ms = expire(table);
        struct waiter *waiter = take_due(table);
        if (waiter) return waiter;
        if (table->is_ending && table->count == 0) return NULL;
        wait_changed(table, next_ms);
    }
}

struct waiter *waiter_table_take(struct waiter_table *table)
{
    pthread_mutex_lock(&table->lock);
    struct waiter *waiter = take(table);
    pthread_mutex_unlock(&table->lock);
    return waiter;
}

int64_t waiter_table_count(struct waiter_table *table)
{
    pthread_mutex_lock(&table->lock);
    int64_t count = table->count;
    pthread_mutex_unlock(&table->lock);
    return count;
}
