/* Under valgrind /proc/self/exe is valgrind: put under the server with LD_PRELOAD, this starts the
 * zygote from the binary itself. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>

typedef int spawn_fn(pid_t *, const char *, const posix_spawn_file_actions_t *,
                     const posix_spawnattr_t *, char *const[], char *const[]);

int posix_spawn(pid_t *pid, const char *path, const posix_spawn_file_actions_t *actions,
                const posix_spawnattr_t *attributes, char *const argv[], char *const environment[])
{
    spawn_fn *real = (spawn_fn *)dlsym(RTLD_NEXT, "posix_spawn");
    if (strcmp(path, "/proc/self/exe") == 0) path = getenv("MEMCHECK_BIN");
    return real(pid, path, actions, attributes, argv, environment);
}
