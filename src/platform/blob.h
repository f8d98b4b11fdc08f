/* The blob store: received bytes under a name, immutable, and the buyers' delivered folders.
 *
 *     DATA-DIR/uploads/NAME      bytes still arriving ("parts")
 *     DATA-DIR/blobs/NAME        complete, durable, mode 0444
 *     DATA-DIR/delivered/ORG/JOB/FILE_ID.EXT  and  manifest.jsonl
 *
 * Names are made by the server: one path component that does not begin with '.', of less than 128
 * bytes. Another name is a broken invariant (CHECK). Trouble with the disk is ERR_UNAVAILABLE
 * "disk_full" | "disk_io". */
#ifndef FIRSTHAND_PLATFORM_BLOB_H
#define FIRSTHAND_PLATFORM_BLOB_H

#include "base/error.h"

#include <stdint.h>

enum { BLOB_MANIFEST_LINE_BYTES_MAX = 32 << 10 };

struct blob_store;

/* Make the folders. Owned by the arena. */
MUST_USE enum err blob_store_open(struct str data_dir, struct arena *arena, struct error *error,
                                  const struct blob_store **ret_store);

/* Open a part for reading and writing, made when it is not there. The caller closes *ret_fd. */
MUST_USE enum err blob_part_open(const struct blob_store *store, struct str name,
                                 struct error *error, int *ret_fd);

/* Bytes of a part; -1 when it is not there. */
int64_t blob_part_size(const struct blob_store *store, struct str name);

/* Make what was written to an open part durable, and, for a new part, its name. */
MUST_USE enum err blob_part_sync(const struct blob_store *store, int fd, bool is_new,
                                 struct error *error);

/* Remove a part; absent is fine. */
void blob_part_remove(const struct blob_store *store, struct str name);

/* A complete part becomes a blob: fsync, mode 0444, rename, fsync of the folder. Repeating after it
 * succeeded is fine. ERR_NOT_FOUND "blob" when neither is there. */
MUST_USE enum err blob_part_finish(const struct blob_store *store, struct str part_name,
                                   struct str blob_name, struct error *error);

/* Open a blob for reading; the caller closes *ret_fd. ERR_NOT_FOUND "blob". */
MUST_USE enum err blob_open(const struct blob_store *store, struct str name, struct error *error,
                            int *ret_fd, int64_t *ret_size_bytes);
void              blob_remove(const struct blob_store *store, struct str name);

/* SHA-256 of a blob from disk, hex, owned by the arena. ERR_NOT_FOUND "blob". */
MUST_USE enum err blob_hash(const struct blob_store *store, struct str name, struct arena *arena,
                            struct error *error, struct str *ret_sha256);

/* Deliver a blob as folder/file_name under delivered/: a reflink or a copy, fsynced, mode 0444, and
 * its line appended to the folder's manifest, fsynced. What was delivered before is left alone; a
 * torn last line of the manifest is cut. file_id is what a manifest line of it contains.
 * Several may be delivered into one folder at once. ERR_NOT_FOUND "blob": no such bytes. */
struct blob_delivery {
    struct str blob_name;
    struct str folder; /* "org_…/job_…" */
    struct str file_name;
    struct str file_id;
    struct str manifest_line; /* with its newline; at most BLOB_MANIFEST_LINE_BYTES_MAX */
    bool       may_be_there;  /* it was tried before: look through the whole manifest for it */
};
MUST_USE enum err blob_deliver(const struct blob_store *store, const struct blob_delivery *delivery,
                               struct arena *arena, struct error *error);

/* Remove a delivered file; its manifest line stays. Absent is fine. */
void blob_undeliver(const struct blob_store *store, struct str folder, struct str file_name);

/* The folder's path under the data directory, for people. Owned by the arena. */
struct str blob_delivered_path(const struct blob_store *store, struct str folder,
                               struct arena *arena);

/* Remove parts and blobs untouched for older_than_ms that keep(context, name) does not claim; for
 * the sweeper. By the machine's clock, never the test clock's: files carry that. Returns how many
 * were removed. */
int blob_sweep(const struct blob_store *store, int64_t             older_than_ms,
               bool (*keep)(void *context, struct str name), void *context);

#endif
