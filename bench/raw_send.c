/* The limit that deliveries are compared with: libcurl's multi interface, driven by epoll, over
 * connections that are kept, POSTing the same bytes, and nothing else: no signature, no guard, no
 * store.
 *
 *   raw_send URL BODY COUNT WIDTH                    prints: requests seconds cpu_seconds
 *
 * WIDTH requests are under way at a time; a handle that is done is used again at once. */
#include "bench_store.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

enum { EVENTS_MAX = 256, WAIT_MS_MAX = 10000 };

static CURLM *multi;
static int    epoll_fd;
static double timer_at; /* seconds; 0 = libcurl wants none */
static long   begun, done, wanted;

static size_t ignore(char *bytes, size_t size, size_t count, void *argument)
{
    (void)bytes;
    (void)argument;
    return size * count;
}

static CURL *make_handle(const char *url, const char *body, struct curl_slist *headers)
{
    CURL *curl = curl_easy_init();
    if (curl == NULL) bench_die("curl_easy_init", "failed");
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body);
    curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE, (long)strlen(body));
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, ignore);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_PROXY, "");
    return curl;
}

static int on_socket(CURL *curl, curl_socket_t fd, int what, void *argument, void *is_known)
{
    (void)curl;
    (void)argument;
    struct epoll_event event = { .data.fd = fd };
    if (what & CURL_POLL_IN) event.events |= EPOLLIN;
    if (what & CURL_POLL_OUT) event.events |= EPOLLOUT;
    int operation = what == CURL_POLL_REMOVE ? EPOLL_CTL_DEL
                    : is_known               ? EPOLL_CTL_MOD
                                             : EPOLL_CTL_ADD;
    if (what == CURL_POLL_REMOVE) event.events = 0;
    if (epoll_ctl(epoll_fd, operation, fd, &event) != 0 && what != CURL_POLL_REMOVE)
        bench_die("epoll_ctl", strerror(errno));
    curl_multi_assign(multi, fd, what == CURL_POLL_REMOVE ? NULL : &multi);
    return 0;
}

static int on_timer(CURLM *of, long wait_ms, void *argument)
{
    (void)of;
    (void)argument;
    timer_at = wait_ms < 0 ? 0 : bench_seconds() + (double)wait_ms / 1000;
    return 0;
}

static void begin(CURL *curl)
{
    if (begun >= wanted) return;
    begun++;
    if (curl_multi_add_handle(multi, curl) != CURLM_OK) bench_die("curl_multi_add_handle", "");
}

static void collect(void)
{
    CURLMsg *message;
    int      left;
    while ((message = curl_multi_info_read(multi, &left)) != NULL) {
        CURL *curl = message->easy_handle;
        if (message->data.result != CURLE_OK)
            bench_die("request", curl_easy_strerror(message->data.result));
        done++;
        curl_multi_remove_handle(multi, curl);
        begin(curl);
    }
}

static void act(curl_socket_t fd, int what)
{
    int running;
    if (curl_multi_socket_action(multi, fd, what, &running) != CURLM_OK)
        bench_die("curl_multi_socket_action", "failed");
}

static void act_on_event(const struct epoll_event *event)
{
    int what = 0;
    if (event->events & EPOLLIN) what |= CURL_CSELECT_IN;
    if (event->events & EPOLLOUT) what |= CURL_CSELECT_OUT;
    if (event->events & (EPOLLERR | EPOLLHUP)) what |= CURL_CSELECT_ERR;
    act(event->data.fd, what);
}

static void act_on_timer(void)
{
    if (timer_at == 0 || bench_seconds() < timer_at) return;
    timer_at = 0;
    act(CURL_SOCKET_TIMEOUT, 0);
}

static int wait_ms_of(void)
{
    if (timer_at == 0) return WAIT_MS_MAX;
    double left_s = timer_at - bench_seconds();
    return left_s <= 0 ? 0 : (int)(left_s * 1000) + 1;
}

static void turn(void)
{
    struct epoll_event events[EVENTS_MAX];
    int                count = epoll_wait(epoll_fd, events, EVENTS_MAX, wait_ms_of());
    for (int i = 0; i < count; i++)
        act_on_event(&events[i]);
    act_on_timer();
    collect();
}

static void open_multi(long width)
{
    curl_global_init(CURL_GLOBAL_DEFAULT);
    multi = curl_multi_init();
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (multi == NULL || epoll_fd < 0) bench_die("open", strerror(errno));
    curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, on_timer);
    curl_multi_setopt(multi, CURLMOPT_PIPELINING, CURLPIPE_NOTHING);
    curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, width);
}

int main(int argc, char **argv)
{
    if (argc != 5) bench_die("usage", "raw_send URL BODY COUNT WIDTH");
    long width = strtol(argv[4], NULL, 10);
    wanted = strtol(argv[3], NULL, 10);
    open_multi(width);
    struct curl_slist *headers = curl_slist_append(NULL, "Content-Type: application/json");
    headers = curl_slist_append(headers, "Expect:");
    double began = bench_seconds(), cpu_began = bench_cpu_seconds();
    for (long i = 0; i < width; i++)
        begin(make_handle(argv[1], argv[2], headers));
    while (done < wanted)
        turn();
    printf("%ld %.6f %.6f\n", done, bench_seconds() - began, bench_cpu_seconds() - cpu_began);
    return 0;
}
