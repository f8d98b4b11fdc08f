#include "domain/occurrence.h"

#define OCCURRENCE_COLUMNS "id, org_id, environment, type, subject_id, data"

static void occurrence_read(struct stmt *q, struct arena *arena, struct occurrence *occurrence)
{
    *occurrence = (struct occurrence){
        .id = column_id(q, 0),
        .org_id = column_id(q, 1),
        .environment = (enum environment)column_int(q, 2),
        .subject_id = column_id(q, 4),
        .data = column_text(q, 5, arena),
    };
    occurrence->created_ms = id_time_ms(&occurrence->id);
    CHECK(event_type_parse(column_text(q, 3, arena), &occurrence->type));
}

static enum err no_occurrence(struct call *call)
{
    return FAIL(&call->error, ERR_NOT_FOUND, "occurrence", "no such event");
}

static enum err read_one(struct call *call, struct stmt *q, struct occurrence *ret_occurrence)
{
    bool is_there = stmt_step(q);
    if (is_there) occurrence_read(q, call->arena, ret_occurrence);
    enum err e = stmt_end(q, &call->error);
    if (e) return e;
    return is_there ? ERR_OK : no_occurrence(call);
}

enum err occurrence_load(struct call *call, const struct id *id, struct occurrence *ret_occurrence)
{
    /* tenant: named by an event of the actor's, or a runner asks */
    struct stmt *q =
        db_query(call->db, "SELECT " OCCURRENCE_COLUMNS " FROM occurrences WHERE id = $1");
    bind_id(q, 1, id);
    return read_one(call, q, ret_occurrence);
}

enum err occurrence_get(struct call *call, struct str id_text, struct occurrence *ret_occurrence)
{
    struct id id;
    if (!id_parse(id_text, ID_OCCURRENCE, &id)) return no_occurrence(call);
    struct stmt *q = db_query(call->db, "SELECT " OCCURRENCE_COLUMNS " FROM occurrences"
                                        " WHERE id = $1 AND org_id = $2 AND environment = $3");
    bind_id(q, 1, &id);
    bind_id(q, 2, &call->actor.org_id);
    bind_int(q, 3, call->actor.environment);
    return read_one(call, q, ret_occurrence);
}

/* Without data, which may be long: most of a search's rows may be passed over. */
static enum err find_wanted(struct call *call, const struct occurrence_filter *filter, int count,
                            struct id *ret_ids, struct page_search *ret_search)
{
    struct stmt *q =
        db_query(call->db, "SELECT id, type FROM occurrences WHERE org_id = $1"
                           " AND environment = $2 AND id < $3 AND id > $4 ORDER BY id DESC"
                           " LIMIT $5");
    bind_id(q, 1, &call->actor.org_id);
    bind_int(q, 2, call->actor.environment);
    bind_text(q, 3, id_is_none(&filter->before) ? STR("occ_~") : id_str(&filter->before));
    bind_text(q, 4, id_is_none(&filter->after) ? STR("occ_") : id_str(&filter->after));
    bind_int(q, 5, PAGE_SCAN_ROWS_MAX);
    struct page_search search = { 0 };
    while (search.count < count && stmt_step(q)) {
        struct arena_mark mark = arena_mark(call->arena);
        struct id         id = column_id(q, 0);
        enum event_type   type;
        CHECK(event_type_parse(column_text(q, 1, call->arena), &type));
        arena_rewind(call->arena, mark);
        page_search_saw(&search, &id);
        if (filter->type == EVENT_TYPE__COUNT || filter->type == type) ret_ids[search.count++] = id;
    }
    *ret_search = search;
    return stmt_end(q, &call->error);
}

enum err occurrence_list(struct call *call, const struct occurrence_filter *filter, int count,
                         struct occurrence *ret_rows, struct page_search *ret_search)
{
    struct id *ids = NEW(call->arena, struct id, count);
    enum err   e = find_wanted(call, filter, count, ids, ret_search);
    for (int i = 0; e == ERR_OK && i < ret_search->count; i++) {
        e = occurrence_load(call, &ids[i], &ret_rows[i]);
        if (e == ERR_OK && !page_search_has_room(ret_search, ret_rows[i].data.len))
            page_search_end_before(ret_search, i, &ids[i - 1]);
    }
    return e;
}
