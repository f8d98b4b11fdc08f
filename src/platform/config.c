#include "platform/config.h"

#include "base/log.h"
#include "base/num.h"
#include "base/time_text.h"
#include "platform/http_guard.h"

#include <arpa/inet.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

enum setting_type { SETTING_TEXT, SETTING_COUNT, SETTING_DURATION, SETTING_RATE, SETTING_SWITCH };

struct setting {
    const char       *name;
    enum setting_type type;
    size_t            offset;
    int64_t           low, high; /* inclusive; unused for text and switches */
    const char       *when_absent;
    bool              is_secret;
    const char       *meaning;
};

#define AT(member) offsetof(struct config, member)
#define HOURS(n)   ((n) * (int64_t)3600000)

static const struct setting settings[] = {
    { "listen", SETTING_TEXT, AT(listen), 0, 0, "127.0.0.1:3000", false,
      "address and port; port 0 picks a free one and prints it" },
    { "data-dir", SETTING_TEXT, AT(data_dir), 0, 0, "./data", false,
      "store, files, delivered folders, server.key" },
    { "database", SETTING_TEXT, AT(database), 0, 0, "", true,
      "sqlite:PATH; empty: store.db in the data directory" },
    { "public-url", SETTING_TEXT, AT(public_url), 0, 0, "", false,
      "base of download and invite links; empty: from listen" },
    { "platform-fee", SETTING_RATE, AT(platform_fee_ppm), 0, PPM_ONE / 2, "0.20", false,
      "default share of the platform in a file's price" },
    { "platform-fee-locked", SETTING_SWITCH, AT(platform_fee_locked), 0, 0, "off", false,
      "organizations may not change their share" },
    { "low-balance-cents", SETTING_COUNT, AT(low_balance_cents), 0, 1000000000, "1000", false,
      "credits.low_balance tells when a balance falls below; 0 = off" },
    { "stripe-key", SETTING_TEXT, AT(stripe_key), 0, 0, "", true,
      "Stripe's secret key; without it purchases go through the built-in page" },
    { "stripe-webhook-secret", SETTING_TEXT, AT(stripe_webhook_secret), 0, 0, "", true,
      "signs what Stripe sends to /v1/stripe/webhook" },
    { "stripe-api-url", SETTING_TEXT, AT(stripe_api_url), 0, 0, "https://api.stripe.com", false,
      "where Stripe is asked" },
    { "stripe-ca", SETTING_TEXT, AT(stripe_ca), 0, 0, "", false,
      "PEM authorities for stripe-api-url, instead of the system's" },
    { "top-up-daily-max", SETTING_COUNT, AT(top_up_daily_max), 0, 1000, "10", false,
      "automatic top-ups of an organization within 24 hours; 0 = off" },
    { "checkout-credits-live", SETTING_SWITCH, AT(checkout_credits_live), 0, 0, "off", false,
      "the built-in checkout page gives live credit, unpaid" },
    { "rate-limit-per-minute", SETTING_COUNT, AT(rate_limit_per_minute), 0, 10000000, "1000", false,
      "requests per API key; 0 = off" },
    { "auth-failures-per-minute", SETTING_COUNT, AT(auth_failures_per_minute), 0, 1000000, "60",
      false, "failed authentications per address; 0 = off" },
    { "signup", SETTING_TEXT, AT(signup), 0, 0, "closed", false,
      "open: anybody may open an organization" },
    { "signups-per-minute", SETTING_COUNT, AT(signups_per_minute), 0, 1000000, "10", false,
      "attempts to sign up per address; 0 = off" },
    { "signup-credit-cents", SETTING_COUNT, AT(signup_credit_cents), 0, 100000000, "0", false,
      "free live credit of who signs up" },
    { "trusted-proxy", SETTING_TEXT, AT(trusted_proxy), 0, 0, "", false,
      "peer address whose X-Forwarded-For names the client" },
    { "operator-token", SETTING_TEXT, AT(operator_token), 0, 0, "", true,
      "bearer token for /metrics; empty: this machine only, without a token" },
    { "reservation-ttl", SETTING_DURATION, AT(reservation_ttl_ms), 1000, HOURS(24 * 7), "30m",
      false, "a slot's lease, renewed by upload progress" },
    { "reservation-max", SETTING_DURATION, AT(reservation_max_ms), 1000, HOURS(24 * 30), "6h",
      false, "no renewal beyond this after accepting" },
    { "worker-reservations-max", SETTING_COUNT, AT(worker_reservations_max), 1, 10000, "5", false,
      "live reservations a worker may hold" },
    { "worker-submissions-per-day", SETTING_COUNT, AT(worker_submissions_per_day), 0, 1000000, "50",
      false, "submissions a worker may send in 24 hours; 0 = off" },
    { "media-cpu-seconds", SETTING_COUNT, AT(media_cpu_seconds), 1, 3600, "60", false,
      "CPU budget for examining one file" },
    { "score-workers", SETTING_COUNT, AT(score_workers), 1, 64, "2", false,
      "files examined at the same time" },
    { "sandbox-delay", SETTING_DURATION, AT(sandbox_delay_ms), 0, HOURS(24), "15s", false,
      "after posting a test job, until simulated workers fill it" },
    { "webhook-allow", SETTING_TEXT, AT(webhook_allow), 0, 0, "", false,
      "address ranges that webhooks may reach although private, and over http" },
    { "webhook-ca", SETTING_TEXT, AT(webhook_ca), 0, 0, "", false,
      "PEM authorities for webhooks, instead of the system's" },
    { "webhook-schedule", SETTING_TEXT, AT(webhook_schedule_text), 0, 0,
      "0,1m,5m,30m,2h,8h,12h,24h,24h", false, "waits before each attempt; strict: the first six" },
    { "event-retention", SETTING_DURATION, AT(event_retention_ms), 0, HOURS(24 * 3650), "30d",
      false, "how long webhook events are kept; 0 = for ever" },
    { "test-clock", SETTING_SWITCH, AT(test_clock), 0, 0, "off", false,
      "enables POST /test/clock/advance; never in production" },
    { "tasks", SETTING_SWITCH, AT(tasks), 0, 0, "on", false, "off: an API-only node" },
    { "tls-cert", SETTING_TEXT, AT(tls_cert), 0, 0, "", false,
      "PEM certificate chain: serve HTTPS" },
    { "tls-key", SETTING_TEXT, AT(tls_key), 0, 0, "", false, "PEM key of tls-cert" },
    { "http-threads", SETTING_COUNT, AT(http_threads), 1, 256, "6", false, "poll threads" },
    { "connections-max", SETTING_COUNT, AT(connections_max), 8, 1000000, "4096", false,
      "open connections in all" },
    { "connections-per-address-max", SETTING_COUNT, AT(connections_per_address_max), 0, 1000000,
      "0", false, "open connections of one address; 0 = off" },
    { "waiters-max", SETTING_COUNT, AT(waiters_max), 1, 1000000, "4096", false,
      "requests that wait for the end of a job, in all" },
    { "idle-timeout", SETTING_DURATION, AT(idle_timeout_ms), 1000, HOURS(1), "60s", false,
      "a connection without traffic is closed" },
    { "body-rate-min", SETTING_COUNT, AT(body_rate_min), 0, 1000000, "100", false,
      "bytes a second of a body, over each idle-timeout; slower is closed; 0 = off" },
    { "drain-timeout", SETTING_DURATION, AT(drain_timeout_ms), 0, HOURS(1), "30s", false,
      "SIGTERM waits this long for requests under way" },
    { "log-level", SETTING_TEXT, AT(log_level), 0, 0, "info", false,
      "debug, info, warning or error" },
    { "log-file", SETTING_TEXT, AT(log_file), 0, 0, "", false,
      "empty: stderr; reopened on SIGHUP" },
};

enum err flags_parse(int argc, char *const *argv, struct arena *arena, struct error *error,
                     struct flags *ret_flags)
{
    struct flags flags = { 0 };
    for (int i = 0; i < argc; i++) {
        struct str text = str_of(argv[i]), name;
        if (!str_starts_with(text, STR("--")) || text.len < 3)
            return FAIL(error, ERR_INVALID, "usage", "expected a --flag, got \"%s\"", argv[i]);
        struct str value = str_skip(text, 2);
        str_cut(&value, '=', &name);
        if (value.data == NULL) {
            if (i + 1 == argc)
                return FAIL(error, ERR_INVALID, "usage", "%s needs a value", argv[i]);
            value = str_of(argv[++i]);
        }
        for (int j = 0; j < flags.count; j++)
            if (str_eq(str_of(flags.names[j]), name))
                return FAIL(error, ERR_INVALID, "usage", "--%.*s is given twice", STR_ARG(name));
        if (flags.count == FLAGS_MAX)
            return FAIL(error, ERR_INVALID, "usage", "more than %d flags", FLAGS_MAX);
        flags.names[flags.count] = str_c(arena, name);
        flags.values[flags.count++] = value;
    }
    *ret_flags = flags;
    return ERR_OK;
}

struct str flags_take(struct flags *flags, const char *name)
{
    for (int i = 0; i < flags->count; i++) {
        if (strcmp(flags->names[i], name) != 0) continue;
        flags->is_taken[i] = true;
        return flags->values[i];
    }
    return STR_NONE;
}

enum err flags_all_taken(const struct flags *flags, struct error *error)
{
    for (int i = 0; i < flags->count; i++)
        if (!flags->is_taken[i])
            return FAIL(error, ERR_INVALID, "usage", "unknown flag --%s", flags->names[i]);
    return ERR_OK;
}

enum { BOUND_BYTES = 32 };

static const struct {
    const char *suffix;
    int64_t     ms;
} units[] = { { "ms", 1 }, { "s", 1000 }, { "m", 60000 }, { "h", 3600000 }, { "d", 86400000 } };

bool duration_parse(struct str text, int64_t *ret_ms)
{
    if (str_eq(text, STR("0"))) {
        *ret_ms = 0;
        return true;
    }
    for (size_t i = 0; i < COUNT_OF(units); i++) {
        struct str suffix = str_of(units[i].suffix);
        int64_t    count;
        if (!str_ends_with(text, suffix)) continue;
        if (str_to_int64(str_take(text, text.len - suffix.len), &count))
            return count >= 0 && num_mul(count, units[i].ms, ret_ms);
    }
    return false;
}

/* "0.2" → 200000; at most six decimals, no sign, no exponent. */
static bool rate_parse(struct str text, int64_t *ret_ppm)
{
    struct str whole_text;
    int64_t    whole, fraction = 0;
    if (!str_cut(&text, '.', &whole_text) || !str_to_int64(whole_text, &whole)) return false;
    if (whole_text.len != 1 || whole < 0 || whole > 1 || text.len > 6) return false;
    if (text.data && (!str_to_int64(text, &fraction) || text.data[0] == '-')) return false;
    for (size_t i = text.len; i < 6; i++)
        fraction *= 10;
    *ret_ppm = whole * PPM_ONE + fraction;
    return true;
}

static bool switch_parse(struct str text, bool *ret_is_on)
{
    *ret_is_on = str_eq(text, STR("on"));
    return *ret_is_on || str_eq(text, STR("off"));
}

static const char *const type_hints[] = {
    [SETTING_TEXT] = "text",
    [SETTING_COUNT] = "a whole number",
    [SETTING_DURATION] = "a duration such as 500ms, 15s, 30m, 6h or 7d",
    [SETTING_RATE] = "a share such as 0.2",
    [SETTING_SWITCH] = "on or off",
};

static bool number_parse(const struct setting *setting, struct str text, int64_t *ret_value)
{
    switch (setting->type) {
    case SETTING_DURATION: return duration_parse(text, ret_value);
    case SETTING_RATE: return rate_parse(text, ret_value);
    default: return str_to_int64(text, ret_value);
    }
}

static bool is_plain_text(struct str text)
{
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)text.data[i] < ' ' || text.data[i] == 0x7f) return false;
    return str_is_utf8(text);
}

/* As a setting is written: "0.5", "7d". */
static const char *bound_text(const struct setting *setting, int64_t value, char text[BOUND_BYTES])
{
    size_t unit = COUNT_OF(units) - 1;
    while (unit > 0 && value % units[unit].ms != 0)
        unit--;
    if (setting->type == SETTING_RATE)
        snprintf(text, BOUND_BYTES, "%g", (double)value / PPM_ONE);
    else if (setting->type == SETTING_DURATION && value > 0)
        snprintf(text, BOUND_BYTES, "%lld%s", (long long)(value / units[unit].ms),
                 units[unit].suffix);
    else
        snprintf(text, BOUND_BYTES, "%lld", (long long)value);
    return text;
}

static enum err refuse_bounds(const struct setting *setting, struct error *error)
{
    char low[BOUND_BYTES], high[BOUND_BYTES];
    return FAIL(error, ERR_INVALID, "bad_setting", "%s must be between %s and %s", setting->name,
                bound_text(setting, setting->low, low), bound_text(setting, setting->high, high));
}

static enum err set(struct config *config, const struct setting *setting, struct str text,
                    struct error *error)
{
    char *at = (char *)config + setting->offset;
    if (text.len > CONFIG_TEXT_BYTES_MAX)
        return FAIL(error, ERR_INVALID, "bad_setting", "%s is longer than %d bytes", setting->name,
                    CONFIG_TEXT_BYTES_MAX);
    if (!is_plain_text(text))
        return FAIL(error, ERR_INVALID, "bad_setting",
                    "%s must be UTF-8 without control characters", setting->name);
    if (setting->type == SETTING_TEXT) {
        *(struct str *)(void *)at = text;
        return ERR_OK;
    }
    bool is_on = false;
    if (setting->type == SETTING_SWITCH && switch_parse(text, &is_on)) {
        *(bool *)(void *)at = is_on;
        return ERR_OK;
    }
    int64_t value;
    if (setting->type == SETTING_SWITCH || !number_parse(setting, text, &value))
        return FAIL(error, ERR_INVALID, "bad_setting", "%s must be %s, got \"%.*s\"", setting->name,
                    type_hints[setting->type], STR_ARG(str_take(text, 40)));
    if (value < setting->low || value > setting->high) return refuse_bounds(setting, error);
    *(int64_t *)(void *)at = value;
    return ERR_OK;
}

static struct str value_of(const struct setting *setting, struct flags              *flags,
                           char *(*get_environment)(const char *name), struct arena *arena)
{
    struct str value = flags_take(flags, setting->name);
    if (value.data) return value;
    char   name[64] = "FIRSTHAND_";
    size_t at = strlen(name);
    for (const char *c = setting->name; *c; c++)
        name[at++] = (char)(*c == '-' ? '_' : *c - 'a' + 'A');
    name[at] = '\0';
    const char *environment = get_environment(name);
    return environment ? str_copy(arena, str_of(environment)) : str_of(setting->when_absent);
}

enum { ADDRESS_BYTES = 16 };

/* A numeric address: of IPv4, or of IPv6. IPv4 comes out as its IPv4-mapped form. */
static bool address_parse(struct str text, unsigned char address[ADDRESS_BYTES], bool *ret_is_v6)
{
    static const unsigned char mapped[] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };
    char                       plain[INET6_ADDRSTRLEN];
    if (text.len >= sizeof(plain)) return false;
    snprintf(plain, sizeof(plain), "%.*s", STR_ARG(text));
    *ret_is_v6 = inet_pton(AF_INET6, plain, address) == 1;
    if (*ret_is_v6) return true;
    memcpy(address, mapped, sizeof(mapped));
    return inet_pton(AF_INET, plain, address + sizeof(mapped)) == 1;
}

static bool is_loopback(const unsigned char address[ADDRESS_BYTES])
{
    static const unsigned char v4[] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 127 };
    static const unsigned char v6[ADDRESS_BYTES] = { [ADDRESS_BYTES - 1] = 1 };
    return memcmp(address, v4, sizeof(v4)) == 0 || memcmp(address, v6, sizeof(v6)) == 0;
}

/* "127.0.0.1:3000", "[::1]:0" → address and port. */
static bool split_listen(struct config *config, bool *ret_is_loopback)
{
    struct str text = config->listen;
    size_t     at = text.len;
    while (at > 0 && text.data[at - 1] != ':')
        at--;
    struct str port = str_skip(text, at);
    if (at < 2 || port.len > 5 || !str_to_int64(port, &config->listen_port)) return false;
    if (port.data[0] == '-' || config->listen_port > 65535) return false;

    struct str address = str_take(text, at - 1);
    bool is_in_brackets = str_starts_with(address, STR("[")) && str_ends_with(address, STR("]")),
         is_v6;
    unsigned char bytes[ADDRESS_BYTES];
    if (is_in_brackets) address = str_skip(str_take(address, address.len - 1), 1);
    if (!address_parse(address, bytes, &is_v6) || is_v6 != is_in_brackets) return false;
    config->listen_address = address;
    *ret_is_loopback = is_loopback(bytes);
    return true;
}

/* Clients are told apart by the text of their address: the proxy's must be spelled the same way. */
static bool canonical_address(struct str text, struct arena *arena, struct str *ret_text)
{
    unsigned char bytes[ADDRESS_BYTES];
    char          spelled[INET6_ADDRSTRLEN];
    bool          is_v6;
    if (!address_parse(text, bytes, &is_v6)) return false;
    bool        is_v4 = IN6_IS_ADDR_V4MAPPED((const struct in6_addr *)(const void *)bytes);
    const void *address = is_v4 ? bytes + ADDRESS_BYTES - 4 : bytes;
    CHECK(inet_ntop(is_v4 ? AF_INET : AF_INET6, address, spelled, sizeof(spelled)) != NULL);
    *ret_text = str_copy(arena, str_of(spelled));
    return true;
}

/* http or https, a host, perhaps a path: what links are made from by appending to it. */
static bool is_base_url(struct str text)
{
    struct str scheme, rest = text;
    if (!str_cut(&rest, ':', &scheme) || !str_starts_with(rest, STR("//"))) return false;
    if (!str_eq(scheme, STR("http")) && !str_eq(scheme, STR("https"))) return false;
    rest = str_skip(rest, 2);
    if (rest.len == 0 || rest.data[0] == '/' || rest.data[0] == ':') return false;
    for (size_t i = 0; i < rest.len; i++)
        if (strchr(" \"<>\\^`{|}?#@", rest.data[i])) return false;
    return true;
}

/* A key goes there: not in clear, but to this very machine. */
static bool is_safe_for_keys(struct str url)
{
    static const char *const here[] = { "http://127.0.0.1:", "http://[::1]:", "http://localhost:" };
    if (str_starts_with(url, STR("https://"))) return true;
    for (size_t i = 0; i < COUNT_OF(here); i++)
        if (str_starts_with(url, str_of(here[i]))) return true;
    return false;
}

static bool is_one_word(struct str text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.data[i] <= ' ' || text.data[i] > '~') return false;
    return true;
}

static enum err refuse(struct error *error, const char *rule, struct str value)
{
    return FAIL(error, ERR_INVALID, "bad_setting", "%s, got \"%.*s\"", rule,
                STR_ARG(str_take(value, 60)));
}

static enum err check_stripe(struct config *config, struct error *error)
{
    while (str_ends_with(config->stripe_api_url, STR("/")))
        config->stripe_api_url.len--;
    if (!is_base_url(config->stripe_api_url) || !is_safe_for_keys(config->stripe_api_url))
        return refuse(error, "stripe-api-url must be https://, or http:// to this machine",
                      config->stripe_api_url);
    if (!is_one_word(config->stripe_key) || !is_one_word(config->stripe_webhook_secret))
        return FAIL(error, ERR_INVALID, "bad_setting",
                    "stripe-key and stripe-webhook-secret are one word each");
    if ((config->stripe_key.len == 0) != (config->stripe_webhook_secret.len == 0))
        return FAIL(error, ERR_INVALID, "bad_setting",
                    "stripe-key and stripe-webhook-secret go together");
    return ERR_OK;
}

/* Texts that have a form. */
static enum err check_texts(struct config *config, struct arena *arena, struct error *error)
{
    if (config->data_dir.len == 0) return refuse(error, "data-dir must not be empty", STR(""));
    while (str_ends_with(config->public_url, STR("/")))
        config->public_url.len--;
    if (config->public_url.len && !is_base_url(config->public_url))
        return refuse(error, "public-url must be like https://example.com", config->public_url);
    if (config->trusted_proxy.len &&
        !canonical_address(config->trusted_proxy, arena, &config->trusted_proxy))
        return refuse(error, "trusted-proxy must be a numeric address", config->trusted_proxy);
    if (!retry_schedule_parse(config->webhook_schedule_text, &config->webhook_schedule))
        return refuse(error, "webhook-schedule must be durations such as 0,1m,5m, or strict",
                      config->webhook_schedule_text);
    const struct http_guard *guard;
    enum err e = http_guard_open(config->webhook_allow, STR_NONE, 0, arena, error, &guard);
    if (e) return e;
    if (!str_eq(config->signup, STR("closed")) && !str_eq(config->signup, STR("open")))
        return refuse(error, "signup must be closed or open", config->signup);
    enum log_level level;
    if (!log_level_parse(config->log_level, &level))
        return refuse(error, "log-level must be debug, info, warning or error", config->log_level);
    return check_stripe(config, error);
}

/* What a single row cannot say. */
static enum err check_together(struct config *config, struct error *error)
{
    bool is_local;
    if (!split_listen(config, &is_local))
        return refuse(error,
                      "listen must be a numeric address and a port,"
                      " such as 127.0.0.1:3000 or [::1]:3000",
                      config->listen);
    if (config->test_clock && !is_local)
        return FAIL(error, ERR_INVALID, "bad_setting",
                    "test-clock is only for a loopback listen address");
    if ((config->tls_cert.len == 0) != (config->tls_key.len == 0))
        return FAIL(error, ERR_INVALID, "bad_setting", "tls-cert and tls-key go together");
    if (config->reservation_max_ms < config->reservation_ttl_ms)
        return FAIL(error, ERR_INVALID, "bad_setting",
                    "reservation-max must not be shorter than reservation-ttl");
    return ERR_OK;
}

enum err config_load(struct flags *flags, char *(*get_environment)(const char *name),
                     struct arena *arena, struct error *error, struct config *ret_config)
{
    struct config config = { 0 };
    for (size_t i = 0; i < COUNT_OF(settings); i++) {
        struct str value = value_of(&settings[i], flags, get_environment, arena);
        enum err   e = set(&config, &settings[i], value, error);
        if (e) return e;
    }
    enum err e = check_texts(&config, arena, error);
    if (e == ERR_OK) e = check_together(&config, error);
    if (e) return e;
    *ret_config = config;
    return ERR_OK;
}

static void write_number(const struct setting *setting, int64_t value, struct json_out *out)
{
    if (setting->type == SETTING_RATE)
        out_decimal(out, setting->name, value, 6);
    else
        out_int(out, setting->name, value);
}

void config_write(const struct config *config, struct json_out *out)
{
    out_object(out, NULL);
    for (size_t i = 0; i < COUNT_OF(settings); i++) {
        const struct setting *setting = &settings[i];
        const char           *at = (const char *)config + setting->offset;
        if (setting->type == SETTING_TEXT) {
            struct str text = *(const struct str *)(const void *)at;
            out_text(out, setting->name, setting->is_secret && text.len ? STR("***") : text);
        } else if (setting->type == SETTING_SWITCH) {
            out_bool(out, setting->name, *(const bool *)(const void *)at);
        } else {
            write_number(setting, *(const int64_t *)(const void *)at, out);
        }
    }
    out_close(out);
}

struct str config_help(struct arena *arena)
{
    struct buf text;
    buf_init(&text, arena, 16 << 10);
    for (size_t i = 0; i < COUNT_OF(settings); i++)
        buf_fmt(&text, "  --%-28s %s (%s)\n", settings[i].name, settings[i].meaning,
                settings[i].when_absent[0] ? settings[i].when_absent : "none");
    return buf_str(&text);
}
