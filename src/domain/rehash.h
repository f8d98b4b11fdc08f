/* Credentials whose hash is under an older server key get one under the newest when they are used:
 * only then is their secret at hand. Noted here by whoever lets them in, stored by the sweeper. */
#ifndef FIRSTHAND_DOMAIN_REHASH_H
#define FIRSTHAND_DOMAIN_REHASH_H

#include "domain/call.h"
#include "domain/secret_text.h"

enum { REHASH_MAX = 256, REHASH_HEX_CHARS = 2 * SHA256_BYTES };

struct rehash {
    struct id id; /* of an API key or a worker's session */
    char      hash[REHASH_HEX_CHARS + 1];
    int       server_key;
};

struct rehash_table;

/* Never NULL. Ended by rehash_close. */
struct rehash_table *rehash_open(void);
void                 rehash_close(struct rehash_table *table);

/* The acting credential was let in by this secret: note its new hash, if it needs one. One that is
 * noted already, or beyond REHASH_MAX, is left for another time. Thread-safe. */
void rehash_note(struct rehash_table *table, const struct call *call, struct str secret);

/* Take up to count; returns how many. Thread-safe. */
int rehash_collect(struct rehash_table *table, struct rehash *ret_rows, int count);

MUST_USE enum err rehash_store(struct call *call, const struct rehash *rehash);

#endif
