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

/* As str_cut, but not at a separator between quotes. */
static bool cut_unquoted(struct str *s, char separator, struct str *head)
{
    bool   is_quoted = false;
    size_t at = 0;
    if (s->data == NULL) return false;
    for (; at < s->len && (is_quoted || s->data[at] != separator); at++) {
        if (s->data[at] == '"') is_quoted = !is_quoted;
        if (s->data[at] == '\\' && is_quoted && at + 1 < s->len) at++;
    }
    *head = str_take(*s, at);
    *s = at < s->len ? str_skip(*s, at + 1) : STR_NONE;
    return true;
}

static struct str unquoted(struct str word)
{
    bool is_quoted =
        word.len >= 2 && str_starts_with(word, STR("\"")) && str_ends_with(word, STR("\""));
    return is_quoted ? str_take(str_skip(word, 1), word.len - 2) : word;
}

static bool wait_parse(struct str digits, int64_t *ret_wait_s)
{
    int64_t wait_s = 0;
    for (size_t i = 0; i < digits.len; i++) {
        if (digits.data[i] < '0' || digits.data[i] > '9') return false;
        if (wait_s <= PREFER_WAIT_S_MAX) wait_s = wait_s * 10 + (digits.data[i] - '0');
    }
    if (wait_s == 0) return false;
    *ret_wait_s = wait_s > PREFER_WAIT_S_MAX ? PREFER_WAIT_S_MAX : wait_s;
    return true;
}

bool prefer_wait_parse(struct str prefer, int64_t *ret_wait_s)
{
    struct str preference, value, name;
    while (cut_unquoted(&prefer, ',', &preference)) {
        if (!cut_unquoted(&preference, ';', &value) || !str_cut(&value, '=', &name)) continue;
        if (str_eq_ignoring_case(str_trim(name), STR("wait")))
            return wait_parse(unquoted(str_trim(value)), ret_wait_s);
    }
    return false;
}
