#include "api/api.h"
#include "api/listing.h"
#include "base/time_text.h"
#include "domain/render.h"

static enum err render_with_file(struct call *call, struct reply *reply,
                                 const struct submission *submission)
{
    if (submission->state != SUBMISSION_APPROVED) {
        render_submission(call, &reply->out, NULL, submission, NULL, LINKS_NOW);
        return ERR_OK;
    }
    struct delivered_file file;
    enum err              e = file_get_any(call, &submission->file_id, &file);
    if (e) return e;
    render_submission(call, &reply->out, NULL, submission, &file, LINKS_NOW);
    return ERR_OK;
}

/* A page of those that pass the filter. */
static enum err reply_page(struct call *call, const struct listing *listing,
                           struct submission_filter *filter, struct reply *reply)
{
    struct submission *rows = NEW(call->arena, struct submission, listing_rows(listing));
    struct page_search search;
    filter->before = listing->page.before;
    enum err e = submission_list(call, filter, listing_rows(listing), rows, &search);
    if (e) return e;
    int shown = listing_shown(listing, search.count);
    reply_list_begin(reply);
    for (int i = 0; i < shown; i++) {
        e = render_with_file(call, reply, &rows[i]);
        if (e) return e;
    }
    const struct id *last = &rows[listing_last(listing, search.count)].id;
    reply_list_end(reply, listing_search_cursor(call, listing, &search, last));
    return ERR_OK;
}

static enum err get_job_submissions(struct call *call, const struct request *request,
                                    struct reply *reply)
{
    struct job     job;
    struct listing listing;
    enum err e = listing_open_of_job(call, request, "submissions", ID_SUBMISSION, &job, &listing);
    if (e) return e;
    struct submission_filter filter = submission_filter_any();
    filter.job_id = job.id;
    return reply_page(call, &listing, &filter, reply);
}

/* The contract has checked the form of each. ERR_NOT_FOUND "job". */
static enum err read_filter(struct call *call, const struct request *request,
                            struct submission_filter *ret_filter)
{
    struct submission_filter filter = submission_filter_any();
    struct str               status = request_text(request, "status");
    struct str               start = request_text(request, "start_date");
    struct str               end = request_text(request, "end_date");
    struct str               job_id = request_text(request, "job_id");
    if (status.data) CHECK(submission_state_parse(status, &filter.state));
    if (start.data) CHECK(time_parse(start, &filter.created_from_ms));
    if (end.data) CHECK(time_parse(end, &filter.created_before_ms));
    filter.stars_min = request_int(request, "min_score", 0);
    if (job_id.data) {
        struct job job;
        enum err   e = job_get(call, job_id, &job);
        if (e) return e;
        filter.job_id = job.id;
    }
    *ret_filter = filter;
    return ERR_OK;
}

static enum err list_submissions(struct call *call, const struct request *request,
                                 struct reply *reply)
{
    struct listing listing;
    enum err       e =
        listing_open(call, request, page_listing(call, "submissions"), ID_SUBMISSION, &listing);
    if (e) return e;
    struct submission_filter filter;
    e = read_filter(call, request, &filter);
    if (e) return e;
    return reply_page(call, &listing, &filter, reply);
}

static enum err get_summary(struct call *call, const struct request *request, struct reply *reply)
{
    struct submission_filter  filter;
    struct submission_summary summary;
    struct page               page;
    struct id                 last;
    struct str                name = page_listing(call, "submission-summary");
    enum err e = page_open(call, name, request_text(request, "cursor"), PAGE_ROWS_DEFAULT,
                           ID_SUBMISSION, &page);
    if (e) return e;
    e = read_filter(call, request, &filter);
    if (e) return e;
    filter.before = page.before;
    e = submission_summarise(call, &filter, &summary, &last);
    if (e) return e;
    render_submission_summary(&reply->out, NULL, &summary,
                              id_is_none(&last) ? STR_NONE : page_cursor(call, name, &last, 0));
    return ERR_OK;
}

static enum err get_submission(struct call *call, const struct request *request,
                               struct reply *reply)
{
    struct submission submission;
    enum err          e = submission_get(call, request_path(request, "submission_id"), &submission);
    if (e) return e;
    return render_with_file(call, reply, &submission);
}

static enum err list_own(struct call *call, const struct request *request, struct reply *reply)
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

static enum err get_own(struct call *call, const struct request *request, struct reply *reply)
{
    struct submission submission;
    enum err e = submission_get_own(call, request_path(request, "submission_id"), &submission);
    if (e) return e;
    render_worker_submission(&reply->out, NULL, &submission);
    return ERR_OK;
}

const struct binding submissions_bindings[] = {
    { .operation_id = "getJobSubmissions", .handle = get_job_submissions },
    { .operation_id = "listSubmissions", .handle = list_submissions },
    { .operation_id = "getSubmissionSummary", .handle = get_summary },
    { .operation_id = "getSubmission", .handle = get_submission },
    { .operation_id = "listWorkerSubmissions", .handle = list_own },
    { .operation_id = "getWorkerSubmission", .handle = get_own },
    { 0 },
};
