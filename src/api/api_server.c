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

static enum err commit_offset(struct call *call, void *argument)
{
    struct world *world = argument;
    return clock_store_offset(call, atomic_load(&world->offset_ms));
}

/* A century before the last time that can be written: what begins then may still end. */
static bool clock_may_reach(int64_t time_ms)
{
    return time_ms <= TIME_MS_MAX - 100 * 366 * MS_PER_DAY;
}

/* Move the clock, then let everything that is due by then run once. */
static enum err advance_clock(struct exchange *exchange)
{
    struct call *call = &exchange->call;
    int64_t      ms = in_int(exchange->request.body, "seconds", 0) * MS_PER_SECOND;
    if (!clock_may_reach(world_now_ms(exchange->api->world) + ms)) {
        error_add_fault(&call->error, call->arena, STR("seconds"), "maximum",
                        "leads beyond the last year that can be written");
        return FAIL(&call->error, ERR_UNPROCESSABLE, "body_invalid", "the clock cannot go so far");
    }
    world_advance_ms(exchange->api->world, ms);
    enum err e = exchange_commit(exchange, commit_offset, exchange->api->world);
    if (e) return e;
    exchange->api->run_due(exchange->api->runner_context, RUN_DUE_MS_MAX);
    long_poll_look(exchange->api->long_poll);
    out_object(&exchange->reply.out, NULL);
    out_time(&exchange->reply.out, "now", world_now_ms(exchange->api->world));
    out_close(&exchange->reply.out);
    return ERR_OK;
}

const struct binding server_bindings[] = {
    { .operation_id = "healthz", .handle = healthz },
    { .operation_id = "readyz", .handle = readyz },
    { .operation_id = "getContract", .handle = get_contract },
    { .operation_id = "advanceTestClock", .external = advance_clock },
    { 0 },
};
