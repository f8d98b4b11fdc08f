/* Sniffing: whatever the bytes, the answer is a set of known types, and the same for the part
 * that media_sniff asks for. */
#include "base/media_type.h"

#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str      bytes = { (const char *)data, size };
    unsigned        found = media_sniff(str_take(bytes, MEDIA_SNIFF_BYTES));
    enum media_type type;
    CHECK(found < BIT(MEDIA_TYPE__COUNT));
    for (int i = 0; i < MEDIA_TYPE__COUNT; i++)
        if (found & BIT(i)) CHECK(media_type_name((enum media_type)i) != NULL);
    (void)media_sniff(bytes);
    if (media_type_parse(bytes, &type)) CHECK((unsigned)type < MEDIA_TYPE__COUNT);
    return 0;
}
