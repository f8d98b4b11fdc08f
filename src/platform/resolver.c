#include "platform/resolver.h"

#include "base/world.h"
#include "platform/io_pool.h"

#include <assert.h>
#include <netdb.h>
#include <pthread.h>
#include <resolv.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

static_assert((int)RESOLVER_LOOKUPS_MAX <= (int)IO_POOL_QUEUE_MAX, "every lookup finds a place");

enum {
    QUERY_S_MAX = 2, /* of one query to one name server */
    QUERY_TRIES = 2,
    SLOW_NAMES = 256,
};

struct lookup {
    struct io_job             job;
    struct resolver          *resolver;
    struct lookup            *next; /* in the one list it is in */
    struct resolver_question *questions;
    bool                      is_slow;
    char                      name[RESOLVER_NAME_BYTES_MAX + 1];
    int64_t                   took_us;
    int                       count;
    struct sockaddr_storage   addresses[RESOLVER_ADDRESSES_MAX];
};

/* A name by its hash: two that share one are slow together. */
struct slow_name {
    uint32_t hash;
    int64_t  until_us;
};

struct resolver {
    void (*wake)(void *argument);
    void            *argument;
    struct io_pool  *pool;
    atomic_bool      is_stopping;
    pthread_mutex_t  lock;         /* for answered */
    struct lookup   *answered;     /* by the pool, not collected yet */
    int              lookups_used; /* ever; never touched before */
    struct lookup   *unused;       /* given back */
    struct lookup   *slow_waiting; /* oldest first */
    int              slow_asking;
    struct slow_name slow_names[SLOW_NAMES];
    struct lookup    lookups[RESOLVER_LOOKUPS_MAX];
};

/* --- on a thread of the pool --- */

/* Only for this thread. No search list: a buyer's name is never one of this network's. Read anew
 * each time, because the file it comes from changes with the network. */
static void be_brief(void)
{
    if (res_init() != 0) return;
    _res.retrans = QUERY_S_MAX;
    _res.retry = QUERY_TRIES;
    _res.options &= ~(unsigned long)(RES_DNSRCH | RES_DEFNAMES);
}

/* All or none: who asks wants to look at every one. */
static void copy_addresses(struct lookup *lookup, const struct addrinfo *list)
{
    int count = 0;
    for (const struct addrinfo *at = list; at; at = at->ai_next) {
        if (at->ai_addrlen > sizeof(lookup->addresses[0])) continue;
        if (count == RESOLVER_ADDRESSES_MAX) return;
        memcpy(&lookup->addresses[count++], at->ai_addr, at->ai_addrlen);
    }
    lookup->count = count;
}

static void ask(struct lookup *lookup)
{
    struct addrinfo  hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG };
    struct addrinfo *list = NULL;
    int64_t          started_us = world_monotonic_us();
    be_brief();
    if (getaddrinfo(lookup->name, NULL, &hints, &list) == 0) {
        copy_addresses(lookup, list);
        freeaddrinfo(list);
    }
    lookup->took_us = world_monotonic_us() - started_us;
}

static void run_lookup(void *argument)
{
    struct lookup   *lookup = argument;
    struct resolver *resolver = lookup->resolver;
    if (!atomic_load(&resolver->is_stopping)) ask(lookup);
    pthread_mutex_lock(&resolver->lock);
    lookup->next = resolver->answered;
    resolver->answered = lookup;
    resolver->wake(resolver->argument);
    pthread_mutex_unlock(&resolver->lock);
}

/* --- on the owner's thread --- */

static struct slow_name *slow_name_of(struct resolver *resolver, const char *name, uint32_t *hash)
{
    *hash = str_hash(str_of(name));
    return &resolver->slow_names[*hash % SLOW_NAMES];
}

static bool is_slow(struct resolver *resolver, const char *name)
{
    uint32_t          hash;
    struct slow_name *slow = slow_name_of(resolver, name, &hash);
    return slow->hash == hash && world_monotonic_us() < slow->until_us;
}

static void note_slow(struct resolver *resolver, const struct lookup *lookup)
{
    uint32_t          hash;
    struct slow_name *slow = slow_name_of(resolver, lookup->name, &hash);
    if (lookup->took_us < RESOLVER_SLOW_MS * 1000) return;
    *slow = (struct slow_name){ hash, world_monotonic_us() + RESOLVER_SLOW_FOR_MS * 1000 };
}

static void list_append(struct lookup **list, struct lookup *lookup)
{
    while (*list)
        list = &(*list)->next;
    lookup->next = NULL;
    *list = lookup;
}

static void give_to_pool(struct resolver *resolver, struct lookup *lookup)
{
    struct error error = { 0 };
    if (lookup->is_slow) resolver->slow_asking++;
    lookup->job = (struct io_job){ .run = run_lookup, .argument = lookup };
    CHECK(io_pool_submit(resolver->pool, &lookup->job, &error) == ERR_OK);
}

static void start_slow(struct resolver *resolver)
{
    while (resolver->slow_waiting && resolver->slow_asking < RESOLVER_SLOW_THREADS_MAX) {
        struct lookup *lookup = resolver->slow_waiting;
        resolver->slow_waiting = lookup->next;
        lookup->next = NULL;
        if (lookup->questions) {
            give_to_pool(resolver, lookup);
        } else { /* forgotten while it waited */
            lookup->name[0] = '\0';
            list_append(&resolver->unused, lookup);
        }
    }
}

static struct lookup *find_lookup(struct resolver *resolver, struct str name)
{
    for (int i = 0; i < resolver->lookups_used; i++)
        if (str_eq(str_of(resolver->lookups[i].name), name)) return &resolver->lookups[i];
    return NULL;
}

static struct lookup *take_place(struct resolver *resolver)
{
    struct lookup *lookup = resolver->unused;
    if (lookup)
        resolver->unused = lookup->next;
    else if (resolver->lookups_used < RESOLVER_LOOKUPS_MAX)
        lookup = &resolver->lookups[resolver->lookups_used++];
    return lookup;
}

static struct lookup *begin_lookup(struct resolver *resolver, struct str name)
{
    struct lookup *lookup = take_place(resolver);
    if (lookup == NULL) return NULL;
    *lookup = (struct lookup){ .resolver = resolver };
    memcpy(lookup->name, name.data, name.len);
    lookup->is_slow = is_slow(resolver, lookup->name);
    return lookup;
}

/* Once it has its question: one without is dropped. */
static void start_lookup(struct resolver *resolver, struct lookup *lookup)
{
    if (lookup->is_slow) {
        list_append(&resolver->slow_waiting, lookup);
        start_slow(resolver);
    } else {
        give_to_pool(resolver, lookup);
    }
}

bool resolver_ask(struct resolver *resolver, struct str name, struct resolver_question *question)
{
    if (name.len == 0 || name.len > RESOLVER_NAME_BYTES_MAX) return false;
    struct lookup *lookup = find_lookup(resolver, name);
    bool           is_new = lookup == NULL;
    if (is_new) lookup = begin_lookup(resolver, name);
    if (lookup == NULL) return false;
    question->lookup = lookup;
    question->next = lookup->questions;
    lookup->questions = question;
    if (is_new) start_lookup(resolver, lookup);
    return true;
}

void resolver_forget(struct resolver_question *question)
{
    if (question->lookup == NULL) return;
    struct resolver_question **at = &question->lookup->questions;
    while (*at != question)
        at = &(*at)->next;
    *at = question->next;
    question->lookup = NULL;
}

static void answer(struct resolver *resolver, struct lookup *lookup)
{
    note_slow(resolver, lookup);
    if (lookup->is_slow) resolver->slow_asking--;
    lookup->name[0] = '\0'; /* who asks from now on asks anew */
    while (lookup->questions) {
        struct resolver_question *question = lookup->questions;
        lookup->questions = question->next;
        question->lookup = NULL;
        question->answered(question->argument, lookup->addresses, lookup->count);
    }
    lookup->next = resolver->unused;
    resolver->unused = lookup;
}

void resolver_collect(struct resolver *resolver)
{
    pthread_mutex_lock(&resolver->lock);
    struct lookup *answered = resolver->answered;
    resolver->answered = NULL;
    pthread_mutex_unlock(&resolver->lock);
    while (answered) {
        struct lookup *lookup = answered;
        answered = lookup->next;
        answer(resolver, lookup);
    }
    start_slow(resolver);
}

struct resolver *resolver_start(void (*wake)(void *argument), void *argument)
{
    struct resolver *resolver = calloc(1, sizeof(*resolver));
    CHECK(resolver != NULL);
    CHECK(pthread_mutex_init(&resolver->lock, NULL) == 0);
    resolver->wake = wake;
    resolver->argument = argument;
    resolver->pool = io_pool_start(RESOLVER_THREADS);
    return resolver;
}

void resolver_stop(struct resolver *resolver)
{
    atomic_store(&resolver->is_stopping, true);
    io_pool_stop(resolver->pool);
    pthread_mutex_destroy(&resolver->lock);
    free(resolver);
}
