/* JSON from outside: what parses is written and parsed again, and is the same value and, from then
 * on, the same text. */
#include "base/buf.h"
#include "base/json_in.h"
#include "base/json_out.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ARENA_BYTES = 64 << 20 };

/* The most that one input byte becomes: "1e9" is written as 1000000000.0. */
enum { GROWTH = 8, ROOM_BYTES = 64 };

static struct str written(struct arena *arena, const json_t *root, size_t bytes_max)
{
    struct buf      buf;
    struct json_out out;
    buf_init(&buf, arena, bytes_max);
    json_out_init(&out, &buf);
    out_value(&out, NULL, root);
    CHECK(!buf.failed);
    return buf_str(&buf);
}

static void read_members(struct arena *arena, const json_t *root)
{
    static const char *const keys[] = { "", "a", "title", "metadata" };
    for (size_t i = 0; i < COUNT_OF(keys); i++) {
        struct str text = in_text(root, keys[i], arena);
        CHECK(text.data == NULL || str_is_utf8(text));
        CHECK(!(in_has(root, keys[i]) && in_is_null(root, keys[i])));
        (void)in_int(root, keys[i], 0);
        (void)in_bool(root, keys[i], false);
        (void)in_number(root, keys[i], 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    struct error error = { 0 };
    json_t      *root = NULL, *again = NULL;
    arena_init(&arena, ARENA_BYTES);
    enum err e = json_parse(&arena, (struct str){ (const char *)data, size }, &error, &root);
    if (e == ERR_OK) {
        struct str text = written(&arena, root, size * GROWTH + ROOM_BYTES);
        CHECK(str_is_utf8(text));
        CHECK(json_parse(&arena, text, &error, &again) == ERR_OK);
        CHECK(json_equal(root, again));
        CHECK(str_eq(written(&arena, again, text.len), text));
        read_members(&arena, root);
    } else {
        CHECK(e == ERR_INVALID && error.slug != NULL && root == NULL);
    }
    arena_deinit(&arena);
    return 0;
}
