#include "platform/b.h"

bool b_is_same(struct str a, struct str b)
{
    return memcmp(a.data, b.data, a.len) == 0;
}
