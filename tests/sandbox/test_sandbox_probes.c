/* Attacks on the sandbox from inside: each probe runs in a process that closed its sandbox with
 * the product's own function, and must come to the end the table names. Release builds only: that
 * is where all of it is on. */
#include "platform/media_sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { EXIT_REFUSED = 40, EXIT_ALLOWED = 41, EXIT_NOT_CLOSED = 42, PROBE_CPU_SECONDS = 1 };

static const char media_text[] = "the media";
static pid_t      outside_pid; /* somebody worth attacking: the test itself */

/* What a probe yields when the call came back instead of ending the process. */
static int refused_with(long returned, int expected_errno)
{
    return returned < 0 && errno == expected_errno ? EXIT_REFUSED : EXIT_ALLOWED;
}

static int probe_socket(void)
{
    return refused_with(socket(AF_INET, SOCK_STREAM, 0), 0);
}

static int probe_unix_socketpair(void)
{
    int pair[2];
    return refused_with(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
}

static int probe_execve(void)
{
    char *argv[] = { NULL };
    return refused_with(execve("/bin/true", argv, argv), 0);
}

static int probe_execveat_of_the_media(void)
{
    char *argv[] = { NULL };
    return refused_with(syscall(SYS_execveat, SANDBOX_MEDIA_FD, "", argv, argv, AT_EMPTY_PATH), 0);
}

static int probe_fork(void)
{
    return refused_with(fork(), 0);
}

static void *thread_main(void *argument)
{
    return argument;
}

static int probe_thread(void)
{
    pthread_t thread;
    return pthread_create(&thread, NULL, thread_main, NULL) == 0 ? EXIT_ALLOWED : EXIT_REFUSED;
}

static int probe_kill_parent(void)
{
    return refused_with(kill(outside_pid, SIGTERM), 0);
}

static int probe_abort_parent(void)
{
    return refused_with(syscall(SYS_tgkill, outside_pid, outside_pid, SIGABRT), 0);
}

static int probe_stop_itself(void)
{
    return refused_with(syscall(SYS_tgkill, getpid(), getpid(), SIGSTOP), 0);
}

static int probe_abort(void)
{
    abort();
}

static int probe_ptrace(void)
{
    return refused_with(ptrace(PTRACE_ATTACH, outside_pid, NULL, NULL), 0);
}

static int probe_read_other_memory(void)
{
    char         byte;
    struct iovec local = { &byte, 1 }, remote = { (void *)&outside_pid, 1 };
    return refused_with(process_vm_readv(outside_pid, &local, 1, &remote, 1, 0), 0);
}

static int probe_mmap_executable(void)
{
    void *at =
        mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return at == MAP_FAILED ? EXIT_REFUSED : EXIT_ALLOWED;
}

static int probe_mprotect_executable(void)
{
    void *at = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED) return EXIT_REFUSED;
    return refused_with(mprotect(at, 4096, PROT_READ | PROT_EXEC), 0);
}

static int probe_pread_of_another_descriptor(void)
{
    char byte;
    return refused_with(pread(SANDBOX_RESULT_FD, &byte, 1, 0), 0);
}

static int probe_write_to_another_descriptor(void)
{
    return refused_with(write(SANDBOX_MEDIA_FD, "x", 1), 0);
}

static int probe_write_to_stdout(void)
{
    return refused_with(write(STDOUT_FILENO, "x", 1), 0);
}

static int probe_read_stdin(void)
{
    char byte;
    return refused_with(read(STDIN_FILENO, &byte, 1), 0);
}

static int probe_io_uring(void)
{
    struct io_uring_params parameters = { 0 };
    return refused_with(syscall(SYS_io_uring_setup, 4, &parameters), 0);
}

static int probe_duplicate_descriptor(void)
{
    return refused_with(dup(SANDBOX_MEDIA_FD), 0);
}

static int probe_raise_limits(void)
{
    struct rlimit limit = { RLIM_INFINITY, RLIM_INFINITY };
    return refused_with(setrlimit(RLIMIT_CPU, &limit), 0);
}

static int probe_become_root(void)
{
    return refused_with(setuid(0), 0);
}

static int probe_be_dumpable(void)
{
    return refused_with(prctl(PR_SET_DUMPABLE, 1, 0, 0, 0), 0);
}

static int probe_new_namespace(void)
{
    return refused_with(unshare(CLONE_NEWUSER), 0);
}

#ifdef __x86_64__
static int probe_call_by_the_32_bit_door(void)
{
    long returned; /* 20 is getpid there */
    __asm__ volatile("int $0x80" : "=a"(returned) : "a"(20) : "memory");
    return returned > 0 ? EXIT_ALLOWED : EXIT_REFUSED;
}
#endif

static int probe_open(void)
{
    return refused_with(open("/etc/passwd", O_RDONLY), EACCES);
}

static int probe_open_for_writing(void)
{
    return refused_with(open("/tmp/firsthand-probe", O_WRONLY | O_CREAT, 0600), EACCES);
}

static int probe_ioctl(void)
{
    int waiting;
    return refused_with(ioctl(SANDBOX_MEDIA_FD, FIONREAD, &waiting), ENOTTY);
}

static int probe_two_gigabytes(void)
{
    /* volatile: a compiler may otherwise leave out an allocation nobody uses. */
    void *volatile memory = malloc((size_t)2 << 30);
    return memory == NULL ? EXIT_REFUSED : EXIT_ALLOWED;
}

static int probe_busy_loop(void)
{
    for (volatile uint64_t i = 0;; i++) {
    }
    return EXIT_ALLOWED;
}

static int probe_work_as_meant(void)
{
    char    bytes[sizeof(media_text)];
    ssize_t got = pread(SANDBOX_MEDIA_FD, bytes, sizeof(bytes), 0);
    if (got != (ssize_t)sizeof(bytes)) return EXIT_REFUSED;
    void *volatile memory = malloc((size_t)64 << 20);
    if (memory == NULL) return EXIT_REFUSED;
    return write(SANDBOX_RESULT_FD, bytes, sizeof(bytes)) == got ? EXIT_ALLOWED : EXIT_REFUSED;
}

static const struct probe {
    const char *name;
    int (*run)(void);
    int signal; /* that ends it, or 0: then it ends with */
    int exit_status;
} probes[] = {
    { "socket", probe_socket, SIGSYS, 0 },
    { "unix_socketpair", probe_unix_socketpair, SIGSYS, 0 },
    { "execve", probe_execve, SIGSYS, 0 },
    { "execveat_of_the_media", probe_execveat_of_the_media, SIGSYS, 0 },
    { "fork", probe_fork, SIGSYS, 0 },
    { "thread", probe_thread, SIGSYS, 0 },
    { "kill_parent", probe_kill_parent, SIGSYS, 0 },
    { "abort_parent", probe_abort_parent, SIGSYS, 0 },
    { "stop_itself", probe_stop_itself, SIGSYS, 0 },
    { "abort", probe_abort, SIGABRT, 0 },
    { "ptrace", probe_ptrace, SIGSYS, 0 },
    { "read_other_memory", probe_read_other_memory, SIGSYS, 0 },
    { "mmap_executable", probe_mmap_executable, SIGSYS, 0 },
    { "mprotect_executable", probe_mprotect_executable, SIGSYS, 0 },
    { "pread_of_another_descriptor", probe_pread_of_another_descriptor, SIGSYS, 0 },
    { "write_to_another_descriptor", probe_write_to_another_descriptor, SIGSYS, 0 },
    { "write_to_stdout", probe_write_to_stdout, SIGSYS, 0 },
    { "read_stdin", probe_read_stdin, SIGSYS, 0 },
    { "io_uring", probe_io_uring, SIGSYS, 0 },
    { "duplicate_descriptor", probe_duplicate_descriptor, SIGSYS, 0 },
    { "raise_limits", probe_raise_limits, SIGSYS, 0 },
    { "become_root", probe_become_root, SIGSYS, 0 },
    { "be_dumpable", probe_be_dumpable, SIGSYS, 0 },
    { "new_namespace", probe_new_namespace, SIGSYS, 0 },
#ifdef __x86_64__
    { "call_by_the_32_bit_door", probe_call_by_the_32_bit_door, SIGSYS, 0 },
#endif
    { "open", probe_open, 0, EXIT_REFUSED },
    { "open_for_writing", probe_open_for_writing, 0, EXIT_REFUSED },
    { "ioctl", probe_ioctl, 0, EXIT_REFUSED },
    { "two_gigabytes", probe_two_gigabytes, 0, EXIT_REFUSED },
    { "busy_loop", probe_busy_loop, SIGKILL, 0 },
    { "work_as_meant", probe_work_as_meant, 0, EXIT_ALLOWED },
};

static int media_file(void)
{
    int fd = memfd_create("media", MFD_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, media_text, sizeof(media_text)), sizeof(media_text));
    return fd;
}

/* Run it behind closed walls; how the process ended, as waitpid tells. */
static int run_closed(int (*run)(void), int media_fd, int result_fd)
{
    const struct media_limits limits = { .cpu_seconds = PROBE_CPU_SECONDS,
                                         .memory_bytes_max = MEDIA_MEMORY_BYTES_DEFAULT };

    outside_pid = getpid();
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        if (media_sandbox_close(media_fd, result_fd, &limits) != SANDBOX_CLOSED)
            _exit(EXIT_NOT_CLOSED);
        errno = 0;
        _exit(run());
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

static void probe_ends_as_the_table_says(void **state)
{
    const struct probe *probe = *state;
    int                 media_fd = media_file(), result[2];
    assert_int_equal(pipe(result), 0);
    int status = run_closed(probe->run, media_fd, result[1]);
    close(media_fd);
    close(result[0]);
    close(result[1]);
    if (probe->signal) {
        assert_true(WIFSIGNALED(status));
        assert_int_equal(WTERMSIG(status), probe->signal);
    } else {
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), probe->exit_status);
    }
}

/* The record goes to a pipe; were it ever a file, not a byte would reach the disk. */
static void result_cannot_be_a_file(void **state)
{
    (void)state;
    int media_fd = media_file(), file = memfd_create("result", MFD_CLOEXEC);
    int status = run_closed(probe_work_as_meant, media_fd, file);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGXFSZ);
    assert_int_equal(lseek(file, 0, SEEK_END), 0);
    close(media_fd);
    close(file);
}

static void descriptors_may_come_in_any_order(void **state)
{
    (void)state;
    int result[2];
    assert_int_equal(pipe(result), 0);
    int media_fd = media_file();
    /* Each sits where the other belongs. */
    int   saved_media = fcntl(media_fd, F_DUPFD_CLOEXEC, 20);
    int   saved_result = fcntl(result[1], F_DUPFD_CLOEXEC, 20);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        const struct media_limits limits = { .cpu_seconds = PROBE_CPU_SECONDS,
                                             .memory_bytes_max = MEDIA_MEMORY_BYTES_DEFAULT };
        dup2(saved_result, SANDBOX_MEDIA_FD);
        dup2(saved_media, SANDBOX_RESULT_FD);
        if (media_sandbox_close(SANDBOX_RESULT_FD, SANDBOX_MEDIA_FD, &limits) != SANDBOX_CLOSED)
            _exit(EXIT_NOT_CLOSED);
        _exit(probe_work_as_meant());
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), EXIT_ALLOWED);
    char bytes[sizeof(media_text)];
    assert_int_equal(read(result[0], bytes, sizeof(bytes)), sizeof(bytes));
    assert_memory_equal(bytes, media_text, sizeof(media_text));
    for (int *fd = (int[]){ media_fd, saved_media, saved_result, result[0], result[1], -1 };
         *fd >= 0; fd++)
        close(*fd);
}

static void a_limit_that_makes_no_sense_is_refused(void **state)
{
    (void)state;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        const struct media_limits limits = { .cpu_seconds = 1, .memory_bytes_max = 0 };
        _exit((int)media_sandbox_close(STDIN_FILENO, STDOUT_FILENO, &limits));
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), SANDBOX_RLIMITS);
}

int main(void)
{
    struct CMUnitTest tests[COUNT_OF(probes) + 3] = { 0 };
    size_t            count = 0;
    for (size_t i = 0; i < COUNT_OF(probes); i++)
        tests[count++] = (struct CMUnitTest){ .name = probes[i].name,
                                              .test_func = probe_ends_as_the_table_says,
                                              .initial_state = (void *)&probes[i] };
    tests[count++] = (struct CMUnitTest)cmocka_unit_test(result_cannot_be_a_file);
    tests[count++] = (struct CMUnitTest)cmocka_unit_test(descriptors_may_come_in_any_order);
    tests[count++] = (struct CMUnitTest)cmocka_unit_test(a_limit_that_makes_no_sense_is_refused);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
