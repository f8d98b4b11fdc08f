#include "platform/metrics.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "../expect_abort.h"

enum { THREADS = 12, ADDS = 10000 };

static struct arena arena;
static struct buf   out;

static int setup(void **state)
{
    (void)state;
    arena_init(&arena, 8 << 20);
    buf_init(&out, &arena, 4 << 20);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    assert_false(out.failed);
    arena_deinit(&arena);
    return 0;
}

static const char *text(void)
{
    return str_c(&arena, buf_str(&out));
}

static void assert_has(const char *line)
{
    if (strstr(text(), line) == NULL) fail_msg("\"%s\" is not in:\n%s", line, text());
}

static void *add_many(void *unused)
{
    (void)unused;
    for (int i = 0; i < ADDS; i++) {
        metric_add(METRIC_FILES_DELIVERED, 1);
        histogram_observe(HISTOGRAM_TASK, 3, 1000);
    }
    return NULL;
}

static void what_threads_add_is_not_lost(void **state)
{
    (void)state;
    pthread_t threads[THREADS];
    int64_t   before = metric_value(METRIC_FILES_DELIVERED);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, add_many, NULL), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(metric_value(METRIC_FILES_DELIVERED) - before, THREADS * ADDS);
    assert_int_equal(histogram_count(HISTOGRAM_TASK, 3), THREADS * ADDS);
    assert_int_equal(histogram_count(HISTOGRAM_TASK, 2), 0);
}

static void gauge_goes_up_and_down(void **state)
{
    (void)state;
    metric_add(METRIC_CONNECTIONS, 3);
    metric_add(METRIC_CONNECTIONS, -2);
    assert_int_equal(metric_value(METRIC_CONNECTIONS), 1);
    metrics_write(&out);
    assert_has("# TYPE firsthand_http_connections gauge\nfirsthand_http_connections 1\n");
}

static void family_has_one_head_and_all_its_rows(void **state)
{
    (void)state;
    metric_add(METRIC_SCORES_4, 7);
    metrics_write(&out);
    assert_has("# HELP firsthand_scores_total Files scored\n"
               "# TYPE firsthand_scores_total counter\n"
               "firsthand_scores_total{stars=\"1\"} 0\n");
    assert_has("firsthand_scores_total{stars=\"4\"} 7\n");
    const char *head = strstr(text(), "# TYPE firsthand_scores_total");
    assert_null(strstr(head + 1, "# TYPE firsthand_scores_total"));
}

static void label_kind(const void *context, int series, struct buf *labels)
{
    metric_write_label(labels, "kind", str_of(context));
    metric_write_label(labels, "series", series == 7 ? STR("seven") : STR("other"));
}

static void buckets_count_what_is_at_most_their_bound(void **state)
{
    (void)state;
    static const int64_t took_us[] = { 0, 500, 501, 1000000, 1000001, 120000000, 120000001 };
    for (size_t i = 0; i < COUNT_OF(took_us); i++)
        histogram_observe(HISTOGRAM_REQUEST, 7, took_us[i]);
    histogram_write(&out, HISTOGRAM_REQUEST, label_kind, "a");
#define LINE(end) "firsthand_http_request_duration_seconds_" end
#define OF        "kind=\"a\",series=\"seven\""
    assert_has("# TYPE firsthand_http_request_duration_seconds histogram\n");
    assert_has(LINE("bucket{" OF ",le=\"0.0005\"} 2\n"));
    assert_has(LINE("bucket{" OF ",le=\"0.001\"} 3\n"));
    assert_has(LINE("bucket{" OF ",le=\"0.5\"} 3\n"));
    assert_has(LINE("bucket{" OF ",le=\"1\"} 4\n"));
    assert_has(LINE("bucket{" OF ",le=\"2.5\"} 5\n"));
    assert_has(LINE("bucket{" OF ",le=\"10\"} 5\n"));
    assert_has(LINE("bucket{" OF ",le=\"120\"} 6\n"));
    assert_has(LINE("bucket{" OF ",le=\"+Inf\"} 7\n"));
    assert_has(LINE("sum{" OF "} 242.001003\n" LINE("count{" OF "} 7\n")));
    assert_null(strstr(text(), "other")); /* nothing was observed there */
}

static void counts_are_written_as_they_are(void **state)
{
    (void)state;
    histogram_observe(HISTOGRAM_WRITER_BATCH, 0, 1);
    histogram_observe(HISTOGRAM_WRITER_BATCH, 0, 128);
    histogram_observe(HISTOGRAM_WRITER_BATCH, 0, 129);
    histogram_write(&out, HISTOGRAM_WRITER_BATCH, NULL, NULL);
    assert_has("firsthand_writer_batch_jobs_bucket{le=\"1\"} 1\n"
               "firsthand_writer_batch_jobs_bucket{le=\"2\"} 1\n");
    assert_has("firsthand_writer_batch_jobs_bucket{le=\"128\"} 2\n"
               "firsthand_writer_batch_jobs_bucket{le=\"+Inf\"} 3\n"
               "firsthand_writer_batch_jobs_sum 258\nfirsthand_writer_batch_jobs_count 3\n");
}

static void family_that_saw_nothing_is_left_out(void **state)
{
    (void)state;
    histogram_write(&out, HISTOGRAM_CHECKPOINT, NULL, NULL);
    assert_int_equal(out.len, 0);
}

static void series_outside_a_family_is_a_broken_invariant(void **state)
{
    (void)state;
    assert_aborts(histogram_observe(HISTOGRAM_WRITER_BATCH, 1, 1));
    assert_aborts(histogram_observe(HISTOGRAM_TASK, -1, 1));
}

static void label_escapes_what_would_end_it(void **state)
{
    (void)state;
    metric_write_label(&out, "a", STR("x\"y\\z\n"));
    metric_write_label(&out, "b", STR(""));
    assert_string_equal(text(), "a=\"x\\\"y\\\\z\\n\",b=\"\"");
}

static void process_is_described(void **state)
{
    (void)state;
    metrics_write_process(&out);
    static const char *const families[] = {
        "process_cpu_seconds_total", "process_resident_memory_bytes",
        "process_open_fds",          "process_start_time_seconds",
        "process_max_fds",
    };
    for (size_t i = 0; i < COUNT_OF(families); i++)
        assert_has(str_format(&arena, "\n%s ", families[i]).data);
    assert_null(strstr(text(), "process_resident_memory_bytes 0\n"));
}

#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(what_threads_add_is_not_lost),
        T(gauge_goes_up_and_down),
        T(family_has_one_head_and_all_its_rows),
        T(buckets_count_what_is_at_most_their_bound),
        T(counts_are_written_as_they_are),
        T(family_that_saw_nothing_is_left_out),
        T(series_outside_a_family_is_a_broken_invariant),
        T(label_escapes_what_would_end_it),
        T(process_is_described),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
