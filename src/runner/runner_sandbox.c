#include "domain/sandbox.h"
#include "platform/disk.h"
#include "runner/runner_call.h"

/* One batch of a test job on its way. */
struct filling {
    const struct task   *task;
    struct sandbox_batch batch;
};

static enum err plan(struct call *call, void *argument)
{
    struct filling *filling = argument;
    return sandbox_plan(call, &filling->task->subject_id, &filling->batch);
}

/* As an upload: a part, made durable, becomes a blob. */
static enum err store_bytes(const struct runner_services *services, struct str name,
                            struct str bytes, struct error *error)
{
    CLEANUP(fd_close) int fd = -1;
    enum err              e = blob_part_open(services->blobs, name, error, &fd);
    if (e) return e;
    if (!disk_write_all_at(fd, bytes.data, bytes.len, 0))
        return disk_fail(error, "write", "sandbox file");
    return blob_part_finish(services->blobs, name, name, error);
}

/* Nobody ever asks for the bytes of a rejected one. */
static enum err generate(const struct runner_services *services, const struct sandbox_batch *batch,
                         struct sandbox_file *file, struct call *call)
{
    struct arena_mark mark = arena_mark(call->arena);
    struct str        bytes = sandbox_generate(batch, file, call->arena);
    struct str        name = submission_blob_name(&file->submission_id, 1, call->arena);
    enum err          e = file->passes ? store_bytes(services, name, bytes, &call->error) : ERR_OK;
    arena_rewind(call->arena, mark);
    return e;
}

/* What no commit follows must not fill a disk up while the task is tried again and again. */
static void forget(const struct runner_services *services, const struct sandbox_batch *batch,
                   struct arena *arena)
{
    for (int i = 0; i < batch->count; i++) {
        struct str name = submission_blob_name(&batch->files[i].submission_id, 1, arena);
        blob_part_remove(services->blobs, name);
        blob_remove(services->blobs, name);
    }
}

static enum err generate_all(const struct runner_services *services, struct sandbox_batch *batch,
                             struct call *call)
{
    for (int i = 0; i < batch->count; i++) {
        enum err e = generate(services, batch, &batch->files[i], call);
        if (e == ERR_OK) continue;
        forget(services, batch, call->arena);
        return e;
    }
    return ERR_OK;
}

static enum err fill(struct call *call, void *argument)
{
    const struct filling *filling = argument;
    return sandbox_fill(call, filling->task, &filling->batch);
}

enum err sandbox_task(const struct runner_services *services, struct task *task, struct call *call)
{
    struct filling *filling = NEW(call->arena, struct filling, 1);
    filling->task = task;
    enum err e = runner_read(services, call, plan, filling);
    if (e) return e;
    e = generate_all(services, &filling->batch, call);
    if (e) return e;
    e = runner_commit(services, call, fill, filling);
    /* When nobody knows whether it was written, the sweep for orphans finds out. */
    if (e && e != ERR_UNCERTAIN) forget(services, &filling->batch, call->arena);
    return e;
}
