/* The header values of an upload: parsing what clients send. Hints stay hints: a file name is text
 * for people, never a path. */
#ifndef FIRSTHAND_API_UPLOAD_HEADER_H
#define FIRSTHAND_API_UPLOAD_HEADER_H

#include "base/error.h"
#include "platform/crypto.h"

/* "sha1 BASE64" of Upload-Checksum. */
struct upload_checksum {
    enum checksum_kind kind;
    unsigned char      digest[CHECKSUM_BYTES_MAX];
};

#define UPLOAD_CHECKSUM_ALGORITHMS "sha1,sha256"

/* ERR_INVALID "checksum_malformed" | "checksum_algorithm". */
MUST_USE enum err upload_checksum_parse(struct arena *arena, struct str value, struct error *error,
                                        struct upload_checksum *ret_checksum);

/* The file name in Upload-Metadata ("filename BASE64,filetype BASE64,…"); absent when there is
 * none. ERR_INVALID "metadata_malformed" | "metadata_too_large". */
MUST_USE enum err upload_metadata_parse(struct arena *arena, struct str value, struct error *error,
                                        struct str *ret_filename);

/* The file name of a Content-Disposition (RFC 6266; filename* wins); absent when there is none that
 * can be read. Never an error: only a hint. */
struct str upload_disposition_filename(struct arena *arena, struct str value);

/* What is left of a name for people to see: the part after the last '/' or '\', without control
 * characters, at most FILENAME_BYTES_MAX; absent when nothing is left. Owned by the arena. */
struct str upload_filename(struct arena *arena, struct str name);

/* A number of bytes: digits alone that fit. */
MUST_USE bool upload_bytes_parse(struct str value, int64_t *ret_bytes);

#endif
