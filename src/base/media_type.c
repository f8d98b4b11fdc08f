#include "base/media_type.h"

#include <assert.h>
#include <string.h>

struct type_row {
    const char     *name;
    const char     *extension;
    enum media_kind kind;
};

static const struct type_row types[] = {
    [MEDIA_PNG] = { "image/png", "png", MEDIA_IMAGE },
    [MEDIA_JPEG] = { "image/jpeg", "jpg", MEDIA_IMAGE },
    [MEDIA_WEBP] = { "image/webp", "webp", MEDIA_IMAGE },
    [MEDIA_MP3] = { "audio/mpeg", "mp3", MEDIA_AUDIO },
    [MEDIA_WAV] = { "audio/wav", "wav", MEDIA_AUDIO },
    [MEDIA_M4A] = { "audio/mp4", "m4a", MEDIA_AUDIO },
    [MEDIA_MP4] = { "video/mp4", "mp4", MEDIA_VIDEO },
    [MEDIA_MOV] = { "video/quicktime", "mov", MEDIA_VIDEO },
};
static_assert(COUNT_OF(types) == MEDIA_TYPE__COUNT, "a row for every media type");

const char *media_type_name(enum media_type type)
{
    CHECK((unsigned)type < MEDIA_TYPE__COUNT);
    return types[type].name;
}

const char *media_type_extension(enum media_type type)
{
    CHECK((unsigned)type < MEDIA_TYPE__COUNT);
    return types[type].extension;
}

enum media_kind media_type_kind(enum media_type type)
{
    CHECK((unsigned)type < MEDIA_TYPE__COUNT);
    return types[type].kind;
}

bool media_type_parse(struct str name, enum media_type *ret_type)
{
    for (size_t i = 0; i < COUNT_OF(types); i++) {
        if (!str_eq(name, str_of(types[i].name))) continue;
        *ret_type = (enum media_type)i;
        return true;
    }
    return false;
}

/* --- ISO base media and QuickTime: boxes of (32-bit size, four-letter kind) --- */

enum { BOX_HEADER_BYTES = 8, BRAND_BYTES = 4, BRANDS_OFFSET = 16 };

struct brand_row {
    char     brand[BRAND_BYTES + 1];
    unsigned types;
};

/* Audio and video share the general brands; only the tracks inside tell them apart. */
#define AUDIO_OR_VIDEO (BIT(MEDIA_M4A) | BIT(MEDIA_MP4))

static const struct brand_row brands[] = {
    { "M4A ", BIT(MEDIA_M4A) }, { "M4B ", BIT(MEDIA_M4A) }, { "M4P ", BIT(MEDIA_M4A) },
    { "F4A ", BIT(MEDIA_M4A) }, { "M4V ", BIT(MEDIA_MP4) }, { "M4VH", BIT(MEDIA_MP4) },
    { "M4VP", BIT(MEDIA_MP4) }, { "F4V ", BIT(MEDIA_MP4) }, { "qt  ", BIT(MEDIA_MOV) },
    { "isom", AUDIO_OR_VIDEO }, { "iso2", AUDIO_OR_VIDEO }, { "iso3", AUDIO_OR_VIDEO },
    { "iso4", AUDIO_OR_VIDEO }, { "iso5", AUDIO_OR_VIDEO }, { "iso6", AUDIO_OR_VIDEO },
    { "iso7", AUDIO_OR_VIDEO }, { "iso8", AUDIO_OR_VIDEO }, { "iso9", AUDIO_OR_VIDEO },
    { "mp41", AUDIO_OR_VIDEO }, { "mp42", AUDIO_OR_VIDEO }, { "mp71", AUDIO_OR_VIDEO },
    { "avc1", AUDIO_OR_VIDEO }, { "MSNV", AUDIO_OR_VIDEO }, { "mmp4", AUDIO_OR_VIDEO },
    { "dash", AUDIO_OR_VIDEO }, { "cmfc", AUDIO_OR_VIDEO }, { "hvc1", AUDIO_OR_VIDEO },
    { "3gp4", AUDIO_OR_VIDEO }, { "3gp5", AUDIO_OR_VIDEO }, { "3gp6", AUDIO_OR_VIDEO },
    { "3g2a", AUDIO_OR_VIDEO }, { "XAVC", AUDIO_OR_VIDEO }, { "NDSC", AUDIO_OR_VIDEO },
};

/* Still pictures and other families in the same boxes, which may list a general brand as
 * compatible and are none of ours all the same. */
static const char foreign_brands[][BRAND_BYTES + 1] = {
    "heic", "heix", "heim", "heis", "hevc", "hevx", "mif1", "mif2",
    "msf1", "avif", "avis", "crx ", "jp2 ", "jpx ", "mjp2", "jxl ",
};

/* Kinds a QuickTime file may begin with when it has no ftyp. */
static const char quicktime_kinds[][BRAND_BYTES + 1] = { "moov", "mdat", "wide", "free", "skip" };

static uint32_t read_be32(struct str bytes, size_t offset)
{
    const unsigned char *at = (const unsigned char *)bytes.data + offset;
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static bool has_at(struct str bytes, size_t offset, struct str what)
{
    return str_starts_with(str_skip(bytes, offset), what);
}

static unsigned brand_types(struct str brand)
{
    for (size_t i = 0; i < COUNT_OF(brands); i++)
        if (str_eq(brand, (struct str){ brands[i].brand, BRAND_BYTES })) return brands[i].types;
    return 0;
}

static bool brand_is_foreign(struct str brand)
{
    for (size_t i = 0; i < COUNT_OF(foreign_brands); i++)
        if (str_eq(brand, (struct str){ foreign_brands[i], BRAND_BYTES })) return true;
    return false;
}

/* ftyp: the major brand decides; an unknown one leaves it to the first known compatible brand. */
static unsigned sniff_ftyp(struct str box)
{
    if (box.len < BOX_HEADER_BYTES + BRAND_BYTES) return 0;
    box = str_take(box, read_be32(box, 0));
    struct str major = str_take(str_skip(box, BOX_HEADER_BYTES), BRAND_BYTES);
    if (brand_is_foreign(major)) return 0;
    unsigned found = brand_types(major);
    for (size_t at = BRANDS_OFFSET; found == 0 && at + BRAND_BYTES <= box.len; at += BRAND_BYTES) {
        struct str brand = str_take(str_skip(box, at), BRAND_BYTES);
        if (brand_is_foreign(brand)) return 0;
        found = brand_types(brand);
    }
    return found;
}

static bool box_may_lead(struct str kind)
{
    for (size_t i = 0; i < COUNT_OF(quicktime_kinds); i++)
        if (str_eq(kind, (struct str){ quicktime_kinds[i], BRAND_BYTES })) return true;
    return false;
}

static unsigned sniff_boxes(struct str first)
{
    unsigned   found = 0;
    struct str rest = first;
    while (rest.len >= BOX_HEADER_BYTES) {
        uint32_t   size = read_be32(rest, 0);
        struct str kind = str_take(str_skip(rest, BRAND_BYTES), BRAND_BYTES);
        /* 0 = to the end of the file, 1 = a 64-bit size follows. */
        if (size > 1 && size < BOX_HEADER_BYTES) break;
        if (str_eq(kind, STR("ftyp"))) return sniff_ftyp(rest);
        if (!box_may_lead(kind)) break;
        found = BIT(MEDIA_MOV);
        /* Padding may precede the ftyp; anything else means there is none. */
        if (size < BOX_HEADER_BYTES || str_eq(kind, STR("moov")) || str_eq(kind, STR("mdat")))
            break;
        rest = str_skip(rest, size);
    }
    return found;
}

/* --- MPEG audio --- */

enum { ID3V2_OLDEST = 2, ID3V2_NEWEST = 4 };

static bool is_id3v2(struct str first)
{
    if (first.len < 10 || !str_starts_with(first, STR("ID3"))) return false;
    const unsigned char *at = (const unsigned char *)first.data;
    bool                 is_size_syncsafe = ((at[6] | at[7] | at[8] | at[9]) & 0x80) == 0;
    return at[3] >= ID3V2_OLDEST && at[3] <= ID3V2_NEWEST && at[4] != 0xff && is_size_syncsafe;
}

static bool is_layer3_frame(struct str first)
{
    if (first.len < 4) return false;
    const unsigned char *at = (const unsigned char *)first.data;
    if (at[0] != 0xff || (at[1] & 0xe0) != 0xe0) return false;
    unsigned version = at[1] >> 3 & 3, layer = at[1] >> 1 & 3;
    unsigned bitrate = at[2] >> 4, sample_rate = at[2] >> 2 & 3, emphasis = at[3] & 3;
    return version != 1 && layer == 1 && bitrate != 0 && bitrate != 15 && sample_rate != 3 &&
           emphasis != 2;
}

unsigned media_sniff(struct str first)
{
    if (first.data == NULL) return 0;
    if (str_starts_with(first, STR("\x89PNG\r\n\x1a\n"))) return BIT(MEDIA_PNG);
    if (str_starts_with(first, STR("\xff\xd8\xff"))) return BIT(MEDIA_JPEG);
    if (str_starts_with(first, STR("RIFF"))) {
        if (has_at(first, 8, STR("WEBP"))) return BIT(MEDIA_WEBP);
        if (has_at(first, 8, STR("WAVE"))) return BIT(MEDIA_WAV);
        return 0;
    }
    if (is_id3v2(first) || is_layer3_frame(first)) return BIT(MEDIA_MP3);
    return sniff_boxes(first);
}
