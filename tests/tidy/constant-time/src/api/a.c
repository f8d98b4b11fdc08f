#include "a.h"

bool a_is_genuine(struct str given, struct str mac, const char *token_hash)
{
    /* memcmp(given, mac) in a comment and "str_eq(mac, x)" in a text are neither. */
    if (memcmp(given.data, mac.data, 32) == 0) return true;
    if (str_eq(given, link->signature)) return true;
    if (strcmp(given.data, token_hash) == 0) return true;
    if (crypto_equal(given.data, mac.data, 32)) return true;
    if (str_eq(machine, etag) || str_eq(given, STR("secret"))) return false;
    return str_eq(given, name_of(invite));
}
