#include "http_probe.h"

#include <dlfcn.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

/* The client side of TLS: the library that the HTTP library loads anyway. */
enum { GNUTLS_CLIENT = 2, GNUTLS_CRD_CERTIFICATE = 1 };

static int (*tls_init)(void **session, unsigned flags);
static void (*tls_deinit)(void *session);
static int (*tls_set_default_priority)(void *session);
static int (*tls_allocate_credentials)(void **credentials);
static void (*tls_free_credentials)(void *credentials);
static int (*tls_credentials_set)(void *session, int type, void *credentials);
static void (*tls_transport_set_int2)(void *session, int receive_fd, int send_fd);
static int (*tls_handshake)(void *session);
static ssize_t (*tls_send)(void *session, const void *bytes, size_t count);
static ssize_t (*tls_recv)(void *session, void *bytes, size_t count);

static struct probe probe;
static char         cert_path[64], key_path[64];
static void        *session, *credentials;
static int          fd;
static char         got[64 << 10];

static void load(void *library, const char *name, void *ret_function)
{
    void *symbol = dlsym(library, name);
    assert_non_null(symbol);
    memcpy(ret_function, &symbol, sizeof(symbol));
}

static int load_client(void **state)
{
    (void)state;
    void *library = dlopen("libgnutls.so.30", RTLD_NOW);
    assert_non_null(library);
    load(library, "gnutls_init", &tls_init);
    load(library, "gnutls_deinit", &tls_deinit);
    load(library, "gnutls_set_default_priority", &tls_set_default_priority);
    load(library, "gnutls_certificate_allocate_credentials", &tls_allocate_credentials);
    load(library, "gnutls_certificate_free_credentials", &tls_free_credentials);
    load(library, "gnutls_credentials_set", &tls_credentials_set);
    load(library, "gnutls_transport_set_int2", &tls_transport_set_int2);
    load(library, "gnutls_handshake", &tls_handshake);
    load(library, "gnutls_record_send", &tls_send);
    load(library, "gnutls_record_recv", &tls_recv);
    return 0;
}

static FILE *new_file(char path[64])
{
    snprintf(path, 64, "/tmp/probe-tls-XXXXXX");
    int file = mkstemp(path);
    assert_true(file >= 0);
    FILE *stream = fdopen(file, "w");
    assert_non_null(stream);
    return stream;
}

/* A key and a certificate signed with it, into two files. */
static void write_pair(void)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509     *cert = X509_new();
    assert_non_null(key);
    assert_non_null(cert);
    X509_set_version(cert, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(cert), 1);
    X509_gmtime_adj(X509_getm_notBefore(cert), -3600);
    X509_gmtime_adj(X509_getm_notAfter(cert), 3600);
    X509_set_pubkey(cert, key);
    X509_NAME *name = X509_get_subject_name(cert);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"t", -1, -1, 0);
    X509_set_issuer_name(cert, name);
    assert_true(X509_sign(cert, key, EVP_sha256()) > 0);
    FILE *cert_file = new_file(cert_path);
    FILE *key_file = new_file(key_path);
    assert_int_equal(PEM_write_X509(cert_file, cert), 1);
    assert_int_equal(PEM_write_PrivateKey(key_file, key, NULL, NULL, 0, NULL, NULL), 1);
    fclose(cert_file);
    fclose(key_file);
    X509_free(cert);
    EVP_PKEY_free(key);
}

static int serve(void **state)
{
    (void)state;
    write_pair();
    struct http_server_options options = probe_options();
    options.tls_cert_path = cert_path;
    options.tls_key_path = key_path;
    probe_start(&probe, &options);
    unlink(cert_path);
    unlink(key_path);
    fd = client_dial(probe.port);
    assert_int_equal(tls_init(&session, GNUTLS_CLIENT), 0);
    assert_int_equal(tls_allocate_credentials(&credentials), 0);
    assert_int_equal(tls_set_default_priority(session), 0);
    assert_int_equal(tls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, credentials), 0);
    tls_transport_set_int2(session, fd, fd);
    assert_int_equal(tls_handshake(session), 0);
    return 0;
}

static int serve_end(void **state)
{
    (void)state;
    tls_deinit(session);
    tls_free_credentials(credentials);
    close(fd);
    probe_stop(&probe);
    return 0;
}

static bool send_text(const char *text)
{
    return tls_send(session, text, strlen(text)) == (ssize_t)strlen(text);
}

/* What comes until a text that ends so, or until the end. */
static const char *receive_until(const char *end)
{
    size_t len = 0;
    got[0] = '\0';
    while (strstr(got, end) == NULL && len < sizeof(got) - 1) {
        ssize_t count = tls_recv(session, got + len, sizeof(got) - 1 - len);
        if (count <= 0) break;
        len += (size_t)count;
        got[len] = '\0';
    }
    return got;
}

static void requests_are_answered_over_tls(void **state)
{
    (void)state;
    assert_true(send_text("GET /hello HTTP/1.1\r\n" HOST "\r\n"));
    assert_non_null(strstr(receive_until("hello"), "HTTP/1.1 200"));
    assert_true(send_text("GET /later HTTP/1.1\r\n" HOST "\r\n"));
    assert_non_null(strstr(receive_until("later"), "X-Later: yes"));
    assert_true(send_text("GET /file/120/9 HTTP/1.1\r\n" HOST "\r\n"));
    assert_non_null(strstr(receive_until("line 0012"), "line 0012"));
}

static void small_refusal_is_seen_over_tls(void **state)
{
    (void)state;
    assert_true(send_text("POST /refuse HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\nabc"));
    assert_non_null(strstr(receive_until("no such place"), "HTTP/1.1 404"));
}

static void huge_refusal_is_seen_over_tls(void **state)
{
    (void)state;
    assert_true(send_text("POST /refuse HTTP/1.1\r\n" HOST "Content-Length: 9000000000\r\n\r\n"));
    assert_non_null(strstr(receive_until("no such place"), "HTTP/1.1 404"));
}

/* Never a plain text in the middle of the cipher. */
static void refusal_in_mid_body_over_tls_ends_the_connection(void **state)
{
    (void)state;
    assert_true(
        send_text("PUT /refuse-type HTTP/1.1\r\n" HOST "Content-Length: 9000000000\r\n\r\n"));
    assert_true(send_text("abc"));
    assert_string_equal(receive_until("never"), "");
    probe_await(&probe, &probe.ended_count, 1);
    assert_false(probe.last.is_complete);
}

static void plain_text_on_the_tls_port_is_dropped(void **state)
{
    (void)state;
    static struct client client;
    client_open(&client, &probe);
    client_send(&client, "GET /hello HTTP/1.1\r\n" HOST "\r\n");
    while (client_fill(&client)) /* at most an alert */
        assert_null(strstr(client.bytes, "HTTP"));
    client_close(&client);
    assert_int_equal(probe.begun_count, 0);
}

#define T(test) cmocka_unit_test_setup_teardown(test, serve, serve_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(requests_are_answered_over_tls),
        T(small_refusal_is_seen_over_tls),
        T(huge_refusal_is_seen_over_tls),
        T(refusal_in_mid_body_over_tls_ends_the_connection),
        T(plain_text_on_the_tls_port_is_dropped),
    };
    return cmocka_run_group_tests(tests, load_client, NULL);
}
