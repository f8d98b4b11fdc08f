#include "api/request_header.h"
#include "api/upload_stream.h"

#include "base/num.h"

/* --- what creating and appending have in common --- */

static enum err check_content_type(struct exchange *exchange)
{
    struct str sent = http_header(exchange->http, "Content-Type");
    if (content_type_is(sent, STR("application/offset+octet-stream"))) return ERR_OK;
    return FAIL(&exchange->call.error, ERR_MEDIA_TYPE, "not_offset_stream",
                "send Content-Type: application/offset+octet-stream");
}

/* A header that is a number of bytes. *ret_is_there tells whether it came. */
static enum err read_bytes_header(struct exchange *exchange, const char *name, int64_t *ret_bytes,
                                  bool *ret_is_there)
{
    struct str value = http_header(exchange->http, name);
    *ret_is_there = value.data != NULL;
    if (value.data == NULL || upload_bytes_parse(value, ret_bytes)) return ERR_OK;
    error_add_fault(&exchange->call.error, exchange->http->arena, str_of(name), "type",
                    "must be a number of bytes");
    return FAIL_FAULTS(&exchange->call.error, exchange->http->arena, ERR_INVALID,
                       "invalid_parameters");
}

/* Too large for its job: how large may it be? */
static void tell_bytes_max(struct exchange *exchange)
{
    const struct upload_stream *stream = exchange->stream;
    http_reply_header(
        exchange->http, "Tus-Max-Size",
        str_format(exchange->http->arena, "%lld", (long long)upload_bytes_max(stream->formats)));
}

/* --- creating --- */

/* Upload-Length, or a promise of it. */
static enum err read_length(struct exchange *exchange)
{
    struct upload_stream *stream = exchange->stream;
    struct error         *error = &exchange->call.error;
    bool                  has_length;
    enum err              e =
        read_bytes_header(exchange, "Upload-Length", &stream->upload.size_bytes, &has_length);
    if (e) return e;
    struct str defer = http_header(exchange->http, "Upload-Defer-Length");
    if (defer.data && !str_eq(defer, STR("1")))
        return FAIL(error, ERR_INVALID, "defer_length", "Upload-Defer-Length can only be 1");
    if (has_length == (defer.data != NULL))
        return FAIL(error, ERR_INVALID, "length_missing",
                    "send either Upload-Length or Upload-Defer-Length: 1");
    if (has_length && stream->upload.size_bytes == 0)
        return FAIL(error, ERR_MEDIA_TYPE, "unsupported_format", "the file is empty");
    return ERR_OK;
}

static enum err check_checksum_form(struct exchange *exchange)
{
    struct str             value = http_header(exchange->http, "Upload-Checksum");
    struct upload_checksum checksum;
    if (value.data == NULL) return ERR_OK;
    return upload_checksum_parse(exchange->http->arena, value, &exchange->call.error, &checksum);
}

static enum err read_create_headers(struct exchange *exchange)
{
    struct upload_stream *stream = exchange->stream;
    struct error         *error = &exchange->call.error;
    bool                  may_have_body = exchange->http->body_bytes_declared != 0;
    enum err              e = may_have_body ? check_content_type(exchange) : ERR_OK;
    if (e) return e;
    if (http_header(exchange->http, "Upload-Concat").data)
        return FAIL(error, ERR_INVALID, "concatenation", "uploads cannot be concatenated");
    e = read_length(exchange);
    if (e == ERR_OK) e = check_checksum_form(exchange);
    if (e) return e;
    struct str metadata = http_header(exchange->http, "Upload-Metadata");
    stream->upload.metadata = str_copy(exchange->http->arena, metadata);
    return upload_metadata_parse(exchange->http->arena, metadata, error, &stream->upload.filename);
}

/* The body is a stream, and how much of it comes at once is chance: a repeat is what creates the
 * same upload. */
static void set_fingerprint(struct exchange *exchange)
{
    const struct http_exchange *http = exchange->http;
    struct str headers = str_format(http->arena, "length %.*s\ndefer %.*s\nmetadata %.*s",
                                    STR_ARG(http_header(http, "Upload-Length")),
                                    STR_ARG(http_header(http, "Upload-Defer-Length")),
                                    STR_ARG(http_header(http, "Upload-Metadata")));
    idempotency_fingerprint(http->method, http->path, http->query, headers,
                            exchange->idempotency.fingerprint);
}

/* stream->first_id, when the Idempotency-Key has one. */
static enum err find_first(struct call *call, struct exchange *exchange)
{
    struct upload_stream *stream = exchange->stream;
    struct stored_reply   stored;
    bool                  is_there;
    stream->first_id = STR_NONE;
    if (!exchange->has_idempotency_key) return ERR_OK;
    enum err e = idempotency_find(call, &exchange->idempotency, &stored, &is_there);
    if (e == ERR_OK && is_there) stream->first_id = stored.resource_id;
    return e;
}

static enum err prepare_new(struct exchange *exchange)
{
    struct upload_stream *stream = exchange->stream;
    int64_t  announced = num_max(stream->upload.size_bytes, exchange->http->body_bytes_declared);
    enum err e =
        upload_stream_make(exchange, request_text(&exchange->request, "reservation"), announced);
    if (e == ERR_TOO_LARGE) tell_bytes_max(exchange);
    if (e) return e;
    e = upload_may_add(&exchange->call);
    if (e) return e;
    if (stream->upload.size_bytes && announced > stream->upload.size_bytes)
        return FAIL(&exchange->call.error, ERR_TOO_LARGE, "too_many_bytes",
                    "more bytes than Upload-Length says");
    e = upload_stream_take(exchange, 0);
    if (e) return e;
    return upload_stream_expect_checksum(exchange);
}

static enum err prepare_create(struct exchange *exchange)
{
    const struct upload_stream *stream = exchange->stream;
    enum err                    e = upload_check_version(exchange);
    if (e) return e;
    e = read_create_headers(exchange);
    if (e) return e;
    set_fingerprint(exchange);
    e = find_first(&exchange->call, exchange);
    if (e || stream->first_id.data) return e;
    return prepare_new(exchange);
}

static enum err create_begin(struct exchange *exchange)
{
    return upload_stream_begin(exchange, prepare_create);
}

/* Of a repeat the bytes are dropped: the upload goes on by PATCH. */
static enum err create_piece(struct exchange *exchange, struct str piece)
{
    const struct upload_stream *stream = exchange->stream;
    if (stream->first_id.data) return ERR_OK;
    return upload_stream_piece(exchange, piece);
}

/* The row, with the Idempotency-Key bound to it, unless the key has an upload by now. */
static enum err commit_row(struct call *call, void *argument)
{
    struct exchange      *exchange = argument;
    struct upload_stream *stream = exchange->stream;
    enum err              e = find_first(call, exchange);
    if (e || stream->first_id.data) return e;
    e = upload_may_add(call);
    if (e) return e;
    e = upload_create(call, &stream->upload);
    if (e || !exchange->has_idempotency_key) return e;
    struct stored_reply stored = { .status = 201, .resource_id = id_str(&stream->upload.id) };
    return idempotency_store(call, &exchange->idempotency, &stored, false);
}

static enum err keep_new(struct exchange *exchange, int64_t *ret_offset)
{
    struct upload_stream *stream = exchange->stream;
    enum err              e = upload_stream_settle(exchange);
    if (e) return e;
    e = upload_session_sync(stream->session, &exchange->call.error, ret_offset);
    if (e) return e;
    e = exchange_commit(exchange, commit_row, exchange);
    if (e || stream->first_id.data) return e;
    stream->has_row = true;
    upload_session_set_row(stream->session);
    if (upload_session_is_complete(stream->session)) e = upload_stream_arrive(exchange);
    return e;
}

/* Answer with the upload of the first request, as it is now; what this one has brought goes. */
static enum err answer_first(struct exchange *exchange, struct str first_id, int64_t *ret_offset)
{
    upload_stream_close(exchange);
    upload_stream_new(exchange);
    enum err e = upload_stream_resume(exchange, first_id, ret_offset);
    exchange->is_replay = e == ERR_OK;
    return e;
}

static enum err create_finish(struct exchange *exchange)
{
    struct upload_stream *stream = exchange->stream;
    int64_t               offset;
    enum err              e = stream->first_id.data ? ERR_OK : keep_new(exchange, &offset);
    if (e == ERR_OK && stream->first_id.data) {
        e = answer_first(exchange, stream->first_id, &offset);
        stream = exchange->stream;
    }
    if (e) return e;
    exchange->reply.status = 201;
    reply_header(&exchange->reply, "Location",
                 str_format(exchange->http->arena, "%.*s/worker/v1/uploads/%s",
                            STR_ARG(exchange->api->config->public_url), stream->upload.id.text));
    upload_reply_progress(exchange, &stream->upload, offset);
    return ERR_OK;
}

const struct stream_ops upload_create_ops = {
    .begin = create_begin,
    .piece = create_piece,
    .finish = create_finish,
    .end = upload_stream_end,
};

/* --- appending --- */

/* The upload was finished before: nothing but a repeat of the last, empty request fits. */
static enum err prepare_done(struct exchange *exchange, int64_t offset)
{
    struct upload_stream *stream = exchange->stream;
    if (offset == stream->upload.size_bytes) return ERR_OK; /* a piece is refused */
    http_reply_header(
        exchange->http, "Upload-Offset",
        str_format(exchange->http->arena, "%lld", (long long)stream->upload.size_bytes));
    return FAIL(&exchange->call.error, ERR_CONFLICT, "wrong_offset", "the upload is complete");
}

/* A length that was promised at creation. */
static enum err take_length(struct exchange *exchange)
{
    struct upload_stream *stream = exchange->stream;
    int64_t               size_bytes;
    bool                  is_there;
    enum err              e = read_bytes_header(exchange, "Upload-Length", &size_bytes, &is_there);
    if (e || !is_there) return e;
    return upload_session_set_size(stream->session, size_bytes, &exchange->call.error);
}

static enum err check_announced(struct exchange *exchange, int64_t offset)
{
    struct upload_stream *stream = exchange->stream;
    int64_t               size_bytes = upload_session_size(stream->session);
    int64_t               declared = exchange->http->body_bytes_declared;
    if (size_bytes && declared > size_bytes - offset)
        return FAIL(&exchange->call.error, ERR_TOO_LARGE, "too_many_bytes",
                    "more bytes than Upload-Length says");
    return ERR_OK;
}

static enum err prepare_append(struct exchange *exchange)
{
    struct upload_stream *stream = exchange->stream;
    int64_t               offset;
    bool                  has_offset;
    enum err              e = upload_check_version(exchange);
    if (e) return e;
    e = check_content_type(exchange);
    if (e) return e;
    e = read_bytes_header(exchange, "Upload-Offset", &offset, &has_offset);
    if (e) return e;
    if (!has_offset)
        return FAIL(&exchange->call.error, ERR_INVALID, "offset_missing", "send Upload-Offset");
    e = upload_stream_find(exchange, request_path(&exchange->request, "upload_id"));
    if (e) return e;
    if (stream->upload.state == UPLOAD_DONE) return prepare_done(exchange, offset);
    e = upload_stream_take(exchange, offset);
    if (e) return e;
    e = take_length(exchange);
    if (e) return e;
    e = check_announced(exchange, offset);
    if (e) return e;
    return upload_stream_expect_checksum(exchange);
}

static enum err append_begin(struct exchange *exchange)
{
    return upload_stream_begin(exchange, prepare_append);
}

static enum err commit_length(struct call *call, void *argument)
{
    const struct upload *upload = argument;
    return upload_set_size(call, &upload->id, upload->size_bytes);
}

/* The row learns a length that this request brought. */
static enum err keep_length(struct exchange *exchange)
{
    struct upload_stream *stream = exchange->stream;
    int64_t               size_bytes = upload_session_size(stream->session);
    if (size_bytes == stream->upload.size_bytes) return ERR_OK;
    stream->upload.size_bytes = size_bytes;
    return exchange_commit(exchange, commit_length, &stream->upload);
}

static enum err append_finish(struct exchange *exchange)
{
    struct upload_stream *stream = exchange->stream;
    struct error         *error = &exchange->call.error;
    int64_t               offset = stream->upload.size_bytes;
    exchange->reply.status = 204;
    if (stream->session == NULL) {
        upload_reply_progress(exchange, &stream->upload, offset);
        return ERR_OK;
    }
    enum err e = upload_stream_settle(exchange);
    if (e) return e;
    e = upload_session_sync(stream->session, error, &offset);
    if (e) return e;
    if (upload_session_is_complete(stream->session)) {
        e = upload_stream_arrive(exchange);
        if (e) return e;
        offset = stream->upload.size_bytes;
    } else {
        e = keep_length(exchange);
        if (e) return e;
        upload_stream_renew(exchange);
    }
    upload_reply_progress(exchange, &stream->upload, offset);
    return ERR_OK;
}

const struct stream_ops upload_append_ops = {
    .begin = append_begin,
    .piece = upload_stream_piece,
    .finish = append_finish,
    .end = upload_stream_end,
};
