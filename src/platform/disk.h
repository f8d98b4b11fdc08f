/* Small durable-file helpers: what "written" means on a POSIX file system. */
#ifndef FIRSTHAND_PLATFORM_DISK_H
#define FIRSTHAND_PLATFORM_DISK_H

#include "base/error.h"

#include <stdint.h>
#include <sys/types.h>

/* CLEANUP function: closes *fd when it is one, and sets it to -1. errno stays. */
void fd_close(int *fd);

/* Every byte, through short writes and EINTR. False leaves errno. */
MUST_USE bool disk_write_all(int fd, const void *bytes, size_t count);
MUST_USE bool disk_write_all_at(int fd, const void *bytes, size_t count, int64_t offset);

/* Up to count bytes from where the file stands, through short reads and EINTR; how many there were,
 * fewer only at its end. -1 leaves errno. */
MUST_USE ssize_t disk_read_all(int fd, void *bytes, size_t count);

/* Make the directory entry of path durable. Errors: as disk_fail. */
MUST_USE enum err disk_sync_parent(const char *path, struct error *error);

/* Make a directory and its missing parents, mode 0700. Errors: as disk_fail. */
MUST_USE enum err disk_make_directories(const char *path, struct error *error);

/* Does the directory hold nothing? False also when it cannot be read. */
bool disk_is_empty(const char *path);

/* The size of an open file; -1 when it cannot be asked. */
int64_t disk_file_size(int fd);

/* Map the errno of a failed call to the answer a caller gets: ERR_UNAVAILABLE "disk_full" for
 * ENOSPC and EDQUOT, else "disk_io". what names the act, path the file. */
enum err disk_fail(struct error *error, const char *what, const char *path);

#endif
