/* What the server and the media zygote say to each other. Private to those two. Both ends are the
 * same binary, so plain structs travel; what the decoding child writes is the one thing that is
 * not trusted. */
#ifndef FIRSTHAND_PLATFORM_MEDIA_ZYGOTE_WIRE_H
#define FIRSTHAND_PLATFORM_MEDIA_ZYGOTE_WIRE_H

#include "platform/media.h"

enum { ZYGOTE_SOCKET_FD = 3, ZYGOTE_CHILDREN_COUNT_MAX = 16, ZYGOTE_WIRE_VERSION = 1 };

/* Zygote to server, once: a trial child could close its sandbox, or which step refused. */
struct zygote_hello {
    uint32_t version;
    int32_t  sandbox_step; /* enum sandbox_step */
};

/* Server to zygote, one packet a file, with three descriptors in this order. */
enum zygote_request_fd { REQUEST_MEDIA, REQUEST_RESULT, REQUEST_REPORT, REQUEST_FD__COUNT };

struct zygote_request {
    uint32_t            version;
    uint32_t            allowed;
    int64_t             size_bytes;
    struct media_limits limits;
};

/* Child to server, through the result pipe, once. */
struct zygote_record {
    uint32_t            result_bytes; /* sizeof(struct media_result) */
    struct media_result result;
};

/* How a child ends that has no record to give; any other status is an enum sandbox_step. */
enum child_exit { CHILD_EXIT_MEMORY = 100, CHILD_EXIT_RECORD };

/* Zygote to server, through the report pipe, once, after the child has been reaped: whatever the
 * child wrote is in the result pipe by then. */
enum child_end {
    CHILD_EXITED = 1,  /* value: exit status: 0, enum sandbox_step, enum child_exit */
    CHILD_SIGNALLED,   /* value: signal number */
    CHILD_TIMED_OUT,   /* the wall limit passed and it was killed */
    CHILD_NOT_STARTED, /* value: errno */
};

struct zygote_report {
    int32_t end; /* enum child_end */
    int32_t value;
    int64_t cpu_ms;
};

#endif
