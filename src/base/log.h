/* Structured log: one JSON object a line, written whole with one write(2). Never secrets, never
 * bodies. A line is logged once, at the edge; libraries below return errors instead.
 *
 *     struct log_line line;
 *     log_begin(&line, LOG_INFO, "request");
 *     log_int(&line, "status", 200);
 *     log_end(&line);
 */
#ifndef FIRSTHAND_BASE_LOG_H
#define FIRSTHAND_BASE_LOG_H

#include "base/error.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARNING, LOG_ERROR, LOG_LEVEL__COUNT };

enum { LOG_LINE_BYTES_MAX = 2048 };

struct log_line {
    enum log_level level;
    size_t         len;
    char           text[LOG_LINE_BYTES_MAX];
};

/* "debug", "info", "warning" or "error"; false for any other text. */
MUST_USE bool log_level_parse(struct str name, enum log_level *ret_level);

/* Lines below the level are dropped. path NULL = stderr. false when the file cannot be opened or
 * its path is too long. For the start, before other threads log. */
MUST_USE bool log_open(enum log_level level, const char *path);

/* Open the path again (SIGHUP, after the file was moved away); the old file stays in use when that
 * fails. Others may log meanwhile. */
void log_reopen(void);

/* A value that does not fit is cut, a key that does not is left out: the line stays one JSON
 * object. Keys and events are plain literals. */
void log_begin(struct log_line *line, enum log_level level, const char *event);
void log_text(struct log_line *line, const char *key, struct str text); /* absent: left out */
void log_int(struct log_line *line, const char *key, int64_t value);
void log_error(struct log_line *line, const struct error *error); /* code, slug, detail, place */
void log_end(struct log_line *line);

#endif
