/* The EXIF reader: as a bare TIFF block, and inside each of the three containers. */
#include "base/time_text.h"
#include "platform/media_exif.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_block(struct str tiff)
{
    struct media_exif exif;
    media_exif_read(tiff, &exif);
    CHECK(exif.orientation >= 1 && exif.orientation <= 8);
    CHECK(exif.captured_ms >= 0 && exif.captured_ms <= TIME_MS_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const enum media_type types[] = { MEDIA_JPEG, MEDIA_WEBP, MEDIA_PNG };
    struct str                   bytes = { (const char *)data, size };
    check_block(bytes);
    for (size_t i = 0; i < COUNT_OF(types); i++) {
        struct str tiff = media_exif_find(bytes, types[i]);
        CHECK(tiff.data == NULL || (tiff.data >= bytes.data && tiff.len <= bytes.len));
        check_block(tiff);
    }
    return 0;
}
