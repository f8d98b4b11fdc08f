/* What the parts of http_sender share: the loop over sockets (http_sender.c) and one request's way
 * through libcurl (http_sender_transfer.c). */
#ifndef FIRSTHAND_PLATFORM_HTTP_SENDER_PRIVATE_H
#define FIRSTHAND_PLATFORM_HTTP_SENDER_PRIVATE_H

#include "platform/http_sender.h"
#include "platform/resolver.h"

#include <curl/curl.h>

enum {
    TRANSFER_NODES = HTTP_SENDER_HEADERS_MAX + 3,
    PLACE_BYTES_MAX = 80, /* "::[address]:port" */
};

/* One request under way. Made once and used again, with its libcurl handle. */
struct transfer {
    struct http_sender      *sender;
    CURL                    *curl;
    struct http_send        *send; /* NULL = unused */
    struct http_url          url;
    int64_t                  started_us, deadline_us;
    struct resolver_question question;
    int                      addresses_count, address; /* which of them it is pinned to */
    struct sockaddr_storage  addresses[RESOLVER_ADDRESSES_MAX];
    bool                     is_under_way; /* handed to libcurl */
    bool                     was_refused, was_cut;
    size_t                   header_bytes, body_bytes, kept_bytes;
    struct curl_slist        nodes[TRANSFER_NODES]; /* libcurl's lists, without its allocations */
    struct curl_slist        place_node;
    char                     place[PLACE_BYTES_MAX];
    char                     kept[HTTP_SENDER_KEPT_BYTES_MAX];
    struct transfer         *next; /* of unused ones */
};

struct http_sender {
    struct http_sender_options options;
    CURLM                     *multi;
    struct resolver           *resolver;
    int                        epoll_fd, wake_fd;
    int64_t                    timer_us; /* when libcurl wants to be called; 0 = not */
    int                        room;
    int                        transfers_used;      /* ever; never touched before */
    struct transfer           *unused;              /* given back */
    struct http_send          *ended, **ended_last; /* done is to be called */
    struct transfer            transfers[HTTP_SENDER_TRANSFERS_MAX];
};

/* Begin: check the URL, resolve its host, connect. */
void transfer_begin(struct transfer *transfer);

/* libcurl is done with it. */
void transfer_ended(struct transfer *transfer, CURLcode result);

/* When it is still waiting for its name and its time is up. */
void transfer_expire(struct transfer *transfer, int64_t now_us);

/* Hand over to the caller: from transfer_… to the loop. */
void http_sender_end(struct http_sender *sender, struct transfer *transfer,
                     enum http_send_outcome outcome);

#endif
