#include "main/app.h"

#include "api/api.h"
#include "api/long_poll.h"
#include "api/upload_sweep.h"
#include "api/upload_table.h"
#include "base/log.h"
#include "base/num.h"
#include "platform/disk.h"
#include "platform/embedded.h"
#include "platform/http_sender.h"
#include "runner/runner.h"
#include "web/pages.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <unistd.h>

enum {
    IO_THREADS = 6,
    DESCRIPTORS_RESERVED = 256 + HTTP_SURPLUS_MAX + HTTP_SENDER_TRANSFERS_MAX,
    PLACE_WAIT_MS = 1000,
    PLACE_LOOK_MS = 10,
};

/* In the order they are started; app_stop goes backwards. A NULL was not started. */
struct app {
    struct store             store;
    int                      lock_fd;
    int                      listen_fd; /* -1 once the HTTP server has it */
    struct media_zygote     *zygote;
    const struct contract   *contract;
    const struct blob_store *blobs;
    struct db_readers       *readers;
    struct writer           *writer;
    struct io_pool          *io_pool;
    struct meter            *meter;
    const struct http_guard *guard;
    struct rehash_table     *rehash;
    struct upload_table     *uploads;
    struct long_poll        *long_poll;
    struct api               api;
    struct runners          *runners;
    struct http_server      *http;
    struct str               url;
};

/* One server a data directory; the kernel drops the lock with the process. */
static enum err lock_directory(struct app *app, struct error *error)
{
    struct str path =
        str_format(&app->store.arena, "%.*s/lock", STR_ARG(app->store.config.data_dir));
    if (app->lock_fd < 0) app->lock_fd = open(path.data, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (app->lock_fd < 0) return disk_fail(error, "open", path.data);
    if (flock(app->lock_fd, LOCK_EX | LOCK_NB) != 0)
        return FAIL(error, ERR_CONFLICT, "data_dir_in_use", "another server uses %.*s",
                    STR_ARG(app->store.config.data_dir));
    return ERR_OK;
}

static struct str embedded_contract(void)
{
    for (const struct embedded_file *file = embedded_files; file->name; file++)
        if (strcmp(file->name, "openapi.json") == 0)
            return (struct str){ file->data, file->size_bytes };
    CHECK(!"openapi.json is compiled in");
    return STR_NONE;
}

static void warn_of_few_descriptors(int64_t wanted, int64_t affordable, int64_t descriptors)
{
    struct log_line line;
    log_begin(&line, LOG_WARNING, "connections_limited_by_descriptors");
    log_int(&line, "connections_wanted", wanted);
    log_int(&line, "connections_max", affordable);
    log_int(&line, "descriptors_max", descriptors);
    log_end(&line);
}

/* Connections are planned by the descriptors there are: all that the hard limit allows. */
static void fit_to_descriptors(struct config *config)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0) getrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_cur == RLIM_INFINITY) return;
    /* A long poll holds its socket: of what there is, all of them three quarters at most. A
     * connection may hold its socket, a file, and beside it one whose checksum is not known. */
    int64_t unreserved = num_max((int64_t)limit.rlim_cur - DESCRIPTORS_RESERVED, 32);
    config->waiters_max = num_min(config->waiters_max, unreserved * 3 / 4);
    int64_t affordable = (unreserved - config->waiters_max) / 3;
    if (affordable < 8) affordable = 8;
    if (config->connections_max <= affordable) return;
    warn_of_few_descriptors(config->connections_max, affordable, (int64_t)limit.rlim_cur);
    config->connections_max = affordable;
}

static enum err start_store(struct app *app, struct error *error)
{
    struct db *db = NULL, *checkpoint_db = NULL;
    enum err   e = store_migrate(&app->store, error);
    if (e == ERR_OK) e = db_open(app->store.database_url, DB_WRITE, error, &db);
    if (e == ERR_OK) e = db_open(app->store.database_url, DB_WRITE, error, &checkpoint_db);
    if (e) {
        db_close(db);
        return e;
    }
    app->writer = writer_start(db, checkpoint_db);
    app->readers = db_readers_open(app->store.database_url);
    return blob_store_open(app->store.config.data_dir, &app->store.arena, error, &app->blobs);
}

static void on_tasks_added(void *context)
{
    struct app *app = context;
    if (app->runners) runners_wake(app->runners);
}

static void on_job_ended(void *context, const struct id *job_id)
{
    struct app *app = context;
    long_poll_job_ended(app->long_poll, job_id);
}

static void on_run_due(void *context, int64_t wait_ms)
{
    struct app *app = context;
    if (app->runners) runners_run_due(app->runners, wait_ms);
}

static const char *webhook_ca_path(struct app *app)
{
    struct str path = app->store.config.webhook_ca;
    return path.len ? str_c(&app->store.arena, path) : NULL;
}

/* Authorities that cannot be read would be found out one payment, or one event, at a time. */
static enum err check_authorities(struct app *app, struct error *error)
{
    const struct config *config = &app->store.config;
    struct str           paths[] = { config->webhook_ca, config->stripe_ca };
    for (size_t i = 0; i < COUNT_OF(paths); i++) {
        const char *path = str_c(&app->store.arena, paths[i]);
        if (paths[i].len && access(path, R_OK) != 0) return disk_fail(error, "read", path);
    }
    return ERR_OK;
}

/* Webhooks go everywhere but to this server itself and what is private. */
static enum err open_guard(struct app *app, struct error *error)
{
    const struct config *config = &app->store.config;
    enum err             e = check_authorities(app, error);
    if (e) return e;
    return http_guard_open(config->webhook_allow, config->listen_address,
                           http_listen_port(app->listen_fd), &app->store.arena, error, &app->guard);
}

static enum err start_api(struct app *app, struct error *error)
{
    struct store     *store = &app->store;
    struct str        text = embedded_contract();
    const char *const settings_on[] = { store->config.test_clock ? "test-clock" : NULL, NULL };
    enum err          e = contract_compile(&store->arena, text, settings_on, error, &app->contract);
    if (e) return e;
    app->io_pool = io_pool_start(IO_THREADS);
    app->meter = meter_start();
    app->rehash = rehash_open();
    app->uploads = upload_table_open(&app->api);
    app->api = (struct api){
        .config = &store->config,
        .keyring = store->keyring,
        .world = &store->world,
        .contract = app->contract,
        .contract_text = text,
        .readers = app->readers,
        .writer = app->writer,
        .io_pool = app->io_pool,
        .blobs = app->blobs,
        .meter = app->meter,
        .rehash = app->rehash,
        .uploads = app->uploads,
        .after_commit = { on_tasks_added, app, on_job_ended, app },
        .run_due = on_run_due,
        .runner_context = app,
    };
    app->api.long_poll = app->long_poll = long_poll_start(&app->api);
    return api_bind(&app->api, pages_bindings, error);
}

static void start_runners(struct app *app)
{
    struct runner_services services = {
        .config = &app->store.config,
        .keyring = app->store.keyring,
        .world = &app->store.world,
        .readers = app->readers,
        .writer = app->writer,
        .blobs = app->blobs,
        .zygote = app->zygote,
        .meter = app->meter,
        .guard = app->guard,
        .webhook_ca_path = webhook_ca_path(app),
        .after_commit = { .job_ended = on_job_ended, .jobs_context = app },
        .rehash = app->rehash,
        .uploads_context = &app->api,
        .sweep_uploads = upload_sweep,
    };
    if (app->store.config.tasks) app->runners = runners_start(&services);
}

/* Bind before any thread starts: the links that replies carry need the port. */
static enum err listen_first(struct app *app, struct error *error)
{
    struct config *config = &app->store.config;
    enum err       e =
        http_listen(config->listen_address, (int)config->listen_port, error, &app->listen_fd);
    if (e) return e;
    bool is_v6 = memchr(config->listen_address.data, ':', config->listen_address.len);
    app->url =
        str_format(&app->store.arena, "%s://%s%.*s%s:%d", config->tls_cert.len ? "https" : "http",
                   is_v6 ? "[" : "", STR_ARG(config->listen_address), is_v6 ? "]" : "",
                   http_listen_port(app->listen_fd));
    if (config->public_url.len == 0) config->public_url = app->url;
    return ERR_OK;
}

/* A server that was killed while it started a process leaves that one with its lock and socket
 * until the new program runs: wait that moment out. */
static enum err take_place(struct app *app, struct error *error)
{
    for (int waited_ms = 0;; waited_ms += PLACE_LOOK_MS) {
        error_clear(error);
        enum err e = lock_directory(app, error);
        if (e == ERR_OK) e = listen_first(app, error);
        if (e == ERR_OK || waited_ms >= PLACE_WAIT_MS) return e;
        usleep(PLACE_LOOK_MS * 1000);
    }
}

static enum err start_http(struct app *app, struct error *error)
{
    const struct config       *config = &app->store.config;
    struct arena              *arena = &app->store.arena;
    struct http_server_options options = {
        .listen_fd = app->listen_fd,
        .threads_count = (int)config->http_threads,
        .connections_max = (int)config->connections_max,
        .connections_per_address_max = (int)config->connections_per_address_max,
        .idle_ms_max = config->idle_timeout_ms,
        .headers_ms_max = config->idle_timeout_ms,
        .reply_bytes_max = HTTP_REPLY_BYTES_MAX,
        .body_bytes_per_s_min = config->body_rate_min,
        .tls_cert_path = config->tls_cert.len ? str_c(arena, config->tls_cert) : NULL,
        .tls_key_path = config->tls_key.len ? str_c(arena, config->tls_key) : NULL,
    };
    struct http_app http_app = api_http_app(&app->api);
    app->listen_fd = -1; /* the server's now */
    return http_server_start(&options, &http_app, error, &app->http);
}

static enum err start_all(struct app *app, struct error *error)
{
    fit_to_descriptors(&app->store.config);
    enum err e = take_place(app, error);
    if (e == ERR_OK) e = open_guard(app, error);
    if (e) return e;
    e = media_zygote_start(error, &app->zygote);
    if (e) return e;
    e = start_store(app, error);
    if (e) return e;
    e = start_api(app, error);
    if (e) return e;
    e = media_zygote_await(app->zygote, error);
    if (e) return e;
    start_runners(app);
    malloc_trim(0); /* the parsed contract is gone, and nothing as large comes again */
    return start_http(app, error);
}

enum err app_start(const struct config *config, struct error *error, struct app **ret_app)
{
    struct app *app = calloc(1, sizeof(*app));
    CHECK(app != NULL);
    app->lock_fd = app->listen_fd = -1;
    enum err e = store_enter(&app->store, config, error);
    if (e) {
        free(app);
        return e;
    }
    e = start_all(app, error);
    if (e) {
        app_stop(app);
        return e;
    }
    *ret_app = app;
    return ERR_OK;
}

void app_stop(struct app *app)
{
    if (app == NULL) return;
    long_poll_end(app->long_poll);
    if (app->http) http_server_stop(app->http, app->store.config.drain_timeout_ms);
    runners_stop(app->runners);
    io_pool_stop(app->io_pool);
    db_readers_close(app->readers); /* before the writer: its last checkpoint waits for readers */
    if (app->writer) writer_stop(app->writer);
    long_poll_close(app->long_poll);
    if (app->uploads) upload_table_close(app->uploads);
    meter_stop(app->meter);
    rehash_close(app->rehash);
    if (app->zygote) media_zygote_stop(app->zygote);
    fd_close(&app->listen_fd);
    fd_close(&app->lock_fd);
    store_close(&app->store);
    free(app);
}

struct store *app_store(struct app *app)
{
    return &app->store;
}

struct str app_url(const struct app *app)
{
    return app->url;
}
