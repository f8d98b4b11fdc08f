#include "api/long_poll.h"

#include "api/exchange.h"
#include "api/reply.h"
#include "api/request_header.h"
#include "api/waiter_table.h"
#include "domain/api_key.h"
#include "platform/metrics.h"

#include <pthread.h>
#include <stdlib.h>

enum { ANSWER_ARENA_BYTES_MAX = 8 << 20, ANSWERS_IN_SNAPSHOT_MAX = 64 };

struct long_poll {
    struct api          *api;
    struct waiter_table *table;
    pthread_t            threads[LONG_POLL_THREADS];
};

/* --- beginning --- */

static enum err read_again(struct exchange *exchange)
{
    enum err e = exchange_begin_read(exchange);
    if (e) return e;
    reply_begin(&exchange->reply, exchange->http->arena);
    e = exchange->binding->handle(&exchange->call, &exchange->request, &exchange->reply);
    exchange_end_read(exchange);
    return e;
}

static void say_applied(struct exchange *exchange, int64_t wait_s)
{
    reply_header(&exchange->reply, "Preference-Applied",
                 str_format(exchange->http->arena, "wait=%lld", (long long)wait_s));
}

/* All that the reply will need: the exchange may be gone by then. */
static void park(struct exchange *exchange, struct waiter *waiter, int64_t wait_s)
{
    waiter->request_id = exchange->request_id;
    waiter->actor = exchange->actor;
    waiter->rate = exchange->rate;
    waiter->wait_s = wait_s;
    metric_add(METRIC_REQUESTS_NOW, -1);
    http_park(exchange->http, (int64_t)exchange->reply.body.len, &waiter->parked);
}

bool long_poll_begin(struct exchange *exchange, enum err *e)
{
    struct waiter_table *table = exchange->api->long_poll->table;
    int64_t              wait_s;
    bool is_get = str_eq(exchange->http->method, STR("GET")); /* not HEAD, which is asked alike */
    if (!exchange->reply.may_wait || !is_get ||
        !prefer_wait_parse(http_header_list(exchange->http, "Prefer"), &wait_s))
        return false;
    struct waiter *waiter = NULL;
    if (!id_is_none(&exchange->reply.waits_for)) {
        waiter = waiter_enter(table, &exchange->reply.waits_for, &exchange->actor.key_id);
        if (waiter == NULL) metric_add(METRIC_LONG_POLLS_REFUSED, 1);
        if (waiter == NULL) return false;
        *e = read_again(exchange); /* it may have ended before the waiter was there to be told */
    }
    if (waiter && *e == ERR_OK && !id_is_none(&exchange->reply.waits_for)) {
        park(exchange, waiter, wait_s);
        waiter_settle(table, waiter);
        return true;
    }
    if (waiter) waiter_leave(table, waiter);
    if (*e == ERR_OK) say_applied(exchange, wait_s);
    return false;
}

/* --- answering --- */

/* In the snapshot that the batch has, or the first of it begins. */
static enum err join_snapshot(struct exchange *exchange, struct db **snapshot)
{
    if (*snapshot) {
        int64_t now_ms = world_now_ms(exchange->api->world);
        call_begin(&exchange->call, *snapshot, now_ms, &exchange->actor);
        return ERR_OK;
    }
    enum err e = exchange_begin_read(exchange);
    if (e == ERR_OK) *snapshot = exchange->call.db;
    return e;
}

static enum err read_job(struct exchange *exchange, struct db **snapshot)
{
    enum err e = exchange_match(exchange);
    if (e) return e;
    e = join_snapshot(exchange, snapshot);
    if (e) return e;
    e = api_key_recheck(&exchange->call); /* it may have been revoked meanwhile */
    if (e) return e;
    return exchange->binding->handle(&exchange->call, &exchange->request, &exchange->reply);
}

static void answer(struct long_poll *poll, struct waiter *waiter, struct arena *arena,
                   struct db **snapshot)
{
    struct http_exchange *http = http_unpark(&waiter->parked, arena);
    http->path = str_format(http->arena, "/v1/jobs/%s", waiter->job_id.text);
    struct exchange *exchange = exchange_open(poll->api, http);
    http->scratch = arena_mark(http->arena); /* on_end looks at what is before */
    exchange->request_id = waiter->request_id;
    exchange->actor = waiter->actor;
    exchange->rate = waiter->rate;
    exchange->is_metered = true;
    exchange->is_long_poll = true;
    metric_add(METRIC_REQUESTS_NOW, 1);
    enum err e = read_job(exchange, snapshot);
    if (e == ERR_OK) say_applied(exchange, waiter->wait_s);
    exchange_finish(exchange, e);
    http_resume(http);
}

/* The snapshot is younger than what made any of them due. */
static void answer_batch(struct long_poll *poll, struct waiter *const *batch, int count,
                         struct arena *arena)
{
    struct db        *snapshot = NULL;
    struct arena_mark start = arena_mark(arena);
    for (int i = 0; i < count; i++) {
        answer(poll, batch[i], arena, &snapshot);
        arena_rewind(arena, start);
    }
    if (snapshot == NULL) return;
    CHECK(db_open_statements(snapshot) == 0);
    db_rollback(snapshot);
}

/* First all are answered, then their connections are seen to: so the last hears soonest. */
static void answer_due(struct long_poll *poll, struct waiter *waiter)
{
    struct arena   arena;
    struct waiter *answered = NULL, *next, *batch[ANSWERS_IN_SNAPSHOT_MAX];
    arena_init(&arena, ANSWER_ARENA_BYTES_MAX);
    while (waiter) {
        int count = 0;
        for (; waiter && count < ANSWERS_IN_SNAPSHOT_MAX;
             waiter = waiter_table_take_due(poll->table))
            batch[count++] = waiter;
        answer_batch(poll, batch, count, &arena);
        while (count > 0) {
            batch[--count]->queue_next = answered;
            answered = batch[count];
        }
    }
    arena_deinit(&arena);
    for (; answered; answered = next) {
        next = answered->queue_next;
        http_parked_end(&answered->parked);
        waiter_leave(poll->table, answered);
    }
}

static void *answer_all(void *argument)
{
    struct long_poll *poll = argument;
    struct waiter    *waiter;
    while ((waiter = waiter_table_take(poll->table)) != NULL)
        answer_due(poll, waiter);
    return NULL;
}

/* --- life --- */

struct long_poll *long_poll_start(struct api *api)
{
    struct long_poll *poll = calloc(1, sizeof(*poll));
    CHECK(poll != NULL);
    poll->api = api;
    poll->table = waiter_table_open(api->world, api->config->waiters_max);
    for (int i = 0; i < LONG_POLL_THREADS; i++)
        CHECK(pthread_create(&poll->threads[i], NULL, answer_all, poll) == 0);
    return poll;
}

void long_poll_end(struct long_poll *poll)
{
    if (poll == NULL) return;
    waiter_table_end(poll->table);
    for (int i = 0; i < LONG_POLL_THREADS; i++)
        pthread_join(poll->threads[i], NULL);
}

void long_poll_close(struct long_poll *poll)
{
    if (poll == NULL) return;
    waiter_table_close(poll->table);
    free(poll);
}

void long_poll_job_ended(struct long_poll *poll, const struct id *job_id)
{
    waiter_table_job_ended(poll->table, job_id);
}

void long_poll_look(struct long_poll *poll)
{
    waiter_table_look(poll->table);
}

int64_t long_poll_count(struct long_poll *poll)
{
    return waiter_table_count(poll->table);
}
