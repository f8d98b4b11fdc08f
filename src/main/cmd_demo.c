#include "base/json_in.h"
#include "base/num.h"
#include "base/time_text.h"
#include "domain/api_key.h"
#include "domain/organisation.h"
#include "domain/worker.h"
#include "main/commands.h"
#include "main/serving.h"
#include "platform/disk.h"
#include "platform/http_client.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
    DEMO_FILES_MAX = 40,
    DEMO_CREDIT_CENTS = 5000,
    DEMO_PRICE_CENTS = 50,
    DEMO_TEXT_BYTES_MAX = 64 << 10,
};
static const int64_t DEMO_REQUEST_MS_MAX = 120 * 1000;
static const int64_t DEMO_SCORE_MS_MAX = 300 * 1000;
static const long    DEMO_POLL_NS = 100 * 1000 * 1000;

/* Everything the demo knows while it plays both sides over HTTP. */
struct demo {
    struct arena       *arena;
    struct app         *app;
    struct http_client *client;
    struct error        error;
    struct id           org_id, worker_id;
    struct str          key, test_key, token, invite;
    struct str          job_id;
    int                 files_count;
    const char         *files[DEMO_FILES_MAX];
};

/* --- accounts --- */

static enum err make_key(struct call *call, struct demo *demo, enum environment environment,
                         struct str *ret_secret)
{
    struct key_request request = { .name = STR("demo"),
                                   .scopes = SCOPES_ALL,
                                   .environment = environment };
    struct api_key     key;
    enum err           e = api_key_create(call, &demo->org_id, &request, &key);
    if (e) return e;
    *ret_secret = str_copy(demo->arena, key.secret);
    return ERR_OK;
}

/* A new organisation and a new worker each time: a demo is repeatable on a store that is in use. */
static enum err make_accounts(struct call *call, void *argument)
{
    struct demo *demo = argument;
    struct id    unique = id_new(ID_REQUEST, call->now_ms);
    struct str   email = str_format(demo->arena, "demo-%s@example.invalid", unique.text);
    enum err     e = organisation_create(call, STR("Demo organisation"), email, DEMO_CREDIT_CENTS,
                                         &demo->org_id);
    if (e) return e;
    e = make_key(call, demo, ENVIRONMENT_LIVE, &demo->key);
    if (e) return e;
    e = make_key(call, demo, ENVIRONMENT_TEST, &demo->test_key);
    if (e) return e;
    e = worker_create(call, STR("Demo worker"), email, STR_NONE, &demo->worker_id);
    if (e) return e;
    struct worker_session session;
    e = worker_session_create(call, &demo->worker_id, 0, &session);
    if (e) return e;
    demo->token = str_copy(demo->arena, session.token);
    struct invite invite;
    e = invite_create(call, STR_NONE, &invite);
    if (e) return e;
    demo->invite = str_copy(demo->arena, invite.token);
    return ERR_OK;
}

/* --- requests --- */

/* One request as the buyer or the worker; a status of 400 and up is an error here. *ret_body may be
 * NULL. */
static enum err send(struct demo *demo, struct str secret, struct http_client_request *request,
                     const json_t **ret_body)
{
    struct http_client_reply reply;
    request->url =
        str_format(demo->arena, "%.*s%s", STR_ARG(app_url(demo->app)), request->url).data;
    request->timeout_ms = DEMO_REQUEST_MS_MAX;
    request->headers[request->headers_count++] =
        str_format(demo->arena, "Authorization: Bearer %.*s", STR_ARG(secret)).data;
    enum err e = http_client_send(demo->client, request, demo->arena, &demo->error, &reply);
    if (e) return e;
    json_t *body = NULL;
    if (reply.body.len) {
        e = json_parse(demo->arena, reply.body, &demo->error, &body);
        if (e) return e;
    }
    if (reply.status >= 400)
        return FAIL(&demo->error, ERR_UNAVAILABLE, "demo_refused", "%s %s: %d %.*s",
                    request->method, request->url, reply.status,
                    STR_ARG(in_text(json_object_get(body, "error"), "message", demo->arena)));
    if (ret_body) *ret_body = body;
    return ERR_OK;
}

static enum err get(struct demo *demo, struct str secret, struct str path, const json_t **ret_body)
{
    struct http_client_request request = { .method = "GET", .url = path.data };
    return send(demo, secret, &request, ret_body);
}

/* A POST with a JSON body and an Idempotency-Key of its own. */
static enum err post(struct demo *demo, struct str secret, struct str path, struct str json,
                     const json_t **ret_body)
{
    struct id unique = id_new(ID_REQUEST, world_now_ms(&app_store(demo->app)->world));
    struct http_client_request request = {
        .method = "POST",
        .url = path.data,
        .body = json,
        .headers_count = 2,
        .headers = { "Content-Type: application/json",
                     str_format(demo->arena, "Idempotency-Key: %s", unique.text).data },
    };
    return send(demo, secret, &request, ret_body);
}

/* --- the job --- */

static void print_money(const char *label, int64_t cents)
{
    printf("   %-22s $%lld.%02lld\n", label, (long long)(cents / 100), (long long)(cents % 100));
}

static enum err show_balance(struct demo *demo, const char *label)
{
    const json_t *balance = NULL;
    enum err      e = get(demo, demo->key, STR("/v1/billing/credits"), &balance);
    if (e) return e;
    print_money(label, in_int(balance, "balance_cents", 0));
    return ERR_OK;
}

static enum err post_job(struct demo *demo)
{
    struct str json = str_format(
        demo->arena,
        "{\"type\":\"data_collection\",\"description\":\"Pictures, sounds and clips from daily "
        "life, as they are.\",\"files_needed\":%d,\"accepted_formats\":[\"image/jpeg\","
        "\"image/png\",\"image/webp\",\"audio/mpeg\",\"audio/wav\",\"audio/mp4\",\"video/mp4\","
        "\"video/quicktime\"],\"price_per_file_cents\":%d}",
        demo->files_count, DEMO_PRICE_CENTS);
    const json_t *job = NULL;
    printf("\n1. A buyer posts a job: %d files at $0.%02d each.\n", demo->files_count,
           DEMO_PRICE_CENTS);
    enum err e = show_balance(demo, "balance before");
    if (e) return e;
    e = post(demo, demo->key, STR("/v1/jobs"), json, &job);
    if (e) return e;
    demo->job_id = in_text(job, "id", demo->arena);
    printf("   %-22s %.*s\n", "job", STR_ARG(demo->job_id));
    return show_balance(demo, "balance, rest in escrow");
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* Accept a slot and send the file. */
static enum err upload(struct demo *demo, const char *path, struct str *ret_submission_id)
{
    const json_t *reservation = NULL, *submission = NULL;
    enum err      e = post(demo, demo->token,
                           str_format(demo->arena, "/worker/v1/jobs/%.*s/accept", STR_ARG(demo->job_id)),
                           STR("{}"), &reservation);
    if (e) return e;
    struct str                 id = in_text(reservation, "id", demo->arena);
    struct http_client_request request = {
        .method = "PUT",
        .url = str_format(demo->arena, "/worker/v1/reservations/%.*s/file", STR_ARG(id)).data,
        .file_path = path,
        .headers_count = 1,
        .headers = { str_format(demo->arena, "Content-Disposition: attachment; filename=\"%.*s\"",
                                STR_ARG(str_sanitise(demo->arena, str_of(base_name(path)), 200)))
                         .data },
    };
    e = send(demo, demo->token, &request, &submission);
    if (e) return e;
    *ret_submission_id = in_text(submission, "id", demo->arena);
    return ERR_OK;
}

/* Ask until the submission has its stars. */
static enum err wait_for_stars(struct demo *demo, struct str submission_id,
                               const json_t **ret_submission)
{
    struct str path =
        str_format(demo->arena, "/worker/v1/submissions/%.*s", STR_ARG(submission_id));
    int64_t until_us = world_monotonic_us() + DEMO_SCORE_MS_MAX * 1000;
    while (world_monotonic_us() < until_us) {
        enum err e = get(demo, demo->token, path, ret_submission);
        if (e || in_has(*ret_submission, "ai_star_rating")) return e;
        nanosleep(&(struct timespec){ .tv_nsec = DEMO_POLL_NS }, NULL);
    }
    return FAIL(&demo->error, ERR_UNAVAILABLE, "demo_score", "no score came in time");
}

static void print_submission(struct demo *demo, const char *name, const json_t *submission)
{
    static const char stars[] = "*****";
    struct str        status = in_text(submission, "status", demo->arena);
    int64_t           rating = in_int(submission, "ai_star_rating", 0);
    printf("   %-28.28s %-15.*s %8.1f KB  %-5.*s  %.*s\n", name,
           STR_ARG(in_text(submission, "content_type", demo->arena)),
           (double)in_int(submission, "size_bytes", 0) / 1000, (int)rating, stars, STR_ARG(status));
    printf("      %.*s\n", STR_ARG(in_text(submission, "ai_reasoning", demo->arena)));
}

static enum err send_and_show(struct demo *demo, const char *path, const char *name)
{
    struct str    submission_id = STR_NONE;
    const json_t *submission = NULL;
    enum err      e = upload(demo, path, &submission_id);
    if (e) return e;
    e = wait_for_stars(demo, submission_id, &submission);
    if (e) return e;
    print_submission(demo, name, submission);
    fflush(stdout);
    return ERR_OK;
}

/* The first half of a file, under a temporary name that the caller always unlinks. */
static enum err make_broken_copy(struct demo *demo, const char *path, char copy[PATH_MAX])
{
    snprintf(copy, PATH_MAX, "/tmp/firsthand-broken-XXXXXX");
    CLEANUP(fd_close) int out = mkstemp(copy);
    CLEANUP(fd_close) int in = open(path, O_RDONLY | O_CLOEXEC);
    if (out < 0 || in < 0) return disk_fail(&demo->error, "copy", path);
    int64_t left_bytes = disk_file_size(in) / 2;
    char    block[64 << 10];
    ssize_t got = 1; /* 0: the file has become shorter, which breaks it just as well */
    for (; left_bytes > 0 && got > 0; left_bytes -= got) {
        got = disk_read_all(in, block, (size_t)num_min(left_bytes, sizeof(block)));
        if (got < 0 || !disk_write_all(out, block, (size_t)got))
            return disk_fail(&demo->error, "copy", path);
    }
    return ERR_OK;
}

static enum err send_broken_copy(struct demo *demo, const char *path)
{
    char       copy[PATH_MAX];
    enum err   e = make_broken_copy(demo, path, copy);
    struct str name = str_format(demo->arena, "half of %s", base_name(path));
    if (e == ERR_OK) e = send_and_show(demo, copy, name.data);
    unlink(copy);
    return e;
}

static enum err send_files(struct demo *demo)
{
    printf("\n2. A worker accepts a slot and uploads, file by file; the scorer looks at each.\n");
    enum err e = send_broken_copy(demo, demo->files[0]);
    for (int i = 0; e == ERR_OK && i < demo->files_count; i++)
        e = send_and_show(demo, demo->files[i], base_name(demo->files[i]));
    return e;
}

static enum err show_delivery(struct demo *demo)
{
    const json_t *job = NULL, *files = NULL, *earnings = NULL;
    struct str    path = str_format(demo->arena, "/v1/jobs/%.*s", STR_ARG(demo->job_id));
    printf("\n3. Approved files are in the buyer's folder, and the money is split.\n");
    enum err e = get(demo, demo->key, path, &job);
    if (e) return e;
    e = get(demo, demo->key, str_format(demo->arena, "%s/files", path.data), &files);
    if (e) return e;
    e = get(demo, demo->token, STR("/worker/v1/earnings"), &earnings);
    if (e) return e;
    printf("   %-22s %.*s, %lld of %d files\n", "job", STR_ARG(in_text(job, "status", demo->arena)),
           (long long)in_int(job, "files_approved", 0), demo->files_count);
    struct str folder =
        str_format(demo->arena, "%s/%.*s", demo->org_id.text, STR_ARG(demo->job_id));
    printf("   %-22s %.*s/delivered/%.*s\n", "folder",
           STR_ARG(app_store(demo->app)->config.data_dir), STR_ARG(folder));
    const json_t *first = json_array_get(json_object_get(files, "data"), 0);
    struct str    link = in_text(first, "download_url", demo->arena);
    if (link.data) printf("   %-22s %.*s\n", "a download link", STR_ARG(link));
    print_money("the worker earned", in_int(earnings, "balance_cents", 0));
    return show_balance(demo, "balance after");
}

static void print_next(struct demo *demo)
{
    struct str url = app_url(demo->app);
    printf("\nThe server stays up on %.*s (stop it with Ctrl-C).\n", STR_ARG(url));
    printf("   %-22s %.*s\n", "live key", STR_ARG(demo->key));
    printf("   %-22s %.*s\n", "test key (play money)", STR_ARG(demo->test_key));
    printf("   %-22s %.*s/join?invite=%.*s\n", "worker link", STR_ARG(url), STR_ARG(demo->invite));
    printf("\nTry:\n");
    printf("   curl -s %.*s/v1/jobs -H 'Authorization: Bearer %.*s'\n", STR_ARG(url),
           STR_ARG(demo->key));
    printf("   curl -s %.*s/v1/jobs/%.*s/submissions -H 'Authorization: Bearer %.*s'\n",
           STR_ARG(url), STR_ARG(demo->job_id), STR_ARG(demo->key));
    printf("   curl -s %.*s/v1/jobs -H 'Authorization: Bearer %.*s' -H 'Idempotency-Key: try-1' "
           "-H 'Content-Type: application/json' -d '{\"type\":\"data_collection\","
           "\"description\":\"Photos of street signs\",\"files_needed\":10,"
           "\"accepted_formats\":[\"image/jpeg\"],\"price_per_file_cents\":50}'\n",
           STR_ARG(url), STR_ARG(demo->key));
    printf("docs/api.md goes on from here.\n");
    fflush(stdout);
}

/* --- the command --- */

static enum err split_files(struct demo *demo, struct str text)
{
    struct str path;
    while (str_cut(&text, ' ', &path)) {
        if (path.len == 0) continue;
        if (demo->files_count == DEMO_FILES_MAX)
            return FAIL(&demo->error, ERR_INVALID, "usage", "--files takes up to %d files",
                        DEMO_FILES_MAX);
        const char *file = str_c(demo->arena, path);
        if (access(file, R_OK) != 0)
            return FAIL(&demo->error, ERR_INVALID, "usage", "%s: %s", file, strerror(errno));
        demo->files[demo->files_count++] = file;
    }
    if (demo->files_count == 0)
        return FAIL(&demo->error, ERR_INVALID, "usage",
                    "demo needs --files \"a.jpg b.mp4\" (make run brings its own)");
    return ERR_OK;
}

static enum err play(struct demo *demo)
{
    struct call call;
    enum err    e = store_commit(app_store(demo->app), &call, make_accounts, demo);
    if (e) {
        demo->error = call.error;
        return e;
    }
    e = post_job(demo);
    if (e) return e;
    e = send_files(demo);
    if (e) return e;
    return show_delivery(demo);
}

int cmd_demo(struct flags *flags, struct arena *arena)
{
    struct demo   demo = { .arena = arena };
    struct config config;
    if (split_files(&demo, flags_take(flags, "files"))) return command_refused(&demo.error);
    int exit_code = command_config(flags, arena, &config);
    if (exit_code) return exit_code;
    if (serving_start(&config, arena, &demo.error, &demo.app)) return command_refused(&demo.error);
    demo.client = http_client_open();
    printf("listening on %.*s\n", STR_ARG(app_url(demo.app)));
    enum err e = play(&demo);
    if (e) {
        exit_code = command_refused(&demo.error);
    } else {
        print_next(&demo);
        serving_wait();
    }
    http_client_close(demo.client);
    app_stop(demo.app);
    return exit_code;
}
