#include "api/api.h"
#include "api/listing.h"
#include "base/num.h"
#include "base/time_text.h"
#include "domain/render.h"

enum { METADATA_BYTES_MAX = 1 << 20 };

/* Absent for no array. */
static struct str joined_names(struct call *call, const json_t *names)
{
    struct buf text;
    if (!json_is_array(names)) return STR_NONE;
    buf_init(&text, call->arena, 256);
    for (size_t i = 0; i < json_array_size(names); i++) {
        if (i > 0) buf_add_byte(&text, ' ');
        buf_add(&text, str_of(json_string_value(json_array_get(names, i))));
    }
    CHECK(!text.failed); /* the schemas allow eight short names at most */
    return buf_str(&text);
}

static struct str metadata_text(struct call *call, const json_t *metadata)
{
    if (!json_is_object(metadata)) return STR("{}");
    struct buf      text;
    struct json_out out;
    buf_init(&text, call->arena, METADATA_BYTES_MAX * 2);
    json_out_init(&out, &text);
    out_value(&out, NULL, metadata);
    CHECK(!text.failed); /* it came in a body of that size */
    return buf_str(&text);
}

/* Seconds as the contract has them, as milliseconds; 0 when absent. */
static int64_t in_seconds_ms(const json_t *body, const char *key)
{
    return (int64_t)(in_number(body, key, 0) * (double)MS_PER_SECOND + 0.5);
}

/* The contract has checked the form. 0 only when there is none: what is past is past. */
static int64_t in_deadline_ms(struct call *call, const json_t *body)
{
    struct str text = in_text(body, "deadline", call->arena);
    int64_t    deadline_ms;
    if (text.data == NULL) return 0;
    CHECK(time_parse(text, &deadline_ms));
    return num_max(1, deadline_ms);
}

static void in_location(const json_t *body, struct job *job)
{
    const json_t *location = json_object_get(body, "location");
    if (location == NULL) return;
    job->place = geo_point_at(in_number(location, "lat", 0), in_number(location, "lng", 0));
    job->radius_mm = geo_km_to_mm(in_number(location, "radius_km", 0));
}

static enum err create_job(struct call *call, const struct request *request, struct reply *reply)
{
    const json_t *body = request->body;
    struct job    job = {
           .description = in_text(body, "description", call->arena),
           .files_needed = in_int(body, "files_needed", 0),
           .formats_text = joined_names(call, json_object_get(body, "accepted_formats")),
           .price_cents = in_int(body, "price_per_file_cents", 0),
           .metadata = metadata_text(call, json_object_get(body, "metadata")),
           .title = in_text(body, "title", call->arena),
           .scoring_criteria = in_text(body, "scoring_criteria", call->arena),
           .scoring_ignore = joined_names(call, json_object_get(body, "scoring_ignore")),
           .worker_guidelines = in_text(body, "worker_guidelines", call->arena),
           .min_stars = in_int(body, "min_star_rating", JOB_STARS_MIN_DEFAULT),
           .min_width = in_int(body, "min_width", 0),
           .min_height = in_int(body, "min_height", 0),
           .has_min_duration = in_has(body, "min_duration_seconds"),
           .min_duration_ms = in_seconds_ms(body, "min_duration_seconds"),
           .max_duration_ms = in_seconds_ms(body, "max_duration_seconds"),
           .max_files_per_worker = in_int(body, "max_files_per_worker", 0),
           .deadline_ms = in_deadline_ms(call, body),
    };
    in_location(body, &job);
    CHECK(job_type_parse(in_text(body, "type", call->arena), &job.type));
    enum err e = job_create(call, &job);
    if (e) return e;
    reply->status = 201;
    reply->resource_id = str_copy(call->arena, id_str(&job.id));
    render_job(&reply->out, NULL, &job);
    return ERR_OK;
}

/* The reply of the first time, from what of the job never changes. */
static enum err rebuild_job(struct call *call, struct str resource_id, struct reply *reply)
{
    struct job job;
    enum err   e = job_get(call, resource_id, &job);
    if (e) return e;
    job_as_created(&job);
    render_job(&reply->out, NULL, &job);
    return ERR_OK;
}

static enum err get_job(struct call *call, const struct request *request, struct reply *reply)
{
    struct job job;
    enum err   e = job_get(call, request_path(request, "job_id"), &job);
    if (e) return e;
    reply->may_wait = true;
    if (job_is_live(&job)) reply->waits_for = job.id;
    render_job(&reply->out, NULL, &job);
    return ERR_OK;
}

static enum err cancel_job(struct call *call, const struct request *request, struct reply *reply)
{
    struct job job;
    enum err   e = job_cancel(call, request_path(request, "job_id"), &job);
    if (e) return e;
    render_job(&reply->out, NULL, &job);
    return ERR_OK;
}

static enum err rate_job(struct call *call, const struct request *request, struct reply *reply)
{
    struct job job;
    enum err e = job_rate(call, request_path(request, "job_id"), in_int(request->body, "rating", 0),
                          in_text(request->body, "comment", call->arena), &job);
    if (e) return e;
    render_job(&reply->out, NULL, &job);
    return ERR_OK;
}

/* A date-time parameter as the id of a job made then; the contract has checked its form. */
static struct id id_at(const struct request *request, const char *name)
{
    struct str text = request_text(request, name);
    int64_t    time_ms;
    if (text.data == NULL || !time_parse(text, &time_ms)) return (struct id){ 0 };
    return id_floor(ID_JOB, time_ms);
}

/* The smaller of two upper bounds, empty being none. */
static struct id earlier(const struct id *a, const struct id *b)
{
    if (id_is_none(a)) return *b;
    if (id_is_none(b)) return *a;
    return str_compare(id_str(a), id_str(b)) < 0 ? *a : *b;
}

static enum err refuse_state(struct call *call)
{
    const char *names[JOB_STATE__COUNT];
    for (int i = 0; i < JOB_STATE__COUNT; i++)
        names[i] = job_state_name((enum job_state)i);
    return listing_refuse_name(call, STR("status"), names, JOB_STATE__COUNT);
}

static enum err refuse_type(struct call *call)
{
    const char *names[JOB_TYPE__COUNT];
    for (int i = 0; i < JOB_TYPE__COUNT; i++)
        names[i] = job_type_name((enum job_type)i);
    return listing_refuse_name(call, STR("type"), names, JOB_TYPE__COUNT);
}

static enum err read_filter(struct call *call, const struct request *request,
                            struct job_filter *filter)
{
    struct str status = request_text(request, "status"), type = request_text(request, "type");
    *filter = (struct job_filter){ .state = JOB_STATE__COUNT, .type = JOB_TYPE__COUNT };
    enum err e = ERR_OK;
    if (status.data && !job_state_parse(status, &filter->state)) e = refuse_state(call);
    if (type.data && !job_type_parse(type, &filter->type)) e = refuse_type(call);
    if (e) return e;
    filter->from = id_at(request, "created_after");
    filter->before = id_at(request, "created_before");
    return ERR_OK;
}

static enum err list_jobs(struct call *call, const struct request *request, struct reply *reply)
{
    struct job_filter filter;
    enum err          e = read_filter(call, request, &filter);
    if (e) return e;
    struct listing listing;
    e = listing_open(call, request, page_listing(call, "jobs"), ID_JOB, &listing);
    if (e) return e;
    filter.before = earlier(&filter.before, &listing.page.before);

    struct job        *jobs = NEW(call->arena, struct job, listing_rows(&listing));
    struct page_search search;
    e = job_list(call, &filter, listing_rows(&listing), jobs, &search);
    if (e) return e;
    int shown = listing_shown(&listing, search.count);
    reply_list_begin(reply);
    for (int i = 0; i < shown; i++)
        render_job(&reply->out, NULL, &jobs[i]);
    reply_list_end(reply, listing_search_cursor(call, &listing, &search,
                                                &jobs[listing_last(&listing, search.count)].id));
    return ERR_OK;
}

static enum err get_job_files(struct call *call, const struct request *request, struct reply *reply)
{
    struct job     job;
    struct listing listing;
    enum err       e = listing_open_of_job(call, request, "files", ID_FILE, &job, &listing);
    if (e) return e;
    struct delivered_file *files = NEW(call->arena, struct delivered_file, listing_rows(&listing));
    struct page_search     search;
    struct file_filter     filter = {
            .stars_min = request_int(request, "min_score", 0),
            .before = listing.page.before,
    };
    e = file_list(call, &job, &filter, listing_rows(&listing), files, &search);
    if (e) return e;
    int shown = listing_shown(&listing, search.count);
    reply_list_begin(reply);
    for (int i = 0; i < shown; i++)
        render_file(call, &reply->out, NULL, &files[i], LINKS_NOW);
    reply_list_end(reply, listing_search_cursor(call, &listing, &search,
                                                &files[listing_last(&listing, search.count)].id));
    return ERR_OK;
}

const struct binding jobs_bindings[] = {
    { .operation_id = "createJob", .handle = create_job, .rebuild = rebuild_job },
    { .operation_id = "listJobs", .handle = list_jobs },
    { .operation_id = "getJob", .handle = get_job },
    { .operation_id = "cancelJob", .handle = cancel_job },
    { .operation_id = "rateJob", .handle = rate_job },
    { .operation_id = "getJobFiles", .handle = get_job_files },
    { 0 },
};
