/* What the process counts of itself, for /metrics. A row below is all that a new figure needs; any
 * thread adds to it, for a few nanoseconds. Figures begin at 0 with the process and are never
 * reset. */
#ifndef FIRSTHAND_PLATFORM_METRICS_H
#define FIRSTHAND_PLATFORM_METRICS_H

#include "base/buf.h"

enum metric_kind { METRIC_COUNTER, METRIC_GAUGE };

/* ROW(symbol, kind, family, labels, help). Rows of one family stand together; the help is that of
 * the first. Names follow Prometheus: base units, _total for counters. */
#define METRIC_ROWS(ROW)                                                                           \
    ROW(CONNECTIONS, GAUGE, "firsthand_http_connections", "",                                      \
        "Open connections, long polls apart")                                                      \
    ROW(REQUESTS_NOW, GAUGE, "firsthand_http_requests_in_flight", "",                              \
        "Requests begun and not yet ended, long polls that wait apart")                            \
    ROW(LONG_POLLS_REFUSED, COUNTER, "firsthand_long_polls_refused_total", "",                     \
        "Long polls answered at once because all places were taken")                               \
    ROW(WRITER_COMMITS, COUNTER, "firsthand_writer_commits_total", "", "Commits of the writer")    \
    ROW(WRITER_JOBS_KEPT, COUNTER, "firsthand_writer_jobs_total", "outcome=\"kept\"",              \
        "Write calls run")                                                                         \
    ROW(WRITER_JOBS_UNDONE, COUNTER, "firsthand_writer_jobs_total", "outcome=\"undone\"", "")      \
    ROW(WRITER_RERUNS, COUNTER, "firsthand_writer_batches_rerun_total", "",                        \
        "Batches whose transaction was lost and whose calls ran again alone")                      \
    ROW(SCORES_1, COUNTER, "firsthand_scores_total", "stars=\"1\"", "Files scored")                \
    ROW(SCORES_2, COUNTER, "firsthand_scores_total", "stars=\"2\"", "")                            \
    ROW(SCORES_3, COUNTER, "firsthand_scores_total", "stars=\"3\"", "")                            \
    ROW(SCORES_4, COUNTER, "firsthand_scores_total", "stars=\"4\"", "")                            \
    ROW(SCORES_5, COUNTER, "firsthand_scores_total", "stars=\"5\"", "")                            \
    ROW(SCORES_UNEXAMINED, COUNTER, "firsthand_scores_unexamined_total", "",                       \
        "Of these, files given up because examining them kept failing")                            \
    ROW(FILES_DELIVERED, COUNTER, "firsthand_files_delivered_total", "",                           \
        "Files copied into a buyer's folder")                                                      \
    ROW(BYTES_DELIVERED, COUNTER, "firsthand_files_delivered_bytes_total", "", "Bytes of these")   \
    ROW(WEBHOOKS_NOW, GAUGE, "firsthand_webhook_attempts_in_flight", "",                           \
        "Webhook deliveries begun and not yet ended")                                              \
    ROW(FREEZES, COUNTER, "firsthand_payments_contested_total", "",                                \
        "Refunds and disputes that froze an organization")

#define METRIC_SYMBOL(symbol, kind, family, labels, help) METRIC_##symbol,
enum metric { METRIC_ROWS(METRIC_SYMBOL) METRIC__COUNT };

void    metric_add(enum metric metric, int64_t amount);
int64_t metric_value(enum metric metric);

/* --- histograms --- */

enum histogram_scale { HISTOGRAM_SECONDS, HISTOGRAM_COUNT }; /* observed in us; as they are */

enum { METRIC_OPERATIONS_MAX = 257, METRIC_STATUS_CLASSES = 6, METRIC_TASK_KINDS_MAX = 16 };

/* ROW(symbol, scale, family, series, help): so many histograms of one family, which differ in
 * their labels. Whoever writes them knows these. */
#define HISTOGRAM_ROWS(ROW)                                                                        \
    ROW(REQUEST, SECONDS, "firsthand_http_request_duration_seconds",                               \
        METRIC_OPERATIONS_MAX *METRIC_STATUS_CLASSES,                                              \
        "From the headers of a request to the end of its reply, long polls apart")                 \
    ROW(LONG_POLL, SECONDS, "firsthand_long_poll_duration_seconds", 1,                             \
        "From the headers of a long poll to the end of its reply")                                 \
    ROW(WRITER_BATCH, COUNT, "firsthand_writer_batch_jobs", 1, "Write calls in one transaction")   \
    ROW(WRITER_COMMIT, SECONDS, "firsthand_writer_commit_duration_seconds", 1,                     \
        "Until a commit was durable")                                                              \
    ROW(CHECKPOINT, SECONDS, "firsthand_writer_checkpoint_duration_seconds", 3,                    \
        "Copying the log back into the store")                                                     \
    ROW(TASK, SECONDS, "firsthand_task_duration_seconds", METRIC_TASK_KINDS_MAX * 2,               \
        "Work on a claimed task")                                                                  \
    ROW(WEBHOOK, SECONDS, "firsthand_webhook_attempt_duration_seconds", 2,                         \
        "From the start of a webhook delivery to its outcome")

#define HISTOGRAM_SYMBOL(symbol, scale, family, series, help)                                      \
    HISTOGRAM_##symbol##__FIRST,                                                                   \
        HISTOGRAM_##symbol##__LAST = HISTOGRAM_##symbol##__FIRST + (series)-1,
enum { HISTOGRAM_ROWS(HISTOGRAM_SYMBOL) HISTOGRAM__SERIES_COUNT };

#define HISTOGRAM_FAMILY(symbol, scale, family, series, help) HISTOGRAM_##symbol,
enum histogram_family { HISTOGRAM_ROWS(HISTOGRAM_FAMILY) HISTOGRAM__FAMILY_COUNT };

/* CHECKs that the family has that series. */
void    histogram_observe(enum histogram_family family, int series, int64_t value);
int64_t histogram_count(enum histogram_family family, int series);

/* --- as text: the Prometheus exposition format 0.0.4 --- */

#define METRICS_CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"

/* All of METRIC_ROWS. */
void metrics_write(struct buf *out);

/* A family with at least one observation, its other series left out. labels fills buf with those
 * of a series, such as kind="score",outcome="done"; NULL = it has none. */
void histogram_write(struct buf *out, enum histogram_family family,
                     void (*labels)(const void *context, int series, struct buf *labels),
                     const void *context);

/* For what is known elsewhere: the head of a family, then its samples. Labels may be empty. */
void metric_write_family(struct buf *out, const char *family, enum metric_kind kind,
                         const char *help);
void metric_write_int(struct buf *out, const char *family, const char *labels, int64_t value);
void metric_write_us(struct buf *out, const char *family, const char *labels, int64_t us);

/* name="value" with what the format escapes; a comma before it if something precedes it. */
void metric_write_label(struct buf *labels, const char *name, struct str value);

/* CPU time, memory, descriptors and start of this process. */
void metrics_write_process(struct buf *out);

#endif
