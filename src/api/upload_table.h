/* The uploads that move right now: what must be at hand while bytes arrive, kept in memory and
 * bounded. A session holds the open part, the true offset, the running hash, and a generation by
 * which a new request takes over from a connection that is half dead. Losing a session loses
 * nothing: the offset is the part's size, and the hash is computed again from disk.
 *
 * A session is used while pinned. The functions are thread-safe; those marked "I/O pool" wait for
 * the disk or the writer and must not run on a poll thread. */
#ifndef FIRSTHAND_API_UPLOAD_TABLE_H
#define FIRSTHAND_API_UPLOAD_TABLE_H

#include "api/api.h"
#include "domain/submission.h"
#include "domain/upload.h"

/* Idle sessions beyond this are dropped, the least recently used first. An idle one holds its hash
 * and no descriptor. */
enum { UPLOAD_SESSIONS_MAX = 1024 };

struct upload_table;
struct upload_session;

/* api must outlive the table; it may be filled in later. Close after the HTTP server, the I/O pool
 * and the writer stopped. */
struct upload_table *upload_table_open(const struct api *api);
void                 upload_table_close(struct upload_table *table);

/* Sessions in memory now, pinned or idle. */
int upload_table_count(struct upload_table *table);

/* One finish for a submission at a time, through whichever of its reservations, so that the bytes
 * that were renamed are the bytes that are committed. I/O pool. */
void upload_table_lock(struct upload_table *table, const struct id *submission_id);
void upload_table_unlock(struct upload_table *table, const struct id *submission_id);

/* What a session is of. */
struct upload_origin {
    struct id          id;
    struct reservation reservation;
    unsigned           formats;    /* that the job takes */
    int64_t            size_bytes; /* of the whole; 0 = not known */
    bool               has_row;    /* false: a new one, which begins empty */
};

/* Find the session or make it. ERR_UNAVAILABLE "uploads_busy" (every session is in use) |
 * "disk_full" | "disk_io". */
MUST_USE enum err upload_session_pin(struct upload_table *table, const struct upload_origin *origin,
                                     struct error *error, struct upload_session **ret_session);
void              upload_session_unpin(struct upload_session *session);

/* The row is in the store now. */
void upload_session_set_row(struct upload_session *session);

/* The upload has ended: whoever still sends is refused, and the session goes with its last pin.
 * With is_part_unwanted the part goes too. */
void upload_session_end(struct upload_session *session, bool is_part_unwanted);

/* Take over: whoever sent before is refused from now on. expected_offset is where the bytes to come
 * begin; -1 = wherever it stands. ERR_CONFLICT "wrong_offset" (nothing is taken over then),
 * ERR_GONE "upload_refused" | "upload_ended". */
MUST_USE enum err upload_session_take(struct upload_session *session, int64_t expected_offset,
                                      struct error *error, uint64_t *ret_generation);

/* Is the sender of that generation still the one? ERR_CONFLICT "upload_taken_over", ERR_GONE. */
MUST_USE enum err upload_session_check(struct upload_session *session, uint64_t generation,
                                       struct error *error);

/* Append, and judge the type as soon as it can be told. Never waits for the disk to be in sync.
 * ERR_CONFLICT "upload_taken_over"; ERR_GONE; ERR_UNAVAILABLE "disk_full" | "disk_io";
 * ERR_TOO_LARGE "too_many_bytes" (more than announced: nothing of the piece is kept);
 * ERR_MEDIA_TYPE "unsupported_format" and ERR_TOO_LARGE "file_too_large": the upload is refused,
 * which its row learns in the background. Renews the reservation in the background when due. */
MUST_USE enum err upload_session_append(struct upload_session *session, uint64_t generation,
                                        struct str piece, struct error *error);

/* The size of the whole has become known. ERR_INVALID "upload_length_differs"; ERR_TOO_LARGE
 * "upload_length_too_small" | "file_too_large" (refused); ERR_MEDIA_TYPE "unsupported_format" (an
 * empty file is of no type: refused). */
MUST_USE enum err upload_session_set_size(struct upload_session *session, int64_t size_bytes,
                                          struct error *error);

int64_t upload_session_size(struct upload_session *session); /* 0 = not known */
int64_t upload_session_offset(struct upload_session *session);
bool    upload_session_is_complete(struct upload_session *session);

/* Make what has arrived durable; *ret_offset = how much that is. When the disk refuses, the session
 * goes back to what was durable before. I/O pool. */
MUST_USE enum err upload_session_sync(struct upload_session *session, struct error *error,
                                      int64_t *ret_offset);

/* Of a complete one: its type (errors as append's judgement), and its SHA-256 in hex. I/O pool. */
MUST_USE enum err upload_session_type(struct upload_session *session, struct error *error,
                                      enum media_type *ret_type);
MUST_USE enum err upload_session_hash(struct upload_session *session, struct arena *arena,
                                      struct error *error, struct str *ret_sha256);

/* Are the session's bytes those of that blob, and not another upload's that was renamed over it? */
MUST_USE enum err upload_session_holds(struct upload_session *session, struct str blob_name,
                                       struct error *error, bool *ret_holds);

/* Is the reservation due to be renewed? Then the caller does it: *ret_reservation. */
bool upload_session_take_renewal(struct upload_session *session, int64_t now_ms,
                                 struct reservation *ret_reservation);

#endif
