/* A bounded reader of the few EXIF fields that matter: orientation, when, and whether a position is
 * told. Reads the TIFF directory 0 and its Exif and GPS directories, each once; follows no chain,
 * so nothing in the file can make it loop. Needs no libav. */
#ifndef FIRSTHAND_PLATFORM_MEDIA_EXIF_H
#define FIRSTHAND_PLATFORM_MEDIA_EXIF_H

#include "base/media_type.h"

#include <stdint.h>

struct media_exif {
    int32_t orientation; /* 1…8; 1 when absent or nonsense */
    int64_t captured_ms; /* DateTimeOriginal, by its own offset or else taken as UTC; 0 = unknown */
    bool    has_gps;     /* latitude and longitude are both there */
};

/* The TIFF block of a JPEG (APP1), WebP (EXIF chunk) or PNG (eXIf) file; absent when there is
 * none. Borrowed from file. */
struct str media_exif_find(struct str file, enum media_type type);

/* Always fills *ret_exif; what cannot be read keeps its default. */
void media_exif_read(struct str tiff, struct media_exif *ret_exif);

#endif
