#include "api/api.h"
#include "api/listing.h"
#include "api/upload_stream.h"

/* What the store calls it, and what the API does. */
static struct str shown_state(enum upload_state state)
{
    if (state == UPLOAD_OPEN) return STR("receiving");
    if (state == UPLOAD_DONE) return STR("finished");
    return str_of(upload_state_name(state));
}

static int64_t shown_offset(const struct request *request, const struct upload *upload)
{
    if (upload->state == UPLOAD_DONE) return upload->size_bytes;
    if (upload->state != UPLOAD_OPEN) return 0; /* its bytes are gone */
    int64_t size = blob_part_size(request->api->blobs, id_str(&upload->id));
    return size > 0 ? size : 0;
}

static void render_upload(struct json_out *out, const struct request *request,
                          const struct upload *upload)
{
    out_object(out, NULL);
    out_text(out, "id", id_str(&upload->id));
    out_text(out, "object", STR("upload"));
    out_text(out, "reservation_id", id_str(&upload->reservation_id));
    if (upload->size_bytes)
        out_int(out, "size_bytes", upload->size_bytes);
    else
        out_null(out, "size_bytes");
    out_int(out, "offset_bytes", shown_offset(request, upload));
    out_text(out, "state", shown_state(upload->state));
    out_text(out, "content_hash", upload->content_hash);
    out_text(out, "filename", upload->filename);
    out_time(out, "created_at", upload->created_ms);
    out_close(out);
}

static enum err list_uploads(struct call *call, const struct request *request, struct reply *reply)
{
    struct listing listing;
    enum err e = listing_open(call, request, page_listing(call, "uploads"), ID_UPLOAD, &listing);
    if (e) return e;
    struct upload *rows = NEW(call->arena, struct upload, listing_rows(&listing));
    int            count;
    e = upload_list_own(call, &listing.page.before, listing_rows(&listing), rows, &count);
    if (e) return e;
    int shown = listing_shown(&listing, count);
    reply_list_begin(reply);
    for (int i = 0; i < shown; i++)
        render_upload(&reply->out, request, &rows[i]);
    const struct upload *last = &rows[listing_last(&listing, count)];
    reply_list_end(reply, listing_cursor(call, &listing, count, &last->id, 0));
    return ERR_OK;
}

static enum err tus_options(struct call *call, const struct request *request, struct reply *reply)
{
    (void)request;
    reply->status = 204;
    reply_header(reply, "Tus-Version", STR("1.0.0"));
    reply_header(reply, "Tus-Extension",
                 STR("creation,creation-with-upload,creation-defer-length,expiration,checksum,"
                     "termination"));
    reply_header(reply, "Tus-Max-Size",
                 str_format(call->arena, "%lld", (long long)UPLOAD_VIDEO_BYTES_MAX));
    reply_header(reply, "Tus-Checksum-Algorithm", STR(UPLOAD_CHECKSUM_ALGORITHMS));
    return ERR_OK;
}

/* --- HEAD --- */

static enum err reply_offset(struct exchange *exchange, int64_t offset, int64_t size_bytes)
{
    const struct upload_stream *stream = exchange->stream;
    struct reply               *reply = &exchange->reply;
    upload_reply_progress(exchange, &stream->upload, offset);
    if (size_bytes)
        reply_header(reply, "Upload-Length",
                     str_format(exchange->http->arena, "%lld", (long long)size_bytes));
    else
        reply_header(reply, "Upload-Defer-Length", STR("1"));
    if (stream->upload.metadata.len)
        reply_header(reply, "Upload-Metadata", stream->upload.metadata);
    return ERR_OK;
}

static struct str upload_id_of(const struct exchange *exchange)
{
    return request_path(&exchange->request, "upload_id");
}

static int64_t size_of(const struct upload_stream *stream)
{
    return stream->session ? upload_session_size(stream->session) : stream->upload.size_bytes;
}

static enum err get_upload_offset(struct exchange *exchange)
{
    int64_t offset;
    upload_stream_new(exchange);
    enum err e = upload_check_version(exchange);
    if (e) return e;
    e = upload_stream_resume(exchange, upload_id_of(exchange), &offset);
    if (e == ERR_OK) e = reply_offset(exchange, offset, size_of(exchange->stream));
    upload_stream_close(exchange);
    return e;
}

/* --- DELETE --- */

static enum err commit_termination(struct call *call, void *argument)
{
    struct upload_stream *stream = argument;
    struct upload         row = stream->upload;
    return upload_end(call, &row, UPLOAD_TERMINATED);
}

/* No finish for the submission runs meanwhile. */
static enum err terminate(struct exchange *exchange)
{
    struct upload_stream *stream = exchange->stream;
    enum err              e = upload_stream_find_now(exchange, upload_id_of(exchange));
    if (e) return e;
    if (stream->upload.state == UPLOAD_DONE)
        return FAIL(&exchange->call.error, ERR_CONFLICT, "upload_finished",
                    "the upload has become a submission");
    e = upload_stream_take(exchange, -1);
    if (e) return e;
    e = exchange_commit(exchange, commit_termination, stream);
    if (e) return e;
    upload_session_end(stream->session, false);
    blob_part_remove(exchange->api->blobs, id_str(&stream->upload.id));
    exchange->reply.status = 204;
    return ERR_OK;
}

static enum err terminate_upload(struct exchange *exchange)
{
    struct upload_stream *stream = upload_stream_new(exchange);
    enum err              e = upload_check_version(exchange);
    if (e) return e;
    e = upload_stream_find_now(exchange, upload_id_of(exchange));
    if (e) return e;
    struct id submission_id = stream->reservation.submission_id;
    upload_table_lock(exchange->api->uploads, &submission_id);
    e = terminate(exchange);
    upload_table_unlock(exchange->api->uploads, &submission_id);
    upload_stream_close(exchange);
    return e;
}

const struct binding uploads_bindings[] = {
    { .operation_id = "tusOptions", .handle = tus_options },
    { .operation_id = "createUpload", .stream = &upload_create_ops },
    { .operation_id = "getUploadOffset", .external = get_upload_offset },
    { .operation_id = "appendUpload", .stream = &upload_append_ops },
    { .operation_id = "terminateUpload", .external = terminate_upload },
    { .operation_id = "listUploads", .handle = list_uploads },
    { .operation_id = "putReservationFile", .stream = &upload_put_ops },
    { 0 },
};
