#include "domain/submission_row.h"

#include <assert.h>

static const char *const state_names[] = {
    [SUBMISSION_PENDING_SCORE] = "pending_score",
    [SUBMISSION_APPROVED] = "approved",
    [SUBMISSION_REJECTED] = "rejected",
    [SUBMISSION_RETRY_PENDING] = "retry_pending",
};
static_assert(COUNT_OF(state_names) == SUBMISSION_STATE__COUNT, "every state has a name");

const char *submission_state_name(enum submission_state state)
{
    CHECK((unsigned)state < SUBMISSION_STATE__COUNT);
    return state_names[state];
}

bool submission_state_parse(struct str name, enum submission_state *ret_state)
{
    int index = str_index(name, state_names, SUBMISSION_STATE__COUNT);
    if (index >= 0) *ret_state = (enum submission_state)index;
    return index >= 0;
}

#define SUBMISSION_COLUMNS                                                                         \
    "id, job_id, org_id, environment, worker_id, attempt, status, media_type, size_bytes, sha256," \
    " filename, width, height, duration_ms, captured_ms, stars, gate, reasoning, file_id,"         \
    " paid_cents, created_ms, scored_ms"

static void submission_read(struct stmt *q, struct arena *arena, struct submission *row)
{
    *row = (struct submission){
        .id = column_id(q, 0),
        .job_id = column_id(q, 1),
        .org_id = column_id(q, 2),
        .environment = (enum environment)column_int(q, 3),
        .worker_id = column_id(q, 4),
        .attempt = column_int(q, 5),
        .media_type = (enum media_type)column_int(q, 7),
        .size_bytes = column_int(q, 8),
        .sha256 = column_text(q, 9, arena),
        .filename = column_text(q, 10, arena),
        .width = column_int(q, 11),
        .height = column_int(q, 12),
        .duration_ms = column_int(q, 13),
        .captured_ms = column_int(q, 14),
        .stars = column_int(q, 15),
        .gate = column_text(q, 16, arena),
        .reasoning = column_text(q, 17, arena),
        .file_id = column_id(q, 18),
        .paid_cents = column_int(q, 19),
        .created_ms = column_int(q, 20),
        .scored_ms = column_int(q, 21),
    };
    CHECK(submission_state_parse(column_text(q, 6, arena), &row->state));
}

static enum err read_one(struct call *call, struct stmt *q, struct submission *ret_submission)
{
    bool is_there = stmt_step(q);
    if (is_there) submission_read(q, call->arena, ret_submission);
    enum err e = stmt_end(q, &call->error);
    if (e) return e;
    if (!is_there) return FAIL(&call->error, ERR_NOT_FOUND, "submission", "no such submission");
    return ERR_OK;
}

enum err submission_get_any(struct call *call, const struct id *id,
                            struct submission *ret_submission)
{
    /* tenant: runners serve every organisation */
    struct stmt *q =
        db_query(call->db, "SELECT " SUBMISSION_COLUMNS " FROM submissions WHERE id = $1");
    bind_id(q, 1, id);
    return read_one(call, q, ret_submission);
}

enum err submission_get_own(struct call *call, struct str id_text,
                            struct submission *ret_submission)
{
    struct id id;
    if (!id_parse(id_text, ID_SUBMISSION, &id))
        return FAIL(&call->error, ERR_NOT_FOUND, "submission", "no such submission");
    /* tenant: the acting worker's own rows */
    struct stmt *q = db_query(call->db, "SELECT " SUBMISSION_COLUMNS " FROM submissions"
                                        " WHERE id = $1 AND worker_id = $2");
    bind_id(q, 1, &id);
    bind_id(q, 2, &call->actor.worker_id);
    return read_one(call, q, ret_submission);
}

enum err submission_get(struct call *call, struct str id_text, struct submission *ret_submission)
{
    struct id id;
    if (!id_parse(id_text, ID_SUBMISSION, &id))
        return FAIL(&call->error, ERR_NOT_FOUND, "submission", "no such submission");
    struct stmt *q = db_query(call->db, "SELECT " SUBMISSION_COLUMNS " FROM submissions"
                                        " WHERE id = $1 AND org_id = $2 AND environment = $3");
    bind_id(q, 1, &id);
    bind_id(q, 2, &call->actor.org_id);
    bind_int(q, 3, call->actor.environment);
    return read_one(call, q, ret_submission);
}

struct submission_filter submission_filter_any(void)
{
    return (struct submission_filter){ .state = SUBMISSION_STATE__COUNT,
                                       .created_from_ms = INT64_MIN,
                                       .created_before_ms = INT64_MAX };
}

static struct stmt *query_of_organisation(struct call *call)
{
    struct stmt *q =
        db_query(call->db, "SELECT " SUBMISSION_COLUMNS " FROM submissions WHERE org_id = $1"
                           " AND environment = $2 AND id < $3 ORDER BY id DESC LIMIT $4");
    bind_int(q, 2, call->actor.environment);
    return q;
}

/* A job's rows are all of one environment. Were it compared here, too, the store would search the
 * whole organisation for them. */
static struct stmt *query_of_job(struct call *call, const struct id *job_id)
{
    struct stmt *q =
        db_query(call->db, "SELECT " SUBMISSION_COLUMNS " FROM submissions WHERE org_id = $1"
                           " AND job_id = $2 AND id < $3 ORDER BY id DESC LIMIT $4");
    bind_id(q, 2, job_id);
    return q;
}

bool submission_is_wanted(const struct call *call, const struct submission_filter *filter,
                          const struct submission *row)
{
    return row->environment == call->actor.environment &&
           (filter->state == SUBMISSION_STATE__COUNT || filter->state == row->state) &&
           row->stars >= filter->stars_min && row->created_ms >= filter->created_from_ms &&
           row->created_ms < filter->created_before_ms;
}

enum err submission_list(struct call *call, const struct submission_filter *filter, int count,
                         struct submission *ret_rows, struct page_search *ret_search)
{
    struct stmt *q = id_is_none(&filter->job_id) ? query_of_organisation(call)
                                                 : query_of_job(call, &filter->job_id);
    bind_id(q, 1, &call->actor.org_id);
    bind_text(q, 3, id_is_none(&filter->before) ? STR("sub_~") : id_str(&filter->before));
    bind_int(q, 4, PAGE_SCAN_ROWS_MAX);
    struct page_search search = { 0 };
    struct submission  row;
    while (search.count < count && stmt_step(q)) {
        struct arena_mark mark = arena_mark(call->arena);
        submission_read(q, call->arena, &row);
        page_search_saw(&search, &row.id);
        if (submission_is_wanted(call, filter, &row))
            ret_rows[search.count++] = row;
        else
            arena_rewind(call->arena, mark);
    }
    *ret_search = search;
    return stmt_end(q, &call->error);
}

enum err submission_list_own(struct call *call, const struct id *before, int count,
                             struct submission *ret_rows, int *ret_count)
{
    /* tenant: the acting worker's own rows */
    struct stmt *q = db_query(call->db, "SELECT " SUBMISSION_COLUMNS " FROM submissions"
                                        " WHERE worker_id = $1 AND id < $2"
                                        " ORDER BY id DESC LIMIT $3");
    bind_id(q, 1, &call->actor.worker_id);
    bind_text(q, 2, id_is_none(before) ? STR("sub_~") : id_str(before));
    bind_int(q, 3, count);
    int found = 0;
    while (found < count && stmt_step(q))
        submission_read(q, call->arena, &ret_rows[found++]);
    *ret_count = found;
    return stmt_end(q, &call->error);
}

enum err submission_save(struct call *call, const struct submission *row, struct str score_record)
{
    struct stmt *q = db_query(
        call->db,
        "INSERT INTO submissions (" SUBMISSION_COLUMNS ", score_record) VALUES"
        " ($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12,$13,$14,$15,$16,$17,$18,$19,$20,$21,$22,$23)"
        " ON CONFLICT (id) DO UPDATE SET attempt = excluded.attempt, status = excluded.status,"
        " media_type = excluded.media_type, size_bytes = excluded.size_bytes,"
        " sha256 = excluded.sha256, filename = excluded.filename, width = excluded.width,"
        " height = excluded.height, duration_ms = excluded.duration_ms,"
        " captured_ms = excluded.captured_ms, stars = excluded.stars, gate = excluded.gate,"
        " reasoning = excluded.reasoning, file_id = excluded.file_id,"
        " paid_cents = excluded.paid_cents, scored_ms = excluded.scored_ms,"
        " score_record = excluded.score_record");
    bind_id(q, 1, &row->id);
    bind_id(q, 2, &row->job_id);
    bind_id(q, 3, &row->org_id);
    bind_int(q, 4, row->environment);
    bind_id(q, 5, &row->worker_id);
    bind_int(q, 6, row->attempt);
    bind_text(q, 7, str_of(state_names[row->state]));
    bind_int(q, 8, row->media_type);
    bind_int(q, 9, row->size_bytes);
    bind_text(q, 10, row->sha256);
    bind_text(q, 11, row->filename);
    bind_nonzero(q, 12, row->width);
    bind_nonzero(q, 13, row->height);
    bind_nonzero(q, 14, row->duration_ms);
    bind_nonzero(q, 15, row->captured_ms);
    bind_nonzero(q, 16, row->stars);
    bind_text(q, 17, row->gate);
    bind_text(q, 18, row->reasoning);
    bind_id(q, 19, &row->file_id);
    if (row->state == SUBMISSION_APPROVED)
        bind_int(q, 20, row->paid_cents);
    else
        bind_null(q, 20);
    bind_int(q, 21, row->created_ms);
    bind_nonzero(q, 22, row->scored_ms);
    bind_text(q, 23, score_record);
    return stmt_run(q, &call->error, NULL);
}
