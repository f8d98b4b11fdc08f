#include "platform/blob.h"

#include "platform/blob_private.h"
#include "platform/crypto.h"

#include "base/encode.h"
#include "base/time_text.h"
#include "base/world.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum { READ_BYTES = 256 << 10 };

static enum err open_folder(struct arena *arena, struct str data_dir, const char *name,
                            struct error *error, int *ret_fd)
{
    const char *path = str_format(arena, "%.*s/%s", STR_ARG(data_dir), name).data;
    enum err    e = disk_make_directories(path, error);
    if (e) return e;
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return disk_fail(error, "open", path);
    *ret_fd = fd;
    return disk_sync_parent(path, error);
}

static void store_close(void *argument)
{
    struct blob_store *store = argument;
    fd_close(&store->uploads_fd);
    fd_close(&store->blobs_fd);
    fd_close(&store->delivered_fd);
}

enum err blob_store_open(struct str data_dir, struct arena *arena, struct error *error,
                         const struct blob_store **ret_store)
{
    struct blob_store *store = NEW(arena, struct blob_store, 1);
    *store = (struct blob_store){
        .data_dir = str_copy(arena, data_dir),
        .uploads_fd = -1,
        .blobs_fd = -1,
        .delivered_fd = -1,
    };
    arena_defer(arena, store_close, store);
    enum err e = open_folder(arena, data_dir, "uploads", error, &store->uploads_fd);
    if (e) return e;
    e = open_folder(arena, data_dir, "blobs", error, &store->blobs_fd);
    if (e) return e;
    e = open_folder(arena, data_dir, "delivered", error, &store->delivered_fd);
    if (e) return e;
    *ret_store = store;
    return ERR_OK;
}

bool blob_name_copy(struct str name, char text[BLOB_NAME_BYTES_MAX])
{
    if (name.len == 0 || name.len >= BLOB_NAME_BYTES_MAX || name.data[0] == '.') return false;
    if (memchr(name.data, '/', name.len) || memchr(name.data, '\0', name.len)) return false;
    memcpy(text, name.data, name.len);
    text[name.len] = '\0';
    return true;
}

/* Names are the server's own: a bad one is a bug, not an input. */
static void name_check(struct str name, char text[BLOB_NAME_BYTES_MAX])
{
    CHECK(blob_name_copy(name, text));
}

/* --- parts --- */

enum err blob_part_open(const struct blob_store *store, struct str name, struct error *error,
                        int *ret_fd)
{
    char text[BLOB_NAME_BYTES_MAX];
    name_check(name, text);
    int fd = openat(store->uploads_fd, text, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0) return disk_fail(error, "open", text);
    *ret_fd = fd;
    return ERR_OK;
}

int64_t blob_part_size(const struct blob_store *store, struct str name)
{
    char        text[BLOB_NAME_BYTES_MAX];
    struct stat info;
    name_check(name, text);
    if (fstatat(store->uploads_fd, text, &info, AT_SYMLINK_NOFOLLOW) != 0) return -1;
    return (int64_t)info.st_size;
}

enum err blob_part_sync(const struct blob_store *store, int fd, bool is_new, struct error *error)
{
    if (fdatasync(fd) != 0) return disk_fail(error, "sync", "part");
    if (is_new && fsync(store->uploads_fd) != 0) return disk_fail(error, "sync", "uploads");
    return ERR_OK;
}

void blob_part_remove(const struct blob_store *store, struct str name)
{
    char text[BLOB_NAME_BYTES_MAX];
    name_check(name, text);
    unlinkat(store->uploads_fd, text, 0);
}

/* Was the rename of an earlier try done already? Its folders are synced again: the earlier try may
 * have ended before that. */
static enum err finish_again(const struct blob_store *store, const char *blob, struct error *error)
{
    if (faccessat(store->blobs_fd, blob, F_OK, AT_SYMLINK_NOFOLLOW) != 0)
        return FAIL(error, ERR_NOT_FOUND, "blob", "neither the part nor the blob is there");
    if (fsync(store->blobs_fd) != 0) return disk_fail(error, "sync", "blobs");
    return ERR_OK;
}

enum err blob_part_finish(const struct blob_store *store, struct str part_name,
                          struct str blob_name, struct error *error)
{
    char part[BLOB_NAME_BYTES_MAX], blob[BLOB_NAME_BYTES_MAX];
    name_check(part_name, part);
    name_check(blob_name, blob);
    CLEANUP(fd_close)
    int fd = openat(store->uploads_fd, part, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT) return finish_again(store, blob, error);
    if (fd < 0) return disk_fail(error, "open", part);
    if (fchmod(fd, 0444) != 0 || fsync(fd) != 0) return disk_fail(error, "sync", part);
    if (renameat(store->uploads_fd, part, store->blobs_fd, blob) != 0)
        return disk_fail(error, "rename", part);
    if (fsync(store->blobs_fd) != 0) return disk_fail(error, "sync", "blobs");
    if (fsync(store->uploads_fd) != 0) return disk_fail(error, "sync", "uploads");
    return ERR_OK;
}

/* --- blobs --- */

enum err blob_open(const struct blob_store *store, struct str name, struct error *error,
                   int *ret_fd, int64_t *ret_size_bytes)
{
    char text[BLOB_NAME_BYTES_MAX];
    name_check(name, text);
    int fd = openat(store->blobs_fd, text, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT) return FAIL(error, ERR_NOT_FOUND, "blob", "no such blob");
    if (fd < 0) return disk_fail(error, "open", text);
    int64_t size_bytes = disk_file_size(fd);
    if (size_bytes < 0) {
        enum err e = disk_fail(error, "stat", text);
        fd_close(&fd);
        return e;
    }
    *ret_size_bytes = size_bytes;
    *ret_fd = fd;
    return ERR_OK;
}

void blob_remove(const struct blob_store *store, struct str name)
{
    char text[BLOB_NAME_BYTES_MAX];
    name_check(name, text);
    unlinkat(store->blobs_fd, text, 0);
}

enum err blob_hash(const struct blob_store *store, struct str name, struct arena *arena,
                   struct error *error, struct str *ret_sha256)
{
    CLEANUP(fd_close) int fd = -1;
    int64_t               size_bytes;
    enum err              e = blob_open(store, name, error, &fd, &size_bytes);
    if (e) return e;
    CLEANUP(sha256_drop) struct sha256 hash = { 0 };
    sha256_begin(&hash);
    char   *block = NEW(arena, char, READ_BYTES);
    ssize_t got;
    while ((got = disk_read_all(fd, block, READ_BYTES)) > 0)
        sha256_add(&hash, block, (size_t)got);
    if (got < 0) return disk_fail(error, "read", "blob");
    unsigned char digest[SHA256_BYTES];
    sha256_end(&hash, digest);
    *ret_sha256 = encode_hex(arena, digest, sizeof(digest));
    return ERR_OK;
}

/* --- sweeping --- */

static bool is_older(int folder_fd, const char *name, int64_t older_than_ms)
{
    struct stat info;
    if (fstatat(folder_fd, name, &info, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(info.st_mode))
        return false;
    int64_t touched_ms = num_max(info.st_mtim.tv_sec, info.st_ctim.tv_sec) * MS_PER_SECOND;
    return world_real_ms() - touched_ms > older_than_ms;
}

static int sweep_folder(int folder_fd, int64_t                              older_than_ms,
                        bool (*keep)(void *context, struct str name), void *context)
{
    int  removed = 0;
    int  fd = openat(folder_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *folder = fd < 0 ? NULL : fdopendir(fd);
    if (folder == NULL) {
        fd_close(&fd);
        return 0;
    }
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        if (entry->d_name[0] == '.' || !is_older(folder_fd, entry->d_name, older_than_ms)) continue;
        if (keep(context, str_of(entry->d_name))) continue;
        if (unlinkat(folder_fd, entry->d_name, 0) == 0) removed++;
    }
    closedir(folder);
    return removed;
}

int blob_sweep(const struct blob_store *store, int64_t             older_than_ms,
               bool (*keep)(void *context, struct str name), void *context)
{
    return sweep_folder(store->uploads_fd, older_than_ms, keep, context) +
           sweep_folder(store->blobs_fd, older_than_ms, keep, context);
}
