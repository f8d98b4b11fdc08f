#include "api/request_metrics.h"

#include "platform/metrics.h"

#include <assert.h>

/* The last row is for requests without an operation, the first column for those without a reply. */
enum { NO_OPERATION = METRIC_OPERATIONS_MAX - 1 };

static_assert((int)METRIC_OPERATIONS_MAX > (int)CONTRACT_OPERATIONS_MAX,
              "every operation has a row, and there is one more");

static const char *const classes[METRIC_STATUS_CLASSES] = { "none", "1xx", "2xx",
                                                            "3xx",  "4xx", "5xx" };

void request_metrics_observe(const struct contract_operation *operation, int status, int64_t us)
{
    int row = operation ? (int)operation->index : NO_OPERATION;
    histogram_observe(HISTOGRAM_REQUEST, row * METRIC_STATUS_CLASSES + status / 100, us);
}

static void label(const void *context, int series, struct buf *labels)
{
    const struct contract *contract = context;
    int                    row = series / METRIC_STATUS_CLASSES;
    struct str             name = STR("none");
    if (row != NO_OPERATION) name = contract_operation_at(contract, row)->operation_id;
    metric_write_label(labels, "operation", name);
    metric_write_label(labels, "status", str_of(classes[series % METRIC_STATUS_CLASSES]));
}

void request_metrics_write(const struct contract *contract, struct buf *out)
{
    histogram_write(out, HISTOGRAM_REQUEST, label, contract);
}
