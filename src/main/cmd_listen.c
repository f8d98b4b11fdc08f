/* A client of a server, anywhere: it needs neither its store nor its settings. */
#include "base/encode.h"
#include "base/json_in.h"
#include "base/world.h"
#include "domain/event.h"
#include "domain/webhook_signature.h"
#include "main/commands.h"
#include "platform/disk.h"
#include "platform/http_client.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum {
    LISTEN_ARENA_BYTES_MAX = 256 << 20,
    LISTEN_REPLY_BYTES_MAX = 8 << 20, /* more than a page can have */
    LISTEN_BODY_BYTES_MAX = 8 << 20,
    LISTEN_KEY_BYTES_MAX = 256,
    LISTEN_PAGE_ROWS = 100,
    LISTEN_SECRET_BYTES = 32,
};
static const int64_t LISTEN_REQUEST_MS_MAX = 30 * 1000;
static const int64_t LISTEN_FORWARD_MS_MAX = 15 * 1000; /* as for real deliveries */
static const int64_t LISTEN_PAUSE_MS = 1000;

struct listener {
    struct arena       *arena; /* for as long as the command runs */
    struct arena        round; /* emptied after each page */
    struct http_client *client;
    struct error        error;
    struct str          url, forward_to, key, secret;
    unsigned            events; /* set of BIT(event type) */
    struct id           after;  /* what is older was seen */
    bool                is_away;
    bool                is_behind; /* more is there already */
};

struct page {
    const json_t *data;
    struct str    next_cursor; /* absent = it is the oldest */
};

/* --- stopping --- */

static void end_signals(sigset_t *set)
{
    sigemptyset(set);
    sigaddset(set, SIGINT);
    sigaddset(set, SIGTERM);
}

/* They are blocked, and looked for. */
static bool is_stopping(void *context)
{
    (void)context;
    sigset_t pending;
    sigpending(&pending);
    return sigismember(&pending, SIGINT) || sigismember(&pending, SIGTERM);
}

static void pause_or_stop(void)
{
    sigset_t set;
    end_signals(&set);
    struct timespec wait = { .tv_sec = LISTEN_PAUSE_MS / 1000 };
    int             signal_number = sigtimedwait(&set, NULL, &wait);
    if (signal_number > 0) raise(signal_number); /* stays pending: is_stopping sees it */
}

/* --- asking --- */

static void say_away(struct listener *listener, bool is_away)
{
    if (is_away == listener->is_away) return;
    listener->is_away = is_away;
    if (is_away)
        fprintf(stderr, "firsthand: %s; asking again until it answers\n", listener->error.detail);
    else
        fprintf(stderr, "firsthand: %.*s answers again\n", STR_ARG(listener->url));
}

/* Another try would be answered the same. */
static bool is_final(int status)
{
    return status >= 400 && status < 500 && status != 408 && status != 429;
}

static enum err refuse(struct listener *listener, const struct http_client_reply *reply)
{
    json_t      *body = NULL;
    struct error ignored = { 0 };
    if (json_parse_reply(&listener->round, reply->body, &ignored, &body)) body = NULL;
    struct str message = in_text(json_object_get(body, "error"), "message", &listener->round);
    return FAIL(&listener->error, is_final(reply->status) ? ERR_INVALID : ERR_UNAVAILABLE,
                "listen_refused", "%.*s answers %d %.*s", STR_ARG(listener->url), reply->status,
                STR_ARG(str_take(message, 100)));
}

/* ERR_INVALID: it will not work. ERR_UNAVAILABLE: later, perhaps. */
static enum err get_page(struct listener *listener, struct str query, struct page *ret_page)
{
    struct arena              *arena = &listener->round;
    struct http_client_reply   reply;
    struct http_client_request request = {
        .method = "GET",
        .url =
            str_format(arena, "%.*s/v1/events?%.*s", STR_ARG(listener->url), STR_ARG(query)).data,
        .headers_count = 1,
        .headers = { str_format(arena, "Authorization: Bearer %.*s", STR_ARG(listener->key)).data },
        .timeout_ms = LISTEN_REQUEST_MS_MAX,
        .reply_bytes_max = LISTEN_REPLY_BYTES_MAX,
        .is_cancelled = is_stopping,
    };
    error_clear(&listener->error);
    enum err e = http_client_send(listener->client, &request, arena, &listener->error, &reply);
    if (e) return e;
    if (reply.status != 200) return refuse(listener, &reply);
    json_t *body;
    e = json_parse_reply(arena, reply.body, &listener->error, &body);
    if (e) return e;
    ret_page->data = json_object_get(body, "data");
    ret_page->next_cursor =
        in_bool(body, "has_more", false) ? in_text(body, "next_cursor", arena) : STR_NONE;
    say_away(listener, false);
    return ERR_OK;
}

/* A page of what is newer than after, newest first. */
static enum err get_events(struct listener *listener, const struct id *after, struct str cursor,
                           struct page *ret_page)
{
    struct buf query;
    buf_init(&query, &listener->round, 1024);
    buf_fmt(&query, "limit=%d", LISTEN_PAGE_ROWS);
    if (!id_is_none(after)) buf_fmt(&query, "&after=%s", after->text);
    if (cursor.data) buf_fmt(&query, "&cursor=%.*s", STR_ARG(cursor));
    if (query.failed)
        return FAIL(&listener->error, ERR_INVALID, "listen_refused", "a cursor is too long");
    return get_page(listener, buf_str(&query), ret_page);
}

/* --- forwarding --- */

/* The text of an event, as it is sent and signed. */
static struct str event_text(struct listener *listener, const json_t *event)
{
    struct buf      text;
    struct json_out out;
    buf_init(&text, &listener->round, LISTEN_BODY_BYTES_MAX);
    json_out_init(&out, &text);
    out_value(&out, NULL, event);
    CHECK(!text.failed); /* it came in a reply no larger */
    return buf_str(&text);
}

static enum err post_event(struct listener *listener, struct str id, struct str body,
                           int *ret_status)
{
    struct arena              *arena = &listener->round;
    struct http_client_reply   reply;
    struct http_client_request request = {
        .method = "POST",
        .url = str_c(arena, listener->forward_to),
        .body = body,
        .headers_count = WEBHOOK_HEADERS + 2,
        .headers = { [WEBHOOK_HEADERS] = "Content-Type: application/json",
                     [WEBHOOK_HEADERS + 1] = "User-Agent: Firsthand/listen" },
        .timeout_ms = LISTEN_FORWARD_MS_MAX,
        .is_cancelled = is_stopping,
    };
    struct webhook_signing signing = {
        .event_id = id,
        .time_s = world_real_ms() / 1000,
        .body = body,
        .secrets_count = 1,
        .secrets = { listener->secret },
    };
    CHECK(webhook_sign(&signing, arena, request.headers)); /* the secret was tried at the start */
    error_clear(&listener->error);
    enum err e = http_client_send(listener->client, &request, arena, &listener->error, &reply);
    if (e == ERR_TOO_LARGE) return ERR_OK; /* an answer it is */
    if (e == ERR_OK) *ret_status = reply.status;
    return e;
}

/* Until the receiver answers, whatever it answers: the next event waits for this one. */
static enum err forward(struct listener *listener, struct str id, const json_t *event,
                        int *ret_status)
{
    struct str body = event_text(listener, event);
    bool       is_told = false;
    for (;;) {
        struct arena_mark mark = arena_mark(&listener->round);
        enum err          e = post_event(listener, id, body, ret_status);
        arena_rewind(&listener->round, mark);
        if (e == ERR_OK || is_stopping(NULL)) return e;
        if (!is_told)
            fprintf(stderr, "firsthand: %.*s: %s; trying again until it answers\n", STR_ARG(id),
                    listener->error.detail);
        is_told = true;
        pause_or_stop();
    }
}

static bool is_wanted(const struct listener *listener, struct str type_name)
{
    enum event_type type;
    return listener->events == EVENTS_ALL ||
           (event_type_parse(type_name, &type) && (listener->events & BIT(type)));
}

static void print_event(const struct listener *listener, const json_t *event, int status)
{
    struct str type = json_text(json_object_get(event, "type"));
    struct str id = json_text(json_object_get(event, "id"));
    struct str at = json_text(json_object_get(event, "created_at"));
    printf("%.*s %.*s %.*s", STR_ARG(at), STR_ARG(type), STR_ARG(id));
    if (listener->forward_to.data) printf(" %d", status);
    printf("\n");
    fflush(stdout);
}

static enum err take_event(struct listener *listener, const json_t *event)
{
    struct str id_text = json_text(json_object_get(event, "id"));
    struct id  id;
    int        status = 0;
    if (!id_parse(id_text, ID_OCCURRENCE, &id))
        return FAIL(&listener->error, ERR_INVALID, "listen_refused", "that is no list of events");
    if (is_wanted(listener, json_text(json_object_get(event, "type")))) {
        enum err e =
            listener->forward_to.data ? forward(listener, id_text, event, &status) : ERR_OK;
        if (e) return e;
        print_event(listener, event, status);
    }
    listener->after = id;
    return ERR_OK;
}

static enum err take_page(struct listener *listener, const struct page *page)
{
    for (size_t i = json_array_size(page->data); i > 0; i--) {
        enum err e = take_event(listener, json_array_get(page->data, i - 1));
        if (e) return e;
    }
    return ERR_OK;
}

/* --- rounds --- */

struct newer {
    struct str    cursor;
    struct newer *next;
};

/* What came since, oldest first. Pages come newest first: down to the oldest, and back up by the
 * cursors that led there. The uppermost has none, and has moved on meanwhile: it is for the next
 * round. What was taken stays taken when it fails halfway. */
static enum err run_round(struct listener *listener, struct arena *cursors)
{
    struct id     after = listener->after; /* cursors belong to a listing, so it stays the same */
    struct newer *newer = NULL;
    struct page   page = { 0 };
    struct str    cursor = STR_NONE;
    enum err      e;
    for (;;) {
        struct arena_mark mark = arena_mark(&listener->round);
        e = get_events(listener, &after, cursor, &page);
        if (e || page.next_cursor.data == NULL) break;
        struct newer *one = NEW(cursors, struct newer, 1);
        *one = (struct newer){ cursor, newer };
        newer = one;
        cursor = str_copy(cursors, page.next_cursor);
        arena_rewind(&listener->round, mark);
    }
    listener->is_behind = newer != NULL;
    if (e == ERR_OK) e = take_page(listener, &page);
    for (; e == ERR_OK && newer && newer->cursor.data; newer = newer->next) {
        struct arena_mark mark = arena_mark(&listener->round);
        e = get_events(listener, &after, newer->cursor, &page);
        if (e == ERR_OK) e = take_page(listener, &page);
        arena_rewind(&listener->round, mark);
    }
    return e;
}

/* Where to begin: behind what is there now. */
static enum err find_newest(struct listener *listener)
{
    struct page page = { 0 };
    enum err    e = get_page(listener, STR("limit=1"), &page);
    if (e || json_array_size(page.data) == 0) return e;
    struct str id = json_text(json_object_get(json_array_get(page.data, 0), "id"));
    if (id_parse(id, ID_OCCURRENCE, &listener->after)) return ERR_OK;
    return FAIL(&listener->error, ERR_INVALID, "listen_refused", "that is no list of events");
}

static enum err try_round(struct listener *listener, bool *has_begun)
{
    struct arena cursors;
    arena_init(&cursors, LISTEN_ARENA_BYTES_MAX);
    arena_init(&listener->round, LISTEN_ARENA_BYTES_MAX);
    enum err e = *has_begun ? run_round(listener, &cursors) : find_newest(listener);
    if (e == ERR_OK) *has_begun = true;
    arena_deinit(&listener->round);
    arena_deinit(&cursors);
    return e;
}

/* ERR_OK once it is told to stop. */
static enum err run_rounds(struct listener *listener)
{
    bool has_begun = !id_is_none(&listener->after);
    while (!is_stopping(NULL)) {
        enum err e = try_round(listener, &has_begun);
        if (e == ERR_INVALID) return e;
        if (e && !is_stopping(NULL)) say_away(listener, true);
        if (e || !listener->is_behind) pause_or_stop();
    }
    return ERR_OK;
}

/* --- the command --- */

static enum err usage(struct listener *listener, const char *problem)
{
    return FAIL(&listener->error, ERR_INVALID, "usage", "%s", problem);
}

/* Not a flag: everybody on the machine sees those. */
static enum err read_key(struct listener *listener, struct str path)
{
    const char *environment = getenv("FIRSTHAND_API_KEY");
    listener->key = environment ? str_of(environment) : STR_NONE;
    if (path.data) {
        const char           *name = str_c(listener->arena, path);
        char                 *text = NEW(listener->arena, char, LISTEN_KEY_BYTES_MAX);
        CLEANUP(fd_close) int fd = open(name, O_RDONLY | O_CLOEXEC);
        ssize_t               got = fd < 0 ? -1 : disk_read_all(fd, text, LISTEN_KEY_BYTES_MAX);
        if (got < 0) return disk_fail(&listener->error, "read", name);
        struct str rest = { text, (size_t)got };
        str_cut(&rest, '\n', &listener->key);
        listener->key = str_trim(listener->key);
    }
    for (size_t i = 0; i < listener->key.len; i++)
        if (listener->key.data[i] <= ' ')
            return usage(listener, "an API key has no such characters");
    if (listener->key.len == 0)
        return usage(listener, "listen needs an API key in FIRSTHAND_API_KEY or --api-key-file");
    return ERR_OK;
}

static enum err refuse_event(struct listener *listener, struct str name)
{
    struct buf names;
    buf_init(&names, listener->arena, ERROR_DETAIL_BYTES_MAX);
    for (int i = 0; i < EVENT_TYPE__COUNT; i++)
        buf_fmt(&names, "%s%s", i > 0 ? ", " : "", event_type_name((enum event_type)i));
    return FAIL(&listener->error, ERR_INVALID, "usage", "unknown event \"%.*s\": there are %.*s",
                STR_ARG(str_take(name, 40)), STR_ARG(buf_str(&names)));
}

static enum err read_events(struct listener *listener, struct str names)
{
    struct str name;
    listener->events = names.data ? 0 : EVENTS_ALL;
    while (str_cut(&names, ',', &name)) {
        enum event_type type;
        if (!event_type_parse(name, &type)) return refuse_event(listener, name);
        listener->events |= BIT(type);
    }
    return ERR_OK;
}

static enum err read_secret(struct listener *listener, struct str given)
{
    unsigned char bytes[LISTEN_SECRET_BYTES];
    const char   *headers[WEBHOOK_HEADERS];
    world_random(bytes, sizeof(bytes));
    struct str made = encode_base64(listener->arena, bytes, sizeof(bytes));
    listener->secret =
        given.data ? given
                   : str_format(listener->arena, WEBHOOK_SECRET_PREFIX "%.*s", STR_ARG(made));
    struct webhook_signing trial = {
        .event_id = STR("occ"), .body = STR(""), .secrets_count = 1, .secrets = { listener->secret }
    };
    if (webhook_sign(&trial, listener->arena, headers)) return ERR_OK;
    return usage(listener, "--secret is whsec_ and base64");
}

static bool is_http(struct str url)
{
    return str_starts_with(url, STR("http://")) || str_starts_with(url, STR("https://"));
}

static enum err read_flags(struct listener *listener, struct flags *flags)
{
    struct str url = flags_take(flags, "url"), after = flags_take(flags, "after");
    struct str secret = flags_take(flags, "secret"), events = flags_take(flags, "events");
    struct str key_file = flags_take(flags, "api-key-file");
    listener->forward_to = flags_take(flags, "forward-to");
    listener->url = url.data ? url : STR("http://127.0.0.1:3000");
    enum err e = flags_all_taken(flags, &listener->error);
    if (e) return e;
    while (str_ends_with(listener->url, STR("/")))
        listener->url.len--;
    if (!is_http(listener->url)) return usage(listener, "--url begins with http:// or https://");
    if (listener->forward_to.data && !is_http(listener->forward_to))
        return usage(listener, "--forward-to begins with http:// or https://");
    if (after.data && !id_parse(after, ID_OCCURRENCE, &listener->after))
        return usage(listener, "--after is the id of an event, occ_…");
    e = read_events(listener, events);
    if (e == ERR_OK) e = read_secret(listener, secret);
    if (e == ERR_OK) e = read_key(listener, key_file);
    return e;
}

static void greet(const struct listener *listener)
{
    fprintf(stderr, "firsthand: listening to %.*s\n", STR_ARG(listener->url));
    if (listener->forward_to.data)
        fprintf(stderr, "firsthand: forwarding to %.*s, signed with %.*s\n",
                STR_ARG(listener->forward_to), STR_ARG(listener->secret));
}

int cmd_listen(struct flags *flags, struct arena *arena)
{
    struct listener listener = { .arena = arena };
    if (read_flags(&listener, flags)) return command_refused(&listener.error);
    sigset_t set;
    end_signals(&set);
    sigprocmask(SIG_BLOCK, &set, NULL);
    listener.client = http_client_open();
    greet(&listener);
    enum err e = run_rounds(&listener);
    http_client_close(listener.client);
    if (e) return command_refused(&listener.error);
    if (!id_is_none(&listener.after))
        fprintf(stderr, "firsthand: to go on from here: --after %s\n", listener.after.text);
    return EXIT_OK;
}
