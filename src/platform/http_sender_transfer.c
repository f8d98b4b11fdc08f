#include "platform/http_sender_private.h"

#include "base/num.h"
#include "base/world.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { TRIES_MAX = 8 }; /* of addresses get a fair share of the time */
static const int64_t US_PER_MS = 1000;

#define USER_AGENT "User-Agent: Firsthand/" FIRSTHAND_VERSION

/* Beside the caller's: what every request has, and what libcurl would add by itself. */
static const char *const own_headers[] = { "Content-Type: application/json", USER_AGENT,
                                           "Expect:" };

/* --- what libcurl asks and tells --- */

static void set_port(struct sockaddr_storage *address, int port)
{
    if (address->ss_family == AF_INET)
        ((struct sockaddr_in *)address)->sin_port = htons((uint16_t)port);
    else
        ((struct sockaddr_in6 *)address)->sin6_port = htons((uint16_t)port);
}

/* Family, port and address; nothing else of the structures matters. */
static bool is_same_place(const struct sockaddr *a, const struct sockaddr_storage *b)
{
    if (a->sa_family != b->ss_family) return false;
    if (a->sa_family == AF_INET) {
        const struct sockaddr_in *one = (const void *)a, *other = (const void *)b;
        return one->sin_port == other->sin_port && one->sin_addr.s_addr == other->sin_addr.s_addr;
    }
    const struct sockaddr_in6 *one = (const void *)a, *other = (const void *)b;
    return a->sa_family == AF_INET6 && one->sin6_port == other->sin6_port &&
           memcmp(&one->sin6_addr, &other->sin6_addr, sizeof(one->sin6_addr)) == 0;
}

static curl_socket_t open_socket(void *argument, curlsocktype purpose, struct curl_sockaddr *asked)
{
    struct transfer *transfer = argument;
    bool             is_meant =
        purpose == CURLSOCKTYPE_IPCXN &&
        is_same_place(&asked->addr, &transfer->addresses[transfer->address]) &&
        http_guard_permits(transfer->sender->options.guard, &asked->addr, transfer->url.is_tls);
    if (!is_meant) {
        transfer->was_refused = true;
        return CURL_SOCKET_BAD;
    }
    return socket(asked->family, asked->socktype | SOCK_CLOEXEC, asked->protocol);
}

static size_t take_header(char *bytes, size_t size, size_t count, void *argument)
{
    (void)bytes;
    struct transfer *transfer = argument;
    transfer->header_bytes += size * count;
    return transfer->header_bytes > HTTP_SENDER_REPLY_BYTES_MAX ? 0 : size * count;
}

/* The beginning is kept, some more is read so that the connection can be used again, and beyond the
 * ceiling nobody listens. */
static size_t take_body(char *bytes, size_t size, size_t count, void *argument)
{
    struct transfer *transfer = argument;
    size_t           len = size * count, room = sizeof(transfer->kept) - transfer->kept_bytes;
    size_t           kept = len < room ? len : room;
    memcpy(transfer->kept + transfer->kept_bytes, bytes, kept);
    transfer->kept_bytes += kept;
    transfer->body_bytes += len;
    transfer->was_cut = transfer->body_bytes > HTTP_SENDER_REPLY_BYTES_MAX;
    return transfer->was_cut ? 0 : len;
}

/* --- the handle --- */

static void make_handle(struct transfer *transfer)
{
    CURL       *curl = curl_easy_init();
    const char *ca_path = transfer->sender->options.ca_path;
    CHECK(curl != NULL);
    curl_easy_setopt(curl, CURLOPT_PRIVATE, transfer);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(curl, CURLOPT_PROXY, "");
    curl_easy_setopt(curl, CURLOPT_NOPROXY, "*");
    curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(curl, CURLOPT_POST, 1L);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_body);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, transfer);
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, take_header);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, transfer);
    curl_easy_setopt(curl, CURLOPT_OPENSOCKETFUNCTION, open_socket);
    curl_easy_setopt(curl, CURLOPT_OPENSOCKETDATA, transfer);
    curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 1L);
    curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 2L);
    if (ca_path) {
        curl_easy_setopt(curl, CURLOPT_CAINFO, ca_path);
        curl_easy_setopt(curl, CURLOPT_CAPATH, NULL);
    }
    transfer->curl = curl;
}

/* libcurl only reads the list and the text. */
static void add_node(struct transfer *transfer, int at, const char *text)
{
    CHECK(at < TRANSFER_NODES);
    transfer->nodes[at] = (struct curl_slist){ .data = (char *)(uintptr_t)text };
    if (at > 0) transfer->nodes[at - 1].next = &transfer->nodes[at];
}

static void set_request(struct transfer *transfer)
{
    const struct http_send *send = transfer->send;
    int                     count = 0;
    CHECK(send->headers_count <= HTTP_SENDER_HEADERS_MAX);
    for (size_t i = 0; i < COUNT_OF(own_headers); i++)
        add_node(transfer, count++, own_headers[i]);
    for (int i = 0; i < send->headers_count; i++)
        add_node(transfer, count++, send->headers[i]);
    curl_easy_setopt(transfer->curl, CURLOPT_URL, send->url);
    curl_easy_setopt(transfer->curl, CURLOPT_HTTPHEADER, transfer->nodes);
    curl_easy_setopt(transfer->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)send->body.len);
    curl_easy_setopt(transfer->curl, CURLOPT_POSTFIELDS, send->body.data);
}

/* "::address:port": whatever host and port the URL has, the connection goes there, and one that is
 * kept is used again only by who is pinned to the same place. */
static void pin(struct transfer *transfer)
{
    const struct sockaddr_storage *address = &transfer->addresses[transfer->address];
    char                           text[INET6_ADDRSTRLEN];
    bool                           is_v4 = address->ss_family == AF_INET;
    const void *bytes = is_v4 ? (const void *)&((const struct sockaddr_in *)address)->sin_addr
                              : (const void *)&((const struct sockaddr_in6 *)address)->sin6_addr;
    CHECK(inet_ntop(address->ss_family, bytes, text, sizeof(text)) != NULL);
    snprintf(transfer->place, sizeof(transfer->place), is_v4 ? "::%s:%d" : "::[%s]:%d", text,
             transfer->url.port);
    transfer->place_node = (struct curl_slist){ .data = transfer->place };
    curl_easy_setopt(transfer->curl, CURLOPT_CONNECT_TO, &transfer->place_node);
}

/* To the address it stands at, in its share of the time that is left. */
static void try_address(struct transfer *transfer)
{
    int64_t left_ms = (transfer->deadline_us - world_monotonic_us()) / US_PER_MS;
    if (left_ms < 1) {
        http_sender_end(transfer->sender, transfer, HTTP_TIMED_OUT);
        return;
    }
    int64_t share_ms = left_ms / num_min(TRIES_MAX, transfer->addresses_count - transfer->address);
    pin(transfer);
    curl_easy_setopt(transfer->curl, CURLOPT_TIMEOUT_MS, (long)left_ms);
    curl_easy_setopt(transfer->curl, CURLOPT_CONNECTTIMEOUT_MS, (long)(share_ms ? share_ms : 1));
    transfer->is_under_way = true;
    CHECK(curl_multi_add_handle(transfer->sender->multi, transfer->curl) == CURLM_OK);
}

/* --- the way of a request --- */

/* Not one address may be refused: a name that has a private one among others is up to something. */
static void take_addresses(void *argument, const struct sockaddr_storage *addresses, int count)
{
    struct transfer         *transfer = argument;
    const struct http_guard *guard = transfer->sender->options.guard;
    enum http_send_outcome   refusal = count == 0 ? HTTP_NAME_UNKNOWN : HTTP_ANSWERED;
    for (int i = 0; i < count; i++) {
        transfer->addresses[i] = addresses[i];
        set_port(&transfer->addresses[i], transfer->url.port);
        if (!http_guard_permits(guard, (struct sockaddr *)&transfer->addresses[i],
                                transfer->url.is_tls))
            refusal = HTTP_ADDRESS_REFUSED;
    }
    transfer->addresses_count = count;
    if (refusal != HTTP_ANSWERED)
        http_sender_end(transfer->sender, transfer, refusal);
    else
        try_address(transfer);
}

/* A host that is an address already, in whatever notation the resolver takes. */
static bool take_numeric(struct transfer *transfer, const char *host)
{
    struct addrinfo         hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST };
    struct addrinfo        *list = NULL;
    struct sockaddr_storage address = { 0 };
    if (getaddrinfo(host, NULL, &hints, &list) != 0) return false;
    memcpy(&address, list->ai_addr, list->ai_addrlen);
    freeaddrinfo(list);
    take_addresses(transfer, &address, 1);
    return true;
}

void transfer_begin(struct transfer *transfer)
{
    struct http_sender *sender = transfer->sender;
    struct error        error = { 0 };
    char                host[HTTP_HOST_BYTES_MAX + 1];
    if (transfer->curl == NULL) make_handle(transfer);
    transfer->started_us = world_monotonic_us();
    transfer->deadline_us = transfer->started_us + transfer->send->timeout_ms * US_PER_MS;
    transfer->header_bytes = transfer->body_bytes = transfer->kept_bytes = 0;
    transfer->was_cut = transfer->was_refused = transfer->is_under_way = false;
    transfer->address = 0;
    transfer->question =
        (struct resolver_question){ .answered = take_addresses, .argument = transfer };
    if (http_guard_check_url(str_of(transfer->send->url), true, &error, &transfer->url)) {
        http_sender_end(sender, transfer, HTTP_URL_REFUSED);
        return;
    }
    set_request(transfer);
    snprintf(host, sizeof(host), "%.*s", STR_ARG(transfer->url.host));
    if (take_numeric(transfer, host)) return;
    if (!resolver_ask(sender->resolver, transfer->url.host, &transfer->question))
        http_sender_end(sender, transfer, HTTP_NAME_UNKNOWN);
}

void transfer_expire(struct transfer *transfer, int64_t now_us)
{
    if (transfer->question.lookup == NULL || now_us < transfer->deadline_us) return;
    resolver_forget(&transfer->question);
    http_sender_end(transfer->sender, transfer, HTTP_TIMED_OUT);
}

static enum http_send_outcome outcome_of(const struct transfer *transfer, CURLcode result)
{
    switch (result) {
    case CURLE_OK: return HTTP_ANSWERED;
    case CURLE_WRITE_ERROR: return transfer->was_cut ? HTTP_ANSWERED : HTTP_REPLY_MALFORMED;
    case CURLE_URL_MALFORMAT: return HTTP_URL_REFUSED;
    case CURLE_COULDNT_CONNECT:
        return transfer->was_refused ? HTTP_ADDRESS_REFUSED : HTTP_NOT_CONNECTED;
    case CURLE_OPERATION_TIMEDOUT: return HTTP_TIMED_OUT;
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_INVALIDCERTSTATUS: return HTTP_TLS_FAILED;
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_GOT_NOTHING:
    case CURLE_PARTIAL_FILE: return HTTP_CLOSED;
    default: return HTTP_REPLY_MALFORMED;
    }
}

/* Nothing was sent yet, and another address might be reached. */
static bool may_try_next(const struct transfer *transfer, enum http_send_outcome outcome)
{
    curl_off_t connected_us = 0;
    curl_easy_getinfo(transfer->curl, CURLINFO_CONNECT_TIME_T, &connected_us);
    bool is_unreached =
        outcome == HTTP_NOT_CONNECTED || (outcome == HTTP_TIMED_OUT && connected_us == 0);
    return is_unreached && transfer->address + 1 < transfer->addresses_count;
}

/* As many as fit, when it is more. */
static bool parse_seconds(struct str text, int64_t *ret_seconds)
{
    int64_t seconds = 0;
    for (size_t i = 0; i < text.len; i++) {
        int digit = text.data[i] - '0';
        if (digit < 0 || digit > 9) return false;
        seconds = seconds > (INT64_MAX - digit) / 10 ? INT64_MAX : seconds * 10 + digit;
    }
    *ret_seconds = seconds;
    return text.len > 0;
}

/* libcurl knows every form of a date; its own reading of the number is 0 beyond 64 bits, and takes
 * what only begins with one. */
static int64_t retry_after_s(CURL *curl)
{
    struct curl_header *header;
    int64_t             seconds;
    if (curl_easy_header(curl, "Retry-After", 0, CURLH_HEADER, -1, &header) != CURLHE_OK) return 0;
    if (parse_seconds(str_of(header->value), &seconds)) return seconds;
    int64_t date_s = (int64_t)curl_getdate(header->value, NULL);
    return num_max(0, date_s - world_real_ms() / 1000);
}

void transfer_ended(struct transfer *transfer, CURLcode result)
{
    struct http_send      *send = transfer->send;
    enum http_send_outcome outcome = outcome_of(transfer, result);
    CHECK(curl_multi_remove_handle(transfer->sender->multi, transfer->curl) == CURLM_OK);
    transfer->is_under_way = false;
    if (may_try_next(transfer, outcome)) {
        transfer->address++;
        try_address(transfer);
        return;
    }
    if (outcome == HTTP_ANSWERED) {
        long status = 0;
        curl_easy_getinfo(transfer->curl, CURLINFO_RESPONSE_CODE, &status);
        send->status = (int)status;
        send->retry_after_s = retry_after_s(transfer->curl);
    }
    http_sender_end(transfer->sender, transfer, outcome);
}
