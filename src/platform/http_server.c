#include "platform/http_server_private.h"

#include "base/log.h"
#include "platform/disk.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ADDRESS_BYTES_MAX = INET6_ADDRSTRLEN, PEM_BYTES_MAX = 256 << 10 };

/* --- listening --- */

struct listen_address {
    int       family;
    socklen_t len;
    union {
        struct sockaddr     any;
        struct sockaddr_in  in4;
        struct sockaddr_in6 in6;
    };
};

static bool address_parse(struct str text, int port, struct listen_address *ret_address)
{
    char                  plain[ADDRESS_BYTES_MAX];
    struct listen_address address = { 0 };
    if (text.len >= sizeof(plain) || port < 0 || port > 65535) return false;
    snprintf(plain, sizeof(plain), "%.*s", STR_ARG(text));
    if (inet_pton(AF_INET, plain, &address.in4.sin_addr) == 1) {
        address.family = AF_INET;
        address.len = sizeof(address.in4);
        address.in4.sin_family = AF_INET;
        address.in4.sin_port = htons((uint16_t)port);
    } else if (inet_pton(AF_INET6, plain, &address.in6.sin6_addr) == 1) {
        address.family = AF_INET6;
        address.len = sizeof(address.in6);
        address.in6.sin6_family = AF_INET6;
        address.in6.sin6_port = htons((uint16_t)port);
    } else {
        return false;
    }
    *ret_address = address;
    return true;
}

/* Our own socket rather than the library's, to know why it fails, and because the library's wish
 * for address reuse also sets SO_REUSEPORT, with which a second server started by mistake would
 * silently take half of the connections. */
static int listen_on(const struct listen_address *address)
{
    int fd = socket(address->family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){ 1 }, sizeof(int));
    if (address->family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &(int){ 0 }, sizeof(int));
    if (bind(fd, &address->any, address->len) == 0 && listen(fd, SOMAXCONN) == 0) return fd;
    int reason = errno;
    close(fd);
    errno = reason;
    return -1;
}

enum err http_listen(struct str address, int port, struct error *error, int *ret_fd)
{
    struct listen_address parsed;
    if (!address_parse(address, port, &parsed))
        return FAIL(error, ERR_UNAVAILABLE, "cannot_listen", "%.*s:%d is not an address and port",
                    STR_ARG(address), port);
    int fd = listen_on(&parsed);
    if (fd < 0)
        return FAIL(error, ERR_UNAVAILABLE, "cannot_listen", "%.*s:%d: %m", STR_ARG(address), port);
    *ret_fd = fd;
    return ERR_OK;
}

int http_listen_port(int listen_fd)
{
    struct listen_address address = { .len = sizeof(address.in6) };
    CHECK(getsockname(listen_fd, &address.any, &address.len) == 0);
    return ntohs(address.any.sa_family == AF_INET ? address.in4.sin_port : address.in6.sin6_port);
}

/* --- the library --- */

/* What the library has to say is about single clients: of interest only to whoever looks close. */
PRINTF_LIKE(2, 0) static void library_log(void *context, const char *format, va_list arguments)
{
    (void)context;
    char text[512];
    int  len = vsnprintf(text, sizeof(text), format, arguments);
    while (len > 0 && (size_t)len < sizeof(text) && text[len - 1] == '\n')
        text[--len] = '\0';
    struct log_line line;
    log_begin(&line, LOG_DEBUG, "http_library");
    log_text(&line, "message", str_of(text));
    log_end(&line);
}

/* Paths and queries reach the application as they came. */
static size_t unescape_nothing(void *context, struct MHD_Connection *mhd, char *text)
{
    (void)context;
    (void)mhd;
    return strlen(text);
}

/* GnuTLS's own choice, without the versions that RFC 8996 has retired. */
static const char tls_priorities[] = "NORMAL:-VERS-TLS1.0:-VERS-TLS1.1";

/* One poll thread. */
static struct MHD_Daemon *daemon_start(struct http_server               *server,
                                       const struct http_server_options *options)
{
    intptr_t idle_s = (options->idle_ms_max + 999) / 1000; /* the library counts seconds */
    struct MHD_OptionItem always[] = {
        { MHD_OPTION_EXTERNAL_LOGGER, (intptr_t)library_log, NULL },
        { MHD_OPTION_CONNECTION_LIMIT, options->connections_max + HTTP_SURPLUS_MAX, NULL },
        { MHD_OPTION_CONNECTION_MEMORY_LIMIT, HTTP_CONNECTION_BYTES, NULL },
        { MHD_OPTION_CONNECTION_TIMEOUT, idle_s, NULL },
        { MHD_OPTION_UNESCAPE_CALLBACK, (intptr_t)unescape_nothing, NULL },
        { MHD_OPTION_URI_LOG_CALLBACK, (intptr_t)http_exchange_line, server },
        { MHD_OPTION_NOTIFY_CONNECTION, (intptr_t)http_connection_notice, server },
        { MHD_OPTION_NOTIFY_COMPLETED, (intptr_t)http_exchange_completed, server },
        { MHD_OPTION_END, 0, NULL },
    };
    struct MHD_OptionItem sometimes[4] = { 0 };
    size_t                count = 0;
    if (server->is_tls) {
        sometimes[count++] =
            (struct MHD_OptionItem){ MHD_OPTION_HTTPS_MEM_CERT, 0, server->tls_cert };
        sometimes[count++] =
            (struct MHD_OptionItem){ MHD_OPTION_HTTPS_MEM_KEY, 0, server->tls_key };
        sometimes[count++] =
            (struct MHD_OptionItem){ MHD_OPTION_HTTPS_PRIORITIES, 0, (void *)tls_priorities };
    }
    sometimes[count] = (struct MHD_OptionItem){ MHD_OPTION_END, 0, NULL };

    unsigned flags = MHD_USE_ERROR_LOG | MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME |
                     MHD_USE_NO_LISTEN_SOCKET;
    /* Without it the library shuts a connection down when it is to forget it: see http_park. Over
     * TLS that is how it says goodbye, and nothing is parked. */
    flags |= server->is_tls ? MHD_USE_TLS : MHD_USE_TURBO;
    return MHD_start_daemon(flags, 0, NULL, NULL, http_exchange_access, server, MHD_OPTION_ARRAY,
                            always, MHD_OPTION_ARRAY, sometimes, MHD_OPTION_END);
}

static void library_stop(struct http_server *server)
{
    for (int i = 0; i < server->threads_count; i++)
        if (server->daemons[i]) MHD_stop_daemon(server->daemons[i]);
    free(server->daemons);
}

/* A daemon of the library for each thread, rather than its pool, which deals newcomers out by their
 * descriptors' numbers: those of uploads, with files between them, would all go to a few. */
static bool library_start(struct http_server *server, const struct http_server_options *options)
{
    server->threads_count = options->threads_count;
    server->daemons = calloc((size_t)options->threads_count, sizeof(struct MHD_Daemon *));
    CHECK(server->daemons != NULL);
    for (int i = 0; i < server->threads_count; i++) {
        server->daemons[i] = daemon_start(server, options);
        if (server->daemons[i] == NULL) return false;
    }
    return true;
}

/* --- TLS --- */

/* The file as NUL-terminated text; NULL with errno when that cannot be had. */
static char *pem_open(const char *path)
{
    CLEANUP(fd_close) int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return NULL;
    char *text = calloc(1, PEM_BYTES_MAX);
    CHECK(text != NULL);
    ssize_t got = disk_read_all(fd, text, PEM_BYTES_MAX - 1);
    if (got > 0) return text;
    if (got == 0) errno = ENODATA;
    free(text);
    return NULL;
}

static enum err tls_open(struct http_server *server, const struct http_server_options *options,
                         struct error *error)
{
    CHECK((options->tls_cert_path == NULL) == (options->tls_key_path == NULL));
    if (options->tls_cert_path == NULL) return ERR_OK;
    server->is_tls = true;
    server->tls_cert = pem_open(options->tls_cert_path);
    if (server->tls_cert == NULL)
        return FAIL(error, ERR_UNAVAILABLE, "tls_unreadable", "%s: %m", options->tls_cert_path);
    server->tls_key = pem_open(options->tls_key_path);
    if (server->tls_key == NULL)
        return FAIL(error, ERR_UNAVAILABLE, "tls_unreadable", "%s: %m", options->tls_key_path);
    return ERR_OK;
}

/* --- start and stop --- */

static void server_free(struct http_server *server)
{
    if (server->tls_key) explicit_bzero(server->tls_key, PEM_BYTES_MAX);
    free(server->tls_key);
    free(server->tls_cert);
    free(server);
}

static enum err server_serve(struct http_server *server, const struct http_server_options *options,
                             struct error *error)
{
    http_connections_open(server);
    http_reaper_start(server);
    if (library_start(server, options)) {
        http_accept_start(server);
        return ERR_OK;
    }
    http_reaper_stop(server);
    library_stop(server);
    http_connections_close(server);
    return FAIL(error, ERR_UNAVAILABLE, "cannot_serve", "the HTTP library refused%s",
                server->is_tls ? "; are certificate and key a pair?" : "");
}

enum err http_server_start(const struct http_server_options *options, const struct http_app *app,
                           struct error *error, struct http_server **ret_server)
{
    CHECK(options->threads_count > 0 && options->connections_max >= options->threads_count);
    CHECK(options->idle_ms_max > 0 && options->headers_ms_max > 0);
    struct http_server *server = calloc(1, sizeof(*server));
    CHECK(server != NULL);
    server->app = *app;
    server->idle_us_max = options->idle_ms_max * 1000;
    server->headers_us_max = options->headers_ms_max * 1000;
    server->body_bytes_per_s_min = options->body_bytes_per_s_min;
    server->connections_max = options->connections_max;
    server->connections_per_address_max = options->connections_per_address_max;
    server->reply_bytes_max = options->reply_bytes_max;
    server->listen_fd = options->listen_fd;
    enum err e = tls_open(server, options, error);
    if (!e) e = server_serve(server, options, error);
    if (e) {
        close(options->listen_fd);
        server_free(server);
        return e;
    }
    *ret_server = server;
    return ERR_OK;
}

int http_server_connections(const struct http_server *server)
{
    return atomic_load(&server->connections_count);
}

void http_server_stop(struct http_server *server, int64_t drain_ms_max)
{
    atomic_store(&server->is_draining, true);
    http_accept_stop(server);
    http_reaper_stop(server);
    http_connections_drain(server, drain_ms_max);
    library_stop(server);
    http_connections_close(server);
    server_free(server);
}
