#include "domain/webhook_delivery.h"

#include "base/num.h"
#include "base/time_text.h"
#include "base/world.h"
#include "domain/event.h"
#include "domain/webhook_endpoint.h"

enum { GONE = 410, REPLY_BYTES_MAX = WEBHOOK_REPLY_CHARS_MAX * 4, BODY_BYTES_EXTRA = 64 << 10 };

/* --- what is due --- */

enum err webhook_due_endpoints(struct call *call, const struct id *after, int count,
                               struct webhook_due *ret_rows, int *ret_count)
{
    /* From one endpoint to the next in the index, however many events each has. */
    /* tenant: the runner serves every organisation */
    struct stmt *q = db_query(
        call->db,
        "WITH RECURSIVE waiting (id) AS (SELECT min(endpoint_id) FROM webhook_events"
        " WHERE status = 'pending' AND awaits_job_id IS NULL AND endpoint_id > $1 UNION ALL"
        " SELECT (SELECT min(endpoint_id) FROM webhook_events WHERE status = 'pending'"
        " AND awaits_job_id IS NULL AND endpoint_id > waiting.id) FROM waiting"
        " WHERE waiting.id IS NOT NULL LIMIT $2)"
        " SELECT p.id, (SELECT min(next_ms) FROM webhook_events WHERE status = 'pending'"
        " AND awaits_job_id IS NULL AND endpoint_id = p.id), p.status, p.deleted_ms,"
        " (SELECT min(next_ms) FROM webhook_events WHERE status = 'pending'"
        " AND awaits_job_id IS NULL AND endpoint_id = p.id AND next_ms > $3), p.failures_count"
        " FROM waiting JOIN webhook_endpoints p ON p.id = waiting.id ORDER BY p.id");
    bind_text(q, 1, id_is_none(after) ? STR("") : id_str(after));
    bind_int(q, 2, count);
    bind_int(q, 3, call->now_ms);
    int found = 0;
    while (found < count && stmt_step(q)) {
        ret_rows[found] = (struct webhook_due){
            .endpoint_id = column_id(q, 0),
            .due_ms = column_int(q, 1),
            .is_deleted = !column_is_null(q, 3),
            .later_ms = column_int(q, 4),
            .is_failing = column_int(q, 5) > 0,
        };
        bool is_active = str_eq(column_text(q, 2, call->arena), STR("active"));
        ret_rows[found].is_open = is_active && !ret_rows[found].is_deleted;
        found++;
    }
    *ret_count = found;
    return stmt_end(q, &call->error);
}

enum err webhook_has_due(struct call *call, bool *ret_has)
{
    /* tenant: the runner serves every organisation */
    struct stmt *q = db_query(
        call->db, "WITH RECURSIVE waiting (id) AS (SELECT min(endpoint_id) FROM webhook_events"
                  " WHERE status = 'pending' AND awaits_job_id IS NULL UNION ALL"
                  " SELECT (SELECT min(endpoint_id) FROM webhook_events WHERE status = 'pending'"
                  " AND awaits_job_id IS NULL AND endpoint_id > waiting.id) FROM waiting"
                  " WHERE waiting.id IS NOT NULL)"
                  " SELECT 1 FROM waiting JOIN webhook_endpoints p ON p.id = waiting.id"
                  " WHERE p.deleted_ms IS NOT NULL OR (p.status = 'active' AND EXISTS"
                  " (SELECT 1 FROM webhook_events WHERE endpoint_id = p.id AND status = 'pending'"
                  " AND awaits_job_id IS NULL AND next_ms <= $1)) LIMIT 1");
    bind_int(q, 1, call->now_ms);
    bool     has = stmt_step(q);
    enum err e = stmt_end(q, &call->error);
    if (e == ERR_OK) *ret_has = has;
    return e;
}

enum err webhook_due_events(struct call *call, const struct id *endpoint_id, int count,
                            struct webhook_due_event *ret_rows, int *ret_count)
{
    /* tenant: keyed by the endpoint */
    struct stmt *q =
        db_query(call->db, "SELECT id, next_ms FROM webhook_events WHERE endpoint_id = $1"
                           " AND status = 'pending' AND awaits_job_id IS NULL AND next_ms <= $2"
                           " ORDER BY next_ms LIMIT $3");
    bind_id(q, 1, endpoint_id);
    bind_int(q, 2, call->now_ms);
    bind_int(q, 3, count);
    int found = 0;
    while (found < count && stmt_step(q))
        ret_rows[found++] = (struct webhook_due_event){ column_id(q, 0), column_int(q, 1) };
    *ret_count = found;
    return stmt_end(q, &call->error);
}

enum err webhook_end_deleted(struct call *call, const struct id *endpoint_id, int count)
{
    /* tenant: keyed by the endpoint */
    struct stmt *q =
        db_query(call->db, "UPDATE webhook_events SET status = 'failed' WHERE id IN"
                           " (SELECT id FROM webhook_events WHERE endpoint_id = $1"
                           " AND status = 'pending' AND awaits_job_id IS NULL LIMIT $2)");
    bind_id(q, 1, endpoint_id);
    bind_int(q, 2, count);
    return stmt_run(q, &call->error, NULL);
}

/* --- before an attempt --- */

static enum err read_event(struct call *call, const struct webhook_due_event *due,
                           struct webhook_delivery *delivery, struct occurrence *occurrence)
{
    /* tenant: keyed by an event that the runner read */
    struct stmt *q = db_query(
        call->db, "SELECT e.attempts_count, (SELECT max(number) FROM webhook_attempts"
                  " WHERE event_id = e.id), o.type, o.data, o.created_ms FROM webhook_events e"
                  " JOIN occurrences o ON o.id = e.occurrence_id WHERE e.id = $1"
                  " AND e.status = 'pending' AND e.awaits_job_id IS NULL AND e.next_ms = $2");
    bind_id(q, 1, &due->event_id);
    bind_int(q, 2, due->due_ms);
    bool is_due = stmt_step(q);
    if (is_due) {
        delivery->attempts_count = column_int(q, 0);
        delivery->number = 1 + column_int(q, 1);
        *occurrence = (struct occurrence){ .data = column_text(q, 3, call->arena),
                                           .created_ms = column_int(q, 4) };
        CHECK(event_type_parse(column_text(q, 2, call->arena), &occurrence->type));
    }
    enum err e = stmt_end(q, &call->error);
    if (e || is_due) return e;
    return FAIL(&call->error, ERR_NOT_FOUND, "webhook_event", "the event is not due");
}

/* False when the secrets do not open with the server key. */
static bool sign(struct call *call, const struct webhook_endpoint *endpoint,
                 struct webhook_delivery *delivery)
{
    struct webhook_signing signing = {
        .event_id = id_str(&delivery->event_id),
        .time_s = call->now_ms / MS_PER_SECOND,
        .body = delivery->body,
    };
    struct str current, old;
    if (webhook_endpoint_open_secrets(call, endpoint, &current, &old)) {
        error_clear(&call->error);
        return false;
    }
    signing.secrets[signing.secrets_count++] = current;
    if (old.data) signing.secrets[signing.secrets_count++] = old;
    return webhook_sign(&signing, call->arena, delivery->headers);
}

enum err webhook_delivery_prepare(struct call *call, const struct webhook_endpoint *endpoint,
                                  const struct webhook_due_event *due,
                                  struct webhook_delivery        *ret_delivery)
{
    struct webhook_delivery delivery = {
        .event_id = due->event_id,
        .endpoint_id = endpoint->id,
        .due_ms = due->due_ms,
    };
    struct occurrence occurrence;
    struct buf        body;
    struct json_out   out;
    enum err          e = read_event(call, due, &delivery, &occurrence);
    if (e) return e;
    buf_init(&body, call->arena, EVENT_DATA_BYTES_MAX + BODY_BYTES_EXTRA);
    json_out_init(&out, &body);
    event_render_body(call, &out, NULL, &delivery.event_id, &occurrence);
    CHECK(!body.failed);
    delivery.body = buf_str(&body);
    delivery.is_signed = sign(call, endpoint, &delivery);
    *ret_delivery = delivery;
    return ERR_OK;
}

/* --- after it --- */

bool webhook_result_is_success(const struct webhook_result *result)
{
    return result->http_status >= 200 && result->http_status < 300;
}

/* The first characters, with nothing in them that a reader's terminal or page could mind. */
static struct str reply_text(struct call *call, struct str reply)
{
    if (reply.len == 0) return STR_NONE;
    struct str text = str_sanitise(call->arena, reply, REPLY_BYTES_MAX);
    size_t     len = 0;
    for (int i = 0; i < WEBHOOK_REPLY_CHARS_MAX && len < text.len; i++)
        len += str_utf8_sequence(str_skip(text, len));
    return str_take(text, len);
}

static enum err insert_attempt(struct call *call, const struct webhook_result *result,
                               bool *ret_is_new)
{
    /* tenant: keyed by an event that was attempted */
    struct stmt *q = db_query(
        call->db, "INSERT INTO webhook_attempts (event_id, number, started_ms, latency_ms,"
                  " http_status, error, reply) SELECT id, $2, $3, $4, $5, $6, $7"
                  " FROM webhook_events WHERE id = $1 ON CONFLICT (event_id, number) DO NOTHING");
    bind_id(q, 1, &result->event_id);
    bind_int(q, 2, result->number);
    bind_int(q, 3, result->started_ms);
    bind_int(q, 4, result->latency_ms);
    bind_nonzero(q, 5, result->http_status);
    bind_text(q, 6, str_of(result->error));
    bind_text(q, 7, reply_text(call, result->reply));
    int64_t  changes = 0;
    enum err e = stmt_run(q, &call->error, &changes);
    *ret_is_new = changes > 0;
    return e;
}

static enum err update_event(struct call *call, const struct webhook_result *result,
                             enum event_state state, int64_t next_ms)
{
    /* tenant: keyed by an event that was attempted */
    struct stmt *q = db_query(
        call->db, "UPDATE webhook_events SET status = $3, attempts_count = $4, next_ms = $5,"
                  " delivered_ms = $6 WHERE id = $1 AND status = 'pending' AND next_ms = $2");
    bind_id(q, 1, &result->event_id);
    bind_int(q, 2, result->due_ms);
    bind_text(q, 3, str_of(event_state_name(state)));
    bind_int(q, 4, result->attempts_count + 1);
    bind_int(q, 5, next_ms);
    bind_nonzero(q, 6, state == EVENT_DELIVERED ? call->now_ms : 0);
    return stmt_run(q, &call->error, NULL);
}

/* The later of the schedule's time and what the receiver asks for. */
static bool next_attempt_ms(struct call *call, const struct webhook_result *result,
                            int64_t *ret_next_ms)
{
    uint32_t chance;
    int64_t  wait_ms;
    world_random(&chance, sizeof(chance));
    if (!retry_schedule_wait(&call->config->webhook_schedule, result->attempts_count + 1, chance,
                             &wait_ms))
        return false;
    int64_t asked_s = num_clamp(result->retry_after_s, 0, WEBHOOK_RETRY_AFTER_S_MAX);
    *ret_next_ms = call->now_ms + num_max(wait_ms, asked_s * MS_PER_SECOND);
    return true;
}

static enum err decide(struct call *call, const struct webhook_result *result)
{
    int64_t next_ms = result->due_ms;
    if (webhook_result_is_success(result))
        return update_event(call, result, EVENT_DELIVERED, next_ms);
    bool has_next = next_attempt_ms(call, result, &next_ms);
    return update_event(call, result, has_next ? EVENT_PENDING : EVENT_FAILED, next_ms);
}

static enum err disable_gone(struct call *call, const struct id *endpoint_id)
{
    struct webhook_endpoint endpoint;
    enum err                e = webhook_endpoint_get_any(call, endpoint_id, &endpoint);
    if (e) return e;
    return webhook_endpoint_disable(call, &endpoint, ENDPOINT_DISABLED_AS_GONE);
}

/* *noted is the last endpoint whose success was noted: one after the other is noted once. */
static enum err note(struct call *call, const struct webhook_result *result,
                     const struct id **noted)
{
    bool is_success = webhook_result_is_success(result);
    if (is_success && *noted && id_eq(*noted, &result->endpoint_id)) return ERR_OK;
    *noted = is_success ? &result->endpoint_id : NULL;
    if (result->http_status == GONE) return disable_gone(call, &result->endpoint_id);
    return webhook_endpoint_note(call, &result->endpoint_id, is_success);
}

enum err webhook_results_record(struct call *call, const struct webhook_result *results, int count)
{
    const struct id *noted = NULL;
    for (int i = 0; i < count; i++) {
        bool     is_new;
        enum err e = insert_attempt(call, &results[i], &is_new);
        if (e == ERR_OK && is_new) e = decide(call, &results[i]);
        if (e == ERR_OK && is_new) e = note(call, &results[i], &noted);
        if (e) return e;
    }
    return ERR_OK;
}
