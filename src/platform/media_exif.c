#include "platform/media_exif.h"

#include "base/num.h"
#include "base/time_text.h"
#include "platform/media_bytes.h"

#include <stdio.h>
#include <string.h>

/* --- where the block is --- */

enum {
    JPEG_SOI_BYTES = 2,
    JPEG_MARKER_BYTES = 4, /* FF, kind, 16-bit length that counts itself */
    JPEG_APP1 = 0xe1,
    JPEG_SOS = 0xda,
    RIFF_HEADER_BYTES = 12,
    RIFF_CHUNK_BYTES = 8,
    PNG_SIGNATURE_BYTES = 8,
    PNG_CHUNK_BYTES = 8, /* length and kind; a CRC of 4 follows the data */
    PNG_CRC_BYTES = 4
};

/* Some writers put JPEG's "Exif\0\0" before the TIFF header in other containers too. */
static struct str without_prefix(struct str block)
{
    return str_starts_with(block, STR("Exif\0\0")) ? str_skip(block, 6) : block;
}

static struct str find_in_jpeg(struct str file)
{
    struct str rest = str_skip(file, JPEG_SOI_BYTES);
    while (rest.len >= JPEG_MARKER_BYTES && byte_at(rest, 0) == 0xff) {
        unsigned kind = byte_at(rest, 1);
        if (kind == 0xff) { /* padding before a marker */
            rest = str_skip(rest, 1);
            continue;
        }
        size_t length = be16_at(rest, 2);
        if (kind == JPEG_SOS || length < 2) break;
        struct str body = str_take(str_skip(rest, JPEG_MARKER_BYTES), length - 2);
        if (kind == JPEG_APP1 && str_starts_with(body, STR("Exif\0\0"))) return str_skip(body, 6);
        rest = str_skip(rest, 2 + length);
    }
    return STR_NONE;
}

static struct str find_in_webp(struct str file)
{
    struct str rest = str_skip(file, RIFF_HEADER_BYTES);
    while (rest.len >= RIFF_CHUNK_BYTES) {
        size_t     size = le32_at(rest, 4);
        struct str body = str_take(str_skip(rest, RIFF_CHUNK_BYTES), size);
        if (str_starts_with(rest, STR("EXIF"))) return without_prefix(body);
        rest = str_skip(rest, RIFF_CHUNK_BYTES + size + (size & 1));
    }
    return STR_NONE;
}

static struct str find_in_png(struct str file)
{
    struct str rest = str_skip(file, PNG_SIGNATURE_BYTES);
    while (rest.len >= PNG_CHUNK_BYTES) {
        size_t     size = be32_at(rest, 0);
        struct str after = str_skip(rest, 4);
        if (str_starts_with(after, STR("eXIf")))
            return without_prefix(str_take(str_skip(after, 4), size));
        rest = str_skip(rest, PNG_CHUNK_BYTES + size + PNG_CRC_BYTES);
    }
    return STR_NONE;
}

struct str media_exif_find(struct str file, enum media_type type)
{
    switch (type) {
    case MEDIA_JPEG: return find_in_jpeg(file);
    case MEDIA_WEBP: return find_in_webp(file);
    case MEDIA_PNG: return find_in_png(file);
    default: return STR_NONE;
    }
}

/* --- what it says --- */

enum {
    TAG_GPS_LATITUDE = 0x0002,
    TAG_GPS_LONGITUDE = 0x0004,
    TAG_ORIENTATION = 0x0112,
    TAG_EXIF_DIRECTORY = 0x8769,
    TAG_GPS_DIRECTORY = 0x8825,
    TAG_DATE_ORIGINAL = 0x9003,
    TAG_OFFSET_ORIGINAL = 0x9011,
    FIELD_SHORT = 3,
    FIELD_LONG = 4,
    ENTRY_BYTES = 12,
    ENTRIES_COUNT_MAX = 512,
    DATE_BYTES = 19, /* "2020:06:08 11:16:13" */
    OFFSET_BYTES = 6 /* "+02:00" */
};

struct tiff {
    struct str bytes;
    bool       is_little;
};

static unsigned tiff_u16(const struct tiff *tiff, size_t at)
{
    if (at > tiff->bytes.len || tiff->bytes.len - at < 2) return 0;
    return tiff->is_little ? le16_at(tiff->bytes, at) : be16_at(tiff->bytes, at);
}

static uint32_t tiff_u32(const struct tiff *tiff, size_t at)
{
    if (at > tiff->bytes.len || tiff->bytes.len - at < 4) return 0;
    return tiff->is_little ? le32_at(tiff->bytes, at) : be32_at(tiff->bytes, at);
}

/* Offset of the tag's entry in the directory; 0 (the TIFF header's place) when it is not there. */
static size_t directory_find(const struct tiff *tiff, size_t directory, unsigned tag)
{
    unsigned count = tiff_u16(tiff, directory);
    if (directory == 0 || count > ENTRIES_COUNT_MAX) return 0;
    for (unsigned i = 0; i < count; i++) {
        size_t at = directory + 2 + (size_t)i * ENTRY_BYTES;
        if (at > tiff->bytes.len || tiff->bytes.len - at < ENTRY_BYTES) return 0;
        if (tiff_u16(tiff, at) == tag) return at;
    }
    return 0;
}

/* The directory that a pointer entry of another one names; 0 when there is none. */
static size_t directory_below(const struct tiff *tiff, size_t directory, unsigned tag)
{
    size_t entry = directory_find(tiff, directory, tag);
    if (entry == 0 || tiff_u16(tiff, entry + 2) != FIELD_LONG) return 0;
    return tiff_u32(tiff, entry + 8);
}

/* The first size bytes of a text entry too long to sit in the entry itself; absent if shorter. */
static struct str directory_text(const struct tiff *tiff, size_t directory, unsigned tag,
                                 size_t size)
{
    size_t entry = directory_find(tiff, directory, tag);
    if (entry == 0 || tiff_u32(tiff, entry + 4) < size) return STR_NONE;
    struct str text = str_take(str_skip(tiff->bytes, tiff_u32(tiff, entry + 8)), size);
    return text.len == size ? text : STR_NONE;
}

static int64_t read_captured_ms(const struct tiff *tiff, size_t directory)
{
    struct str date = directory_text(tiff, directory, TAG_DATE_ORIGINAL, DATE_BYTES);
    if (date.data == NULL) return 0;
    struct str offset = directory_text(tiff, directory, TAG_OFFSET_ORIGINAL, OFFSET_BYTES);
    char       text[DATE_BYTES + OFFSET_BYTES];
    memcpy(text, date.data, DATE_BYTES);
    memcpy(text + DATE_BYTES, offset.data ? offset.data : "+00:00", OFFSET_BYTES);
    text[4] = text[7] = '-';
    text[10] = 'T';
    int64_t time_ms;
    if (time_parse((struct str){ text, sizeof text }, &time_ms)) return num_max(0, time_ms);
    /* A camera that does not know its zone writes blanks there. */
    memcpy(text + DATE_BYTES, "+00:00", OFFSET_BYTES);
    return time_parse((struct str){ text, sizeof text }, &time_ms) ? num_max(0, time_ms) : 0;
}

static int32_t read_orientation(const struct tiff *tiff, size_t directory)
{
    size_t entry = directory_find(tiff, directory, TAG_ORIENTATION);
    if (entry == 0 || tiff_u16(tiff, entry + 2) != FIELD_SHORT) return 1;
    unsigned value = tiff_u16(tiff, entry + 8);
    return value >= 1 && value <= 8 ? (int32_t)value : 1;
}

void media_exif_read(struct str bytes, struct media_exif *ret_exif)
{
    struct tiff tiff = { .bytes = bytes, .is_little = str_starts_with(bytes, STR("II*\0")) };
    *ret_exif = (struct media_exif){ .orientation = 1 };
    if (!tiff.is_little && !str_starts_with(bytes, STR("MM\0*"))) return;

    size_t directory = tiff_u32(&tiff, 4);
    size_t exif = directory_below(&tiff, directory, TAG_EXIF_DIRECTORY);
    size_t gps = directory_below(&tiff, directory, TAG_GPS_DIRECTORY);
    ret_exif->orientation = read_orientation(&tiff, directory);
    ret_exif->captured_ms = read_captured_ms(&tiff, exif);
    ret_exif->has_gps = directory_find(&tiff, gps, TAG_GPS_LATITUDE) != 0 &&
                        directory_find(&tiff, gps, TAG_GPS_LONGITUDE) != 0;
}
