#include "api/upload_stream.h"
#include "domain/render.h"

/* A whole file in one request. Its upload is in the store only once it has become a submission. */
static enum err prepare(struct exchange *exchange)
{
    struct upload_stream *stream = exchange->stream;
    int64_t               declared = exchange->http->body_bytes_declared; /* -1 = not said */
    if (http_header(exchange->http, "Content-Range").data)
        return FAIL(&exchange->call.error, ERR_INVALID, "content_range",
                    "send the whole file, or its parts by tus");
    enum err e =
        upload_stream_make(exchange, request_path(&exchange->request, "reservation_id"), declared);
    if (e) return e;
    if (declared == 0)
        return FAIL(&exchange->call.error, ERR_MEDIA_TYPE, "unsupported_format",
                    "the file is empty");
    stream->upload.size_bytes = declared > 0 ? declared : 0;
    stream->upload.filename = upload_disposition_filename(
        exchange->http->arena, http_header(exchange->http, "Content-Disposition"));
    return upload_stream_take(exchange, 0);
}

static enum err put_begin(struct exchange *exchange)
{
    return upload_stream_begin(exchange, prepare);
}

static enum err put_finish(struct exchange *exchange)
{
    struct upload_stream *stream = exchange->stream;
    int64_t               size_bytes = upload_session_offset(stream->session);
    enum err e = upload_session_set_size(stream->session, size_bytes, &exchange->call.error);
    if (e == ERR_OK) e = upload_stream_arrive(exchange);
    if (e) return e;
    exchange->reply.status = stream->is_submission_new ? 201 : 200;
    render_worker_submission(&exchange->reply.out, NULL, &stream->submission);
    return ERR_OK;
}

const struct stream_ops upload_put_ops = {
    .begin = put_begin,
    .piece = upload_stream_piece,
    .finish = put_finish,
    .end = upload_stream_end,
};
