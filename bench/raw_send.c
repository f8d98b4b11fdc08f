/* The limit that deliveries are compared with: libcurl's multi interface over connections that are
 * kept, POSTing the same bytes, and nothing else: no signature, no guard, no store.
 *
 *   raw_send URL BODY COUNT WIDTH                    prints: requests seconds cpu_seconds
 *
 * WIDTH requests are under way at a time; a handle that is done is used again at once. */
#include "bench_store.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>

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
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, ignore);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    return curl;
}

struct tally {
    CURLM *multi;
    long   begun, done, wanted;
};

static void begin(struct tally *tally, CURL *curl)
{
    if (tally->begun >= tally->wanted) return;
    tally->begun++;
    curl_multi_add_handle(tally->multi, curl);
}

static void collect(struct tally *tally)
{
    CURLMsg *message;
    int      left;
    while ((message = curl_multi_info_read(tally->multi, &left)) != NULL) {
        CURL *curl = message->easy_handle;
        if (message->data.result != CURLE_OK)
            bench_die("request", curl_easy_strerror(message->data.result));
        tally->done++;
        curl_multi_remove_handle(tally->multi, curl);
        begin(tally, curl);
    }
}

int main(int argc, char **argv)
{
    if (argc != 5) bench_die("usage", "raw_send URL BODY COUNT WIDTH");
    curl_global_init(CURL_GLOBAL_DEFAULT);
    struct tally       tally = { .multi = curl_multi_init(), .wanted = strtol(argv[3], NULL, 10) };
    struct curl_slist *headers = curl_slist_append(NULL, "Content-Type: application/json");
    headers = curl_slist_append(headers, "Expect:");
    double began = bench_seconds(), cpu_began = bench_cpu_seconds();
    for (long i = 0; i < strtol(argv[4], NULL, 10); i++)
        begin(&tally, make_handle(argv[1], argv[2], headers));
    while (tally.done < tally.wanted) {
        int running;
        curl_multi_perform(tally.multi, &running);
        collect(&tally);
        curl_multi_poll(tally.multi, NULL, 0, 1000, NULL);
    }
    printf("%ld %.6f %.6f\n", tally.done, bench_seconds() - began, bench_cpu_seconds() - cpu_began);
    return 0;
}
