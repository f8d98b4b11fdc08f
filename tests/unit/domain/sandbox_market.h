/* Test jobs of a market, and simulated workers who fill them without a disk. */
#ifndef FIRSTHAND_TESTS_SANDBOX_MARKET_H
#define FIRSTHAND_TESTS_SANDBOX_MARKET_H

#include "domain/sandbox.h"

#include "marketplace.h"

static inline void sandbox_market_as_buyer(struct market *market)
{
    market_as_buyer(market);
    market->actor.environment = ENVIRONMENT_TEST;
}

static inline struct job sandbox_market_post(struct market *market, struct job job)
{
    sandbox_market_as_buyer(market);
    DONE(market, job_create(&market->call, &job));
    return job;
}

/* A job that asks for a scenario by name. */
static inline struct job sandbox_market_job(struct market *market, const char *scenario,
                                            int64_t files_needed)
{
    struct job job = market_job_asked(files_needed, 50);
    job.metadata = str_format(&market->arena, "{\"sandbox_scenario\":\"%s\"}", scenario);
    return sandbox_market_post(market, job);
}

static inline bool sandbox_market_waits(struct market *market, const struct id *job_id)
{
    struct task task = market_task(market, TASK_SANDBOX, job_id);
    return !id_is_none(&task.id);
}

/* Plan and generate what is due now. */
static inline struct sandbox_batch *sandbox_market_plan(struct market   *market,
                                                        const struct id *job_id)
{
    struct sandbox_batch *batch = NEW(&market->arena, struct sandbox_batch, 1);
    market_as_runner(market);
    DONE(market, sandbox_plan(&market->call, job_id, batch));
    for (int i = 0; i < batch->count; i++)
        (void)sandbox_generate(batch, &batch->files[i], &market->arena);
    return batch;
}

/* One run of the job's task, when it is due. → how many files were sent */
static inline int sandbox_market_run(struct market *market, const struct id *job_id)
{
    struct task task = market_task(market, TASK_SANDBOX, job_id);
    if (task.run_ms > market->now_ms) market->now_ms = task.run_ms;
    struct sandbox_batch *batch = sandbox_market_plan(market, job_id);
    DONE(market, sandbox_fill(&market->call, &task, batch));
    return batch->count;
}

/* Until nothing waits for the job any more. */
static inline struct job sandbox_market_finish(struct market *market, const struct id *job_id)
{
    while (sandbox_market_waits(market, job_id))
        sandbox_market_run(market, job_id);
    return market_job_now(market, job_id);
}

#endif
