#include "platform/media_template.h"

#include "base/encode.h"
#include "platform/embedded.h"

#include <assert.h>
#include <string.h>

struct facts {
    int32_t width, height;
    int64_t duration_ms;
};

static const struct facts facts[] = {
    [MEDIA_PNG] = { 640, 480, 0 },    [MEDIA_JPEG] = { 640, 480, 0 },
    [MEDIA_WEBP] = { 640, 480, 0 },   [MEDIA_MP3] = { 0, 0, 2000 },
    [MEDIA_WAV] = { 0, 0, 900 },      [MEDIA_M4A] = { 0, 0, 2048 },
    [MEDIA_MP4] = { 320, 240, 2048 }, [MEDIA_MOV] = { 320, 240, 2048 },
};
static_assert(COUNT_OF(facts) == MEDIA_TYPE__COUNT, "a row for every media type");

void media_template_facts(enum media_type type, struct media_result *ret_facts)
{
    CHECK((unsigned)type < MEDIA_TYPE__COUNT);
    *ret_facts = (struct media_result){
        .version = MEDIA_RESULT_VERSION,
        .verdict = MEDIA_DECODED,
        .type = (int32_t)type,
        .width = facts[type].width,
        .height = facts[type].height,
        .duration_ms = facts[type].duration_ms,
    };
}

static struct str template_of(enum media_type type, struct arena *arena)
{
    struct str name = str_format(arena, "sample.%s", media_type_extension(type));
    for (const struct embedded_file *file = embedded_files; file->name; file++)
        if (str_eq(str_of(file->name), name)) return (struct str){ file->data, file->size_bytes };
    CHECK(!"every type has its template compiled in");
    return STR_NONE;
}

/* The zeros of this comment are the nonce's place. A QuickTime file has it twice. */
static const char COMMENT[] = "firsthand sandbox 00000000000000000000000000000000";
enum { DIGITS = 2 * MEDIA_NONCE_BYTES, DIGITS_AT = sizeof(COMMENT) - 1 - DIGITS };

static char *find_comment(char *bytes, size_t count)
{
    return memmem(bytes, count, COMMENT, sizeof(COMMENT) - 1);
}

/* A PNG's text chunk: its kind and a keyword before the comment, a checksum of all three behind. */
static void sum_png_chunk(char *comment)
{
    static const char head[] = "tEXtComment"; /* with its NUL */
    char             *kind = comment - sizeof(head);
    CHECK(memcmp(kind, head, sizeof(head)) == 0);
    char    *end = comment + sizeof(COMMENT) - 1;
    uint32_t sum = encode_crc32((struct str){ kind, (size_t)(end - kind) });
    for (int i = 0; i < 4; i++)
        end[i] = (char)(sum >> (24 - 8 * i));
}

struct str media_template_make(enum media_type type, const unsigned char nonce[MEDIA_NONCE_BYTES],
                               struct arena *arena)
{
    struct str template = template_of(type, arena);
    struct str digits = encode_hex(arena, nonce, MEDIA_NONCE_BYTES);
    char      *bytes = NEW(arena, char, template.len);
    memcpy(bytes, template.data, template.len);
    int found = 0;
    for (char *at = bytes; (at = find_comment(at, (size_t)(bytes + template.len - at))); found++) {
        memcpy(at + DIGITS_AT, digits.data, DIGITS);
        if (type == MEDIA_PNG) sum_png_chunk(at);
        at += sizeof(COMMENT) - 1;
    }
    CHECK(found > 0);
    return (struct str){ bytes, template.len };
}
