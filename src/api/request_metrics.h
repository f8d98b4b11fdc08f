/* How long requests took, by operation and class of status. */
#ifndef FIRSTHAND_API_REQUEST_METRICS_H
#define FIRSTHAND_API_REQUEST_METRICS_H

#include "base/buf.h"
#include "contract/contract.h"

/* operation is NULL for a request that found none; status 0 = the client left without a reply. */
void request_metrics_observe(const struct contract_operation *operation, int status, int64_t us);

void request_metrics_write(const struct contract *contract, struct buf *out);

#endif
