#include "domain/resource_event.h"

#include "domain/delivered_file.h"
#include "domain/render.h"

enum err event_of_job(struct call *call, enum event_type type, const struct job *job)
{
    struct event_data data;
    event_data_begin(call, &data);
    render_job(&data.out, NULL, job);
    struct occurrence occurrence = {
        .org_id = job->org_id,
        .environment = job->environment,
        .type = type,
        .subject_id = job->id,
        .data = event_data_end(&data),
    };
    if (type == EVENT_JOB_COMPLETED) occurrence.awaits_job_id = job->id;
    return event_emit(call, &occurrence);
}

static enum err render_verdict(struct call *call, const struct submission *submission,
                               struct str *ret_data)
{
    struct event_data     data;
    struct delivered_file file;
    bool                  has_file = submission->state == SUBMISSION_APPROVED;
    if (has_file) {
        enum err e = file_get_any(call, &submission->file_id, &file);
        if (e) return e;
    }
    event_data_begin(call, &data);
    render_submission(call, &data.out, NULL, submission, has_file ? &file : NULL, LINKS_LATER);
    *ret_data = event_data_end(&data);
    return ERR_OK;
}

enum err event_of_verdict(struct call *call, const struct submission *submission)
{
    struct occurrence occurrence = {
        .org_id = submission->org_id,
        .environment = submission->environment,
        .type = EVENT_SUBMISSION_SCORED,
        .subject_id = submission->id,
    };
    enum err e = render_verdict(call, submission, &occurrence.data);
    if (e) return e;
    e = event_emit(call, &occurrence);
    if (e) return e;
    occurrence.type = submission->state == SUBMISSION_APPROVED ? EVENT_SUBMISSION_APPROVED
                                                               : EVENT_SUBMISSION_REJECTED;
    return event_emit(call, &occurrence);
}
