#include "api/api.h"
#include "api/listing.h"
#include "api/render.h"

static enum err list_submissions(struct call *call, const struct request *request,
                                 struct reply *reply)
{
    struct listing listing;
    enum err       e =
        listing_open(call, request, page_listing(call, "submissions"), ID_SUBMISSION, &listing);
    if (e) return e;
    struct submission *rows = NEW(call->arena, struct submission, listing_rows(&listing));
    int                count;
    e = submission_list_own(call, &listing.page.before, listing_rows(&listing), rows, &count);
    if (e) return e;
    int shown = listing_shown(&listing, count);
    reply_list_begin(reply);
    for (int i = 0; i < shown; i++)
        render_worker_submission(&reply->out, NULL, &rows[i]);
    reply_list_end(
        reply, listing_cursor(call, &listing, count, &rows[listing_last(&listing, count)].id, 0));
    return ERR_OK;
}

static enum err get_submission(struct call *call, const struct request *request,
                               struct reply *reply)
{
    struct submission submission;
    enum err e = submission_get_own(call, request_path(request, "submission_id"), &submission);
    if (e) return e;
    render_worker_submission(&reply->out, NULL, &submission);
    return ERR_OK;
}

static enum err retry_submission(struct call *call, const struct request *request,
                                 struct reply *reply)
{
    struct reservation reservation;
    enum err e = submission_retry(call, request_path(request, "submission_id"), &reservation);
    if (e) return e;
    reply->status = 201;
    render_reservation(call, &reply->out, NULL, &reservation);
    return ERR_OK;
}

const struct binding submissions_bindings[] = {
    { .operation_id = "listWorkerSubmissions", .handle = list_submissions },
    { .operation_id = "getWorkerSubmission", .handle = get_submission },
    { .operation_id = "retrySubmission", .handle = retry_submission },
    { 0 },
};
