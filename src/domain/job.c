#include "domain/job.h"

#include "base/json_out.h"
#include "base/num.h"
#include "domain/credits.h"
#include "domain/freeze.h"
#include "domain/organisation.h"
#include "domain/reservation.h"
#include "domain/sandbox.h"

#include <assert.h>

static const char *const state_names[] = {
    [JOB_OPEN] = "open",
    [JOB_IN_PROGRESS] = "in_progress",
    [JOB_COMPLETED] = "completed",
    [JOB_CANCELLED] = "cancelled",
};
static_assert(COUNT_OF(state_names) == JOB_STATE__COUNT, "every state has a name");

static const char *const type_names[] = {
    [JOB_DATA_COLLECTION] = "data_collection",
    [JOB_FEEDBACK] = "feedback",
};
static_assert(COUNT_OF(type_names) == JOB_TYPE__COUNT, "every type has a name");

static const unsigned job_may_become[JOB_STATE__COUNT] = {
    [JOB_OPEN] = BIT(JOB_IN_PROGRESS) | BIT(JOB_COMPLETED) | BIT(JOB_CANCELLED),
    [JOB_IN_PROGRESS] = BIT(JOB_COMPLETED) | BIT(JOB_CANCELLED),
};

const char *job_state_name(enum job_state state)
{
    CHECK((unsigned)state < JOB_STATE__COUNT);
    return state_names[state];
}

bool job_state_parse(struct str name, enum job_state *ret_state)
{
    int index = str_index(name, state_names, JOB_STATE__COUNT);
    if (index >= 0) *ret_state = (enum job_state)index;
    return index >= 0;
}

const char *job_type_name(enum job_type type)
{
    CHECK((unsigned)type < JOB_TYPE__COUNT);
    return type_names[type];
}

bool job_type_parse(struct str name, enum job_type *ret_type)
{
    int index = str_index(name, type_names, JOB_TYPE__COUNT);
    if (index >= 0) *ret_type = (enum job_type)index;
    return index >= 0;
}

bool job_may_end(const struct job *job)
{
    return (job_may_become[job->state] & BIT(JOB_CANCELLED)) != 0;
}

bool job_is_live(const struct job *job)
{
    return job_may_end(job) && !job->is_past_deadline;
}

enum job_state job_state_now(const struct job *job)
{
    return job_may_end(job) && job->is_past_deadline ? JOB_CANCELLED : job->state;
}

int64_t job_slots_free(const struct job *job)
{
    return job->files_needed - job->files_approved - job->files_pending - job->slots_reserved;
}

static unsigned ignored_set(struct str names)
{
    unsigned   ignored = 0;
    struct str name;
    while (str_cut(&names, ' ', &name))
        CHECK(score_ignore_add(name, &ignored));
    return ignored;
}

void job_score_limits(const struct job *job, struct score_limits *ret_limits)
{
    *ret_limits = (struct score_limits){
        .formats = job->formats,
        .width_min = (int32_t)job->min_width,
        .height_min = (int32_t)job->min_height,
        .duration_ms_min = job->min_duration_ms,
        .duration_ms_max = job->max_duration_ms,
        .ignored = ignored_set(job->scoring_ignore),
    };
}

void job_as_created(struct job *job)
{
    job->state = JOB_OPEN;
    job->files_approved = job->files_pending = job->slots_reserved = 0;
    job->completed_ms = job->cancelled_ms = 0;
    job->is_past_deadline = false;
    job->rating = job->flags_count = 0;
    job->rating_comment = job->flag_reason = STR_NONE;
}

#define JOB_COLUMNS                                                                                  \
    "id, org_id, environment, type, description, files_needed, formats, price_cents, fee_ppm,"       \
    " payout_cents, metadata, title, scoring_criteria, worker_guidelines, min_stars, min_width,"     \
    " min_height, min_duration_ms, max_duration_ms, max_files_per_worker, created_ms, status,"       \
    " files_approved, files_pending, slots_reserved, escrow_cents, completed_ms, cancelled_ms,"      \
    " deadline_ms, lat_nano, lng_nano, radius_mm, rating, rating_comment, flags_count, flag_reason," \
    " scoring_ignore"

static unsigned formats_set(struct str text)
{
    unsigned   set = 0;
    struct str name;
    while (str_cut(&text, ' ', &name)) {
        enum media_type type;
        CHECK(media_type_parse(name, &type));
        set |= BIT(type);
    }
    return set;
}

/* The columns of JOB_COLUMNS, in their order. */
static void job_read(struct stmt *q, const struct call *call, struct job *job)
{
    struct arena *arena = call->arena;
    *job = (struct job){
        .id = column_id(q, 0),
        .org_id = column_id(q, 1),
        .environment = (enum environment)column_int(q, 2),
        .description = column_text(q, 4, arena),
        .files_needed = column_int(q, 5),
        .formats_text = column_text(q, 6, arena),
        .price_cents = column_int(q, 7),
        .fee_ppm = column_int(q, 8),
        .payout_cents = column_int(q, 9),
        .metadata = column_text(q, 10, arena),
        .title = column_text(q, 11, arena),
        .scoring_criteria = column_text(q, 12, arena),
        .worker_guidelines = column_text(q, 13, arena),
        .min_stars = column_int(q, 14),
        .min_width = column_int(q, 15),
        .min_height = column_int(q, 16),
        .has_min_duration = !column_is_null(q, 17),
        .min_duration_ms = column_int(q, 17),
        .max_duration_ms = column_int(q, 18),
        .max_files_per_worker = column_int(q, 19),
        .created_ms = column_int(q, 20),
        .files_approved = column_int(q, 22),
        .files_pending = column_int(q, 23),
        .slots_reserved = column_int(q, 24),
        .escrow_cents = column_int(q, 25),
        .completed_ms = column_int(q, 26),
        .cancelled_ms = column_int(q, 27),
        .deadline_ms = column_int(q, 28),
        .place = { column_int(q, 29), column_int(q, 30) },
        .radius_mm = column_int(q, 31),
        .rating = column_int(q, 32),
        .rating_comment = column_text(q, 33, arena),
        .flags_count = column_int(q, 34),
        .flag_reason = column_text(q, 35, arena),
        .scoring_ignore = column_text(q, 36, arena),
    };
    job->is_past_deadline = job->deadline_ms > 0 && job->deadline_ms <= call->now_ms;
    job->formats = formats_set(job->formats_text);
    CHECK(job_type_parse(column_text(q, 3, arena), &job->type));
    CHECK(job_state_parse(column_text(q, 21, arena), &job->state));
}

/* The one row of a statement that has just been bound, or ERR_NOT_FOUND. */
static enum err job_read_one(struct call *call, struct stmt *q, struct job *ret_job)
{
    bool is_there = stmt_step(q);
    if (is_there) job_read(q, call, ret_job);
    enum err e = stmt_end(q, &call->error);
    if (e) return e;
    if (!is_there) return FAIL(&call->error, ERR_NOT_FOUND, "job", "no such job");
    return ERR_OK;
}

enum err job_get(struct call *call, struct str id_text, struct job *ret_job)
{
    struct id id;
    if (!id_parse(id_text, ID_JOB, &id))
        return FAIL(&call->error, ERR_NOT_FOUND, "job", "no such job");
    struct stmt *q = db_query(call->db, "SELECT " JOB_COLUMNS " FROM jobs WHERE id = $1"
                                        " AND org_id = $2 AND environment = $3");
    bind_id(q, 1, &id);
    bind_id(q, 2, &call->actor.org_id);
    bind_int(q, 3, call->actor.environment);
    return job_read_one(call, q, ret_job);
}

enum err job_get_any(struct call *call, const struct id *id, struct job *ret_job)
{
    /* tenant: workers and runners serve every organisation */
    struct stmt *q = db_query(call->db, "SELECT " JOB_COLUMNS " FROM jobs WHERE id = $1");
    bind_id(q, 1, id);
    return job_read_one(call, q, ret_job);
}

enum err job_get_live(struct call *call, struct str id_text, struct job *ret_job)
{
    struct id  id;
    struct job job;
    if (!id_parse(id_text, ID_JOB, &id))
        return FAIL(&call->error, ERR_NOT_FOUND, "job", "no such job");
    enum err e = job_get_any(call, &id, &job);
    if (e) return e;
    if (job.environment != ENVIRONMENT_LIVE)
        return FAIL(&call->error, ERR_NOT_FOUND, "job", "no such job");
    *ret_job = job;
    return ERR_OK;
}

/* Three columns, all null for a job that is anywhere. */
static void bind_place(struct stmt *q, int number, const struct job *job)
{
    if (job->radius_mm > 0) {
        bind_int(q, number, job->place.lat_nano);
        bind_int(q, number + 1, job->place.lng_nano);
    } else {
        bind_null(q, number);
        bind_null(q, number + 1);
    }
    bind_nonzero(q, number + 2, job->radius_mm);
}

/* Bind the columns of JOB_COLUMNS, in their order, from $1. */
static void job_bind(struct stmt *q, const struct job *job)
{
    bind_id(q, 1, &job->id);
    bind_id(q, 2, &job->org_id);
    bind_int(q, 3, job->environment);
    bind_text(q, 4, str_of(job_type_name(job->type)));
    bind_text(q, 5, job->description);
    bind_int(q, 6, job->files_needed);
    bind_text(q, 7, job->formats_text);
    bind_int(q, 8, job->price_cents);
    bind_int(q, 9, job->fee_ppm);
    bind_int(q, 10, job->payout_cents);
    bind_text(q, 11, job->metadata);
    bind_text(q, 12, job->title);
    bind_text(q, 13, job->scoring_criteria);
    bind_text(q, 14, job->worker_guidelines);
    bind_int(q, 15, job->min_stars);
    bind_int(q, 16, job->min_width);
    bind_int(q, 17, job->min_height);
    bind_optional(q, 18, job->has_min_duration, job->min_duration_ms);
    bind_int(q, 19, job->max_duration_ms);
    bind_int(q, 20, job->max_files_per_worker);
    bind_int(q, 21, job->created_ms);
    bind_text(q, 22, str_of(job_state_name(job->state)));
    bind_int(q, 23, job->files_approved);
    bind_int(q, 24, job->files_pending);
    bind_int(q, 25, job->slots_reserved);
    bind_int(q, 26, job->escrow_cents);
    bind_nonzero(q, 27, job->completed_ms);
    bind_nonzero(q, 28, job->cancelled_ms);
    bind_nonzero(q, 29, job->deadline_ms);
    bind_place(q, 30, job);
    bind_nonzero(q, 33, job->rating);
    bind_text(q, 34, job->rating_comment);
    bind_int(q, 35, job->flags_count);
    bind_text(q, 36, job->flag_reason);
    bind_text(q, 37, job->scoring_ignore);
}

static enum err job_insert(struct call *call, const struct job *job)
{
    struct stmt *q = db_query(call->db, "INSERT INTO jobs (" JOB_COLUMNS ") VALUES"
                                        " ($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12,$13,$14,$15,$16,"
                                        "$17,$18,$19,$20,$21,$22,$23,$24,$25,$26,$27,$28,$29,$30,"
                                        "$31,$32,$33,$34,$35,$36,$37)");
    job_bind(q, job);
    return stmt_run(q, &call->error, NULL);
}

enum err job_save(struct call *call, const struct job *job)
{
    CHECK(job_slots_free(job) >= 0);
    struct stmt *q =
        db_query(call->db, "UPDATE jobs SET status = $3, files_approved = $4, files_pending = $5,"
                           " slots_reserved = $6, escrow_cents = $7, completed_ms = $8,"
                           " cancelled_ms = $9 WHERE id = $1 AND org_id = $2");
    bind_id(q, 1, &job->id);
    bind_id(q, 2, &job->org_id);
    bind_text(q, 3, str_of(job_state_name(job->state)));
    bind_int(q, 4, job->files_approved);
    bind_int(q, 5, job->files_pending);
    bind_int(q, 6, job->slots_reserved);
    bind_int(q, 7, job->escrow_cents);
    bind_nonzero(q, 8, job->completed_ms);
    bind_nonzero(q, 9, job->cancelled_ms);
    return stmt_run(q, &call->error, NULL);
}

/* What the contract's schema cannot say. */
static enum err check_asked(struct call *call, const struct job *job, int64_t *ret_total_cents)
{
    if (!num_mul(job->files_needed, job->price_cents, ret_total_cents))
        error_add_fault(&call->error, call->arena, STR("files_needed"), "maximum",
                        "files_needed × price_per_file_cents does not fit");
    if (job->max_duration_ms > 0 && job->max_duration_ms < job->min_duration_ms)
        error_add_fault(&call->error, call->arena, STR("max_duration_seconds"), "minimum",
                        "must not be below min_duration_seconds");
    if (job->deadline_ms != 0 && job->deadline_ms <= call->now_ms)
        error_add_fault(&call->error, call->arena, STR("deadline"), "in_past",
                        "must be in the future");
    if (call->error.faults_count == 0) return ERR_OK;
    return FAIL_FAULTS(&call->error, call->arena, ERR_UNPROCESSABLE, "body_invalid");
}

enum err job_create(struct call *call, struct job *job)
{
    int64_t  total_cents = 0;
    enum err e = check_asked(call, job, &total_cents);
    if (e) return e;
    job->org_id = call->actor.org_id;
    job->environment = call->actor.environment;
    e = freeze_check(call, &job->org_id, job->environment);
    if (e) return e;
    e = organisation_fee_ppm(call, &job->org_id, job->environment, &job->fee_ppm);
    if (e) return e;
    job->id = id_new(ID_JOB, call->now_ms);
    job->created_ms = id_time_ms(&job->id);
    job->payout_cents = job->price_cents - num_share_ppm(job->price_cents, job->fee_ppm);
    job_as_created(job);
    job->escrow_cents = total_cents;
    e = job_insert(call, job);
    if (e) return e;
    e = credits_hold(call, job);
    if (e) return e;
    return sandbox_begin(call, job);
}

/* Of a row of a listing, as JSON. */
static size_t text_bytes(const struct job *job)
{
    return job->metadata.len + 2 * job->scoring_ignore.len + json_text_bytes(job->description) +
           json_text_bytes(job->title) + json_text_bytes(job->scoring_criteria) +
           json_text_bytes(job->worker_guidelines) + json_text_bytes(job->rating_comment) +
           json_text_bytes(job->flag_reason);
}

enum err job_list(struct call *call, const struct job_filter *filter, int count,
                  struct job *ret_jobs, struct page_search *ret_search)
{
    struct stmt *q = db_query(call->db, "SELECT " JOB_COLUMNS " FROM jobs WHERE org_id = $1"
                                        " AND environment = $2 AND id >= $3 AND id < $4"
                                        " ORDER BY id DESC LIMIT $5");
    bind_id(q, 1, &call->actor.org_id);
    bind_int(q, 2, call->actor.environment);
    bind_text(q, 3, id_is_none(&filter->from) ? STR("job_") : id_str(&filter->from));
    bind_text(q, 4, id_is_none(&filter->before) ? STR("job_~") : id_str(&filter->before));
    bind_int(q, 5, PAGE_SCAN_ROWS_MAX);
    struct page_search search = { 0 };
    struct job         job;
    while (search.count < count && stmt_step(q)) {
        struct arena_mark mark = arena_mark(call->arena);
        job_read(q, call, &job);
        bool is_wanted =
            (filter->state == JOB_STATE__COUNT || filter->state == job_state_now(&job)) &&
            (filter->type == JOB_TYPE__COUNT || filter->type == job.type);
        if (is_wanted && !page_search_has_room(&search, text_bytes(&job))) break;
        page_search_saw(&search, &job.id);
        if (is_wanted)
            ret_jobs[search.count++] = job;
        else
            arena_rewind(call->arena, mark);
    }
    *ret_search = search;
    return stmt_end(q, &call->error);
}

static enum err read_feed(struct call *call, struct stmt *q, int count, struct job *ret_jobs,
                          struct page_search *ret_search)
{
    struct page_search search = { .rows_max = FEED_SCAN_ROWS_MAX };
    enum err           e = ERR_OK;
    while (e == ERR_OK && search.count < count && stmt_step(q)) {
        struct arena_mark mark = arena_mark(call->arena);
        struct job       *job = &ret_jobs[search.count];
        bool              is_open = false;
        job_read(q, call, job);
        if (job_is_live(job)) e = reservation_is_open_to_worker(call, job, &is_open);
        if (is_open && !page_search_has_room(&search, text_bytes(job))) break;
        page_search_saw(&search, &job->id);
        search.last_key = job->payout_cents;
        if (is_open)
            search.count++;
        else
            arena_rewind(call->arena, mark);
    }
    *ret_search = search;
    enum err ended = stmt_end(q, &call->error);
    return e ? e : ended;
}

/* Word for word the condition of the feed's indexes, which have the jobs with slots "> 0". */
#define FEED_JOBS                                                                                  \
    " FROM jobs WHERE environment = 0 AND status IN ('open', 'in_progress')"                       \
    " AND files_needed - files_approved - files_pending - slots_reserved "

/* Full jobs may be open all the same: where the worker holds a slot, or one has lapsed that nobody
 * wrote down yet. */
#define FEED_HELD                                                                                  \
    "SELECT job_id FROM reservations WHERE worker_id = $1 AND state = 'held' UNION"                \
    " SELECT job_id FROM (SELECT job_id FROM reservations WHERE state = 'held'"                    \
    " AND expires_ms <= $2 ORDER BY expires_ms LIMIT $3) AS lapsed"

static struct stmt *query_newest(struct call *call, const struct job_feed *feed)
{
    /* tenant: the feed shows every organisation's open live jobs */
    struct stmt *q = db_query(call->db, "SELECT " JOB_COLUMNS FEED_JOBS "> 0 AND id < $4 UNION ALL"
                                        " SELECT " JOB_COLUMNS FEED_JOBS "= 0 AND id < $4"
                                        " AND id IN (" FEED_HELD ") ORDER BY id DESC LIMIT $3");
    bind_text(q, 4, id_is_none(&feed->before) ? STR("job_~") : id_str(&feed->before));
    return q;
}

static struct stmt *query_best_paid(struct call *call, const struct job_feed *feed)
{
    /* tenant: the feed shows every organisation's open live jobs */
    struct stmt *q = db_query(
        call->db, "SELECT " JOB_COLUMNS FEED_JOBS "> 0 AND (payout_cents, id) < ($5, $4) UNION ALL"
                  " SELECT " JOB_COLUMNS FEED_JOBS "= 0 AND (payout_cents, id) < ($5, $4)"
                  " AND id IN (" FEED_HELD ") ORDER BY payout_cents DESC, id DESC LIMIT $3");
    bool is_first = id_is_none(&feed->before);
    bind_text(q, 4, is_first ? STR("job_~") : id_str(&feed->before));
    bind_int(q, 5, is_first ? INT64_MAX : feed->before_payout_cents);
    return q;
}

enum err job_feed(struct call *call, const struct job_feed *feed, int count, struct job *ret_jobs,
                  struct page_search *ret_search)
{
    struct stmt *q =
        feed->is_best_paid_first ? query_best_paid(call, feed) : query_newest(call, feed);
    bind_id(q, 1, &call->actor.worker_id);
    bind_int(q, 2, call->now_ms);
    bind_int(q, 3, FEED_SCAN_ROWS_MAX);
    return read_feed(call, q, count, ret_jobs, ret_search);
}

void job_set_state(struct call *call, struct job *job, enum job_state to)
{
    CHECK(job_may_become[job->state] & BIT(to));
    job->state = to;
    if (to == JOB_COMPLETED) job->completed_ms = call->now_ms;
    if (to == JOB_CANCELLED)
        job->cancelled_ms = job->is_past_deadline ? job->deadline_ms : call->now_ms;
    if (!job_is_live(job)) call_note_ended(call, &job->id);
}
