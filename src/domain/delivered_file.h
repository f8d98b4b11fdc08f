/* Files: approved submissions, immutable, what the buyer gets. */
#ifndef FIRSTHAND_DOMAIN_DELIVERED_FILE_H
#define FIRSTHAND_DOMAIN_DELIVERED_FILE_H

#include "domain/submission.h"

/* A link is the public URL and some 200 bytes. */
enum { DOWNLOAD_URL_BYTES_MAX = CONFIG_TEXT_BYTES_MAX + 256 };
static const int64_t DOWNLOAD_LINK_LIFETIME_MS = (int64_t)7 * 24 * 3600 * 1000;

struct delivered_file {
    struct id        id;
    struct id        submission_id;
    struct id        job_id;
    struct id        org_id;
    enum environment environment;
    enum media_type  media_type;
    int64_t          size_bytes;
    struct str       sha256;                                  /* hex, of the delivered bytes */
    int64_t          width, height, duration_ms, captured_ms; /* 0 = none */
    struct str       filename;                                /* may be absent */
    int64_t          stars;
    struct str       blob; /* name in the blob store; empty once the bytes are gone */
    int64_t          created_ms, delivered_ms;
    int64_t          removed_ms; /* its bytes are gone since, or go; 0 = kept */
    struct str annotations; /* score_annotations; absent = nobody measured, or not kept yet then */
};

/* Make the file of a submission that is being approved. *ret_id = its id. */
MUST_USE enum err file_create(struct call *call, const struct submission *submission,
                              struct str annotations, struct id *ret_id);

struct file_filter {
    int64_t   stars_min; /* 0 = any */
    struct id before;    /* exclusive upper id bound; empty = none */
};

/* Of a job the caller may see, newest first: up to count rows. */
MUST_USE enum err file_list(struct call *call, const struct job *job,
                            const struct file_filter *filter, int count,
                            struct delivered_file *ret_rows, struct page_search *ret_search);

/* One of the actor's organisation and environment. ERR_NOT_FOUND "file". */
MUST_USE enum err file_get(struct call *call, struct str id_text, struct delivered_file *ret_file);

/* Any file, for signed links and runners. ERR_NOT_FOUND "file". */
MUST_USE enum err file_get_any(struct call *call, const struct id *id,
                               struct delivered_file *ret_file);

/* The delivery is on disk: note it, finish the task, and release the events that waited for the
 * job's last. ERR_CONFLICT "task_lost". */
MUST_USE enum err file_delivered(struct call *call, const struct task *task);

/* A download link valid for DOWNLOAD_LINK_LIFETIME_MS from now. Owned by the arena. */
struct str file_download_url(struct call *call, const struct id *file_id, int64_t *ret_expires_ms);

/* Check a link's parts. ERR_FORBIDDEN "link_invalid" (malformed, tampered) | "link_expired". */
MUST_USE enum err file_check_link(struct call *call, struct str file_id, struct str expires,
                                  struct str key, struct str signature);

/* A safe name for Content-Disposition and folders: "file_….jpg". Owned by the arena. */
struct str file_name(const struct delivered_file *file, struct arena *arena);

/* The file's line of manifest.jsonl, with its newline. Owned by the arena. */
struct str file_manifest_line(const struct delivered_file *file, struct arena *arena);

#endif
