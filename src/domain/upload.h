/* Uploads: what the store remembers of a file on its way in. The bytes themselves are a part of the
 * blob store named by the upload's id; how many there are is the part's size, never a column. */
#ifndef FIRSTHAND_DOMAIN_UPLOAD_H
#define FIRSTHAND_DOMAIN_UPLOAD_H

#include "domain/job.h"
#include "domain/reservation.h"

enum upload_state {
    UPLOAD_OPEN,       /* receiving */
    UPLOAD_DONE,       /* became a submission */
    UPLOAD_REFUSED,    /* of a type or size that the job does not take */
    UPLOAD_TERMINATED, /* given up by the worker */
    UPLOAD_EXPIRED,
    UPLOAD_STATE__COUNT
};

enum { UPLOAD_METADATA_BYTES_MAX = 4096 };
/* Open uploads of a worker, for each slot that a worker may hold: who lost sight of one begins
 * another, and nobody fills the disk. */
enum { UPLOADS_OPEN_PER_SLOT_MAX = 8 };
static const int64_t UPLOAD_IMAGE_BYTES_MAX = (int64_t)50 << 20;
static const int64_t UPLOAD_AUDIO_BYTES_MAX = (int64_t)200 << 20;
static const int64_t UPLOAD_VIDEO_BYTES_MAX = (int64_t)2 << 30;

struct upload {
    struct id         id;
    struct id         worker_id;
    struct id         reservation_id;
    int64_t           size_bytes; /* of the whole; 0 = not known yet */
    struct str        filename;   /* may be absent */
    struct str        metadata;   /* as the client sent it; may be absent */
    enum upload_state state;
    struct str        content_hash;  /* SHA-256 in hex, of a done one */
    struct id         submission_id; /* of a done one */
    int64_t           created_ms, expires_ms;
};

/* The largest file a set of BIT(enum media_type) allows; 0 for the empty set. */
int64_t upload_bytes_max(unsigned formats);

/* May the worker still send bytes for the reservation? The answer its finish would get now, reading
 * only. A used one may be sent again: its finish tells whether the bytes are the same.
 * ERR_CONFLICT "job_closed" | "reservation_expired". *ret_job is set on success. */
MUST_USE enum err upload_may_begin(struct call *call, const struct reservation *reservation,
                                   struct job *ret_job);

/* May the acting worker have one more open upload? Reads only. ERR_CONFLICT "uploads_capped". */
MUST_USE enum err upload_may_add(struct call *call);

/* Insert as given; state, created_ms and expires_ms are filled in here. */
MUST_USE enum err upload_create(struct call *call, struct upload *upload);

/* The acting worker's own. ERR_NOT_FOUND "upload". An open one past its time reads as expired. */
MUST_USE enum err upload_get_own(struct call *call, struct str id_text, struct upload *ret_upload);

/* The acting worker's, newest first, older than before (empty = from the newest). */
MUST_USE enum err upload_list_own(struct call *call, const struct id *before, int count,
                                  struct upload *ret_rows, int *ret_count);

/* The length of an upload that began without one. ERR_CONFLICT "upload_ended" when it is not open,
 * "upload_length_known" when another was set meanwhile. */
MUST_USE enum err upload_set_size(struct call *call, const struct id *id, int64_t size_bytes);

/* The one door out of UPLOAD_OPEN. size_bytes, content_hash and submission_id are written for
 * UPLOAD_DONE. ERR_CONFLICT "upload_ended" when it is not open any more. */
MUST_USE enum err upload_end(struct call *call, struct upload *upload, enum upload_state to);

/* For the sweeper: write down up to count uploads whose time is over. Their parts are the caller's
 * to remove after the commit. */
MUST_USE enum err upload_expire_due(struct call *call, int count, struct id *ret_ids,
                                    int *ret_count);

/* For the sweeper: does a row want the part or blob of that name? A name that is neither an
 * upload's nor a submission's is wanted by nobody. */
MUST_USE enum err upload_wants_bytes(struct call *call, struct str name, bool *ret_is_wanted);

const char *upload_state_name(enum upload_state state); /* as stored */

#endif
