#include "domain/sandbox.h"

#include "base/encode.h"
#include "base/json_in.h"
#include "base/num.h"
#include "domain/file_removal.h"
#include "domain/job_flag.h"
#include "domain/slot_rules.h"
#include "domain/worker.h"
#include "platform/media_template.h"

#include <assert.h>
#include <stdio.h>

enum { STARS = 4, STARS_BEST = 5, STARS_POOR = 2, STARS_BLANK = 1, MIXED_EVERY = 3 };

static const char *const scenario_names[] = {
    [SANDBOX_DEFAULT] = "default", [SANDBOX_MIXED] = "mixed",     [SANDBOX_SLOW] = "slow",
    [SANDBOX_STALL] = "stall",     [SANDBOX_FLAGGED] = "flagged",
};
static_assert(COUNT_OF(scenario_names) == SANDBOX_SCENARIO__COUNT, "every scenario has a name");

static enum sandbox_scenario scenario_of(struct call *call, const struct job *job)
{
    struct arena_mark mark = arena_mark(call->arena);
    struct error      error = { 0 };
    json_t           *metadata = NULL;
    int               scenario = -1;
    if (json_parse(call->arena, job->metadata, &error, &metadata) == ERR_OK)
        scenario = str_index(in_text(metadata, "sandbox_scenario", call->arena), scenario_names,
                             SANDBOX_SCENARIO__COUNT);
    arena_rewind(call->arena, mark);
    return scenario < 0 ? SANDBOX_DEFAULT : (enum sandbox_scenario)scenario;
}

enum err sandbox_begin(struct call *call, const struct job *job)
{
    if (job->environment != ENVIRONMENT_TEST) return ERR_OK;
    return task_add_at(call, TASK_SANDBOX, &job->id,
                       job->created_ms + call->config->sandbox_delay_ms);
}

/* --- what is due --- */

/* How many files the job shall have in the end. */
static int64_t files_in_all(const struct job *job, enum sandbox_scenario scenario)
{
    return scenario == SANDBOX_STALL ? job->files_needed / 2 : job->files_needed;
}

/* And by now. */
static int64_t files_due(const struct call *call, const struct job *job,
                         enum sandbox_scenario scenario)
{
    int64_t delay_ms = call->config->sandbox_delay_ms;
    int64_t all = files_in_all(job, scenario);
    if (scenario != SANDBOX_SLOW || delay_ms == 0) return all;
    return num_min(all, (call->now_ms - job->created_ms) / delay_ms);
}

/* When the job gets its next file; 0 = never. */
static int64_t next_due_ms(const struct call *call, const struct job *job,
                           enum sandbox_scenario scenario)
{
    if (!job_is_live(job) || job->files_approved >= files_in_all(job, scenario)) return 0;
    if (scenario != SANDBOX_SLOW) return call->now_ms;
    return job->created_ms + (job->files_approved + 1) * call->config->sandbox_delay_ms;
}

static enum err count_submissions(struct call *call, const struct job *job, int64_t *ret_count)
{
    /* tenant: of a job that was read before; with its organisation the store would search that */
    struct stmt *q = db_query(call->db, "SELECT count(*) FROM submissions WHERE job_id = $1");
    bind_id(q, 1, &job->id);
    *ret_count = stmt_step(q) ? column_int(q, 0) : 0;
    return stmt_end(q, &call->error);
}

/* What decides about the bytes: everything asked of the files, and which of them it is. */
static void seed_of(const struct job *job, unsigned char seed[SHA256_BYTES])
{
    const struct str asked[] = { str_of(job_type_name(job->type)), job->description,
                                 job->formats_text, job->metadata };
    CLEANUP(sha256_drop) struct sha256 hash = { 0 };
    sha256_begin(&hash);
    for (size_t i = 0; i < COUNT_OF(asked); i++) {
        sha256_add(&hash, asked[i].data, asked[i].len);
        sha256_add(&hash, "", 1);
    }
    sha256_end(&hash, seed);
}

/* The buyer's formats take turns. */
static enum media_type type_of(const struct job *job, int64_t number)
{
    int64_t         turn = number % __builtin_popcount(job->formats);
    struct str      rest = job->formats_text, name;
    enum media_type type = MEDIA_JPEG;
    unsigned        seen = 0;
    while (turn >= 0 && str_cut(&rest, ' ', &name)) {
        CHECK(media_type_parse(name, &type));
        if (!(seen & BIT(type))) turn--;
        seen |= BIT(type);
    }
    return type;
}

static void plan_stars(const struct sandbox_batch *batch, struct sandbox_file *file)
{
    const struct job *job = &batch->job;
    file->passes = batch->scenario != SANDBOX_MIXED || file->number % MIXED_EVERY != 0;
    /* Two stars are enough for some jobs: those get what no job takes. */
    file->is_blank =
        !file->passes && (file->number / MIXED_EVERY % 2 == 1 || job->min_stars <= STARS_POOR);
    if (file->passes)
        file->stars = job->min_stars > STARS ? STARS_BEST : STARS;
    else
        file->stars = file->is_blank ? STARS_BLANK : STARS_POOR;
}

enum err sandbox_plan(struct call *call, const struct id *job_id, struct sandbox_batch *batch)
{
    int64_t  number;
    enum err e = job_get_any(call, job_id, &batch->job);
    if (e) return e;
    e = count_submissions(call, &batch->job, &number);
    if (e) return e;
    batch->scenario = scenario_of(call, &batch->job);
    batch->count = 0;
    seed_of(&batch->job, batch->seed);
    if (slot_check_open(call, &batch->job)) return ERR_OK;
    int64_t wanted = files_due(call, &batch->job, batch->scenario) - batch->job.files_approved;
    while (wanted > 0 && batch->count < SANDBOX_BATCH_FILES_MAX) {
        struct sandbox_file *file = &batch->files[batch->count++];
        *file = (struct sandbox_file){ .submission_id = id_new(ID_SUBMISSION, call->now_ms),
                                       .number = number,
                                       .type = type_of(&batch->job, number) };
        plan_stars(batch, file);
        number++;
        if (file->passes) wanted--;
    }
    return ERR_OK;
}

/* --- a file --- */

static void nonce_of(const struct sandbox_batch *batch, int64_t number,
                     unsigned char digest[SHA256_BYTES])
{
    CLEANUP(sha256_drop) struct sha256 hash = { 0 };
    sha256_begin(&hash);
    sha256_add(&hash, batch->seed, SHA256_BYTES);
    sha256_add(&hash, &number, sizeof(number));
    sha256_end(&hash, digest);
}

struct str sandbox_generate(const struct sandbox_batch *batch, struct sandbox_file *file,
                            struct arena *arena)
{
    unsigned char digest[SHA256_BYTES];
    nonce_of(batch, file->number, digest);
    static_assert((int)MEDIA_NONCE_BYTES <= (int)SHA256_BYTES, "a digest is long enough");
    struct str bytes = media_template_make(file->type, digest, arena);
    crypto_sha256(bytes, digest);
    file->size_bytes = (int64_t)bytes.len;
    snprintf(file->sha256, sizeof(file->sha256), "%s",
             encode_hex(arena, digest, sizeof(digest)).data);
    snprintf(file->name, sizeof(file->name), "sandbox-%lld.%s", (long long)(file->number + 1),
             media_type_extension(file->type));
    return bytes;
}

static const char *reasoning_of(const struct sandbox_file *file)
{
    if (file->passes)
        return "Sandbox: a simulated worker sent this file and nobody examined it. "
               "It counts as clear, complete and what was asked for.";
    if (file->is_blank)
        return "Sandbox: the scenario \"mixed\" rejects this file as if it were blank. "
               "Another one takes its place.";
    return "Sandbox: the scenario \"mixed\" rejects this file as if it were blurred. "
           "Another one, with the camera held still, takes its place.";
}

static void verdict_of(const struct sandbox_file *file, const struct media_result *facts,
                       struct verdict *ret_verdict)
{
    *ret_verdict = (struct verdict){
        .submission_id = file->submission_id,
        .attempt = 1,
        .sha256 = str_of(file->sha256),
        .score = { .stars = file->stars, .gate = file->is_blank ? GATE_BLANK : GATE_NONE },
        .is_simulated = true,
        .result = facts,
        .record = STR("{\"simulated\":true}"),
    };
    snprintf(ret_verdict->score.reasoning, sizeof(ret_verdict->score.reasoning), "%s",
             reasoning_of(file));
}

/* The score task that receiving adds ends in the same commit: no scorer ever sees it. */
static enum err judge(struct call *call, const struct sandbox_file *file)
{
    struct task         task;
    struct media_result facts;
    struct verdict      verdict;
    enum err            e = task_get(call, TASK_SCORE, &file->submission_id, &task);
    if (e) return e;
    media_template_facts(file->type, &facts);
    verdict_of(file, &facts, &verdict);
    return submission_judge(call, &task, &verdict);
}

/* No simulated worker sends more of a job than it takes of one. */
static enum err find_worker(struct call *call, const struct job *job,
                            const struct sandbox_file *file, struct id *ret_worker_id)
{
    int64_t each = job->max_files_per_worker;
    return worker_simulated(call, &job->org_id, each ? file->number / each : 0, ret_worker_id);
}

static enum err send_file(struct call *call, const struct id *job_id,
                          const struct sandbox_file *file)
{
    struct job job;
    enum err   e = job_get_any(call, job_id, &job);
    if (e) return e;
    struct id worker_id;
    e = find_worker(call, &job, file, &worker_id);
    if (e) return e;
    struct reservation reservation;
    e = reservation_take(call, &job, &worker_id, &file->submission_id, &reservation);
    if (e) return e;
    struct received   received = { .sha256 = str_of(file->sha256),
                                   .size_bytes = file->size_bytes,
                                   .media_type = file->type,
                                   .filename = str_of(file->name) };
    struct submission submission;
    bool              is_new;
    e = submission_receive(call, &reservation, &received, &submission, &is_new);
    if (e) return e;
    return judge(call, file);
}

/* --- a batch --- */

static enum err flag(struct call *call, struct job *job)
{
    struct job_flag report = { .reason = STR("Sandbox: flagged by a simulated worker.") };
    enum err        e = worker_simulated(call, &job->org_id, 0, &report.worker_id);
    if (e) return e;
    return job_flag_add(call, job, &report);
}

static enum err send_all(struct call *call, struct job *job, const struct sandbox_batch *batch)
{
    bool is_first = batch->files[0].number == 0;
    if (is_first && batch->scenario == SANDBOX_FLAGGED) {
        enum err e = flag(call, job);
        if (e) return e;
    }
    for (int i = 0; i < batch->count; i++) {
        call_reserve_ended(call);
        struct arena_mark mark = arena_mark(call->arena);
        enum err          e = send_file(call, &batch->job.id, &batch->files[i]);
        if (e) return e;
        arena_rewind(call->arena, mark);
    }
    return file_remove_surplus(call, &batch->job.org_id);
}

enum err sandbox_fill(struct call *call, const struct task *task, const struct sandbox_batch *batch)
{
    struct job job;
    enum err   e = task_finish(call, task);
    if (e) return e;
    e = job_get_any(call, &batch->job.id, &job);
    if (e) return e;
    if (slot_check_open(call, &job)) return ERR_OK; /* it has ended since the plan */
    if (batch->count > 0) {
        e = send_all(call, &job, batch);
        if (e) return e;
        e = job_get_any(call, &batch->job.id, &job);
        if (e) return e;
    }
    int64_t due_ms = next_due_ms(call, &job, batch->scenario);
    return due_ms ? task_add_at(call, TASK_SANDBOX, &job.id, due_ms) : ERR_OK;
}
