/* Where requests to addresses that buyers name may go. The name of a host says nothing: every
 * address it resolves to is asked about, and asked about again when a connection is opened. */
#ifndef FIRSTHAND_PLATFORM_HTTP_GUARD_H
#define FIRSTHAND_PLATFORM_HTTP_GUARD_H

#include "base/error.h"

#include <sys/socket.h>

enum { HTTP_GUARD_RANGES_MAX = 64, HTTP_URL_BYTES_MAX = 2048, HTTP_HOST_BYTES_MAX = 253 };

/* The places of a URL that matter here; slices of it. */
struct http_url {
    bool       is_tls;
    struct str host; /* without the brackets of an IPv6 address */
    int        port; /* that of the scheme when the URL has none */
};

/* May a buyer have this URL? https, or http where may_be_plain (webhook-allow is set), a host of
 * plain letters or a numeric address, perhaps a port of 1 to 65535; no user info, no fragment, no
 * space, backslash or other byte that two parsers could take differently, at most
 * HTTP_URL_BYTES_MAX. ERR_UNPROCESSABLE "url_refused", its detail a phrase that follows the field's
 * name: "must begin with https://". ret_url may be NULL. */
MUST_USE enum err http_guard_check_url(struct str url, bool may_be_plain, struct error *error,
                                       struct http_url *ret_url);

struct http_guard;

/* allow: ranges such as "10.0.0.0/8,fd00::/8" that may be called although they are private, and
 * over plain http; spaces around them are fine. own_address and own_port: where this server listens
 * (a wildcard means every address of the machine), which may never be called; port 0 = nowhere.
 * ERR_INVALID "bad_setting": a range that is malformed, has bits beyond its prefix or is an
 * IPv4-mapped one, or more than HTTP_GUARD_RANGES_MAX. Owned by the arena; immutable, shared by all
 * threads. */
MUST_USE enum err http_guard_open(struct str allow, struct str own_address, int own_port,
                                  struct arena *arena, struct error *error,
                                  const struct http_guard **ret_guard);

/* May a connection be opened to this address (AF_INET or AF_INET6, with its port)? Only public
 * unicast addresses and allowed ranges; without TLS only the latter. */
bool http_guard_permits(const struct http_guard *guard, const struct sockaddr *address,
                        bool is_tls);

#endif
