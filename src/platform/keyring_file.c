#include "platform/keyring_file.h"

#include "base/buf.h"
#include "base/encode.h"
#include "base/world.h"
#include "platform/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILE_BYTES_MAX = KEYRING_LINES_MAX * 96 };

static const struct str DROPPED = { "audit ", 6 };

void keyring_file_wipe(struct keyring_file *file)
{
    explicit_bzero(file, sizeof(*file));
}

static enum err fail_unreadable(struct error *error, const char *act, const char *path)
{
    return FAIL(error, ERR_UNAVAILABLE, "server_key_unreadable", "%s %s: %s", act, path,
                strerror(errno));
}

/* --- writing --- */

static struct str file_text(const struct keyring_file *file, struct arena *arena)
{
    struct buf text;
    buf_init(&text, arena, FILE_BYTES_MAX);
    for (int i = 0; i < file->count; i++) {
        const struct keyring_line *line = &file->lines[i];
        struct str                 hex = encode_hex(arena, line->secret, sizeof(line->secret));
        buf_fmt(&text, "%d %s%s\n", line->number, line->is_dropped ? DROPPED.data : "", hex.data);
        explicit_bzero((char *)hex.data, hex.len);
    }
    CHECK(!text.failed);
    return buf_str(&text);
}

/* Under its own name only once it is whole: whoever finds the file may read it, also when the power
 * fails in between. With is_new the first of several who make it keeps it. */
static enum err put_text(const char *path, struct str text, bool is_new, struct arena *arena,
                         struct error *error)
{
    struct str            draft = str_format(arena, "%s.XXXXXX", path);
    CLEANUP(fd_close) int fd = mkostemp((char *)draft.data, O_CLOEXEC); /* mode 0600 */
    if (fd < 0) return fail_unreadable(error, "create", path);
    bool is_made = disk_write_all(fd, text.data, text.len) && fsync(fd) == 0;
    if (is_made && is_new) is_made = link(draft.data, path) == 0 || errno == EEXIST;
    if (is_made && !is_new) is_made = rename(draft.data, path) == 0;
    int reason = errno;
    if (is_new || !is_made) unlink(draft.data);
    errno = reason;
    if (!is_made) return fail_unreadable(error, "write", path);
    return disk_sync_parent(path, error);
}

static enum err put_file(const char *path, const struct keyring_file *file, bool is_new,
                         struct arena *arena, struct error *error)
{
    struct str text = file_text(file, arena);
    enum err   e = put_text(path, text, is_new, arena, error);
    explicit_bzero((char *)text.data, text.len);
    return e;
}

enum err keyring_file_write(const char *path, const struct keyring_file *file, struct arena *arena,
                            struct error *error)
{
    return put_file(path, file, false, arena, error);
}

static enum err create(const char *path, struct arena *arena, struct error *error)
{
    CLEANUP(keyring_file_wipe) struct keyring_file file = { .count = 1, .lines[0].number = 1 };
    world_random(file.lines[0].secret, sizeof(file.lines[0].secret));
    return put_file(path, &file, true, arena, error);
}

enum err keyring_file_lock(const char *path, struct arena *arena, struct error *error, int *ret_fd)
{
    struct str parent = str_copy(arena, str_of(path));
    int        fd = open(dirname((char *)parent.data), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return fail_unreadable(error, "open the directory of", path);
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        fd_close(&fd);
        return FAIL(error, ERR_CONFLICT, "server_key_busy", "another command changes %s", path);
    }
    *ret_fd = fd;
    return ERR_OK;
}

/* --- reading --- */

static enum err read_text(const char *path, bool may_create, struct arena *arena,
                          struct error *error, struct str *ret_text)
{
    if (access(path, F_OK) != 0 && errno == ENOENT) {
        if (!may_create)
            return FAIL(error, ERR_UNAVAILABLE, "server_key_missing",
                        "%s is missing beside a filled store: restore it from a backup", path);
        enum err e = create(path, arena, error);
        if (e) return e;
    }
    CLEANUP(fd_close) int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat           info;
    if (fd < 0 || fstat(fd, &info) != 0) return fail_unreadable(error, "open", path);
    if (info.st_mode & 077)
        return FAIL(error, ERR_UNAVAILABLE, "server_key_permissions",
                    "%s must be readable by its owner only (chmod 600)", path);
    char   *text = NEW(arena, char, FILE_BYTES_MAX);
    ssize_t got = disk_read_all(fd, text, FILE_BYTES_MAX);
    if (got < 0) return fail_unreadable(error, "read", path);
    if (got == FILE_BYTES_MAX)
        return FAIL(error, ERR_UNAVAILABLE, "server_key_malformed", "%s is longer than %d keys",
                    path, KEYRING_LINES_MAX);
    *ret_text = (struct str){ text, (size_t)got };
    return ERR_OK;
}

static bool parse_line(struct str text, struct keyring_line *line)
{
    struct str number_text;
    int64_t    number;
    if (!str_cut(&text, ' ', &number_text) || !str_to_int64(number_text, &number)) return false;
    if (number < 1 || number > KEYRING_NUMBER_MAX) return false;
    line->number = (int)number;
    line->is_dropped = str_starts_with(text, DROPPED);
    if (line->is_dropped) text = str_skip(text, DROPPED.len);
    return decode_hex(text, line->secret, sizeof(line->secret));
}

static struct keyring_line *find(struct keyring_file *file, int number)
{
    for (int i = 0; i < file->count; i++)
        if (file->lines[i].number == number) return &file->lines[i];
    return NULL;
}

/* Values name the key they were made under: a number given twice would hide the second. */
static bool add_line(struct keyring_file *file, struct str text)
{
    struct keyring_line line = { 0 };
    bool                is_good = file->count < KEYRING_LINES_MAX && parse_line(text, &line) &&
                   find(file, line.number) == NULL &&
                   (line.is_dropped || keyring_file_in_use(file) < KEYRING_KEYS_MAX);
    if (is_good) file->lines[file->count++] = line;
    explicit_bzero(&line, sizeof(line));
    return is_good;
}

static enum err parse(const char *path, struct str text, struct error *error,
                      struct keyring_file *file)
{
    struct str line;
    while (str_cut(&text, '\n', &line)) {
        if (line.len == 0) continue;
        if (!add_line(file, line))
            return FAIL(error, ERR_UNAVAILABLE, "server_key_malformed", "%s, key %d", path,
                        file->count + 1);
    }
    if (file->count == 0 || file->lines[0].is_dropped)
        return FAIL(error, ERR_UNAVAILABLE, "server_key_malformed", "%s holds no key", path);
    return ERR_OK;
}

enum err keyring_file_read(const char *path, bool may_create, struct arena *arena,
                           struct error *error, struct keyring_file *ret_file)
{
    struct str text;
    enum err   e = read_text(path, may_create, arena, error, &text);
    if (e) return e;
    CLEANUP(keyring_file_wipe) struct keyring_file file = { 0 };
    e = parse(path, text, error, &file);
    explicit_bzero((char *)text.data, text.len);
    if (e == ERR_OK) *ret_file = file;
    return e;
}

/* --- changes, in memory --- */

int keyring_file_used(const struct keyring_file *file)
{
    return file->lines[0].number;
}

int keyring_file_highest(const struct keyring_file *file)
{
    int highest = 0;
    for (int i = 0; i < file->count; i++)
        if (!file->lines[i].is_dropped && file->lines[i].number > highest)
            highest = file->lines[i].number;
    return highest;
}

int keyring_file_in_use(const struct keyring_file *file)
{
    int count = 0;
    for (int i = 0; i < file->count; i++)
        count += !file->lines[i].is_dropped;
    return count;
}

/* Move a line to a place before it. */
static void move_up(struct keyring_file *file, int from, int to)
{
    struct keyring_line line = file->lines[from];
    memmove(&file->lines[to + 1], &file->lines[to], (size_t)(from - to) * sizeof(line));
    file->lines[to] = line;
    explicit_bzero(&line, sizeof(line));
}

enum err keyring_file_announce(struct keyring_file *file, struct error *error, int *ret_number)
{
    int number = 0;
    for (int i = 0; i < file->count; i++)
        if (file->lines[i].number > number) number = file->lines[i].number;
    if (file->count == KEYRING_LINES_MAX || keyring_file_in_use(file) == KEYRING_KEYS_MAX ||
        number == KEYRING_NUMBER_MAX)
        return FAIL(error, ERR_CONFLICT, "server_key_full", "server.key has no room for another");
    struct keyring_line *line = &file->lines[file->count++];
    *line = (struct keyring_line){ .number = number + 1 };
    world_random(line->secret, sizeof(line->secret));
    move_up(file, file->count - 1, 1);
    *ret_number = number + 1;
    return ERR_OK;
}

void keyring_file_use(struct keyring_file *file, int number)
{
    struct keyring_line *line = find(file, number);
    CHECK(line != NULL && !line->is_dropped);
    move_up(file, (int)(line - file->lines), 0);
}

void keyring_file_drop(struct keyring_file *file, int number)
{
    struct keyring_line *line = find(file, number);
    unsigned char        derived[CRYPTO_KEY_BYTES];
    CHECK(line != NULL && !line->is_dropped && line != file->lines);
    crypto_derive(line->secret, "audit", derived);
    memcpy(line->secret, derived, sizeof(derived));
    line->is_dropped = true;
    explicit_bzero(derived, sizeof(derived));
}
