#include "api/api.h"
#include "api/byte_range.h"
#include "api/request_header.h"
#include "domain/file_removal.h"
#include "domain/render.h"

static void file_headers(struct call *call, struct reply *reply, const struct delivered_file *file,
                         struct str etag)
{
    reply->content_type = str_of(media_type_name(file->media_type));
    reply_header(reply, "ETag", etag);
    reply_header(reply, "Accept-Ranges", STR("bytes"));
    reply_header(reply, "Cache-Control", STR("private, max-age=604800, immutable"));
    reply_header(reply, "X-Content-Type-Options", STR("nosniff"));
    /* Should a viewer show it after all, then nothing in it runs, and not as this server's. */
    reply_header(reply, "Content-Security-Policy", STR("default-src 'none'; sandbox"));
    reply_header(
        reply, "Content-Disposition",
        str_format(call->arena, "attachment; filename=\"%s\"", file_name(file, call->arena).data));
}

/* A range is for GET (RFC 9110 §14.2), and for the bytes that the client has a part of. */
static struct str wanted_range(const struct request *request, struct str etag)
{
    struct str if_range = request_text(request, "If-Range");
    if (!str_eq(request->http->method, STR("GET"))) return STR_NONE;
    if (if_range.data && !str_eq(if_range, etag)) return STR_NONE;
    return request_text(request, "Range");
}

/* Choose what of the file to send, and say so. */
static enum err choose_range(struct call *call, const struct request *request, struct reply *reply,
                             struct str etag, int64_t size)
{
    struct str range = wanted_range(request, etag);
    switch (byte_range_parse(range, size, &reply->file_offset, &reply->file_length)) {
    case RANGE_WHOLE: return ERR_OK;
    case RANGE_PART:
        reply->status = 206;
        reply_header(reply, "Content-Range",
                     str_format(call->arena, "bytes %lld-%lld/%lld", (long long)reply->file_offset,
                                (long long)(reply->file_offset + reply->file_length - 1),
                                (long long)size));
        return ERR_OK;
    case RANGE_UNSATISFIABLE: break;
    }
    http_reply_header(request->http, "Content-Range",
                      str_format(call->arena, "bytes */%lld", (long long)size));
    return FAIL(&call->error, ERR_RANGE, "range_unsatisfiable", "the file has %lld bytes",
                (long long)size);
}

static enum err send_file(struct call *call, const struct request *request, struct reply *reply,
                          const struct delivered_file *file)
{
    struct str etag = str_format(call->arena, "\"%.*s\"", STR_ARG(file->sha256));
    file_headers(call, reply, file, etag);
    int64_t  size;
    int      fd;
    enum err e = blob_open(request->api->blobs, file->blob, &call->error, &fd, &size);
    if (e == ERR_NOT_FOUND)
        return FAIL(&call->error, ERR_INTERNAL, "blob_missing", "%s", file->id.text);
    if (e) return e;     /* the disk's trouble, or too many open files: again later */
    reply->file_fd = fd; /* the reply closes it, whatever happens */
    if (size != file->size_bytes)
        return FAIL(&call->error, ERR_INTERNAL, "blob_missing", "%s has %lld bytes", file->id.text,
                    (long long)size);
    if (!etag_is_listed(request_text(request, "If-None-Match"), etag))
        return choose_range(call, request, reply, etag, size);
    /* With the file, which is not sent: its length is told, and not that of an empty reply. */
    reply->status = 304;
    reply->file_length = size;
    return ERR_OK;
}

static enum err download_file(struct call *call, const struct request *request, struct reply *reply)
{
    struct str id_text = request_path(request, "file_id");
    struct id  id;
    if (!id_parse(id_text, ID_FILE, &id))
        return FAIL(&call->error, ERR_NOT_FOUND, "file", "no such file");
    enum err e = file_check_link(call, id_text, request_text(request, "expires"),
                                 request_text(request, "key"), request_text(request, "signature"));
    if (e) return e;
    struct delivered_file file;
    e = file_get_any(call, &id, &file);
    if (e) return e;
    if (file_is_removed(call, &file))
        return FAIL(&call->error, ERR_GONE, "file_expired", "the sandbox keeps files for a week");
    return send_file(call, request, reply, &file);
}

/* A link is a permission: a stored reply with one is sealed. */
static enum err refresh_url(struct call *call, const struct request *request, struct reply *reply)
{
    struct delivered_file file;
    enum err              e = file_get(call, request_path(request, "file_id"), &file);
    if (e) return e;
    reply->carries_secret = true;
    render_file(call, &reply->out, NULL, &file, LINKS_NOW);
    return ERR_OK;
}

const struct binding downloads_bindings[] = {
    { .operation_id = "downloadFile", .handle = download_file },
    { .operation_id = "refreshFileUrl", .handle = refresh_url },
    { 0 },
};
