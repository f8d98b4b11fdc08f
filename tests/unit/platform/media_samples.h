/* The sample media for tests of the platform's media files: made by tests/media/make-samples, or
 * found in the directory that FIRSTHAND_SAMPLES names. Missing samples fail the test. */
#ifndef FIRSTHAND_TESTS_MEDIA_SAMPLES_H
#define FIRSTHAND_TESTS_MEDIA_SAMPLES_H

#include "platform/media.h"

#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { ALL_TYPES = BIT(MEDIA_TYPE__COUNT) - 1, SAMPLE_CPU_SECONDS = 60 };

static const struct media_limits samples_limits = { .cpu_seconds = SAMPLE_CPU_SECONDS,
                                                    .wall_ms = 120000,
                                                    .memory_bytes_max = (int64_t)512 << 20 };
static char                      samples_directory[PATH_MAX];

/* Group set-up: make the samples unless they are given, and load the decoders. */
static inline int samples_open(void **state)
{
    (void)state;
    const char *given = getenv("FIRSTHAND_SAMPLES");
    media_prepare();
    if (given != NULL && *given != '\0') {
        snprintf(samples_directory, sizeof samples_directory, "%s", given);
        return 0;
    }
    snprintf(samples_directory, sizeof samples_directory, "/tmp/firsthand-samples.XXXXXX");
    if (mkdtemp(samples_directory) == NULL) return -1;
    pid_t child = fork();
    if (child == 0) {
        execl(SOURCE_DIR "/tests/media/make-samples", "make-samples", samples_directory, NULL);
        _exit(127);
    }
    int status = -1;
    if (child < 0 || waitpid(child, &status, 0) != child) return -1;
    return status; /* 0 when the script ended well */
}

static inline int samples_close(void **state)
{
    (void)state;
    const char *given = getenv("FIRSTHAND_SAMPLES");
    if (given != NULL && *given != '\0') return 0;
    pid_t child = fork();
    if (child == 0) {
        execlp("rm", "rm", "-rf", samples_directory, NULL);
        _exit(127);
    }
    int status = -1;
    return child > 0 && waitpid(child, &status, 0) == child ? status : -1;
}

/* Whatever comes out is a sound record, and the same each time. */
static inline struct media_result examine_fd(int fd, int64_t size_bytes, int cpu_seconds)
{
    struct media_limits limits = samples_limits;
    struct media_result result;
    limits.cpu_seconds = cpu_seconds;
    memset(&result, 0xa5, sizeof result);
    media_examine(fd, size_bytes, ALL_TYPES, &limits, &result);
    if (!media_result_check(&result))
        fail_msg("unsound record: verdict %d reason '%.60s'", result.verdict, result.reason);
    return result;
}

static inline int open_sample(const char *name, int64_t *ret_size_bytes)
{
    char        path[PATH_MAX + 64];
    struct stat about;
    snprintf(path, sizeof path, "%s/%s", samples_directory, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &about) != 0) fail_msg("no sample %s", path);
    *ret_size_bytes = about.st_size;
    return fd;
}

static inline struct media_result examine_sample_within(const char *name, int cpu_seconds)
{
    int64_t             size_bytes = 0;
    int                 fd = open_sample(name, &size_bytes);
    struct media_result result = examine_fd(fd, size_bytes, cpu_seconds);
    close(fd);
    return result;
}

static inline struct media_result examine_sample(const char *name)
{
    return examine_sample_within(name, SAMPLE_CPU_SECONDS);
}

static inline struct media_result examine_bytes(const void *bytes, size_t size)
{
    int fd = memfd_create("sample", MFD_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, size), size);
    struct media_result result = examine_fd(fd, (int64_t)size, SAMPLE_CPU_SECONDS);
    close(fd);
    return result;
}

/* The caller frees. */
static inline char *read_sample(const char *name, size_t *ret_size)
{
    int64_t size_bytes = 0;
    int     fd = open_sample(name, &size_bytes);
    char   *bytes = malloc((size_t)size_bytes + 1);
    assert_non_null(bytes);
    assert_int_equal(pread(fd, bytes, (size_t)size_bytes, 0), size_bytes);
    close(fd);
    *ret_size = (size_t)size_bytes;
    return bytes;
}

static inline void assert_decoded(const struct media_result *result, enum media_type type)
{
    assert_string_equal(result->reason, "");
    assert_int_equal(result->verdict, MEDIA_DECODED);
    assert_string_equal(media_type_name((enum media_type)result->type), media_type_name(type));
    assert_int_equal(result->decode_errors, 0);
}

static inline void assert_refused(const struct media_result *result, const char *reason)
{
    assert_string_equal(result->reason, reason);
    assert_int_equal(result->verdict, MEDIA_UNDECODABLE);
}

#endif
