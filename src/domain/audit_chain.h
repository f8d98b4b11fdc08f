/* The seals of the audit: rows are written unsealed, so that a commit stays cheap, and the sealer
 * chains them soon after, in the order of their ids, per organisation and environment, with an HMAC
 * under the server key. Each round of it ends in a head, chained to the one before. What was
 * edited, taken out or slipped in afterwards is found by audit_chain_check; an end that was cut off
 * together with its heads, by a head that was logged. docs/audit-log.md. */
#ifndef FIRSTHAND_DOMAIN_AUDIT_CHAIN_H
#define FIRSTHAND_DOMAIN_AUDIT_CHAIN_H

#include "domain/audit.h"

enum { AUDIT_SEAL_BYTES = 1 + SHA256_BYTES, AUDIT_SEALS_MAX = 500 /* of one round */ };
static const int64_t AUDIT_UNSEALED_MS_MAX = 60 * 1000;
static const int64_t AUDIT_HEAD_LOGGED_MS = 60 * 1000;

struct audit_head {
    int64_t    number; /* 0 = nothing was sealed yet */
    struct id  event_id;
    int64_t    seals_count;
    struct str seal;
};

/* One round: seal up to AUDIT_SEALS_MAX of the oldest unsealed rows. */
MUST_USE enum err audit_seal(struct call *call, int *ret_count);

/* The newest head, when it has yet to be logged and none was within AUDIT_HEAD_LOGGED_MS; notes
 * that it is now. *ret_head's number is 0 when there is none to log. */
MUST_USE enum err audit_head_to_log(struct call *call, struct audit_head *ret_head);

/* Recompute all chains: edited, missing and added rows, rows unsealed for longer than
 * AUDIT_UNSEALED_MS_MAX. logged: "NUMBER:HEX" of a head from the log, which must be in the store,
 * or absent. ERR_INVALID "usage" when it is malformed. */
MUST_USE enum err audit_chain_check(struct call *call, struct audit_report *report,
                                    struct str logged);

#endif
