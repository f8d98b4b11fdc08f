/* The small texts that clients hand in outside of bodies: ranges, cursors, links, ids, times, keys,
 * durations, e-mail addresses. Nothing may crash; what is accepted must mean what it says. */
#include "api/byte_range.h"
#include "base/time_text.h"
#include "domain/account.h"
#include "domain/api_key.h"
#include "domain/delivered_file.h"
#include "domain/idempotency.h"
#include "domain/page.h"
#include "platform/keyring.h"

#include <stdint.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct arena          forever;
static const struct keyring *keyring;

/* A server key in a folder of its own, made once. */
static void open_keyring(void)
{
    char         folder[] = "/tmp/fuzz-wire-XXXXXX";
    struct error error = { 0 };
    arena_init(&forever, 1 << 20);
    CHECK(mkdtemp(folder) != NULL);
    struct str path = str_format(&forever, "%s/server.key", folder);
    CHECK(keyring_open(path.data, true, &forever, &error, &keyring) == ERR_OK);
    unlink(path.data);
    rmdir(folder);
}

static void try_range(struct str text)
{
    static const int64_t sizes[] = { 0, 1, 1000, INT64_MAX };
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        int64_t offset, length;
        if (byte_range_parse(text, sizes[i], &offset, &length) != RANGE_PART) continue;
        CHECK(offset >= 0 && length > 0 && offset <= sizes[i] - length);
    }
}

/* No text that was not made by this key may be let in. */
static void try_signed(struct call *call, struct str text)
{
    struct page page;
    struct str  file_id = STR("file_01ARZ3NDEKTSV4RRFFQ69G5FAV");
    if (text.data) CHECK(page_open(call, STR("jobs:x"), text, 20, ID_JOB, &page) != ERR_OK);
    CHECK(file_check_link(call, file_id, STR("99999999999"), STR("1"), text) != ERR_OK);
    CHECK(file_check_link(call, file_id, text, STR("1"), STR("AAAA")) != ERR_OK);
    CHECK(file_check_link(call, file_id, STR("99999999999"), text, STR("AAAA")) != ERR_OK);
}

static void try_text(struct call *call, struct str text)
{
    struct id  id;
    int64_t    value;
    char       again[TIME_TEXT_BYTES];
    struct str out;
    for (int kind = 0; kind < ID_KIND__COUNT; kind++)
        if (id_parse(text, (enum id_kind)kind, &id)) CHECK(str_eq(id_str(&id), text));
    if (time_parse(text, &value)) {
        int64_t same;
        time_format(value, again);
        CHECK(time_parse(str_of(again), &same) && same == value);
    }
    if (duration_parse(text, &value)) CHECK(value >= 0);
    if (email_normalise(text, call->arena, &out)) CHECK(out.len == text.len);
    (void)api_key_is_well_formed(text);
    (void)idempotency_key_is_valid(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (keyring == NULL) open_keyring();
    struct arena arena;
    arena_init(&arena, 1 << 20);
    struct str  text = { (const char *)data, size };
    struct call call = { .arena = &arena, .keyring = keyring, .now_ms = 1 };
    try_range(text);
    try_signed(&call, text);
    try_text(&call, text);
    arena_deinit(&arena);
    return 0;
}
