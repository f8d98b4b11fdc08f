/* The audit: does the store keep its invariants? Reads only; safe beside a running server. */
#ifndef FIRSTHAND_DOMAIN_AUDIT_H
#define FIRSTHAND_DOMAIN_AUDIT_H

#include "domain/call.h"

struct audit_report {
    int checks_count;
    int breaches_count;
    /* Called for each breach, the first hundred of a check: which check, on what, what is wrong. */
    void (*on_breach)(void *context, const char *check, struct str subject, struct str detail);
    void *context;
};

/* For checks: something is wrong with the subject. */
void audit_breach(struct audit_report *report, const char *check, struct str subject,
                  struct str detail);

/* Run every check that the store can answer, in the read transaction that the call has open. */
MUST_USE enum err audit_store(struct call *call, struct audit_report *report);

/* For every file row: has_bytes(context, blob, size, sha256 or absent) must say ERR_OK. sha256 is
 * given when with_hashes. */
MUST_USE enum err audit_files(struct call *call, struct audit_report *report, bool with_hashes,
                              enum err (*has_bytes)(void *context, struct str blob,
                                                    int64_t size_bytes, struct str sha256),
                              void *context);

#endif
