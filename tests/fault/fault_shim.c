/* A disk that fails on demand, put under an unchanged server with LD_PRELOAD.
 *
 * FAULT_CONTROL names a file of one struct control, shared with the test, which writes it while the
 * server runs: which calls (kinds), on which paths (pattern), fail with which errno (error), from
 * the first-th matching one on, count of them (0: all). With error 0 they do not fail but wait
 * until armed is cleared. The shim counts what matched and what it failed or held. armed is written
 * last and cleared first.
 *
 * pattern is a list of alternatives separated by '|': each is looked for anywhere in the path, or
 * at its end when it ends with '$'. Calls go straight to the kernel, so that nothing here depends
 * on the order in which libraries are initialised. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum kind {
    KIND_WRITE = 1, /* write, pwrite, copy_file_range (by its target) */
    KIND_FSYNC = 2,
    KIND_FDATASYNC = 4,
    KIND_RENAME = 8, /* rename, renameat: by the new name */
    KIND_TRUNCATE = 16,
    KIND_OPEN = 32, /* open, openat, mkdirat */
    KIND_MMAP = 64,
    KIND_READ = 128, /* read, pread */
};

/* The test writes it byte by byte: the offsets are part of the agreement. */
struct control {
    _Atomic uint32_t armed;
    uint32_t         kinds;
    int32_t          error;
    uint32_t         first; /* from 1 */
    uint32_t         count;
    uint32_t         unused;
    _Atomic uint64_t seen;
    _Atomic uint64_t failed;
    char             pattern[216];
};
_Static_assert(sizeof(struct control) == 256, "what the test writes");

static struct control *control;

__attribute__((constructor)) static void shim_open(void)
{
    const char *path = getenv("FAULT_CONTROL");
    if (path == NULL) return;
    int fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC, 0);
    if (fd < 0) abort();
    void *shared = (void *)syscall(SYS_mmap, NULL, sizeof(struct control), PROT_READ | PROT_WRITE,
                                   MAP_SHARED, fd, 0);
    if (shared == MAP_FAILED) abort();
    syscall(SYS_close, fd);
    control = shared;
}

/* --- does a call match? --- */

static bool pattern_matches(const char *path)
{
    size_t      path_len = strlen(path);
    const char *at = control->pattern;
    while (*at) {
        size_t len = strcspn(at, "|");
        char   word[sizeof(control->pattern)];
        memcpy(word, at, len);
        word[len] = '\0';
        bool is_end = len > 0 && word[len - 1] == '$';
        if (is_end) word[--len] = '\0';
        if (is_end ? path_len >= len && memcmp(path + path_len - len, word, len) == 0
                   : strstr(path, word) != NULL)
            return true;
        at += strcspn(at, "|");
        at += *at == '|';
    }
    return false;
}

static bool is_armed(void)
{
    return control != NULL && atomic_load(&control->armed);
}

static void hold(void)
{
    while (is_armed())
        nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
}

static bool must_fail(enum kind kind, const char *path)
{
    if (!(control->kinds & kind) || !pattern_matches(path)) return false;
    uint64_t number = atomic_fetch_add(&control->seen, 1) + 1;
    bool     is_in_range = number >= control->first &&
                       (control->count == 0 || number < control->first + (uint64_t)control->count);
    if (!is_in_range) return false;
    atomic_fetch_add(&control->failed, 1);
    if (control->error == 0) {
        hold();
        return false;
    }
    errno = control->error;
    return true;
}

static bool path_of(int fd, char path[PATH_MAX])
{
    char link[32];
    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    int     saved = errno;
    ssize_t len = readlink(link, path, PATH_MAX - 1);
    errno = saved;
    if (len < 0) return false;
    path[len] = '\0';
    return path[0] == '/';
}

static bool fd_must_fail(enum kind kind, int fd)
{
    char path[PATH_MAX];
    return is_armed() && fd >= 0 && path_of(fd, path) && must_fail(kind, path);
}

static bool name_must_fail(enum kind kind, int folder_fd, const char *name)
{
    char folder[PATH_MAX] = "", path[2 * PATH_MAX];
    if (!is_armed()) return false;
    bool is_inside = name[0] != '/' && folder_fd != AT_FDCWD;
    if (is_inside && !path_of(folder_fd, folder)) return false;
    snprintf(path, sizeof(path), "%s%s%s", folder, is_inside ? "/" : "", name);
    return must_fail(kind, path);
}

/* --- the calls --- */

/* The names are the C library's; its headers may declare them with attributes of their own. */
#pragma GCC diagnostic ignored "-Wmissing-prototypes"

ssize_t write(int fd, const void *bytes, size_t count)
{
    if (fd_must_fail(KIND_WRITE, fd)) return -1;
    return syscall(SYS_write, fd, bytes, count);
}

ssize_t pwrite64(int fd, const void *bytes, size_t count, off64_t offset)
{
    if (fd_must_fail(KIND_WRITE, fd)) return -1;
    return syscall(SYS_pwrite64, fd, bytes, count, offset);
}

ssize_t pwrite(int fd, const void *bytes, size_t count, off_t offset)
{
    return pwrite64(fd, bytes, count, offset);
}

ssize_t copy_file_range(int from_fd, off64_t *from, int to_fd, off64_t *to, size_t count,
                        unsigned flags)
{
    if (fd_must_fail(KIND_WRITE, to_fd)) return -1;
    return syscall(SYS_copy_file_range, from_fd, from, to_fd, to, count, flags);
}

ssize_t read(int fd, void *bytes, size_t count)
{
    if (fd_must_fail(KIND_READ, fd)) return -1;
    return syscall(SYS_read, fd, bytes, count);
}

ssize_t pread64(int fd, void *bytes, size_t count, off64_t offset)
{
    if (fd_must_fail(KIND_READ, fd)) return -1;
    return syscall(SYS_pread64, fd, bytes, count, offset);
}

ssize_t pread(int fd, void *bytes, size_t count, off_t offset)
{
    return pread64(fd, bytes, count, offset);
}

int fsync(int fd)
{
    if (fd_must_fail(KIND_FSYNC, fd)) return -1;
    return (int)syscall(SYS_fsync, fd);
}

int fdatasync(int fd)
{
    if (fd_must_fail(KIND_FDATASYNC, fd)) return -1;
    return (int)syscall(SYS_fdatasync, fd);
}

int renameat(int from_fd, const char *from, int to_fd, const char *to)
{
    if (name_must_fail(KIND_RENAME, to_fd, to)) return -1;
    return (int)syscall(SYS_renameat, from_fd, from, to_fd, to);
}

int rename(const char *from, const char *to)
{
    return renameat(AT_FDCWD, from, AT_FDCWD, to);
}

int ftruncate64(int fd, off64_t size)
{
    if (fd_must_fail(KIND_TRUNCATE, fd)) return -1;
    return (int)syscall(SYS_ftruncate, fd, size);
}

int ftruncate(int fd, off_t size)
{
    return ftruncate64(fd, size);
}

int mkdirat(int folder_fd, const char *name, mode_t mode)
{
    if (name_must_fail(KIND_OPEN, folder_fd, name)) return -1;
    return (int)syscall(SYS_mkdirat, folder_fd, name, mode);
}

static int open_real(int folder_fd, const char *name, int flags, mode_t mode)
{
    if (name_must_fail(KIND_OPEN, folder_fd, name)) return -1;
    return (int)syscall(SYS_openat, folder_fd, name, flags, mode);
}

#define MODE_OF(flags, mode)                                                                       \
    mode_t mode = 0;                                                                               \
    if ((flags) & (O_CREAT | __O_TMPFILE)) {                                                       \
        va_list rest;                                                                              \
        va_start(rest, flags);                                                                     \
        mode = va_arg(rest, mode_t);                                                               \
        va_end(rest);                                                                              \
    }

int openat(int folder_fd, const char *name, int flags, ...)
{
    MODE_OF(flags, mode)
    return open_real(folder_fd, name, flags, mode);
}

int openat64(int folder_fd, const char *name, int flags, ...)
{
    MODE_OF(flags, mode)
    return open_real(folder_fd, name, flags, mode);
}

int open(const char *name, int flags, ...)
{
    MODE_OF(flags, mode)
    return open_real(AT_FDCWD, name, flags, mode);
}

int open64(const char *name, int flags, ...)
{
    MODE_OF(flags, mode)
    return open_real(AT_FDCWD, name, flags, mode);
}

void *mmap64(void *address, size_t bytes, int protection, int flags, int fd, off64_t offset)
{
    if (fd >= 0 && fd_must_fail(KIND_MMAP, fd)) return MAP_FAILED;
    return (void *)syscall(SYS_mmap, address, bytes, protection, flags, fd, offset);
}

void *mmap(void *address, size_t bytes, int protection, int flags, int fd, off_t offset)
{
    return mmap64(address, bytes, protection, flags, fd, offset);
}
