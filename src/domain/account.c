#include "domain/account.h"

bool email_normalise(struct str text, struct arena *arena, struct str *ret_email)
{
    if (text.len > EMAIL_BYTES_MAX || !str_is_utf8(text)) return false;
    char  *email = NEW(arena, char, text.len + 1);
    size_t at_position = 0, at_count = 0;
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.data[i];
        if (c <= ' ' || c == 0x7f) return false;
        if (c == '@') {
            at_position = i;
            at_count++;
        }
        email[i] = (char)(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
    }
    if (at_count != 1 || at_position == 0 || at_position + 1 == text.len) return false;
    *ret_email = (struct str){ email, text.len };
    return true;
}

enum err account_check_name(struct call *call, struct str name)
{
    if (str_is_utf8(name) && str_code_points(name) <= ACCOUNT_NAME_MAX) return ERR_OK;
    return FAIL(&call->error, ERR_INVALID, "bad_name", "a name has up to %d characters of UTF-8",
                ACCOUNT_NAME_MAX);
}

enum err account_check(struct call *call, struct str name, struct str email, struct str *ret_email)
{
    if (name.len == 0) return FAIL(&call->error, ERR_INVALID, "bad_name", "there must be a name");
    enum err e = account_check_name(call, name);
    if (e) return e;
    if (!email_normalise(email, call->arena, ret_email))
        return FAIL(&call->error, ERR_INVALID, "bad_email", "that is not an e-mail address");
    return ERR_OK;
}
