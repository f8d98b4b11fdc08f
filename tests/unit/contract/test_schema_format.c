#include "contract/schema.h"
#include "contract_fixture.h"

static void check_all(enum schema_format format, const char *const *texts, bool expected)
{
    for (; *texts; texts++)
        if (schema_format_holds(format, str_of(*texts)) != expected)
            fail_msg("%s should%s hold", *texts, expected ? "" : " not");
}

static void uri_accepts_absolute_uris(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "https://example.com",
        "HTTPS://Example.COM:8443/hooks?a=b&c=/?#frag",
        "http://127.0.0.1:3000/",
        "http://[::1]/x",
        "http://[2001:db8::1]:80",
        "http://[v1.fe:d0]/",
        "https://user:pass@example.com/",
        "https://example.com/a%20b",
        "https://example.com:/",
        "https://ex%c3%a4mple.com/",
        "ftp://example.com/file",
        "urn:isbn:0451450523",
        "mailto:someone@example.com",
        "file:///etc/hosts",
        "x+y-z.1:rest",
        "a:",
        NULL,
    };
    check_all(FORMAT_URI, texts, true);
}

static void uri_refuses_everything_else(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        "example.com",
        "/path",
        "//example.com/path",
        ":no-scheme",
        "1http://example.com",
        "ht tp://example.com",
        "http:",
        "http:/one-slash",
        "http:example.com",
        "https://",
        "https:///path",
        "https://:443/",
        "https://user@/",
        "https://user@:80/",
        "https://exa mple.com",
        "https://example.com/a b",
        "https://example.com/\n",
        "https://example.com/%zz",
        "https://example.com/%4",
        "https://example.com/%",
        "https://example.com/\xc3\xa4",
        "https://example.com/<script>",
        "https://example.com/\"",
        "https://example.com/\\",
        "https://example.com/a[0]",
        "https://example.com/#a#b",
        "https://example.com:80a/",
        "https://a:b:c/",
        "https://a@b@c/",
        "http://[::1",
        "http://[]/",
        "http://[::1]x/",
        "http://[:::1]/",
        "http://[1.2.3.4]/",
        "http://[v.x]/",
        "http://[vg.x]/",
        "http://[v1.]/",
        "http://[0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000]/",
        "http://::1/",
        NULL,
    };
    check_all(FORMAT_URI, texts, false);
}

static void uri_refuses_nul_inside(void **state)
{
    (void)state;
    assert_false(schema_format_holds(FORMAT_URI, STR("https://example.com/\0x")));
    assert_false(schema_format_holds(FORMAT_URI, STR("https://exam\0ple.com")));
    assert_false(schema_format_holds(FORMAT_URI, STR("https://[::1\0]/")));
}

static void date_time_is_rfc_3339(void **state)
{
    (void)state;
    static const char *const good[] = { "2026-03-18T09:30:00Z", "2026-03-18T09:30:00.123+01:00",
                                        "2024-02-29T23:59:59Z", NULL };
    static const char *const bad[] = { "",
                                       "2026-03-18",
                                       "2026-03-18T09:30:00",
                                       "2023-02-29T00:00:00Z",
                                       "2026-13-01T00:00:00Z",
                                       "yesterday",
                                       "2026-03-18T09:30:00Z ",
                                       NULL };
    check_all(FORMAT_DATE_TIME, good, true);
    check_all(FORMAT_DATE_TIME, bad, false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RULE(uri_accepts_absolute_uris),
        RULE(uri_refuses_everything_else),
        RULE(uri_refuses_nul_inside),
        RULE(date_time_is_rfc_3339),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
