#include "domain/event_retention.h"

#include "base/num.h"
#include "domain/event.h"

/* Where the pass stands, as a time; when the next one is due. */
#define STATE_PASS "events_pass_ms"
#define STATE_DUE  "events_pass_due_ms"

static enum err state_get(struct call *call, const char *name, int64_t *ret_value)
{
    struct stmt *q = db_query(call->db, "SELECT value FROM server_state WHERE name = $1");
    bind_text(q, 1, str_of(name));
    *ret_value = stmt_step(q) ? column_int(q, 0) : 0;
    return stmt_end(q, &call->error);
}

static enum err state_set(struct call *call, const char *name, int64_t value)
{
    struct stmt *q = db_query(call->db, "INSERT INTO server_state (name, value) VALUES ($1, $2)"
                                        " ON CONFLICT (name) DO UPDATE SET value = excluded.value");
    bind_text(q, 1, str_of(name));
    bind_int(q, 2, value);
    return stmt_run(q, &call->error, NULL);
}

static enum err has_pending(struct call *call, const struct id *occurrence_id, bool *ret_has)
{
    /* tenant: what is kept is the server's business */
    struct stmt *q = db_query(call->db, "SELECT 1 FROM webhook_events WHERE occurrence_id = $1"
                                        " AND status = 'pending' LIMIT 1");
    bind_id(q, 1, occurrence_id);
    *ret_has = stmt_step(q);
    return stmt_end(q, &call->error);
}

static enum err delete_attempts(struct call *call, const struct id *occurrence_id)
{
    /* tenant: what is kept is the server's business */
    struct stmt *q =
        db_query(call->db, "DELETE FROM webhook_attempts WHERE event_id IN"
                           " (SELECT id FROM webhook_events WHERE occurrence_id = $1)");
    bind_id(q, 1, occurrence_id);
    return stmt_run(q, &call->error, NULL);
}

static enum err delete_events(struct call *call, const struct id *occurrence_id)
{
    /* tenant: what is kept is the server's business */
    struct stmt *q = db_query(call->db, "DELETE FROM webhook_events WHERE occurrence_id = $1");
    bind_id(q, 1, occurrence_id);
    return stmt_run(q, &call->error, NULL);
}

static enum err delete_occurrence(struct call *call, const struct id *id)
{
    /* tenant: what is kept is the server's business */
    struct stmt *q = db_query(call->db, "DELETE FROM occurrences WHERE id = $1");
    bind_id(q, 1, id);
    return stmt_run(q, &call->error, NULL);
}

/* A subject made after this one has all its occurrences still: they are younger than it. */
static enum err raise_events_since(struct call *call, int64_t dropped_ms)
{
    struct stmt *q = db_query(call->db, "UPDATE server_state SET value = $1"
                                        " WHERE name = 'events_since_ms' AND value < $1");
    bind_int(q, 1, dropped_ms + 1);
    return stmt_run(q, &call->error, NULL);
}

static enum err drop(struct call *call, const struct id *occurrence_id, int64_t *dropped_ms)
{
    bool     is_pending;
    enum err e = has_pending(call, occurrence_id, &is_pending);
    if (e || is_pending) return e;
    e = delete_attempts(call, occurrence_id);
    if (e) return e;
    e = delete_events(call, occurrence_id);
    if (e) return e;
    *dropped_ms = num_max(*dropped_ms, id_time_ms(occurrence_id));
    return delete_occurrence(call, occurrence_id);
}

static enum err find_old(struct call *call, int64_t from_ms, int count, struct id *ret_ids,
                         int *ret_count)
{
    struct id from = id_floor(ID_OCCURRENCE, from_ms);
    struct id until = id_floor(ID_OCCURRENCE, call->now_ms - call->config->event_retention_ms);
    /* tenant: what is kept is the server's business */
    struct stmt *q = db_query(call->db, "SELECT id FROM occurrences WHERE id >= $1 AND id < $2"
                                        " ORDER BY id LIMIT $3");
    bind_id(q, 1, &from);
    bind_id(q, 2, &until);
    bind_int(q, 3, count);
    int found = 0;
    while (found < count && stmt_step(q))
        ret_ids[found++] = column_id(q, 0);
    *ret_count = found;
    return stmt_end(q, &call->error);
}

/* A millisecond with more than a piece of them in it is left for the next pass. */
static enum err end_piece(struct call *call, int64_t from_ms, const struct id *last)
{
    if (last) return state_set(call, STATE_PASS, num_max(id_time_ms(last), from_ms + 1));
    enum err e = state_set(call, STATE_PASS, 0);
    if (e) return e;
    return state_set(call, STATE_DUE, call->now_ms + EVENT_RETENTION_EVERY_MS);
}

static enum err sweep_piece(struct call *call, int count, int *ret_done)
{
    struct id *ids = NEW(call->arena, struct id, count);
    int64_t    from_ms, dropped_ms = 0;
    int        found;
    enum err   e = state_get(call, STATE_PASS, &from_ms);
    if (e) return e;
    e = find_old(call, from_ms, count, ids, &found);
    for (int i = 0; e == ERR_OK && i < found; i++)
        e = drop(call, &ids[i], &dropped_ms);
    if (e) return e;
    e = end_piece(call, from_ms, found == count ? &ids[count - 1] : NULL);
    if (e) return e;
    *ret_done = found;
    return dropped_ms ? raise_events_since(call, dropped_ms) : ERR_OK;
}

enum err event_retention_sweep(struct call *call, int count, int *ret_done)
{
    int64_t due_ms;
    *ret_done = 0;
    if (call->config->event_retention_ms == 0) return ERR_OK;
    enum err e = state_get(call, STATE_DUE, &due_ms);
    if (e || call->now_ms < due_ms) return e;
    return sweep_piece(call, count, ret_done);
}
