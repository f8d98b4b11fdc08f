#include "base/log.h"
#include "domain/submission.h"
#include "platform/disk.h"
#include "platform/metrics.h"
#include "runner/runner_call.h"

#include <stdio.h>

enum { UNEXAMINED_FAILURES_MIN = 5, UNEXAMINED_STARS = 2 };
static const int64_t WALL_MS_PER_CPU_SECOND = 3000;

/* One submission on its way to its stars. */
struct scoring {
    const struct runner_services *services;
    struct task                  *task;
    struct submission             submission;
    struct job                    job;
    int64_t                       last_examined_ms;
    struct media_result           result;
    struct verdict                verdict;
};

static int64_t wall_ms_max(const struct config *config)
{
    return (config->media_cpu_seconds + MEDIA_CPU_MARGIN_S) * WALL_MS_PER_CPU_SECOND;
}

int64_t score_lease_ms(const struct config *config)
{
    return wall_ms_max(config) + SCORE_LEASE_MS_MARGIN;
}

void score_media_limits(const struct config *config, struct media_limits *ret_limits)
{
    *ret_limits = (struct media_limits){
        .cpu_seconds = (int32_t)config->media_cpu_seconds,
        .wall_ms = (int32_t)wall_ms_max(config),
        .memory_bytes_max = MEDIA_MEMORY_BYTES_DEFAULT,
    };
}

static enum err load(struct call *call, void *argument)
{
    struct scoring *scoring = argument;
    enum err        e = submission_get_any(call, &scoring->task->subject_id, &scoring->submission);
    if (e) return e;
    e = submission_last_examined(call, &scoring->last_examined_ms);
    if (e) return e;
    return job_get_any(call, &scoring->submission.job_id, &scoring->job);
}

/* What sniffing allowed at upload: the type as settled, and its twin where the brand did not say.
 */
static unsigned allowed_types(const struct submission *submission)
{
    unsigned twins = BIT(MEDIA_M4A) | BIT(MEDIA_MP4);
    unsigned type = BIT(submission->media_type);
    return type & twins ? twins : type;
}

static enum err open_file(struct scoring *scoring, struct call *call, int *ret_fd,
                          int64_t *ret_size_bytes)
{
    struct str name =
        submission_blob_name(&scoring->submission.id, scoring->submission.attempt, call->arena);
    return blob_open(scoring->services->blobs, name, &call->error, ret_fd, ret_size_bytes);
}

static enum err examine(struct scoring *scoring, int fd, int64_t size_bytes, struct call *call)
{
    struct media_limits limits;
    score_media_limits(scoring->services->config, &limits);
    return media_zygote_examine(scoring->services->zygote, fd, size_bytes,
                                allowed_types(&scoring->submission), &limits, &call->error,
                                &scoring->result);
}

static void compute(struct scoring *scoring, struct call *call)
{
    struct score_limits limits;
    job_score_limits(&scoring->job, &limits);
    scoring->verdict.result = &scoring->result;
    score_compute(&scoring->result, &limits, &scoring->verdict.score);
    scoring->verdict.record = score_record(&scoring->result, &scoring->verdict.score,
                                           scoring->submission.sha256, call->arena);
    scoring->verdict.annotations =
        score_annotations(&scoring->result, &scoring->verdict.score, call->arena);
}

/* This file keeps failing while others pass: it is the file, not the machine. */
static bool is_hopeless(const struct scoring *scoring)
{
    const struct task *task = scoring->task;
    return task->subject_failures_count + 1 >= UNEXAMINED_FAILURES_MIN &&
           scoring->last_examined_ms > task->first_failed_ms;
}

static void give_up(struct scoring *scoring, struct call *call)
{
    struct score *score = &scoring->verdict.score;
    scoring->verdict.is_unexamined = true;
    score->stars = UNEXAMINED_STARS;
    snprintf(score->reasoning, sizeof(score->reasoning),
             "The file could not be examined in %lld tries (%s) while other files were. "
             "Send a smaller or simpler version of it.",
             (long long)scoring->task->subject_failures_count + 1, call->error.detail);
    job_score_limits(&scoring->job, &score->limits);
    scoring->verdict.record = score_record(NULL, score, scoring->submission.sha256, call->arena);
}

static enum err judge(struct call *call, void *argument)
{
    struct scoring *scoring = argument;
    return submission_judge(call, scoring->task, &scoring->verdict);
}

static void log_score(const struct scoring *scoring)
{
    struct log_line line;
    log_begin(&line, LOG_INFO, "scored");
    log_text(&line, "submission", id_str(&scoring->submission.id));
    log_text(&line, "job", id_str(&scoring->submission.job_id));
    log_int(&line, "attempt", scoring->submission.attempt);
    log_int(&line, "stars", scoring->verdict.score.stars);
    log_end(&line);
}

enum err score_task(const struct runner_services *services, struct task *task, struct call *call)
{
    struct scoring scoring = { .services = services, .task = task };
    enum err       e = runner_read(services, call, load, &scoring);
    if (e) return e;
    scoring.verdict.submission_id = scoring.submission.id;
    scoring.verdict.attempt = scoring.submission.attempt;
    scoring.verdict.sha256 = scoring.submission.sha256;
    CLEANUP(fd_close) int fd = -1;
    int64_t               size_bytes;
    e = open_file(&scoring, call, &fd, &size_bytes);
    if (e) return e; /* the disk's fault, never the file's */
    e = examine(&scoring, fd, size_bytes, call);
    if (e == ERR_OK) {
        compute(&scoring, call);
    } else if (is_hopeless(&scoring)) {
        give_up(&scoring, call);
    } else {
        task->is_subject_suspect = true;
        return e;
    }
    e = runner_commit(services, call, judge, &scoring);
    if (e) return e;
    metric_add((enum metric)(METRIC_SCORES_1 + scoring.verdict.score.stars - 1), 1);
    metric_add(METRIC_SCORES_UNEXAMINED, scoring.verdict.is_unexamined);
    log_score(&scoring);
    return ERR_OK;
}
