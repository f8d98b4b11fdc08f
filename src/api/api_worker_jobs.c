#include "api/api.h"
#include "api/listing.h"
#include "domain/render.h"

/* The job as this worker sees it: how many slots are open, and whether one is his for the asking.
 */
static enum err render_for_worker(struct call *call, struct reply *reply, const struct job *job)
{
    int64_t  slots_open;
    enum err e = reservation_slots_open(call, job, &slots_open);
    if (e) return e;
    e = reservation_may_accept(call, job);
    if (e && e != ERR_CONFLICT) return e;
    const char *refusal = e ? call->error.slug : NULL;
    error_clear(&call->error);
    render_worker_job(&reply->out, NULL, job, slots_open, refusal);
    return ERR_OK;
}

/* The second key of a cursor is what the job pays. A search that was cut goes on behind the last
 * job it looked at. */
static struct str feed_cursor(struct call *call, const struct listing *listing,
                              const struct page_search *search, const struct job *jobs)
{
    if (search->count <= listing->page.rows_max && page_search_is_cut(search))
        return page_cursor(call, listing->name, &search->last_seen, search->last_key);
    const struct job *last = &jobs[listing_last(listing, search->count)];
    return listing_cursor(call, listing, search->count, &last->id, last->payout_cents);
}

static enum err get_feed(struct call *call, const struct request *request, struct reply *reply)
{
    bool           is_best_paid_first = str_eq(request_text(request, "sort"), STR("best_paid"));
    const char    *name = is_best_paid_first ? "feed-best-paid" : "feed";
    struct listing listing;
    enum err       e = listing_open(call, request, page_listing(call, name), ID_JOB, &listing);
    if (e) return e;
    struct job_feed feed = {
        .is_best_paid_first = is_best_paid_first,
        .before = listing.page.before,
        .before_payout_cents = listing.page.key,
    };
    struct job        *jobs = NEW(call->arena, struct job, listing_rows(&listing));
    struct page_search search;
    e = job_feed(call, &feed, listing_rows(&listing), jobs, &search);
    if (e) return e;
    int shown = listing_shown(&listing, search.count);
    reply_list_begin(reply);
    for (int i = 0; i < shown; i++) {
        e = render_for_worker(call, reply, &jobs[i]);
        if (e) return e;
    }
    reply_list_end(reply, feed_cursor(call, &listing, &search, jobs));
    return ERR_OK;
}

static enum err get_worker_job(struct call *call, const struct request *request,
                               struct reply *reply)
{
    struct job job;
    enum err   e = job_get_live(call, request_path(request, "job_id"), &job);
    if (e) return e;
    return render_for_worker(call, reply, &job);
}

/* Where the body, which may not be there, says that the worker is. */
static struct whereabouts in_whereabouts(const json_t *body)
{
    return (struct whereabouts){
        .has_lat = in_has(body, "lat"),
        .has_lng = in_has(body, "lng"),
        .point = geo_point_at(in_number(body, "lat", 0), in_number(body, "lng", 0)),
    };
}

static enum err accept_job(struct call *call, const struct request *request, struct reply *reply)
{
    struct reservation reservation;
    bool               is_new;
    struct whereabouts where = in_whereabouts(request->body);
    enum err           e =
        reservation_accept(call, request_path(request, "job_id"), &where, &reservation, &is_new);
    if (e) return e;
    reply->status = is_new ? 201 : 200;
    render_reservation(call, &reply->out, NULL, &reservation);
    return ERR_OK;
}

static enum err retry_submission(struct call *call, const struct request *request,
                                 struct reply *reply)
{
    struct reservation reservation;
    struct whereabouts where = in_whereabouts(request->body);
    enum err           e =
        submission_retry(call, request_path(request, "submission_id"), &where, &reservation);
    if (e) return e;
    reply->status = 201;
    render_reservation(call, &reply->out, NULL, &reservation);
    return ERR_OK;
}

static enum err flag_job(struct call *call, const struct request *request, struct reply *reply)
{
    struct job      job;
    struct job_flag flag = {
        .worker_id = call->actor.worker_id,
        .reason = in_text(request->body, "reason", call->arena),
    };
    enum err e = job_get_live(call, request_path(request, "job_id"), &job);
    if (e) return e;
    e = job_flag_add(call, &job, &flag);
    if (e) return e;
    reply->status = 201;
    render_job_flag(&reply->out, NULL, &flag);
    return ERR_OK;
}

static enum err list_reservations(struct call *call, const struct request *request,
                                  struct reply *reply)
{
    struct listing listing;
    enum err       e =
        listing_open(call, request, page_listing(call, "reservations"), ID_RESERVATION, &listing);
    if (e) return e;
    struct reservation *rows = NEW(call->arena, struct reservation, listing_rows(&listing));
    int                 count;
    e = reservation_list(call, &listing.page.before, listing_rows(&listing), rows, &count);
    if (e) return e;
    int shown = listing_shown(&listing, count);
    reply_list_begin(reply);
    for (int i = 0; i < shown; i++)
        render_reservation(call, &reply->out, NULL, &rows[i]);
    reply_list_end(
        reply, listing_cursor(call, &listing, count, &rows[listing_last(&listing, count)].id, 0));
    return ERR_OK;
}

static enum err release_reservation(struct call *call, const struct request *request,
                                    struct reply *reply)
{
    reply->status = 204;
    return reservation_release(call, request_path(request, "reservation_id"));
}

const struct binding worker_jobs_bindings[] = {
    { .operation_id = "getWorkerFeed", .handle = get_feed },
    { .operation_id = "getWorkerJob", .handle = get_worker_job },
    { .operation_id = "acceptJob", .handle = accept_job },
    { .operation_id = "retrySubmission", .handle = retry_submission },
    { .operation_id = "flagJob", .handle = flag_job },
    { .operation_id = "getReservations", .handle = list_reservations },
    { .operation_id = "releaseReservation", .handle = release_reservation },
    { 0 },
};
