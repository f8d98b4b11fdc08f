#include "domain/render.h"

#include "domain/event.h"

static void out_id(struct json_out *out, const char *key, const struct id *id)
{
    out_text(out, key, id_str(id));
}

/* Open a resource: what all of them begin with. */
static void out_resource(struct json_out *out, const char *key, const char *object,
                         const struct id *id)
{
    out_object(out, key);
    out_id(out, "id", id);
    out_text(out, "object", str_of(object));
}

/* 0 = null. */
static void out_int_or_null(struct json_out *out, const char *key, int64_t value)
{
    if (value)
        out_int(out, key, value);
    else
        out_null(out, key);
}

/* Milliseconds as seconds; 0 = null. */
static void out_seconds_or_null(struct json_out *out, const char *key, int64_t ms)
{
    if (ms)
        out_decimal(out, key, ms, 3);
    else
        out_null(out, key);
}

/* Names joined by spaces as an array; absent = null. */
static void out_names(struct json_out *out, const char *key, struct str names)
{
    struct str name;
    if (names.data == NULL) {
        out_null(out, key);
        return;
    }
    out_array(out, key);
    while (str_cut(&names, ' ', &name))
        out_text(out, NULL, name);
    out_close(out);
}

static void out_location(struct json_out *out, const struct job *job)
{
    if (job->radius_mm == 0) {
        out_null(out, "location");
        return;
    }
    out_object(out, "location");
    out_decimal(out, "lat", job->place.lat_nano, GEO_DECIMALS);
    out_decimal(out, "lng", job->place.lng_nano, GEO_DECIMALS);
    out_decimal(out, "radius_km", job->radius_mm, GEO_KM_DECIMALS);
    out_close(out);
}

/* What the job asks of a file, and when and where, beyond its format: the same names for buyers and
 * workers. */
static void out_demands(struct json_out *out, const struct job *job)
{
    out_text(out, "title", job->title);
    out_text(out, "worker_guidelines", job->worker_guidelines);
    out_int(out, "min_star_rating", job->min_stars);
    out_int_or_null(out, "min_width", job->min_width);
    out_int_or_null(out, "min_height", job->min_height);
    if (job->has_min_duration)
        out_decimal(out, "min_duration_seconds", job->min_duration_ms, 3);
    else
        out_null(out, "min_duration_seconds");
    out_seconds_or_null(out, "max_duration_seconds", job->max_duration_ms);
    out_time(out, "deadline", job->deadline_ms);
    out_location(out, job);
}

void render_job(struct json_out *out, const char *key, const struct job *job)
{
    bool is_due = job_state_now(job) != job->state; /* its end is not written down yet */
    out_resource(out, key, "job", &job->id);
    out_id(out, "organization_id", &job->org_id);
    out_text(out, "type", str_of(job_type_name(job->type)));
    out_text(out, "description", job->description);
    out_int(out, "files_needed", job->files_needed);
    out_int(out, "files_approved", job->files_approved);
    out_int(out, "files_remaining", job->files_needed - job->files_approved);
    out_names(out, "accepted_formats", job->formats_text);
    out_int(out, "price_per_file_cents", job->price_cents);
    out_decimal(out, "platform_fee_pct", job->fee_ppm, 6);
    out_int(out, "total_cost_cents", job->files_needed * job->price_cents);
    out_int(out, "worker_payout_per_file_cents", job->payout_cents);
    out_text(out, "status", str_of(job_state_name(job_state_now(job))));
    out_raw(out, "metadata", job->metadata);
    out_time(out, "created_at", job->created_ms);
    out_time(out, "completed_at", job->completed_ms);
    out_time(out, "cancelled_at", is_due ? job->deadline_ms : job->cancelled_ms);
    out_demands(out, job);
    out_text(out, "scoring_criteria", job->scoring_criteria);
    out_names(out, "scoring_ignore", job->scoring_ignore);
    out_int_or_null(out, "max_files_per_worker", job->max_files_per_worker);
    out_int_or_null(out, "rating", job->rating);
    out_text(out, "rating_comment", job->rating_comment);
    out_int(out, "flags_count", job->flags_count);
    out_text(out, "flag_reason", job->flag_reason);
    out_close(out);
}

static void out_link(struct call *call, struct json_out *out, const struct id *file_id)
{
    int64_t    expires_ms;
    struct str url = file_download_url(call, file_id, &expires_ms);
    out_text(out, "download_url", url);
    out_time(out, "download_url_expires_at", expires_ms);
}

void render_file(struct call *call, struct json_out *out, const char *key,
                 const struct delivered_file *file, enum links links)
{
    out_resource(out, key, "file", &file->id);
    out_id(out, "job_id", &file->job_id);
    out_id(out, "submission_id", &file->submission_id);
    out_text(out, "content_type", str_of(media_type_name(file->media_type)));
    out_int(out, "size_bytes", file->size_bytes);
    out_seconds_or_null(out, "duration_seconds", file->duration_ms);
    out_int_or_null(out, "width", file->width);
    out_int_or_null(out, "height", file->height);
    out_text(out, "original_filename", file->filename);
    if (links == LINKS_NOW)
        out_link(call, out, &file->id);
    else
        event_data_place_link(call, out, &file->id);
    out_time(out, "created_at", file->created_ms);
    out_text(out, "content_hash", file->sha256);
    out_time(out, "captured_at", file->captured_ms);
    out_int(out, "ai_star_rating", file->stars);
    if (file->annotations.data)
        out_raw(out, "annotations", file->annotations);
    else
        out_null(out, "annotations");
    out_close(out);
}

void render_submission(struct call *call, struct json_out *out, const char *key,
                       const struct submission *submission, const struct delivered_file *file,
                       enum links links)
{
    out_resource(out, key, "submission", &submission->id);
    out_id(out, "job_id", &submission->job_id);
    out_text(out, "status", str_of(submission_state_name(submission->state)));
    out_int_or_null(out, "ai_star_rating", submission->stars);
    out_text(out, "ai_reasoning", submission->reasoning);
    if (file)
        render_file(call, out, "file", file, links);
    else
        out_null(out, "file");
    out_time(out, "created_at", submission->created_ms);
    out_time(out, "scored_at", submission->scored_ms);
    out_close(out);
}

static void out_counts(struct json_out *out, const struct submission_summary *summary)
{
    static const char *const stars_names[] = { "", "1", "2", "3", "4", "5" };
    out_int(out, "total", summary->count);
    out_object(out, "by_status");
    for (int i = 0; i < SUBMISSION_STATE__COUNT; i++)
        out_int(out, submission_state_name((enum submission_state)i), summary->by_state[i]);
    out_close(out);
    out_object(out, "by_stars");
    for (int i = 1; i <= STARS_MAX; i++)
        out_int(out, stars_names[i], summary->by_stars[i]);
    out_close(out);
}

void render_submission_summary(struct json_out *out, const char *key,
                               const struct submission_summary *summary, struct str cursor)
{
    int64_t mean = submission_summary_mean(summary);
    out_object(out, key);
    out_text(out, "object", STR("submission_summary"));
    out_counts(out, summary);
    if (mean)
        out_decimal(out, "average_ai_star_rating", mean, 3);
    else
        out_null(out, "average_ai_star_rating");
    out_int(out, "approved_bytes", summary->approved_bytes);
    out_int(out, "spent_cents", summary->spent_cents);
    out_bool(out, "has_more", cursor.data != NULL);
    out_text(out, "next_cursor", cursor);
    out_close(out);
}

static void out_scopes(struct json_out *out, unsigned scopes)
{
    out_array(out, "scopes");
    for (int i = 0; i < SCOPE__COUNT; i++)
        if (scopes & BIT(i)) out_text(out, NULL, str_of(scope_name((enum scope)i)));
    out_close(out);
}

/* Open a key, with what a new and a listed one have in common. */
static void out_key(struct json_out *out, const char *key, const struct api_key *api_key)
{
    out_resource(out, key, "api_key", &api_key->id);
    out_text(out, "name", api_key->name);
    out_text(out, "prefix", api_key->prefix);
    out_scopes(out, api_key->scopes);
    out_text(out, "environment", str_of(environment_name(api_key->environment)));
    out_text(out, "status", str_of(key_state_name(api_key->state)));
    out_time(out, "created_at", api_key->created_ms);
    out_time(out, "expires_at", api_key->expires_ms);
}

void render_new_key(struct json_out *out, const char *key, const struct api_key *api_key)
{
    out_key(out, key, api_key);
    out_text(out, "secret", api_key->secret);
    out_close(out);
}

void render_key(struct json_out *out, const char *key, const struct api_key *api_key)
{
    out_key(out, key, api_key);
    out_text(out, "hint", api_key->hint);
    out_time(out, "last_used_at", api_key->last_used_ms);
    out_close(out);
}

void render_sign_up(struct json_out *out, const char *key, const struct sign_up *sign_up)
{
    out_object(out, key);
    out_id(out, "organization_id", &sign_up->org_id);
    out_text(out, "api_key", sign_up->live.secret);
    out_text(out, "test_api_key", sign_up->test.secret);
    out_int(out, "credits_cents", sign_up->credits_cents);
    out_close(out);
}

void render_balance(struct json_out *out, const char *key, const struct balance *balance)
{
    out_object(out, key);
    out_int(out, "balance_cents", balance->balance_cents);
    out_text(out, "currency", STR("usd"));
    out_time(out, "updated_at", balance->updated_ms);
    out_int(out, "held_cents", balance->held_cents);
    out_int(out, "total_cents", balance->balance_cents + balance->held_cents);
    if (balance->is_top_up_disabled) out_bool(out, "auto_top_up_disabled", true);
    out_close(out);
}

void render_transaction(struct json_out *out, const char *key, const struct transaction *row)
{
    out_resource(out, key, "credit_transaction", &row->id);
    out_text(out, "type", str_of(transfer_kind_name(row->kind)));
    out_text(out, "description", row->description);
    out_int(out, "amount_cents", row->amount_cents);
    out_int(out, "running_balance_cents", row->running_balance_cents);
    out_id(out, "job_id", &row->job_id);
    out_time(out, "expires_at", row->expires_ms);
    out_time(out, "created_at", row->created_ms);
    if (row->remaining_cents) out_int(out, "remaining_cents", row->remaining_cents);
    out_close(out);
}

static void out_optional_int(struct json_out *out, const char *key, bool has_value, int64_t value)
{
    if (has_value)
        out_int(out, key, value);
    else
        out_null(out, key);
}

void render_settings(struct json_out *out, const char *key, const struct settings *settings)
{
    out_object(out, key);
    if (settings->has_fee)
        out_decimal(out, "default_platform_fee_pct", settings->fee_ppm, 6);
    else
        out_null(out, "default_platform_fee_pct");
    out_bool(out, "auto_top_up_enabled", settings->is_top_up_enabled);
    out_optional_int(out, "auto_top_up_threshold_cents", settings->has_top_up_threshold,
                     settings->top_up_threshold_cents);
    out_optional_int(out, "auto_top_up_amount_cents", settings->has_top_up_amount,
                     settings->top_up_amount_cents);
    out_close(out);
}

static struct str none_if_empty(struct str text)
{
    return text.len ? text : STR_NONE;
}

void render_audit_event(struct json_out *out, const char *key, const struct audit_event *event)
{
    struct id id;
    bool is_id = id_parse(event->actor, ID_API_KEY, &id) || id_parse(event->actor, ID_WORKER, &id);
    out_resource(out, key, "audit_event", &event->id);
    out_text(out, "action", event->action);
    out_text(out, "object_id", none_if_empty(event->object_id));
    out_text(out, "actor_type", str_of(audit_actor_type(event)));
    out_text(out, "actor_id", is_id ? event->actor : STR_NONE);
    out_text(out, "source", event->source);
    out_text(out, "request_id", none_if_empty(event->request_id));
    out_text(out, "environment", str_of(environment_name(event->environment)));
    out_time(out, "created_at", id_time_ms(&event->id));
    out_close(out);
}

static void out_event_types(struct json_out *out, unsigned events)
{
    out_array(out, "events");
    for (int i = 0; i < EVENT_TYPE__COUNT; i++)
        if (events & BIT(i)) out_text(out, NULL, str_of(event_type_name((enum event_type)i)));
    out_close(out);
}

/* Open an endpoint, with what a new and a listed one have in common. */
static void out_webhook_endpoint(struct json_out *out, const char *key,
                                 const struct webhook_endpoint *endpoint)
{
    out_resource(out, key, "webhook_endpoint", &endpoint->id);
    out_text(out, "url", endpoint->url);
    out_text(out, "status", str_of(endpoint_state_name(endpoint->state)));
    out_text(out, "description", endpoint->description);
    out_event_types(out, endpoint->events);
    out_text(out, "disabled_reason", endpoint->disabled_reason);
    out_time(out, "created_at", endpoint->created_ms);
    out_time(out, "updated_at", endpoint->updated_ms);
}

void render_new_webhook_endpoint(struct json_out *out, const char *key,
                                 const struct webhook_endpoint *endpoint)
{
    out_webhook_endpoint(out, key, endpoint);
    out_text(out, "signing_secret", endpoint->signing_secret);
    out_close(out);
}

void render_webhook_endpoint(struct json_out *out, const char *key,
                             const struct webhook_endpoint *endpoint)
{
    out_webhook_endpoint(out, key, endpoint);
    out_close(out);
}

void render_webhook_event(struct call *call, struct json_out *out, const char *key,
                          const struct webhook_event *event)
{
    const struct occurrence *occurrence = &event->occurrence;
    bool                     is_due =
        event->state == EVENT_PENDING && !event->is_held && id_is_none(&occurrence->awaits_job_id);
    out_resource(out, key, "event", &event->id);
    out_text(out, "type", str_of(event_type_name(occurrence->type)));
    out_text(out, "api_version", STR(EVENT_API_VERSION));
    out_id(out, "occurrence_id", &occurrence->id);
    out_id(out, "endpoint_id", &event->endpoint_id);
    out_text(out, "status", str_of(event_state_name(event->state)));
    out_int(out, "attempt_count", event->attempts_count);
    out_time(out, "next_attempt_at", is_due ? event->next_ms : 0);
    out_time(out, "delivered_at", event->delivered_ms);
    out_raw(out, "data", event_data_render(call, occurrence->data));
    out_time(out, "created_at", event->created_ms);
    out_close(out);
}

void render_webhook_attempt(struct call *call, struct json_out *out, const char *key,
                            const struct id *event_id, const struct webhook_attempt *attempt)
{
    out_object(out, key);
    out_text(out, "id",
             str_format(call->arena, "%s.%06lld", event_id->text, (long long)attempt->number));
    out_text(out, "object", STR("webhook_attempt"));
    out_int(out, "number", attempt->number);
    out_time(out, "started_at", attempt->started_ms);
    out_int(out, "latency_ms", attempt->latency_ms);
    out_int_or_null(out, "http_status", attempt->http_status);
    out_text(out, "error", attempt->error);
    out_text(out, "reply", attempt->reply);
    out_close(out);
}

void render_worker_session(struct json_out *out, const char *key,
                           const struct worker_session *session)
{
    out_object(out, key);
    out_text(out, "object", STR("worker_session"));
    out_text(out, "token", session->token);
    out_time(out, "expires_at", session->expires_ms);
    out_id(out, "worker_id", &session->worker_id);
    out_close(out);
}

void render_worker_job(struct json_out *out, const char *key, const struct job *job,
                       int64_t slots_open, const char *refusal)
{
    out_resource(out, key, "worker_job", &job->id);
    out_text(out, "type", str_of(job_type_name(job->type)));
    out_text(out, "description", job->description);
    out_names(out, "accepted_formats", job->formats_text);
    out_int(out, "payout_cents", job->payout_cents);
    out_demands(out, job);
    out_int(out, "slots_open", slots_open);
    out_bool(out, "may_accept", refusal == NULL);
    out_text(out, "may_not_reason", str_of(refusal));
    out_text(out, "status", str_of(job_state_name(job_state_now(job))));
    out_time(out, "created_at", job->created_ms);
    out_close(out);
}

void render_job_flag(struct json_out *out, const char *key, const struct job_flag *flag)
{
    out_object(out, key);
    out_text(out, "object", STR("job_flag"));
    out_id(out, "job_id", &flag->job_id);
    out_text(out, "reason", flag->reason);
    out_time(out, "created_at", flag->created_ms);
    out_close(out);
}

void render_reservation(struct call *call, struct json_out *out, const char *key,
                        const struct reservation *reservation)
{
    struct str url = str_format(call->arena, "%.*s/worker/v1/uploads?reservation=%s",
                                STR_ARG(call->config->public_url), reservation->id.text);
    out_resource(out, key, "reservation", &reservation->id);
    out_id(out, "job_id", &reservation->job_id);
    out_id(out, "submission_id", &reservation->submission_id);
    out_text(out, "upload_url", url);
    out_time(out, "expires_at", reservation->expires_ms);
    out_close(out);
}

void render_worker_submission(struct json_out *out, const char *key,
                              const struct submission *submission)
{
    bool is_paid = submission->state == SUBMISSION_APPROVED;
    out_resource(out, key, "submission", &submission->id);
    out_id(out, "job_id", &submission->job_id);
    out_text(out, "status", str_of(submission_state_name(submission->state)));
    out_int(out, "attempt", submission->attempt);
    out_int_or_null(out, "ai_star_rating", submission->stars);
    out_text(out, "ai_reasoning", submission->reasoning);
    out_bool(out, "may_retry", submission_may_retry(submission));
    out_text(out, "content_type", str_of(media_type_name(submission->media_type)));
    out_int(out, "size_bytes", submission->size_bytes);
    out_int_or_null(out, "width", submission->width);
    out_int_or_null(out, "height", submission->height);
    out_seconds_or_null(out, "duration_seconds", submission->duration_ms);
    out_text(out, "original_filename", submission->filename);
    out_optional_int(out, "payout_cents", is_paid, submission->paid_cents);
    out_time(out, "created_at", submission->created_ms);
    out_time(out, "scored_at", submission->scored_ms);
    out_close(out);
}

void render_payout(struct json_out *out, const char *key, const struct payout *payout)
{
    out_resource(out, key, "payout", &payout->id);
    out_id(out, "submission_id", &payout->submission_id);
    out_id(out, "job_id", &payout->job_id);
    out_int(out, "amount_cents", payout->amount_cents);
    out_time(out, "created_at", payout->created_ms);
    out_close(out);
}
