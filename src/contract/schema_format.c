#include "contract/schema.h"

#include "base/time_text.h"

#include <arpa/inet.h>
#include <string.h>

static bool is_alpha(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_hex(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static bool is_one_of(char c, const char *set)
{
    return c != '\0' && strchr(set, c) != NULL;
}

/* unreserved, sub-delims, escapes, and what the component allows besides. */
static bool has_only(struct str text, const char *besides)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.data[i];
        if (is_alpha(c) || is_digit(c) || is_one_of(c, "-._~!$&'()*+,;=") || is_one_of(c, besides))
            continue;
        if (c != '%' || text.len - i < 3) return false;
        if (!is_hex(text.data[i + 1]) || !is_hex(text.data[i + 2])) return false;
        i += 2;
    }
    return true;
}

static bool is_port(struct str text)
{
    for (size_t i = 0; i < text.len; i++)
        if (!is_digit(text.data[i])) return false;
    return true;
}

/* What stands between the brackets: an IPv6 address, or "v1.something". */
static bool is_ip_literal(struct str text)
{
    struct in6_addr address;
    char            copy[INET6_ADDRSTRLEN];
    if (text.len > 0 && (text.data[0] == 'v' || text.data[0] == 'V')) {
        struct str rest = str_skip(text, 1), version;
        if (!str_cut(&rest, '.', &version) || version.len == 0 || rest.len == 0) return false;
        for (size_t i = 0; i < version.len; i++)
            if (!is_hex(version.data[i])) return false;
        return memchr(rest.data, '%', rest.len) == NULL && has_only(rest, ":");
    }
    for (size_t i = 0; i < text.len; i++) /* inet_pton would stop at a NUL */
        if (!is_hex(text.data[i]) && !is_one_of(text.data[i], ":.")) return false;
    if (text.len >= sizeof(copy)) return false;
    memcpy(copy, text.data, text.len);
    copy[text.len] = '\0';
    return inet_pton(AF_INET6, copy, &address) == 1;
}

static bool is_authority(struct str text, bool needs_host)
{
    struct str  host = text;
    const char *at = text.len ? memchr(text.data, '@', text.len) : NULL;
    if (at) {
        size_t before = (size_t)(at - text.data);
        if (!has_only(str_take(text, before), ":")) return false;
        host = str_skip(text, before + 1);
    }
    if (str_starts_with(host, STR("["))) {
        struct str literal, rest = str_skip(host, 1);
        if (!str_cut(&rest, ']', &literal) || rest.data == NULL) return false;
        if (rest.len > 0 && rest.data[0] != ':') return false;
        return is_ip_literal(literal) && is_port(str_skip(rest, 1));
    }
    struct str name, port = host;
    if (!str_cut(&port, ':', &name)) return false;
    if (needs_host && name.len == 0) return false;
    return has_only(name, "") && is_port(port);
}

/* The length of "scheme:" at the start, without the colon; 0 = none. */
static size_t scheme_length(struct str text)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.data[i];
        if (c == ':') return i;
        if (!is_alpha(c) && (i == 0 || (!is_digit(c) && !is_one_of(c, "+-.")))) return 0;
    }
    return 0;
}

static bool is_absolute_uri(struct str text)
{
    size_t scheme_len = scheme_length(text);
    if (scheme_len == 0) return false;
    struct str scheme = str_take(text, scheme_len);
    bool       is_http =
        str_eq_ignoring_case(scheme, STR("http")) || str_eq_ignoring_case(scheme, STR("https"));

    struct str fragment = str_skip(text, scheme_len + 1), query, hierarchy;
    if (!str_cut(&fragment, '#', &query) || !str_cut(&query, '?', &hierarchy)) return false;
    if (!has_only(fragment, ":@/?") || !has_only(query, ":@/?")) return false;

    if (!str_starts_with(hierarchy, STR("//"))) return !is_http && has_only(hierarchy, ":@/");
    struct str path = str_skip(hierarchy, 2), authority;
    return str_cut(&path, '/', &authority) && is_authority(authority, is_http) &&
           has_only(path, ":@/");
}

bool schema_format_holds(enum schema_format format, struct str text)
{
    int64_t time_ms;
    switch (format) {
    case FORMAT_URI: return is_absolute_uri(text);
    case FORMAT_DATE_TIME: return time_parse(text, &time_ms);
    default: return true;
    }
}
