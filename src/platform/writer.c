#include "platform/writer.h"

#include "base/log.h"
#include "base/world.h"
#include "platform/checkpointer.h"
#include "platform/metrics.h"

#include <pthread.h>
#include <stdlib.h>

enum { RETRY_AFTER_S = 1 };

struct writer {
    struct db           *db;
    struct checkpointer *checkpointer;
    pthread_t            thread;

    pthread_mutex_t     lock; /* for all below */
    pthread_cond_t      arrived;
    struct write_job   *first;
    struct write_job  **last; /* where the next one is hung */
    bool                is_stopping;
    struct writer_stats stats;
};

/* --- one job --- */

/* Could not be run: nothing of it was written. */
static void job_unavailable(struct write_job *job, const struct error *cause)
{
    job->result = FAIL(&job->error, ERR_UNAVAILABLE, "store_unavailable", "%s: %.150s", cause->slug,
                       cause->detail);
    job->error.retry_after_s = RETRY_AFTER_S;
}

/* The commit lost its answer: it may have been written. */
static void job_uncertain(struct write_job *job, const struct error *cause)
{
    job->result = FAIL(&job->error, ERR_UNCERTAIN, "commit_unknown", "%s: %.150s", cause->slug,
                       cause->detail);
    job->error.retry_after_s = RETRY_AFTER_S;
}

/* In a savepoint of the open transaction. False when the transaction is gone, and with it all that
 * its other jobs wrote: SQLite ends it as a whole when the disk is full or does not answer. */
static bool job_run_nested(struct write_job *job, struct db *db)
{
    error_clear(&job->error);
    job->result = db_savepoint(db, &job->error);
    if (job->result == ERR_OK) job->result = job->run(job->argument, db, &job->error);
    /* A job that overlooked the loss of the transaction is told here. */
    if (job->result == ERR_OK) job->result = db_release(db, &job->error);
    if (job->result != ERR_OK) db_rollback_to_savepoint(db);
    return db_in_transaction(db);
}

/* In a transaction of its own. Is what it wrote committed? */
static bool job_run_alone(struct write_job *job, struct db *db)
{
    struct error cause;
    if (db_begin(db, &cause)) {
        job_unavailable(job, &cause);
        return false;
    }
    if (!job_run_nested(job, db)) {
        CHECK(job->result != ERR_OK);
        cause = job->error;
        job_unavailable(job, &cause);
    } else if (job->result == ERR_OK && db_commit(db, &cause)) {
        job_uncertain(job, &cause);
    }
    db_rollback(db);
    return job->result == ERR_OK;
}

/* --- one batch --- */

/* What a batch came to, for the stats. */
struct batch {
    struct write_job *first;
    int64_t           jobs, commits, failed;
    bool              was_rerun;
};

static void batch_fail(struct batch *batch,
                       void (*fail)(struct write_job *job, const struct error *cause),
                       const struct error *cause)
{
    for (struct write_job *job = batch->first; job; job = job->next)
        fail(job, cause);
}

/* All in one transaction. False when it was lost on the way: then no job of it has an answer. */
static bool batch_run_together(struct batch *batch, struct db *db)
{
    struct error cause;
    if (db_begin(db, &cause)) {
        batch_fail(batch, job_unavailable, &cause);
        return true;
    }
    for (struct write_job *job = batch->first; job; job = job->next) {
        if (job_run_nested(job, db)) continue;
        db_rollback(db);
        return false;
    }
    int64_t  started_us = world_monotonic_us();
    enum err e = db_commit(db, &cause);
    histogram_observe(HISTOGRAM_WRITER_COMMIT, 0, world_monotonic_us() - started_us);
    if (e) {
        db_rollback(db);
        batch_fail(batch, job_uncertain, &cause);
        return true;
    }
    batch->commits++;
    return true;
}

static void batch_run(struct batch *batch, struct db *db)
{
    if (batch_run_together(batch, db)) return;
    batch->was_rerun = true;
    for (struct write_job *job = batch->first; job; job = job->next)
        batch->commits += job_run_alone(job, db);
}

static void batch_log(const struct batch *batch, const struct write_job *job)
{
    struct log_line line;
    log_begin(&line, LOG_ERROR, batch->was_rerun ? "write_batch_rerun" : "write_batch_failed");
    log_int(&line, "jobs", batch->jobs);
    log_int(&line, "commits", batch->commits);
    log_error(&line, &job->error);
    log_end(&line);
}

/* Tell every owner; its job may be gone when done returns. */
static void batch_answer(struct batch *batch)
{
    struct write_job *next;
    for (struct write_job *job = batch->first; job; job = next) {
        next = job->next;
        job->next = NULL;
        job->done(job->argument, job->result, &job->error);
    }
}

/* The store's own trouble is logged once a batch, with the first job that met it. */
static void batch_review(struct batch *batch)
{
    const struct write_job *troubled = NULL;
    for (const struct write_job *job = batch->first; job; job = job->next) {
        if (job->result != ERR_OK) batch->failed++;
        bool is_trouble = job->result == ERR_UNAVAILABLE || job->result == ERR_UNCERTAIN;
        if (is_trouble && troubled == NULL) troubled = job;
    }
    if (batch->was_rerun || batch->commits == 0)
        batch_log(batch, troubled ? troubled : batch->first);
}

/* --- the thread --- */

/* Wait for work, take what is there. Empty only when stopping and nothing is left. */
static struct batch writer_take(struct writer *writer)
{
    struct batch       batch = { 0 };
    struct write_job **end = &batch.first;
    pthread_mutex_lock(&writer->lock);
    while (writer->first == NULL && !writer->is_stopping)
        pthread_cond_wait(&writer->arrived, &writer->lock);
    while (writer->first && batch.jobs < WRITER_BATCH_MAX) {
        *end = writer->first;
        end = &writer->first->next;
        writer->first = writer->first->next;
        batch.jobs++;
    }
    *end = NULL;
    if (writer->first == NULL) writer->last = &writer->first;
    writer->stats.queue_now -= batch.jobs;
    pthread_mutex_unlock(&writer->lock);
    return batch;
}

static void writer_count(struct writer *writer, const struct batch *batch)
{
    pthread_mutex_lock(&writer->lock);
    struct writer_stats *stats = &writer->stats;
    stats->commits += batch->commits;
    stats->jobs += batch->jobs;
    stats->jobs_failed += batch->failed;
    stats->batches_rerun += batch->was_rerun;
    if (batch->jobs > stats->batch_jobs_max) stats->batch_jobs_max = batch->jobs;
    pthread_mutex_unlock(&writer->lock);
    metric_add(METRIC_WRITER_COMMITS, batch->commits);
    metric_add(METRIC_WRITER_JOBS_KEPT, batch->jobs - batch->failed);
    metric_add(METRIC_WRITER_JOBS_UNDONE, batch->failed);
    metric_add(METRIC_WRITER_RERUNS, batch->was_rerun);
    histogram_observe(HISTOGRAM_WRITER_BATCH, 0, batch->jobs);
}

static void *writer_main(void *argument)
{
    struct writer *writer = argument;
    for (;;) {
        struct batch batch = writer_take(writer);
        if (batch.first == NULL) break;
        batch_run(&batch, writer->db);
        batch_review(&batch);
        writer_count(writer, &batch);
        batch_answer(&batch);
        checkpointer_tend(writer->checkpointer, writer->db);
    }
    checkpointer_stop(writer->checkpointer, writer->db);
    db_close(writer->db);
    return NULL;
}

struct writer *writer_start(struct db *db, struct db *checkpoint_db)
{
    struct writer *writer = calloc(1, sizeof(*writer));
    CHECK(writer != NULL);
    writer->db = db;
    writer->checkpointer = checkpointer_start(checkpoint_db);
    writer->last = &writer->first;
    CHECK(pthread_mutex_init(&writer->lock, NULL) == 0);
    CHECK(pthread_cond_init(&writer->arrived, NULL) == 0);
    CHECK(pthread_create(&writer->thread, NULL, writer_main, writer) == 0);
    pthread_setname_np(writer->thread, "writer");
    return writer;
}

void writer_stop(struct writer *writer)
{
    pthread_mutex_lock(&writer->lock);
    writer->is_stopping = true;
    pthread_cond_signal(&writer->arrived);
    pthread_mutex_unlock(&writer->lock);
    CHECK(pthread_join(writer->thread, NULL) == 0);
    pthread_cond_destroy(&writer->arrived);
    pthread_mutex_destroy(&writer->lock);
    free(writer);
}

void writer_read_stats(struct writer *writer, struct writer_stats *ret_stats)
{
    pthread_mutex_lock(&writer->lock);
    *ret_stats = writer->stats;
    pthread_mutex_unlock(&writer->lock);
}

/* --- submitting --- */

/* Under the lock: hang it on, or say why not. */
static const char *submit_locked(struct writer *writer, struct write_job *job)
{
    if (writer->is_stopping) return "writer_stopping";
    if (writer->stats.queue_now >= WRITER_QUEUE_MAX) return "writer_full";
    if (writer->first == NULL) pthread_cond_signal(&writer->arrived);
    *writer->last = job;
    writer->last = &job->next;
    writer->stats.queue_now++;
    return NULL;
}

enum err writer_submit(struct writer *writer, struct write_job *job, struct error *error)
{
    job->next = NULL;
    job->result = ERR_OK;
    pthread_mutex_lock(&writer->lock);
    const char *refusal = submit_locked(writer, job);
    pthread_mutex_unlock(&writer->lock);
    if (refusal == NULL) return ERR_OK;
    enum err e = FAIL(error, ERR_UNAVAILABLE, refusal, "the write was not queued");
    error->retry_after_s = RETRY_AFTER_S;
    return e;
}

struct writer_call {
    enum err (*run)(void *argument, struct db *db, struct error *error);
    void           *argument;
    pthread_mutex_t lock;
    pthread_cond_t  answered;
    bool            is_done;
};

static enum err call_run(void *argument, struct db *db, struct error *error)
{
    struct writer_call *call = argument;
    return call->run(call->argument, db, error);
}

static void call_done(void *argument, enum err e, const struct error *error)
{
    (void)e;
    (void)error; /* both stay in the job, which the waiting thread owns */
    struct writer_call *call = argument;
    pthread_mutex_lock(&call->lock);
    call->is_done = true;
    pthread_cond_signal(&call->answered);
    pthread_mutex_unlock(&call->lock);
}

static void call_wait(struct writer_call *call)
{
    pthread_mutex_lock(&call->lock);
    while (!call->is_done)
        pthread_cond_wait(&call->answered, &call->lock);
    pthread_mutex_unlock(&call->lock);
}

enum err writer_call(struct writer *writer,
                     enum err (*run)(void *argument, struct db *db, struct error *error),
                     void *argument, struct error *error)
{
    /* From a job or its done it would wait for itself. */
    CHECK(!pthread_equal(pthread_self(), writer->thread));
    struct writer_call call = { .run = run,
                                .argument = argument,
                                .lock = PTHREAD_MUTEX_INITIALIZER,
                                .answered = PTHREAD_COND_INITIALIZER };
    struct write_job   job = { .run = call_run, .done = call_done, .argument = &call };
    enum err           e = writer_submit(writer, &job, error);
    if (e) return e;
    call_wait(&call);
    pthread_cond_destroy(&call.answered);
    pthread_mutex_destroy(&call.lock);
    if (job.result) *error = job.error;
    return job.result;
}
