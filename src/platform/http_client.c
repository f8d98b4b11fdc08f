#include "platform/http_client.h"

#include "base/buf.h"

#include <curl/curl.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static const long CONNECT_MS_MAX = 5000;

static pthread_once_t is_global_ready = PTHREAD_ONCE_INIT;

static void init_global(void)
{
    CHECK(curl_global_init(CURL_GLOBAL_DEFAULT) == 0);
}

struct http_client *http_client_open(void)
{
    CHECK(pthread_once(&is_global_ready, init_global) == 0);
    CURL *curl = curl_easy_init();
    CHECK(curl != NULL);
    return (struct http_client *)curl;
}

void http_client_close(struct http_client *client)
{
    curl_easy_cleanup((CURL *)client);
}

static size_t take_reply(char *bytes, size_t size, size_t count, void *argument)
{
    struct buf *body = argument;
    buf_add(body, (struct str){ bytes, size * count });
    return body->failed ? 0 : size * count;
}

static void file_close(FILE **file)
{
    if (*file) fclose(*file);
}

static void list_free(struct curl_slist **list)
{
    curl_slist_free_all(*list);
}

static enum err set_file(CURL *curl, const char *path, FILE **ret_file, struct error *error)
{
    struct stat               info;
    CLEANUP(file_close) FILE *file = fopen(path, "rbe");
    if (file == NULL || fstat(fileno(file), &info) != 0)
        return FAIL(error, ERR_NOT_FOUND, "file_unreadable", "%s: %s", path, strerror(errno));
    if (!S_ISREG(info.st_mode))
        return FAIL(error, ERR_NOT_FOUND, "file_unreadable", "%s: not a file", path);
    curl_easy_setopt(curl, CURLOPT_UPLOAD, 1L);
    curl_easy_setopt(curl, CURLOPT_READDATA, file);
    curl_easy_setopt(curl, CURLOPT_INFILESIZE_LARGE, (curl_off_t)info.st_size);
    *ret_file = file;
    file = NULL;
    return ERR_OK;
}

static int64_t reply_bytes_max(const struct http_client_request *request)
{
    return request->reply_bytes_max ? request->reply_bytes_max : HTTP_CLIENT_REPLY_BYTES_MAX;
}

/* Anything but 0 ends the transfer. */
static int on_progress(void *argument, curl_off_t down_all, curl_off_t down, curl_off_t up_all,
                       curl_off_t up)
{
    const struct http_client_request *request = argument;
    (void)down_all, (void)down, (void)up_all, (void)up;
    return request->is_cancelled(request->context);
}

static void set_options(CURL *curl, const struct http_client_request *request, struct buf *body,
                        char *problem)
{
    curl_easy_reset(curl);
    curl_easy_setopt(curl, CURLOPT_URL, request->url);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_PROXY, "");
    curl_easy_setopt(curl, CURLOPT_NOPROXY, "*");
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_MS_MAX);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)request->timeout_ms);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_reply);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, body);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, problem);
    if (request->ca_path) {
        curl_easy_setopt(curl, CURLOPT_CAINFO, request->ca_path);
        curl_easy_setopt(curl, CURLOPT_CAPATH, NULL);
    }
    if (request->is_cancelled) {
        curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
        curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_progress);
        curl_easy_setopt(curl, CURLOPT_XFERINFODATA, request);
    }
    if (request->body.data) {
        curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body.len);
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, request->body.data);
    }
}

enum err http_client_send(struct http_client *client, const struct http_client_request *request,
                          struct arena *arena, struct error *error,
                          struct http_client_reply *ret_reply)
{
    CURL      *curl = (CURL *)client;
    char       problem[CURL_ERROR_SIZE] = "";
    struct buf body;
    buf_init(&body, arena, (size_t)reply_bytes_max(request));
    set_options(curl, request, &body, problem);

    CLEANUP(file_close) FILE *file = NULL;
    if (request->file_path) {
        enum err e = set_file(curl, request->file_path, &file, error);
        if (e) return e;
    }
    curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, request->method);
    CLEANUP(list_free) struct curl_slist *headers = NULL;
    CHECK(request->headers_count <= HTTP_CLIENT_HEADERS_MAX);
    for (int i = 0; i < request->headers_count; i++) {
        struct curl_slist *longer = curl_slist_append(headers, request->headers[i]);
        CHECK(longer != NULL);
        headers = longer;
    }
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);

    CURLcode result = curl_easy_perform(curl);
    if (body.failed)
        return FAIL(error, ERR_TOO_LARGE, "http_reply_too_large", "more than %lld bytes",
                    (long long)reply_bytes_max(request));
    if (result != CURLE_OK)
        return FAIL(error, ERR_UNAVAILABLE, "http_failed", "%s",
                    problem[0] ? problem : curl_easy_strerror(result));
    long status = 0;
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    *ret_reply = (struct http_client_reply){ (int)status, buf_str(&body) };
    return ERR_OK;
}
