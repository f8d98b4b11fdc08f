#include "platform/media_wrapper.h"

#include "platform/media_bytes.h"

#include <libavutil/crc.h>
#include <string.h>

/* --- JPEG: segments, then coded data up to the next real marker --- */

enum {
    JPEG_SOI = 0xd8,
    JPEG_EOI = 0xd9,
    JPEG_SOS = 0xda,
    JPEG_RST0 = 0xd0,
    JPEG_RST7 = 0xd7,
    JPEG_TEM = 0x01,
    JPEG_SOF0 = 0xc0,
    JPEG_SOF15 = 0xcf,
    JPEG_DHT = 0xc4,
    JPEG_JPG = 0xc8,
    JPEG_DAC = 0xcc,
};

/* Offset of the next FF that begins a marker (not stuffing, padding or a restart); len if none. */
static size_t jpeg_next_marker(struct str file, size_t at)
{
    while (at + 1 < file.len) {
        const char *found = memchr(file.data + at, 0xff, file.len - at - 1);
        if (found == NULL) break;
        at = (size_t)(found - file.data);
        unsigned kind = byte_at(file, at + 1);
        if (kind != 0 && kind != 0xff && !(kind >= JPEG_RST0 && kind <= JPEG_RST7)) return at;
        at += kind == 0xff ? 1 : 2;
    }
    return file.len;
}

static bool jpeg_is_frame(unsigned kind)
{
    return kind >= JPEG_SOF0 && kind <= JPEG_SOF15 && kind != JPEG_DHT && kind != JPEG_JPG &&
           kind != JPEG_DAC;
}

static void walk_jpeg(struct str file, struct media_wrapper *wrapper)
{
    size_t at = jpeg_next_marker(file, 0);
    while (at < file.len) {
        unsigned kind = byte_at(file, at + 1);
        if (kind == JPEG_EOI) {
            wrapper->is_complete = true;
            wrapper->image_bytes = at + 2;
            return;
        }
        if (kind == JPEG_SOI || kind == JPEG_TEM) {
            at = jpeg_next_marker(file, at + 2);
            continue;
        }
        size_t length = be16_at(file, at + 2);
        if (jpeg_is_frame(kind) && wrapper->height == 0) {
            wrapper->height = be16_at(file, at + 5);
            wrapper->width = be16_at(file, at + 7);
        }
        if (length < 2 || length > file.len - at - 2) break;
        at = jpeg_next_marker(file, at + 2 + length);
    }
    wrapper->image_bytes = file.len;
}

/* --- PNG --- */

enum { PNG_SIGNATURE_BYTES = 8, PNG_HEAD_BYTES = 8, PNG_CRC_BYTES = 4 };

static bool png_chunk_is_picture(struct str kind)
{
    static const char kinds[][5] = { "IHDR", "PLTE", "tRNS", "IDAT", "IEND" };
    for (size_t i = 0; i < COUNT_OF(kinds); i++)
        if (str_eq(kind, (struct str){ kinds[i], 4 })) return true;
    return false;
}

static bool png_crc_is_right(struct str chunk)
{
    const AVCRC *table = av_crc_get_table(AV_CRC_32_IEEE_LE);
    size_t       covered = chunk.len - 4 - PNG_CRC_BYTES;
    uint32_t     crc = ~av_crc(table, UINT32_MAX, (const uint8_t *)chunk.data + 4, covered);
    return crc == be32_at(chunk, chunk.len - PNG_CRC_BYTES);
}

static void walk_png(char *bytes, size_t len, struct media_wrapper *wrapper)
{
    struct str rest = str_skip((struct str){ bytes, len }, PNG_SIGNATURE_BYTES);
    size_t     kept = len < PNG_SIGNATURE_BYTES ? len : PNG_SIGNATURE_BYTES;
    while (rest.len >= PNG_HEAD_BYTES + PNG_CRC_BYTES && !wrapper->is_complete) {
        size_t size = be32_at(rest, 0);
        if (size > rest.len - PNG_HEAD_BYTES - PNG_CRC_BYTES) break;
        struct str chunk = str_take(rest, PNG_HEAD_BYTES + size + PNG_CRC_BYTES);
        struct str kind = str_take(str_skip(chunk, 4), 4);
        rest = str_skip(rest, chunk.len);
        if (!png_chunk_is_picture(kind)) continue;
        if (str_eq(kind, STR("IHDR")) && wrapper->width == 0) {
            wrapper->width = be32_at(chunk, PNG_HEAD_BYTES);
            wrapper->height = be32_at(chunk, PNG_HEAD_BYTES + 4);
        }
        wrapper->is_complete = str_eq(kind, STR("IEND"));
        wrapper->damaged_count += !png_crc_is_right(chunk);
        memmove(bytes + kept, chunk.data, chunk.len);
        kept += chunk.len;
    }
    wrapper->image_bytes = kept;
}

/* --- WebP --- */

enum {
    RIFF_HEAD_BYTES = 12,
    RIFF_SIZE_FROM = 8, /* what its size counts begins here */
    CHUNK_HEAD_BYTES = 8,
    VP8X_ANIMATED = 0x02,
    VP8_SIDE_BITS = 14, /* of a width or height */
    VP8_SIDE_MASK = (1 << VP8_SIDE_BITS) - 1,
};

static void read_webp_size(struct str kind, struct str body, struct media_wrapper *wrapper)
{
    if (str_eq(kind, STR("VP8X"))) {
        wrapper->is_animated = byte_at(body, 0) & VP8X_ANIMATED;
        wrapper->width = le24_at(body, 4) + 1;
        wrapper->height = le24_at(body, 7) + 1;
    } else if (str_eq(kind, STR("VP8L")) && wrapper->width == 0) {
        uint32_t bits = le32_at(body, 1);
        wrapper->width = (bits & VP8_SIDE_MASK) + 1;
        wrapper->height = (bits >> VP8_SIDE_BITS & VP8_SIDE_MASK) + 1;
    } else if (str_eq(kind, STR("VP8 ")) && wrapper->width == 0) {
        wrapper->width = le16_at(body, 6) & VP8_SIDE_MASK;
        wrapper->height = le16_at(body, 8) & VP8_SIDE_MASK;
    }
}

static void walk_webp(struct str file, struct media_wrapper *wrapper)
{
    size_t promised = (size_t)le32_at(file, 4) + RIFF_SIZE_FROM;
    wrapper->is_complete = promised <= file.len;
    wrapper->image_bytes = wrapper->is_complete ? promised : file.len;
    struct str rest = str_skip(str_take(file, wrapper->image_bytes), RIFF_HEAD_BYTES);
    while (rest.len >= CHUNK_HEAD_BYTES) {
        size_t size = le32_at(rest, 4);
        read_webp_size(str_take(rest, 4), str_skip(rest, CHUNK_HEAD_BYTES), wrapper);
        rest = str_skip(rest, CHUNK_HEAD_BYTES + size + (size & 1));
    }
}

void media_wrapper_walk(char *bytes, size_t len, enum media_type type,
                        struct media_wrapper *ret_wrapper)
{
    struct str           file = { bytes, len };
    struct media_wrapper wrapper = { 0 };
    switch (type) {
    case MEDIA_JPEG: walk_jpeg(file, &wrapper); break;
    case MEDIA_PNG: walk_png(bytes, len, &wrapper); break;
    case MEDIA_WEBP: walk_webp(file, &wrapper); break;
    default: CHECK(false && "an image type");
    }
    *ret_wrapper = wrapper;
}
