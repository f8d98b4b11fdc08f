#include "platform/media_record.h"

#include <string.h>

void record_refuse(struct media_result *result, const char *reason)
{
    size_t len = strlen(reason);
    CHECK(len < MEDIA_REASON_BYTES_MAX);
    result->verdict = MEDIA_UNDECODABLE;
    memcpy(result->reason, reason, len + 1);
}

void record_set_size(struct media_result *result, int width, int height, int32_t orientation)
{
    bool is_on_its_side = orientation >= 5;
    result->orientation = orientation;
    result->width = is_on_its_side ? height : width;
    result->height = is_on_its_side ? width : height;
}
