/* The server's side against a zygote and children that were taken over: this program, started as
 * "media-zygote", answers each request with the misdeed that its size names. */
#include "base/world.h"
#include "platform/media_sandbox.h"
#include "platform/media_zygote.h"
#include "platform/media_zygote_wire.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

enum misdeed {
    GOOD_RECORD,
    NO_RECORD,
    SHORT_RECORD,
    LONG_RECORD,
    FLOOD,
    WRONG_LENGTH,
    WRONG_VERSION,
    FIGURE_OUT_OF_RANGE,
    REASON_WITHOUT_END,
    GARBAGE,
    GOOD_RECORD_OF_A_KILLED_CHILD,
    GOOD_RECORD_OF_A_FAILED_CHILD,
    GOOD_RECORD_TOO_LATE,
    MEMORY_GONE,
    NO_CHILD,
    SANDBOX_OPEN,
    UNKNOWN_END,
    HALF_A_REPORT,
    CLOSE_WITHOUT_REPORT,
    DIE,
    MISDEED__COUNT
};

/* --- the zygote --- */

static struct zygote_record good_record(void)
{
    return (struct zygote_record){ .result_bytes = sizeof(struct media_result),
                                   .result = { .version = MEDIA_RESULT_VERSION,
                                               .verdict = MEDIA_DECODED,
                                               .type = MEDIA_WAV,
                                               .has_audio = 1,
                                               .orientation = 1,
                                               .duration_ms = 1234 } };
}

static void put(int fd, const void *bytes, size_t count)
{
    if (write(fd, bytes, count) != (ssize_t)count) _exit(1);
}

static void put_record(enum misdeed misdeed, int fd)
{
    struct zygote_record record = good_record();
    char                 bytes[sizeof(record) + 1] = { 0 };
    switch (misdeed) {
    case NO_RECORD:
    case MEMORY_GONE:
    case NO_CHILD:
    case SANDBOX_OPEN: return;
    case SHORT_RECORD: put(fd, &record, sizeof(record) - 1); return;
    case LONG_RECORD:
        memcpy(bytes, &record, sizeof(record));
        put(fd, bytes, sizeof(bytes));
        return;
    case FLOOD: /* until the pipe is full */
        while (write(fd, &record, sizeof(record)) > 0) {
        }
        return;
    case WRONG_LENGTH: record.result_bytes--; break;
    case WRONG_VERSION: record.result.version++; break;
    case FIGURE_OUT_OF_RANGE: record.result.type = MEDIA_TYPE__COUNT; break;
    case REASON_WITHOUT_END:
        record.result.verdict = MEDIA_UNDECODABLE;
        memset(record.result.reason, 'a', sizeof(record.result.reason));
        break;
    case GARBAGE: memset(&record.result, 0x5a, sizeof(record.result)); break;
    default: break;
    }
    put(fd, &record, sizeof(record));
}

static struct zygote_report report_for(enum misdeed misdeed)
{
    switch (misdeed) {
    case GOOD_RECORD_OF_A_KILLED_CHILD:
        return (struct zygote_report){ .end = CHILD_SIGNALLED, .value = SIGSEGV };
    case GOOD_RECORD_OF_A_FAILED_CHILD:
        return (struct zygote_report){ .end = CHILD_EXITED, .value = CHILD_EXIT_RECORD };
    case GOOD_RECORD_TOO_LATE:
        return (struct zygote_report){ .end = CHILD_TIMED_OUT, .value = SIGKILL };
    case MEMORY_GONE:
        return (struct zygote_report){ .end = CHILD_EXITED, .value = CHILD_EXIT_MEMORY };
    case NO_CHILD: return (struct zygote_report){ .end = CHILD_NOT_STARTED, .value = EAGAIN };
    case SANDBOX_OPEN:
        return (struct zygote_report){ .end = CHILD_EXITED, .value = SANDBOX_FILTER };
    case UNKNOWN_END: return (struct zygote_report){ .end = 99, .value = 99 };
    default: return (struct zygote_report){ .end = CHILD_EXITED };
    }
}

static bool request_take(struct zygote_request *request, int *fds)
{
    union {
        char           bytes[CMSG_SPACE(REQUEST_FD__COUNT * sizeof(int))];
        struct cmsghdr align;
    } control;
    struct iovec  data = { request, sizeof(*request) };
    struct msghdr message = { .msg_iov = &data,
                              .msg_iovlen = 1,
                              .msg_control = &control,
                              .msg_controllen = sizeof(control) };
    if (recvmsg(ZYGOTE_SOCKET_FD, &message, 0) != (ssize_t)sizeof(*request)) return false;
    memcpy(fds, CMSG_DATA(CMSG_FIRSTHDR(&message)), REQUEST_FD__COUNT * sizeof(int));
    return true;
}

static NORETURN void hostile_zygote(void)
{
    struct zygote_hello   hello = { .version = ZYGOTE_WIRE_VERSION };
    struct zygote_request request;
    int                   fds[REQUEST_FD__COUNT];
    if (send(ZYGOTE_SOCKET_FD, &hello, sizeof(hello), 0) != (ssize_t)sizeof(hello)) _exit(1);
    while (request_take(&request, fds)) {
        enum misdeed         misdeed = (enum misdeed)request.size_bytes;
        struct zygote_report report = report_for(misdeed);
        if (misdeed == DIE) _exit(0);
        put_record(misdeed, fds[REQUEST_RESULT]);
        if (misdeed == HALF_A_REPORT)
            put(fds[REQUEST_REPORT], &report, sizeof(report) / 2);
        else if (misdeed != CLOSE_WITHOUT_REPORT)
            put(fds[REQUEST_REPORT], &report, sizeof(report));
        for (int i = 0; i < REQUEST_FD__COUNT; i++)
            close(fds[i]);
    }
    _exit(0);
}

/* --- the test --- */

static const struct row {
    const char  *name;
    enum misdeed misdeed;
    const char  *slug, *detail;
} rows[] = {
    { "no_record", NO_RECORD, "media_bad_record", "0 bytes" },
    { "short_record", SHORT_RECORD, "media_bad_record", "bytes where" },
    { "long_record", LONG_RECORD, "media_bad_record", "bytes where" },
    { "flood", FLOOD, "media_bad_record", "bytes where" },
    { "wrong_length", WRONG_LENGTH, "media_bad_record", "length" },
    { "wrong_version", WRONG_VERSION, "media_bad_record", "version 2" },
    { "figure_out_of_range", FIGURE_OUT_OF_RANGE, "media_bad_record", "range" },
    { "reason_without_end", REASON_WITHOUT_END, "media_bad_record", "range" },
    { "garbage", GARBAGE, "media_bad_record", "version" },
    { "killed_child", GOOD_RECORD_OF_A_KILLED_CHILD, "media_child_killed", "SIGSEGV" },
    { "failed_child", GOOD_RECORD_OF_A_FAILED_CHILD, "media_child_killed", "not written" },
    { "record_too_late", GOOD_RECORD_TOO_LATE, "media_timeout", "wall limit" },
    { "memory_gone", MEMORY_GONE, "media_child_killed", "memory limit of 512 MB" },
    { "no_child", NO_CHILD, "media_child_killed", "no child" },
    { "sandbox_open", SANDBOX_OPEN, "media_child_killed", "seccomp filter" },
    { "unknown_end", UNKNOWN_END, "media_child_killed", "no child" },
    { "half_a_report", HALF_A_REPORT, "zygote_lost", "ended" },
    { "close_without_report", CLOSE_WITHOUT_REPORT, "zygote_lost", "ended" },
    { "die", DIE, "zygote_lost", "ended" },
};

static enum err ask_for(struct media_zygote *zygote, enum misdeed misdeed, struct error *error,
                        struct media_result *ret_result)
{
    static const struct media_limits limits = { .cpu_seconds = 10,
                                                .wall_ms = 10000,
                                                .memory_bytes_max = (int64_t)512 << 20 };

    int      fd = memfd_create("media", MFD_CLOEXEC);
    enum err e = media_zygote_examine(zygote, fd, misdeed, 1, &limits, error, ret_result);
    close(fd);
    return e;
}

static void misdeed_is_an_error_and_the_next_call_works(void **state)
{
    const struct row    *row = *state;
    struct error         error = { 0 };
    struct media_zygote *zygote;
    struct media_result  result, untouched;
    memset(&result, 0x33, sizeof(result));
    untouched = result;
    assert_int_equal(media_zygote_start(&error, &zygote), ERR_OK);
    assert_int_equal(media_zygote_await(zygote, &error), ERR_OK);
    assert_int_equal(ask_for(zygote, row->misdeed, &error, &result), ERR_UNAVAILABLE);
    assert_string_equal(error.slug, row->slug);
    if (!strstr(error.detail, row->detail)) fail_msg("%s", error.detail);
    assert_memory_equal(&result, &untouched, sizeof(result));
    assert_int_equal(ask_for(zygote, GOOD_RECORD, &error, &result), ERR_OK);
    assert_int_equal(result.duration_ms, 1234);
    media_zygote_stop(zygote);
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "media-zygote") == 0) hostile_zygote();
    struct CMUnitTest tests[COUNT_OF(rows)] = { 0 };
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        tests[i] = (struct CMUnitTest){ .name = rows[i].name,
                                        .test_func = misdeed_is_an_error_and_the_next_call_works,
                                        .initial_state = (void *)&rows[i] };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
