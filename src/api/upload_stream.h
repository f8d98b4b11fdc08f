/* One request that moves an upload's bytes, and what creating, appending and sending whole have in
 * common. Everything lives in the exchange's arena, as exchange->stream. */
#ifndef FIRSTHAND_API_UPLOAD_STREAM_H
#define FIRSTHAND_API_UPLOAD_STREAM_H

#include "api/upload_header.h"
#include "api/upload_table.h"

struct upload_stream {
    struct upload          upload;
    struct reservation     reservation;
    unsigned               formats;
    struct upload_session *session; /* pinned; NULL = none needed */
    uint64_t               generation;
    bool                   has_row; /* the upload is in the store */
    struct str first_id;            /* the upload the Idempotency-Key was bound to; absent = none */

    /* A body that has a checksum waits in a file of its own until it was checked. */
    bool                   has_checksum;
    struct upload_checksum expected;
    struct checksum        running;
    int                    side_fd; /* -1 = none */
    int64_t                side_bytes;

    /* Of a finish. */
    struct received   received;
    struct submission submission;
    bool              is_submission_new;
};

/* The tus version the request speaks. ERR_PRECONDITION "tus_version", with Tus-Version on the
 * reply. */
MUST_USE enum err upload_check_version(struct exchange *exchange);

/* An empty stream that becomes the exchange's. */
struct upload_stream *upload_stream_new(struct exchange *exchange);

/* stream_ops.begin of every upload: a new stream, prepared; a refusal gives back what was taken. */
MUST_USE enum err upload_stream_begin(struct exchange *exchange,
                                      enum err (*prepare)(struct exchange *exchange));

/* The stream is of a new upload, of at least so many bytes, for the acting worker's reservation.
 * ERR_NOT_FOUND "reservation"; ERR_CONFLICT "job_closed" | "reservation_expired"; ERR_TOO_LARGE
 * "file_too_large": stream->formats is known then. */
MUST_USE enum err upload_stream_make(struct exchange *exchange, struct str reservation_id,
                                     int64_t bytes_min);

/* The acting worker's upload of that id, with its reservation and what its job takes, read in the
 * transaction that call.db has open. ERR_NOT_FOUND "upload"; ERR_GONE "upload_refused" |
 * "upload_ended". */
MUST_USE enum err upload_stream_find(struct exchange *exchange, struct str upload_id);

/* The same in a transaction of its own: for the I/O pool. */
MUST_USE enum err upload_stream_find_now(struct exchange *exchange, struct str upload_id);

/* Pin the session of stream->upload and take it over; ends the read transaction that call.db has
 * open. ERR_GONE as upload_stream_find, ERR_CONFLICT "upload_taken_over": it has ended meanwhile.
 * expected_offset as for upload_session_take; when it is wrong, the true one goes into the reply's
 * Upload-Offset. */
MUST_USE enum err upload_stream_take(struct exchange *exchange, int64_t expected_offset);

/* Find the upload and how much of it is durable. An open one is taken over, and ended when all of
 * it is there and only the last commit got lost. I/O pool. Errors: as upload_stream_find,
 * upload_stream_take and upload_stream_arrive. */
MUST_USE enum err upload_stream_resume(struct exchange *exchange, struct str upload_id,
                                       int64_t *ret_offset);

/* Read Upload-Checksum, if any, and get ready for it. */
MUST_USE enum err upload_stream_expect_checksum(struct exchange *exchange);

/* stream_ops.piece of every upload. */
MUST_USE enum err upload_stream_piece(struct exchange *exchange, struct str piece);

/* The body is complete: check its checksum and append what waited for that. I/O pool.
 * ERR_CHECKSUM "checksum_mismatch". */
MUST_USE enum err upload_stream_settle(struct exchange *exchange);

/* The whole file is there: bytes to their place, submission into the store, one of each however
 * often this is tried. Fills stream->submission; stream->upload is done then. I/O pool.
 * ERR_GONE, ERR_MEDIA_TYPE, ERR_TOO_LARGE as upload_session_type; ERR_CONFLICT "job_closed" |
 * "reservation_expired" | "reservation_used". */
MUST_USE enum err upload_stream_arrive(struct exchange *exchange);

/* Renew the reservation now when that is due. I/O pool. */
void upload_stream_renew(struct exchange *exchange);

/* Give up everything the stream holds; an upload that is not in the store leaves nothing behind. */
void upload_stream_close(struct exchange *exchange);

/* stream_ops.end of every upload. */
void upload_stream_end(struct exchange *exchange, bool is_complete);

/* createUpload, appendUpload, putReservationFile. */
extern const struct stream_ops upload_create_ops, upload_append_ops, upload_put_ops;

/* Upload-Offset, Upload-Expires, and Firsthand-Submission-Id of a done one. */
void upload_reply_progress(struct exchange *exchange, const struct upload *upload, int64_t offset);

#endif
