/* Addresses that buyers and operators write. The first byte says what the rest is: 'u' a URL of an
 * endpoint, 'r' ranges for webhook-allow and, after a newline, an address of 4 or 16 bytes.
 * A URL that is accepted is read the same by libcurl, which will connect; ranges only ever add to
 * what is permitted, and never this server itself. */
#include "base/str.h"
#include "platform/http_guard.h"

#include <curl/curl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { OWN_PORT = 3000 };
#define OWN_ADDRESS "192.0.2.7"

static void check_part(CURLU *curl, CURLUPart part, struct str wanted)
{
    char *text = NULL;
    CHECK(curl_url_get(curl, part, &text, CURLU_DEFAULT_PORT) == CURLUE_OK);
    struct str got = str_of(text);
    if (part == CURLUPART_HOST && str_starts_with(got, STR("["))) /* spelled anew by libcurl */
        CHECK(memchr(wanted.data, ':', wanted.len) != NULL);
    else if (part == CURLUPART_HOST && got.data[strspn(text, "0123456789.")] == '\0')
        CHECK(wanted.data[0] >= '0' && wanted.data[0] <= '9'); /* a number, as is 0x7f.1 */
    else
        CHECK(str_eq_ignoring_case(got, wanted));
    curl_free(text);
}

static void try_url(struct arena *arena, struct str text)
{
    struct error    error = { 0 };
    struct http_url url;
    if (http_guard_check_url(text, false, &error, &url) == ERR_OK) {
        CHECK(url.is_tls && http_guard_check_url(text, true, &error, NULL) == ERR_OK);
    } else if (http_guard_check_url(text, true, &error, &url)) {
        CHECK(error.code == ERR_UNPROCESSABLE);
        return;
    }
    CHECK(url.host.len > 0 && url.port > 0 &&
          memchr(text.data, '@', (size_t)(url.host.data - text.data)) == NULL);
    CURLU *curl = curl_url();
    CHECK(curl != NULL);
    if (curl_url_set(curl, CURLUPART_URL, str_c(arena, text), 0) == CURLUE_OK) {
        check_part(curl, CURLUPART_HOST, url.host);
        check_part(curl, CURLUPART_PORT, str_format(arena, "%d", url.port));
        check_part(curl, CURLUPART_SCHEME, url.is_tls ? STR("https") : STR("http"));
    }
    curl_url_cleanup(curl);
}

static void try_ranges(struct arena *arena, struct str text)
{
    static const struct http_guard *closed;
    static struct arena             kept;
    const struct http_guard        *guard;
    struct error                    error = { 0 };
    struct str                      ranges;
    if (closed == NULL) {
        arena_init(&kept, SIZE_MAX);
        CHECK(http_guard_open(STR(""), STR(OWN_ADDRESS), OWN_PORT, &kept, &error, &closed) ==
              ERR_OK);
    }
    str_cut(&text, '\n', &ranges);
    if (http_guard_open(ranges, STR(OWN_ADDRESS), OWN_PORT, arena, &error, &guard)) return;
    struct sockaddr_in own = { .sin_family = AF_INET, .sin_port = htons(OWN_PORT) };
    own.sin_addr.s_addr = htonl(0xc0000207);
    CHECK(!http_guard_permits(guard, (struct sockaddr *)&own, true));
    struct sockaddr_storage any = { .ss_family = AF_INET };
    if (text.len == sizeof(struct in_addr)) {
        memcpy(&((struct sockaddr_in *)&any)->sin_addr, text.data, text.len);
    } else if (text.len == sizeof(struct in6_addr)) {
        any.ss_family = AF_INET6;
        memcpy(&((struct sockaddr_in6 *)&any)->sin6_addr, text.data, text.len);
    }
    CHECK(!http_guard_permits(closed, (struct sockaddr *)&any, false));
    if (http_guard_permits(closed, (struct sockaddr *)&any, true))
        CHECK(http_guard_permits(guard, (struct sockaddr *)&any, true));
    if (http_guard_permits(guard, (struct sockaddr *)&any, false))
        CHECK(http_guard_permits(guard, (struct sockaddr *)&any, true));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2) return 0;
    struct arena arena;
    struct str   text = { (const char *)data + 1, size - 1 };
    arena_init(&arena, SIZE_MAX);
    if (data[0] == 'u') try_url(&arena, text);
    if (data[0] == 'r') try_ranges(&arena, text);
    arena_deinit(&arena);
    return 0;
}
