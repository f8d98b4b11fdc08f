/* Signed download links, as the server reads them: through the contract, then the check. The first
 * byte says what the rest is: 'l' when and with which keys a genuine link is used, and edits of its
 * query; 'q' a whole query. A link works exactly when every decoded part is the genuine one, its
 * key is still listed and its time has not come. */
#include "fuzz_call.h"

#include "domain/delivered_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const int64_t MADE_MS = 1767225600000;

enum { RING_OLD, RING_BOTH, RING_NEW, RING__COUNT };

struct link {
    struct str expires, key, signature;
};

static const struct keyring *ring_of(int which)
{
    static const struct keyring *rings[RING__COUNT];
    static const char *const lines[] = { FUZZ_KEY_1, FUZZ_KEY_2 FUZZ_KEY_1, FUZZ_KEY_3 FUZZ_KEY_2 };
    if (rings[which] == NULL) rings[which] = fuzz_keyring(lines[which]);
    return rings[which];
}

static struct str no_header(const void *context, const char *name)
{
    (void)context, (void)name;
    return STR_NONE;
}

static bool link_parse(struct arena *arena, struct str query, struct link *ret_link)
{
    const struct contract_operation *operation =
        contract_find(fuzz_contract(), STR("downloadFile"));
    struct contract_value values[CONTRACT_PARAMETERS_MAX];
    struct error          error = { 0 };
    if (contract_check_parameters(operation, arena, query, no_header, NULL, &error, values))
        return false;
    for (int i = 0; i < operation->parameters_count; i++) {
        struct str name = values[i].parameter->name;
        if (str_eq(name, STR("expires"))) ret_link->expires = values[i].text;
        if (str_eq(name, STR("key"))) ret_link->key = values[i].text;
        if (str_eq(name, STR("signature"))) ret_link->signature = values[i].text;
    }
    return true;
}

/* The genuine link of the file, made under the only key of the oldest ring. */
static struct str genuine_query(struct arena *arena, const struct id *file_id, int64_t *expires_ms)
{
    struct config config = { .public_url = STR("http://h") };
    struct call   call = {
          .arena = arena, .keyring = ring_of(RING_OLD), .now_ms = MADE_MS, .config = &config
    };
    struct str query = file_download_url(&call, file_id, expires_ms), url;
    CHECK(str_cut(&query, '?', &url) && str_ends_with(url, id_str(file_id)));
    return query;
}

static bool link_eq(const struct link *a, const struct link *b)
{
    return str_eq(a->expires, b->expires) && str_eq(a->key, b->key) &&
           str_eq(a->signature, b->signature);
}

/* Use the query for both files with that ring at that time. */
static void try_link(struct arena *arena, struct str query, int ring, int64_t now_ms)
{
    struct id   file, other;
    struct link genuine = { 0 }, link = { 0 };
    struct call call = { .arena = arena, .keyring = ring_of(ring), .now_ms = now_ms };
    int64_t     expires_ms;
    CHECK(id_parse(STR("file_01ARZ3NDEKTSV4RRFFQ69G5FAV"), ID_FILE, &file));
    CHECK(id_parse(STR("file_01ARZ3NDEKTSV4RRFFQ69G5FAW"), ID_FILE, &other));
    CHECK(link_parse(arena, genuine_query(arena, &file, &expires_ms), &genuine));
    if (!link_parse(arena, query, &link)) return;
    bool     is_genuine = link_eq(&link, &genuine) && ring != RING_NEW;
    enum err e = file_check_link(&call, id_str(&file), link.expires, link.key, link.signature);
    CHECK((e == ERR_OK) == (is_genuine && now_ms < expires_ms));
    if (e)
        CHECK(str_eq(str_of(call.error.slug),
                     is_genuine ? STR("link_expired") : STR("link_invalid")));
    CHECK(file_check_link(&call, id_str(&other), link.expires, link.key, link.signature) ==
          ERR_FORBIDDEN);
}

/* A byte for the ring, two for the time: up to nine days from when the link was made. */
static void try_edited(struct arena *arena, const uint8_t *data, size_t size)
{
    struct id file;
    int64_t   expires_ms;
    if (size < 3) return;
    int64_t minutes = (data[1] << 8 | data[2]) % (9 * 24 * 60);
    CHECK(id_parse(STR("file_01ARZ3NDEKTSV4RRFFQ69G5FAV"), ID_FILE, &file));
    struct str query = genuine_query(arena, &file, &expires_ms);
    query = fuzz_edit(arena, query, data + 3, size - 3);
    try_link(arena, query, data[0] % RING__COUNT, MADE_MS + minutes * 60000);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) return 0;
    struct arena arena;
    arena_init(&arena, SIZE_MAX);
    switch (data[0]) {
    case 'l': try_edited(&arena, data + 1, size - 1); break;
    case 'q':
        try_link(&arena, (struct str){ (const char *)data + 1, size - 1 }, RING_BOTH, MADE_MS);
        break;
    default: break;
    }
    arena_deinit(&arena);
    return 0;
}
