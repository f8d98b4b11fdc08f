#include "domain/webhook_event.h"

#include "domain/occurrence.h"

/* --- rows --- */

#define EVENT_COLUMNS                                                                              \
    "e.id, e.endpoint_id, e.occurrence_id, e.status, e.attempts_count, e.next_ms,"                 \
    " e.awaits_job_id, e.delivered_ms, w.deleted_ms, w.status"

#define EVENT_TABLES " FROM webhook_events e JOIN webhook_endpoints w ON w.id = e.endpoint_id"

/* All but the occurrence, of which only the id is known. */
static void event_read(struct stmt *q, struct arena *arena, struct webhook_event *event)
{
    *event = (struct webhook_event){
        .id = column_id(q, 0),
        .endpoint_id = column_id(q, 1),
        .occurrence.id = column_id(q, 2),
        .attempts_count = column_int(q, 4),
        .next_ms = column_int(q, 5),
        .occurrence.awaits_job_id = column_id(q, 6),
        .delivered_ms = column_int(q, 7),
        .is_endpoint_deleted = !column_is_null(q, 8),
    };
    event->created_ms = id_time_ms(&event->id);
    CHECK(event_state_parse(column_text(q, 3, arena), &event->state));
    if (event->state != EVENT_PENDING) return;
    if (event->is_endpoint_deleted) event->state = EVENT_FAILED;
    event->is_held = str_eq(column_text(q, 9, arena), STR("disabled"));
}

static enum err load_occurrence(struct call *call, struct webhook_event *event)
{
    struct id awaits_job_id = event->occurrence.awaits_job_id;
    enum err  e = occurrence_load(call, &event->occurrence.id, &event->occurrence);
    event->occurrence.awaits_job_id = awaits_job_id;
    return e;
}

static enum err no_event(struct call *call)
{
    return FAIL(&call->error, ERR_NOT_FOUND, "webhook_event", "no such webhook event");
}

enum err webhook_event_get(struct call *call, struct str id_text, struct webhook_event *ret_event)
{
    struct id id;
    if (!id_parse(id_text, ID_EVENT, &id)) return no_event(call);
    struct stmt *q =
        db_query(call->db, "SELECT " EVENT_COLUMNS EVENT_TABLES " WHERE e.id = $1 AND e.org_id = $2"
                           " AND e.environment = $3");
    bind_id(q, 1, &id);
    bind_id(q, 2, &call->actor.org_id);
    bind_int(q, 3, call->actor.environment);
    struct webhook_event event;
    bool                 is_there = stmt_step(q);
    if (is_there) event_read(q, call->arena, &event);
    enum err e = stmt_end(q, &call->error);
    if (e) return e;
    if (!is_there) return no_event(call);
    e = load_occurrence(call, &event);
    if (e) return e;
    *ret_event = event;
    return ERR_OK;
}

/* --- listing --- */

/* Its type is looked up beside its data, so it is asked for last, by who needs it. */
static struct stmt *query_events(struct call *call, const struct webhook_event_filter *filter)
{
    struct stmt *q = db_query(call->db, "SELECT " EVENT_COLUMNS ", o.type" EVENT_TABLES
                                        " JOIN occurrences o ON o.id = e.occurrence_id"
                                        " WHERE e.org_id = $1 AND e.environment = $2 AND e.id < $3"
                                        " ORDER BY e.id DESC LIMIT $4");
    bind_id(q, 1, &call->actor.org_id);
    bind_int(q, 2, call->actor.environment);
    bind_text(q, 3, id_is_none(&filter->before) ? STR("evt_~") : id_str(&filter->before));
    bind_int(q, 4, PAGE_SCAN_ROWS_MAX);
    return q;
}

static bool is_wanted(const struct webhook_event_filter *filter, const struct webhook_event *event,
                      struct str type)
{
    return (filter->state == EVENT_STATE__COUNT || filter->state == event->state) &&
           (filter->type == EVENT_TYPE__COUNT ||
            str_eq(type, str_of(event_type_name(filter->type)))) &&
           (id_is_none(&filter->endpoint_id) || id_eq(&filter->endpoint_id, &event->endpoint_id));
}

enum err webhook_event_list(struct call *call, const struct webhook_event_filter *filter, int count,
                            struct webhook_event *ret_rows, struct page_search *ret_search)
{
    struct stmt       *q = query_events(call, filter);
    struct page_search search = { 0 };
    while (search.count < count && stmt_step(q)) {
        struct arena_mark     mark = arena_mark(call->arena);
        struct webhook_event *event = &ret_rows[search.count];
        event_read(q, call->arena, event);
        page_search_saw(&search, &event->id);
        if (is_wanted(filter, event, column_text(q, 10, call->arena))) search.count++;
        arena_rewind(call->arena, mark);
    }
    enum err e = stmt_end(q, &call->error);
    for (int i = 0; e == ERR_OK && i < search.count; i++) {
        e = load_occurrence(call, &ret_rows[i]);
        if (e == ERR_OK && !page_search_has_room(&search, ret_rows[i].occurrence.data.len))
            page_search_end_before(&search, i, &ret_rows[i - 1].id);
    }
    if (e) return e;
    *ret_search = search;
    return ERR_OK;
}

/* --- attempts --- */

static void attempt_read(struct stmt *q, struct arena *arena, struct webhook_attempt *attempt)
{
    *attempt = (struct webhook_attempt){
        .number = column_int(q, 0),
        .started_ms = column_int(q, 1),
        .latency_ms = column_int(q, 2),
        .http_status = column_int(q, 3),
        .error = column_text(q, 4, arena),
        .reply = column_text(q, 5, arena),
    };
}

enum err webhook_attempt_list(struct call *call, const struct id *event_id, int64_t before_number,
                              int count, struct webhook_attempt *ret_rows, int *ret_count)
{
    struct stmt *q = db_query(call->db, "SELECT number, started_ms, latency_ms, http_status,"
                                        " error, reply FROM webhook_attempts WHERE event_id = $1"
                                        " AND number < $2 ORDER BY number DESC LIMIT $3");
    bind_id(q, 1, event_id);
    bind_int(q, 2, before_number ? before_number : INT64_MAX);
    bind_int(q, 3, count);
    int found = 0;
    while (found < count && stmt_step(q))
        attempt_read(q, call->arena, &ret_rows[found++]);
    *ret_count = found;
    return stmt_end(q, &call->error);
}

/* --- telling again --- */

static enum err event_set_pending(struct call *call, const struct id *id)
{
    struct stmt *q = db_query(call->db, "UPDATE webhook_events SET status = 'pending',"
                                        " attempts_count = 0, next_ms = $3, delivered_ms = NULL"
                                        " WHERE id = $1 AND org_id = $2");
    bind_id(q, 1, id);
    bind_id(q, 2, &call->actor.org_id);
    bind_int(q, 3, call->now_ms);
    call->wakes_tasks = true;
    return stmt_run(q, &call->error, NULL);
}

enum err webhook_event_replay(struct call *call, struct str id_text,
                              struct webhook_event *ret_event)
{
    struct webhook_event event;
    enum err             e = webhook_event_get(call, id_text, &event);
    if (e) return e;
    if (event.is_endpoint_deleted)
        return FAIL(&call->error, ERR_CONFLICT, "endpoint_deleted",
                    "the endpoint of this event is deleted");
    e = event_set_pending(call, &event.id);
    if (e) return e;
    return webhook_event_get(call, id_text, ret_event);
}

/* Updating while the search still reads could change what it finds: ids first. */
static enum err find_in_range(struct call *call, const struct webhook_replay *replay,
                              struct id *ret_ids, struct page_search *ret_search)
{
    struct stmt *q =
        db_query(call->db, "SELECT id, endpoint_id, status FROM webhook_events WHERE org_id = $1"
                           " AND environment = $2 AND id >= $3 AND id > $4 AND id < $5"
                           " ORDER BY id LIMIT $6");
    struct id since = id_floor(ID_EVENT, replay->since_ms);
    struct id until = id_floor(ID_EVENT, replay->until_ms);
    bind_id(q, 1, &call->actor.org_id);
    bind_int(q, 2, call->actor.environment);
    bind_id(q, 3, &since);
    bind_text(q, 4, id_is_none(&replay->after) ? STR("evt_") : id_str(&replay->after));
    bind_id(q, 5, &until);
    bind_int(q, 6, PAGE_SCAN_ROWS_MAX);
    struct page_search search = { 0 };
    while (search.count < EVENTS_REPLAYED_MAX && stmt_step(q)) {
        struct arena_mark mark = arena_mark(call->arena);
        struct id         id = column_id(q, 0), endpoint_id = column_id(q, 1);
        enum event_state  state;
        CHECK(event_state_parse(column_text(q, 2, call->arena), &state));
        arena_rewind(call->arena, mark);
        page_search_saw(&search, &id);
        if (id_eq(&endpoint_id, &replay->endpoint_id) &&
            (replay->state == EVENT_STATE__COUNT || replay->state == state))
            ret_ids[search.count++] = id;
    }
    *ret_search = search;
    return stmt_end(q, &call->error);
}

enum err webhook_event_replay_range(struct call *call, const struct webhook_replay *replay,
                                    int *ret_count, struct id *ret_last)
{
    struct id         *ids = NEW(call->arena, struct id, EVENTS_REPLAYED_MAX);
    struct page_search search;
    enum err           e = find_in_range(call, replay, ids, &search);
    for (int i = 0; e == ERR_OK && i < search.count; i++)
        e = event_set_pending(call, &ids[i]);
    if (e) return e;
    bool is_cut = search.count == EVENTS_REPLAYED_MAX || page_search_is_cut(&search);
    *ret_count = search.count;
    *ret_last = is_cut ? search.last_seen : (struct id){ 0 };
    return ERR_OK;
}
