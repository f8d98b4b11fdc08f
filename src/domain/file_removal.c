#include "domain/file_removal.h"

bool file_is_removed(const struct call *call, const struct delivered_file *file)
{
    bool is_old = file->environment == ENVIRONMENT_TEST &&
                  file->created_ms <= call->now_ms - SANDBOX_FILE_LIFETIME_MS;
    return file->removed_ms > 0 || is_old;
}

enum err file_remove_surplus(struct call *call, const struct id *org_id)
{
    struct stmt *q =
        db_query(call->db, "UPDATE files SET removed_ms = $2 WHERE id IN (SELECT id FROM files"
                           " WHERE org_id = $1 AND environment = 1 AND removed_ms IS NULL"
                           " ORDER BY id DESC LIMIT $3 OFFSET $4)");
    bind_id(q, 1, org_id);
    bind_int(q, 2, call->now_ms);
    bind_int(q, 3, INT32_MAX);
    bind_int(q, 4, SANDBOX_FILES_KEPT_MAX);
    return stmt_run(q, &call->error, NULL);
}

enum err file_remove_old(struct call *call, int count, int *ret_count)
{
    /* tenant: the sweeper serves every organisation */
    struct stmt *q =
        db_query(call->db, "UPDATE files SET removed_ms = $1 WHERE id IN (SELECT id FROM files"
                           " WHERE environment = 1 AND removed_ms IS NULL AND created_ms <= $2"
                           " ORDER BY created_ms LIMIT $3)");
    bind_int(q, 1, call->now_ms);
    bind_int(q, 2, call->now_ms - SANDBOX_FILE_LIFETIME_MS);
    bind_int(q, 3, count);
    int64_t  changes = 0;
    enum err e = stmt_run(q, &call->error, &changes);
    if (e) return e;
    *ret_count = (int)changes;
    return ERR_OK;
}

enum err file_list_to_unlink(struct call *call, int count, struct delivered_file *ret_rows,
                             int *ret_count)
{
    /* tenant: the sweeper serves every organisation */
    struct stmt *q = db_query(
        call->db, "SELECT id, org_id, job_id, media_type, blob FROM files WHERE removed_ms <= $1"
                  " AND removed_ms IS NOT NULL AND blob <> '' AND delivered_ms IS NOT NULL"
                  " ORDER BY removed_ms LIMIT $2");
    bind_int(q, 1, call->now_ms - FILE_REMOVAL_GRACE_MS);
    bind_int(q, 2, count);
    int found = 0;
    while (found < count && stmt_step(q))
        ret_rows[found++] = (struct delivered_file){
            .id = column_id(q, 0),
            .org_id = column_id(q, 1),
            .job_id = column_id(q, 2),
            .media_type = (enum media_type)column_int(q, 3),
            .blob = column_text(q, 4, call->arena),
        };
    *ret_count = found;
    return stmt_end(q, &call->error);
}

enum err file_set_unlinked(struct call *call, const struct id *file_id)
{
    /* tenant: keyed by a file that was listed before */
    struct stmt *q = db_query(call->db, "UPDATE files SET blob = '' WHERE id = $1"
                                        " AND removed_ms IS NOT NULL");
    bind_id(q, 1, file_id);
    return stmt_run(q, &call->error, NULL);
}
