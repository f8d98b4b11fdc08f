#include "base/error.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

static const char *const err_names[] = {
    [ERR_OK] = "ok",
    [ERR_INVALID] = "invalid",
    [ERR_UNAUTHENTICATED] = "unauthenticated",
    [ERR_UNPAID] = "unpaid",
    [ERR_FORBIDDEN] = "forbidden",
    [ERR_NOT_FOUND] = "not_found",
    [ERR_METHOD] = "method",
    [ERR_CONFLICT] = "conflict",
    [ERR_GONE] = "gone",
    [ERR_PRECONDITION] = "precondition",
    [ERR_TOO_LARGE] = "too_large",
    [ERR_MEDIA_TYPE] = "media_type",
    [ERR_RANGE] = "range",
    [ERR_UNPROCESSABLE] = "unprocessable",
    [ERR_CHECKSUM] = "checksum",
    [ERR_LIMITED] = "limited",
    [ERR_BUSY] = "busy",
    [ERR_UNCERTAIN] = "uncertain",
    [ERR_UNAVAILABLE] = "unavailable",
    [ERR_INTERNAL] = "internal",
};
static_assert(COUNT_OF(err_names) == ERR__COUNT, "every code has a name");

enum err error_set(struct error *error, enum err code, const char *slug, const char *file, int line,
                   const char *format, ...)
{
    CHECK(code != ERR_OK);
    error->code = code;
    error->slug = slug;
    error->file = file;
    error->line = line;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(error->detail, sizeof(error->detail), format, arguments);
    va_end(arguments);
    return code;
}

enum { MORE_BYTES_MAX = 30 }; /* " (and 2147483647 more)" and the NUL */

enum err error_set_faults(struct error *error, struct arena *arena, enum err code, const char *slug,
                          const char *file, int line)
{
    const struct fault *first = error->faults;
    CHECK(first != NULL);
    const char *field = first->field ? first->field : "the body";
    struct str  text = str_format(arena, "%s %s", field, first->message);
    text = str_sanitise(arena, text, ERROR_DETAIL_BYTES_MAX - MORE_BYTES_MAX);
    int others_count = error->faults_count - 1;
    if (others_count == 0) return error_set(error, code, slug, file, line, "%.*s", STR_ARG(text));
    return error_set(error, code, slug, file, line, "%.*s (and %d more)", STR_ARG(text),
                     others_count);
}

void error_clear(struct error *error)
{
    *error = (struct error){ 0 };
}

void error_add_fault(struct error *error, struct arena *arena, struct str field, const char *code,
                     const char *format, ...)
{
    error->faults_count++;
    if (error->faults_count > ERROR_FAULTS_COUNT_MAX) return;
    char    message[ERROR_DETAIL_BYTES_MAX];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof(message), format, arguments);
    va_end(arguments);

    struct fault *fault = NEW(arena, struct fault, 1);
    fault->field = str_c(arena, field);
    fault->code = code;
    fault->message = str_c(arena, str_of(message));
    if (error->faults_last)
        error->faults_last->next = fault;
    else
        error->faults = fault;
    error->faults_last = fault;
}

const char *err_name(enum err code)
{
    CHECK((unsigned)code < ERR__COUNT);
    return err_names[code];
}
