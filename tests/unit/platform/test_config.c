#include "platform/config.h"

#include "base/json_in.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

static struct arena  arena;
static struct error  error;
static struct config config;

/* What get_environment finds. */
static const char *environment_name, *environment_value;

static char *from_environment(const char *name)
{
    bool is_it = environment_name && strcmp(name, environment_name) == 0;
    return is_it ? (char *)(uintptr_t)environment_value : NULL;
}

static int setup(void **state)
{
    (void)state;
    arena_init(&arena, 4 << 20);
    error = (struct error){ 0 };
    config = (struct config){ 0 };
    environment_name = environment_value = NULL;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_deinit(&arena);
    return 0;
}

#define config_test(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

/* Flags as on a command line: "--listen=…", or name and value apart; ended by NULL. */
static enum err load(const char *const *arguments)
{
    struct flags flags;
    int          count = 0;
    while (arguments[count])
        count++;
    enum err e = flags_parse(count, (char *const *)(uintptr_t)arguments, &arena, &error, &flags);
    if (e) return e;
    e = config_load(&flags, from_environment, &arena, &error, &config);
    if (e) return e;
    return flags_all_taken(&flags, &error);
}

#define ARGUMENTS(...) ((const char *const[]){ __VA_ARGS__, NULL })

static const char *const no_arguments[] = { NULL };

static void assert_loads(const char *const *arguments)
{
    if (load(arguments)) fail_msg("%s: %s", arguments[0], error.detail);
}

/* Refused with one clear line that names the setting. */
static void assert_refused(const char *name, const char *const *arguments)
{
    config.listen_port = -7;
    if (load(arguments) == ERR_OK) fail_msg("%s was taken", arguments[0]);
    assert_int_equal(error.code, ERR_INVALID);
    assert_string_equal(error.slug, "bad_setting");
    if (strstr(error.detail, name) == NULL) fail_msg("%s is not in: %s", name, error.detail);
    for (const char *c = error.detail; *c; c++)
        assert_true((unsigned char)*c >= ' ' && *c != 0x7f);
    assert_true(str_is_utf8(str_of(error.detail)));
    assert_int_equal(config.listen_port, -7); /* untouched */
}

/* The words of --help: name, meaning, default, of every setting in turn. */
struct help_line {
    struct str name, meaning, when_absent;
};

static bool next_setting(struct str *help, struct help_line *ret_line)
{
    struct str line;
    if (!str_cut(help, '\n', &line) || line.len == 0) return false;
    assert_true(str_starts_with(line, STR("  --")));
    line = str_skip(line, 4);
    assert_true(str_cut(&line, ' ', &ret_line->name));
    line = str_trim(line);
    assert_true(str_ends_with(line, STR(")")));
    size_t at = line.len;
    while (line.data[at - 1] != '(')
        at--;
    ret_line->when_absent = str_take(str_skip(line, at), line.len - at - 1);
    ret_line->meaning = str_trim(str_take(line, at - 1));
    return true;
}

/* --- flags --- */

static void flag_takes_its_value_from_either_side_of_the_space(void **state)
{
    (void)state;
    assert_int_equal(load(ARGUMENTS("--listen", "127.0.0.1:1", "--data-dir=/a=b", "--log-file=")),
                     ERR_OK);
    assert_int_equal(config.listen_port, 1);
    assert_true(str_eq(config.data_dir, STR("/a=b")));
    assert_int_equal(config.log_file.len, 0);
}

static void assert_usage(const char *word, const char *const *arguments)
{
    assert_int_equal(load(arguments), ERR_INVALID);
    assert_string_equal(error.slug, "usage");
    if (strstr(error.detail, word) == NULL) fail_msg("%s is not in: %s", word, error.detail);
}

static void bad_flags_are_refused_by_name(void **state)
{
    (void)state;
    assert_usage("listen", ARGUMENTS("listen"));
    assert_usage("-l", ARGUMENTS("-l", "x"));
    assert_usage("--", ARGUMENTS("--"));
    assert_usage("--listen", ARGUMENTS("--listen"));
    assert_usage("--tasks", ARGUMENTS("--tasks", "on", "--tasks", "off"));
    assert_usage("--tasks", ARGUMENTS("--tasks=on", "--tasks", "on"));
    assert_usage("--lissten", ARGUMENTS("--lissten", "127.0.0.1:1"));
}

static void more_flags_than_fit_are_refused(void **state)
{
    (void)state;
    static char names[FLAGS_MAX + 1][20];
    char       *arguments[FLAGS_MAX + 1];
    for (int i = 0; i <= FLAGS_MAX; i++) {
        snprintf(names[i], sizeof(names[i]), "--f%d=x", i);
        arguments[i] = names[i];
    }
    struct flags flags;
    assert_int_equal(flags_parse(FLAGS_MAX, arguments, &arena, &error, &flags), ERR_OK);
    assert_int_equal(flags.count, FLAGS_MAX);
    assert_int_equal(flags_parse(FLAGS_MAX + 1, arguments, &arena, &error, &flags), ERR_INVALID);
    assert_string_equal(error.slug, "usage");
}

static void flag_goes_before_environment_and_environment_before_default(void **state)
{
    (void)state;
    assert_int_equal(load(no_arguments), ERR_OK);
    assert_int_equal(config.rate_limit_per_minute, 1000);
    environment_name = "FIRSTHAND_RATE_LIMIT_PER_MINUTE";
    environment_value = "7";
    assert_int_equal(load(no_arguments), ERR_OK);
    assert_int_equal(config.rate_limit_per_minute, 7);
    assert_int_equal(load(ARGUMENTS("--rate-limit-per-minute", "9")), ERR_OK);
    assert_int_equal(config.rate_limit_per_minute, 9);
}

static void bad_value_of_the_environment_is_refused_too(void **state)
{
    (void)state;
    environment_name = "FIRSTHAND_TASKS";
    environment_value = "maybe";
    assert_refused("tasks", ARGUMENTS("--listen", "127.0.0.1:1"));
    environment_value = "";
    assert_refused("tasks", ARGUMENTS("--listen", "127.0.0.1:1"));
}

/* --- values --- */

static void defaults_are_the_documented_ones(void **state)
{
    (void)state;
    assert_int_equal(load(no_arguments), ERR_OK);
    assert_true(str_eq(config.listen_address, STR("127.0.0.1")));
    assert_int_equal(config.listen_port, 3000);
    assert_true(str_eq(config.data_dir, STR("./data")));
    assert_int_equal(config.platform_fee_ppm, 200000);
    assert_false(config.platform_fee_locked);
    assert_int_equal(config.reservation_ttl_ms, 30 * 60000);
    assert_int_equal(config.reservation_max_ms, 6 * 3600000);
    assert_int_equal(config.worker_reservations_max, 5);
    assert_int_equal(config.worker_submissions_per_day, 50);
    assert_int_equal(config.auth_failures_per_minute, 60);
    assert_int_equal(config.media_cpu_seconds, 60);
    assert_false(config.test_clock);
    assert_true(config.tasks);
}

static void durations_have_a_unit(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t     ms;
    } cases[] = {
        { "0", 0 },          { "0s", 0 },        { "500ms", 500 },
        { "15s", 15000 },    { "30m", 1800000 }, { "6h", 21600000 },
        { "7d", 604800000 }, { "007s", 7000 },   { "106751991167d", 9223372036828800000 }
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        int64_t ms = -1;
        assert_true(duration_parse(str_of(cases[i].text), &ms));
        assert_int_equal(ms, cases[i].ms);
    }
    static const char *const bad[] = {
        "",     "5",  "s",    "-1s",  "1.5s",          "1 s",
        "1S",   "1w", "1sec", "1s ",  " 1s",           "ms",
        "1m1s", "00", "+1s",  "0x1s", "106751991168d", "99999999999999999999s"
    };
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        int64_t ms = -1;
        if (duration_parse(str_of(bad[i]), &ms)) fail_msg("\"%s\" was taken", bad[i]);
    }
    assert_int_equal(load(ARGUMENTS("--reservation-ttl", "90s")), ERR_OK);
    assert_int_equal(config.reservation_ttl_ms, 90000);
}

static void shares_are_exact_millionths(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t     ppm;
    } cases[] = { { "0", 0 },        { "0.2", 200000 },      { "0.20", 200000 },
                  { "0.000001", 1 }, { "0.333333", 333333 }, { "0.5", 500000 } };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        assert_loads(ARGUMENTS("--platform-fee", cases[i].text));
        assert_int_equal(config.platform_fee_ppm, cases[i].ppm);
    }
    static const char *const bad[] = { "",     "0.",   ".2",    "-0",   "0.-0",      "-0.1",
                                       "0.-1", "1e-1", "0,2",   "20%",  "0.0000001", "0.500001",
                                       "1",    "2",    "0.2.0", "00.2", "+0.2",      "NaN" };
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        assert_refused("platform-fee", ARGUMENTS("--platform-fee", bad[i]));
}

static void counts_are_whole_numbers_in_their_range(void **state)
{
    (void)state;
    assert_loads(ARGUMENTS("--http-threads", "1"));
    assert_loads(ARGUMENTS("--http-threads", "256"));
    static const char *const bad[] = {
        "0", "257", "-1", "", "4.0", "4x", " 4", "0x4", "99999999999999999999", "four"
    };
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        assert_refused("http-threads", ARGUMENTS("--http-threads", bad[i]));
}

static void limits_take_zero_for_off(void **state)
{
    (void)state;
    static const char *const limits[] = { "--rate-limit-per-minute", "--auth-failures-per-minute",
                                          "--worker-submissions-per-day",
                                          "--connections-per-address-max" };
    for (size_t i = 0; i < COUNT_OF(limits); i++)
        assert_loads(ARGUMENTS(limits[i], "0"));
}

static void switches_are_on_or_off(void **state)
{
    (void)state;
    assert_loads(ARGUMENTS("--tasks", "off"));
    assert_false(config.tasks);
    static const char *const bad[] = { "", "yes", "true", "1", "ON", "on ", "offf" };
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        assert_refused("tasks", ARGUMENTS("--tasks", bad[i]));
}

/* Whatever the type, each row has values it refuses. */
static void every_setting_refuses_control_characters_and_bad_text(void **state)
{
    (void)state;
    struct str       help = config_help(&arena);
    struct help_line line;
    int              count = 0;
    while (next_setting(&help, &line)) {
        static const char *const bad[] = { "a\nb", "a\rb", "\x1b[0m", "\x7f", "\xff\xfe", "\xc3" };
        const char              *name = str_c(&arena, line.name);
        const char              *flag = str_format(&arena, "--%s", name).data;
        for (size_t i = 0; i < COUNT_OF(bad); i++)
            assert_refused(name, ARGUMENTS(flag, bad[i]));
        count++;
    }
    assert_true(count >= 25);
}

static void text_that_is_too_long_is_refused(void **state)
{
    (void)state;
    char *text = NEW(&arena, char, CONFIG_TEXT_BYTES_MAX + 2);
    memset(text, 'x', CONFIG_TEXT_BYTES_MAX);
    assert_loads(ARGUMENTS("--data-dir", text));
    text[CONFIG_TEXT_BYTES_MAX] = 'x';
    assert_refused("data-dir", ARGUMENTS("--data-dir", text));
}

/* --- addresses --- */

static void listen_is_a_numeric_address_and_a_port(void **state)
{
    (void)state;
    static const struct {
        const char *text, *address;
        int64_t     port;
    } cases[] = { { "127.0.0.1:3000", "127.0.0.1", 3000 },
                  { "0.0.0.0:0", "0.0.0.0", 0 },
                  { "10.1.2.3:65535", "10.1.2.3", 65535 },
                  { "[::1]:3000", "::1", 3000 },
                  { "[::]:80", "::", 80 },
                  { "[2001:db8::7]:443", "2001:db8::7", 443 },
                  { "[::ffff:127.0.0.1]:1", "::ffff:127.0.0.1", 1 } };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        assert_loads(ARGUMENTS("--listen", cases[i].text));
        assert_true(str_eq(config.listen_address, str_of(cases[i].address)));
        assert_int_equal(config.listen_port, cases[i].port);
    }
    static const char *const bad[] = {
        "",           "3000",        ":3000",         "127.0.0.1",        "127.0.0.1:",
        "::1:3000",   "::1",         "[::1]",         "[::1]3000",        "[::1:3000",
        "::1]:3000",  "[]:3000",     "[127.0.0.1]:1", "127.0.0.1:65536",  "127.0.0.1:-1",
        "127.1:80",   "1.2.3:80",    "1.2.3.256:80",  "localhost:3000",   "example.com:80",
        "[::g]:80",   "127.0.0.1:x", "127.0.0.1: 80", "127.0.0.1:000080", "http://127.0.0.1:80",
        "[::1%lo]:80"
    };
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        assert_refused("listen", ARGUMENTS("--listen", bad[i]));
}

static void test_clock_is_for_loopback_only(void **state)
{
    (void)state;
    static const char *const good[] = { "127.0.0.1:0", "127.255.0.9:0", "[::1]:0",
                                        "[0:0:0:0:0:0:0:1]:0", "[::ffff:127.0.0.1]:0" };
    static const char *const bad[] = { "0.0.0.0:0",           "[::]:0",
                                       "10.0.0.1:0",          "[::2]:0",
                                       "128.0.0.1:0",         "[fe80::1]:0",
                                       "[::ffff:10.0.0.1]:0", "[::127.0.0.1]:0" };
    for (size_t i = 0; i < COUNT_OF(good); i++) {
        assert_loads(ARGUMENTS("--test-clock=on", "--listen", good[i]));
        assert_true(config.test_clock);
    }
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        assert_refused("test-clock", ARGUMENTS("--test-clock=on", "--listen", bad[i]));
        assert_loads(ARGUMENTS("--test-clock=off", "--listen", bad[i]));
    }
}

static void trusted_proxy_is_spelled_as_peers_are(void **state)
{
    (void)state;
    static const struct {
        const char *text, *spelled;
    } cases[] = { { "10.0.0.1", "10.0.0.1" },
                  { "0:0:0:0:0:0:0:1", "::1" },
                  { "2001:DB8::0001", "2001:db8::1" },
                  { "::ffff:10.0.0.1", "10.0.0.1" } };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        assert_loads(ARGUMENTS("--trusted-proxy", cases[i].text));
        assert_true(str_eq(config.trusted_proxy, str_of(cases[i].spelled)));
    }
    static const char *const bad[] = { "proxy",    "10.0.0",      "10.0.0.0/8",
                                       "[::1]",    "10.0.0.1:80", "10.0.0.1,10.0.0.2",
                                       " 10.0.0.1" };
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        assert_refused("trusted-proxy", ARGUMENTS("--trusted-proxy", bad[i]));
}

static void public_url_is_a_base_to_append_to(void **state)
{
    (void)state;
    static const struct {
        const char *text, *base;
    } cases[] = { { "https://files.example.com", "https://files.example.com" },
                  { "https://example.com/market/", "https://example.com/market" },
                  { "http://[::1]:3000//", "http://[::1]:3000" },
                  { "", "" } };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        assert_loads(ARGUMENTS("--public-url", cases[i].text));
        assert_true(str_eq(config.public_url, str_of(cases[i].base)));
    }
    static const char *const bad[] = { "example.com",         "ftp://example.com", "https://",
                                       "https:///",           "https:///x",        "//example.com",
                                       "https://a b",         "HTTPS://a",         "https://a?b",
                                       "https://a#b",         "https://user:pw@a", "https://:80",
                                       "javascript:alert(1)", "https://a\"b" };
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        assert_refused("public-url", ARGUMENTS("--public-url", bad[i]));
}

/* --- settings that go together --- */

static void settings_that_contradict_are_refused(void **state)
{
    (void)state;
    assert_refused("tls-key", ARGUMENTS("--tls-cert", "cert.pem"));
    assert_refused("tls-cert", ARGUMENTS("--tls-key", "key.pem"));
    assert_loads(ARGUMENTS("--tls-cert=cert.pem", "--tls-key=key.pem"));
    assert_refused("reservation-max",
                   ARGUMENTS("--reservation-ttl", "2h", "--reservation-max", "1h"));
    assert_loads(ARGUMENTS("--reservation-ttl", "2h", "--reservation-max", "2h"));
    assert_refused("data-dir", ARGUMENTS("--data-dir", ""));
    assert_refused("webhook-allow", ARGUMENTS("--webhook-allow", "10.0.0.1/8"));
    assert_refused("webhook-schedule", ARGUMENTS("--webhook-schedule", "1m,soon"));
    assert_refused("log-level", ARGUMENTS("--log-level", "loud"));
    assert_refused("log-level", ARGUMENTS("--log-level", ""));
}

/* --- showing --- */

static struct str written(void)
{
    struct buf      json;
    struct json_out out;
    buf_init(&json, &arena, 64 << 10);
    json_out_init(&out, &json);
    config_write(&config, &out);
    assert_false(json.failed);
    return buf_str(&json);
}

static void shown_table_has_every_setting_with_its_value(void **state)
{
    (void)state;
    assert_loads(ARGUMENTS("--platform-fee=0.125", "--tasks=off", "--reservation-ttl=90s"));
    json_t *root;
    assert_int_equal(json_parse(&arena, written(), &error, &root), ERR_OK);
    assert_true(json_real_value(json_object_get(root, "platform-fee")) == 0.125);
    assert_true(json_is_false(json_object_get(root, "tasks")));
    assert_int_equal(in_int(root, "reservation-ttl", 0), 90000);
    assert_true(str_eq(in_text(root, "listen", &arena), STR("127.0.0.1:3000")));

    struct str       help = config_help(&arena);
    struct help_line line;
    size_t           count = 0;
    while (next_setting(&help, &line)) {
        const char *name = str_c(&arena, line.name);
        if (json_object_get(root, name) == NULL) fail_msg("%s is not shown", name);
        count++;
    }
    assert_int_equal(json_object_size(root), count);
}

/* A database address may carry a password. */
static void secrets_are_shown_masked(void **state)
{
    (void)state;
    assert_loads(ARGUMENTS("--database", "postgres://market:hunter2@db/market"));
    struct str text = written();
    assert_null(strstr(str_c(&arena, text), "hunter2"));
    assert_non_null(strstr(str_c(&arena, text), "\"database\":\"***\""));
    assert_loads(ARGUMENTS("--database", ""));
    assert_non_null(strstr(str_c(&arena, written()), "\"database\":\"\""));
}

/* --- the page for operators --- */

static const char *environment_of(struct str name)
{
    struct str text = str_format(&arena, "FIRSTHAND_%.*s", STR_ARG(name));
    for (char *c = (char *)text.data + 10; *c; c++)
        *c = *c == '-' ? '_' : (char)(*c - 'a' + 'A');
    return text.data;
}

static void documentation_has_a_row_for_every_setting(void **state)
{
    (void)state;
    FILE *file = fopen(SOURCE_DIR "/docs/configuration.md", "r");
    assert_non_null(file);
    char  *page = NEW(&arena, char, 64 << 10);
    size_t len = fread(page, 1, (64 << 10) - 1, file);
    fclose(file);
    assert_true(len > 0);

    struct str       help = config_help(&arena);
    struct help_line line;
    while (next_setting(&help, &line)) {
        struct str shown = str_eq(line.when_absent, STR("none"))
                               ? STR("(none)")
                               : str_format(&arena, "`%.*s`", STR_ARG(line.when_absent));
        struct str row = str_format(&arena, "| `%.*s` | `%s` | %.*s |", STR_ARG(line.name),
                                    environment_of(line.name), STR_ARG(shown));
        if (strstr(page, row.data) == NULL) fail_msg("no row \"%s\"", row.data);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        config_test(flag_takes_its_value_from_either_side_of_the_space),
        config_test(bad_flags_are_refused_by_name),
        config_test(more_flags_than_fit_are_refused),
        config_test(flag_goes_before_environment_and_environment_before_default),
        config_test(bad_value_of_the_environment_is_refused_too),
        config_test(defaults_are_the_documented_ones),
        config_test(durations_have_a_unit),
        config_test(shares_are_exact_millionths),
        config_test(counts_are_whole_numbers_in_their_range),
        config_test(limits_take_zero_for_off),
        config_test(switches_are_on_or_off),
        config_test(every_setting_refuses_control_characters_and_bad_text),
        config_test(text_that_is_too_long_is_refused),
        config_test(listen_is_a_numeric_address_and_a_port),
        config_test(test_clock_is_for_loopback_only),
        config_test(trusted_proxy_is_spelled_as_peers_are),
        config_test(public_url_is_a_base_to_append_to),
        config_test(settings_that_contradict_are_refused),
        config_test(shown_table_has_every_setting_with_its_value),
        config_test(secrets_are_shown_masked),
        config_test(documentation_has_a_row_for_every_setting),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
