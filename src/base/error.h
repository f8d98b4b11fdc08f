/* Errors are values: a code (what kind), a slug (which one), and a sentence for a person. */
#ifndef FIRSTHAND_BASE_ERROR_H
#define FIRSTHAND_BASE_ERROR_H

#include "base/str.h"

#include <stdint.h>

enum err {
    ERR_OK,
    ERR_INVALID,         /* the request itself is malformed */
    ERR_UNAUTHENTICATED, /* no, unknown, expired or revoked credentials */
    ERR_UNPAID,          /* balance below the price */
    ERR_FORBIDDEN,       /* known, but not allowed */
    ERR_NOT_FOUND,       /* absent, or another tenant's */
    ERR_METHOD,          /* the path exists, the method does not */
    ERR_CONFLICT,        /* the state forbids it */
    ERR_GONE,            /* was here, will not come back */
    ERR_PRECONDITION,    /* a required header version or condition is not met */
    ERR_TOO_LARGE,
    ERR_MEDIA_TYPE,
    ERR_RANGE,         /* the asked byte range cannot be satisfied */
    ERR_UNPROCESSABLE, /* well-formed, outside the schema */
    ERR_CHECKSUM,      /* bytes differ from their announced checksum (tus 460) */
    ERR_LIMITED,       /* too many requests; retry_after_s says when */
    ERR_BUSY,          /* try again from the top */
    ERR_UNCERTAIN,     /* the write may have happened */
    ERR_UNAVAILABLE,   /* cannot now; retry later */
    ERR_INTERNAL,
    ERR__COUNT
};

enum { ERROR_DETAIL_BYTES_MAX = 400, ERROR_FAULTS_COUNT_MAX = 100 };

/* One fault of a request: which field, the stable code, a sentence. All text is owned by the
 * arena of the call. */
struct fault {
    struct fault *next;
    const char   *field; /* path such as "accepted_formats[2]", or NULL for the whole */
    const char   *code;  /* stable lower-snake slug */
    const char   *message;
};

struct error {
    enum err      code;
    const char   *slug; /* static text: stable, documented, tested */
    const char   *file;
    int           line;
    int64_t       retry_after_s; /* 0 = not said */
    struct fault *faults;        /* in the order found; may be NULL */
    struct fault *faults_last;
    int           faults_count;
    char          detail[ERROR_DETAIL_BYTES_MAX]; /* never secrets, never other tenants' data */
};

/* Fill the error and yield the code, so that raising is one line. Its faults and retry_after_s stay
 * as they are; the detail is cut at ERROR_DETAIL_BYTES_MAX. */
#define FAIL(error, code, slug, ...)                                                               \
    error_set((error), (code), (slug), __FILE__, __LINE__, __VA_ARGS__)

PRINTF_LIKE(6, 7)
enum err error_set(struct error *error, enum err code, const char *slug, const char *file, int line,
                   const char *format, ...);

/* The same for the faults that the error holds (at least one): the detail is the first, with its
 * field, and how many more there are. */
#define FAIL_FAULTS(error, arena, code, slug)                                                      \
    error_set_faults((error), (arena), (code), (slug), __FILE__, __LINE__)

enum err error_set_faults(struct error *error, struct arena *arena, enum err code, const char *slug,
                          const char *file, int line);

void error_clear(struct error *error);

/* Append a fault; beyond ERROR_FAULTS_COUNT_MAX it is counted but not kept. field and message are
 * copied into the arena; code must be static text. */
PRINTF_LIKE(5, 6)
void error_add_fault(struct error *error, struct arena *arena, struct str field, const char *code,
                     const char *format, ...);

const char *err_name(enum err code);

#endif
