#include "domain/task.h"

#include "base/num.h"
#include "base/time_text.h"

#include <assert.h>

static const int64_t BACK_OFF_MS_FIRST = 2000;
static const int64_t BACK_OFF_MS_MAX = 10 * 60 * 1000;

static const char *const kind_names[] = {
    [TASK_SCORE] = "score",
    [TASK_DELIVER] = "deliver",
    [TASK_TOP_UP] = "top_up",
    [TASK_SANDBOX] = "sandbox",
};
static_assert(COUNT_OF(kind_names) == TASK_KIND__COUNT, "every kind has a name");

const char *task_kind_name(enum task_kind kind)
{
    CHECK((unsigned)kind < TASK_KIND__COUNT);
    return kind_names[kind];
}

enum err task_add(struct call *call, enum task_kind kind, const struct id *subject_id)
{
    return task_add_at(call, kind, subject_id, call->now_ms);
}

enum err task_add_at(struct call *call, enum task_kind kind, const struct id *subject_id,
                     int64_t run_ms)
{
    struct id    id = id_new(ID_TASK, call->now_ms);
    struct stmt *q = db_query(call->db, "INSERT INTO tasks (id, kind, subject_id, run_ms,"
                                        " claims_count, failures_count, created_ms)"
                                        " VALUES ($1, $2, $3, $4, 0, 0, $5)"
                                        " ON CONFLICT (kind, subject_id) DO NOTHING");
    bind_id(q, 1, &id);
    bind_text(q, 2, str_of(task_kind_name(kind)));
    bind_id(q, 3, subject_id);
    bind_int(q, 4, run_ms);
    bind_int(q, 5, call->now_ms);
    call->wakes_tasks = true;
    return stmt_run(q, &call->error, NULL);
}

/* The row of a statement that has just been bound, or ERR_NOT_FOUND. */
static enum err read_one(struct call *call, struct stmt *q, enum task_kind kind,
                         struct task *ret_task)
{
    bool is_there = stmt_step(q);
    if (is_there)
        *ret_task = (struct task){
            .id = column_id(q, 0),
            .kind = kind,
            .subject_id = column_id(q, 1),
            .run_ms = column_int(q, 2),
            .claims_count = column_int(q, 3),
            .failures_count = column_int(q, 4),
            .subject_failures_count = column_int(q, 5),
            .first_failed_ms = column_int(q, 6),
        };
    enum err e = stmt_end(q, &call->error);
    if (e) return e;
    if (!is_there) return FAIL(&call->error, ERR_NOT_FOUND, "task", "nothing is due");
    return ERR_OK;
}

enum err task_get(struct call *call, enum task_kind kind, const struct id *subject_id,
                  struct task *ret_task)
{
    struct stmt *q = db_query(
        call->db,
        "SELECT id, subject_id, run_ms, claims_count, failures_count,"
        " subject_failures_count, first_failed_ms FROM tasks WHERE kind = $1 AND subject_id = $2");
    bind_text(q, 1, str_of(task_kind_name(kind)));
    bind_id(q, 2, subject_id);
    return read_one(call, q, kind, ret_task);
}

enum err task_claim(struct call *call, enum task_kind kind, int64_t lease_ms, struct task *ret_task)
{
    struct stmt *q = db_query(
        call->db, "UPDATE tasks SET run_ms = $3, claims_count = claims_count + 1 WHERE id ="
                  " (SELECT id FROM tasks WHERE kind = $1 AND run_ms <= $2 ORDER BY run_ms LIMIT 1)"
                  " RETURNING id, subject_id, run_ms, claims_count, failures_count,"
                  " subject_failures_count, first_failed_ms");
    bind_text(q, 1, str_of(task_kind_name(kind)));
    bind_int(q, 2, call->now_ms);
    bind_int(q, 3, call->now_ms + lease_ms);
    return read_one(call, q, kind, ret_task);
}

static enum err lost_unless_changed(struct call *call, enum err e, int64_t changes)
{
    if (e) return e;
    if (changes == 1) return ERR_OK;
    return FAIL(&call->error, ERR_CONFLICT, "task_lost", "another runner has the task");
}

enum err task_finish(struct call *call, const struct task *task)
{
    struct stmt *q = db_query(call->db, "DELETE FROM tasks WHERE id = $1 AND claims_count = $2");
    bind_id(q, 1, &task->id);
    bind_int(q, 2, task->claims_count);
    int64_t  changes = 0;
    enum err e = stmt_run(q, &call->error, &changes);
    return lost_unless_changed(call, e, changes);
}

enum err task_fail(struct call *call, const struct task *task, const char *reason)
{
    int64_t doublings = num_min(task->failures_count, 16);
    int64_t wait_ms = num_min(BACK_OFF_MS_FIRST << doublings, BACK_OFF_MS_MAX);
    return task_postpone(call, task, reason, call->now_ms + wait_ms);
}

enum err task_postpone(struct call *call, const struct task *task, const char *reason,
                       int64_t run_ms)
{
    struct stmt *q =
        db_query(call->db, "UPDATE tasks SET run_ms = $3, failures_count = failures_count + 1,"
                           " last_failure = $4, subject_failures_count = subject_failures_count +"
                           " $5, first_failed_ms = coalesce(first_failed_ms, $6)"
                           " WHERE id = $1 AND claims_count = $2");
    bind_id(q, 1, &task->id);
    bind_int(q, 2, task->claims_count);
    bind_int(q, 3, run_ms);
    bind_text(q, 4, str_of(reason));
    bind_int(q, 5, task->is_subject_suspect);
    bind_nonzero(q, 6, task->is_subject_suspect ? call->now_ms : 0);
    int64_t  changes = 0;
    enum err e = stmt_run(q, &call->error, &changes);
    return lost_unless_changed(call, e, changes);
}

/* Every claim that ended well took its row with it, and every other was counted as a failure. */
enum err task_release_claimed(struct call *call, int64_t *ret_count)
{
    struct stmt *q = db_query(call->db, "UPDATE tasks SET run_ms = $1"
                                        " WHERE claims_count > failures_count AND run_ms > $1");
    bind_int(q, 1, call->now_ms);
    return stmt_run(q, &call->error, ret_count);
}

enum err task_next_due(struct call *call, enum task_kind kind, int64_t *ret_due_ms)
{
    struct stmt *q = db_query(call->db, "SELECT min(run_ms) FROM tasks WHERE kind = $1");
    bind_text(q, 1, str_of(task_kind_name(kind)));
    int64_t due_ms = stmt_step(q) ? column_int(q, 0) : 0;
    *ret_due_ms = due_ms;
    return stmt_end(q, &call->error);
}

/* A claim moves run_ms to the end of its lease, so what is claimed is not due. */
enum err task_load_read(struct call *call, struct task_load *ret_load)
{
    struct task_load load = { 0 };
    struct stmt     *q = db_query(call->db, "SELECT kind, count(*), min(run_ms),"
                                                " sum(CASE WHEN run_ms <= $1 THEN 1 ELSE 0 END)"
                                                " FROM tasks GROUP BY kind");
    bind_int(q, 1, call->now_ms);
    while (stmt_step(q)) {
        int kind = str_index(column_text(q, 0, call->arena), kind_names, TASK_KIND__COUNT);
        CHECK(kind >= 0);
        load.count[kind] = column_int(q, 1);
        load.due[kind] = column_int(q, 3);
        if (load.due[kind] > 0)
            load.late_s[kind] = (call->now_ms - column_int(q, 2)) / MS_PER_SECOND;
    }
    enum err e = stmt_end(q, &call->error);
    if (e == ERR_OK) *ret_load = load;
    return e;
}
