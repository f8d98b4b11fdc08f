/* The test clock's offset, kept in the store so that restarts and commands live in the same time.
 */
#ifndef FIRSTHAND_DOMAIN_CLOCK_H
#define FIRSTHAND_DOMAIN_CLOCK_H

#include "domain/call.h"

/* 0 when the clock was never moved. */
MUST_USE enum err clock_load_offset(struct db *db, struct error *error, int64_t *ret_offset_ms);
MUST_USE enum err clock_store_offset(struct call *call, int64_t offset_ms);

#endif
