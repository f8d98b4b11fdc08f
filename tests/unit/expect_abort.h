/* assert_aborts(statement): a broken invariant ends the process with SIGABRT, in every build. The
 * statement runs in a child whose stderr leads nowhere: what it says before it dies is expected. */
#ifndef FIRSTHAND_TESTS_EXPECT_ABORT_H
#define FIRSTHAND_TESTS_EXPECT_ABORT_H

#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/wait.h>
#include <unistd.h>

static inline bool child_aborted(pid_t child)
{
    int status = 0;
    return waitpid(child, &status, 0) == child && WIFSIGNALED(status) &&
           WTERMSIG(status) == SIGABRT;
}

#define assert_aborts(statement)                                                                   \
    do {                                                                                           \
        pid_t child_ = fork();                                                                     \
        assert_true(child_ >= 0);                                                                  \
        if (child_ == 0) {                                                                         \
            dup2(open("/dev/null", O_WRONLY | O_CLOEXEC), STDERR_FILENO);                          \
            statement;                                                                             \
            _exit(0);                                                                              \
        }                                                                                          \
        assert_true(child_aborted(child_));                                                        \
    } while (0)

#endif
