#include "platform/http_sender_private.h"

#include "base/world.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { EVENTS_MAX = 64 };
static const int64_t US_PER_MS = 1000;

static const char *const outcome_names[] = {
    [HTTP_ANSWERED] = "answered",
    [HTTP_URL_REFUSED] = "url_refused",
    [HTTP_NAME_UNKNOWN] = "name_unknown",
    [HTTP_ADDRESS_REFUSED] = "address_refused",
    [HTTP_NOT_CONNECTED] = "not_connected",
    [HTTP_TLS_FAILED] = "tls_failed",
    [HTTP_CLOSED] = "connection_closed",
    [HTTP_TIMED_OUT] = "timed_out",
    [HTTP_REPLY_MALFORMED] = "reply_malformed",
};
static_assert(COUNT_OF(outcome_names) == HTTP_OUTCOME__COUNT, "every outcome has a name");

const char *http_send_outcome_name(enum http_send_outcome outcome)
{
    CHECK((unsigned)outcome < HTTP_OUTCOME__COUNT);
    return outcome_names[outcome];
}

/* --- libcurl's sockets and timer --- */

static int on_socket(CURL *curl, curl_socket_t fd, int what, void *argument, void *is_known)
{
    (void)curl;
    struct http_sender *sender = argument;
    struct epoll_event  event = { .data.fd = fd };
    if (what == CURL_POLL_REMOVE) {
        /* Closed already, it is gone from there by itself. */
        (void)epoll_ctl(sender->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
        return 0;
    }
    if (what & CURL_POLL_IN) event.events |= EPOLLIN;
    if (what & CURL_POLL_OUT) event.events |= EPOLLOUT;
    /* One that was closed in between is no longer there, whatever libcurl remembers of its number.
     */
    if (is_known == NULL || epoll_ctl(sender->epoll_fd, EPOLL_CTL_MOD, fd, &event) != 0)
        CHECK(epoll_ctl(sender->epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0);
    CHECK(curl_multi_assign(sender->multi, fd, sender) == CURLM_OK);
    return 0;
}

static int on_timer(CURLM *multi, long wait_ms, void *argument)
{
    (void)multi;
    struct http_sender *sender = argument;
    sender->timer_us = wait_ms < 0 ? 0 : world_monotonic_us() + wait_ms * US_PER_MS;
    return 0;
}

static void act(struct http_sender *sender, curl_socket_t fd, int what)
{
    int running;
    CHECK(curl_multi_socket_action(sender->multi, fd, what, &running) == CURLM_OK);
}

static void act_on_event(struct http_sender *sender, const struct epoll_event *event)
{
    int what = 0;
    if (event->data.fd == sender->wake_fd) {
        uint64_t count;
        CHECK(read(sender->wake_fd, &count, sizeof(count)) == sizeof(count));
        return;
    }
    if (event->events & EPOLLIN) what |= CURL_CSELECT_IN;
    if (event->events & EPOLLOUT) what |= CURL_CSELECT_OUT;
    if (event->events & (EPOLLERR | EPOLLHUP)) what |= CURL_CSELECT_ERR;
    act(sender, event->data.fd, what);
}

static void act_on_timer(struct http_sender *sender)
{
    if (sender->timer_us == 0 || world_monotonic_us() < sender->timer_us) return;
    sender->timer_us = 0;
    act(sender, CURL_SOCKET_TIMEOUT, 0);
}

static void collect_ended(struct http_sender *sender)
{
    CURLMsg *message;
    int      left;
    while ((message = curl_multi_info_read(sender->multi, &left)) != NULL) {
        struct transfer *transfer = NULL;
        CURLcode         result = message->data.result;
        if (message->msg != CURLMSG_DONE) continue;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&transfer);
        transfer_ended(transfer, result);
    }
}

/* --- submitting and ending --- */

int http_sender_room(const struct http_sender *sender)
{
    return sender->room;
}

static struct transfer *transfer_take(struct http_sender *sender)
{
    struct transfer *transfer = sender->unused;
    CHECK(sender->room > 0);
    sender->room--;
    if (transfer) {
        sender->unused = transfer->next;
        return transfer;
    }
    transfer = &sender->transfers[sender->transfers_used++];
    transfer->sender = sender;
    return transfer;
}

void http_sender_submit(struct http_sender *sender, struct http_send *send)
{
    struct transfer *transfer = transfer_take(sender);
    send->outcome = HTTP_ANSWERED;
    send->status = 0;
    send->retry_after_s = 0;
    transfer->send = send;
    transfer_begin(transfer);
}

void http_sender_end(struct http_sender *sender, struct transfer *transfer,
                     enum http_send_outcome outcome)
{
    struct http_send *send = transfer->send;
    send->outcome = outcome;
    send->latency_us = world_monotonic_us() - transfer->started_us;
    send->next = NULL;
    *sender->ended_last = send;
    sender->ended_last = &send->next;
    send->transfer = transfer;
}

static void call_done(struct http_sender *sender)
{
    while (sender->ended) {
        struct http_send *send = sender->ended;
        struct transfer  *transfer = send->transfer;
        sender->ended = send->next;
        if (sender->ended == NULL) sender->ended_last = &sender->ended;
        send->reply = (struct str){ transfer->kept, transfer->kept_bytes };
        transfer->send = NULL;
        transfer->next = sender->unused;
        sender->unused = transfer;
        sender->room++;
        send->done(send->argument); /* what it submits overwrites the reply only later */
    }
}

/* --- the loop --- */

/* Those that wait for a name have no timer of libcurl's yet. */
static int64_t expire_names(struct http_sender *sender, int64_t wait_us)
{
    int64_t now_us = world_monotonic_us();
    for (int i = 0; i < sender->transfers_used; i++) {
        struct transfer *transfer = &sender->transfers[i];
        if (transfer->send == NULL || transfer->question.lookup == NULL) continue;
        transfer_expire(transfer, now_us);
        int64_t left_us = transfer->deadline_us - now_us;
        if (left_us < wait_us) wait_us = left_us < 0 ? 0 : left_us;
    }
    return wait_us;
}

static int64_t wait_us_of(struct http_sender *sender, int64_t wait_ms)
{
    int64_t wait_us = expire_names(sender, wait_ms * US_PER_MS);
    if (sender->ended) return 0;
    if (sender->timer_us == 0) return wait_us;
    int64_t left_us = sender->timer_us - world_monotonic_us();
    if (left_us < 0) left_us = 0;
    return left_us < wait_us ? left_us : wait_us;
}

void http_sender_run(struct http_sender *sender, int64_t wait_ms)
{
    struct epoll_event events[EVENTS_MAX];
    act_on_timer(sender);
    collect_ended(sender);
    int64_t wait_us = wait_us_of(sender, wait_ms);
    int     count = epoll_wait(sender->epoll_fd, events, EVENTS_MAX,
                               (int)((wait_us + US_PER_MS - 1) / US_PER_MS));
    CHECK(count >= 0 || errno == EINTR);
    for (int i = 0; i < count; i++)
        act_on_event(sender, &events[i]);
    act_on_timer(sender);
    resolver_collect(sender->resolver);
    collect_ended(sender);
    call_done(sender);
}

void http_sender_wake(struct http_sender *sender)
{
    uint64_t one = 1;
    CHECK(write(sender->wake_fd, &one, sizeof(one)) == sizeof(one) || errno == EAGAIN);
}

/* --- open and close --- */

static void wake(void *argument)
{
    http_sender_wake(argument);
}

static void init_global(void)
{
    CHECK(curl_global_init(CURL_GLOBAL_DEFAULT) == 0);
}

static void open_multi(struct http_sender *sender)
{
    static pthread_once_t is_global_ready = PTHREAD_ONCE_INIT;
    CHECK(pthread_once(&is_global_ready, init_global) == 0);
    sender->multi = curl_multi_init();
    CHECK(sender->multi != NULL);
    curl_multi_setopt(sender->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    curl_multi_setopt(sender->multi, CURLMOPT_SOCKETDATA, sender);
    curl_multi_setopt(sender->multi, CURLMOPT_TIMERFUNCTION, on_timer);
    curl_multi_setopt(sender->multi, CURLMOPT_TIMERDATA, sender);
    curl_multi_setopt(sender->multi, CURLMOPT_PIPELINING, CURLPIPE_NOTHING);
    curl_multi_setopt(sender->multi, CURLMOPT_MAXCONNECTS, (long)HTTP_SENDER_TRANSFERS_MAX);
}

struct http_sender *http_sender_open(const struct http_sender_options *options)
{
    struct http_sender *sender = calloc(1, sizeof(*sender));
    CHECK(sender != NULL);
    sender->options = *options;
    sender->ended_last = &sender->ended;
    sender->room = HTTP_SENDER_TRANSFERS_MAX;
    sender->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    sender->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    CHECK(sender->epoll_fd >= 0 && sender->wake_fd >= 0);
    struct epoll_event event = { .events = EPOLLIN, .data.fd = sender->wake_fd };
    CHECK(epoll_ctl(sender->epoll_fd, EPOLL_CTL_ADD, sender->wake_fd, &event) == 0);
    open_multi(sender);
    sender->resolver = resolver_start(wake, sender);
    return sender;
}

void http_sender_close(struct http_sender *sender)
{
    resolver_stop(sender->resolver);
    for (int i = 0; i < sender->transfers_used; i++) {
        struct transfer *transfer = &sender->transfers[i];
        if (transfer->is_under_way) (void)curl_multi_remove_handle(sender->multi, transfer->curl);
        curl_easy_cleanup(transfer->curl);
    }
    CHECK(curl_multi_cleanup(sender->multi) == CURLM_OK);
    close(sender->epoll_fd);
    close(sender->wake_fd);
    free(sender);
}
