/* The server's sender without its store: the same requests through src/platform/http_sender.c,
 * signed as deliveries are.
 *
 *   sender_alone URL BODY COUNT WIDTH                prints: requests seconds cpu_seconds */
#include "bench_store.h"

#include "domain/webhook_signature.h"
#include "platform/http_sender.h"

#include <stdio.h>
#include <stdlib.h>

enum { ARENA_BYTES_MAX = 1 << 20 };

#define SECRET "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="

struct request {
    struct http_send send;
    struct arena     arena;
};

static struct http_sender *sender;
static const char         *url;
static struct str          body;
static long                begun, done, wanted;

static void begin(struct request *request);

static void take_outcome(void *argument)
{
    struct request *request = argument;
    if (request->send.status != 200)
        bench_die("request", http_send_outcome_name(request->send.outcome));
    done++;
    arena_deinit(&request->arena);
    begin(request);
}

static void begin(struct request *request)
{
    if (begun >= wanted) return;
    struct http_send      *send = &request->send;
    struct webhook_signing signing = {
        .event_id = STR("evt_01ARZ3NDEKTSV4RRFFQ69G5FAV"),
        .time_s = 1800000000 + begun++,
        .body = body,
        .secrets_count = 1,
        .secrets = { STR(SECRET) },
    };
    arena_init(&request->arena, ARENA_BYTES_MAX);
    *send = (struct http_send){ .url = url,
                                .body = body,
                                .headers_count = WEBHOOK_HEADERS,
                                .timeout_ms = 15000,
                                .done = take_outcome,
                                .argument = request };
    if (!webhook_sign(&signing, &request->arena, send->headers)) bench_die("sign", "failed");
    http_sender_submit(sender, send);
}

int main(int argc, char **argv)
{
    struct http_sender_options options = { 0 };
    struct arena               arena;
    struct error               error = { 0 };
    if (argc != 5) bench_die("usage", "sender_alone URL BODY COUNT WIDTH");
    url = argv[1];
    body = str_of(argv[2]);
    wanted = strtol(argv[3], NULL, 10);
    long width = strtol(argv[4], NULL, 10);
    arena_init(&arena, ARENA_BYTES_MAX);
    if (http_guard_open(STR("127.0.0.1/32"), STR_NONE, 0, &arena, &error, &options.guard))
        bench_die("guard", error.detail);
    sender = http_sender_open(&options);
    if (width > http_sender_room(sender)) bench_die("width", "too many at a time");
    struct request *requests = NEW(&arena, struct request, width);
    double          began = bench_seconds(), cpu_began = bench_cpu_seconds();
    for (long i = 0; i < width; i++)
        begin(&requests[i]);
    while (done < wanted)
        http_sender_run(sender, 1000);
    printf("%ld %.6f %.6f\n", done, bench_seconds() - began, bench_cpu_seconds() - cpu_began);
    http_sender_close(sender);
    arena_deinit(&arena);
    return 0;
}
