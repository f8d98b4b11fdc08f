/* The HTTP surface: what a handler is, and the services behind all of them. */
#ifndef FIRSTHAND_API_API_H
#define FIRSTHAND_API_API_H

#include "base/json_in.h"
#include "base/json_out.h"
#include "base/world.h"
#include "contract/contract.h"
#include "domain/after_commit.h"
#include "domain/call.h"
#include "domain/idempotency.h"
#include "domain/meter.h"
#include "domain/page.h"
#include "domain/rehash.h"
#include "platform/blob.h"
#include "platform/db_readers.h"
#include "platform/http_server.h"
#include "platform/io_pool.h"
#include "platform/writer.h"

enum { REPLY_BYTES_MAX = 4 << 20, REPLY_HEADERS_MAX = 16 };

struct upload_table;
struct long_poll;
struct binding;

/* Process-wide services, made by app.c, immutable once serving. */
struct api {
    const struct config     *config;
    const struct keyring    *keyring;
    struct world            *world;
    const struct contract   *contract;
    struct str               contract_text;                     /* as served at /openapi.json */
    const struct binding    *bindings[CONTRACT_OPERATIONS_MAX]; /* by operation index */
    struct db_readers       *readers;
    struct writer           *writer;
    struct io_pool          *io_pool;
    const struct blob_store *blobs;
    struct meter            *meter;
    struct rehash_table     *rehash;
    struct upload_table     *uploads;
    struct long_poll        *long_poll;
    struct after_commit      after_commit;
    /* Run what is due now (sweeps and tasks), once, waiting at most wait_ms. */
    void (*run_due)(void *context, int64_t wait_ms);
    void *runner_context;
};

/* One validated request. */
struct request {
    const struct contract_operation *operation;
    struct contract_match            match;
    struct contract_value            values[CONTRACT_PARAMETERS_MAX];
    const json_t                    *body; /* NULL when the operation takes none, or none came */
    struct http_exchange            *http;
    const struct api                *api;
};

struct reply_header {
    const char *name;
    struct str  value;
};

/* What goes back. A handler writes JSON through out, or leaves it alone (204), or hands over a
 * file. */
struct reply {
    int             status; /* begins as 200 */
    struct buf      body;
    struct json_out out;
    struct str      content_type;   /* begins as JSON's */
    bool            carries_secret; /* a stored copy is sealed and replays to the same key only */
    struct str      resource_id;    /* of what was made; a 201 to an API key always has it */
    int             headers_count;
    struct reply_header headers[REPLY_HEADERS_MAX];
    int                 file_fd; /* -1 = none; the reply's once set */
    /* A client may ask to wait until the job ends; none = it has. */
    bool      may_wait;
    struct id waits_for;
    int64_t   file_offset, file_length;
};

/* One authenticated, validated request inside a transaction of the operation's access kind.
 * May run more than once: what it did to arena, reply and database is undone before a replay.
 * On ERR_OK the reply is complete; otherwise call->error says why and the reply is ignored. */
typedef enum err handler_fn(struct call *call, const struct request *request, struct reply *reply);

/* A request under way: the whole of what dispatch knows of it. */
struct exchange {
    const struct api     *api;
    struct http_exchange *http;
    struct call           call;
    struct request        request;
    struct reply          reply;
    const struct binding *binding;
    struct actor          actor;
    struct id             request_id;
    struct meter_reading  rate;
    bool                  is_metered;
    struct idempotency    idempotency;
    bool                  has_idempotency_key;
    bool                  is_replay;
    bool                  is_long_poll; /* answered after it has waited */
    bool                  is_noted;     /* the audit has its row, as of a commit */
    struct arena_mark     mark;         /* where a run of the handler begins */
    struct write_job      write_job;
    struct io_job         io_job;
    void                 *stream; /* of stream_ops */
    bool                  is_stream_begun;
};

/* For x-access: external. On an I/O pool thread, outside of any transaction (call.db is a reader);
 * commits through exchange_commit. */
typedef enum err external_fn(struct exchange *exchange);

/* For x-access: stream. */
struct stream_ops {
    /* Headers are in, the actor is known, call.db is a reader: is the body wanted? Errors refuse.
     */
    enum err (*begin)(struct exchange *exchange);
    /* On the poll thread, a piece at a time; an error refuses the rest. */
    enum err (*piece)(struct exchange *exchange, struct str piece);
    /* The body is complete: on an I/O pool thread, connection suspended. Fills the reply. */
    enum err (*finish)(struct exchange *exchange);
    /* Last, on whichever thread ends the exchange, whenever begin succeeded. */
    void (*end)(struct exchange *exchange, bool is_complete);
};

/* Which code answers an operation: exactly one of handle, external, stream. */
struct binding {
    const char              *operation_id;
    handler_fn              *handle;
    external_fn             *external;
    const struct stream_ops *stream;
    /* Write the first reply again, from its resource_id; NULL = a replay is the stored body. */
    enum err (*rebuild)(struct call *call, struct str resource_id, struct reply *reply);
    /* What it asks of whoever comes, after credential, rate and scope, before anything that was
     * sent is looked at: in a read transaction; NULL = nothing. */
    enum err (*admit)(struct exchange *exchange);
    /* Nothing but its Idempotency-Key says who may have its reply again: one that is hard to guess
     * and hidden in the store. */
    bool key_is_credential;
};

/* The tables of the handler files, each ended by an empty row. */
extern const struct binding jobs_bindings[], sign_up_bindings[], keys_bindings[],
    billing_bindings[], purchase_bindings[], organisation_bindings[], webhooks_bindings[],
    events_bindings[], audit_bindings[], worker_bindings[], worker_jobs_bindings[],
    submissions_bindings[], uploads_bindings[], downloads_bindings[], server_bindings[],
    metrics_bindings[];

/* --- for handlers --- */

/* A path parameter's value; CHECKs that the operation has it. */
struct str request_path(const struct request *request, const char *name);

/* A declared query or header parameter; absent when it did not come. */
struct str request_text(const struct request *request, const char *name);
int64_t    request_int(const struct request *request, const char *name, int64_t when_absent);

/* The name must be static; the value static or the arena's. */
void reply_header(struct reply *reply, const char *name, struct str value);

/* The frame of a listing: {"object":"list","data":[ … ],"has_more":…,"next_cursor":…}.
 * Rows are written between the two calls. cursor absent = no more. */
void reply_list_begin(struct reply *reply);
void reply_list_end(struct reply *reply, struct str cursor);

/* Run a piece of domain code in one write transaction and wait for its commit: for external and
 * stream operations, never on a poll thread. run may run more than once. Errors are in
 * exchange->call.error, which is also what run gets. */
MUST_USE enum err exchange_commit(struct exchange *exchange,
                                  enum err (*run)(struct call *call, void *argument),
                                  void *argument);

/* The same for what ends in a reply, by the Idempotency-Key when one came: the transaction finds
 * and replays the first reply, or runs, fills reply, and binds the key to it. For a key that was
 * used with another request it runs only to be undone: what it refuses as 400, 403 or 422 comes
 * before ERR_CONFLICT "idempotency_key_reused". An operation without a credential sets
 * exchange->idempotency's owner and asker before. */
typedef enum err  answer_fn(struct call *call, void *argument, struct reply *reply);
MUST_USE enum err exchange_answer(struct exchange *exchange, answer_fn *answer, void *argument);

/* Was it answered before, as far as this thread's reader knows? Then the reply is that one, and
 * *ret_is_there. For what costs too much to do only to be refused. ERR_CONFLICT
 * "idempotency_key_reused". */
MUST_USE enum err exchange_find_reply(struct exchange *exchange, bool *ret_is_there);

/* Take one from what the client's address may do of something in a minute; false when it has had
 * it all: call.error then has the seconds to wait. */
bool exchange_take_of_address(struct exchange *exchange, const char *what, int64_t per_minute);

/* A refused credential counts against its address: yields the error that is there, or, when the
 * address has had too many, ERR_LIMITED "too_many_failures" in its place. */
enum err exchange_count_failure(struct exchange *exchange);

/* An account's own rules refuse a name or an address: to a client that is a fault of the body.
 * Yields any other error as it is. */
MUST_USE enum err account_body_fault(struct call *call, enum err e);

/* --- dispatch --- */

/* Bind every operation of the contract to its handler: from the tables above, and from one more.
 * ERR_INVALID "operation_unbound" (no handler) | "handler_unknown" (no such operation) |
 * "handler_mismatch" (its access kind has another shape) | "operation_unaudited" (an API key
 * changes something by it, and x-audit does not say what). */
MUST_USE enum err api_bind(struct api *api, const struct binding *more, struct error *error);

/* The four callbacks for http_server_start; context is the api. */
struct http_app api_http_app(struct api *api);

#endif
