/* Object ids: a prefix that names the kind and a ULID (26 Crockford base32 characters): 48 bits of
 * milliseconds, 80 bits of chance. Ids made by one process rise strictly, also within one
 * millisecond and when the clock steps back, so newest-first order is id order. */
#ifndef FIRSTHAND_BASE_ID_H
#define FIRSTHAND_BASE_ID_H

#include "base/str.h"

enum id_kind {
    ID_ORGANISATION, /* org_ */
    ID_JOB,          /* job_ */
    ID_SUBMISSION,   /* sub_ */
    ID_FILE,         /* file_ */
    ID_API_KEY,      /* key_ */
    ID_TRANSACTION,  /* crtx_ */
    ID_REQUEST,      /* req_ */
    ID_WORKER,       /* wkr_ */
    ID_INVITE,       /* inv_ */
    ID_SESSION,      /* ses_ */
    ID_RESERVATION,  /* rsv_ */
    ID_UPLOAD,       /* upl_ */
    ID_TASK,         /* tsk_ */
    ID_LOT,          /* lot_ */
    ID_ENDPOINT,     /* whe_ */
    ID_OCCURRENCE,   /* occ_ */
    ID_EVENT,        /* evt_ */
    ID_PURCHASE,     /* pur_ */
    ID_AUDIT_EVENT,  /* aud_ */
    ID_KIND__COUNT
};

enum {
    ULID_CHARS = 26,
    ID_PREFIX_CHARS_MAX = 5,
    ID_BYTES_MAX = ID_PREFIX_CHARS_MAX + ULID_CHARS + 1
};

struct id {
    char text[ID_BYTES_MAX]; /* NUL-terminated; empty = no id */
};

/* A new id. now_ms is the time it carries, unless this process has already made a later one.
 * Thread-safe. */
struct id id_new(enum id_kind kind, int64_t now_ms);

/* The same, but also greater than *floor (of the same kind; an empty one is no bound): for rows
 * whose order must hold across processes. Raises this process's later ids with it. */
struct id id_new_above(enum id_kind kind, int64_t now_ms, const struct id *floor);

/* Well-formed, of this kind, upper case. false otherwise (callers answer "not found"). */
MUST_USE bool id_parse(struct str text, enum id_kind kind, struct id *ret_id);

/* The smallest id of the kind with that time: everything made at or after time_ms is >= it.
 * time_ms is clamped to what a ULID can say. */
struct id id_floor(enum id_kind kind, int64_t time_ms);

/* The time a well-formed id carries. */
int64_t id_time_ms(const struct id *id);

struct str id_str(const struct id *id); /* borrowed from *id; absent when empty */
bool       id_is_none(const struct id *id);
bool       id_eq(const struct id *a, const struct id *b);

/* From a trusted place such as the store: CHECKs the length, copies. Absent gives an empty id. */
struct id id_from_store(struct str text);

#endif
