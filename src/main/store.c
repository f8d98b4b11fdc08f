#include "main/store.h"

#include "base/log.h"
#include "domain/audit_chain.h"
#include "domain/clock.h"
#include "domain/server_key.h"
#include "platform/db_migrate.h"
#include "platform/disk.h"

#include <errno.h>
#include <grp.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { STORE_ARENA_BYTES_MAX = 64 << 20 };

static const struct actor operator_actor = { .kind = ACTOR_OPERATOR };

/* Files made here must belong to whoever runs the server: root steps down to the owner first. */
static enum err become_owner(const char *data_dir, struct error *error)
{
    struct stat info;
    if (stat(data_dir, &info) != 0)
        return FAIL(error, ERR_UNAVAILABLE, "data_dir", "%s: %s", data_dir, strerror(errno));
    if (info.st_uid == geteuid()) return ERR_OK;
    if (geteuid() != 0)
        return FAIL(error, ERR_UNAVAILABLE, "data_dir", "%s belongs to another user", data_dir);
    if (setgroups(0, NULL) != 0 || setresgid(info.st_gid, info.st_gid, info.st_gid) != 0 ||
        setresuid(info.st_uid, info.st_uid, info.st_uid) != 0)
        return FAIL(error, ERR_UNAVAILABLE, "data_dir", "cannot become the owner of %s: %s",
                    data_dir, strerror(errno));
    return ERR_OK;
}

static struct str path_in(struct store *store, const char *name)
{
    return str_format(&store->arena, "%.*s/%s", STR_ARG(store->config.data_dir), name);
}

static void log_closed(const char *data_dir)
{
    struct log_line line;
    log_begin(&line, LOG_WARNING, "data_dir_closed_to_others");
    log_text(&line, "data_dir", str_of(data_dir));
    log_end(&line);
}

/* What is made in it is closed by itself; whoever may write into the directory could replace it.
 * One that holds other things may be open for a reason: / or /tmp must not be closed by a mistyped
 * flag. */
static enum err close_to_others(struct store *store, const char *data_dir, struct error *error)
{
    struct stat info;
    if (stat(data_dir, &info) != 0) return disk_fail(error, "look at", data_dir);
    if ((info.st_mode & 077) == 0) return ERR_OK;
    bool is_ours = access(path_in(store, "server.key").data, F_OK) == 0;
    if (!is_ours && !disk_is_empty(data_dir)) {
        if ((info.st_mode & 022) == 0) return ERR_OK;
        return FAIL(error, ERR_UNAVAILABLE, "data_dir_permissions",
                    "others may write into %s, which holds other files: chmod 700 it", data_dir);
    }
    if (chmod(data_dir, 0700) != 0) return disk_fail(error, "chmod", data_dir);
    log_closed(data_dir);
    return ERR_OK;
}

static enum err open_directory(struct store *store, struct error *error)
{
    const char *data_dir = str_c(&store->arena, store->config.data_dir);
    enum err    e = disk_make_directories(data_dir, error);
    if (e) return e;
    e = become_owner(data_dir, error);
    if (e) return e;
    return close_to_others(store, data_dir, error);
}

static const char *database_url(const struct config *config, struct arena *arena)
{
    if (config->database.len) return str_c(arena, config->database);
    return str_format(arena, "sqlite:%.*s/store.db", STR_ARG(config->data_dir)).data;
}

bool store_is_there(const struct config *config, struct arena *arena)
{
    struct str url = str_of(database_url(config, arena)), scheme = STR("sqlite:");
    return str_starts_with(url, scheme) && access(str_skip(url, scheme.len).data, F_OK) == 0;
}

/* A store with a past must have its key: a new one would lock everybody out. */
static enum err open_keyring(struct store *store, struct error *error)
{
    bool is_new = !store_is_there(&store->config, &store->arena);
    return keyring_open(path_in(store, "server.key").data, is_new, &store->arena, error,
                        &store->keyring);
}

static enum err recognize_key(struct store *store, struct db *db, struct error *error)
{
    struct call call = { .arena = &store->arena, .db = db, .keyring = store->keyring };
    enum err    e = server_key_recognize(&call);
    if (e) *error = call.error;
    return e;
}

enum err store_migrate(struct store *store, struct error *error)
{
    struct db *db;
    enum err   e = db_open(store->database_url, DB_WRITE, error, &db);
    if (e) return e;
    e = db_migrate(db, world_now_ms(&store->world), error, NULL);
    int64_t offset_ms = 0;
    if (e == ERR_OK) e = clock_load_offset(db, error, &offset_ms);
    if (e == ERR_OK) world_advance_ms(&store->world, offset_ms);
    if (e == ERR_OK) e = recognize_key(store, db, error);
    db_close(db);
    return e;
}

enum err store_enter(struct store *store, const struct config *config, struct error *error)
{
    *store = (struct store){ .config = *config };
    arena_init(&store->arena, STORE_ARENA_BYTES_MAX);
    store->database_url = database_url(config, &store->arena);
    enum err e = open_directory(store, error);
    if (e == ERR_OK) e = open_keyring(store, error);
    if (e) store_close(store);
    return e;
}

enum err store_open(struct store *store, const struct config *config, struct error *error)
{
    enum err e = store_enter(store, config, error);
    if (e) return e;
    e = store_migrate(store, error);
    if (e) store_close(store);
    return e;
}

void store_close(struct store *store)
{
    arena_deinit(&store->arena);
}

static enum err run_on(struct store *store, struct call *call, enum db_mode mode,
                       enum err (*run)(struct call *call, void *argument), void *argument)
{
    struct db *db;
    *call = (struct call){
        .arena = &store->arena,
        .config = &store->config,
        .keyring = store->keyring,
        .origin = { .address = STR("command") },
    };
    enum err e = db_open(store->database_url, mode, &call->error, &db);
    if (e) return e;
    e = db_begin(db, &call->error);
    if (e == ERR_OK) {
        call_begin(call, db, world_now_ms(&store->world), &operator_actor);
        e = run(call, argument);
        if (e == ERR_OK && mode == DB_WRITE)
            e = db_commit(db, &call->error);
        else
            db_rollback(db);
    }
    db_close(db);
    return e;
}

struct commit {
    enum err (*run)(struct call *call, void *argument);
    void *argument;
};

/* A server may not run for long: what a command noted is sealed at once. */
static enum err run_and_seal(struct call *call, void *argument)
{
    const struct commit *commit = argument;
    int                  count;
    enum err             e = commit->run(call, commit->argument);
    return e ? e : audit_seal(call, &count);
}

enum err store_commit(struct store *store, struct call                         *call,
                      enum err (*run)(struct call *call, void *argument), void *argument)
{
    struct commit commit = { run, argument };
    return run_on(store, call, DB_WRITE, run_and_seal, &commit);
}

enum err store_read(struct store *store, struct call                         *call,
                    enum err (*run)(struct call *call, void *argument), void *argument)
{
    return run_on(store, call, DB_READ, run, argument);
}
