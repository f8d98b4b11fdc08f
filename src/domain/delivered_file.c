#include "domain/delivered_file.h"

#include "base/encode.h"
#include "base/json_out.h"
#include "base/time_text.h"
#include "domain/event.h"

enum { MANIFEST_LINE_BYTES_MAX = 2048 };

#define FILE_COLUMNS                                                                               \
    "id, submission_id, job_id, org_id, environment, media_type, size_bytes, sha256, width,"       \
    " height, duration_ms, captured_ms, filename, stars, blob, created_ms, delivered_ms,"          \
    " removed_ms, annotations"

static void file_read(struct stmt *q, struct arena *arena, struct delivered_file *file)
{
    *file = (struct delivered_file){
        .id = column_id(q, 0),
        .submission_id = column_id(q, 1),
        .job_id = column_id(q, 2),
        .org_id = column_id(q, 3),
        .environment = (enum environment)column_int(q, 4),
        .media_type = (enum media_type)column_int(q, 5),
        .size_bytes = column_int(q, 6),
        .sha256 = column_text(q, 7, arena),
        .width = column_int(q, 8),
        .height = column_int(q, 9),
        .duration_ms = column_int(q, 10),
        .captured_ms = column_int(q, 11),
        .filename = column_text(q, 12, arena),
        .stars = column_int(q, 13),
        .blob = column_text(q, 14, arena),
        .created_ms = column_int(q, 15),
        .delivered_ms = column_int(q, 16),
        .removed_ms = column_int(q, 17),
        .annotations = column_text(q, 18, arena),
    };
}

enum err file_create(struct call *call, const struct submission *submission, struct str annotations,
                     struct id *ret_id)
{
    struct id    id = id_new(ID_FILE, call->now_ms);
    struct stmt *q = db_query(call->db, "INSERT INTO files (" FILE_COLUMNS ") VALUES"
                                        " ($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12,$13,$14,$15,$16,"
                                        "NULL,NULL,$17)");
    bind_id(q, 1, &id);
    bind_id(q, 2, &submission->id);
    bind_id(q, 3, &submission->job_id);
    bind_id(q, 4, &submission->org_id);
    bind_int(q, 5, submission->environment);
    bind_int(q, 6, submission->media_type);
    bind_int(q, 7, submission->size_bytes);
    bind_text(q, 8, submission->sha256);
    bind_nonzero(q, 9, submission->width);
    bind_nonzero(q, 10, submission->height);
    bind_nonzero(q, 11, submission->duration_ms);
    bind_nonzero(q, 12, submission->captured_ms);
    bind_text(q, 13, submission->filename);
    bind_int(q, 14, submission->stars);
    bind_text(q, 15, submission_blob_name(&submission->id, submission->attempt, call->arena));
    bind_int(q, 16, call->now_ms);
    bind_text(q, 17, annotations);
    enum err e = stmt_run(q, &call->error, NULL);
    if (e) return e;
    *ret_id = id;
    return ERR_OK;
}

enum err file_list(struct call *call, const struct job *job, const struct file_filter *filter,
                   int count, struct delivered_file *ret_rows, struct page_search *ret_search)
{
    struct stmt *q = db_query(call->db, "SELECT " FILE_COLUMNS " FROM files WHERE job_id = $1"
                                        " AND org_id = $2 AND id < $3 ORDER BY id DESC LIMIT $4");
    bind_id(q, 1, &job->id);
    bind_id(q, 2, &job->org_id);
    bind_text(q, 3, id_is_none(&filter->before) ? STR("file_~") : id_str(&filter->before));
    bind_int(q, 4, PAGE_SCAN_ROWS_MAX);
    struct page_search    search = { 0 };
    struct delivered_file file;
    while (search.count < count && stmt_step(q)) {
        struct arena_mark mark = arena_mark(call->arena);
        file_read(q, call->arena, &file);
        page_search_saw(&search, &file.id);
        if (file.stars >= filter->stars_min)
            ret_rows[search.count++] = file;
        else
            arena_rewind(call->arena, mark);
    }
    *ret_search = search;
    return stmt_end(q, &call->error);
}

/* The one row of a statement that has just been bound, or ERR_NOT_FOUND. */
static enum err file_read_one(struct call *call, struct stmt *q, struct delivered_file *ret_file)
{
    bool is_there = stmt_step(q);
    if (is_there) file_read(q, call->arena, ret_file);
    enum err e = stmt_end(q, &call->error);
    if (e) return e;
    if (!is_there) return FAIL(&call->error, ERR_NOT_FOUND, "file", "no such file");
    return ERR_OK;
}

enum err file_get(struct call *call, struct str id_text, struct delivered_file *ret_file)
{
    struct id id;
    if (!id_parse(id_text, ID_FILE, &id))
        return FAIL(&call->error, ERR_NOT_FOUND, "file", "no such file");
    struct stmt *q = db_query(call->db, "SELECT " FILE_COLUMNS " FROM files WHERE id = $1"
                                        " AND org_id = $2 AND environment = $3");
    bind_id(q, 1, &id);
    bind_id(q, 2, &call->actor.org_id);
    bind_int(q, 3, call->actor.environment);
    return file_read_one(call, q, ret_file);
}

enum err file_get_any(struct call *call, const struct id *id, struct delivered_file *ret_file)
{
    /* tenant: signed links and runners; the link's signature is the permission */
    struct stmt *q = db_query(call->db, "SELECT " FILE_COLUMNS " FROM files WHERE id = $1");
    bind_id(q, 1, id);
    return file_read_one(call, q, ret_file);
}

enum err file_delivered(struct call *call, const struct task *task)
{
    struct delivered_file file;
    enum err              e = task_finish(call, task);
    if (e) return e;
    e = file_get_any(call, &task->subject_id, &file);
    if (e) return e;
    /* tenant: keyed by the file that the task names */
    struct stmt *q = db_query(call->db, "UPDATE files SET delivered_ms = $2 WHERE id = $1");
    bind_id(q, 1, &file.id);
    bind_int(q, 2, call->now_ms);
    e = stmt_run(q, &call->error, NULL);
    if (e) return e;
    return event_job_delivered(call, &file.job_id);
}

/* What a link's signature covers: its other parts, letter by letter. */
static struct str signed_text(struct str file_id, struct str expires, struct str key,
                              struct arena *arena)
{
    return str_format(arena, "%.*s\n%.*s\n%.*s", STR_ARG(file_id), STR_ARG(expires), STR_ARG(key));
}

struct str file_download_url(struct call *call, const struct id *file_id, int64_t *ret_expires_ms)
{
    int64_t       expires_s = (call->now_ms + DOWNLOAD_LINK_LIFETIME_MS) / MS_PER_SECOND;
    int           number = keyring_newest(call->keyring);
    struct str    expires = str_format(call->arena, "%lld", (long long)expires_s);
    struct str    key = str_format(call->arena, "%d", number);
    unsigned char mac[SHA256_BYTES];
    CHECK(keyring_mac(call->keyring, number, PURPOSE_LINK,
                      signed_text(id_str(file_id), expires, key, call->arena), mac));
    *ret_expires_ms = expires_s * MS_PER_SECOND;
    return str_format(call->arena, "%.*s/files/%s?expires=%s&key=%s&signature=%s",
                      STR_ARG(call->config->public_url), file_id->text, expires.data, key.data,
                      encode_base64url(call->arena, mac, sizeof(mac)).data);
}

enum err file_check_link(struct call *call, struct str file_id, struct str expires, struct str key,
                         struct str signature)
{
    int64_t       expires_s, number;
    struct str    given;
    unsigned char mac[SHA256_BYTES];
    bool          is_genuine = str_to_int64(expires, &expires_s) && str_to_int64(key, &number) &&
                      number > 0 && number <= INT32_MAX &&
                      decode_base64url(call->arena, signature, &given) &&
                      given.len == sizeof(mac) &&
                      keyring_mac(call->keyring, (int)number, PURPOSE_LINK,
                                  signed_text(file_id, expires, key, call->arena), mac) &&
                      crypto_equal(mac, given.data, sizeof(mac));
    if (!is_genuine)
        return FAIL(&call->error, ERR_FORBIDDEN, "link_invalid",
                    "the link is not genuine: use download_url as it came");
    if (expires_s <= call->now_ms / MS_PER_SECOND)
        return FAIL(&call->error, ERR_FORBIDDEN, "link_expired",
                    "the link has expired: list the job's files for a new one");
    return ERR_OK;
}

struct str file_name(const struct delivered_file *file, struct arena *arena)
{
    return str_format(arena, "%s.%s", file->id.text, media_type_extension(file->media_type));
}

struct str file_manifest_line(const struct delivered_file *file, struct arena *arena)
{
    struct buf      line;
    struct json_out out;
    buf_init(&line, arena, MANIFEST_LINE_BYTES_MAX);
    json_out_init(&out, &line);
    out_object(&out, NULL);
    out_text(&out, "id", id_str(&file->id));
    out_text(&out, "sha256", file->sha256);
    out_text(&out, "type", str_of(media_type_name(file->media_type)));
    out_int(&out, "size", file->size_bytes);
    if (file->width) out_int(&out, "width", file->width);
    if (file->height) out_int(&out, "height", file->height);
    if (file->duration_ms) out_decimal(&out, "duration_seconds", file->duration_ms, 3);
    out_int(&out, "stars", file->stars);
    out_time(&out, "created_at", file->created_ms);
    out_close(&out);
    buf_add_byte(&line, '\n');
    CHECK(!line.failed);
    return buf_str(&line);
}
