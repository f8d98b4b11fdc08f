#include "platform/media_zygote.h"

#include "base/num.h"
#include "base/world.h"
#include "platform/disk.h"
#include "platform/media_sandbox.h"
#include "platform/media_zygote_wire.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    HELLO_WAIT_MS = 10000,
    STOP_WAIT_MS = 2000,
    /* How long after a child's wall limit its report may take before the zygote counts as hung. */
    REPORT_GRACE_MS = 10000,
    STARTS_PER_SECOND_MAX = 4,
};

struct media_zygote {
    pthread_mutex_t mutex; /* everything below */
    pthread_cond_t  call_ended;
    int             calls_count; /* waiting for a child; at most ZYGOTE_CHILDREN_COUNT_MAX */
    int             socket;      /* -1: down */
    uint64_t        generation;  /* which zygote: a late complaint must not hit its successor */
    int64_t         starts_us[STARTS_PER_SECOND_MAX]; /* a ring of the latest starts */
    uint64_t        starts_count;
    _Atomic int     pid; /* -1: down; written under the mutex */
};

/* --- starting and losing the zygote; the mutex is held --- */

static int spawn_binary(int socket, pid_t *ret_pid)
{
    static char        name[] = "firsthand", command[] = "media-zygote";
    static char *const argv[] = { name, command, NULL };
    static char *const no_environment[] = { NULL };

    posix_spawn_file_actions_t actions;
    posix_spawnattr_t          attributes;
    sigset_t                   none, all;
    sigemptyset(&none);
    sigfillset(&all);
    CHECK(posix_spawn_file_actions_init(&actions) == 0 && posix_spawnattr_init(&attributes) == 0);
    /* The socket first: it may itself be one of the numbers opened after it. stdout is the
     * server's to close; stderr stays, for what only a person can mend. */
    int failure = posix_spawn_file_actions_adddup2(&actions, socket, ZYGOTE_SOCKET_FD);
    failure |= posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    failure |= posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
    failure |= posix_spawn_file_actions_addclosefrom_np(&actions, ZYGOTE_SOCKET_FD + 1);
    /* A session of its own: an interrupt at the terminal is for the server, which ends us. */
    failure |= posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK |
                                                         POSIX_SPAWN_SETSIGDEF);
    failure |= posix_spawnattr_setsigmask(&attributes, &none);
    failure |= posix_spawnattr_setsigdefault(&attributes, &all);
    if (failure == 0)
        failure =
            posix_spawn(ret_pid, "/proc/self/exe", &actions, &attributes, argv, no_environment);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return failure;
}

static bool poll_readable(int fd, int64_t deadline_us)
{
    for (;;) {
        int64_t       left_ms = (deadline_us - world_monotonic_us() + 999) / 1000;
        struct pollfd polled = { .fd = fd, .events = POLLIN };
        int           ready = poll(&polled, 1, (int)num_clamp(left_ms, 0, INT_MAX));
        if (ready > 0) return true;
        if (ready == 0 || errno != EINTR) return false;
    }
}

static enum err hello_await(int socket, struct error *error)
{
    struct zygote_hello hello;
    if (!poll_readable(socket, world_monotonic_us() + HELLO_WAIT_MS * 1000LL))
        return FAIL(error, ERR_UNAVAILABLE, "zygote_start", "the media zygote did not answer");
    if (recv(socket, &hello, sizeof(hello), 0) != (ssize_t)sizeof(hello) ||
        hello.version != ZYGOTE_WIRE_VERSION)
        return FAIL(error, ERR_UNAVAILABLE, "zygote_start", "the media zygote ended at once");
    if (hello.sandbox_step != SANDBOX_CLOSED)
        return FAIL(error, ERR_UNAVAILABLE, "zygote_start",
                    "this system refuses the media sandbox: %s",
                    media_sandbox_step_name((enum sandbox_step)hello.sandbox_step));
    return ERR_OK;
}

static void zygote_end(pid_t pid)
{
    kill(pid, SIGKILL);
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR) {
    }
}

static bool zygote_may_start(const struct media_zygote *zygote)
{
    if (zygote->starts_count < STARTS_PER_SECOND_MAX) return true;
    int64_t oldest_us = zygote->starts_us[zygote->starts_count % STARTS_PER_SECOND_MAX];
    return world_monotonic_us() - oldest_us >= 1000000;
}

static enum err zygote_spawn(struct media_zygote *zygote, struct error *error)
{
    if (!zygote_may_start(zygote))
        return FAIL(error, ERR_UNAVAILABLE, "zygote_lost",
                    "the media zygote ended %d times within a second", STARTS_PER_SECOND_MAX);
    zygote->starts_us[zygote->starts_count++ % STARTS_PER_SECOND_MAX] = world_monotonic_us();

    int pair[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
        return FAIL(error, ERR_UNAVAILABLE, "zygote_start", "socketpair: %m");
    CLEANUP(fd_close) int ours = pair[0];
    CLEANUP(fd_close) int theirs = pair[1];
    pid_t                 pid = -1;
    int                   failure = spawn_binary(theirs, &pid);
    if (failure != 0)
        return FAIL(error, ERR_UNAVAILABLE, "zygote_start", "spawn: %s", strerrordesc_np(failure));
    zygote->socket = ours;
    ours = -1;
    zygote->generation++;
    atomic_store(&zygote->pid, (int)pid);
    return ERR_OK;
}

static void zygote_drop(struct media_zygote *zygote)
{
    fd_close(&zygote->socket);
    zygote_end(atomic_load(&zygote->pid));
    atomic_store(&zygote->pid, -1);
}

static enum err zygote_greet(struct media_zygote *zygote, struct error *error)
{
    enum err e = hello_await(zygote->socket, error);
    if (e) zygote_drop(zygote);
    return e;
}

static enum err zygote_bring_up(struct media_zygote *zygote, struct error *error)
{
    enum err e = zygote_spawn(zygote, error);
    return e ? e : zygote_greet(zygote, error);
}

/* --- one call --- */

/* The pipes of one call. */
struct ask {
    int      result_read, result_write; /* the child's record */
    int      report_read, report_write; /* the zygote's report of how the child ended */
    uint64_t generation;                /* who was asked */
};

static void ask_close(struct ask *ask)
{
    fd_close(&ask->result_read);
    fd_close(&ask->result_write);
    fd_close(&ask->report_read);
    fd_close(&ask->report_write);
}

static enum err ask_open(struct ask *ask, struct error *error)
{
    int result[2], report[2];
    if (pipe2(result, O_CLOEXEC | O_NONBLOCK) != 0)
        return FAIL(error, ERR_UNAVAILABLE, "zygote_lost", "pipe: %m");
    ask->result_read = result[0];
    ask->result_write = result[1];
    if (pipe2(report, O_CLOEXEC | O_NONBLOCK) != 0)
        return FAIL(error, ERR_UNAVAILABLE, "zygote_lost", "pipe: %m");
    ask->report_read = report[0];
    ask->report_write = report[1];
    return ERR_OK;
}

static bool request_send(int socket, const struct zygote_request *request, const int *fds)
{
    union {
        char           bytes[CMSG_SPACE(REQUEST_FD__COUNT * sizeof(int))];
        struct cmsghdr align;
    } control = { { 0 } };
    struct zygote_request copy = *request;
    struct iovec          data = { &copy, sizeof(copy) };
    struct msghdr         message = { .msg_iov = &data,
                                      .msg_iovlen = 1,
                                      .msg_control = &control,
                                      .msg_controllen = sizeof(control) };
    struct cmsghdr       *rights = CMSG_FIRSTHDR(&message);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(REQUEST_FD__COUNT * sizeof(int));
    memcpy(CMSG_DATA(rights), fds, REQUEST_FD__COUNT * sizeof(int));
    for (;;) {
        ssize_t sent = sendmsg(socket, &message, MSG_NOSIGNAL);
        if (sent >= 0 || errno != EINTR) return sent == (ssize_t)sizeof(copy);
    }
}

/* Hand the request over, to a new zygote if the old one is gone. */
static enum err ask_send(struct media_zygote *zygote, struct ask *ask, int fd,
                         const struct zygote_request *request, struct error *error)
{
    const int fds[REQUEST_FD__COUNT] = { [REQUEST_MEDIA] = fd,
                                         [REQUEST_RESULT] = ask->result_write,
                                         [REQUEST_REPORT] = ask->report_write };
    enum err  e = ERR_OK;
    pthread_mutex_lock(&zygote->mutex);
    if (zygote->socket >= 0 && !request_send(zygote->socket, request, fds)) zygote_drop(zygote);
    if (zygote->socket < 0) {
        e = zygote_bring_up(zygote, error);
        if (!e && !request_send(zygote->socket, request, fds)) {
            e = FAIL(error, ERR_UNAVAILABLE, "zygote_lost", "sending: %m");
            zygote_drop(zygote);
        }
    }
    ask->generation = zygote->generation;
    pthread_mutex_unlock(&zygote->mutex);
    /* Ours must go, or the pipes would never end. */
    fd_close(&ask->result_write);
    fd_close(&ask->report_write);
    return e;
}

static enum err report_read(struct media_zygote *zygote, const struct ask *ask, int wall_ms,
                            struct error *error, struct zygote_report *ret_report)
{
    int64_t deadline_us = world_monotonic_us() + ((int64_t)wall_ms + REPORT_GRACE_MS) * 1000;
    bool    has_answer = poll_readable(ask->report_read, deadline_us);
    if (has_answer &&
        read(ask->report_read, ret_report, sizeof(*ret_report)) == (ssize_t)sizeof(*ret_report))
        return ERR_OK;
    /* Dead, or hung: either way the next call gets a new one. */
    pthread_mutex_lock(&zygote->mutex);
    if (zygote->socket >= 0 && zygote->generation == ask->generation) zygote_drop(zygote);
    pthread_mutex_unlock(&zygote->mutex);
    return FAIL(error, ERR_UNAVAILABLE, "zygote_lost",
                has_answer ? "the media zygote ended while the file was examined"
                           : "the media zygote did not answer");
}

static enum err signal_explain(const struct zygote_report *report,
                               const struct media_limits *limits, struct error *error)
{
    int64_t     cpu_ms_max = ((int64_t)limits->cpu_seconds + MEDIA_CPU_MARGIN_S) * 1000;
    const char *name = sigabbrev_np(report->value);
    if (name == NULL) name = "unknown";
    /* The kernel counts CPU in its ticks, a little off from what it reports afterwards. */
    if (report->value == SIGKILL && report->cpu_ms >= cpu_ms_max - 250)
        return FAIL(error, ERR_UNAVAILABLE, "media_child_killed", "CPU limit of %lld s (SIGKILL)",
                    (long long)(cpu_ms_max / 1000));
    if (report->value == SIGSYS)
        return FAIL(error, ERR_UNAVAILABLE, "media_child_killed",
                    "a system call outside the sandbox (SIGSYS)");
    if (report->value == SIGSEGV || report->value == SIGBUS || report->value == SIGABRT)
        return FAIL(
            error, ERR_UNAVAILABLE, "media_child_killed",
            "the decoder crashed, met the memory limit of %lld MB, or could not read (SIG%s)",
            (long long)(limits->memory_bytes_max >> 20), name);
    return FAIL(error, ERR_UNAVAILABLE, "media_child_killed", "SIG%s", name);
}

static enum err exit_explain(int status, const struct media_limits *limits, struct error *error)
{
    switch (status) {
    case 0: return ERR_OK;
    case CHILD_EXIT_MEMORY:
        return FAIL(error, ERR_UNAVAILABLE, "media_child_killed", "memory limit of %lld MB",
                    (long long)(limits->memory_bytes_max >> 20));
    case CHILD_EXIT_RECORD:
        return FAIL(error, ERR_UNAVAILABLE, "media_child_killed", "the record was not written");
    default:
        return FAIL(error, ERR_UNAVAILABLE, "media_child_killed",
                    "the sandbox could not be closed: %s",
                    media_sandbox_step_name((enum sandbox_step)status));
    }
}

static enum err report_explain(const struct zygote_report *report,
                               const struct media_limits *limits, struct error *error)
{
    switch (report->end) {
    case CHILD_EXITED: return exit_explain(report->value, limits, error);
    case CHILD_SIGNALLED: return signal_explain(report, limits, error);
    case CHILD_TIMED_OUT:
        return FAIL(error, ERR_UNAVAILABLE, "media_timeout", "wall limit of %d ms",
                    limits->wall_ms);
    default:
        return FAIL(error, ERR_UNAVAILABLE, "media_child_killed", "no child: %s",
                    strerrordesc_np(report->value));
    }
}

/* What a child that may have been taken over wrote: one byte more than a record is read, so that
 * too much is seen as well. */
static enum err record_read(int fd, struct error *error, struct media_result *ret_result)
{
    struct zygote_record record;
    char                 bytes[sizeof(record) + 1];
    size_t               len = 0;
    while (len < sizeof(bytes)) {
        ssize_t got = read(fd, bytes + len, sizeof(bytes) - len);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) break;
        len += (size_t)got;
    }
    if (len != sizeof(record))
        return FAIL(error, ERR_UNAVAILABLE, "media_bad_record", "%zu bytes where %zu are due", len,
                    sizeof(record));
    memcpy(&record, bytes, sizeof(record));
    if (record.result_bytes != sizeof(record.result) ||
        record.result.version != MEDIA_RESULT_VERSION)
        return FAIL(error, ERR_UNAVAILABLE, "media_bad_record", "length %u, version %u",
                    record.result_bytes, record.result.version);
    if (!media_result_check(&record.result))
        return FAIL(error, ERR_UNAVAILABLE, "media_bad_record", "a figure is out of its range");
    *ret_result = record.result;
    return ERR_OK;
}

static void call_begin_waiting(struct media_zygote *zygote)
{
    pthread_mutex_lock(&zygote->mutex);
    while (zygote->calls_count >= ZYGOTE_CHILDREN_COUNT_MAX)
        pthread_cond_wait(&zygote->call_ended, &zygote->mutex);
    zygote->calls_count++;
    pthread_mutex_unlock(&zygote->mutex);
}

static void call_end(struct media_zygote *zygote)
{
    pthread_mutex_lock(&zygote->mutex);
    zygote->calls_count--;
    pthread_cond_signal(&zygote->call_ended);
    pthread_mutex_unlock(&zygote->mutex);
}

static enum err call_run(struct media_zygote *zygote, int fd, const struct zygote_request *request,
                         struct error *error, struct media_result *ret_result)
{
    CLEANUP(ask_close) struct ask ask = { -1, -1, -1, -1, 0 };

    struct zygote_report report;
    enum err             e = ask_open(&ask, error);
    if (e) return e;
    e = ask_send(zygote, &ask, fd, request, error);
    if (e) return e;
    e = report_read(zygote, &ask, request->limits.wall_ms, error, &report);
    if (e) return e;
    e = report_explain(&report, &request->limits, error);
    if (e) return e;
    return record_read(ask.result_read, error, ret_result);
}

enum err media_zygote_examine(struct media_zygote *zygote, int fd, int64_t size_bytes,
                              unsigned allowed, const struct media_limits *limits,
                              struct error *error, struct media_result *ret_result)
{
    CHECK(fd >= 0 && size_bytes >= 0);
    CHECK(limits->cpu_seconds > 0 && limits->wall_ms > 0 && limits->memory_bytes_max > 0);
    struct zygote_request request = { .version = ZYGOTE_WIRE_VERSION,
                                      .allowed = allowed,
                                      .size_bytes = size_bytes,
                                      .limits = *limits };
    call_begin_waiting(zygote);
    enum err e = call_run(zygote, fd, &request, error, ret_result);
    call_end(zygote);
    return e;
}

/* --- life --- */

enum err media_zygote_start(struct error *error, struct media_zygote **ret_zygote)
{
    struct media_zygote *zygote = calloc(1, sizeof(*zygote));
    CHECK(zygote != NULL);
    CHECK(pthread_mutex_init(&zygote->mutex, NULL) == 0);
    CHECK(pthread_cond_init(&zygote->call_ended, NULL) == 0);
    zygote->socket = -1;
    atomic_store(&zygote->pid, -1);
    pthread_mutex_lock(&zygote->mutex);
    enum err e = zygote_spawn(zygote, error);
    pthread_mutex_unlock(&zygote->mutex);
    if (e) {
        media_zygote_stop(zygote);
        return e;
    }
    *ret_zygote = zygote;
    return ERR_OK;
}

enum err media_zygote_await(struct media_zygote *zygote, struct error *error)
{
    pthread_mutex_lock(&zygote->mutex);
    enum err e = zygote_greet(zygote, error);
    pthread_mutex_unlock(&zygote->mutex);
    return e;
}

int media_zygote_pid(const struct media_zygote *zygote)
{
    return atomic_load(&zygote->pid);
}

void media_zygote_stop(struct media_zygote *zygote)
{
    CHECK(zygote->calls_count == 0);
    if (zygote->socket >= 0) {
        /* The end of the socket is its sign to go; one that does not is made to. */
        fd_close(&zygote->socket);
        CLEANUP(fd_close) int pidfd = pidfd_open(atomic_load(&zygote->pid), 0);
        if (pidfd >= 0) poll_readable(pidfd, world_monotonic_us() + STOP_WAIT_MS * 1000LL);
        zygote_end(atomic_load(&zygote->pid));
    }
    pthread_cond_destroy(&zygote->call_ended);
    pthread_mutex_destroy(&zygote->mutex);
    free(zygote);
}
