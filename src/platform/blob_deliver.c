#include "platform/blob_private.h"

#include "base/num.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    COPY_BYTES = 256 << 10,
    COPY_KERNEL_BYTES = 1 << 30, /* what one copy_file_range is asked for */
    MANIFEST_READ_BYTES = 64 << 10,
};
static_assert(BLOB_MANIFEST_LINE_BYTES_MAX * 2 <= MANIFEST_READ_BYTES,
              "a block holds a whole line wherever it begins");

/* What one delivery has open. */
struct delivery {
    const struct blob_delivery *asked;
    struct arena               *arena;
    struct error               *error;
    int                         folder_fd;
    char                        name[BLOB_NAME_BYTES_MAX];
};

/* --- the folder --- */

/* Open folder/under, made durable when it is new. */
static enum err step_into(struct delivery *d, int under_fd, struct str name, int *ret_fd)
{
    char text[BLOB_NAME_BYTES_MAX];
    CHECK(blob_name_copy(name, text));
    bool is_new = mkdirat(under_fd, text, 0700) == 0;
    if (!is_new && errno != EEXIST) return disk_fail(d->error, "create", text);
    int fd = openat(under_fd, text, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) return disk_fail(d->error, "open", text);
    /* Also when it was there: whoever made it may have died before this. */
    if (fsync(under_fd) != 0) {
        close(fd);
        return disk_fail(d->error, "sync", text);
    }
    *ret_fd = fd;
    return ERR_OK;
}

static enum err open_folder(const struct blob_store *store, struct delivery *d)
{
    struct str organisation, job = d->asked->folder;
    CHECK(str_cut(&job, '/', &organisation));
    CLEANUP(fd_close) int fd = -1;
    enum err              e = step_into(d, store->delivered_fd, organisation, &fd);
    if (e) return e;
    return step_into(d, fd, job, &d->folder_fd);
}

/* --- the file --- */

static enum err copy_by_hand(struct delivery *d, int from_fd, int to_fd)
{
    char   *block = NEW(d->arena, char, COPY_BYTES);
    ssize_t got;
    while ((got = disk_read_all(from_fd, block, COPY_BYTES)) > 0)
        if (!disk_write_all(to_fd, block, (size_t)got))
            return disk_fail(d->error, "write", d->name);
    return got < 0 ? disk_fail(d->error, "read", d->name) : ERR_OK;
}

/* A reflink where the file system has them, else a copy inside the kernel, else by hand: never a
 * hard link, which would share what a person does to the delivered file. */
static enum err copy_bytes(struct delivery *d, int from_fd, int to_fd)
{
    if (ioctl(to_fd, FICLONE, from_fd) == 0) return ERR_OK;
    for (;;) {
        ssize_t copied = copy_file_range(from_fd, NULL, to_fd, NULL, COPY_KERNEL_BYTES, 0);
        if (copied > 0) continue;
        if (copied == 0) return ERR_OK;
        if (errno == ENOSPC || errno == EDQUOT) return disk_fail(d->error, "write", d->name);
        return copy_by_hand(d, from_fd, to_fd); /* both offsets stand where it stopped */
    }
}

/* Under another name first, so that a name in the folder always means the whole file. */
static enum err place_file(const struct blob_store *store, struct delivery *d)
{
    char temporary[BLOB_NAME_BYTES_MAX + 8];
    snprintf(temporary, sizeof(temporary), ".%s.new", d->name);
    CLEANUP(fd_close) int from_fd = -1;
    int64_t               size_bytes;
    enum err e = blob_open(store, d->asked->blob_name, d->error, &from_fd, &size_bytes);
    if (e) return e;
    if (unlinkat(d->folder_fd, temporary, 0) != 0 && errno != ENOENT)
        return disk_fail(d->error, "remove", temporary);
    CLEANUP(fd_close)
    int to_fd = openat(d->folder_fd, temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (to_fd < 0) return disk_fail(d->error, "create", d->name);
    e = copy_bytes(d, from_fd, to_fd);
    if (e == ERR_OK &&
        (fchmod(to_fd, 0444) != 0 || fsync(to_fd) != 0 ||
         renameat(d->folder_fd, temporary, d->folder_fd, d->name) != 0 || fsync(d->folder_fd) != 0))
        e = disk_fail(d->error, "write", d->name);
    if (e) unlinkat(d->folder_fd, temporary, 0);
    return e;
}

/* --- the manifest --- */

/* Read it a block at a time: does a whole line contain the id, and where does the last whole line
 * end? Lines are far shorter than a block, so a first delivery need only look at the last one; else
 * each file of a large job would cost a reading of all before it. */
static enum err scan_manifest(struct delivery *d, int fd, bool *ret_has_id, int64_t *ret_end)
{
    char   *block = NEW(d->arena, char, MANIFEST_READ_BYTES);
    int64_t size_bytes = disk_file_size(fd);
    int64_t at = d->asked->may_be_there ? 0 : num_max(0, size_bytes - MANIFEST_READ_BYTES);
    *ret_has_id = false;
    for (;;) {
        ssize_t got = pread(fd, block, MANIFEST_READ_BYTES, at);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return disk_fail(d->error, "read", "manifest");
        const char *last = got ? memrchr(block, '\n', (size_t)got) : NULL;
        if (last == NULL) break; /* the end, or a torn line */
        size_t whole = (size_t)(last - block) + 1;
        if (memmem(block, whole, d->asked->file_id.data, d->asked->file_id.len)) *ret_has_id = true;
        at += (int64_t)whole;
    }
    *ret_end = at;
    return ERR_OK;
}

static enum err append_line(struct delivery *d)
{
    CLEANUP(fd_close)
    int fd =
        openat(d->folder_fd, "manifest.jsonl", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0644);
    if (fd < 0) return disk_fail(d->error, "open", "manifest");
    /* Files of one job may be delivered at once: one line at a time. Ends with the descriptor. */
    while (flock(fd, LOCK_EX) != 0)
        if (errno != EINTR) return disk_fail(d->error, "lock", "manifest");
    bool     has_id = false;
    int64_t  end = 0;
    enum err e = scan_manifest(d, fd, &has_id, &end);
    if (e) return e;
    if (ftruncate(fd, end) != 0) return disk_fail(d->error, "cut", "manifest");
    struct str line = d->asked->manifest_line;
    if (!has_id && !disk_write_all_at(fd, line.data, line.len, end)) {
        e = disk_fail(d->error, "write", "manifest");
        bool is_cut = ftruncate(fd, end) == 0;
        (void)is_cut; /* if not, the next delivery cuts it */
        return e;
    }
    if (fsync(fd) != 0 || fsync(d->folder_fd) != 0) return disk_fail(d->error, "sync", "manifest");
    return ERR_OK;
}

enum err blob_deliver(const struct blob_store *store, const struct blob_delivery *asked,
                      struct arena *arena, struct error *error)
{
    struct delivery d = { .asked = asked, .arena = arena, .error = error, .folder_fd = -1 };
    CHECK(blob_name_copy(asked->file_name, d.name));
    CHECK(str_ends_with(asked->manifest_line, STR("\n")) && asked->file_id.len > 0);
    CHECK(asked->manifest_line.len <= BLOB_MANIFEST_LINE_BYTES_MAX);
    enum err e = open_folder(store, &d);
    if (e) return e;
    CLEANUP(fd_close) int folder_fd = d.folder_fd;
    if (faccessat(folder_fd, d.name, F_OK, AT_SYMLINK_NOFOLLOW) != 0) {
        e = place_file(store, &d);
        if (e) return e;
    }
    return append_line(&d);
}

void blob_undeliver(const struct blob_store *store, struct str folder, struct str file_name)
{
    char       organisation[BLOB_NAME_BYTES_MAX], job[BLOB_NAME_BYTES_MAX];
    char       name[BLOB_NAME_BYTES_MAX], path[3 * BLOB_NAME_BYTES_MAX];
    struct str head;
    CHECK(str_cut(&folder, '/', &head) && blob_name_copy(head, organisation));
    CHECK(blob_name_copy(folder, job) && blob_name_copy(file_name, name));
    snprintf(path, sizeof(path), "%s/%s/%s", organisation, job, name);
    unlinkat(store->delivered_fd, path, 0);
}

struct str blob_delivered_path(const struct blob_store *store, struct str folder,
                               struct arena *arena)
{
    return str_format(arena, "%.*s/delivered/%.*s", STR_ARG(store->data_dir), STR_ARG(folder));
}
