/* The headers of any request. The first byte says what the rest is: 'a' an Authorization value, 's'
 * edits of an Authorization value that works, 'e' an If-None-Match value, 'r' a Range value, 'i' an
 * Idempotency-Key, 'p' a Prefer value. Only the bearer of the very secret is let in; what is read
 * out of a header reads the same when it is written again. */
#include "fuzz_call.h"

#include "api/byte_range.h"
#include "api/request_header.h"
#include "base/encode.h"
#include "domain/api_key.h"
#include "domain/idempotency.h"
#include "domain/organisation.h"
#include "domain/secret_text.h"
#include "domain/worker.h"
#include "platform/db_migrate.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A store with one API key and one worker's session; its transaction stays open for ever. */
static struct market {
    struct db            *db;
    const struct keyring *keyring;
    struct api_key        key;
    struct worker_session session;
} market;

static void open_store(struct error *error)
{
    char folder[] = "/tmp/fuzz-store-XXXXXX";
    CHECK(mkdtemp(folder) != NULL);
    const char *path = str_format(fuzz_forever(), "%s/store", folder).data;
    const char *url = str_format(fuzz_forever(), "sqlite:%s", path).data;
    CHECK(db_open(url, DB_WRITE, error, &market.db) == ERR_OK);
    CHECK(db_migrate(market.db, 1, error, NULL) == ERR_OK);
    CHECK(db_begin(market.db, error) == ERR_OK);
    static const char *const ends[] = { "", "-wal", "-shm" };
    for (size_t i = 0; i < COUNT_OF(ends); i++) /* the open files live on without their names */
        unlink(str_format(fuzz_forever(), "%s%s", path, ends[i]).data);
    rmdir(folder);
}

static struct call begin_call(struct arena *arena)
{
    struct call        call = { .arena = arena, .keyring = market.keyring };
    const struct actor operator= { .kind = ACTOR_OPERATOR };
    call_begin(&call, market.db, 1, &operator);
    return call;
}

static void open_market(void)
{
    struct error error = { 0 };
    struct id    org, worker;
    open_store(&error);
    market.keyring = fuzz_keyring(FUZZ_KEY_2 FUZZ_KEY_1);
    struct call        call = begin_call(fuzz_forever());
    struct key_request request = { .name = STR("key"), .scopes = SCOPES_ALL };
    CHECK(organisation_create(&call, STR("Org"), STR("a@b.c"), 0, &org) == ERR_OK);
    CHECK(api_key_create(&call, &org, &request, &market.key) == ERR_OK);
    CHECK(worker_create(&call, STR("Ana"), STR("a@b.c"), STR(""), &worker) == ERR_OK);
    CHECK(worker_session_create(&call, &worker, 0, &market.session) == ERR_OK);
}

/* The credentials are let in exactly when they are the ones that work. */
static void check_credentials(struct call *call, struct str secret)
{
    struct actor actor = { .kind = ACTOR_NOBODY };
    bool         is_key = api_key_authenticate(call, secret, &actor) == ERR_OK;
    CHECK(is_key == str_eq(secret, market.key.secret));
    CHECK(!is_key || (actor.kind == ACTOR_API_KEY && id_eq(&actor.key_id, &market.key.id)));
    bool is_worker = worker_authenticate(call, secret, &actor) == ERR_OK;
    CHECK(is_worker == str_eq(secret, market.session.token));
    CHECK(!is_worker ||
          (actor.kind == ACTOR_WORKER && id_eq(&actor.session_id, &market.session.id)));
}

static struct str joined(struct arena *arena, struct str head, struct str tail)
{
    char *out = NEW(arena, char, head.len + tail.len + 1);
    if (head.len) memcpy(out, head.data, head.len);
    if (tail.len) memcpy(out + head.len, tail.data, tail.len);
    return (struct str){ out, head.len + tail.len };
}

static void try_authorization(struct arena *arena, struct str value)
{
    struct call call = begin_call(arena);
    struct str  secret = bearer_parse(value);
    if (secret.data == NULL) return;
    CHECK(str_eq_ignoring_case(str_take(value, 7), STR("bearer ")));
    CHECK(secret.data >= value.data && secret.len + 7 <= value.len);
    CHECK(str_eq(str_trim(secret), secret));
    CHECK(str_eq(bearer_parse(joined(arena, STR("BEARER  "), secret)), secret));
    check_credentials(&call, secret);
}

/* With a checksum that fits, so that the store is asked. */
static struct str with_checksum(struct arena *arena, struct str secret)
{
    if (secret.len < SECRET_CHECKSUM_CHARS) return secret;
    struct str body = str_take(secret, secret.len - SECRET_CHECKSUM_CHARS);
    char       sum[SECRET_CHECKSUM_CHARS];
    encode_base62(encode_crc32(body), sum, sizeof(sum));
    return joined(arena, body, (struct str){ sum, sizeof(sum) });
}

static void try_edited(struct arena *arena, const uint8_t *data, size_t size)
{
    if (size == 0) return;
    struct str secret = data[0] & 1 ? market.session.token : market.key.secret;
    struct str value = joined(arena, STR("Bearer "), secret);
    try_authorization(arena, value);
    value = fuzz_edit(arena, value, data + 1, size - 1);
    if (data[0] & 2) value = with_checksum(arena, value);
    try_authorization(arena, value);
}

static void try_etag(struct arena *arena, struct str value)
{
    struct str etag = STR("\"abcdef0123456789\"");
    bool       is_listed = etag_is_listed(value, etag), may_be = false;
    for (size_t i = 0; i < value.len; i++)
        may_be |= value.data[i] == '*' || str_starts_with(str_skip(value, i), etag);
    CHECK(!is_listed || may_be);
    CHECK(etag_is_listed(joined(arena, value, STR(", W/\"abcdef0123456789\"")), etag));
    CHECK(etag_is_listed(joined(arena, STR("* ,"), value), etag));
}

static void check_part(struct arena *arena, int64_t size, int64_t offset, int64_t length)
{
    int64_t offset_again, length_again;
    CHECK(offset >= 0 && length > 0 && offset <= size - length);
    struct str written =
        str_format(arena, "bytes=%lld-%lld", (long long)offset, (long long)(offset + length - 1));
    CHECK(byte_range_parse(written, size, &offset_again, &length_again) == RANGE_PART);
    CHECK(offset_again == offset && length_again == length);
}

static void try_range(struct arena *arena, struct str value)
{
    static const int64_t sizes[] = { 0, 1, 2, 1000, INT64_MAX };
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        int64_t offset = -1, length = -1;
        switch (byte_range_parse(value, sizes[i], &offset, &length)) {
        case RANGE_WHOLE: CHECK(offset == 0 && length == sizes[i]); break;
        case RANGE_PART: check_part(arena, sizes[i], offset, length); break;
        case RANGE_UNSATISFIABLE: CHECK(memchr(value.data, '-', value.len) != NULL); break;
        }
    }
}

static void try_idempotency_key(struct arena *arena, struct str key)
{
    bool is_plain = key.len >= 1 && key.len <= IDEMPOTENCY_KEY_BYTES_MAX;
    for (size_t i = 0; i < key.len; i++)
        is_plain = is_plain && (unsigned char)key.data[i] - 0x21u < 0x5eu;
    CHECK(idempotency_key_is_valid(key) == is_plain);
    CHECK(!idempotency_key_is_valid(joined(arena, key, STR("\t"))));
}

/* A wait reads the same written plainly, with a parameter, and before and behind others. */
static void try_prefer(struct arena *arena, struct str prefer)
{
    int64_t wait_s, again_s;
    if (!prefer_wait_parse(prefer, &wait_s)) return;
    CHECK(wait_s >= 1 && wait_s <= PREFER_WAIT_S_MAX);
    CHECK(memchr(prefer.data, '=', prefer.len) != NULL);
    struct str plain = str_format(arena, "wait=%lld", (long long)wait_s);
    CHECK(prefer_wait_parse(plain, &again_s) && again_s == wait_s);
    CHECK(prefer_wait_parse(joined(arena, STR("a=\"b,\";wait=7, "), prefer), &again_s));
    CHECK(again_s == wait_s);
    CHECK(prefer_wait_parse(joined(arena, prefer, STR(", wait=7")), &again_s));
    CHECK(again_s == wait_s);
    CHECK(prefer_wait_parse(joined(arena, plain, joined(arena, STR(";"), prefer)), &again_s));
    CHECK(again_s == wait_s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (market.db == NULL) open_market();
    if (size == 0) return 0;
    struct arena arena;
    arena_init(&arena, SIZE_MAX);
    struct str text = { (const char *)data + 1, size - 1 };
    switch (data[0]) {
    case 'a': try_authorization(&arena, text); break;
    case 's': try_edited(&arena, data + 1, size - 1); break;
    case 'e': try_etag(&arena, text); break;
    case 'r': try_range(&arena, text); break;
    case 'p': try_prefer(&arena, text); break;
    case 'i': try_idempotency_key(&arena, text); break;
    default: break;
    }
    arena_deinit(&arena);
    return 0;
}
