#include "main/serving.h"

#include "base/log.h"
#include "platform/media_zygote.h"

#include <pthread.h>
#include <signal.h>
#include <unistd.h>

static void signals(sigset_t *set)
{
    sigemptyset(set);
    sigaddset(set, SIGTERM);
    sigaddset(set, SIGINT);
    sigaddset(set, SIGHUP);
}

static enum err open_log(const struct config *config, struct arena *arena, struct error *error)
{
    enum log_level level;
    CHECK(log_level_parse(config->log_level, &level)); /* config_load took no other */
    const char *path = config->log_file.len ? str_c(arena, config->log_file) : NULL;
    if (log_open(level, path)) return ERR_OK;
    return FAIL(error, ERR_INVALID, "bad_setting", "log-file cannot be opened: %s", path);
}

static void log_start(struct app *app)
{
    struct log_line line;
    log_begin(&line, LOG_INFO, "started");
    log_text(&line, "version", str_of(FIRSTHAND_VERSION));
    log_text(&line, "listen", app_url(app));
    log_text(&line, "media_sandbox", str_of(media_sandbox_layers()));
    log_int(&line, "connections_max", app_store(app)->config.connections_max);
    log_int(&line, "waiters_max", app_store(app)->config.waiters_max);
    log_int(&line, "descriptors_max", sysconf(_SC_OPEN_MAX));
    if (app_store(app)->config.test_clock) log_text(&line, "warning", STR("test clock is on"));
    log_end(&line);
}

enum err serving_start(const struct config *config, struct arena *arena, struct error *error,
                       struct app **ret_app)
{
    enum err e = open_log(config, arena, error);
    if (e) return e;
    sigset_t set;
    signals(&set);
    CHECK(pthread_sigmask(SIG_BLOCK, &set, NULL) == 0); /* every thread started later inherits it */
    e = app_start(config, error, ret_app);
    if (e == ERR_OK) log_start(*ret_app);
    return e;
}

void serving_wait(void)
{
    sigset_t set;
    int      signal_number = SIGHUP;
    signals(&set);
    while (signal_number == SIGHUP) {
        CHECK(sigwait(&set, &signal_number) == 0);
        if (signal_number == SIGHUP) log_reopen();
    }
    struct log_line line;
    log_begin(&line, LOG_INFO, "stopping");
    log_int(&line, "signal", signal_number);
    log_end(&line);
}
