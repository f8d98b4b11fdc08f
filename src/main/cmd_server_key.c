/* Rotating server.key, in steps that may be cut off anywhere: the next call goes on from there. */
#include "domain/audit_event.h"
#include "domain/server_key.h"
#include "main/commands.h"
#include "main/store.h"
#include "platform/disk.h"
#include "platform/keyring_file.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

enum { SERVER_KEY_RESULT_BYTES_MAX = 16 << 10 };
static const int64_t TAKE_UP_MS_MAX = 60 * 1000;
static const long    TAKE_UP_POLL_NS = 100 * 1000 * 1000;

struct rotation {
    struct store            store;
    struct error            error;
    const char             *path;
    int                     lock_fd;
    bool                    is_forced;
    int                     number; /* of the key that is or becomes the newest */
    int64_t                 resealed_count;
    int64_t                 since_ms, now_ms;
    struct keyring_file     file;
    struct server_key_usage usages[KEYRING_LINES_MAX]; /* by line, of the old ones */
};

/* --- steps --- */

static enum err run(struct rotation *rotation, enum err (*step)(struct call *call, void *argument))
{
    struct call call;
    enum err    e = store_commit(&rotation->store, &call, step, rotation);
    if (e) rotation->error = call.error;
    return e;
}

static enum err open_rotation(struct rotation *rotation, const struct config *config)
{
    struct error *error = &rotation->error;
    enum err      e = store_open(&rotation->store, config, error);
    if (e) return e;
    struct arena *arena = &rotation->store.arena;
    rotation->path = str_format(arena, "%.*s/server.key", STR_ARG(config->data_dir)).data;
    e = keyring_file_lock(rotation->path, arena, error, &rotation->lock_fd);
    if (e == ERR_OK) e = keyring_file_read(rotation->path, false, arena, error, &rotation->file);
    if (e) store_close(&rotation->store);
    return e;
}

static void close_rotation(struct rotation *rotation)
{
    keyring_file_wipe(&rotation->file);
    fd_close(&rotation->lock_fd);
    store_close(&rotation->store);
}

/* Put the file as it is now, and take it up ourselves. */
static enum err put_file(struct rotation *rotation)
{
    struct arena *arena = &rotation->store.arena;
    enum err      e = keyring_file_write(rotation->path, &rotation->file, arena, &rotation->error);
    return e ? e : keyring_reload(rotation->store.keyring, arena, &rotation->error);
}

/* A server holds the lock of its directory. */
static bool is_served(struct rotation *rotation)
{
    struct str path =
        str_format(&rotation->store.arena, "%.*s/lock", STR_ARG(rotation->store.config.data_dir));
    CLEANUP(fd_close) int fd = open(path.data, O_RDONLY | O_CLOEXEC);
    return fd >= 0 && flock(fd, LOCK_SH | LOCK_NB) != 0;
}

static enum err read_state(struct call *call, void *argument)
{
    return server_key_read_state(call, argument);
}

/* The server that runs knows the key, or uses it. It looks every few seconds. */
static enum err await_server(struct rotation *rotation, bool is_use)
{
    int64_t until_us = world_monotonic_us() + TAKE_UP_MS_MAX * 1000;
    while (is_served(rotation)) {
        struct server_key_state state = { 0 };
        struct call             call;
        enum err                e = store_read(&rotation->store, &call, read_state, &state);
        if (e) {
            rotation->error = call.error;
            return e;
        }
        if ((is_use ? state.used : state.highest_known) == rotation->number) return ERR_OK;
        if (world_monotonic_us() > until_us)
            return FAIL(&rotation->error, ERR_UNAVAILABLE, "server_key_not_taken",
                        "the running server does not take up key %d (does it run with tasks off?):"
                        " stop it and try again",
                        rotation->number);
        nanosleep(&(struct timespec){ .tv_nsec = TAKE_UP_POLL_NS }, NULL);
    }
    return ERR_OK;
}

/* --- admin rotate-server-key --- */

static enum err find_since(struct call *call, void *argument)
{
    struct rotation *rotation = argument;
    rotation->now_ms = call->now_ms;
    return server_key_since(call, keyring_file_used(&rotation->file), &rotation->since_ms);
}

/* A key that was announced, or used, and no further: that one. Else a fresh one. */
static enum err announce(struct rotation *rotation)
{
    struct keyring_file *file = &rotation->file;
    enum err             e = run(rotation, find_since);
    if (e) return e;
    rotation->number = keyring_file_highest(file);
    bool is_announced = rotation->number != keyring_file_used(file);
    bool is_cut_off = keyring_file_in_use(file) > 1 && rotation->since_ms == 0;
    if (is_announced || is_cut_off) return ERR_OK;
    e = keyring_file_announce(file, &rotation->error, &rotation->number);
    return e ? e : put_file(rotation);
}

static enum err use(struct rotation *rotation)
{
    if (keyring_file_used(&rotation->file) == rotation->number) return ERR_OK;
    keyring_file_use(&rotation->file, rotation->number);
    return put_file(rotation);
}

static enum err enter(struct call *call, void *argument)
{
    struct rotation *rotation = argument;
    return server_key_enter(call, &rotation->resealed_count);
}

static enum err rotate(struct rotation *rotation)
{
    enum err e = announce(rotation);
    if (e == ERR_OK) e = await_server(rotation, false);
    if (e == ERR_OK) e = use(rotation);
    if (e == ERR_OK) e = await_server(rotation, true);
    return e ? e : run(rotation, enter);
}

static void write_rotated(const struct rotation *rotation, struct json_out *out)
{
    const struct keyring_file *file = &rotation->file;
    out_int(out, "key", rotation->number);
    out_array(out, "older_keys");
    for (int i = 1; i < file->count; i++)
        if (!file->lines[i].is_dropped) out_int(out, NULL, file->lines[i].number);
    out_close(out);
    out_int(out, "sealed_anew", rotation->resealed_count);
}

/* --- admin drop-server-keys --- */

static bool is_kept(const struct rotation *rotation)
{
    return rotation->since_ms == 0 || rotation->since_ms + SERVER_KEY_KEPT_MS > rotation->now_ms;
}

/* Seal anew once more: a server may have used the old key when the new one was a moment old. */
static enum err find_usages(struct call *call, void *argument)
{
    struct rotation           *rotation = argument;
    const struct keyring_file *file = &rotation->file;
    enum err                   e = server_key_reseal(call, &rotation->resealed_count);
    for (int i = 1; e == ERR_OK && i < file->count; i++)
        if (!file->lines[i].is_dropped)
            e = server_key_find_usage(call, file->lines[i].number, &rotation->usages[i]);
    return e;
}

static bool may_drop(const struct rotation *rotation, int i)
{
    if (rotation->file.lines[i].is_dropped) return false;
    if (rotation->is_forced) return true;
    return !is_kept(rotation) && server_key_is_unused(&rotation->usages[i]);
}

static enum err note_drops(struct call *call, void *argument)
{
    const struct rotation *rotation = argument;
    enum err               e = ERR_OK;
    for (int i = 1; e == ERR_OK && i < rotation->file.count; i++)
        if (may_drop(rotation, i))
            e = audit_note(call, NULL, ENVIRONMENT_LIVE, STR("server_key.dropped"),
                           str_format(call->arena, "%d", rotation->file.lines[i].number));
    return e;
}

static enum err drop(struct rotation *rotation, struct json_out *out)
{
    enum err e = run(rotation, find_since);
    if (e == ERR_OK) e = run(rotation, find_usages);
    if (e == ERR_OK) e = run(rotation, note_drops);
    if (e) return e;
    int count = 0;
    out_array(out, "dropped");
    for (int i = 1; i < rotation->file.count; i++) {
        if (!may_drop(rotation, i)) continue;
        out_int(out, NULL, rotation->file.lines[i].number);
        keyring_file_drop(&rotation->file, rotation->file.lines[i].number);
        count++;
    }
    out_close(out);
    return count ? put_file(rotation) : ERR_OK;
}

static void write_kept(const struct rotation *rotation, struct json_out *out)
{
    out_array(out, "kept");
    for (int i = 1; i < rotation->file.count; i++) {
        if (rotation->file.lines[i].is_dropped) continue;
        const struct server_key_usage *usage = &rotation->usages[i];
        out_object(out, NULL);
        out_int(out, "key", rotation->file.lines[i].number);
        if (rotation->since_ms)
            out_time(out, "until", rotation->since_ms + SERVER_KEY_KEPT_MS);
        else
            out_null(out, "until");
        out_int(out, "api_keys", usage->api_keys);
        out_int(out, "worker_sessions", usage->sessions);
        out_int(out, "invites", usage->invites);
        out_close(out);
    }
    out_close(out);
}

/* --- the commands --- */

static enum err run_rotate(struct rotation *rotation, struct json_out *out)
{
    enum err e = rotate(rotation);
    if (e == ERR_OK) write_rotated(rotation, out);
    return e;
}

static enum err run_drop(struct rotation *rotation, struct json_out *out)
{
    enum err e = drop(rotation, out);
    if (e == ERR_OK) write_kept(rotation, out);
    return e;
}

static int run_command(struct rotation *rotation, struct flags *flags, struct arena *arena,
                       enum err (*command)(struct rotation *rotation, struct json_out *out))
{
    struct config config;
    int           exit_code = command_config(flags, arena, &config);
    if (exit_code) return exit_code;
    if (!store_is_there(&config, arena)) {
        FAIL(&rotation->error, ERR_NOT_FOUND, "no_store", "there is no store in %.*s",
             STR_ARG(config.data_dir));
        return command_refused(&rotation->error);
    }
    if (open_rotation(rotation, &config)) return command_refused(&rotation->error);
    struct buf      json;
    struct json_out out;
    buf_init(&json, arena, SERVER_KEY_RESULT_BYTES_MAX);
    json_out_init(&out, &json);
    out_object(&out, NULL);
    enum err e = command(rotation, &out);
    out_close(&out);
    if (e)
        exit_code = command_refused(&rotation->error);
    else
        command_print(&json);
    close_rotation(rotation);
    return exit_code;
}

int cmd_rotate_server_key(struct flags *flags, struct arena *arena)
{
    struct rotation *rotation = NEW(arena, struct rotation, 1);
    rotation->lock_fd = -1;
    return run_command(rotation, flags, arena, run_rotate);
}

int cmd_drop_server_keys(struct flags *flags, struct arena *arena)
{
    struct rotation *rotation = NEW(arena, struct rotation, 1);
    struct str       force = flags_take(flags, "force");
    rotation->lock_fd = -1;
    rotation->is_forced = str_eq(force, STR("on"));
    if (force.data && !rotation->is_forced && !str_eq(force, STR("off"))) {
        FAIL(&rotation->error, ERR_INVALID, "usage", "--force is on or off");
        return command_refused(&rotation->error);
    }
    return run_command(rotation, flags, arena, run_drop);
}
