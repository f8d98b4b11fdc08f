#include "api/request_header.h"

struct str bearer_parse(struct str authorization)
{
    struct str scheme;
    if (!str_cut(&authorization, ' ', &scheme) || !str_eq_ignoring_case(scheme, STR("bearer")))
        return STR_NONE;
    return str_trim(authorization);
}

bool etag_is_listed(struct str if_none_match, struct str etag)
{
    struct str one;
    while (str_cut(&if_none_match, ',', &one)) {
        one = str_trim(one);
        if (str_starts_with(one, STR("W/"))) one = str_skip(one, 2);
        if (str_eq(one, etag) || str_eq(one, STR("*"))) return true;
    }
    return false;
}

bool content_type_is(struct str content_type, struct str type)
{
    struct str sent;
    if (!str_cut(&content_type, ';', &sent)) return false;
    return str_eq_ignoring_case(str_trim(sent), type);
}
