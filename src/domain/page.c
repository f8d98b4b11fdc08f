#include "domain/page.h"

#include "base/encode.h"
#include "base/num.h"

#include <string.h>

/* A cursor is base64url of: key number, 8 bytes of MAC, "ID KEY". */
enum { MAC_BYTES = 8, HEAD_BYTES = 1 + MAC_BYTES, CURSOR_BYTES_MAX = 200 };

static struct str covered(struct call *call, struct str listing, struct str payload)
{
    return str_format(call->arena, "%.*s\n%.*s", STR_ARG(listing), STR_ARG(payload));
}

struct str page_cursor(struct call *call, struct str listing, const struct id *last, int64_t key)
{
    struct str    payload = str_format(call->arena, "%s %lld", last->text, (long long)key);
    unsigned char mac[SHA256_BYTES];
    int           number = keyring_newest(call->keyring);
    CHECK(keyring_mac(call->keyring, number, PURPOSE_CURSOR, covered(call, listing, payload), mac));
    char *bytes = NEW(call->arena, char, HEAD_BYTES + payload.len);
    bytes[0] = (char)number;
    memcpy(bytes + 1, mac, MAC_BYTES);
    memcpy(bytes + HEAD_BYTES, payload.data, payload.len);
    return encode_base64url(call->arena, bytes, HEAD_BYTES + payload.len);
}

static bool cursor_parse(struct call *call, struct str listing, struct str cursor,
                         enum id_kind kind, struct page *page)
{
    struct str    bytes, id_text;
    unsigned char mac[SHA256_BYTES];
    if (cursor.len > CURSOR_BYTES_MAX || !decode_base64url(call->arena, cursor, &bytes))
        return false;
    if (bytes.len <= HEAD_BYTES) return false;
    struct str payload = str_skip(bytes, HEAD_BYTES);
    return keyring_mac(call->keyring, (unsigned char)bytes.data[0], PURPOSE_CURSOR,
                       covered(call, listing, payload), mac) &&
           crypto_equal(mac, bytes.data + 1, MAC_BYTES) && str_cut(&payload, ' ', &id_text) &&
           id_parse(id_text, kind, &page->before) && str_to_int64(payload, &page->key);
}

enum err page_open(struct call *call, struct str listing, struct str cursor, int64_t limit,
                   enum id_kind kind, struct page *ret_page)
{
    struct page page = { .rows_max = (int)num_clamp(limit, 1, PAGE_ROWS_MAX) };
    if (cursor.data != NULL && !cursor_parse(call, listing, cursor, kind, &page)) {
        error_add_fault(&call->error, call->arena, STR("cursor"), "cursor",
                        "is not a cursor of this listing");
        return FAIL_FAULTS(&call->error, call->arena, ERR_INVALID, "invalid_parameters");
    }
    *ret_page = page;
    return ERR_OK;
}

struct str page_listing(struct call *call, const char *name)
{
    const struct actor *actor = &call->actor;
    if (actor->kind == ACTOR_WORKER)
        return str_format(call->arena, "%s:%s", name, actor->worker_id.text);
    return str_format(call->arena, "%s:%s:%s", name, actor->org_id.text,
                      environment_name(actor->environment));
}

bool page_search_has_room(struct page_search *search, size_t text_bytes)
{
    size_t with_it = search->text_bytes + text_bytes;
    search->is_full = search->text_bytes > 0 && with_it > PAGE_TEXT_BYTES_MAX;
    if (!search->is_full) search->text_bytes = with_it;
    return !search->is_full;
}

void page_search_end_before(struct page_search *search, int index, const struct id *last)
{
    search->count = index;
    search->last_seen = *last;
}

void page_search_saw(struct page_search *search, const struct id *id)
{
    search->last_seen = *id;
    search->seen_count++;
}

bool page_search_is_cut(const struct page_search *search)
{
    int rows_max = search->rows_max > 0 ? search->rows_max : PAGE_SCAN_ROWS_MAX;
    return search->is_full || search->seen_count == rows_max;
}
