#include "domain/upload.h"

#include "base/num.h"

#include <assert.h>
#include <string.h>

static const char *const state_names[] = {
    [UPLOAD_OPEN] = "open",       [UPLOAD_DONE] = "done",
    [UPLOAD_REFUSED] = "refused", [UPLOAD_TERMINATED] = "terminated",
    [UPLOAD_EXPIRED] = "expired",
};
static_assert(COUNT_OF(state_names) == UPLOAD_STATE__COUNT, "every state has a name");

const char *upload_state_name(enum upload_state state)
{
    CHECK((unsigned)state < UPLOAD_STATE__COUNT);
    return state_names[state];
}

static enum upload_state state_parse(struct str name)
{
    int index = str_index(name, state_names, UPLOAD_STATE__COUNT);
    CHECK(index >= 0); /* the store allows no other */
    return (enum upload_state)index;
}

static int64_t kind_bytes_max(enum media_kind kind)
{
    switch (kind) {
    case MEDIA_IMAGE: return UPLOAD_IMAGE_BYTES_MAX;
    case MEDIA_AUDIO: return UPLOAD_AUDIO_BYTES_MAX;
    case MEDIA_VIDEO: return UPLOAD_VIDEO_BYTES_MAX;
    case MEDIA_KIND__COUNT: break;
    }
    CHECK(!"not a kind");
    return 0;
}

int64_t upload_bytes_max(unsigned formats)
{
    int64_t most = 0;
    for (int type = 0; type < MEDIA_TYPE__COUNT; type++)
        if (formats & BIT(type))
            most = num_max(most, kind_bytes_max(media_type_kind((enum media_type)type)));
    return most;
}

enum err upload_may_begin(struct call *call, const struct reservation *reservation,
                          struct job *ret_job)
{
    struct job job;
    enum err   e = job_get_any(call, &reservation->job_id, &job);
    if (e) return e;
    if (reservation->state != RESERVATION_USED) e = reservation_may_use(call, &job, reservation);
    if (e) return e;
    *ret_job = job;
    return ERR_OK;
}

#define UPLOAD_COLUMNS                                                                             \
    "id, worker_id, reservation_id, size_bytes, filename, metadata, state, content_hash,"          \
    " submission_id, created_ms, expires_ms"

static void upload_read(struct call *call, struct stmt *q, struct upload *row)
{
    *row = (struct upload){
        .id = column_id(q, 0),
        .worker_id = column_id(q, 1),
        .reservation_id = column_id(q, 2),
        .size_bytes = column_int(q, 3),
        .filename = column_text(q, 4, call->arena),
        .metadata = column_text(q, 5, call->arena),
        .state = state_parse(column_text(q, 6, call->arena)),
        .content_hash = column_text(q, 7, call->arena),
        .submission_id = column_id(q, 8),
        .created_ms = column_int(q, 9),
        .expires_ms = column_int(q, 10),
    };
    /* Time acts at its instant; the sweeper only writes it down. */
    if (row->state == UPLOAD_OPEN && row->expires_ms <= call->now_ms) row->state = UPLOAD_EXPIRED;
}

enum err upload_may_add(struct call *call)
{
    struct stmt *q = db_query(call->db, "SELECT count(*) FROM uploads WHERE worker_id = $1"
                                        " AND state = 'open' AND expires_ms > $2");
    bind_id(q, 1, &call->actor.worker_id);
    bind_int(q, 2, call->now_ms);
    int64_t  open = stmt_step(q) ? column_int(q, 0) : 0;
    enum err e = stmt_end(q, &call->error);
    if (e) return e;
    if (open >= call->config->worker_reservations_max * UPLOADS_OPEN_PER_SLOT_MAX)
        return FAIL(&call->error, ERR_CONFLICT, "uploads_capped",
                    "%lld of your uploads are unfinished", (long long)open);
    return ERR_OK;
}

enum err upload_create(struct call *call, struct upload *upload)
{
    upload->state = UPLOAD_OPEN;
    upload->created_ms = call->now_ms;
    upload->expires_ms = call->now_ms + call->config->reservation_max_ms;
    struct stmt *q = db_query(call->db, "INSERT INTO uploads (" UPLOAD_COLUMNS ") VALUES"
                                        " ($1, $2, $3, $4, $5, $6, 'open', NULL, NULL, $7, $8)");
    bind_id(q, 1, &upload->id);
    bind_id(q, 2, &upload->worker_id);
    bind_id(q, 3, &upload->reservation_id);
    bind_nonzero(q, 4, upload->size_bytes);
    bind_text(q, 5, upload->filename);
    bind_text(q, 6, upload->metadata);
    bind_int(q, 7, upload->created_ms);
    bind_int(q, 8, upload->expires_ms);
    return stmt_run(q, &call->error, NULL);
}

enum err upload_get_own(struct call *call, struct str id_text, struct upload *ret_upload)
{
    struct id id;
    if (!id_parse(id_text, ID_UPLOAD, &id))
        return FAIL(&call->error, ERR_NOT_FOUND, "upload", "no such upload");
    struct stmt *q = db_query(call->db, "SELECT " UPLOAD_COLUMNS " FROM uploads"
                                        " WHERE id = $1 AND worker_id = $2");
    bind_id(q, 1, &id);
    bind_id(q, 2, &call->actor.worker_id);
    bool is_there = stmt_step(q);
    if (is_there) upload_read(call, q, ret_upload);
    enum err e = stmt_end(q, &call->error);
    if (e) return e;
    if (!is_there) return FAIL(&call->error, ERR_NOT_FOUND, "upload", "no such upload");
    return ERR_OK;
}

enum err upload_list_own(struct call *call, const struct id *before, int count,
                         struct upload *ret_rows, int *ret_count)
{
    struct stmt *q = db_query(call->db, "SELECT " UPLOAD_COLUMNS " FROM uploads"
                                        " WHERE worker_id = $1 AND id < $2"
                                        " ORDER BY id DESC LIMIT $3");
    bind_id(q, 1, &call->actor.worker_id);
    bind_text(q, 2, id_is_none(before) ? STR("upl_~") : id_str(before));
    bind_int(q, 3, count);
    int found = 0;
    while (found < count && stmt_step(q))
        upload_read(call, q, &ret_rows[found++]);
    *ret_count = found;
    return stmt_end(q, &call->error);
}

static enum err ended(struct call *call)
{
    return FAIL(&call->error, ERR_CONFLICT, "upload_ended", "the upload has ended");
}

static enum err set_size_failed(struct call *call, const struct id *id)
{
    struct stmt *q = db_query(call->db, "SELECT state FROM uploads WHERE id = $1");
    bind_id(q, 1, id);
    bool     is_open = stmt_step(q) && str_eq(column_text(q, 0, call->arena), STR("open"));
    enum err e = stmt_end(q, &call->error);
    if (e) return e;
    if (!is_open) return ended(call);
    return FAIL(&call->error, ERR_CONFLICT, "upload_length_known", "its length was set already");
}

enum err upload_set_size(struct call *call, const struct id *id, int64_t size_bytes)
{
    CHECK(size_bytes > 0);
    struct stmt *q = db_query(call->db, "UPDATE uploads SET size_bytes = $2 WHERE id = $1"
                                        " AND state = 'open'"
                                        " AND (size_bytes IS NULL OR size_bytes = $2)");
    bind_id(q, 1, id);
    bind_int(q, 2, size_bytes);
    int64_t  changes = 0;
    enum err e = stmt_run(q, &call->error, &changes);
    if (e || changes == 1) return e;
    return set_size_failed(call, id);
}

enum err upload_end(struct call *call, struct upload *upload, enum upload_state to)
{
    CHECK(to != UPLOAD_OPEN && (unsigned)to < UPLOAD_STATE__COUNT);
    bool         is_done = to == UPLOAD_DONE;
    struct stmt *q = db_query(
        call->db, "UPDATE uploads SET state = $2, size_bytes = COALESCE($3, size_bytes),"
                  " content_hash = $4, submission_id = $5 WHERE id = $1 AND state = 'open'");
    bind_id(q, 1, &upload->id);
    bind_text(q, 2, str_of(state_names[to]));
    bind_nonzero(q, 3, is_done ? upload->size_bytes : 0);
    bind_text(q, 4, is_done ? upload->content_hash : STR_NONE);
    if (is_done)
        bind_id(q, 5, &upload->submission_id);
    else
        bind_null(q, 5);
    int64_t  changes = 0;
    enum err e = stmt_run(q, &call->error, &changes);
    if (e) return e;
    if (changes == 0) return ended(call);
    upload->state = to;
    return ERR_OK;
}

enum err upload_expire_due(struct call *call, int count, struct id *ret_ids, int *ret_count)
{
    struct stmt *q = db_query(call->db, "SELECT id FROM uploads WHERE state = 'open'"
                                        " AND expires_ms <= $1 ORDER BY expires_ms LIMIT $2");
    bind_int(q, 1, call->now_ms);
    bind_int(q, 2, count);
    int found = 0;
    while (found < count && stmt_step(q))
        ret_ids[found++] = column_id(q, 0);
    enum err e = stmt_end(q, &call->error);
    for (int i = 0; e == ERR_OK && i < found; i++) {
        struct upload upload = { .id = ret_ids[i] };
        e = upload_end(call, &upload, UPLOAD_EXPIRED);
    }
    if (e) return e;
    *ret_count = found;
    return ERR_OK;
}

static enum err ask(struct call *call, struct stmt *q, bool *ret_is_there)
{
    *ret_is_there = stmt_step(q);
    return stmt_end(q, &call->error);
}

/* "sub_….1": by a submission of that attempt, or by an upload that was renamed and whose commit is
 * still to come. */
static enum err wants_blob(struct call *call, const struct id *submission_id, int64_t attempt,
                           bool *ret_is_wanted)
{
    /* tenant: the sweeper serves every organisation */
    struct stmt *q = db_query(
        call->db, "SELECT 1 FROM submissions WHERE id = $1 AND attempt >= $2 UNION ALL"
                  " SELECT 1 FROM uploads u JOIN reservations r ON r.id = u.reservation_id"
                  " WHERE u.state = 'open' AND r.submission_id = $1 AND r.attempt = $2 LIMIT 1");
    bind_id(q, 1, submission_id);
    bind_int(q, 2, attempt);
    return ask(call, q, ret_is_wanted);
}

enum err upload_wants_bytes(struct call *call, struct str name, bool *ret_is_wanted)
{
    struct str base, rest = name;
    struct id  id;
    int64_t    attempt;
    *ret_is_wanted = false;
    if (!str_cut(&rest, '.', &base)) return ERR_OK;
    if (id_parse(base, ID_SUBMISSION, &id) && str_to_int64(rest, &attempt))
        return wants_blob(call, &id, attempt, ret_is_wanted);
    if (!id_parse(base, ID_UPLOAD, &id) || rest.data != NULL) return ERR_OK;
    struct stmt *q = db_query(call->db, "SELECT 1 FROM uploads WHERE id = $1 AND state = 'open'");
    bind_id(q, 1, &id);
    return ask(call, q, ret_is_wanted);
}
