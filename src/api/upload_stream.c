#include "api/upload_stream.h"

#include "base/time_text.h"
#include "platform/disk.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

enum { COPY_BYTES = 64 << 10 };

/* --- what requests have in common --- */

enum err upload_check_version(struct exchange *exchange)
{
    if (str_eq(http_header(exchange->http, "Tus-Resumable"), STR("1.0.0"))) return ERR_OK;
    http_reply_header(exchange->http, "Tus-Version", STR("1.0.0"));
    return FAIL(&exchange->call.error, ERR_PRECONDITION, "tus_version",
                "send Tus-Resumable: 1.0.0");
}

static enum err check_state(struct exchange *exchange, const struct upload *upload)
{
    switch (upload->state) {
    case UPLOAD_OPEN:
    case UPLOAD_DONE: return ERR_OK;
    case UPLOAD_REFUSED:
        return FAIL(&exchange->call.error, ERR_GONE, "upload_refused", "the upload was refused");
    default:
        return FAIL(&exchange->call.error, ERR_GONE, "upload_ended", "the upload is %s",
                    upload_state_name(upload->state));
    }
}

/* Put call.db back on this thread's reader, after exchange_commit. */
static enum err use_reader(struct exchange *exchange)
{
    struct db *db;
    enum err   e = db_readers_get(exchange->api->readers, &exchange->call.error, &db);
    if (e) return e;
    call_begin(&exchange->call, db, world_now_ms(exchange->api->world), &exchange->actor);
    return ERR_OK;
}

static struct str number_text(struct exchange *exchange, int64_t number)
{
    return str_format(exchange->http->arena, "%lld", (long long)number);
}

void upload_reply_progress(struct exchange *exchange, const struct upload *upload, int64_t offset)
{
    struct reply *reply = &exchange->reply;
    char         *expires = NEW(exchange->http->arena, char, TIME_HTTP_BYTES);
    reply_header(reply, "Upload-Offset", number_text(exchange, offset));
    if (upload->state == UPLOAD_DONE) {
        struct str id = str_copy(exchange->http->arena, id_str(&upload->submission_id));
        reply_header(reply, "Firsthand-Submission-Id", id);
        return;
    }
    time_format_http(upload->expires_ms, expires);
    reply_header(reply, "Upload-Expires", str_of(expires));
}

/* --- begin --- */

struct upload_stream *upload_stream_new(struct exchange *exchange)
{
    struct upload_stream *stream = NEW(exchange->http->arena, struct upload_stream, 1);
    stream->side_fd = -1;
    exchange->stream = stream;
    return stream;
}

enum err upload_stream_begin(struct exchange *exchange,
                             enum err (*prepare)(struct exchange *exchange))
{
    upload_stream_new(exchange);
    enum err e = prepare(exchange);
    if (e) upload_stream_close(exchange);
    return e;
}

enum err upload_stream_make(struct exchange *exchange, struct str reservation_id, int64_t bytes_min)
{
    struct upload_stream *stream = exchange->stream;
    struct call          *call = &exchange->call;
    struct job            job;
    enum err              e = reservation_get(call, reservation_id, &stream->reservation);
    if (e) return e;
    e = upload_may_begin(call, &stream->reservation, &job);
    if (e) return e;
    stream->formats = job.formats;
    int64_t bytes_max = upload_bytes_max(job.formats);
    if (bytes_min > bytes_max)
        return FAIL(&call->error, ERR_TOO_LARGE, "file_too_large",
                    "a file for this job may have at most %lld bytes", (long long)bytes_max);
    stream->upload.id = id_new(ID_UPLOAD, call->now_ms);
    stream->upload.worker_id = call->actor.worker_id;
    stream->upload.reservation_id = stream->reservation.id;
    return ERR_OK;
}

enum err upload_stream_find(struct exchange *exchange, struct str upload_id)
{
    struct upload_stream *stream = exchange->stream;
    struct call          *call = &exchange->call;
    struct job            job;
    enum err              e = upload_get_own(call, upload_id, &stream->upload);
    if (e) return e;
    stream->has_row = true;
    e = check_state(exchange, &stream->upload);
    if (e) return e;
    e = reservation_get(call, id_str(&stream->upload.reservation_id), &stream->reservation);
    if (e) return e;
    e = job_get_any(call, &stream->reservation.job_id, &job);
    if (e) return e;
    stream->formats = job.formats;
    return ERR_OK;
}

enum err upload_stream_find_now(struct exchange *exchange, struct str upload_id)
{
    struct db *db = exchange->call.db;
    enum err   e = db_begin(db, &exchange->call.error);
    if (e) return e;
    e = upload_stream_find(exchange, upload_id);
    db_rollback(db);
    return e;
}

/* Read the row once more, in a transaction that sees everything committed by now. */
static enum err read_state_now(struct exchange *exchange, enum upload_state *ret_state)
{
    struct upload_stream *stream = exchange->stream;
    struct call          *call = &exchange->call;
    struct upload         row;
    db_rollback(call->db);
    enum err e = db_begin(call->db, &call->error);
    if (e) return e;
    e = upload_get_own(call, id_str(&stream->upload.id), &row);
    db_rollback(call->db);
    if (e == ERR_OK) *ret_state = row.state;
    return e;
}

/* An end is written into the row before its session leaves the table. So whoever has pinned one
 * made anew, from a row read earlier, sees the end by reading again now. */
static enum err check_still_open(struct exchange *exchange)
{
    struct upload_stream *stream = exchange->stream;
    enum upload_state     state;
    if (!stream->has_row) return ERR_OK;
    enum err e = read_state_now(exchange, &state);
    if (e || state == UPLOAD_OPEN) return e;
    stream->upload.state = state;
    upload_session_end(stream->session, true);
    e = check_state(exchange, &stream->upload);
    if (e) return e;
    return FAIL(&exchange->call.error, ERR_CONFLICT, "upload_taken_over",
                "another request has just completed the upload");
}

enum err upload_stream_take(struct exchange *exchange, int64_t expected_offset)
{
    struct upload_stream *stream = exchange->stream;
    struct error         *error = &exchange->call.error;
    struct upload_origin  origin = {
         .id = stream->upload.id,
         .reservation = stream->reservation,
         .formats = stream->formats,
         .size_bytes = stream->upload.size_bytes,
         .has_row = stream->has_row,
    };
    enum err e = upload_session_pin(exchange->api->uploads, &origin, error, &stream->session);
    if (e) return e;
    e = upload_session_take(stream->session, expected_offset, error, &stream->generation);
    if (e == ERR_CONFLICT)
        http_reply_header(exchange->http, "Upload-Offset",
                          number_text(exchange, upload_session_offset(stream->session)));
    if (e) return e;
    return check_still_open(exchange);
}

/* The file loses its name at once: whatever happens, nothing unchecked is found again. */
static enum err open_side(struct exchange *exchange)
{
    struct upload_stream    *stream = exchange->stream;
    const struct blob_store *blobs = exchange->api->blobs;
    struct str name = str_format(exchange->http->arena, "%s.%llu", stream->upload.id.text,
                                 (unsigned long long)stream->generation);
    enum err   e = blob_part_open(blobs, name, &exchange->call.error, &stream->side_fd);
    if (e == ERR_OK) blob_part_remove(blobs, name);
    return e;
}

enum err upload_stream_expect_checksum(struct exchange *exchange)
{
    struct upload_stream *stream = exchange->stream;
    struct str            value = http_header(exchange->http, "Upload-Checksum");
    if (value.data == NULL) return ERR_OK;
    enum err e = upload_checksum_parse(exchange->http->arena, value, &exchange->call.error,
                                       &stream->expected);
    if (e) return e;
    e = open_side(exchange);
    if (e) return e;
    checksum_begin(&stream->running, stream->expected.kind);
    stream->has_checksum = true;
    return ERR_OK;
}

/* --- pieces --- */

static enum err piece_to_side(struct exchange *exchange, struct str piece)
{
    struct upload_stream *stream = exchange->stream;
    struct error         *error = &exchange->call.error;
    enum err              e = upload_session_check(stream->session, stream->generation, error);
    if (e) return e;
    int64_t size = upload_session_size(stream->session);
    int64_t most = size ? size : upload_bytes_max(stream->formats);
    int64_t end = upload_session_offset(stream->session) + stream->side_bytes + (int64_t)piece.len;
    if (end > most)
        return FAIL(error, ERR_TOO_LARGE, "too_many_bytes", "more bytes than the upload may have");
    if (!disk_write_all_at(stream->side_fd, piece.data, piece.len, stream->side_bytes))
        return disk_fail(error, "write", "a part");
    stream->side_bytes += (int64_t)piece.len;
    checksum_add(&stream->running, piece.data, piece.len);
    return ERR_OK;
}

enum err upload_stream_piece(struct exchange *exchange, struct str piece)
{
    struct upload_stream *stream = exchange->stream;
    if (stream->session == NULL)
        return FAIL(&exchange->call.error, ERR_TOO_LARGE, "too_many_bytes",
                    "the upload is complete already");
    if (stream->has_checksum) return piece_to_side(exchange, piece);
    return upload_session_append(stream->session, stream->generation, piece, &exchange->call.error);
}

/* --- finish --- */

static enum err append_side(struct exchange *exchange)
{
    struct upload_stream *stream = exchange->stream;
    char                 *block = NEW(exchange->http->arena, char, COPY_BYTES);
    int64_t               at = 0;
    while (at < stream->side_bytes) {
        ssize_t got = pread(stream->side_fd, block, COPY_BYTES, at);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return disk_fail(&exchange->call.error, "read", "a part");
        struct str piece = { block, (size_t)got };
        enum err   e = upload_session_append(stream->session, stream->generation, piece,
                                             &exchange->call.error);
        if (e) return e;
        at += got;
    }
    return ERR_OK;
}

enum err upload_stream_settle(struct exchange *exchange)
{
    struct upload_stream *stream = exchange->stream;
    if (!stream->has_checksum) return ERR_OK;
    unsigned char digest[CHECKSUM_BYTES_MAX] = { 0 };
    checksum_end(&stream->running, digest);
    if (memcmp(digest, stream->expected.digest, checksum_bytes(stream->expected.kind)) != 0)
        return FAIL(&exchange->call.error, ERR_CHECKSUM, "checksum_mismatch",
                    "the bytes do not have the announced checksum; none was kept");
    return append_side(exchange);
}

static enum err commit_renewal(struct call *call, void *argument)
{
    return reservation_renew(call, argument);
}

void upload_stream_renew(struct exchange *exchange)
{
    struct upload_stream *stream = exchange->stream;
    struct reservation    reservation;
    int64_t               now_ms = world_now_ms(exchange->api->world);
    if (!upload_session_take_renewal(stream->session, now_ms, &reservation)) return;
    /* Not worth failing a request whose bytes are safe. */
    if (exchange_commit(exchange, commit_renewal, &reservation)) error_clear(&exchange->call.error);
}

/* In the writer's transaction, from nothing each time. */
static enum err commit_arrival(struct call *call, void *argument)
{
    struct upload_stream *stream = argument;
    struct reservation    reservation;
    struct upload         row = stream->upload;
    enum err              e = reservation_get(call, id_str(&stream->reservation.id), &reservation);
    if (e) return e;
    e = submission_receive(call, &reservation, &stream->received, &stream->submission,
                           &stream->is_submission_new);
    if (e) return e;
    if (!stream->has_row) {
        if (!stream->is_submission_new) return ERR_OK; /* nothing new arrived */
        e = upload_create(call, &row);
        if (e) return e;
    }
    row.size_bytes = stream->received.size_bytes;
    row.content_hash = stream->received.sha256;
    row.submission_id = stream->submission.id;
    return upload_end(call, &row, UPLOAD_DONE);
}

/* What must be true before bytes are moved, as far as reading can tell. */
static enum err check_arrival(struct exchange *exchange)
{
    struct upload_stream *stream = exchange->stream;
    struct call          *call = &exchange->call;
    struct job            job;
    enum err e = reservation_get(call, id_str(&stream->reservation.id), &stream->reservation);
    if (e) return e;
    e = upload_may_begin(call, &stream->reservation, &job);
    if (e) return e;
    return upload_session_type(stream->session, &call->error, &stream->received.media_type);
}

/* Under the blob's final name, unless that name belongs to a submission already. */
static enum err place_bytes(struct exchange *exchange)
{
    struct upload_stream     *stream = exchange->stream;
    const struct reservation *reservation = &stream->reservation;
    struct error             *error = &exchange->call.error;
    if (reservation->state == RESERVATION_USED) return ERR_OK;
    struct str blob = submission_blob_name(&reservation->submission_id, reservation->attempt,
                                           exchange->http->arena);
    enum err   e = blob_part_finish(exchange->api->blobs, id_str(&stream->upload.id), blob, error);
    if (e == ERR_NOT_FOUND)
        return FAIL(error, ERR_GONE, "upload_ended", "the upload has ended meanwhile");
    if (e) return e;
    bool holds;
    e = upload_session_holds(stream->session, blob, error, &holds);
    if (e || holds) return e;
    upload_session_end(stream->session, false);
    return FAIL(error, ERR_CONFLICT, "upload_taken_over",
                "another upload for the same reservation took its place");
}

static void arrived(struct exchange *exchange)
{
    struct upload_stream *stream = exchange->stream;
    stream->upload.state = UPLOAD_DONE;
    stream->upload.size_bytes = stream->received.size_bytes;
    stream->upload.submission_id = stream->submission.id;
    stream->has_row = true; /* nothing to take back */
    bool is_repeat = stream->reservation.state == RESERVATION_USED;
    upload_session_end(stream->session, false);
    if (is_repeat) blob_part_remove(exchange->api->blobs, id_str(&stream->upload.id));
}

/* The commit said no, and not merely that it could not be done or is not known. */
static bool is_refusal(enum err e)
{
    return e != ERR_UNAVAILABLE && e != ERR_UNCERTAIN && e != ERR_BUSY && e != ERR_INTERNAL;
}

/* A whole file that was refused at the last moment leaves nothing behind; what is under the name of
 * a used reservation is the submission's. */
static void take_back(struct exchange *exchange)
{
    const struct upload_stream *stream = exchange->stream;
    const struct reservation   *reservation = &stream->reservation;
    if (reservation->state == RESERVATION_USED) return;
    blob_remove(exchange->api->blobs,
                submission_blob_name(&reservation->submission_id, reservation->attempt,
                                     exchange->http->arena));
}

static enum err arrive(struct exchange *exchange)
{
    struct upload_stream *stream = exchange->stream;
    enum err              e = use_reader(exchange);
    if (e) return e;
    if (stream->has_row) {
        e = upload_get_own(&exchange->call, id_str(&stream->upload.id), &stream->upload);
        if (e) return e;
        e = check_state(exchange, &stream->upload);
        if (e || stream->upload.state == UPLOAD_DONE) return e;
    }
    e = check_arrival(exchange);
    if (e) return e;
    stream->received.filename = stream->upload.filename;
    stream->received.size_bytes = upload_session_offset(stream->session);
    e = upload_session_hash(stream->session, exchange->http->arena, &exchange->call.error,
                            &stream->received.sha256);
    if (e) return e;
    e = place_bytes(exchange);
    if (e) return e;
    e = exchange_commit(exchange, commit_arrival, stream);
    if (e == ERR_OK)
        arrived(exchange);
    else if (!stream->has_row && is_refusal(e))
        take_back(exchange);
    return e;
}

enum err upload_stream_arrive(struct exchange *exchange)
{
    struct upload_stream *stream = exchange->stream;
    struct id             submission_id = stream->reservation.submission_id;
    upload_table_lock(exchange->api->uploads, &submission_id);
    enum err e = arrive(exchange);
    upload_table_unlock(exchange->api->uploads, &submission_id);
    return e;
}

/* --- going on --- */

static enum err resume_open(struct exchange *exchange, int64_t *ret_offset)
{
    struct upload_stream *stream = exchange->stream;
    int64_t               offset;
    enum err              e = upload_stream_take(exchange, -1);
    if (e) return e;
    e = upload_session_sync(stream->session, &exchange->call.error, &offset);
    if (e) return e;
    *ret_offset = offset;
    if (!upload_session_is_complete(stream->session)) return ERR_OK;
    e = upload_stream_arrive(exchange);
    if (e == ERR_OK) *ret_offset = stream->upload.size_bytes;
    return e;
}

static enum err resume(struct exchange *exchange, struct str upload_id, int64_t *ret_offset)
{
    const struct upload_stream *stream = exchange->stream;
    enum err                    e = use_reader(exchange);
    if (e == ERR_OK) e = upload_stream_find_now(exchange, upload_id);
    if (e) return e;
    if (stream->upload.state == UPLOAD_OPEN) return resume_open(exchange, ret_offset);
    *ret_offset = stream->upload.size_bytes;
    return ERR_OK;
}

enum err upload_stream_resume(struct exchange *exchange, struct str upload_id, int64_t *ret_offset)
{
    enum err e = resume(exchange, upload_id, ret_offset);
    if (e != ERR_CONFLICT && e != ERR_GONE) return e;
    /* Another request may just have completed it: then the row says so. */
    upload_stream_close(exchange);
    upload_stream_new(exchange);
    error_clear(&exchange->call.error);
    return resume(exchange, upload_id, ret_offset);
}

/* --- end --- */

void upload_stream_close(struct exchange *exchange)
{
    struct upload_stream *stream = exchange->stream;
    if (stream == NULL) return;
    fd_close(&stream->side_fd);
    stream->side_fd = -1;
    checksum_drop(&stream->running);
    if (stream->session == NULL) return;
    if (!stream->has_row) upload_session_end(stream->session, true);
    upload_session_unpin(stream->session);
    stream->session = NULL;
}

void upload_stream_end(struct exchange *exchange, bool is_complete)
{
    (void)is_complete;
    upload_stream_close(exchange);
}
