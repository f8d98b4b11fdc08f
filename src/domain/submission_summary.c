#include "domain/submission_summary.h"

#include "domain/submission_row.h"

enum { MEAN_SCALE = 1000 };

#define ROW_COLUMNS                                                                                \
    "s.id, s.environment, s.status, s.stars, s.size_bytes, s.created_ms, j.price_cents"

/* The part of a submission that is counted. */
static void row_read(struct stmt *q, struct arena *arena, struct submission *row)
{
    *row = (struct submission){
        .id = column_id(q, 0),
        .environment = (enum environment)column_int(q, 1),
        .stars = column_int(q, 3),
        .size_bytes = column_int(q, 4),
        .created_ms = column_int(q, 5),
    };
    CHECK(submission_state_parse(column_text(q, 2, arena), &row->state));
}

static struct stmt *query_of_organisation(struct call *call)
{
    struct stmt *q = db_query(call->db, "SELECT " ROW_COLUMNS " FROM submissions s"
                                        " JOIN jobs j ON j.id = s.job_id WHERE s.org_id = $1"
                                        " AND s.environment = $2 AND s.id < $3"
                                        " ORDER BY s.id DESC LIMIT $4");
    bind_int(q, 2, call->actor.environment);
    return q;
}

/* A job's rows are all of one environment: compared here, too, the store would search the whole
 * organisation for them. */
static struct stmt *query_of_job(struct call *call, const struct id *job_id)
{
    struct stmt *q = db_query(call->db, "SELECT " ROW_COLUMNS " FROM submissions s"
                                        " JOIN jobs j ON j.id = s.job_id WHERE s.org_id = $1"
                                        " AND s.job_id = $2 AND s.id < $3"
                                        " ORDER BY s.id DESC LIMIT $4");
    bind_id(q, 2, job_id);
    return q;
}

static void add(struct submission_summary *summary, const struct submission *row,
                int64_t price_cents)
{
    CHECK(row->stars >= 0 && row->stars <= STARS_MAX);
    summary->count++;
    summary->by_state[row->state]++;
    summary->by_stars[row->stars]++;
    if (row->state != SUBMISSION_APPROVED) return;
    summary->approved_bytes += row->size_bytes;
    summary->spent_cents += price_cents;
}

enum err submission_summarise(struct call *call, const struct submission_filter *filter,
                              struct submission_summary *ret_summary, struct id *ret_last)
{
    struct stmt *q = id_is_none(&filter->job_id) ? query_of_organisation(call)
                                                 : query_of_job(call, &filter->job_id);
    bind_id(q, 1, &call->actor.org_id);
    bind_text(q, 3, id_is_none(&filter->before) ? STR("sub_~") : id_str(&filter->before));
    bind_int(q, 4, PAGE_SCAN_ROWS_MAX);
    struct submission_summary summary = { 0 };
    struct page_search        search = { 0 };
    struct submission         row;
    while (stmt_step(q)) {
        struct arena_mark mark = arena_mark(call->arena);
        row_read(q, call->arena, &row);
        page_search_saw(&search, &row.id);
        if (submission_is_wanted(call, filter, &row)) add(&summary, &row, column_int(q, 6));
        arena_rewind(call->arena, mark);
    }
    *ret_summary = summary;
    *ret_last = page_search_is_cut(&search) ? search.last_seen : (struct id){ 0 };
    return stmt_end(q, &call->error);
}

int64_t submission_summary_mean(const struct submission_summary *summary)
{
    int64_t rated = summary->count - summary->by_stars[0], stars = 0;
    if (rated == 0) return 0;
    for (int i = 1; i <= STARS_MAX; i++)
        stars += i * summary->by_stars[i];
    return (2 * MEAN_SCALE * stars + rated) / (2 * rated);
}
