#include "api/api.h"
#include "api/long_poll.h"
#include "base/time_text.h"
#include "domain/clock.h"

static const int64_t RUN_DUE_MS_MAX = 10000;

static void write_ok(struct reply *reply)
{
    out_object(&reply->out, NULL);
    out_text(&reply->out, "status", STR("ok"));
    out_close(&reply->out);
}

static enum err healthz(struct call *call, const struct request *request, struct reply *reply)
{
    (void)call, (void)request;
    write_ok(reply);
    return ERR_OK;
}

/* The read transaction stands; a row proves that the store answers and is ours. Migrations ran
 * before serving. */
static enum err readyz(struct call *call, const struct request *request, struct reply *reply)
{
    (void)request;
    struct stmt *q = db_query(call->db, "SELECT count(*) FROM schema_migrations");
    int64_t      count = stmt_step(q) ? column_int(q, 0) : 0;
    enum err     e = stmt_end(q, &call->error);
    if (e) return FAIL(&call->error, ERR_UNAVAILABLE, "store_unreachable", "no answer");
    if (count == 0)
        return FAIL(&call->error, ERR_UNAVAILABLE, "store_unreachable", "it is not migrated");
    write_ok(reply);
    return ERR_OK;
}

static enum err get_contract(struct call *call, const struct request *request, struct reply *reply)
{
    (void)call;
    buf_add(&reply->body, request->api->contract_text);
    return ERR_OK;
}

/* A century before the last time that can be written: what begins then may still end. */
static bool clock_may_reach(int64_t time_ms)
{
    return time_ms <= TIME_MS_MAX - 100 * 366 * MS_PER_DAY;
}

/* Kept as of the time it leads to: its Idempotency-Key lives for a day from then on. */
static enum err answer_advance(struct call *call, void *argument, struct reply *reply)
{
    const int64_t *ms = argument;
    int64_t        offset_ms;
    if (!clock_may_reach(call->now_ms + *ms)) {
        error_add_fault(&call->error, call->arena, STR("seconds"), "maximum",
                        "leads beyond the last year that can be written");
        return FAIL_FAULTS(&call->error, call->arena, ERR_UNPROCESSABLE, "body_invalid");
    }
    enum err e = clock_load_offset(call->db, &call->error, &offset_ms);
    if (e == ERR_OK) e = clock_store_offset(call, offset_ms + *ms);
    if (e) return e;
    call->now_ms += *ms;
    out_object(&reply->out, NULL);
    out_time(&reply->out, "now", call->now_ms);
    out_close(&reply->out);
    return ERR_OK;
}

/* The process's clock goes where the store's is. */
static enum err follow_clock(struct exchange *exchange)
{
    struct db *db;
    int64_t    offset_ms;
    enum err   e = db_readers_get(exchange->api->readers, &exchange->call.error, &db);
    if (e == ERR_OK) e = clock_load_offset(db, &exchange->call.error, &offset_ms);
    if (e == ERR_OK) world_raise_offset(exchange->api->world, offset_ms);
    return e;
}

/* Move the clock, then let everything that is due by then run once. */
static enum err advance_clock(struct exchange *exchange)
{
    int64_t ms = in_int(exchange->request.body, "seconds", 0) * MS_PER_SECOND;
    idempotency_set_server_owner(&exchange->idempotency);
    enum err e = exchange_answer(exchange, answer_advance, &ms);
    if (e == ERR_OK) e = follow_clock(exchange);
    if (e) return e;
    exchange->api->run_due(exchange->api->runner_context, RUN_DUE_MS_MAX);
    long_poll_look(exchange->api->long_poll);
    return ERR_OK;
}

const struct binding server_bindings[] = {
    { .operation_id = "healthz", .handle = healthz },
    { .operation_id = "readyz", .handle = readyz },
    { .operation_id = "getContract", .handle = get_contract },
    { .operation_id = "advanceTestClock", .external = advance_clock },
    { 0 },
};
