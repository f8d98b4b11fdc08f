/* Settings: one table row each (name, type, range, default, secret or not), given as a flag
 * --data-dir, or as an environment variable FIRSTHAND_DATA_DIR. Flag > environment > default.
 * Also the flags of commands, which are not settings: see struct flags. */
#ifndef FIRSTHAND_PLATFORM_CONFIG_H
#define FIRSTHAND_PLATFORM_CONFIG_H

#include "base/error.h"
#include "base/json_out.h"
#include "platform/retry_schedule.h"

#include <stdint.h>

enum { FLAGS_MAX = 64, CONFIG_TEXT_BYTES_MAX = 4096 };

/* Durations are milliseconds, rates parts per million. 0 = off wherever a row is a limit. */
struct config {
    struct str            listen; /* ADDRESS:PORT */
    struct str            listen_address;
    int64_t               listen_port; /* both from listen */
    struct str            data_dir;
    struct str            database;
    struct str            public_url; /* without a trailing slash; empty until the port is known */
    int64_t               platform_fee_ppm;
    bool                  platform_fee_locked;
    int64_t               low_balance_cents;
    struct str            stripe_key; /* empty: purchases go through this server's own page */
    struct str            stripe_webhook_secret;
    struct str            stripe_api_url; /* without a trailing slash */
    struct str            stripe_ca;      /* empty: the system's authorities */
    int64_t               top_up_daily_max;
    bool                  checkout_credits_live;
    int64_t               rate_limit_per_minute;
    int64_t               auth_failures_per_minute;
    struct str            signup; /* "closed" or "open" */
    int64_t               signups_per_minute;
    int64_t               signup_credit_cents;
    struct str            trusted_proxy;
    struct str            operator_token;
    int64_t               reservation_ttl_ms;
    int64_t               reservation_max_ms;
    int64_t               worker_reservations_max;
    int64_t               worker_submissions_per_day;
    int64_t               media_cpu_seconds;
    int64_t               score_workers;
    int64_t               sandbox_delay_ms;
    struct str            webhook_allow; /* see http_guard_open */
    struct str            webhook_ca;
    struct str            webhook_schedule_text;
    struct retry_schedule webhook_schedule; /* from it */
    int64_t               event_retention_ms;
    bool                  test_clock;
    bool                  tasks;
    struct str            tls_cert;
    struct str            tls_key;
    int64_t               http_threads;
    int64_t               connections_max;
    int64_t               connections_per_address_max;
    int64_t               waiters_max;
    int64_t               idle_timeout_ms;
    int64_t               body_rate_min;
    int64_t               drain_timeout_ms;
    struct str            log_level;
    struct str            log_file;
};

/* --name value and --name=value pairs as they came, and which of them somebody took. */
struct flags {
    int         count;
    const char *names[FLAGS_MAX]; /* without the dashes */
    struct str  values[FLAGS_MAX];
    bool        is_taken[FLAGS_MAX];
    struct str  operand; /* of a command that has one, before its flags; absent = not given */
};

/* Split argv after the command's words. Values are argv's own text, names the arena's.
 * ERR_INVALID "usage": not a flag, a flag without its value, or given twice. */
MUST_USE enum err flags_parse(int argc, char *const *argv, struct arena *arena, struct error *error,
                              struct flags *ret_flags);

/* Take a flag's value; absent when it was not given. */
struct str flags_take(struct flags *flags, const char *name);

/* ERR_INVALID "usage" naming a flag that nobody took. Call last. */
MUST_USE enum err flags_all_taken(const struct flags *flags, struct error *error);

/* Fill every setting; get_environment is getenv or a test's. Takes its flags.
 * ERR_INVALID "bad_setting" with one clear sentence. Text is argv's, static, or the arena's. */
MUST_USE enum err config_load(struct flags *flags, char *(*get_environment)(const char *name),
                              struct arena *arena, struct error *error, struct config *ret_config);

/* The effective table as one JSON object, secrets masked. */
void config_write(const struct config *config, struct json_out *out);

/* The table as text for --help: a line a setting. */
struct str config_help(struct arena *arena);

/* A duration as settings give it: "500ms", "15s", "30m", "6h", "7d", or a bare 0. False when it is
 * malformed, negative or beyond int64. */
MUST_USE bool duration_parse(struct str text, int64_t *ret_ms);

#endif
