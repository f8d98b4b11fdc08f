#include "domain/audit_chain.h"
#include "domain/score.h"
#include "main/commands.h"
#include "main/store.h"
#include "platform/blob.h"
#include "platform/disk.h"
#include "platform/media_versions.h"
#include "platform/media_zygote.h"

#include <stdio.h>

enum { STORE_RESULT_BYTES_MAX = 16 << 10 };

int cmd_migrate(struct flags *flags, struct arena *arena)
{
    struct config config;
    int           exit_code = command_config(flags, arena, &config);
    if (exit_code) return exit_code;
    struct store store;
    struct error error = { 0 };
    if (store_open(&store, &config, &error)) return command_refused(&error);
    fprintf(stderr, "firsthand: the store is up to date\n");
    store_close(&store);
    return EXIT_OK;
}

struct auditing {
    struct audit_report      report;
    const struct blob_store *blobs;
    struct arena            *arena;
    bool                     with_hashes;
    struct str               audit_head; /* from the log */
};

static void print_breach(void *context, const char *check, struct str subject, struct str detail)
{
    (void)context;
    printf("breach %s %.*s: %.*s\n", check, STR_ARG(subject), STR_ARG(detail));
}

static enum err has_bytes(void *context, struct str blob, int64_t size_bytes, struct str sha256)
{
    struct auditing      *auditing = context;
    struct error          error = { 0 };
    CLEANUP(fd_close) int fd = -1;
    int64_t               found_bytes;
    enum err              e = blob_open(auditing->blobs, blob, &error, &fd, &found_bytes);
    if (e) return e;
    if (found_bytes != size_bytes) return ERR_CONFLICT;
    if (sha256.data == NULL) return ERR_OK;
    struct str found;
    e = blob_hash(auditing->blobs, blob, auditing->arena, &error, &found);
    if (e) return e;
    return str_eq(found, sha256) ? ERR_OK : ERR_CONFLICT;
}

static enum err run_audit(struct call *call, void *argument)
{
    struct auditing *auditing = argument;
    enum err         e = audit_store(call, &auditing->report);
    if (e) return e;
    e = audit_chain_check(call, &auditing->report, auditing->audit_head);
    if (e) return e;
    return audit_files(call, &auditing->report, auditing->with_hashes, has_bytes, auditing);
}

int cmd_audit(struct flags *flags, struct arena *arena)
{
    struct str      blobs = flags_take(flags, "blobs");
    struct auditing auditing = {
        .report.on_breach = print_breach,
        .with_hashes = str_eq(blobs, STR("on")),
        .audit_head = flags_take(flags, "audit-head"),
    };
    struct config config;
    struct error  error = { 0 };
    if (blobs.data && !auditing.with_hashes && !str_eq(blobs, STR("off"))) {
        FAIL(&error, ERR_INVALID, "usage", "--blobs is on or off");
        return command_refused(&error);
    }
    int exit_code = command_config(flags, arena, &config);
    if (exit_code) return exit_code;
    /* What a mistyped directory would hold is not worth an "ok". */
    if (!store_is_there(&config, arena)) {
        FAIL(&error, ERR_NOT_FOUND, "no_store", "there is no store to audit in %.*s",
             STR_ARG(config.data_dir));
        return command_refused(&error);
    }
    struct store store;
    if (store_open(&store, &config, &error)) return command_refused(&error);
    auditing.arena = &store.arena;
    struct call call = { 0 };
    enum err    e = blob_store_open(config.data_dir, &store.arena, &call.error, &auditing.blobs);
    if (e == ERR_OK) e = store_read(&store, &call, run_audit, &auditing);
    if (e) {
        exit_code = command_refused(&call.error);
    } else if (auditing.report.breaches_count) {
        printf("%d breaches\n", auditing.report.breaches_count);
        exit_code = EXIT_REFUSED;
    } else {
        printf("ok %d checks\n", auditing.report.checks_count);
    }
    store_close(&store);
    return exit_code;
}

int cmd_config(struct flags *flags, struct arena *arena)
{
    struct config config;
    int           exit_code = command_config(flags, arena, &config);
    if (exit_code) return exit_code;
    struct buf      json;
    struct json_out out;
    buf_init(&json, arena, STORE_RESULT_BYTES_MAX);
    json_out_init(&out, &json);
    config_write(&config, &out);
    command_print(&json);
    return EXIT_OK;
}

int cmd_version(struct flags *flags, struct arena *arena)
{
    struct error error = { 0 };
    if (flags_all_taken(flags, &error)) return command_refused(&error);
    struct buf      json;
    struct json_out out;
    buf_init(&json, arena, STORE_RESULT_BYTES_MAX);
    json_out_init(&out, &json);
    out_object(&out, NULL);
    out_text(&out, "version", str_of(FIRSTHAND_VERSION));
    out_int(&out, "scorer_version", SCORER_VERSION);
    out_text(&out, "media_sandbox", str_of(media_sandbox_layers()));
    out_text(&out, "media_libraries", str_of(media_library_versions()));
    out_close(&out);
    command_print(&json);
    return EXIT_OK;
}
