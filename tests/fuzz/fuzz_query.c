/* Queries and cursors. The first byte says what the rest is: 'q' which operation of the contract,
 * then a query and, after a newline, a header value; 'd' a text to percent-decode; 'c' a cursor's
 * second key and what is done to the cursor. What is accepted reads the same however it is written;
 * a cursor opens where it was made and nowhere else, and no edited one opens at all. */
#include "fuzz_call.h"

#include "base/encode.h"
#include "domain/page.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct parsed {
    const struct contract_operation *operation;
    enum err                         code;
    int                              faults_count;
    struct contract_value            values[CONTRACT_PARAMETERS_MAX];
};

static struct str header_of(const void *context, const char *name)
{
    (void)name;
    return *(const struct str *)context;
}

static struct parsed parse(const struct contract_operation *operation, struct arena *arena,
                           struct str query, struct str header)
{
    struct parsed parsed = { .operation = operation };
    struct error  error = { 0 };
    parsed.code = contract_check_parameters(operation, arena, query, header_of, &header, &error,
                                            parsed.values);
    parsed.faults_count = error.faults_count;
    CHECK((parsed.code == ERR_OK) == (parsed.faults_count == 0));
    return parsed;
}

static void check_same(const struct parsed *a, const struct parsed *b)
{
    CHECK(a->code == b->code && a->faults_count == b->faults_count);
    for (int i = 0; a->code == ERR_OK && i < a->operation->parameters_count; i++) {
        CHECK(a->values[i].is_present == b->values[i].is_present);
        CHECK(a->values[i].integer == b->values[i].integer);
        CHECK(str_eq(a->values[i].text, b->values[i].text));
        CHECK((a->values[i].text.data == NULL) == (b->values[i].text.data == NULL));
    }
}

static struct str percent_encoded(struct arena *arena, struct str text)
{
    char *out = NEW(arena, char, text.len * 3 + 1);
    for (size_t i = 0; i < text.len; i++)
        snprintf(out + 3 * i, 4, "%%%02x", (unsigned)(unsigned char)text.data[i]);
    return (struct str){ out, text.len * 3 };
}

/* The query that says the same with every byte escaped. */
static struct str rewritten(const struct parsed *parsed, struct arena *arena)
{
    struct str query = STR("");
    for (int i = 0; i < parsed->operation->parameters_count; i++) {
        const struct contract_value *value = &parsed->values[i];
        if (!value->is_present || value->parameter->place != PLACE_QUERY) continue;
        struct str name = percent_encoded(arena, value->parameter->name);
        struct str text = percent_encoded(arena, value->text);
        query = str_format(arena, "%.*s&%.*s=%.*s", STR_ARG(query), STR_ARG(name), STR_ARG(text));
    }
    return query;
}

static struct str reversed(struct arena *arena, struct str query)
{
    struct str pair, out = STR("");
    while (str_cut(&query, '&', &pair))
        out = str_format(arena, "%.*s&%.*s", STR_ARG(pair), STR_ARG(out));
    return out;
}

static void check_values(const struct parsed *parsed, size_t room)
{
    for (int i = 0; i < parsed->operation->parameters_count; i++) {
        const struct contract_value *value = &parsed->values[i];
        CHECK(value->text.data == NULL || str_is_utf8(value->text));
        CHECK(!value->is_present || (value->text.data && value->text.len <= room));
        if (str_eq(value->parameter->name, STR("limit")))
            CHECK(value->integer >= 1 && value->integer <= PAGE_ROWS_MAX);
    }
}

static void try_query(struct arena *arena, uint8_t which, struct str text)
{
    const struct contract *contract = fuzz_contract();
    struct str             query, header = text;
    if (memchr(text.data, '\0', text.len)) return; /* the server cuts these off before */
    str_cut(&header, '\n', &query);
    const struct contract_operation *operation =
        contract_operation_at(contract, which % contract_operations_count(contract));
    struct parsed first = parse(operation, arena, query, header);
    struct parsed again = parse(operation, arena, reversed(arena, query), header);
    check_same(&first, &again);
    struct str among = str_format(arena, "colour=1&%.*s&=&%%zz=&x%%00", STR_ARG(query));
    again = parse(operation, arena, among, header);
    check_same(&first, &again);
    if (first.code) return;
    check_values(&first, text.len);
    again = parse(operation, arena, rewritten(&first, arena), header);
    check_same(&first, &again);
}

static void try_decode(struct arena *arena, struct str text)
{
    struct str decoded;
    CHECK(decode_percent(arena, percent_encoded(arena, text), true, &decoded));
    CHECK(str_eq(decoded, text));
    if (!decode_percent(arena, text, false, &decoded)) return;
    size_t escapes = 0;
    for (size_t i = 0; i < text.len; i++)
        escapes += text.data[i] == '%';
    CHECK(decoded.len + 2 * escapes == text.len);
}

/* The code of opening this cursor of the listing. */
static enum err open_cursor(struct call *call, struct str listing, struct str cursor,
                            enum id_kind kind, struct page *page)
{
    error_clear(&call->error);
    return page_open(call, listing, cursor, 20, kind, page);
}

static void try_cursor(struct arena *arena, const uint8_t *data, size_t size)
{
    static const struct keyring *keyring;
    if (keyring == NULL) keyring = fuzz_keyring(FUZZ_KEY_2 FUZZ_KEY_1);
    int64_t key = 0;
    if (size < sizeof(key)) return;
    memcpy(&key, data, sizeof(key));
    struct call call = { .arena = arena, .keyring = keyring, .now_ms = 1 };
    struct id   last;
    struct page page;
    struct str  listing = STR("jobs:org_1:live");
    CHECK(id_parse(STR("job_01ARZ3NDEKTSV4RRFFQ69G5FAV"), ID_JOB, &last));
    struct str cursor = page_cursor(&call, listing, &last, key);
    CHECK(open_cursor(&call, listing, cursor, ID_JOB, &page) == ERR_OK);
    CHECK(id_eq(&page.before, &last) && page.key == key);
    CHECK(open_cursor(&call, STR("jobs:org_1:test"), cursor, ID_JOB, &page) == ERR_INVALID);
    CHECK(open_cursor(&call, listing, cursor, ID_FILE, &page) == ERR_INVALID);
    struct str edited = fuzz_edit(arena, cursor, data + sizeof(key), size - sizeof(key));
    if (!str_eq(edited, cursor))
        CHECK(open_cursor(&call, listing, edited, ID_JOB, &page) == ERR_INVALID);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2) return 0;
    struct arena arena;
    arena_init(&arena, SIZE_MAX);
    switch (data[0]) {
    case 'q': try_query(&arena, data[1], (struct str){ (const char *)data + 2, size - 2 }); break;
    case 'd': try_decode(&arena, (struct str){ (const char *)data + 1, size - 1 }); break;
    case 'c': try_cursor(&arena, data + 1, size - 1); break;
    default: break;
    }
    arena_deinit(&arena);
    return 0;
}
