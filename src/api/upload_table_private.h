/* What the files of the upload table share; nobody else includes this.
 *
 *   upload_table.c          finding, making, evicting and ending sessions
 *   upload_table_session.c  one session: its bytes, hash, type and generation
 *
 * Locks: the table's covers the lists and the pins, a session's covers its bytes; neither is taken
 * while the other is held, but for a session that nobody else can see yet. */
#ifndef FIRSTHAND_API_UPLOAD_TABLE_PRIVATE_H
#define FIRSTHAND_API_UPLOAD_TABLE_PRIVATE_H

#include "api/upload_table.h"
#include "platform/crypto.h"

#include <pthread.h>

enum { UPLOAD_BUCKETS = 2048, UPLOAD_STRIPES = 64, UPLOAD_HEX_BYTES = 2 * SHA256_BYTES + 1 };

enum upload_life { UPLOAD_LIVES, UPLOAD_IS_REFUSED, UPLOAD_HAS_ENDED };

struct upload_session {
    struct upload_table *table;

    /* Under the table's lock. */
    struct upload_session *next;          /* in its bucket, or of the free ones */
    struct upload_session *newer, *older; /* of the idle ones */
    int                    pins;
    bool                   is_leaving; /* goes with its last pin */

    /* As long as it is pinned these do not change. */
    struct id id;
    unsigned  formats;
    int       fd;
    bool      is_renamed; /* fd is the blob: a finish that was not committed */

    pthread_mutex_t  lock; /* of what follows */
    enum upload_life life;
    uint64_t         generation;
    int64_t          offset;         /* bytes in the file */
    int64_t          durable_offset; /* of these, known to be on disk */
    bool             is_cut_due;     /* the file goes on beyond the offset, and could not be cut */
    bool             is_name_durable;
    int64_t          size_bytes; /* 0 = not known */
    int64_t          bytes_max;
    unsigned         types; /* what the first bytes allow; 0 = cannot be told yet */
    unsigned char    first[MEDIA_SNIFF_BYTES];
    size_t           first_len;
    struct sha256    hash; /* of the first hashed bytes; not begun = of none */
    int64_t          hashed;
    char             hex[UPLOAD_HEX_BYTES]; /* of the whole, once computed */

    struct reservation reservation;
    bool               has_row;
    bool               is_renewing;
    int64_t            renewal_ms; /* when the renewal under way was asked for */
    struct write_job   renew_job;
    bool               is_part_unwanted;
    struct io_job      end_job; /* refused, or its part unwanted */
};

struct upload_table {
    const struct api      *api;
    pthread_mutex_t        lock;
    struct upload_session *buckets[UPLOAD_BUCKETS];
    int                    sessions_used; /* ever; never touched before */
    struct upload_session *unused;        /* given back */
    struct upload_session *idle_newest, *idle_oldest;
    int                    count;
    pthread_mutex_t        stripes[UPLOAD_STRIPES];
    struct upload_session  sessions[UPLOAD_SESSIONS_MAX];
};

/* --- upload_table_session.c --- */

/* Begin a session in a slot nobody sees: open its part, or the blob it became. */
MUST_USE enum err upload_session_begin(struct upload_session      *session,
                                       const struct upload_origin *origin, struct error *error);
/* Between two requests a session keeps its hash and no descriptor. Whoever wakes it finds the bytes
 * as they are then: when they are not what was left, it begins again. */
void              upload_session_rest(struct upload_session *session);
MUST_USE enum err upload_session_wake(struct upload_session      *session,
                                      const struct upload_origin *origin, struct error *error);
void              upload_session_drop(struct upload_session *session); /* give up what it holds */

/* --- upload_table.c --- */

void upload_session_pin_again(struct upload_session *session); /* by who has a pin */

/* In the background: write down that it was refused, or remove its part. Needs a row for the
 * former. Takes a pin of its own. */
void upload_session_end_later(struct upload_session *session);

/* In the background, unless one is under way already. */
void upload_session_renew_later(struct upload_session *session);

#endif
