#include "domain/audit_event.h"

/* --- writing --- */

static struct str actor_text(const struct actor *actor)
{
    switch (actor->kind) {
    case ACTOR_API_KEY: return id_str(&actor->key_id);
    case ACTOR_WORKER: return id_str(&actor->worker_id);
    case ACTOR_OPERATOR: return STR("operator");
    case ACTOR_RUNNER: return STR("system");
    case ACTOR_NOBODY: return STR("visitor");
    }
    return STR("system");
}

/* Ids rise in the order of commits, whichever process writes: what is sealed stays behind. */
static enum err next_id(struct call *call, struct id *ret_id)
{
    /* tenant: the newest of all */
    struct stmt *q = db_query(call->db, "SELECT id FROM audit_events ORDER BY id DESC LIMIT 1");
    struct id    newest = { 0 };
    if (stmt_step(q)) newest = column_id(q, 0);
    enum err e = stmt_end(q, &call->error);
    if (e == ERR_OK) *ret_id = id_new_above(ID_AUDIT_EVENT, call->now_ms, &newest);
    return e;
}

static struct str text_or_empty(struct str text)
{
    return text.data ? text : STR("");
}

static enum err insert(struct call *call, const struct audit_event *event)
{
    struct id id;
    enum err  e = next_id(call, &id);
    if (e) return e;
    struct stmt *q = db_query(call->db, "INSERT INTO audit_events (id, org_id, environment, action,"
                                        " object_id, actor, source, request_id)"
                                        " VALUES ($1, $2, $3, $4, $5, $6, $7, $8)");
    bind_id(q, 1, &id);
    bind_text(q, 2, text_or_empty(id_str(&event->org_id)));
    bind_int(q, 3, event->environment);
    bind_text(q, 4, event->action);
    bind_text(q, 5,
              str_sanitise(call->arena, text_or_empty(event->object_id), AUDIT_OBJECT_BYTES_MAX));
    bind_text(q, 6, text_or_empty(event->actor));
    bind_text(q, 7, str_sanitise(call->arena, event->source, AUDIT_SOURCE_BYTES_MAX));
    bind_text(q, 8, text_or_empty(event->request_id));
    return stmt_run(q, &call->error, NULL);
}

enum err audit_note(struct call *call, const struct id *org_id, enum environment environment,
                    struct str action, struct str object_id)
{
    struct str         address = call->origin.address;
    struct audit_event event = {
        .org_id = org_id ? *org_id : (struct id){ 0 },
        .environment = environment,
        .action = action,
        .object_id = object_id,
        .actor = actor_text(&call->actor),
        .source = address.data ? address : STR("server"),
        .request_id = id_str(&call->origin.request_id),
    };
    return insert(call, &event);
}

enum err audit_note_system(struct call *call, const struct id *org_id, enum environment environment,
                           struct str action, struct str object_id)
{
    struct audit_event event = {
        .org_id = *org_id,
        .environment = environment,
        .action = action,
        .object_id = object_id,
        .actor = STR("system"),
        .source = STR("server"),
    };
    return insert(call, &event);
}

/* --- reading --- */

const char *audit_actor_type(const struct audit_event *event)
{
    struct id id;
    if (id_parse(event->actor, ID_API_KEY, &id)) return "api_key";
    if (id_parse(event->actor, ID_WORKER, &id)) return "worker";
    return event->actor.data;
}

#define EVENT_COLUMNS                                                                              \
    "e.id, e.org_id, e.environment, e.action, e.object_id, e.actor, e.source, e.request_id"

static void event_read(struct stmt *q, struct arena *arena, struct audit_event *event)
{
    *event = (struct audit_event){
        .id = column_id(q, 0),
        .org_id = column_id(q, 1),
        .environment = (enum environment)column_int(q, 2),
        .action = column_text(q, 3, arena),
        .object_id = column_text(q, 4, arena),
        .actor = column_text(q, 5, arena),
        .source = column_text(q, 6, arena),
        .request_id = column_text(q, 7, arena),
    };
}

struct listing {
    const struct audit_filter *filter;
    struct id                  sealed_to; /* the last row that is sealed */
    int                        count;
    struct audit_event        *rows;
    struct page_search         search;
};

static enum err find_sealed_to(struct call *call, struct id *ret_id)
{
    struct stmt *q =
        db_query(call->db, "SELECT event_id FROM audit_heads ORDER BY number DESC LIMIT 1");
    *ret_id = stmt_step(q) ? column_id(q, 0) : (struct id){ 0 };
    return stmt_end(q, &call->error);
}

static struct str lower_bound(const struct listing *listing)
{
    return text_or_empty(id_str(&listing->filter->from));
}

static struct str upper_bound(const struct listing *listing)
{
    const struct id *before = &listing->filter->before;
    return id_is_none(before) ? STR("aud_~") : id_str(before);
}

static bool is_wanted(const struct call *call, const struct listing *listing,
                      const struct audit_event *event)
{
    struct str action = listing->filter->action;
    return id_eq(&event->org_id, &call->actor.org_id) &&
           event->environment == call->actor.environment &&
           (action.data == NULL || str_eq(action, event->action));
}

static enum err take_rows(struct call *call, struct listing *listing, struct stmt *q)
{
    struct page_search *search = &listing->search;
    while (search->count < listing->count && !page_search_is_cut(search) && stmt_step(q)) {
        struct arena_mark   mark = arena_mark(call->arena);
        struct audit_event *event = &listing->rows[search->count];
        event_read(q, call->arena, event);
        page_search_saw(search, &event->id);
        if (is_wanted(call, listing, event))
            search->count++;
        else
            arena_rewind(call->arena, mark);
    }
    return stmt_end(q, &call->error);
}

/* What the sealer has not met yet is in no index by organisation, but there is little of it. */
static enum err take_unsealed(struct call *call, struct listing *listing)
{
    /* tenant: is_wanted takes only the actor's */
    struct stmt *q = db_query(call->db, "SELECT " EVENT_COLUMNS " FROM audit_events e"
                                        " WHERE e.id > $1 AND e.id >= $2 AND e.id < $3"
                                        " ORDER BY e.id DESC");
    bind_text(q, 1, text_or_empty(id_str(&listing->sealed_to)));
    bind_text(q, 2, lower_bound(listing));
    bind_text(q, 3, upper_bound(listing));
    return take_rows(call, listing, q);
}

static enum err take_sealed(struct call *call, struct listing *listing)
{
    struct stmt *q = db_query(call->db, "SELECT " EVENT_COLUMNS " FROM audit_seals s"
                                        " JOIN audit_events e ON e.id = s.event_id"
                                        " WHERE s.org_id = $1 AND s.environment = $2"
                                        " AND s.event_id >= $3 AND s.event_id < $4"
                                        " ORDER BY s.event_id DESC");
    bind_id(q, 1, &call->actor.org_id);
    bind_int(q, 2, call->actor.environment);
    bind_text(q, 3, lower_bound(listing));
    bind_text(q, 4, upper_bound(listing));
    return take_rows(call, listing, q);
}

enum err audit_event_list(struct call *call, const struct audit_filter *filter, int count,
                          struct audit_event *ret_rows, struct page_search *ret_search)
{
    struct listing listing = { .filter = filter, .count = count, .rows = ret_rows };
    enum err       e = find_sealed_to(call, &listing.sealed_to);
    if (e) return e;
    e = take_unsealed(call, &listing);
    if (e) return e;
    bool is_full = listing.search.count == count || page_search_is_cut(&listing.search);
    if (!is_full) e = take_sealed(call, &listing);
    if (e == ERR_OK) *ret_search = listing.search;
    return e;
}
