#include "platform/disk.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/time.h>

#include "scratch_store.h"

static char path_text[256];

static const char *path_in(const struct scratch *scratch, const char *name)
{
    snprintf(path_text, sizeof(path_text), "%s/%s", scratch->dir, name);
    return path_text;
}

/* --- writing --- */

enum { STREAM_BYTES = 8 << 20 };

struct stream {
    int    fd;
    size_t bytes_count;
    bool   is_in_order;
};

static void *read_all(void *argument)
{
    struct stream *stream = argument;
    unsigned char  piece[1000];
    ssize_t        got;
    stream->is_in_order = true;
    while ((got = read(stream->fd, piece, sizeof(piece))) > 0 || (got < 0 && errno == EINTR))
        for (ssize_t i = 0; i < got; i++)
            if (piece[i] != (unsigned char)(stream->bytes_count++ % 251))
                stream->is_in_order = false;
    return NULL;
}

static void nothing(int number)
{
    (void)number;
}

/* A timer whose signals interrupt calls: they come back short, or not begun. */
static void signals_begin(void)
{
    struct sigaction action = { .sa_handler = nothing };
    struct itimerval often = { { 0, 200 }, { 0, 200 } };
    assert_int_equal(sigaction(SIGALRM, &action, NULL), 0);
    assert_int_equal(setitimer(ITIMER_REAL, &often, NULL), 0);
}

static void signals_end(void)
{
    struct itimerval never = { 0 };
    assert_int_equal(setitimer(ITIMER_REAL, &never, NULL), 0);
    signal(SIGALRM, SIG_DFL);
}

static void write_all_goes_on_after_short_and_interrupted_writes(void **state)
{
    (void)state;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    struct stream stream = { .fd = ends[0] };
    pthread_t     reader;
    sigset_t      alarm_only, before;
    sigemptyset(&alarm_only);
    sigaddset(&alarm_only, SIGALRM);
    pthread_sigmask(SIG_BLOCK, &alarm_only, &before); /* the reader's; the writer unblocks it */
    assert_int_equal(pthread_create(&reader, NULL, read_all, &stream), 0);
    pthread_sigmask(SIG_SETMASK, &before, NULL);

    unsigned char *bytes = calloc(1, STREAM_BYTES);
    for (size_t i = 0; i < STREAM_BYTES; i++)
        bytes[i] = (unsigned char)(i % 251);
    signals_begin();
    bool is_written = disk_write_all(ends[1], bytes, STREAM_BYTES);
    signals_end();
    close(ends[1]);
    pthread_join(reader, NULL);
    close(ends[0]);
    free(bytes);
    assert_true(is_written);
    assert_int_equal(stream.bytes_count, STREAM_BYTES);
    assert_true(stream.is_in_order);
}

static void write_all_to_nobody_says_why(void **state)
{
    (void)state;
    int ends[2];
    signal(SIGPIPE, SIG_IGN);
    assert_int_equal(pipe(ends), 0);
    close(ends[0]);
    errno = 0;
    assert_false(disk_write_all(ends[1], "x", 1));
    assert_int_equal(errno, EPIPE);
    close(ends[1]);
}

static void write_all_of_nothing_is_fine(void **state)
{
    (void)state;
    assert_true(disk_write_all(-1, "", 0));
}

static void write_all_at_writes_where_told_and_moves_nothing(void **state)
{
    int fd = open(path_in(*state, "file"), O_RDWR | O_CREAT, 0600);
    assert_true(fd >= 0);
    assert_true(disk_write_all(fd, "0123456789", 10));
    assert_true(disk_write_all_at(fd, "abc", 3, 4));
    assert_true(disk_write_all_at(fd, "z", 1, 11));
    assert_int_equal(lseek(fd, 0, SEEK_CUR), 10);
    char text[13] = { 0 };
    assert_int_equal(pread(fd, text, 12, 0), 12);
    assert_memory_equal(text, "0123abc789\0z", 12);
    assert_int_equal(disk_file_size(fd), 12);
    close(fd);
}

static void write_all_at_of_a_closed_file_says_why(void **state)
{
    (void)state;
    errno = 0;
    assert_false(disk_write_all_at(-1, "x", 1, 0));
    assert_int_equal(errno, EBADF);
}

static void *write_stream(void *argument)
{
    struct stream *stream = argument;
    unsigned char *bytes = calloc(1, STREAM_BYTES);
    for (size_t i = 0; i < STREAM_BYTES; i++)
        bytes[i] = (unsigned char)(i % 251);
    stream->is_in_order = disk_write_all(stream->fd, bytes, STREAM_BYTES);
    close(stream->fd);
    free(bytes);
    return NULL;
}

static void read_all_goes_on_after_short_and_interrupted_reads(void **state)
{
    (void)state;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    struct stream stream = { .fd = ends[1] };
    pthread_t     writer;
    sigset_t      alarm_only, before;
    sigemptyset(&alarm_only);
    sigaddset(&alarm_only, SIGALRM);
    pthread_sigmask(SIG_BLOCK, &alarm_only, &before); /* the writer's; the reader unblocks it */
    assert_int_equal(pthread_create(&writer, NULL, write_stream, &stream), 0);
    pthread_sigmask(SIG_SETMASK, &before, NULL);

    unsigned char *bytes = calloc(1, STREAM_BYTES + 1);
    signals_begin();
    ssize_t whole = disk_read_all(ends[0], bytes, STREAM_BYTES - 1);
    ssize_t rest = disk_read_all(ends[0], bytes + STREAM_BYTES - 1, 2);
    signals_end();
    pthread_join(writer, NULL);
    close(ends[0]);
    assert_true(stream.is_in_order);
    assert_int_equal(whole, STREAM_BYTES - 1);
    assert_int_equal(rest, 1); /* fewer: the end */
    for (size_t i = 0; i < STREAM_BYTES; i++)
        if (bytes[i] != (unsigned char)(i % 251)) fail_msg("byte %zu", i);
    free(bytes);
}

static void read_all_of_a_closed_file_says_why(void **state)
{
    (void)state;
    char byte;
    errno = 0;
    assert_int_equal(disk_read_all(-1, &byte, 1), -1);
    assert_int_equal(errno, EBADF);
}

static void size_of_no_file_is_minus_one(void **state)
{
    (void)state;
    assert_int_equal(disk_file_size(-1), -1);
}

static void fd_close_closes_once_and_only_what_is_open(void **state)
{
    int none = -1;
    fd_close(&none);
    int fd = open(path_in(*state, "file"), O_RDWR | O_CREAT, 0600);
    fd_close(&fd);
    assert_int_equal(fcntl(fd, F_GETFD), -1);
}

/* --- what a failure is called --- */

static void full_disk_has_a_name_of_its_own(void **state)
{
    (void)state;
    struct error error = { 0 };
    int          fd = open("/dev/full", O_WRONLY);
    assert_true(fd >= 0);
    assert_false(disk_write_all(fd, "x", 1));
    assert_int_equal(disk_fail(&error, "write", "/data/part"), ERR_UNAVAILABLE);
    assert_string_equal(error.slug, "disk_full");
    assert_string_equal(error.detail, "write /data/part: No space left on device");
    close(fd);
    errno = EDQUOT;
    assert_int_equal(disk_fail(&error, "write", "x"), ERR_UNAVAILABLE);
    assert_string_equal(error.slug, "disk_full");
    errno = EIO;
    assert_int_equal(disk_fail(&error, "write", "x"), ERR_UNAVAILABLE);
    assert_string_equal(error.slug, "disk_io");
}

/* --- directories --- */

static void assert_makes(const char *path)
{
    struct error error = { 0 };
    struct stat  info;
    if (disk_make_directories(path, &error)) fail_msg("%s", error.detail);
    assert_int_equal(stat(path, &info), 0);
    assert_true(S_ISDIR(info.st_mode));
}

static void directories_are_made_with_their_parents_for_the_owner_only(void **state)
{
    struct scratch *scratch = *state;
    struct stat     info;
    umask(0);
    assert_makes(path_in(scratch, "a/b/c"));
    assert_makes(path_in(scratch, "a/b/c"));
    assert_makes(path_in(scratch, "a/b/d/"));
    assert_makes(path_in(scratch, "a//b//e"));
    assert_makes("/");
    assert_makes(".");
    assert_int_equal(stat(path_in(scratch, "a"), &info), 0);
    assert_int_equal(info.st_mode & 07777, 0700);
    assert_int_equal(stat(path_in(scratch, "a/b/c"), &info), 0);
    assert_int_equal(info.st_mode & 07777, 0700);
    umask(022);
    static const char *const made[] = { "a/b/c", "a/b/d", "a/b/e", "a/b", "a" };
    for (size_t i = 0; i < COUNT_OF(made); i++)
        assert_int_equal(rmdir(path_in(scratch, made[i])), 0);
}

static void directory_is_empty_until_it_holds_anything(void **state)
{
    struct scratch *scratch = *state;
    assert_makes(path_in(scratch, "new"));
    assert_true(disk_is_empty(path_in(scratch, "new")));
    assert_false(disk_is_empty(path_in(scratch, "absent")));
    close(open(path_in(scratch, "new/.hidden"), O_RDWR | O_CREAT, 0600));
    assert_false(disk_is_empty(path_in(scratch, "new")));
    assert_int_equal(unlink(path_in(scratch, "new/.hidden")), 0);
    assert_makes(path_in(scratch, "new/inner"));
    assert_false(disk_is_empty(path_in(scratch, "new")));
    assert_int_equal(rmdir(path_in(scratch, "new/inner")), 0);
    assert_int_equal(rmdir(path_in(scratch, "new")), 0);
}

static void file_in_the_way_of_a_directory_is_an_error(void **state)
{
    struct scratch *scratch = *state;
    struct error    error = { 0 };
    close(open(path_in(scratch, "file"), O_RDWR | O_CREAT, 0600));
    assert_int_equal(disk_make_directories(path_in(scratch, "file"), &error), ERR_UNAVAILABLE);
    assert_string_equal(error.slug, "disk_io");
    assert_non_null(strstr(error.detail, "/file"));
    assert_int_equal(disk_make_directories(path_in(scratch, "file/under"), &error),
                     ERR_UNAVAILABLE);
}

static void directory_that_cannot_be_looked_at_says_why(void **state)
{
    struct error error = { 0 };
    const char  *path = path_in(*state, "loop");
    assert_int_equal(symlink("loop", path), 0);
    assert_int_equal(disk_make_directories(path, &error), ERR_UNAVAILABLE);
    assert_non_null(strstr(error.detail, strerror(ELOOP)));
    assert_int_equal(unlink(path), 0);
}

static void parent_is_synced_wherever_it_is(void **state)
{
    struct error error = { 0 };
    assert_int_equal(disk_sync_parent(path_in(*state, "file"), &error), ERR_OK);
    assert_int_equal(disk_sync_parent("file", &error), ERR_OK);
    assert_int_equal(disk_sync_parent(path_in(*state, "none/file"), &error), ERR_UNAVAILABLE);
    assert_string_equal(error.slug, "disk_io");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(write_all_goes_on_after_short_and_interrupted_writes),
        cmocka_unit_test(write_all_to_nobody_says_why),
        cmocka_unit_test(write_all_of_nothing_is_fine),
        scratch_test(write_all_at_writes_where_told_and_moves_nothing),
        cmocka_unit_test(write_all_at_of_a_closed_file_says_why),
        cmocka_unit_test(read_all_goes_on_after_short_and_interrupted_reads),
        cmocka_unit_test(read_all_of_a_closed_file_says_why),
        cmocka_unit_test(size_of_no_file_is_minus_one),
        scratch_test(fd_close_closes_once_and_only_what_is_open),
        cmocka_unit_test(full_disk_has_a_name_of_its_own),
        scratch_test(directories_are_made_with_their_parents_for_the_owner_only),
        scratch_test(directory_is_empty_until_it_holds_anything),
        scratch_test(file_in_the_way_of_a_directory_is_an_error),
        scratch_test(directory_that_cannot_be_looked_at_says_why),
        scratch_test(parent_is_synced_wherever_it_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
