/* HTTP in: a thin, bounded adapter over libmicrohttpd, the only user of microhttpd.h.
 *
 * One http_exchange is one request and its reply. The application is four callbacks; the adapter
 * calls them in this order, each on the poll thread that owns the connection:
 *
 *     on_headers   once; chooses how the body is taken, or replies at once (an early refusal)
 *     on_body      for streamed bodies, once per piece
 *     on_request   once the body is complete; replies, or suspends the exchange
 *     on_end       exactly once for every exchange that saw on_headers, last, also when the client
 *                  went away; after it the exchange and its arena are gone (see http_park for one
 *                  that waits for long)
 *
 * An early refusal reads and drops up to HTTP_DRAIN_BYTES_MAX of the body first, so that the client
 * gets to see it (not when the client sent Expect: 100-continue: then at once). When more than that
 * is announced or has come, it is sent while the client still sends, and the connection is closed
 * after HTTP_LINGER_BYTES_MAX more: many clients look for a reply only when all is sent. (Over TLS
 * there is no such way in mid-body: the connection ends without a reply.)
 *
 * When connections_max are open, a newcomer takes the place of connections that have waited longest
 * for a request, or for the rest of its headers, and for a second at least: they are closed. When
 * all are busy, its first request is_surplus, and the connection ends with the reply. More than
 * HTTP_SURPLUS_MAX of these wait in the system's queue, until the first of them have ended.
 *
 * A request that two parsers could read differently never reaches the application: it is answered
 * 400 (431 when its headers exceed HTTP_HEADERS_BYTES_MAX, 501 for an unknown transfer coding) and
 * the connection is closed. A chunked request is the last of its connection: nothing that comes
 * after it is read as another. */
#ifndef FIRSTHAND_PLATFORM_HTTP_SERVER_H
#define FIRSTHAND_PLATFORM_HTTP_SERVER_H

#include "base/arena.h"
#include "base/error.h"
#include "base/str.h"

#include <stdatomic.h>

enum {
    HTTP_HEADERS_BYTES_MAX = 16 << 10, /* request line and headers together */
    HTTP_DRAIN_BYTES_MAX = 1 << 20,
    HTTP_LINGER_BYTES_MAX = 64 << 20,
    HTTP_PIECE_BYTES_MAX = 256 << 10, /* what one on_body call gets at most */
    HTTP_ARENA_SOFT_BYTES_MAX = 8 << 20,
    HTTP_REPLY_BYTES_MAX = 256 << 20,
    HTTP_SURPLUS_MAX = 256, /* connections that are let in beyond connections_max, to be refused */
    HTTP_PARKED_REPLY_BYTES_MAX = 8 << 10, /* what the system takes of an idle connection at once */
    HTTP_PEER_BYTES = 46,
};

struct http_server;
struct http_exchange_private;

struct http_exchange {
    struct arena *arena; /* given back after on_end */
    struct str    method;
    struct str    path;  /* as received, still percent-encoded, without the query */
    struct str    query; /* without '?'; absent when there is none */
    struct str    peer;  /* numeric address without port: "127.0.0.1", "::1" */
    struct str    body;  /* buffered bodies only; complete in on_request; empty, never absent */
    int64_t body_bytes_declared; /* Content-Length; -1 when chunked; 0 when there is no body */
    int64_t started_us;          /* world_monotonic_us() when the headers were in */
    bool    is_surplus;          /* came when connections_max were busy: the app is to refuse it */
    void   *app_state;           /* the application's own */

    /* Where the app's scratch begins in the arena: what lies behind is given back once the library
     * has the reply, so that a client that is slow to take it holds no more than that. on_end must
     * not look at it. Begins as "nothing is scratch". */
    struct arena_mark scratch;
    bool              has_scratch;

    struct http_exchange_private *private;
};

struct http_outcome {
    int     status;      /* what was replied; 0 when nothing was */
    bool    is_complete; /* the reply went out whole */
    int64_t body_bytes_received;
};

struct http_app {
    void *context;
    void (*on_headers)(void *context, struct http_exchange *exchange);
    void (*on_body)(void *context, struct http_exchange *exchange, struct str piece);
    void (*on_request)(void *context, struct http_exchange *exchange);
    void (*on_end)(void *context, struct http_exchange *exchange,
                   const struct http_outcome *outcome);
};

struct http_server_options {
    int     listen_fd;       /* from http_listen; the server's, whatever http_server_start says */
    int     threads_count;   /* poll threads, each with its own epoll and listen queue share */
    int     connections_max; /* across all threads; see above for what happens then */
    int     connections_per_address_max; /* 0 = off */
    int64_t idle_ms_max;                 /* no byte either way for that long: closed */
    int64_t headers_ms_max; /* from accept, or from the end of the previous exchange, until the
                               headers of the next are in: else closed */
    int64_t body_bytes_per_s_min; /* a body that arrives slower over a whole idle_ms_max: closed;
                                     0 = off */
    int64_t reply_bytes_max;   /* of all replies that clients have yet to take; beyond it those that
                                  have waited longest, and a second at least, are closed */
    const char *tls_cert_path; /* PEM; both or neither; NULL = plain HTTP */
    const char *tls_key_path;
};

/* Bind and listen; clients wait in the backlog until a server is started on the socket. address is
 * "127.0.0.1", "0.0.0.0", "::1", "::" …; port 0 picks a free one. *ret_fd is the caller's.
 * ERR_UNAVAILABLE "cannot_listen" with the address and reason. */
MUST_USE enum err http_listen(struct str address, int port, struct error *error, int *ret_fd);

/* The port a socket listens on. */
int http_listen_port(int listen_fd);

/* Start serving. *ret_server is owned by the caller until http_server_stop.
 * ERR_UNAVAILABLE "cannot_serve" (certificate and key are no pair, for one), "tls_unreadable" with
 * the file. */
MUST_USE enum err http_server_start(const struct http_server_options *options,
                                    const struct http_app *app, struct error *error,
                                    struct http_server **ret_server);

/* Connections open now (for tests). */
int http_server_connections(const struct http_server *server);

/* Clean drain: stop accepting, answer what is under way with Connection: close, close idle
 * connections, wait for the rest up to drain_ms_max, then close what remains. Every exchange must
 * be resumed by its owner meanwhile: a suspended one is waited for. Frees the server. */
void http_server_stop(struct http_server *server, int64_t drain_ms_max);

/* --- on the exchange --- */

/* A request header's value, trimmed; absent when there is none. The name in any case. Borrowed
 * until on_end. Repeated headers: the first. */
struct str http_header(const struct http_exchange *exchange, const char *name);

/* The same for a header that is a list and may be repeated: all values, joined by commas. */
struct str http_header_list(const struct http_exchange *exchange, const char *name);

/* Did it come more than once? */
bool http_header_is_repeated(const struct http_exchange *exchange, const char *name);

/* For on_headers. Exactly one of: keep the whole body up to bytes_max (a larger one, announced or
 * not, is dropped and on_request told so: see http_body_is_too_large), or hand it to on_body piece
 * by piece, or http_reply for an early refusal. Default when none is called: buffer, with bytes_max
 * 0. bytes_max is at most ARENA_HARD_BYTES_MAX / 4. */
void http_body_buffer(struct http_exchange *exchange, int64_t bytes_max);
void http_body_stream(struct http_exchange *exchange);

/* True in on_request when the buffered body was larger than allowed: exchange->body is empty and
 * the app must reply 413. */
bool http_body_is_too_large(const struct http_exchange *exchange);

/* Set the reply: status and body (owned by the exchange's arena, or static). Allowed in on_headers
 * and on_body (an early refusal: the rest of the body is dropped as above, on_body and on_request
 * are not called any more), in on_request, and, by any one thread, while suspended. At most once.
 */
void http_reply(struct http_exchange *exchange, int status, struct str body);

/* The reply's bytes come from a file: length bytes from offset. Takes ownership of fd. As
 * http_reply, but not for refusing a body: a refusal is short text. */
void http_reply_file(struct http_exchange *exchange, int status, int fd, int64_t offset,
                     int64_t length);

/* Add a response header; name and value are copied. Control characters in a value are a broken
 * invariant (CHECK): callers encode. Content-Length, Transfer-Encoding, Connection and Date are the
 * adapter's own. Before or after http_reply, but before on_request returns or
 * the exchange is resumed. */
void http_reply_header(struct http_exchange *exchange, const char *name, struct str value);

/* For on_request only: park the exchange; the poll thread goes on with other connections. From this
 * call on the exchange belongs to whoever will resume it. Call it before handing the exchange to a
 * queue. http_resume may be called from any thread, exactly once, after http_reply; the exchange
 * must not be touched after it. */
void http_suspend(struct http_exchange *exchange);
void http_resume(struct http_exchange *exchange);

/* --- waiting for long --- */

/* A request that waits, as its owner keeps it. The fields are the adapter's own. */
struct http_parked {
    struct http_server   *server;
    struct http_exchange *exchange; /* suspended; NULL when only the socket is left */
    int                   fd;
    bool                  is_last; /* the connection ends with the reply */
    int64_t               started_us;
    char                  peer[HTTP_PEER_BYTES];
};

/* For on_request of a GET only, in place of http_suspend: nothing is kept of the request but its
 * socket and *ret_parked, and no thread, timer or list looks at either. The exchange, its arena and
 * app_state end when on_request returns; on_end is not called by that. It takes none of the places
 * of connections_max meanwhile, so the caller bounds how many there are.
 * Over TLS, with another request of the client already in, or with a reply larger than
 * HTTP_PARKED_REPLY_BYTES_MAX in sight, the exchange is suspended as it is, with all its memory.
 * Either way nobody notices that the client has gone before the reply is sent. */
void http_park(struct http_exchange *exchange, int64_t reply_bytes, struct http_parked *ret_parked);

/* Exactly once for each that was parked, from any thread: a suspended exchange to reply to, with
 * path, query and headers only if it never left its arena. Else it is the arena's, which is to live
 * until http_resume returns; that sends the reply, at once and whole or not at all, and calls
 * on_end. *parked must stay until http_parked_end. */
struct http_exchange *http_unpark(struct http_parked *parked, struct arena *arena);

/* After http_resume: the connection is served again. With many to answer, first answer all. Every
 * parked request must have come to this before http_server_stop can return. */
void http_parked_end(struct http_parked *parked);

#endif
