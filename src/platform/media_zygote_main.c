#include "base/world.h"
#include "platform/media_sandbox.h"
#include "platform/media_zygote.h"
#include "platform/media_zygote_wire.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* One child at work. */
struct child {
    pid_t   pid;
    int     pidfd;
    int     report_fd;
    int64_t deadline_us; /* INT64_MAX once it was killed */
    bool    has_timed_out;
};

struct nursery {
    struct child children[ZYGOTE_CHILDREN_COUNT_MAX];
    int          children_count;
};

static void report_send(int report_fd, enum child_end end, int value, int64_t cpu_ms)
{
    struct zygote_report report = { .end = (int32_t)end, .value = value, .cpu_ms = cpu_ms };
    /* The reader may be gone; then nobody wants to know. */
    ssize_t sent = write(report_fd, &report, sizeof(report));
    (void)sent;
}

/* --- the child --- */

static NORETURN void child_run(const struct zygote_request *request, const int *fds,
                               pid_t zygote_pid)
{
    /* With the zygote goes the child; the zygote may have gone before we asked for that. */
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != zygote_pid) _exit(SANDBOX_PRIVILEGES);
    enum sandbox_step step =
        media_sandbox_close(fds[REQUEST_MEDIA], fds[REQUEST_RESULT], &request->limits);
    if (step != SANDBOX_CLOSED) _exit((int)step);

    static struct zygote_record record;
    record.result_bytes = sizeof(record.result);
    errno = 0;
    media_examine(SANDBOX_MEDIA_FD, request->size_bytes, request->allowed, &request->limits,
                  &record.result);
    /* Decoders are known to call a file broken when it was the memory that ended. That is our
     * limit and no verdict on the file; the mark an allocation left when it failed is still there,
     * because calls that succeed do not clear it. */
    bool is_faulted = record.result.verdict != MEDIA_DECODED || record.result.decode_errors > 0;
    if (is_faulted && errno == ENOMEM) _exit(CHILD_EXIT_MEMORY);
    ssize_t sent = write(SANDBOX_RESULT_FD, &record, sizeof(record));
    _exit(sent == (ssize_t)sizeof(record) ? 0 : CHILD_EXIT_RECORD);
}

/* --- the zygote --- */

/* A child that only closes its sandbox, so that a kernel which refuses is found at start. */
static enum sandbox_step sandbox_try(void)
{
    pid_t pid = fork();
    if (pid < 0) return SANDBOX_FORK;
    if (pid == 0) {
        struct media_limits limits = { .cpu_seconds = 1,
                                       .memory_bytes_max = MEDIA_MEMORY_BYTES_DEFAULT };
        _exit((int)media_sandbox_close(STDIN_FILENO, STDOUT_FILENO, &limits));
    }
    int status;
    if (waitpid(pid, &status, 0) != pid) return SANDBOX_FORK;
    return WIFEXITED(status) ? (enum sandbox_step)WEXITSTATUS(status) : SANDBOX_FILTER;
}

static void child_start(struct nursery *nursery, const struct zygote_request *request,
                        const int *fds)
{
    int64_t now_us = world_monotonic_us();
    pid_t   zygote_pid = getpid();
    pid_t   pid = fork();
    if (pid == 0) child_run(request, fds, zygote_pid);
    int pidfd = pid > 0 ? pidfd_open(pid, 0) : -1;
    if (pidfd < 0) {
        report_send(fds[REQUEST_REPORT], CHILD_NOT_STARTED, errno, 0);
        if (pid > 0) {
            kill(pid, SIGKILL);
            waitpid(pid, NULL, 0);
        }
        close(fds[REQUEST_REPORT]);
        return;
    }
    nursery->children[nursery->children_count++] = (struct child){
        .pid = pid,
        .pidfd = pidfd,
        .report_fd = fds[REQUEST_REPORT],
        .deadline_us = now_us + (int64_t)request->limits.wall_ms * 1000,
    };
}

static void child_kill(struct child *child)
{
    pidfd_send_signal(child->pidfd, SIGKILL, NULL, 0);
    child->deadline_us = INT64_MAX;
}

static void child_reap(struct nursery *nursery, int at)
{
    struct child *child = &nursery->children[at];
    struct rusage usage;
    int           status;
    CHECK(wait4(child->pid, &status, 0, &usage) == child->pid);
    int64_t cpu_ms = (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000 +
                     (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1000;
    if (WIFEXITED(status))
        report_send(child->report_fd, CHILD_EXITED, WEXITSTATUS(status), cpu_ms);
    else if (child->has_timed_out)
        report_send(child->report_fd, CHILD_TIMED_OUT, WTERMSIG(status), cpu_ms);
    else
        report_send(child->report_fd, CHILD_SIGNALLED, WTERMSIG(status), cpu_ms);
    close(child->pidfd);
    close(child->report_fd);
    *child = nursery->children[--nursery->children_count];
}

static int request_take_fds(struct msghdr *message, int *fds)
{
    int count = 0;
    for (struct cmsghdr *part = CMSG_FIRSTHDR(message); part; part = CMSG_NXTHDR(message, part)) {
        if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) continue;
        const int *received = (const int *)(const void *)CMSG_DATA(part);
        int        received_count = (int)((part->cmsg_len - CMSG_LEN(0)) / sizeof(int));
        for (int i = 0; i < received_count; i++) {
            if (count < REQUEST_FD__COUNT)
                fds[count++] = received[i];
            else
                close(received[i]);
        }
    }
    return count;
}

/* false when the server is gone. */
static bool request_receive(struct nursery *nursery)
{
    struct zygote_request request;
    union {
        char           bytes[CMSG_SPACE(REQUEST_FD__COUNT * sizeof(int))];
        struct cmsghdr align;
    } control;
    struct iovec  data = { &request, sizeof(request) };
    struct msghdr message = { .msg_iov = &data,
                              .msg_iovlen = 1,
                              .msg_control = &control,
                              .msg_controllen = sizeof(control) };
    ssize_t       got = recvmsg(ZYGOTE_SOCKET_FD, &message, MSG_CMSG_CLOEXEC);
    if (got < 0 && errno == EINTR) return true;
    if (got <= 0) return false;

    int  fds[REQUEST_FD__COUNT];
    int  fds_count = request_take_fds(&message, fds);
    bool is_whole = got == (ssize_t)sizeof(request) && fds_count == REQUEST_FD__COUNT &&
                    !(message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) &&
                    request.version == ZYGOTE_WIRE_VERSION;
    if (is_whole) child_start(nursery, &request, fds);
    /* The report descriptor of a whole request belongs to the nursery (or is closed) by now. */
    for (int i = 0; i < fds_count; i++)
        if (!is_whole || i != REQUEST_REPORT) close(fds[i]);
    return true;
}

static int timeout_until_deadline_ms(const struct nursery *nursery)
{
    int64_t deadline_us = INT64_MAX;
    for (int i = 0; i < nursery->children_count; i++)
        if (nursery->children[i].deadline_us < deadline_us)
            deadline_us = nursery->children[i].deadline_us;
    if (deadline_us == INT64_MAX) return -1;
    int64_t left_ms = (deadline_us - world_monotonic_us() + 999) / 1000;
    if (left_ms < 0) return 0;
    return left_ms > INT_MAX ? INT_MAX : (int)left_ms;
}

enum { POLL_CHILD = 1, POLL_PER_CHILD = 2 };

static int poll_everything(const struct nursery *nursery, struct pollfd *polled)
{
    bool is_full = nursery->children_count == ZYGOTE_CHILDREN_COUNT_MAX;
    polled[0] = (struct pollfd){ .fd = ZYGOTE_SOCKET_FD, .events = is_full ? 0 : POLLIN };
    for (int i = 0; i < nursery->children_count; i++) {
        struct pollfd *own = &polled[POLL_CHILD + POLL_PER_CHILD * i];
        own[0] = (struct pollfd){ .fd = nursery->children[i].pidfd, .events = POLLIN };
        own[1] = (struct pollfd){ .fd = nursery->children[i].report_fd, .events = 0 };
    }
    nfds_t count = (nfds_t)(POLL_CHILD + POLL_PER_CHILD * nursery->children_count);
    return poll(polled, count, timeout_until_deadline_ms(nursery));
}

static void nursery_look_after(struct nursery *nursery, const struct pollfd *polled)
{
    int64_t now_us = world_monotonic_us();
    /* From the last: a reaped child's place is taken by one that was looked at already. */
    for (int i = nursery->children_count - 1; i >= 0; i--) {
        struct child        *child = &nursery->children[i];
        const struct pollfd *own = &polled[POLL_CHILD + POLL_PER_CHILD * i];
        bool                 was_killed = child->deadline_us == INT64_MAX;
        if (own[0].revents) {
            child_reap(nursery, i);
        } else if (!was_killed && now_us >= child->deadline_us) {
            child->has_timed_out = true;
            child_kill(child);
        } else if (!was_killed && own[1].revents) {
            child_kill(child); /* whoever asked has given up */
        }
    }
}

static void nursery_serve(struct nursery *nursery)
{
    struct pollfd polled[POLL_CHILD + POLL_PER_CHILD * ZYGOTE_CHILDREN_COUNT_MAX];
    for (;;) {
        int ready = poll_everything(nursery, polled);
        if (ready < 0 && errno == EINTR) continue;
        CHECK(ready >= 0);
        nursery_look_after(nursery, polled);
        if (polled[0].revents & (POLLHUP | POLLERR)) return;
        if ((polled[0].revents & POLLIN) && !request_receive(nursery)) return;
    }
}

int media_zygote_main(void)
{
    /* That the server has ended, however it did, shows as the end of this socket. A parent-death
     * signal would not do: it comes when the *thread* that started us ends. */
    signal(SIGPIPE, SIG_IGN); /* a caller that gave up closes its pipes */
    struct zygote_hello hello = { .version = ZYGOTE_WIRE_VERSION };
    enum sandbox_step   step = media_sandbox_drop_privileges();
    if (step == SANDBOX_CLOSED) {
        media_prepare();
        step = sandbox_try();
    }
    hello.sandbox_step = (int32_t)step;
    ssize_t sent = send(ZYGOTE_SOCKET_FD, &hello, sizeof(hello), MSG_NOSIGNAL);
    if (sent != (ssize_t)sizeof(hello) || step != SANDBOX_CLOSED) _exit(1);

    static struct nursery nursery;
    nursery_serve(&nursery);
    /* The children end with us. Not exit(): a leak checker may not trace what cannot be traced. */
    _exit(0);
}
