/* A kernel, or a container's own filter, that refuses ours: the start must fail and say so, never
 * go on without. */
#include "platform/media_zygote.h"

#include <errno.h>
#include <seccomp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { EXIT_AS_MEANT = 40, EXIT_STARTED, EXIT_OTHER_ERROR, EXIT_NO_FILTER };

/* In a process of its own, whose zygote inherits what it may not do. */
static int start_where_refused(const int *syscalls, size_t count, const char *detail)
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
        for (size_t i = 0; i < count; i++)
            if (seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), syscalls[i], 0) != 0)
                _exit(EXIT_NO_FILTER);
        if (seccomp_load(filter) != 0) _exit(EXIT_NO_FILTER);
        struct error         error = { 0 };
        struct media_zygote *zygote;
        if (!media_zygote_start(&error, &zygote) && !media_zygote_await(zygote, &error))
            _exit(EXIT_STARTED);
        bool is_named = error.code == ERR_UNAVAILABLE && strcmp(error.slug, "zygote_start") == 0 &&
                        strstr(error.detail, detail) != NULL;
        _exit(is_named ? EXIT_AS_MEANT : EXIT_OTHER_ERROR);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void refused_filter_fails_the_start(void **state)
{
    (void)state;
    const int calls[] = { SCMP_SYS(seccomp) };
    assert_int_equal(start_where_refused(calls, COUNT_OF(calls), "seccomp filter"), EXIT_AS_MEANT);
}

static void refused_limits_fail_the_start(void **state)
{
    (void)state;
    const int calls[] = { SCMP_SYS(prlimit64), SCMP_SYS(setrlimit) };
    assert_int_equal(start_where_refused(calls, COUNT_OF(calls), "resource limits"), EXIT_AS_MEANT);
}

static void absent_landlock_is_done_without(void **state)
{
    (void)state;
    const int calls[] = { SCMP_SYS(landlock_create_ruleset) };
    assert_int_equal(start_where_refused(calls, COUNT_OF(calls), ""), EXIT_STARTED);
}

static void spawn_that_cannot_be_fails_the_start(void **state)
{
    (void)state;
    const int calls[] = { SCMP_SYS(execve) };
    assert_int_equal(start_where_refused(calls, COUNT_OF(calls), "spawn"), EXIT_AS_MEANT);
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "media-zygote") == 0) return media_zygote_main();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refused_filter_fails_the_start),
        cmocka_unit_test(refused_limits_fail_the_start),
        cmocka_unit_test(absent_landlock_is_done_without),
        cmocka_unit_test(spawn_that_cannot_be_fails_the_start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
