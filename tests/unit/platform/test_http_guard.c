#include "platform/http_guard.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { TEST_ARENA_BYTES_MAX = 1 << 20 };

struct fixture {
    struct arena arena;
    struct error error;
};

static int open_fixture(void **state)
{
    struct fixture *at = calloc(1, sizeof(*at));
    assert_non_null(at);
    arena_init(&at->arena, TEST_ARENA_BYTES_MAX);
    *state = at;
    return 0;
}

static int close_fixture(void **state)
{
    struct fixture *at = *state;
    arena_deinit(&at->arena);
    free(at);
    return 0;
}

static const struct http_guard *guard_of(struct fixture *at, const char *allow)
{
    const struct http_guard *guard = NULL;
    enum err e = http_guard_open(str_of(allow), STR_NONE, 0, &at->arena, &at->error, &guard);
    if (e) fail_msg("%s: %s", allow, at->error.detail);
    return guard;
}

static struct sockaddr_storage address_of(const char *text, int port)
{
    struct sockaddr_storage address = { 0 };
    struct sockaddr_in     *in = (struct sockaddr_in *)&address;
    struct sockaddr_in6    *in6 = (struct sockaddr_in6 *)&address;
    if (inet_pton(AF_INET, text, &in->sin_addr) == 1) {
        in->sin_family = AF_INET;
        in->sin_port = htons((uint16_t)port);
    } else {
        assert_int_equal(inet_pton(AF_INET6, text, &in6->sin6_addr), 1);
        in6->sin6_family = AF_INET6;
        in6->sin6_port = htons((uint16_t)port);
    }
    return address;
}

static bool permits(const struct http_guard *guard, const char *text, int port, bool is_tls)
{
    struct sockaddr_storage address = address_of(text, port);
    return http_guard_permits(guard, (struct sockaddr *)&address, is_tls);
}

/* --- ranges --- */

struct edges {
    const char *before; /* the last public address below, or NULL */
    const char *first, *last;
    const char *after;
};

static const struct edges private_ranges[] = {
    { NULL, "0.0.0.0", "0.255.255.255", "1.0.0.0" },
    { "9.255.255.255", "10.0.0.0", "10.255.255.255", "11.0.0.0" },
    { "100.63.255.255", "100.64.0.0", "100.127.255.255", "100.128.0.0" },
    { "126.255.255.255", "127.0.0.0", "127.255.255.255", "128.0.0.0" },
    { "169.253.255.255", "169.254.0.0", "169.254.255.255", "169.255.0.0" },
    { "172.15.255.255", "172.16.0.0", "172.31.255.255", "172.32.0.0" },
    { "191.255.255.255", "192.0.0.0", "192.0.0.255", "192.0.1.0" },
    { "192.0.1.255", "192.0.2.0", "192.0.2.255", "192.0.3.0" },
    { "192.88.98.255", "192.88.99.0", "192.88.99.255", "192.88.100.0" },
    { "192.167.255.255", "192.168.0.0", "192.168.255.255", "192.169.0.0" },
    { "198.17.255.255", "198.18.0.0", "198.19.255.255", "198.20.0.0" },
    { "198.51.99.255", "198.51.100.0", "198.51.100.255", "198.51.101.0" },
    { "203.0.112.255", "203.0.113.0", "203.0.113.255", "203.0.114.0" },
    { "223.255.255.255", "224.0.0.0", "239.255.255.255", NULL },
    { NULL, "240.0.0.0", "255.255.255.255", NULL },
    /* everything below 2000::/3, with ::, ::1, IPv4-compatible, NAT64, discard */
    { NULL, "::", "1fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "2000::" },
    { "2000:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "2001::", "2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff",
      "2001:200::" },
    { "2001:db7:ffff:ffff:ffff:ffff:ffff:ffff",
      "2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", "2001:db9::" },
    { "2001:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
      "2002::", "2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "2003::" },
    { "3ffe:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "3fff::", "3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff",
      "3fff:1000::" },
    { "3fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
      "4000::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", NULL },
};

static void private_ranges_are_refused_to_their_edges(void **state)
{
    const struct http_guard *guard = guard_of(*state, "");
    for (size_t i = 0; i < COUNT_OF(private_ranges); i++) {
        const struct edges *edges = &private_ranges[i];
        if (permits(guard, edges->first, 443, true)) fail_msg("%s", edges->first);
        if (permits(guard, edges->last, 443, true)) fail_msg("%s", edges->last);
        if (edges->before && !permits(guard, edges->before, 443, true))
            fail_msg("%s", edges->before);
        if (edges->after && !permits(guard, edges->after, 443, true)) fail_msg("%s", edges->after);
    }
}

static void every_way_to_write_a_private_address_is_refused(void **state)
{
    static const char *const tricks[] = {
        "::1",
        "::",
        "::127.0.0.1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "::ffff:169.254.169.254",
        "::ffff:93.184.216.34",
        "::ffff:0:127.0.0.1",
        "64:ff9b::7f00:1",
        "64:ff9b::a9fe:a9fe",
        "64:ff9b:1::1",
        "2002:7f00:1::1",
        "2001:0:1234::1",
        "fe80::1",
        "febf::1",
        "fec0::1",
        "feff::1",
        "fc00::1",
        "fdff::1",
        "fd00:ec2::254",
        "ff02::1",
        "100::1",
        "5f00::1",
        "169.254.169.254",
        "100.100.100.200",
        "168.63.129.16",
        "192.0.0.192",
        "255.255.255.255",
    };
    const struct http_guard *guard = guard_of(*state, "");
    for (size_t i = 0; i < COUNT_OF(tricks); i++)
        if (permits(guard, tricks[i], 443, true)) fail_msg("%s", tricks[i]);
}

static void public_addresses_are_reached_with_tls_only(void **state)
{
    static const char *const public[] = { "1.1.1.1", "93.184.216.34", "2606:4700::1111",
                                          "2a00:1450::1" };
    const struct http_guard *guard = guard_of(*state, "127.0.0.0/8");
    for (size_t i = 0; i < COUNT_OF(public); i++) {
        assert_true(permits(guard, public[i], 443, true));
        assert_false(permits(guard, public[i], 80, false));
    }
}

static void other_families_are_refused(void **state)
{
    struct sockaddr address = { .sa_family = AF_UNIX };
    assert_false(http_guard_permits(guard_of(*state, "0.0.0.0/0,::/0"), &address, true));
}

/* --- webhook-allow --- */

static void allowed_ranges_are_reached_also_without_tls(void **state)
{
    const struct http_guard *guard =
        guard_of(*state, " 127.0.0.1/32 , 10.1.128.0/17,fd00:1::/32,\t::1/128");
    static const char *const in[] = { "127.0.0.1",       "10.1.128.0",
                                      "10.1.255.255",    "::1",
                                      "fd00:1::",        "fd00:1:ffff:ffff:ffff:ffff:ffff:ffff",
                                      "::ffff:127.0.0.1" };
    static const char *const out[] = { "127.0.0.0",     "127.0.0.2", "10.1.127.255", "10.2.0.0",
                                       "fd00:0:ffff::", "fd00:2::",  "::2" };
    for (size_t i = 0; i < COUNT_OF(in); i++) {
        if (!permits(guard, in[i], 80, false)) fail_msg("%s", in[i]);
        if (!permits(guard, in[i], 80, true)) fail_msg("%s", in[i]);
    }
    for (size_t i = 0; i < COUNT_OF(out); i++)
        if (permits(guard, out[i], 80, true)) fail_msg("%s", out[i]);
}

static void ranges_of_one_family_open_nothing_of_the_other(void **state)
{
    assert_false(permits(guard_of(*state, "::/0"), "127.0.0.1", 80, true));
    assert_false(permits(guard_of(*state, "::/0"), "::ffff:127.0.0.1", 80, true));
    assert_false(permits(guard_of(*state, "0.0.0.0/0"), "::1", 80, true));
    assert_true(permits(guard_of(*state, "0.0.0.0/0"), "255.255.255.255", 80, false));
    assert_true(permits(guard_of(*state, "::/0"), "::1", 80, false));
}

static void malformed_ranges_are_refused(void **state)
{
    static const char *const bad[] = {
        "10.0.0.0",
        "10.0.0.0/",
        "/8",
        "10.0.0.0/33",
        "10.0.0.0/-1",
        "10.0.0.0/08",
        "10.0.0.0/ 8",
        "10.0.0.0/8/8",
        "10.0.0.1/8",
        "10.0.0/8",
        "010.0.0.0/8",
        "10.0.0.0/8,",
        ",10.0.0.0/8",
        "10.0.0.0/8,,::1/128",
        "::1/129",
        "::1/127",
        "fd00::/7",
        "::ffff:10.0.0.0/104",
        "::ffff:0:0/96",
        "[::1]/128",
        "fe80::1%lo/128",
        "localhost/8",
        "10.0.0.0/8;",
        "*",
        " ",
    };
    struct fixture          *at = *state;
    const struct http_guard *guard = NULL;
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        enum err e = http_guard_open(str_of(bad[i]), STR_NONE, 0, &at->arena, &at->error, &guard);
        if (e != ERR_INVALID) fail_msg("%s", bad[i]);
        assert_string_equal(at->error.slug, "bad_setting");
    }
    assert_null(guard);
}

static void there_is_a_limit_of_ranges(void **state)
{
    struct fixture          *at = *state;
    const struct http_guard *guard = NULL;
    struct str               ranges = STR("10.0.0.0/8");
    for (int i = 1; i < HTTP_GUARD_RANGES_MAX; i++)
        ranges = str_format(&at->arena, "%.*s,10.0.0.0/8", STR_ARG(ranges));
    assert_int_equal(http_guard_open(ranges, STR_NONE, 0, &at->arena, &at->error, &guard), ERR_OK);
    ranges = str_format(&at->arena, "%.*s,10.0.0.0/8", STR_ARG(ranges));
    assert_int_equal(http_guard_open(ranges, STR_NONE, 0, &at->arena, &at->error, &guard),
                     ERR_INVALID);
}

/* --- this server --- */

static const struct http_guard *guard_at(struct fixture *at, const char *address)
{
    const struct http_guard *guard = NULL;
    assert_int_equal(http_guard_open(STR("0.0.0.0/0,::/0"), str_of(address), 3000, &at->arena,
                                     &at->error, &guard),
                     ERR_OK);
    return guard;
}

static void own_address_is_refused_though_its_range_is_allowed(void **state)
{
    const struct http_guard *guard = guard_at(*state, "127.0.0.1");
    assert_false(permits(guard, "127.0.0.1", 3000, false));
    assert_false(permits(guard, "::ffff:127.0.0.1", 3000, false));
    assert_true(permits(guard, "127.0.0.1", 3001, false));
    assert_true(permits(guard, "127.0.0.2", 3000, false));
}

static void wildcard_is_every_address_of_the_machine(void **state)
{
    static const char *const wildcards[] = { "0.0.0.0", "::" };
    for (size_t i = 0; i < COUNT_OF(wildcards); i++) {
        const struct http_guard *guard = guard_at(*state, wildcards[i]);
        assert_false(permits(guard, "127.0.0.1", 3000, true));
        assert_false(permits(guard, "127.9.9.9", 3000, true));
        assert_false(permits(guard, "0.0.0.0", 3000, true));
        assert_true(permits(guard, "127.0.0.1", 3001, true));
        assert_true(permits(guard, "93.184.216.34", 3000, true));
    }
}

/* --- URLs --- */

static void good_urls_are_taken_apart(void **state)
{
    static const struct {
        const char *url, *host;
        bool        is_tls;
        int         port;
    } cases[] = {
        { "https://example.com", "example.com", true, 443 },
        { "https://example.com/", "example.com", true, 443 },
        { "HTTPS://Example.COM:8443/a/b?c=d&e", "Example.COM", true, 8443 },
        { "https://example.com?x", "example.com", true, 443 },
        { "https://my_host-1.example.:1/", "my_host-1.example.", true, 1 },
        { "https://93.184.216.34:65535/", "93.184.216.34", true, 65535 },
        { "https://[2606:4700::1111]/x", "2606:4700::1111", true, 443 },
        { "https://[::1]:8080/x?a=@b:c", "::1", true, 8080 },
        { "https://example.com/a@b", "example.com", true, 443 },
        { "http://localhost:8080/hook", "localhost", false, 8080 },
        { "http://127.0.0.1/", "127.0.0.1", false, 80 },
    };
    struct fixture *at = *state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct http_url url = { 0 };
        struct str      text = str_of(cases[i].url);
        if (http_guard_check_url(text, true, &at->error, &url))
            fail_msg("%s: %s", cases[i].url, at->error.detail);
        assert_true(str_eq(url.host, str_of(cases[i].host)));
        assert_int_equal(url.port, cases[i].port);
        assert_int_equal(url.is_tls, cases[i].is_tls);
        assert_int_equal(http_guard_check_url(text, false, &at->error, NULL),
                         cases[i].is_tls ? ERR_OK : ERR_UNPROCESSABLE);
    }
}

static void bad_urls_are_refused(void **state)
{
    static const char *const bad[] = {
        "",
        "https",
        "https:",
        "https:/",
        "https://",
        "https:///x",
        "https://:443/",
        "https://?x",
        "example.com",
        "//example.com/",
        "ftp://example.com",
        "file:///etc/passwd",
        "javascript:alert(1)",
        "gopher://example.com",
        " https://example.com",
        "https://user@example.com/",
        "https://user:pw@example.com/",
        "https://:@example.com",
        "https://a@b@c/",
        "https://example.com:443@127.0.0.1/",
        "https://127.0.0.1\\@example.com",
        "https://example.com\\x",
        "https://example.com/a b",
        "https://example.com/\t",
        "https://example.com/\n",
        "https://example.com/\x7f",
        "https://example.com/#f",
        "https://example.com#@127.0.0.1",
        "https://ex%61mple.com/",
        "https://m\xc3\xbcnchen.de/",
        "https://example.com:0/",
        "https://example.com:65536/",
        "https://example.com:/",
        "https://example.com:+1/",
        "https://example.com:-1/",
        "https://example.com:0443/",
        "https://example.com:44 3/",
        "https://example.com:80:80/",
        "https://example..com/",
        "https://.example.com/",
        "https://.",
        "https://[::1/",
        "https://::1/",
        "https://[]/",
        "https://[::1]x/",
        "https://[::1]:/",
        "https://[127.0.0.1]/",
        "https://[fe80::1%25lo]/",
        "https://[example.com]/",
        "https://exa[mple.com/",
        "https://<script>/",
        "https://{a}/",
    };
    struct fixture *at = *state;
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        if (http_guard_check_url(str_of(bad[i]), true, &at->error, NULL) != ERR_UNPROCESSABLE)
            fail_msg("%s", bad[i]);
        assert_string_equal(at->error.slug, "url_refused");
    }
}

static void too_long_urls_and_hosts_are_refused(void **state)
{
    struct fixture *at = *state;
    char           *label = NEW(&at->arena, char, HTTP_URL_BYTES_MAX + 2);
    memset(label, 'a', HTTP_URL_BYTES_MAX + 1);
    for (int extra = 0; extra <= 1; extra++) {
        enum err   wanted = extra ? ERR_UNPROCESSABLE : ERR_OK;
        struct str url =
            str_format(&at->arena, "https://a/%.*s", HTTP_URL_BYTES_MAX - 10 + extra, label);
        assert_int_equal(http_guard_check_url(url, true, &at->error, NULL), wanted);
        url = str_format(&at->arena, "https://%.*s/", HTTP_HOST_BYTES_MAX + extra, label);
        assert_int_equal(http_guard_check_url(url, true, &at->error, NULL), wanted);
    }
}

#define guard_test(name) cmocka_unit_test_setup_teardown(name, open_fixture, close_fixture)

int main(void)
{
    const struct CMUnitTest tests[] = {
        guard_test(private_ranges_are_refused_to_their_edges),
        guard_test(every_way_to_write_a_private_address_is_refused),
        guard_test(public_addresses_are_reached_with_tls_only),
        guard_test(other_families_are_refused),
        guard_test(allowed_ranges_are_reached_also_without_tls),
        guard_test(ranges_of_one_family_open_nothing_of_the_other),
        guard_test(malformed_ranges_are_refused),
        guard_test(there_is_a_limit_of_ranges),
        guard_test(own_address_is_refused_though_its_range_is_allowed),
        guard_test(wildcard_is_every_address_of_the_machine),
        guard_test(good_urls_are_taken_apart),
        guard_test(bad_urls_are_refused),
        guard_test(too_long_urls_and_hosts_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
