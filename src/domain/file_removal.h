/* Files whose bytes are kept for a time only: those of the sandbox. Their rows stay. A file is
 * first marked, in a commit: from then on nobody gets its bytes. A while later, when nothing that
 * looks at an older snapshot can want them, they are taken off the disk. */
#ifndef FIRSTHAND_DOMAIN_FILE_REMOVAL_H
#define FIRSTHAND_DOMAIN_FILE_REMOVAL_H

#include "domain/delivered_file.h"

enum { SANDBOX_FILES_KEPT_MAX = 20000 }; /* of an organisation */
static const int64_t SANDBOX_FILE_LIFETIME_MS = (int64_t)7 * 24 * 3600 * 1000;
static const int64_t FILE_REMOVAL_GRACE_MS = 10 * 60 * 1000;

/* Are its bytes gone by now, whether or not that is written down? */
bool file_is_removed(const struct call *call, const struct delivered_file *file);

/* Mark the oldest of an organisation's sandbox files until no more than are kept are left. */
MUST_USE enum err file_remove_surplus(struct call *call, const struct id *org_id);

/* For the sweeper: mark up to count that have been kept long enough; *ret_count = marked. */
MUST_USE enum err file_remove_old(struct call *call, int count, int *ret_count);

/* For the sweeper: up to count marked ones whose bytes may be taken off the disk now. One that is
 * still to be delivered is not among them. Reading only. */
MUST_USE enum err file_list_to_unlink(struct call *call, int count, struct delivered_file *ret_rows,
                                      int *ret_count);

/* The bytes are off the disk. */
MUST_USE enum err file_set_unlinked(struct call *call, const struct id *file_id);

#endif
