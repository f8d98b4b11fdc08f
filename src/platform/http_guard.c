#include "platform/http_guard.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <unistd.h>

enum { ADDRESS_BYTES = 16, V4_AT = 12, V4_BITS = 32, PORT_MAX = 65535 };

/* IPv4 is kept in its IPv4-mapped form, but the families never match each other. */
struct address {
    unsigned char bytes[ADDRESS_BYTES];
    bool          is_v4;
};

struct range {
    struct address address;
    int            bits; /* of all 128 */
};

struct http_guard {
    int            allowed_count;
    struct range   allowed[HTTP_GUARD_RANGES_MAX];
    struct address own;
    int            own_port;
};

/* --- addresses and ranges --- */

static const unsigned char mapped_prefix[V4_AT] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };

static struct address from_v4(const void *bytes)
{
    struct address address = { .is_v4 = true };
    memcpy(address.bytes, mapped_prefix, V4_AT);
    memcpy(address.bytes + V4_AT, bytes, ADDRESS_BYTES - V4_AT);
    return address;
}

static struct address from_v6(const void *bytes)
{
    struct address address = { .is_v4 = memcmp(bytes, mapped_prefix, V4_AT) == 0 };
    memcpy(address.bytes, bytes, ADDRESS_BYTES);
    return address;
}

static bool address_parse(struct str text, struct address *ret_address)
{
    char plain[INET6_ADDRSTRLEN], bytes[ADDRESS_BYTES];
    if (text.len == 0 || text.len >= sizeof(plain)) return false;
    memcpy(plain, text.data, text.len);
    plain[text.len] = '\0';
    if (strlen(plain) != text.len) return false;
    if (inet_pton(AF_INET, plain, bytes) == 1)
        *ret_address = from_v4(bytes);
    else if (inet_pton(AF_INET6, plain, bytes) == 1)
        *ret_address = from_v6(bytes);
    else
        return false;
    return true;
}

static bool bit_at(const struct address *address, int bit)
{
    return address->bytes[bit / 8] >> (7 - bit % 8) & 1;
}

static bool range_has(const struct range *range, const struct address *address)
{
    if (range->address.is_v4 != address->is_v4) return false;
    int whole = range->bits / 8;
    if (memcmp(range->address.bytes, address->bytes, (size_t)whole) != 0) return false;
    for (int bit = whole * 8; bit < range->bits; bit++)
        if (bit_at(&range->address, bit) != bit_at(address, bit)) return false;
    return true;
}

/* The number of a prefix or a port: digits alone, no leading zero. */
static bool number_parse(struct str text, int64_t max, int *ret_number)
{
    int64_t number;
    if (text.len == 0 || text.data[0] == '-' || (text.len > 1 && text.data[0] == '0')) return false;
    if (!str_to_int64(text, &number) || number > max) return false;
    *ret_number = (int)number;
    return true;
}

static bool range_parse(struct str text, struct range *ret_range)
{
    struct str   address;
    struct range range;
    str_cut(&text, '/', &address);
    bool is_v4 = memchr(address.data, ':', address.len) == NULL;
    if (!address_parse(address, &range.address) || range.address.is_v4 != is_v4) return false;
    if (!number_parse(text, is_v4 ? V4_BITS : ADDRESS_BYTES * 8, &range.bits)) return false;
    if (is_v4) range.bits += V4_AT * 8;
    for (int bit = range.bits; bit < ADDRESS_BYTES * 8; bit++)
        if (bit_at(&range.address, bit)) return false;
    *ret_range = range;
    return true;
}

/* --- what is public --- */

#define V4(a, b, c, prefix)                                                                        \
    {                                                                                              \
        { { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c }, true }, V4_AT * 8 + (prefix)      \
    }
#define V6(a, b, c, d, prefix)                                                                     \
    {                                                                                              \
        { { a, b, c, d }, false }, prefix                                                          \
    }

/* Of IPv4 what is not for everybody, after IANA's registry of special purposes. */
static const struct range private_v4[] = {
    V4(0, 0, 0, 8),       /* this network */
    V4(10, 0, 0, 8),      /* private */
    V4(100, 64, 0, 10),   /* shared by a carrier's customers */
    V4(127, 0, 0, 8),     /* loopback */
    V4(169, 254, 0, 16),  /* link-local, and the metadata services of clouds */
    V4(172, 16, 0, 12),   /* private */
    V4(192, 0, 0, 24),    /* protocol assignments */
    V4(192, 0, 2, 24),    /* documentation */
    V4(192, 88, 99, 24),  /* 6to4 relays */
    V4(192, 168, 0, 16),  /* private */
    V4(198, 18, 0, 15),   /* benchmarks */
    V4(198, 51, 100, 24), /* documentation */
    V4(203, 0, 113, 24),  /* documentation */
    V4(224, 0, 0, 4),     /* multicast */
    V4(240, 0, 0, 4),     /* reserved, and broadcast */
    { { { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 168, 63, 129, 16 }, true },
      ADDRESS_BYTES * 8 }, /* the host of Azure's machines, with their metadata */
};

/* Of IPv6 only this is for everybody: beyond it lie ::, ::1, NAT64, fc00::/7, fe80::/10, fec0::/10,
 * multicast and all that embeds an IPv4 address, */
static const struct range public_v6 = V6(0x20, 0, 0, 0, 3);

/* but for these. */
static const struct range private_v6[] = {
    V6(0x20, 0x01, 0x00, 0x00, 23), /* protocol assignments, Teredo */
    V6(0x20, 0x01, 0x0d, 0xb8, 32), /* documentation */
    V6(0x20, 0x02, 0x00, 0x00, 16), /* 6to4 */
    V6(0x3f, 0xff, 0x00, 0x00, 20), /* documentation */
};

static bool any_has(const struct range *ranges, size_t count, const struct address *address)
{
    for (size_t i = 0; i < count; i++)
        if (range_has(&ranges[i], address)) return true;
    return false;
}

static bool is_public(const struct address *address)
{
    if (address->is_v4) return !any_has(private_v4, COUNT_OF(private_v4), address);
    return range_has(&public_v6, address) && !any_has(private_v6, COUNT_OF(private_v6), address);
}

/* --- this server's own address --- */

static bool is_wildcard(const struct address *address)
{
    static const unsigned char nowhere[ADDRESS_BYTES];
    if (address->is_v4) return memcmp(address->bytes + V4_AT, nowhere, ADDRESS_BYTES - V4_AT) == 0;
    return memcmp(address->bytes, nowhere, ADDRESS_BYTES) == 0;
}

static void fd_end(int *fd)
{
    if (*fd >= 0) close(*fd);
}

/* Only such an address can be bound to. */
static bool is_of_this_machine(const struct sockaddr *asked)
{
    struct sockaddr_storage address = { 0 };
    bool                    is_v4 = asked->sa_family == AF_INET;
    socklen_t               size = is_v4 ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
    memcpy(&address, asked, size);
    if (is_v4)
        ((struct sockaddr_in *)&address)->sin_port = 0;
    else
        ((struct sockaddr_in6 *)&address)->sin6_port = 0;
    CLEANUP(fd_end) int fd = socket(asked->sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    return fd >= 0 && bind(fd, (struct sockaddr *)&address, size) == 0;
}

static bool is_own(const struct http_guard *guard, const struct sockaddr *sockaddr,
                   const struct address *address, int port)
{
    if (guard->own_port == 0 || port != guard->own_port) return false;
    if (memcmp(guard->own.bytes, address->bytes, ADDRESS_BYTES) == 0) return true;
    return is_wildcard(&guard->own) && is_of_this_machine(sockaddr);
}

/* --- the guard --- */

enum err http_guard_open(struct str allow, struct str own_address, int own_port,
                         struct arena *arena, struct error *error,
                         const struct http_guard **ret_guard)
{
    struct http_guard *guard = NEW(arena, struct http_guard, 1);
    struct str         text;
    if (allow.len == 0) allow = STR_NONE;
    while (str_cut(&allow, ',', &text)) {
        if (guard->allowed_count == HTTP_GUARD_RANGES_MAX)
            return FAIL(error, ERR_INVALID, "bad_setting",
                        "webhook-allow must have at most %d ranges", HTTP_GUARD_RANGES_MAX);
        if (!range_parse(str_trim(text), &guard->allowed[guard->allowed_count++]))
            return FAIL(error, ERR_INVALID, "bad_setting",
                        "webhook-allow must be ranges such as 10.0.0.0/8,fd00::/8, got \"%.*s\"",
                        STR_ARG(str_take(text, 60)));
    }
    guard->own_port = own_port;
    CHECK(own_port == 0 || address_parse(own_address, &guard->own));
    *ret_guard = guard;
    return ERR_OK;
}

bool http_guard_permits(const struct http_guard *guard, const struct sockaddr *sockaddr,
                        bool is_tls)
{
    struct address address;
    int            port;
    bool           is_mapped = false; /* no name of the public has such an address */
    if (sockaddr->sa_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)sockaddr;
        address = from_v4(&in->sin_addr);
        port = ntohs(in->sin_port);
    } else if (sockaddr->sa_family == AF_INET6) {
        const struct sockaddr_in6 *in = (const struct sockaddr_in6 *)(const void *)sockaddr;
        address = from_v6(&in->sin6_addr);
        is_mapped = address.is_v4;
        port = ntohs(in->sin6_port);
    } else {
        return false;
    }
    if (is_own(guard, sockaddr, &address, port)) return false;
    if (any_has(guard->allowed, (size_t)guard->allowed_count, &address)) return true;
    return is_tls && !is_mapped && is_public(&address);
}

/* --- URLs --- */

static enum err refuse(struct error *error, const char *why)
{
    return FAIL(error, ERR_UNPROCESSABLE, "url_refused", "%s", why);
}

/* Bytes that RFC 3986 has: two parsers cannot read them differently. */
static bool is_plain(struct str url)
{
    for (size_t i = 0; i < url.len; i++) {
        unsigned char c = (unsigned char)url.data[i];
        if (c <= ' ' || c >= 0x7f || strchr("\"<>\\^`{|}", c)) return false;
    }
    return true;
}

static bool is_name(struct str host)
{
    if (host.len == 0 || host.len > HTTP_HOST_BYTES_MAX) return false;
    for (size_t i = 0; i < host.len; i++) {
        char c = host.data[i];
        bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        bool is_dot = c == '.' && i > 0 && host.data[i - 1] != '.';
        if (!is_letter && !is_dot && c != '-' && c != '_') return false;
    }
    return true;
}

/* "host", "host:port", "[v6]", "[v6]:port". */
static bool authority_parse(struct str text, struct http_url *url)
{
    struct address address;
    if (str_starts_with(text, STR("["))) {
        text = str_skip(text, 1);
        if (!str_cut(&text, ']', &url->host) || text.data == NULL) return false;
        if (!memchr(url->host.data, ':', url->host.len)) return false;
        if (!address_parse(url->host, &address)) return false;
        if (text.len == 0) return true;
        if (text.data[0] != ':') return false;
        text = str_skip(text, 1);
    } else {
        str_cut(&text, ':', &url->host);
        if (!is_name(url->host)) return false;
        if (text.data == NULL) return true;
    }
    return number_parse(text, PORT_MAX, &url->port) && url->port > 0;
}

static bool take_scheme(struct str *text, struct http_url *url)
{
    static const struct {
        const char *text;
        bool        is_tls;
        int         port;
    } schemes[] = { { "https://", true, 443 }, { "http://", false, 80 } };
    for (size_t i = 0; i < COUNT_OF(schemes); i++) {
        struct str scheme = str_of(schemes[i].text);
        if (!str_eq_ignoring_case(str_take(*text, scheme.len), scheme)) continue;
        *text = str_skip(*text, scheme.len);
        url->is_tls = schemes[i].is_tls;
        url->port = schemes[i].port;
        return true;
    }
    return false;
}

enum err http_guard_check_url(struct str text, bool may_be_plain, struct error *error,
                              struct http_url *ret_url)
{
    struct http_url url = { 0 };
    struct str      rest = text;
    if (text.len > HTTP_URL_BYTES_MAX) return refuse(error, "is too long");
    if (!take_scheme(&rest, &url) || (!url.is_tls && !may_be_plain))
        return refuse(error, may_be_plain ? "must begin with https:// or http://"
                                          : "must begin with https://");
    if (!is_plain(text)) return refuse(error, "has a character that must be percent-encoded");
    if (memchr(text.data, '#', text.len)) return refuse(error, "must not have a fragment");
    size_t len = 0;
    while (len < rest.len && rest.data[len] != '/' && rest.data[len] != '?')
        len++;
    struct str authority = str_take(rest, len);
    if (memchr(authority.data, '@', authority.len))
        return refuse(error, "must not have a user name or password");
    if (!authority_parse(authority, &url))
        return refuse(error, "must have a host name or numeric address, and a port of 1 to 65535"
                             " or none");
    if (ret_url) *ret_url = url;
    return ERR_OK;
}
