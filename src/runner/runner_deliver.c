#include "domain/delivered_file.h"
#include "platform/metrics.h"
#include "runner/runner_call.h"

struct delivering {
    const struct task    *task;
    struct delivered_file file;
};

static enum err load(struct call *call, void *argument)
{
    struct delivering *delivering = argument;
    return file_get_any(call, &delivering->task->subject_id, &delivering->file);
}

static enum err note(struct call *call, void *argument)
{
    struct delivering *delivering = argument;
    return file_delivered(call, delivering->task);
}

enum err deliver_task(const struct runner_services *services, struct task *task, struct call *call)
{
    struct delivering delivering = { .task = task };
    enum err          e = runner_read(services, call, load, &delivering);
    if (e) return e;
    const struct delivered_file *file = &delivering.file;
    struct blob_delivery         delivery = {
                .blob_name = file->blob,
                .folder = str_format(call->arena, "%s/%s", file->org_id.text, file->job_id.text),
                .file_name = file_name(file, call->arena),
                .file_id = id_str(&file->id),
                .manifest_line = file_manifest_line(file, call->arena),
                .may_be_there = task->claims_count > 1,
    };
    e = blob_deliver(services->blobs, &delivery, call->arena, &call->error);
    if (e) return e;
    e = runner_commit(services, call, note, &delivering);
    if (e) return e;
    metric_add(METRIC_FILES_DELIVERED, 1);
    metric_add(METRIC_BYTES_DELIVERED, file->size_bytes);
    return ERR_OK;
}
