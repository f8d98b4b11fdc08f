#include "domain/page.h"

bool page_is_first(struct str cursor)
{
    return str_eq(cursor, STR(""));
}
