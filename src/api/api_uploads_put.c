#include "api/render.h"
#include "api/upload_stream.h"

/* A whole file in one request. Its upload is in the store only once it has become a submission. */
static enum err prepare(struct exchange *exchange)
{
    struct upload_stream *stream = exchange->stream;
    struct call          *call = &exchange->call;
    int64_t               declared = exchange->http->body_bytes_declared; /* -1 = not said */
    struct job            job;
    enum err e = reservation_get(call, request_path(&exchange->request, "reservation_id"),
                                 &stream->reservation);
    if (e) return e;
    e = upload_may_begin(call, &stream->reservation, &job);
    if (e) return e;
    stream->formats = job.formats;
    int64_t bytes_max = upload_bytes_max(job.formats);
    if (declared > bytes_max)
        return FAIL(&call->error, ERR_TOO_LARGE, "file_too_large",
                    "a file of this job may have %lld bytes", (long long)bytes_max);
    if (declared == 0)
        return FAIL(&call->error, ERR_MEDIA_TYPE, "unsupported_format",
                    "an empty file is of no type");
    stream->upload = (struct upload){
        .id = id_new(ID_UPLOAD, call->now_ms),
        .worker_id = call->actor.worker_id,
        .reservation_id = stream->reservation.id,
        .size_bytes = declared > 0 ? declared : 0,
        .filename = upload_disposition_filename(exchange->http->arena,
                                                http_header(exchange->http, "Content-Disposition")),
    };
    return upload_stream_take(exchange, 0);
}

static enum err put_begin(struct exchange *exchange)
{
    upload_stream_new(exchange);
    enum err e = prepare(exchange);
    if (e) upload_stream_close(exchange);
    return e;
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
