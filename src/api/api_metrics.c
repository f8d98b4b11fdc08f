#include "api/api.h"
#include "api/long_poll.h"
#include "api/request_header.h"
#include "api/request_metrics.h"
#include "domain/task.h"
#include "platform/crypto.h"
#include "platform/metrics.h"

#include <assert.h>

static_assert((int)TASK_KIND__COUNT <= (int)METRIC_TASK_KINDS_MAX, "every kind has its histograms");

/* --- who may look --- */

/* A request that came through a proxy is nobody of this machine, whatever its peer. */
static bool is_local(const struct http_exchange *http)
{
    bool is_loopback = str_starts_with(http->peer, STR("127.")) || str_eq(http->peer, STR("::1"));
    return is_loopback && http_header(http, "X-Forwarded-For").data == NULL &&
           http_header(http, "Forwarded").data == NULL;
}

static bool is_token(struct str sent, struct str token)
{
    return sent.len == token.len && crypto_equal(sent.data, token.data, token.len);
}

static enum err admit(struct call *call, const struct request *request)
{
    struct str token = call->config->operator_token;
    if (token.len == 0 && is_local(request->http)) return ERR_OK;
    if (token.len == 0)
        return FAIL(&call->error, ERR_FORBIDDEN, "operator_only",
                    "without the setting operator-token only this machine may ask");
    struct str sent = bearer_parse(http_header(request->http, "Authorization"));
    if (sent.data == NULL)
        return FAIL(&call->error, ERR_UNAUTHENTICATED, "credentials_missing",
                    "send Authorization: Bearer with the operator's token");
    if (is_token(sent, token)) return ERR_OK;
    FAIL(&call->error, ERR_UNAUTHENTICATED, "bad_credentials", "not the operator's token");
    return exchange_count_failure(request->http->app_state);
}

/* --- what is known elsewhere --- */

static void write_writer(const struct api *api, struct buf *out)
{
    static const char   name[] = "firsthand_writer_queue";
    struct writer_stats stats;
    writer_read_stats(api->writer, &stats);
    metric_write_family(out, name, METRIC_GAUGE, "Write calls that wait for the writer");
    metric_write_int(out, name, "", stats.queue_now);
    histogram_write(out, HISTOGRAM_WRITER_BATCH, NULL, NULL);
    histogram_write(out, HISTOGRAM_WRITER_COMMIT, NULL, NULL);
}

static void label_checkpoint(const void *context, int series, struct buf *labels)
{
    static const char *const kinds[] = {
        [DB_CHECKPOINT_PASSIVE] = "passive",
        [DB_CHECKPOINT_RESTART] = "restart",
        [DB_CHECKPOINT_TRUNCATE] = "truncate",
    };
    (void)context;
    metric_write_label(labels, "kind", str_of(kinds[series]));
}

static void write_store(struct call *call, struct buf *out)
{
    static const char name[] = "firsthand_store_wal_bytes";
    histogram_write(out, HISTOGRAM_CHECKPOINT, label_checkpoint, NULL);
    metric_write_family(out, name, METRIC_GAUGE, "The store's write-ahead log on disk");
    metric_write_int(out, name, "", db_wal_bytes(call->db));
}

static void write_waiting(const struct api *api, struct buf *out)
{
    static const char polls[] = "firsthand_long_polls", queue[] = "firsthand_io_queue";
    metric_write_family(out, polls, METRIC_GAUGE, "Long polls that wait");
    metric_write_int(out, polls, "", long_poll_count(api->long_poll));
    histogram_write(out, HISTOGRAM_LONG_POLL, NULL, NULL);
    metric_write_family(out, queue, METRIC_GAUGE, "Jobs that wait for the I/O pool");
    metric_write_int(out, queue, "", io_pool_queued(api->io_pool));
}

/* --- tasks --- */

static void label_task(const void *context, int series, struct buf *labels)
{
    (void)context;
    metric_write_label(labels, "kind", str_of(task_kind_name((enum task_kind)(series / 2))));
    metric_write_label(labels, "outcome", series % 2 ? STR("failed") : STR("done"));
}

static void write_task_gauge(struct arena *arena, struct buf *out, const char *name,
                             const char *help, const int64_t values[TASK_KIND__COUNT])
{
    metric_write_family(out, name, METRIC_GAUGE, help);
    for (int kind = 0; kind < TASK_KIND__COUNT; kind++) {
        struct str label = str_of(task_kind_name((enum task_kind)kind));
        struct str labels = str_format(arena, "kind=\"%.*s\"", STR_ARG(label));
        metric_write_int(out, name, labels.data, values[kind]);
    }
}

static enum err write_tasks(struct call *call, struct buf *out)
{
    struct task_load load;
    enum err         e = task_load_read(call, &load);
    if (e) return e;
    write_task_gauge(call->arena, out, "firsthand_tasks", "Tasks that wait or are claimed",
                     load.count);
    write_task_gauge(call->arena, out, "firsthand_tasks_due",
                     "Of these, tasks whose time has come and that nobody has claimed", load.due);
    write_task_gauge(call->arena, out, "firsthand_task_lateness_seconds",
                     "How long the oldest of the due ones has been so", load.late_s);
    histogram_write(out, HISTOGRAM_TASK, label_task, NULL);
    return ERR_OK;
}

static void label_webhook(const void *context, int series, struct buf *labels)
{
    (void)context;
    metric_write_label(labels, "outcome", series == 0 ? STR("delivered") : STR("failed"));
}

/* --- all --- */

static void write_version(struct arena *arena, struct buf *out)
{
    struct str labels = str_format(arena, "version=\"%s\"", FIRSTHAND_VERSION);
    metric_write_family(out, "firsthand_build_info", METRIC_GAUGE, "Always 1");
    metric_write_int(out, "firsthand_build_info", labels.data, 1);
}

static enum err get_metrics(struct call *call, const struct request *request, struct reply *reply)
{
    enum err e = admit(call, request);
    if (e) return e;
    struct buf *out = &reply->body;
    reply->content_type = STR(METRICS_CONTENT_TYPE);
    write_version(call->arena, out);
    metrics_write(out);
    request_metrics_write(request->api->contract, out);
    write_waiting(request->api, out);
    write_writer(request->api, out);
    write_store(call, out);
    histogram_write(out, HISTOGRAM_WEBHOOK, label_webhook, NULL);
    e = write_tasks(call, out);
    metrics_write_process(out);
    return e;
}

const struct binding metrics_bindings[] = {
    { .operation_id = "getMetrics", .handle = get_metrics },
    { 0 },
};
