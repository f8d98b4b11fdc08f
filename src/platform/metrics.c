#include "platform/metrics.h"

#include "base/world.h"

#include <dirent.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* Threads share a few sets of figures, so that hardly two of them write the same cache line. */
enum { SHARDS = 8, BUCKETS_MAX = 18, LABELS_BYTES_MAX = 512 };

struct histogram {
    _Atomic int64_t buckets[BUCKETS_MAX]; /* the last holds what is above all bounds */
    _Atomic int64_t sum;
};

static struct shard {
    _Alignas(64) _Atomic int64_t values[METRIC__COUNT];
    struct histogram histograms[HISTOGRAM__SERIES_COUNT];
} shards[SHARDS];

static struct shard *shard_of_thread(void)
{
    static _Atomic unsigned       threads_count;
    static _Thread_local unsigned number; /* from 1; 0 = not drawn yet */
    if (number == 0)
        number = 1 + atomic_fetch_add_explicit(&threads_count, 1, memory_order_relaxed) % SHARDS;
    return &shards[number - 1];
}

/* --- counting --- */

void metric_add(enum metric metric, int64_t amount)
{
    atomic_fetch_add_explicit(&shard_of_thread()->values[metric], amount, memory_order_relaxed);
}

int64_t metric_value(enum metric metric)
{
    int64_t sum = 0;
    for (int i = 0; i < SHARDS; i++)
        sum += atomic_load_explicit(&shards[i].values[metric], memory_order_relaxed);
    return sum;
}

static const int64_t bounds[][BUCKETS_MAX - 1] = {
    [HISTOGRAM_SECONDS] = { 500, 1000, 2500, 5000, 10000, 25000, 50000, 100000, 250000, 500000,
                            1000000, 2500000, 5000000, 10000000, 30000000, 60000000, 120000000 },
    [HISTOGRAM_COUNT] = { 1, 2, 4, 8, 16, 32, 64, 128 },
};

#define FAMILY_ROW(symbol, scale, family, series, help)                                            \
    { HISTOGRAM_##scale, family, HISTOGRAM_##symbol##__FIRST, series, help },
static const struct {
    enum histogram_scale scale;
    const char          *name;
    int                  first, count; /* series */
    const char          *help;
} families[] = { HISTOGRAM_ROWS(FAMILY_ROW) };

static int bucket_of(enum histogram_scale scale, int64_t value)
{
    int bucket = 0;
    while (bucket < BUCKETS_MAX - 1 && bounds[scale][bucket] > 0 && value > bounds[scale][bucket])
        bucket++;
    bool is_bounded = bucket < BUCKETS_MAX - 1 && bounds[scale][bucket] > 0;
    return is_bounded ? bucket : BUCKETS_MAX - 1;
}

void histogram_observe(enum histogram_family family, int series, int64_t value)
{
    CHECK(series >= 0 && series < families[family].count);
    struct histogram *histogram = &shard_of_thread()->histograms[families[family].first + series];
    int               bucket = bucket_of(families[family].scale, value);
    atomic_fetch_add_explicit(&histogram->buckets[bucket], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&histogram->sum, value, memory_order_relaxed);
}

/* One histogram, of all shards. */
struct total {
    int64_t buckets[BUCKETS_MAX];
    int64_t sum, count;
};

static struct total total_of(enum histogram_family family, int series)
{
    struct total total = { 0 };
    for (int i = 0; i < SHARDS; i++) {
        struct histogram *histogram = &shards[i].histograms[families[family].first + series];
        for (int b = 0; b < BUCKETS_MAX; b++)
            total.buckets[b] += atomic_load_explicit(&histogram->buckets[b], memory_order_relaxed);
        total.sum += atomic_load_explicit(&histogram->sum, memory_order_relaxed);
    }
    for (int b = 0; b < BUCKETS_MAX; b++)
        total.count += total.buckets[b];
    return total;
}

int64_t histogram_count(enum histogram_family family, int series)
{
    CHECK(series >= 0 && series < families[family].count);
    return total_of(family, series).count;
}

/* --- text --- */

static void write_head(struct buf *out, const char *family, const char *type, const char *help)
{
    buf_fmt(out, "# HELP %s %s\n# TYPE %s %s\n", family, help, family, type);
}

void metric_write_family(struct buf *out, const char *family, enum metric_kind kind,
                         const char *help)
{
    write_head(out, family, kind == METRIC_COUNTER ? "counter" : "gauge", help);
}

static void write_name(struct buf *out, const char *family, const char *labels)
{
    buf_add(out, str_of(family));
    if (labels[0]) buf_fmt(out, "{%s}", labels);
    buf_add_byte(out, ' ');
}

void metric_write_int(struct buf *out, const char *family, const char *labels, int64_t value)
{
    write_name(out, family, labels);
    buf_add_int(out, value);
    buf_add_byte(out, '\n');
}

static void write_seconds(struct buf *out, int64_t us)
{
    buf_fmt(out, "%lld.%06lld", (long long)(us / 1000000), (long long)(us % 1000000));
}

void metric_write_us(struct buf *out, const char *family, const char *labels, int64_t us)
{
    write_name(out, family, labels);
    write_seconds(out, us);
    buf_add_byte(out, '\n');
}

void metric_write_label(struct buf *labels, const char *name, struct str value)
{
    buf_fmt(labels, "%s%s=\"", labels->len ? "," : "", name);
    for (size_t i = 0; i < value.len; i++) {
        char c = value.data[i];
        if (c == '"' || c == '\\' || c == '\n') buf_add_byte(labels, '\\');
        buf_add_byte(labels, c == '\n' ? 'n' : c);
    }
    buf_add_byte(labels, '"');
}

#define METRIC_ROW(symbol, kind, family, labels, help) { METRIC_##kind, family, labels, help },
static const struct {
    enum metric_kind kind;
    const char      *family, *labels, *help;
} rows[] = { METRIC_ROWS(METRIC_ROW) };

void metrics_write(struct buf *out)
{
    for (int i = 0; i < METRIC__COUNT; i++) {
        if (i == 0 || strcmp(rows[i].family, rows[i - 1].family) != 0)
            metric_write_family(out, rows[i].family, rows[i].kind, rows[i].help);
        metric_write_int(out, rows[i].family, rows[i].labels, metric_value((enum metric)i));
    }
}

/* As short as it goes, as others write it: "0.025", "10". */
static void write_bound(struct buf *out, int64_t us)
{
    char text[32];
    int  len = snprintf(text, sizeof(text), "%lld.%06lld", (long long)(us / 1000000),
                        (long long)(us % 1000000));
    while (text[len - 1] == '0')
        len--;
    if (text[len - 1] == '.') len--;
    buf_add(out, (struct str){ text, (size_t)len });
}

static void write_bucket(struct buf *out, enum histogram_family family, const char *labels,
                         int bucket, int64_t count)
{
    enum histogram_scale scale = families[family].scale;
    buf_fmt(out, "%s_bucket{%s%sle=\"", families[family].name, labels, labels[0] ? "," : "");
    if (bucket == BUCKETS_MAX - 1)
        buf_add(out, STR("+Inf"));
    else if (scale == HISTOGRAM_SECONDS)
        write_bound(out, bounds[scale][bucket]);
    else
        buf_add_int(out, bounds[scale][bucket]);
    buf_add(out, STR("\"} "));
    buf_add_int(out, count);
    buf_add_byte(out, '\n');
}

static void write_series(struct buf *out, enum histogram_family family, const char *labels,
                         const struct total *total)
{
    char    name[128];
    int64_t below = 0;
    for (int b = 0; b < BUCKETS_MAX; b++) {
        bool is_bounded = b < BUCKETS_MAX - 1 && bounds[families[family].scale][b] > 0;
        below += total->buckets[b];
        if (is_bounded || b == BUCKETS_MAX - 1) write_bucket(out, family, labels, b, below);
    }
    snprintf(name, sizeof(name), "%s_sum", families[family].name);
    if (families[family].scale == HISTOGRAM_SECONDS)
        metric_write_us(out, name, labels, total->sum);
    else
        metric_write_int(out, name, labels, total->sum);
    snprintf(name, sizeof(name), "%s_count", families[family].name);
    metric_write_int(out, name, labels, total->count);
}

void histogram_write(struct buf *out, enum histogram_family family,
                     void (*labels)(const void *context, int series, struct buf *labels),
                     const void *context)
{
    bool has_head = false;
    for (int i = 0; i < families[family].count; i++) {
        struct total total = total_of(family, i);
        if (total.count == 0) continue;
        struct buf text;
        buf_init(&text, out->arena, LABELS_BYTES_MAX);
        if (labels) labels(context, i, &text);
        if (!has_head) write_head(out, families[family].name, "histogram", families[family].help);
        has_head = true;
        write_series(out, family, str_c(out->arena, buf_str(&text)), &total);
    }
}

/* --- the process --- */

static int64_t resident_bytes(void)
{
    long long size_pages, resident_pages = 0;
    FILE     *file = fopen("/proc/self/statm", "re");
    if (file == NULL) return 0;
    if (fscanf(file, "%lld %lld", &size_pages, &resident_pages) != 2) resident_pages = 0;
    fclose(file);
    return resident_pages * sysconf(_SC_PAGESIZE);
}

/* That of the listing itself among them. */
static int64_t open_descriptors(void)
{
    int64_t count = -2; /* "." and ".." */
    DIR    *folder = opendir("/proc/self/fd");
    if (folder == NULL) return 0;
    while (readdir(folder) != NULL)
        count++;
    closedir(folder);
    return count;
}

static int64_t cpu_us(void)
{
    struct rusage usage;
    CHECK(getrusage(RUSAGE_SELF, &usage) == 0);
    return (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * (int64_t)1000000 +
           usage.ru_utime.tv_usec + usage.ru_stime.tv_usec;
}

static int64_t start_us;

__attribute__((constructor)) static void note_start(void)
{
    start_us = world_real_ms() * 1000;
}

void metrics_write_process(struct buf *out)
{
    struct rlimit descriptors = { 0 };
    getrlimit(RLIMIT_NOFILE, &descriptors);
    metric_write_family(out, "process_cpu_seconds_total", METRIC_COUNTER, "User and system time");
    metric_write_us(out, "process_cpu_seconds_total", "", cpu_us());
    metric_write_family(out, "process_resident_memory_bytes", METRIC_GAUGE, "Resident memory");
    metric_write_int(out, "process_resident_memory_bytes", "", resident_bytes());
    metric_write_family(out, "process_open_fds", METRIC_GAUGE, "Open file descriptors");
    metric_write_int(out, "process_open_fds", "", open_descriptors());
    metric_write_family(out, "process_max_fds", METRIC_GAUGE, "File descriptors there may be");
    metric_write_int(out, "process_max_fds", "", (int64_t)descriptors.rlim_cur);
    metric_write_family(out, "process_start_time_seconds", METRIC_GAUGE, "Start, Unix time");
    metric_write_us(out, "process_start_time_seconds", "", start_us);
}
