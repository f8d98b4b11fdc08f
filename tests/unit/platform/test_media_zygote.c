#include "platform/media_zygote.h"

#include "base/world.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum {
    WAV_HEADER_BYTES = 44,
    SHORT_BYTES = 48000 * 2, /* one second, 48 kHz, 16 bit, mono */
    PATIENCE_MS = 30000,
    CONCURRENT_COUNT = 8,
    LEAK_REQUESTS_COUNT = 500,
    ZYGOTE_FDS_COUNT = 4, /* stdio and the socket */
};
/* Hours of sound in a file of holes: nothing decodes it before the test has done its deed. */
static const int64_t LONG_BYTES = 0xE0000000;

static const struct media_limits ample = { .cpu_seconds = 600,
                                           .wall_ms = 60000,
                                           .memory_bytes_max = (int64_t)512 << 20 };

/* --- files --- */

static void put_le(unsigned char *at, uint32_t value, int bytes_count)
{
    for (int i = 0; i < bytes_count; i++)
        at[i] = (unsigned char)(value >> (8 * i));
}

/* The short file plays at 96,000 bytes a second, the long one at four times that: decoders refuse
 * what would play for half a day. */
static int wav_file(int64_t data_bytes, bool is_short)
{
    int           scale = is_short ? 1 : 2;
    unsigned char header[WAV_HEADER_BYTES] = "RIFF....WAVEfmt ";
    put_le(header + 4, (uint32_t)(data_bytes + WAV_HEADER_BYTES - 8), 4);
    put_le(header + 16, 16, 4);
    put_le(header + 20, 1, 2);
    put_le(header + 22, (uint32_t)scale, 2);
    put_le(header + 24, 48000u * (uint32_t)scale, 4);
    put_le(header + 28, 96000u * (uint32_t)(scale * scale), 4);
    put_le(header + 32, 2u * (uint32_t)scale, 2);
    put_le(header + 34, 16, 2);
    memcpy(header + 36, "data", 4);
    put_le(header + 40, (uint32_t)data_bytes, 4);
    int fd = memfd_create("wav", MFD_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, header, sizeof(header)), sizeof(header));
    assert_int_equal(ftruncate(fd, data_bytes + WAV_HEADER_BYTES), 0);
    if (is_short) {
        int16_t samples[SHORT_BYTES / 2];
        for (int i = 0; i < SHORT_BYTES / 2; i++) /* a 480 Hz saw */
            samples[i] = (int16_t)((i % 100) * 200 - 10000);
        assert_int_equal(pwrite(fd, samples, sizeof(samples), WAV_HEADER_BYTES), sizeof(samples));
    }
    return fd;
}

static int short_file(void)
{
    return wav_file(SHORT_BYTES, true);
}

static enum err examine(struct media_zygote *zygote, int fd, int64_t data_bytes,
                        const struct media_limits *limits, struct error *error,
                        struct media_result *ret_result)
{
    return media_zygote_examine(zygote, fd, data_bytes + WAV_HEADER_BYTES, BIT(MEDIA_WAV), limits,
                                error, ret_result);
}

static void assert_works(struct media_zygote *zygote)
{
    struct error        error = { 0 };
    struct media_result result;
    int                 fd = short_file();
    if (examine(zygote, fd, SHORT_BYTES, &ample, &error, &result) != ERR_OK)
        fail_msg("%s: %s", error.slug, error.detail);
    assert_int_equal(result.verdict, MEDIA_DECODED);
    assert_int_equal(result.type, MEDIA_WAV);
    assert_true(result.has_audio);
    close(fd);
}

/* --- processes --- */

/* The state letter of a process, and its parent; 0 when there is none. */
static char process_state(int pid, int *ret_parent)
{
    char path[64], text[512] = "";
    snprintf(path, sizeof(path), "/proc/%d/stat", pid);
    FILE *file = fopen(path, "r");
    if (file == NULL) return 0;
    size_t len = fread(text, 1, sizeof(text) - 1, file);
    fclose(file);
    text[len] = '\0';
    const char *after_name = strrchr(text, ')');
    char        state = 0;
    if (after_name == NULL || sscanf(after_name, ") %c %d", &state, ret_parent) != 2) return 0;
    return state;
}

static bool process_has_ended(int pid)
{
    int  parent;
    char state = process_state(pid, &parent);
    return state == 0 || state == 'Z' || state == 'X';
}

static int child_of(int pid)
{
    DIR *proc = opendir("/proc");
    int  found = 0;
    for (struct dirent *entry; found == 0 && (entry = readdir(proc)) != NULL;) {
        int candidate = (int)strtol(entry->d_name, NULL, 10), parent = 0;
        if (candidate <= 0) continue;
        char state = process_state(candidate, &parent);
        if (state != 0 && state != 'Z' && parent == pid) found = candidate;
    }
    closedir(proc);
    return found;
}

static void breathe(void)
{
    poll(NULL, 0, 2);
}

static int await_child_of(int pid)
{
    int64_t deadline_us = world_monotonic_us() + PATIENCE_MS * 1000LL;
    int     child;
    while ((child = child_of(pid)) == 0) {
        assert_true(world_monotonic_us() < deadline_us);
        breathe();
    }
    return child;
}

static void await_end_of(int pid)
{
    int64_t deadline_us = world_monotonic_us() + PATIENCE_MS * 1000LL;
    while (!process_has_ended(pid)) {
        assert_true(world_monotonic_us() < deadline_us);
        breathe();
    }
}

static int count_fds(const char *path)
{
    DIR *directory = opendir(path);
    assert_non_null(directory);
    int count = 0;
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;)
        if (entry->d_name[0] != '.') count++;
    closedir(directory);
    return count;
}

/* A call that runs beside the test. */
struct call {
    struct media_zygote *zygote;
    int64_t              data_bytes;
    pthread_t            thread;
    enum err             e;
    struct error         error;
    struct media_result  result;
};

static void *call_main(void *argument)
{
    struct call *call = argument;
    int          fd = wav_file(call->data_bytes, call->data_bytes != LONG_BYTES);
    call->e = examine(call->zygote, fd, call->data_bytes, &ample, &call->error, &call->result);
    close(fd);
    return NULL;
}

static void call_start(struct call *call, struct media_zygote *zygote, int64_t data_bytes)
{
    *call = (struct call){ .zygote = zygote, .data_bytes = data_bytes };
    assert_int_equal(pthread_create(&call->thread, NULL, call_main, call), 0);
}

static void call_join(struct call *call)
{
    assert_int_equal(pthread_join(call->thread, NULL), 0);
}

static int setup(void **state)
{
    struct error         error = { 0 };
    struct media_zygote *zygote;
    if (media_zygote_start(&error, &zygote) || media_zygote_await(zygote, &error))
        fail_msg("%s: %s", error.slug, error.detail);
    *state = zygote;
    return 0;
}

static int teardown(void **state)
{
    int pid = media_zygote_pid(*state);
    media_zygote_stop(*state);
    assert_true(pid < 0 || process_has_ended(pid));
    return 0;
}

/* --- the rules --- */

static void zygote_examines_a_file(void **state)
{
    assert_works(*state);
}

static void broken_media_is_a_verdict_not_an_error(void **state)
{
    struct error        error = { 0 };
    struct media_result result;
    int                 fd = memfd_create("noise", MFD_CLOEXEC);
    assert_int_equal(write(fd, "RIFF\0\0\0\0WAVE not a sound at all", 31), 31);
    assert_int_equal(media_zygote_examine(*state, fd, 31, BIT(MEDIA_WAV), &ample, &error, &result),
                     ERR_OK);
    assert_int_equal(result.verdict, MEDIA_UNDECODABLE);
    close(fd);
}

static void wall_limit_ends_the_child_and_says_timeout(void **state)
{
    struct error        error = { 0 };
    struct media_result result = { .verdict = -7 };
    struct media_limits limits = ample;
    limits.wall_ms = 100;
    int fd = wav_file(LONG_BYTES, false);
    assert_int_equal(examine(*state, fd, LONG_BYTES, &limits, &error, &result), ERR_UNAVAILABLE);
    assert_string_equal(error.slug, "media_timeout");
    assert_non_null(strstr(error.detail, "100 ms"));
    assert_int_equal(result.verdict, -7); /* untouched */
    assert_int_equal(child_of(media_zygote_pid(*state)), 0);
    close(fd);
    assert_works(*state);
}

static void killed_child_is_never_a_verdict(void **state)
{
    static const struct {
        int         signal;
        const char *name;
    } ends[] = { { SIGKILL, "SIGKILL" }, { SIGTERM, "SIGTERM" }, { SIGSYS, "SIGSYS" } };
    for (size_t i = 0; i < COUNT_OF(ends); i++) {
        struct call call;
        call_start(&call, *state, LONG_BYTES);
        kill(await_child_of(media_zygote_pid(*state)), ends[i].signal);
        call_join(&call);
        assert_int_equal(call.e, ERR_UNAVAILABLE);
        assert_string_equal(call.error.slug, "media_child_killed");
        assert_non_null(strstr(call.error.detail, ends[i].name));
        assert_works(*state);
    }
}

static void zygote_killed_mid_file_is_replaced_and_takes_its_child_along(void **state)
{
    struct call call;
    call_start(&call, *state, LONG_BYTES);
    int zygote_pid = media_zygote_pid(*state), child_pid = await_child_of(zygote_pid);
    kill(zygote_pid, SIGKILL);
    call_join(&call);
    assert_int_equal(call.e, ERR_UNAVAILABLE);
    assert_string_equal(call.error.slug, "zygote_lost");
    await_end_of(child_pid);
    assert_works(*state);
    assert_int_not_equal(media_zygote_pid(*state), zygote_pid);
}

static void zygote_killed_while_idle_is_not_noticed_by_the_caller(void **state)
{
    int zygote_pid = media_zygote_pid(*state);
    kill(zygote_pid, SIGKILL);
    await_end_of(zygote_pid);
    assert_works(*state);
}

static void concurrent_calls_each_get_their_own_result(void **state)
{
    struct call calls[CONCURRENT_COUNT];
    struct call endless;
    call_start(&endless, *state, LONG_BYTES);
    int endless_pid = await_child_of(media_zygote_pid(*state));
    for (int i = 0; i < CONCURRENT_COUNT; i++)
        call_start(&calls[i], *state, SHORT_BYTES + i * 9600);
    for (int i = 0; i < CONCURRENT_COUNT; i++) {
        call_join(&calls[i]);
        assert_int_equal(calls[i].e, ERR_OK);
        assert_int_equal(calls[i].result.duration_ms, 1000 + i * 100);
    }
    kill(endless_pid, SIGKILL);
    call_join(&endless);
    assert_string_equal(endless.error.slug, "media_child_killed");
}

/* The zygote reports an end before it has closed what belonged to it. */
static void await_fds_of(int pid, int count)
{
    char    path[64];
    int64_t deadline_us = world_monotonic_us() + PATIENCE_MS * 1000LL;
    snprintf(path, sizeof(path), "/proc/%d/fd", pid);
    while (count_fds(path) != count) {
        assert_true(world_monotonic_us() < deadline_us);
        breathe();
    }
}

static void many_requests_leave_no_descriptor_behind(void **state)
{
    assert_works(*state);
    int own_count = count_fds("/proc/self/fd");
    for (int i = 0; i < LEAK_REQUESTS_COUNT; i++)
        assert_works(*state);
    assert_int_equal(count_fds("/proc/self/fd"), own_count);
    if (geteuid() == 0) await_fds_of(media_zygote_pid(*state), ZYGOTE_FDS_COUNT);
}

static void zygote_holds_no_environment_no_descriptor_and_no_root(void **state)
{
    if (geteuid() != 0) {
        print_message("only root can look into a process that is not dumpable\n");
        skip();
    }
    /* Something to inherit, in a server of its own. */
    (void)state;
    int leaked = memfd_create("secret", 0);
    setenv("FIRSTHAND_SECRET", "do not inherit", 1);
    void *own = NULL;
    setup(&own);
    assert_works(own);
    char path[64], text[4096] = "";
    int  pid = media_zygote_pid(own);
    snprintf(path, sizeof(path), "/proc/%d/environ", pid);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    assert_int_equal(fread(text, 1, sizeof(text), file), 0);
    fclose(file);
    await_fds_of(pid, ZYGOTE_FDS_COUNT);
    snprintf(path, sizeof(path), "/proc/%d/status", pid);
    file = fopen(path, "r");
    assert_non_null(file);
    text[fread(text, 1, sizeof(text) - 1, file)] = '\0';
    fclose(file);
    assert_non_null(strstr(text, "Uid:\t65534\t65534\t65534\t65534"));
    assert_non_null(strstr(text, "Gid:\t65534\t65534\t65534\t65534"));
    assert_non_null(strstr(text, "Groups:\t \n"));
    assert_non_null(strstr(text, "CapPrm:\t0000000000000000"));
    assert_non_null(strstr(text, "CapEff:\t0000000000000000"));
    assert_non_null(strstr(text, "NoNewPrivs:\t1"));
    teardown(&own);
    unsetenv("FIRSTHAND_SECRET");
    close(leaked);
}

/* The other program in this file: a server that starts a zygote, tells its pid, and works for
 * ever. */
static int doomed_server(void)
{
    struct error         error = { 0 };
    struct media_zygote *zygote;
    struct media_result  result;
    if (media_zygote_start(&error, &zygote) || media_zygote_await(zygote, &error)) return 1;
    int pid = media_zygote_pid(zygote);
    if (write(STDOUT_FILENO, &pid, sizeof(pid)) != sizeof(pid)) return 1;
    return (int)examine(zygote, wav_file(LONG_BYTES, false), LONG_BYTES, &ample, &error, &result);
}

static void zygote_and_child_end_with_a_killed_server(void **state)
{
    (void)state;
    int out[2];
    assert_int_equal(pipe2(out, O_CLOEXEC), 0);
    pid_t                      server_pid;
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, out[1], STDOUT_FILENO);
    char *argv[] = { (char[]){ "test" }, (char[]){ "doomed-server" }, NULL };
    assert_int_equal(posix_spawn(&server_pid, "/proc/self/exe", &actions, NULL, argv, environ), 0);
    posix_spawn_file_actions_destroy(&actions);
    int zygote_pid = 0;
    assert_int_equal(read(out[0], &zygote_pid, sizeof(zygote_pid)), sizeof(zygote_pid));
    int child_pid = await_child_of(zygote_pid);
    kill(server_pid, SIGKILL);
    assert_int_equal(waitpid(server_pid, NULL, 0), server_pid);
    await_end_of(zygote_pid);
    await_end_of(child_pid);
    close(out[0]);
    close(out[1]);
}

static void restarts_are_rationed_and_come_back(void **state)
{
    enum { STARTS_PER_SECOND_MAX = 4, KILLS_COUNT = 40 };
    struct error        error = { 0 };
    struct media_result result;
    int                 fd = short_file();
    int64_t             began_us = world_monotonic_us();
    int                 starts_count = 0; /* since then */
    bool                was_refused = false;
    for (int i = 0; i < KILLS_COUNT && !was_refused; i++) {
        int pid = media_zygote_pid(*state);
        kill(pid, SIGKILL);
        await_end_of(pid);
        if (examine(*state, fd, SHORT_BYTES, &ample, &error, &result) == ERR_OK)
            starts_count++;
        else
            was_refused = true;
    }
    int64_t seconds = (world_monotonic_us() - began_us) / 1000000;
    assert_true(starts_count <= STARTS_PER_SECOND_MAX * (seconds + 1));
    if (was_refused) assert_string_equal(error.slug, "zygote_lost");

    int64_t deadline_us = world_monotonic_us() + PATIENCE_MS * 1000LL;
    while (examine(*state, fd, SHORT_BYTES, &ample, &error, &result) != ERR_OK) {
        assert_true(world_monotonic_us() < deadline_us);
        breathe();
    }
    close(fd);
}

static void layers_are_told(void **state)
{
    (void)state;
    const char *layers = media_sandbox_layers();
#ifdef FIRSTHAND_SANITIZED
    assert_null(strstr(layers, "seccomp"));
    assert_non_null(strstr(layers, "sanitized"));
#else
    assert_non_null(strstr(layers, "seccomp+rlimits"));
#endif
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "media-zygote") == 0) return media_zygote_main();
    if (argc > 1 && strcmp(argv[1], "doomed-server") == 0) return doomed_server();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(zygote_examines_a_file, setup, teardown),
        cmocka_unit_test_setup_teardown(broken_media_is_a_verdict_not_an_error, setup, teardown),
        cmocka_unit_test_setup_teardown(wall_limit_ends_the_child_and_says_timeout, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(killed_child_is_never_a_verdict, setup, teardown),
        cmocka_unit_test_setup_teardown(
            zygote_killed_mid_file_is_replaced_and_takes_its_child_along, setup, teardown),
        cmocka_unit_test_setup_teardown(zygote_killed_while_idle_is_not_noticed_by_the_caller,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(concurrent_calls_each_get_their_own_result, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(many_requests_leave_no_descriptor_behind, setup, teardown),
        cmocka_unit_test(zygote_holds_no_environment_no_descriptor_and_no_root),
        cmocka_unit_test(zygote_and_child_end_with_a_killed_server),
        cmocka_unit_test_setup_teardown(restarts_are_rationed_and_come_back, setup, teardown),
        cmocka_unit_test(layers_are_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
