#include "platform/disk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void fd_close(int *fd)
{
    int reason = errno;
    if (*fd >= 0) close(*fd);
    *fd = -1;
    errno = reason;
}

bool disk_write_all(int fd, const void *bytes, size_t count)
{
    const char *at = bytes;
    while (count > 0) {
        ssize_t written = write(fd, at, count);
        if (written < 0 && errno == EINTR) continue;
        if (written <= 0) return false;
        at += written;
        count -= (size_t)written;
    }
    return true;
}

bool disk_write_all_at(int fd, const void *bytes, size_t count, int64_t offset)
{
    const char *at = bytes;
    while (count > 0) {
        ssize_t written = pwrite(fd, at, count, offset);
        if (written < 0 && errno == EINTR) continue;
        if (written <= 0) return false;
        at += written;
        offset += written;
        count -= (size_t)written;
    }
    return true;
}

ssize_t disk_read_all(int fd, void *bytes, size_t count)
{
    size_t have = 0;
    while (have < count) {
        ssize_t got = read(fd, (char *)bytes + have, count - have);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return -1;
        if (got == 0) break;
        have += (size_t)got;
    }
    return (ssize_t)have;
}

enum err disk_fail(struct error *error, const char *what, const char *path)
{
    bool is_full = errno == ENOSPC || errno == EDQUOT;
    return FAIL(error, ERR_UNAVAILABLE, is_full ? "disk_full" : "disk_io", "%s %s: %s", what, path,
                strerror(errno));
}

enum err disk_sync_parent(const char *path, struct error *error)
{
    char        parent[PATH_MAX];
    const char *slash = strrchr(path, '/');
    size_t      len = slash ? (size_t)(slash - path) : 0;
    CHECK(len < sizeof(parent));
    memcpy(parent, path, len);
    parent[len] = '\0';
    const char *directory = slash == NULL ? "." : len == 0 ? "/" : parent;

    CLEANUP(fd_close) int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fsync(fd) != 0) return disk_fail(error, "sync", directory);
    return ERR_OK;
}

enum err disk_make_directories(const char *path, struct error *error)
{
    char   prefix[PATH_MAX];
    size_t len = strlen(path);
    CHECK(len > 0 && len < sizeof(prefix));
    for (size_t i = 1; i <= len; i++) {
        if (path[i] != '/' && path[i] != '\0') continue;
        memcpy(prefix, path, i);
        prefix[i] = '\0';
        if (mkdir(prefix, 0700) != 0 && errno != EEXIST) return disk_fail(error, "create", prefix);
    }
    struct stat info;
    if (stat(path, &info) != 0) return disk_fail(error, "create", path);
    errno = ENOTDIR;
    return S_ISDIR(info.st_mode) ? ERR_OK : disk_fail(error, "create", path);
}

int64_t disk_file_size(int fd)
{
    struct stat info;
    return fstat(fd, &info) == 0 ? (int64_t)info.st_size : -1;
}

bool disk_is_empty(const char *path)
{
    DIR *directory = opendir(path);
    if (directory == NULL) return false;
    int names_count = 0; /* "." and ".." are always there */
    while (names_count <= 2 && readdir(directory) != NULL)
        names_count++;
    closedir(directory);
    return names_count <= 2;
}
