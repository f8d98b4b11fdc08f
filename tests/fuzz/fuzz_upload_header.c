/* The header values of uploads, as a client may send them: whatever it is, a file name that comes
 * out is one a person can be shown and no path, and a checksum has the length of its digest. */
#include "api/upload_header.h"
#include "domain/submission.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ARENA_BYTES = 4 << 20 };

static void check_name(struct str name)
{
    if (name.data == NULL) return;
    CHECK(name.len > 0 && name.len <= FILENAME_BYTES_MAX);
    CHECK(str_is_utf8(name));
    CHECK(memchr(name.data, '/', name.len) == NULL && memchr(name.data, '\\', name.len) == NULL);
    for (size_t i = 0; i < name.len; i++)
        CHECK((unsigned char)name.data[i] >= 0x20 && name.data[i] != 0x7f);
    CHECK(!str_eq(name, STR(".")) && !str_eq(name, STR("..")));
}

/* Metadata that is taken goes back in a header as it came. */
static void check_metadata(struct str value, struct str name)
{
    for (size_t i = 0; i < value.len; i++)
        CHECK((unsigned char)value.data[i] >= 0x20 && value.data[i] != 0x7f);
    check_name(name);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena           arena;
    struct error           error = { 0 };
    struct upload_checksum checksum;
    struct str             value = { size ? (const char *)data : "", size }, name = STR_NONE;
    int64_t                bytes = -1;
    arena_init(&arena, ARENA_BYTES);
    check_name(upload_disposition_filename(&arena, value));
    check_name(upload_filename(&arena, value));
    if (upload_metadata_parse(&arena, value, &error, &name) == ERR_OK) check_metadata(value, name);
    if (upload_checksum_parse(&arena, value, &error, &checksum) == ERR_OK)
        CHECK(checksum_bytes(checksum.kind) <= sizeof(checksum.digest));
    if (upload_bytes_parse(value, &bytes)) CHECK(bytes >= 0);
    arena_deinit(&arena);
    return 0;
}
