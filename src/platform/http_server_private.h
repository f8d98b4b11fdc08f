/* What the files of the HTTP adapter share; nobody else includes this.
 *
 *   http_server.c             listening, options of the library, start and stop
 *   http_server_accept.c      newcomers, dealt out to the poll threads
 *   http_server_connection.c  the list of open connections, the drain
 *   http_server_reaper.c      deadlines, the least pace, room for newcomers when all is taken
 *   http_server_exchange.c    one request from its headers to its end; the application's calls
 *   http_server_request.c     is the request line and header block exactly what the RFC says
 *   http_server_reply.c       handing a reply to the library, or to the socket in mid-body
 *   http_server_park.c        sockets of requests that wait for long, out of the library's hands
 *
 * Threads: a connection and its exchange are touched by the poll thread that owns the connection
 * only, with three exceptions: the owner of a suspended exchange writes its reply, http_resume
 * gives it back (the library's lock orders the two), and the fields marked _Atomic are read by
 * whoever watches deadlines, under the lock of the list. */
#ifndef FIRSTHAND_PLATFORM_HTTP_SERVER_PRIVATE_H
#define FIRSTHAND_PLATFORM_HTTP_SERVER_PRIVATE_H

#include "base/buf.h"
#include "platform/http_server.h"

#include <assert.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <pthread.h>

enum {
    /* The library's memory of one connection: request line, headers and their index; what is left
     * is the receive buffer, so also the largest piece of a body. It clears all of it after every
     * request, so the size is paid in time by each request and in resident memory by each kept
     * connection: 64 KiB take uploads faster than they are hashed, for half a microsecond. */
    HTTP_CONNECTION_BYTES = 64 << 10,
};
static_assert((int)HTTP_CONNECTION_BYTES >= 4 * (int)HTTP_HEADERS_BYTES_MAX,
              "the adapter, not the library, meets a header block that is a little too large");
static_assert((int)HTTP_CONNECTION_BYTES <= (int)HTTP_PIECE_BYTES_MAX,
              "a piece is at most one buffer");

/* What a connection waits for decides which deadline it has. */
enum http_wait {
    HTTP_WAIT_REQUEST, /* between two exchanges, no request line yet */
    HTTP_WAIT_HEADERS, /* request line in */
    HTTP_WAIT_BODY,
    HTTP_WAIT_SERVER, /* the application works on it: no deadline of ours */
    HTTP_WAIT_REPLY,  /* being sent: the library's idle timeout watches it */
    HTTP_WAIT_CLOSE,  /* replied in mid-body; the client has yet to notice */
    HTTP_WAIT_GONE,   /* we have hung up */
    HTTP_WAIT_LEFT,   /* its socket has left the library, which is to forget it */
};

enum http_step {
    HTTP_STEP_NONE,    /* no exchange */
    HTTP_STEP_LINE,    /* the request line is in */
    HTTP_STEP_BODY,    /* the body is kept or streamed */
    HTTP_STEP_DROP,    /* the body is dropped; then the refusal is sent */
    HTTP_STEP_REQUEST, /* on_request was called, perhaps suspended */
    HTTP_STEP_REPLIED, /* the library has the reply */
    HTTP_STEP_LINGER,  /* replied in mid-body */
};

/* Where the library is in the request when it calls: what it allows differs. */
enum http_place { HTTP_AT_HEADERS, HTTP_IN_BODY, HTTP_AT_END };

struct http_reply_line {
    struct http_reply_line *next;
    const char             *name;
    const char             *value;
};

struct http_exchange_private {
    struct http_connection *connection;
    enum http_step          step;
    enum http_place         place;
    bool                    has_begun;    /* on_headers was called, so on_end will be */
    bool                    is_suspended; /* written by the poll thread alone */
    bool                    is_unwelcome; /* arrived after we had hung up */
    bool                    is_parked;    /* its socket has left the library */
    struct http_parked     *parked;       /* NULL before http_unpark */

    const char *line; /* the request target in the library's buffer, and its length there */
    size_t      line_len;
    const char *block_end; /* where the next request would begin, there */
    bool        is_http_1_1;

    bool    is_streamed;
    bool    is_too_large;
    int64_t body_bytes_max;
    int64_t body_bytes_received;
    int64_t body_bytes_dropped;
    char   *body;
    size_t  body_cap;

    bool                    has_reply;
    bool                    is_sent; /* whole, in mid-body */
    int                     status;
    struct str              reply_body;
    int                     reply_fd; /* -1 = none, or the library's */
    int64_t                 reply_offset;
    int64_t                 reply_length;
    int64_t                 reply_bytes; /* that count in the server's */
    struct http_reply_line *reply_lines;
    struct http_reply_line *reply_lines_last;
};

struct http_connection {
    struct http_server     *server;
    struct MHD_Connection  *mhd; /* NULL: a parked request's, in no list */
    struct http_connection *newer;
    struct http_connection *older;
    int                     fd; /* the library's; open as long as the connection is in the list */
    char                    peer[INET6_ADDRSTRLEN];

    _Atomic int     waits_for; /* enum http_wait */
    _Atomic int64_t waits_since_us;
    _Atomic int64_t body_bytes; /* received of the present body */

    bool is_surplus; /* found no room when it came; the poll thread's */
    bool is_kept;    /* counts against connections_max; under the list's lock */

    /* The reaper's: the present window of the present body, and what had come when it began. */
    int64_t pace_body_us, pace_from_us, pace_bytes;

    struct arena                 arena;
    struct http_exchange         exchange;
    struct http_exchange_private exchange_private;
};

struct http_server {
    struct http_app     app;
    struct MHD_Daemon **daemons; /* a poll thread each */
    int                 threads_count;
    _Atomic unsigned    turns_count; /* taken by newcomers */
    int                 listen_fd;
    pthread_t           acceptor;
    bool                is_tls;
    char               *tls_cert;
    char               *tls_key;
    int64_t             idle_us_max;
    int64_t             headers_us_max;
    int64_t             body_bytes_per_s_min;
    int                 connections_max;
    int                 connections_per_address_max; /* 0 = off */
    _Atomic bool        is_draining;
    _Atomic int         connections_count;
    _Atomic int64_t     reply_bytes; /* copied for the library and not yet sent whole */
    int64_t             reply_bytes_max;
    _Atomic int         kept_count; /* of these, not hung up for others; written under the lock */
    _Atomic int         parked_count;
    _Atomic int         arriving_count; /* given to the library, which has yet to say so */

    pthread_mutex_t         lock; /* the list, no_room_until_us, is_reaper_stopping */
    pthread_cond_t          changed;
    struct http_connection *newest;
    int64_t                 no_room_until_us; /* nobody has waited long enough before that */
    pthread_t               reaper;
    bool                    is_reaper_stopping;
};

/* --- accepting --- */

void http_accept_start(struct http_server *server);
void http_accept_stop(struct http_server *server); /* is_draining is set; closes listen_fd */

/* Give a socket to the library, which closes it if it does not want it. The caller has counted it
 * in arriving_count; http_accept_arrived takes it out again. */
void http_accept_hand_over(struct http_server *server, int fd, const struct sockaddr *address,
                           socklen_t len);
void http_accept_arrived(struct http_server *server);

/* --- connections --- */

void http_connections_open(struct http_server *server);

/* Bring every connection to its end: idle ones now, the rest when they are
 * done, at the latest after drain_ms_max; a suspended one is always waited for. */
void http_connections_drain(struct http_server *server, int64_t drain_ms_max);
void http_connections_close(struct http_server *server);

/* The library's notice that a connection opened or is about to be closed. */
void http_connection_notice(void *server, struct MHD_Connection *mhd, void **context,
                            enum MHD_ConnectionNotificationCode code);

void http_connection_waits_for(struct http_connection *connection, enum http_wait what);

/* A request begins; its headers are in. False when we hung up before: then the request must not be
 * acted upon, because nobody could be told. */
MUST_USE bool http_connection_begin(struct http_connection *connection);
MUST_USE bool http_connection_admit(struct http_connection *connection);

/* Is the server so full that a request of this connection is to be refused? */
MUST_USE bool http_connection_has_no_room(struct http_connection *connection);

/* What the connection waits for, and since when. */
struct http_waiting {
    enum http_wait what;
    int64_t        since_us;
};
struct http_waiting http_connection_waiting(const struct http_connection *connection);

/* Nobody loses an answer when a connection that waits for this ends. */
MUST_USE bool http_wait_is_spare(enum http_wait what);

/* Under the list's lock, all of these, so that the descriptor is still this connection's: hang up;
 * hang up if nobody loses an answer by it (false: a request is arriving or under way); tell the
 * library of a client's bytes or end that it has not noticed for patience_us; wait for ms, or until
 * the list has changed. */
void          http_connection_hang_up(const struct http_connection *connection);
bool          http_connection_retire(struct http_connection *connection);
MUST_USE bool http_connection_has_unread(const struct http_connection *connection);
void          http_connection_nudge(const struct http_connection *connection, int64_t now_us,
                                    int64_t patience_us);
void          http_connections_wait(struct http_server *server, int64_t ms);

/* --- reaper --- */

void http_reaper_start(struct http_server *server);
void http_reaper_stop(struct http_server *server);

/* Both under the list's lock. Is the client too late with what it owes, too slow, or still there
 * though we have hung up? */
MUST_USE bool http_reaper_is_overdue(struct http_connection *connection, int64_t now_us);

/* More connections than there may be: hang up on some that are spare, and have waited longest. */
void http_reaper_make_room(struct http_server *server);

/* --- exchange --- */

/* The request line arrived. Returns the connection, which is every later call's context. */
void *http_exchange_line(void *server, const char *uri, struct MHD_Connection *mhd);

enum MHD_Result http_exchange_access(void *server, struct MHD_Connection *mhd, const char *url,
                                     const char *method, const char *version, const char *data,
                                     size_t *data_size, void **context);

void http_exchange_completed(void *server, struct MHD_Connection *mhd, void **context,
                             enum MHD_RequestTerminationCode how);

/* on_end if the application knows it, then everything of the exchange is given back. */
void http_exchange_end(struct http_connection *connection, bool is_complete);

/* --- request --- */

/* 0 when the request line and the header block have exactly one meaning; otherwise the status to
 * refuse with. Sets the exchange's method, path, query and body_bytes_declared. */
MUST_USE int http_request_read(struct http_exchange *exchange, const char *method,
                               const char *version);

/* The client waits for "100 Continue" before it sends its body. */
bool http_request_expects_continue(const struct http_exchange *exchange);

/* --- reply --- */

/* Hand the exchange's reply to the library. */
enum MHD_Result http_reply_queue(struct http_connection *connection);

/* Refuse a request the application has not seen, and close. */
enum MHD_Result http_reply_refusal(struct http_connection *connection, int status);

/* Write the reply on the socket itself and close our direction: the only way to answer in the
 * middle of a body, where the library takes no reply. False when it did not go out whole. */
MUST_USE bool http_reply_send(struct http_connection *connection);

/* The exchange ends: its reply counts no more, a file that the library never got is closed. */
void http_reply_drop(struct http_exchange_private *exchange);

/* Status line and headers as the library would write them. */
void http_reply_write_head(const struct http_exchange_private *exchange, bool is_last,
                           struct buf *out);

/* All of the text at once; a socket that does not take it belongs to no client worth waiting for.
 */
MUST_USE bool http_reply_send_whole(int fd, struct str text);

/* --- park --- */

/* http_resume of an exchange whose connection has left the library. */
void http_park_answer(struct http_connection *connection);

#endif
