#include "base/log.h"

#include "base/time_text.h"
#include "base/world.h"

#include <assert.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Process-wide by nature: there is one stderr. Set once at start, reopened by SIGHUP. */
static _Atomic int log_fd = STDERR_FILENO;
static _Atomic int log_level_min = LOG_INFO;
static char        log_path[1024];

/* Room kept at the end of a line: an escape may pass the cut, and the object must be closed. */
enum { END_BYTES = 16, LEAST_FIELD_BYTES = 48 };

static const char *const level_names[] = { "debug", "info", "warning", "error" };
static_assert(COUNT_OF(level_names) == LOG_LEVEL__COUNT, "every level has a name");

bool log_level_parse(struct str name, enum log_level *ret_level)
{
    for (int level = 0; level < LOG_LEVEL__COUNT; level++) {
        if (!str_eq(name, str_of(level_names[level]))) continue;
        *ret_level = (enum log_level)level;
        return true;
    }
    return false;
}

static int open_file(const char *path)
{
    return open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
}

bool log_open(enum log_level level, const char *path)
{
    int fd = STDERR_FILENO;
    if (path == NULL) path = "";
    if (strlen(path) >= sizeof(log_path)) return false;
    if (path[0]) fd = open_file(path);
    if (fd < 0) return false;
    memcpy(log_path, path, strlen(path) + 1);
    atomic_store(&log_fd, fd);
    atomic_store(&log_level_min, (int)level);
    return true;
}

void log_reopen(void)
{
    if (log_path[0] == '\0') return;
    int fd = open_file(log_path);
    if (fd < 0) return;
    /* dup3 swaps the file under the number, so a line being written lands in one of the two. */
    dup3(fd, atomic_load(&log_fd), O_CLOEXEC);
    close(fd);
}

PRINTF_LIKE(2, 3) static void append(struct log_line *line, const char *format, ...)
{
    size_t  room = sizeof(line->text) - line->len;
    va_list arguments;
    va_start(arguments, format);
    int len = vsnprintf(line->text + line->len, room, format, arguments);
    va_end(arguments);
    if (len > 0) line->len += (size_t)len < room ? (size_t)len : room - 1;
}

static void append_text(struct log_line *line, struct str text)
{
    text = str_take(text, sizeof(line->text) - 1 - line->len);
    memcpy(line->text + line->len, text.data, text.len);
    line->len += text.len;
}

/* One character, escaped where JSON or a terminal would take it for more than text: quotes, and
 * control characters of both sets (U+0080 to U+009F too). What is not UTF-8 becomes U+FFFD. */
static void append_character(struct log_line *line, struct str character)
{
    unsigned char first = character.len ? (unsigned char)character.data[0] : 0;
    if (character.len == 0)
        append(line, "\\ufffd");
    else if (first == '"' || first == '\\')
        append(line, "\\%c", first);
    else if (first < 0x20 || first == 0x7f)
        append(line, "\\u%04x", first);
    else if (first == 0xc2 && (unsigned char)character.data[1] < 0xa0)
        append(line, "\\u%04x", (unsigned char)character.data[1]);
    else
        append(line, "%.*s", STR_ARG(character));
}

/* How many bytes at the front stand for themselves: most values have no others. */
static size_t plain_bytes(struct str text)
{
    size_t len = 0;
    while (len < text.len && text.data[len] >= ' ' && text.data[len] <= '~' &&
           text.data[len] != '"' && text.data[len] != '\\')
        len++;
    return len;
}

/* Escaped, cut between characters so that the line's end always fits. */
static void append_escaped(struct log_line *line, struct str text)
{
    const size_t len_max = sizeof(line->text) - END_BYTES;
    while (text.len > 0 && line->len < len_max) {
        size_t len = plain_bytes(str_take(text, len_max - line->len));
        if (len > 0) {
            append_text(line, str_take(text, len));
        } else {
            len = str_utf8_sequence(text);
            append_character(line, str_take(text, len));
            if (len == 0) len = 1;
        }
        text = str_skip(text, len);
    }
}

void log_begin(struct log_line *line, enum log_level level, const char *event)
{
    line->level = level;
    line->len = 0;
    char text[TIME_TEXT_BYTES];
    time_format(world_real_ms(), text);
    append(line, "{\"time\":\"%s\",\"level\":\"%s\",\"event\":\"%s\"", text, level_names[level],
           event);
}

/* Room for the key, some of the value and the end of the line. */
static bool has_room(const struct log_line *line, const char *key)
{
    return line->len + strlen(key) + LEAST_FIELD_BYTES < sizeof(line->text);
}

void log_text(struct log_line *line, const char *key, struct str text)
{
    if (text.data == NULL || !has_room(line, key)) return;
    append_text(line, STR(",\""));
    append_text(line, str_of(key));
    append_text(line, STR("\":\""));
    append_escaped(line, text);
    append_text(line, STR("\""));
}

void log_int(struct log_line *line, const char *key, int64_t value)
{
    if (has_room(line, key)) append(line, ",\"%s\":%lld", key, (long long)value);
}

void log_error(struct log_line *line, const struct error *error)
{
    log_text(line, "error", str_of(err_name(error->code)));
    log_text(line, "slug", str_of(error->slug));
    log_text(line, "detail", str_of(error->detail));
    log_text(line, "file", str_of(error->file));
    log_int(line, "line", error->line);
}

void log_end(struct log_line *line)
{
    if ((int)line->level < atomic_load(&log_level_min)) return;
    append(line, "}\n");
    ssize_t written = write(atomic_load(&log_fd), line->text, line->len);
    (void)written; /* nowhere to say that the log itself failed */
}
