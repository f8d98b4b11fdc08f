/* Names to addresses without waiting: a pool of threads asks, the owner's thread collects. One
 * question at a time is asked for a name, and answers everybody who asks meanwhile; nothing is kept
 * for later. Names that are slow to answer have a quarter of the threads at most, so that others'
 * names are always asked. All but the wake is for the owner's thread. */
#ifndef FIRSTHAND_PLATFORM_RESOLVER_H
#define FIRSTHAND_PLATFORM_RESOLVER_H

#include "base/str.h"

#include <sys/socket.h>

enum {
    RESOLVER_THREADS = 32,
    RESOLVER_SLOW_THREADS_MAX = 8,
    RESOLVER_LOOKUPS_MAX = 512,  /* names at a time */
    RESOLVER_ADDRESSES_MAX = 32, /* of a name; one that has more counts as unknown */
    RESOLVER_NAME_BYTES_MAX = 253,
};
static const int64_t RESOLVER_SLOW_MS = 1000;           /* slower than this is slow, */
static const int64_t RESOLVER_SLOW_FOR_MS = 600 * 1000; /* and stays so for so long */

struct resolver;
struct lookup;

struct resolver_question {
    /* From resolver_collect; count 0 = no such name, or no answer. */
    void (*answered)(void *argument, const struct sockaddr_storage *addresses, int count);
    void *argument;

    struct lookup            *lookup; /* the resolver's; NULL = not asking */
    struct resolver_question *next;
};

/* wake: called on any thread when there is something to collect; must not block. Owned by the
 * caller until resolver_stop, which waits for what is being asked, and asks nothing more. */
struct resolver *resolver_start(void (*wake)(void *argument), void *argument);
void             resolver_stop(struct resolver *resolver);

/* question stays the caller's, and where it is, until it is answered or forgotten. False: the name
 * is too long, or there are too many lookups; nothing is asked. */
MUST_USE bool resolver_ask(struct resolver *resolver, struct str name,
                           struct resolver_question *question);

/* Nobody waits for the answer any more; fine for one that is not asking. */
void resolver_forget(struct resolver_question *question);

/* Answer what is known by now. */
void resolver_collect(struct resolver *resolver);

#endif
