/* What the files of the blob store share; nobody else includes this. */
#ifndef FIRSTHAND_PLATFORM_BLOB_PRIVATE_H
#define FIRSTHAND_PLATFORM_BLOB_PRIVATE_H

#include "base/num.h"
#include "platform/blob.h"
#include "platform/disk.h"

#include <string.h>

enum { BLOB_NAME_BYTES_MAX = 128 };

struct blob_store {
    struct str data_dir;
    int        uploads_fd, blobs_fd, delivered_fd;
};

/* One path component, no '/', no leading '.', no NUL, not too long; false otherwise. */
MUST_USE bool blob_name_copy(struct str name, char text[BLOB_NAME_BYTES_MAX]);

#endif
