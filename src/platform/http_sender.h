/* Many POST requests at once to addresses that buyers name, by libcurl on the owner's thread alone:
 * nothing here blocks. A name is resolved once a request, all its addresses are asked about at the
 * guard, the connection is pinned to one of them and looked at again when its socket is made.
 * Connections are kept and used again for the same place and address only. HTTP/1.1, no proxies, no
 * redirects, TLS verified. All but http_sender_wake is for the owner's thread. */
#ifndef FIRSTHAND_PLATFORM_HTTP_SENDER_H
#define FIRSTHAND_PLATFORM_HTTP_SENDER_H

#include "platform/http_guard.h"

enum {
    HTTP_SENDER_TRANSFERS_MAX = 256, /* at once; also of connections that are kept */
    HTTP_SENDER_HEADERS_MAX = 8,
    HTTP_SENDER_REPLY_BYTES_MAX = 64 << 10, /* read of a reply's headers, and of its body */
    HTTP_SENDER_KEPT_BYTES_MAX = 1024,      /* kept of its body */
};

/* How a request ended. */
enum http_send_outcome {
    HTTP_ANSWERED, /* whatever the status */
    HTTP_URL_REFUSED,
    HTTP_NAME_UNKNOWN, /* does not resolve */
    HTTP_ADDRESS_REFUSED,
    HTTP_NOT_CONNECTED,
    HTTP_TLS_FAILED,
    HTTP_CLOSED, /* the connection ended before the reply did */
    HTTP_TIMED_OUT,
    HTTP_REPLY_MALFORMED,
    HTTP_OUTCOME__COUNT
};

const char *http_send_outcome_name(enum http_send_outcome outcome); /* a slug: "timed_out" */

struct transfer;

struct http_send {
    /* The caller's, unchanged until done is called. */
    const char *url;
    struct str  body;
    int         headers_count;
    const char *headers[HTTP_SENDER_HEADERS_MAX]; /* "Name: value" */
    int64_t     timeout_ms;                       /* for all of it, by the machine's own time */
    void (*done)(void *argument);                 /* from http_sender_run */
    void *argument;

    /* Set before done is called. */
    enum http_send_outcome outcome;
    int                    status; /* 0 unless answered */
    int64_t                latency_us;
    int64_t                retry_after_s; /* 0 = not said */
    struct str             reply;         /* how the body began; gone after done */

    struct http_send *next; /* both the sender's */
    struct transfer  *transfer;
};

struct http_sender_options {
    const struct http_guard *guard;
    const char              *ca_path; /* PEM, instead of the system's authorities; NULL = theirs */
};

struct http_sender;

/* Owned by the caller until http_sender_close, which gives up what is under way: done is not called
 * for it. guard and ca_path must outlive it. */
struct http_sender *http_sender_open(const struct http_sender_options *options);
void                http_sender_close(struct http_sender *sender);

/* How many more may be submitted now. */
int http_sender_room(const struct http_sender *sender);

/* There must be room. The outcome comes from a later http_sender_run. */
void http_sender_submit(struct http_sender *sender, struct http_send *send);

/* Do what there is to do, and call done for what has ended; wait up to wait_ms for something to
 * happen or http_sender_wake. done may submit more. */
void http_sender_run(struct http_sender *sender, int64_t wait_ms);

/* End the wait of http_sender_run, or of its next call. Thread-safe. */
void http_sender_wake(struct http_sender *sender);

#endif
