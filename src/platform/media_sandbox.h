/* The walls around the process that decodes one file. Private to the media zygote and to the tests
 * that attack it. */
#ifndef FIRSTHAND_PLATFORM_MEDIA_SANDBOX_H
#define FIRSTHAND_PLATFORM_MEDIA_SANDBOX_H

#include "platform/media.h"

/* Where the only two descriptors are once the sandbox is closed (and /dev/null at 2). */
enum { SANDBOX_MEDIA_FD = 3, SANDBOX_RESULT_FD = 4 };

enum { SANDBOX_NOBODY = 65534 };

/* What could not be done; the name goes into logs. */
enum sandbox_step {
    SANDBOX_CLOSED, /* nothing failed */
    SANDBOX_FORK,
    SANDBOX_PRIVILEGES,
    SANDBOX_DESCRIPTORS,
    SANDBOX_LANDLOCK,
    SANDBOX_RLIMITS,
    SANDBOX_FILTER,
    SANDBOX_STEP__COUNT
};

const char *media_sandbox_step_name(enum sandbox_step step);

/* Give up root (for SANDBOX_NOBODY), every capability, being dumped or traced, and ever gaining
 * rights again. Harmless to repeat. */
MUST_USE enum sandbox_step media_sandbox_drop_privileges(void);

/* Shut this single-threaded process in, for good: privileges, Landlock where the kernel has it,
 * every descriptor closed but media_fd (moved to SANDBOX_MEDIA_FD) and result_fd (moved to
 * SANDBOX_RESULT_FD), resource limits, and last the system-call filter. Anything the filter does
 * not know ends the process with SIGSYS. After a failure the process must end. */
MUST_USE enum sandbox_step media_sandbox_close(int media_fd, int result_fd,
                                               const struct media_limits *limits);

#endif
