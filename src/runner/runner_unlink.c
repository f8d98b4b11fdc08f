#include "base/log.h"
#include "domain/file_removal.h"
#include "runner/runner_call.h"

enum { UNLINK_ROWS_MAX = 200, UNLINK_ROUNDS_MAX = 100, UNLINK_ARENA_BYTES_MAX = 4 << 20 };

struct unlinking {
    int                    count;
    struct delivered_file *files;
};

static enum err read_to_unlink(struct call *call, void *argument)
{
    struct unlinking *unlinking = argument;
    return file_list_to_unlink(call, UNLINK_ROWS_MAX, unlinking->files, &unlinking->count);
}

static enum err note_unlinked(struct call *call, void *argument)
{
    const struct unlinking *unlinking = argument;
    for (int i = 0; i < unlinking->count; i++) {
        enum err e = file_set_unlinked(call, &unlinking->files[i].id);
        if (e) return e;
    }
    return ERR_OK;
}

/* The blob last: while it is there, the file is found again. */
static void unlink_bytes(const struct runner_services *services, struct arena *arena,
                         const struct delivered_file *file)
{
    struct str folder = str_format(arena, "%s/%s", file->org_id.text, file->job_id.text);
    blob_undeliver(services->blobs, folder, file_name(file, arena));
    blob_remove(services->blobs, file->blob);
}

/* Up to a round of them; a crash between the disk and the commit has them removed once more. */
static enum err unlink_some(const struct runner_services *services, struct call *call,
                            int *ret_done)
{
    struct unlinking unlinking = {
        .files = NEW(call->arena, struct delivered_file, UNLINK_ROWS_MAX),
    };
    enum err e = runner_read(services, call, read_to_unlink, &unlinking);
    *ret_done = unlinking.count;
    if (e || unlinking.count == 0) return e;
    for (int i = 0; i < unlinking.count; i++)
        unlink_bytes(services, call->arena, &unlinking.files[i]);
    return runner_commit(services, call, note_unlinked, &unlinking);
}

static void log_failure(const struct error *error)
{
    struct log_line line;
    log_begin(&line, LOG_WARNING, "unlink_failed");
    log_error(&line, error);
    log_end(&line);
}

void unlink_removed_files(const struct runner_services *services)
{
    int done = UNLINK_ROWS_MAX;
    for (int i = 0; i < UNLINK_ROUNDS_MAX && done == UNLINK_ROWS_MAX; i++) {
        struct arena arena;
        struct call  call;
        arena_init(&arena, UNLINK_ARENA_BYTES_MAX);
        runner_call_init(services, &arena, &call);
        if (unlink_some(services, &call, &done)) {
            log_failure(&call.error);
            done = 0;
        }
        arena_deinit(&arena);
    }
}
