/* HTTP out, by libcurl; the only user of its headers. One request at a time, bounded in time and in
 * what it reads; no proxies, no redirects. */
#ifndef FIRSTHAND_PLATFORM_HTTP_CLIENT_H
#define FIRSTHAND_PLATFORM_HTTP_CLIENT_H

#include "base/error.h"

enum { HTTP_CLIENT_REPLY_BYTES_MAX = 1 << 20, HTTP_CLIENT_HEADERS_MAX = 8 };

struct http_client;

struct http_client_request {
    const char *method;
    const char *url;
    struct str  body;      /* absent = none, or the file's */
    const char *file_path; /* sent as the body, streamed; NULL = none */
    int         headers_count;
    const char *headers[HTTP_CLIENT_HEADERS_MAX]; /* "Name: value" */
    int64_t     timeout_ms;
    const char *ca_path;         /* PEM authorities; NULL = the system's */
    int64_t     reply_bytes_max; /* 0 = HTTP_CLIENT_REPLY_BYTES_MAX */
    /* Asked about once a second while it lasts: give up now? NULL = never. */
    bool (*is_cancelled)(void *context);
    void *context;
};

struct http_client_reply {
    int        status;
    struct str body; /* owned by the arena */
};

/* A handle that keeps its connections; used by one thread at a time. Never NULL; owned by the
 * caller until http_client_close. */
struct http_client *http_client_open(void);
void                http_client_close(struct http_client *client);

/* ERR_UNAVAILABLE "http_failed" (with what went wrong, cancelled included), ERR_TOO_LARGE
 * "http_reply_too_large", ERR_NOT_FOUND "file_unreadable" (or no plain file). A status is an
 * answer, whatever it is. */
MUST_USE enum err http_client_send(struct http_client               *client,
                                   const struct http_client_request *request, struct arena *arena,
                                   struct error *error, struct http_client_reply *ret_reply);

#endif
