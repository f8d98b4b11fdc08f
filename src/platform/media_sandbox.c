#include "platform/media_sandbox.h"

#include "platform/media_zygote.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <seccomp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Sanitizers reserve terabytes of address space and make system calls of their own when they
 * report, so their builds go without the address-space limit and the filter, and say so. This is
 * decided when compiling and by nothing else. */
#ifdef FIRSTHAND_SANITIZED
enum { IS_SANITIZED = 1 };
#else
enum { IS_SANITIZED = 0 };
#endif

static const char *const step_names[] = {
    [SANDBOX_CLOSED] = "closed",
    [SANDBOX_FORK] = "fork",
    [SANDBOX_PRIVILEGES] = "dropping privileges",
    [SANDBOX_DESCRIPTORS] = "closing descriptors",
    [SANDBOX_LANDLOCK] = "landlock",
    [SANDBOX_RLIMITS] = "resource limits",
    [SANDBOX_FILTER] = "seccomp filter",
};
static_assert(COUNT_OF(step_names) == SANDBOX_STEP__COUNT, "every step has a name");

const char *media_sandbox_step_name(enum sandbox_step step)
{
    return (unsigned)step < SANDBOX_STEP__COUNT ? step_names[step] : "unknown step";
}

/* --- privileges --- */

static bool drop_capabilities(void)
{
    struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
    struct __user_cap_data_struct   none[_LINUX_CAPABILITY_U32S_3] = { 0 };
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    return syscall(SYS_capset, &header, none) == 0;
}

static bool drop_root(void)
{
    if (geteuid() != 0) return true;
    return setgroups(0, NULL) == 0 &&
           setresgid(SANDBOX_NOBODY, SANDBOX_NOBODY, SANDBOX_NOBODY) == 0 &&
           setresuid(SANDBOX_NOBODY, SANDBOX_NOBODY, SANDBOX_NOBODY) == 0;
}

enum sandbox_step media_sandbox_drop_privileges(void)
{
    bool is_done = drop_root() && drop_capabilities() &&
                   prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
                   prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0;
    return is_done ? SANDBOX_CLOSED : SANDBOX_PRIVILEGES;
}

/* --- Landlock: no file, no TCP, no signal or abstract socket beyond this process --- */

/* The kernel's struct landlock_ruleset_attr; Debian 12's header knows the first member only. */
struct landlock_rules {
    uint64_t handled_fs, handled_net, scoped;
};

enum { LANDLOCK_ASK_VERSION = 1 };

/* What each version of the interface added; a right the kernel does not know is an error. */
static const struct landlock_version {
    int                   abi_min;
    size_t                size_bytes;
    struct landlock_rules rules;
} landlock_versions[] = {
    { 6, 24, { 0xffff, 0x3, 0x3 } }, { 5, 16, { 0xffff, 0x3, 0 } }, { 4, 16, { 0x7fff, 0x3, 0 } },
    { 3, 8, { 0x7fff, 0, 0 } },      { 2, 8, { 0x3fff, 0, 0 } },    { 1, 8, { 0x1fff, 0, 0 } },
};

/* 0 when the kernel has none, or has it switched off. */
static int landlock_abi(void)
{
    long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_ASK_VERSION);
    return abi > 0 ? (int)abi : 0;
}

static bool close_landlock(void)
{
    int                            abi = landlock_abi();
    const struct landlock_version *version = landlock_versions;
    if (abi == 0) return true;
    while (version->abi_min > abi)
        version++;
    long ruleset = syscall(SYS_landlock_create_ruleset, &version->rules, version->size_bytes, 0);
    if (ruleset < 0) return false;
    bool is_closed = syscall(SYS_landlock_restrict_self, (int)ruleset, 0) == 0;
    close((int)ruleset);
    return is_closed;
}

/* --- descriptors --- */

static bool close_descriptors(int media_fd, int result_fd)
{
    /* First out of the way of the places they go to, whatever those hold now. */
    int media = fcntl(media_fd, F_DUPFD_CLOEXEC, SANDBOX_RESULT_FD + 1);
    int result = fcntl(result_fd, F_DUPFD_CLOEXEC, SANDBOX_RESULT_FD + 1);
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (media < 0 || result < 0 || null < 0) return false;
    if (dup2(media, SANDBOX_MEDIA_FD) < 0 || dup2(result, SANDBOX_RESULT_FD) < 0) return false;
    /* A sanitizer's report would be lost in /dev/null. */
    if (!IS_SANITIZED && dup2(null, STDERR_FILENO) < 0) return false;
    return close_range(SANDBOX_RESULT_FD + 1, ~0u, 0) == 0 &&
           close_range(STDIN_FILENO, STDOUT_FILENO, 0) == 0;
}

/* --- resource limits --- */

static bool limit_set(__rlimit_resource_t resource, rlim_t value)
{
    /* Soft equal to hard: the CPU limit then is one SIGKILL, not a SIGXCPU that could be caught. */
    return setrlimit(resource, &(struct rlimit){ value, value }) == 0;
}

static bool close_limits(const struct media_limits *limits)
{
    if (limits->cpu_seconds < 0 || limits->memory_bytes_max <= 0) return false;
    if (!IS_SANITIZED && !limit_set(RLIMIT_AS, (rlim_t)limits->memory_bytes_max)) return false;
    return limit_set(RLIMIT_CPU, (rlim_t)limits->cpu_seconds + MEDIA_CPU_MARGIN_S) &&
           limit_set(RLIMIT_CORE, 0) && limit_set(RLIMIT_FSIZE, 0) && limit_set(RLIMIT_NOFILE, 0) &&
           limit_set(RLIMIT_NPROC, 0);
}

/* --- system calls --- */

enum filter_condition { ALWAYS, ON_MEDIA_FD, ON_RESULT_FD, ON_STDERR, WITHOUT_EXEC };

static const struct scmp_arg_cmp filter_conditions[] = {
    [ON_MEDIA_FD] = { .arg = 0, .op = SCMP_CMP_EQ, .datum_a = SANDBOX_MEDIA_FD },
    [ON_RESULT_FD] = { .arg = 0, .op = SCMP_CMP_EQ, .datum_a = SANDBOX_RESULT_FD },
    [ON_STDERR] = { .arg = 0, .op = SCMP_CMP_EQ, .datum_a = STDERR_FILENO },
    [WITHOUT_EXEC] = { .arg = 2, .op = SCMP_CMP_MASKED_EQ, .datum_a = PROT_EXEC, .datum_b = 0 },
};

struct filter_rule {
    uint32_t              action;
    int                   syscall;
    enum filter_condition condition;
};

/* All that decoding was seen to need, and what abort() takes, so that running into the memory limit
 * shows as that. Opening a file and asking a terminal are refused politely: the C library does
 * both in passing (time zones, stdio) and gets by without. */
static const struct filter_rule filter_rules[] = {
    { SCMP_ACT_ALLOW, SCMP_SYS(brk), ALWAYS },
    { SCMP_ACT_ALLOW, SCMP_SYS(munmap), ALWAYS },
    { SCMP_ACT_ALLOW, SCMP_SYS(mremap), ALWAYS },
    { SCMP_ACT_ALLOW, SCMP_SYS(madvise), ALWAYS },
    { SCMP_ACT_ALLOW, SCMP_SYS(mmap), WITHOUT_EXEC },
    { SCMP_ACT_ALLOW, SCMP_SYS(mprotect), WITHOUT_EXEC },
    { SCMP_ACT_ALLOW, SCMP_SYS(exit), ALWAYS },
    { SCMP_ACT_ALLOW, SCMP_SYS(exit_group), ALWAYS },
    { SCMP_ACT_ALLOW, SCMP_SYS(rt_sigreturn), ALWAYS },
    { SCMP_ACT_ALLOW, SCMP_SYS(rt_sigprocmask), ALWAYS },
    { SCMP_ACT_ALLOW, SCMP_SYS(getpid), ALWAYS },
    { SCMP_ACT_ALLOW, SCMP_SYS(gettid), ALWAYS },
    { SCMP_ACT_ALLOW, SCMP_SYS(futex), ALWAYS },
    { SCMP_ACT_ALLOW, SCMP_SYS(getrusage), ALWAYS },
    { SCMP_ACT_ALLOW, SCMP_SYS(sysinfo), ALWAYS },
    { SCMP_ACT_ALLOW, SCMP_SYS(clock_gettime), ALWAYS },
    { SCMP_ACT_ALLOW, SCMP_SYS(pread64), ON_MEDIA_FD },
    { SCMP_ACT_ALLOW, SCMP_SYS(fstat), ON_MEDIA_FD },
    { SCMP_ACT_ALLOW, SCMP_SYS(newfstatat), ON_MEDIA_FD },
    { SCMP_ACT_ALLOW, SCMP_SYS(write), ON_RESULT_FD },
    { SCMP_ACT_ALLOW, SCMP_SYS(write), ON_STDERR },
    { SCMP_ACT_ERRNO(ENOTTY), SCMP_SYS(ioctl), ALWAYS },
    { SCMP_ACT_ERRNO(EACCES), SCMP_SYS(openat), ALWAYS },
};

/* A process may abort itself and nobody else. */
static int filter_add_abort(scmp_filter_ctx filter)
{
    const struct scmp_arg_cmp conditions[] = {
        { .arg = 0, .op = SCMP_CMP_EQ, .datum_a = (scmp_datum_t)getpid() },
        { .arg = 2, .op = SCMP_CMP_EQ, .datum_a = SIGABRT },
    };
    return seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), COUNT_OF(conditions),
                                  conditions);
}

static bool close_filter(void)
{
    if (IS_SANITIZED) return true;
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
    if (filter == NULL) return false;
    int failure = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
    for (size_t i = 0; i < COUNT_OF(filter_rules) && failure == 0; i++) {
        const struct filter_rule *rule = &filter_rules[i];
        failure = seccomp_rule_add_array(filter, rule->action, rule->syscall,
                                         rule->condition != ALWAYS ? 1 : 0,
                                         &filter_conditions[rule->condition]);
    }
    if (failure == 0) failure = filter_add_abort(filter);
    /* What seccomp_init allocated stays: releasing it is not worth a system call after this. */
    return failure == 0 && seccomp_load(filter) == 0;
}

enum sandbox_step media_sandbox_close(int media_fd, int result_fd,
                                      const struct media_limits *limits)
{
    enum sandbox_step step = media_sandbox_drop_privileges();
    if (step != SANDBOX_CLOSED) return step;
    if (!close_descriptors(media_fd, result_fd)) return SANDBOX_DESCRIPTORS;
    if (!close_landlock()) return SANDBOX_LANDLOCK; /* needs a descriptor: before the limits */
    if (!close_limits(limits)) return SANDBOX_RLIMITS;
    if (!close_filter()) return SANDBOX_FILTER;
    return SANDBOX_CLOSED;
}

const char *media_sandbox_layers(void)
{
    bool has_landlock = landlock_abi() > 0;
    if (IS_SANITIZED)
        return has_landlock ? "rlimits+landlock only, without memory limit (sanitized build)"
                            : "rlimits only, without memory limit (sanitized build)";
    return has_landlock ? "seccomp+rlimits+landlock" : "seccomp+rlimits (kernel has no landlock)";
}
