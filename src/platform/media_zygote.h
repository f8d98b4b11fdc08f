/* The media zygote: a small process of the same binary that never holds secrets, started once,
 * which forks one short-lived, sandboxed child per file. The server's only way to media. */
#ifndef FIRSTHAND_PLATFORM_MEDIA_ZYGOTE_H
#define FIRSTHAND_PLATFORM_MEDIA_ZYGOTE_H

#include "platform/media.h"

struct media_zygote;

/* Start "/proc/self/exe media-zygote" with a clean environment and only its socket and stdio. It
 * gets ready by itself, which takes longer than most of a server's start.
 * ERR_UNAVAILABLE "zygote_start". */
MUST_USE enum err media_zygote_start(struct error *error, struct media_zygote **ret_zygote);

/* Wait until the zygote has loaded and has tried out the sandbox: before the first file.
 * ERR_UNAVAILABLE "zygote_start": the detail names the layer that this system refuses, if it is
 * that. */
MUST_USE enum err media_zygote_await(struct media_zygote *zygote, struct error *error);

/* Examine one file. fd stays the caller's (read-only). Blocks until the child's record is in, or
 * its wall limit has passed; several threads may ask at once, each gets its own child. A zygote
 * that died is started again for the next call, a few times a second at most. limits must be
 * positive.
 *
 * ERR_UNAVAILABLE "media_child_killed" (signal, limit or refusal of the sandbox; detail names
 * which), "media_timeout", "media_bad_record", "zygote_lost", "zygote_start": could not score,
 * which says nothing about the file. *ret_result is untouched then. */
MUST_USE enum err media_zygote_examine(struct media_zygote *zygote, int fd, int64_t size_bytes,
                                       unsigned allowed, const struct media_limits *limits,
                                       struct error *error, struct media_result *ret_result);

/* Process id of the zygote now (tests kill it); -1 when it is down. */
int media_zygote_pid(const struct media_zygote *zygote);

/* No call may be under way. */
void media_zygote_stop(struct media_zygote *zygote);

/* main() of the "media-zygote" command: serves on the inherited socket until it closes. Does not
 * return. */
int media_zygote_main(void);

/* For `version` and the start log: "seccomp+rlimits+landlock", or what is missing and why. */
const char *media_sandbox_layers(void);

#endif
