#include "domain/event.h"

#include "domain/delivered_file.h"

#include <assert.h>
#include <string.h>

/* No JSON text holds this byte: control characters are escaped. */
enum { LINK_PLACE = 0x1e };

static const char *const type_names[] = {
    [EVENT_SUBMISSION_SCORED] = "submission.scored",
    [EVENT_SUBMISSION_APPROVED] = "submission.approved",
    [EVENT_SUBMISSION_REJECTED] = "submission.rejected",
    [EVENT_JOB_COMPLETED] = "job.completed",
    [EVENT_JOB_CANCELLED] = "job.cancelled",
    [EVENT_JOB_FLAGGED] = "job.flagged",
    [EVENT_CREDITS_PURCHASED] = "credits.purchased",
    [EVENT_CREDITS_LOW_BALANCE] = "credits.low_balance",
    [EVENT_CREDITS_AUTO_TOPPED_UP] = "credits.auto_topped_up",
    [EVENT_CREDITS_EXPIRED] = "credits.expired",
    [EVENT_CREDITS_EXPIRING_SOON] = "credits.expiring_soon",
    [EVENT_ENDPOINT_DISABLED] = "endpoint.disabled",
};
static_assert(COUNT_OF(type_names) == EVENT_TYPE__COUNT, "every type has a name");

static const char *const state_names[] = {
    [EVENT_PENDING] = "pending",
    [EVENT_DELIVERED] = "delivered",
    [EVENT_FAILED] = "failed",
};
static_assert(COUNT_OF(state_names) == EVENT_STATE__COUNT, "every state has a name");

const char *event_type_name(enum event_type type)
{
    CHECK((unsigned)type < EVENT_TYPE__COUNT);
    return type_names[type];
}

bool event_type_parse(struct str name, enum event_type *ret_type)
{
    int index = str_index(name, type_names, EVENT_TYPE__COUNT);
    if (index >= 0) *ret_type = (enum event_type)index;
    return index >= 0;
}

const char *event_state_name(enum event_state state)
{
    CHECK((unsigned)state < EVENT_STATE__COUNT);
    return state_names[state];
}

bool event_state_parse(struct str name, enum event_state *ret_state)
{
    int index = str_index(name, state_names, EVENT_STATE__COUNT);
    if (index >= 0) *ret_state = (enum event_state)index;
    return index >= 0;
}

/* --- emitting --- */

static enum err occurrence_insert(struct call *call, const struct occurrence *occurrence)
{
    struct stmt *q = db_query(call->db, "INSERT INTO occurrences (id, org_id, environment, type,"
                                        " subject_id, data, created_ms)"
                                        " VALUES ($1, $2, $3, $4, $5, $6, $7)");
    bind_id(q, 1, &occurrence->id);
    bind_id(q, 2, &occurrence->org_id);
    bind_int(q, 3, occurrence->environment);
    bind_text(q, 4, str_of(event_type_name(occurrence->type)));
    bind_id(q, 5, &occurrence->subject_id);
    bind_text(q, 6, occurrence->data);
    bind_int(q, 7, occurrence->created_ms);
    return stmt_run(q, &call->error, NULL);
}

/* A disabled endpoint's events are kept for when it is enabled again. Nobody is told of himself. */
static enum err find_listeners(struct call *call, const struct occurrence *occurrence,
                               struct id *ret_ids, int *ret_count)
{
    struct stmt *q =
        db_query(call->db, "SELECT id FROM webhook_endpoints WHERE org_id = $1 AND environment = $2"
                           " AND deleted_ms IS NULL AND events & $3 <> 0 AND id <> $4"
                           " ORDER BY id LIMIT $5");
    bind_id(q, 1, &occurrence->org_id);
    bind_int(q, 2, occurrence->environment);
    bind_int(q, 3, BIT(occurrence->type));
    bind_id(q, 4, &occurrence->subject_id);
    bind_int(q, 5, ENDPOINTS_PER_ORGANISATION_MAX);
    int count = 0;
    while (count < ENDPOINTS_PER_ORGANISATION_MAX && stmt_step(q))
        ret_ids[count++] = column_id(q, 0);
    *ret_count = count;
    return stmt_end(q, &call->error);
}

static enum err event_insert(struct call *call, const struct occurrence *occurrence,
                             const struct id *endpoint_id)
{
    struct id    id = id_new(ID_EVENT, call->now_ms);
    struct stmt *q = db_query(call->db, "INSERT INTO webhook_events (id, org_id, environment,"
                                        " endpoint_id, occurrence_id, status, attempts_count,"
                                        " next_ms, awaits_job_id, created_ms)"
                                        " VALUES ($1, $2, $3, $4, $5, 'pending', 0, $6, $7, $6)");
    bind_id(q, 1, &id);
    bind_id(q, 2, &occurrence->org_id);
    bind_int(q, 3, occurrence->environment);
    bind_id(q, 4, endpoint_id);
    bind_id(q, 5, &occurrence->id);
    bind_int(q, 6, call->now_ms);
    bind_id(q, 7, &occurrence->awaits_job_id);
    call->wakes_tasks = true;
    return stmt_run(q, &call->error, NULL);
}

enum err event_emit(struct call *call, const struct occurrence *asked)
{
    CHECK(asked->data.data != NULL);
    struct occurrence occurrence = *asked;
    occurrence.id = id_new(ID_OCCURRENCE, call->now_ms);
    occurrence.created_ms = id_time_ms(&occurrence.id);
    enum err e = occurrence_insert(call, &occurrence);
    if (e) return e;
    struct id endpoint_ids[ENDPOINTS_PER_ORGANISATION_MAX];
    int       count;
    e = find_listeners(call, &occurrence, endpoint_ids, &count);
    for (int i = 0; e == ERR_OK && i < count; i++)
        e = event_insert(call, &occurrence, &endpoint_ids[i]);
    return e;
}

enum err event_job_delivered(struct call *call, const struct id *job_id)
{
    /* tenant: keyed by the job whose file was delivered */
    struct stmt *q =
        db_query(call->db, "UPDATE webhook_events SET awaits_job_id = NULL, next_ms = $2"
                           " WHERE awaits_job_id = $1 AND NOT EXISTS"
                           " (SELECT 1 FROM files WHERE job_id = $1 AND delivered_ms IS NULL)");
    bind_id(q, 1, job_id);
    bind_int(q, 2, call->now_ms);
    int64_t  changes = 0;
    enum err e = stmt_run(q, &call->error, &changes);
    if (changes > 0) call->wakes_tasks = true;
    return e;
}

/* --- data --- */

void event_data_begin(struct call *call, struct event_data *data)
{
    buf_init(&data->buf, call->arena, EVENT_DATA_BYTES_MAX);
    json_out_init(&data->out, &data->buf);
}

struct str event_data_end(struct event_data *data)
{
    CHECK(!data->buf.failed); /* resources are bounded by what made them */
    return buf_str(&data->buf);
}

void event_data_place_link(struct call *call, struct json_out *out, const struct id *file_id)
{
    out_raw(out, "download_url",
            str_format(call->arena, "%c%s%c", LINK_PLACE, file_id->text, LINK_PLACE));
}

static void add_link(struct call *call, struct buf *out, struct str file_id)
{
    struct id       id = id_from_store(file_id);
    int64_t         expires_ms;
    struct json_out json;
    json_out_init(&json, out);
    out_text(&json, NULL, file_download_url(call, &id, &expires_ms));
    buf_add(out, STR(",\"download_url_expires_at\":"));
    json_out_init(&json, out);
    out_time(&json, NULL, expires_ms);
}

struct str event_data_render(struct call *call, struct str data)
{
    if (memchr(data.data, LINK_PLACE, data.len) == NULL) return data;
    struct buf out;
    struct str text, file_id;
    buf_init(&out, call->arena, EVENT_DATA_BYTES_MAX + DOWNLOAD_URL_BYTES_MAX);
    while (str_cut(&data, LINK_PLACE, &text)) {
        buf_add(&out, text);
        if (str_cut(&data, LINK_PLACE, &file_id)) add_link(call, &out, file_id);
    }
    CHECK(!out.failed);
    return buf_str(&out);
}

void event_render_body(struct call *call, struct json_out *out, const char *key,
                       const struct id *id, const struct occurrence *occurrence)
{
    out_object(out, key);
    out_text(out, "id", id_str(id));
    out_text(out, "object", STR("event"));
    out_text(out, "type", str_of(event_type_name(occurrence->type)));
    out_text(out, "api_version", STR(EVENT_API_VERSION));
    out_time(out, "created_at", occurrence->created_ms);
    out_raw(out, "data", event_data_render(call, occurrence->data));
    out_close(out);
}
