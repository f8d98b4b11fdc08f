/* Random operations on the server's rules and on a plain reference of them, side by side: every
 * operation must end the same way in both, and both must hold the same money, jobs and files.
 *
 * An operation is data. It names what it is about by the operation that made that, so that it still
 * means the same when others are left out, and is skipped when its object was never made. Time
 * advances to an instant, not by a while, for the same reason. */
#ifndef FIRSTHAND_TESTS_MODEL_H
#define FIRSTHAND_TESTS_MODEL_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "../unit/domain/marketplace.h"
#include "domain/idempotency.h"
#include "domain/purchase.h"
#include "reference.h"

enum { COMPARE_EVERY = 500, NOTHING = -1, ENDED_SKIPPED, ENDED_REFUSED, ENDED_DONE, ENDED__COUNT };

enum operation_kind {
    OP_CREATE,
    OP_CANCEL,
    OP_ACCEPT,
    OP_RELEASE,
    OP_RENEW,
    OP_RECEIVE,
    OP_JUDGE,
    OP_RETRY,
    OP_DELIVER,
    OP_GRANT,
    OP_ADVANCE,
    OP_SWEEP,
    OP_SET_FEE,
    OP_BUY,
    OP_ANSWER,
    OP_TELL,
    OP_CHARGE,
    OP_SET_TOP_UP,
    OP_LIFT,
    OP__COUNT
};

struct operation {
    enum operation_kind kind;
    int                 serial; /* its place in the run that drew it */
    bool    is_repeated;        /* sent twice, the second time with what the first was sent with */
    int     object; /* made_by of a job, lease, submission or purchase; a wallet; an organisation */
    int     key;    /* the Idempotency-Key; 0 = none */
    int     worker, bytes;
    int64_t number; /* cents, stars, milliseconds, parts per million, news, an outcome */
    enum score_gate    gate;
    bool               is_unexamined;
    enum transfer_kind grant;
    struct ref_asked   asked; /* a job; or the amount (needed) and threshold (price) of top-ups */
};

/* One run over a fresh store, in memory that the process that runs it shares with its parent. */
struct trial {
    uint64_t         seed;
    bool             is_drawn; /* make up the operations; otherwise they are there */
    enum ref_fault   fault;    /* of the reference, to see it found */
    int              operations_count;
    int              begun; /* how many of them */
    char             store[64];
    char             failure[128]; /* which check failed; the same fault gives the same words */
    int              ended[OP__COUNT][ENDED__COUNT];
    int              replayed; /* answers given again for an Idempotency-Key */
    struct operation operations[];
};

struct model {
    struct trial  *trial;
    struct market *market;
    struct ref     ref;
    uint64_t       chance;
    int            bytes_count, keys_count;
    struct id      orgs[REF_ORGS], workers[REF_WORKERS];
};

extern const char *const operation_names[OP__COUNT];

/* draw.c: the next operation, from the model's chance and what there is. */
struct operation draw_operation(struct model *model);

/* step.c: one operation in both, as often as it says, each held against the other. */
void model_step(struct model *model, const struct operation *operation);

/* step_billing.c: the server's side of what is bought; and that it is what the reference says. */
void              become_buyer(struct model *model, int wallet);
MUST_USE enum err server_buy_pack(struct model *model, int64_t cents, struct id *ret_id);
MUST_USE enum err server_answer(struct model *model, const struct ref_purchase *asked);
MUST_USE enum err server_tell(struct model *model, const struct operation *operation,
                              const struct ref_purchase *about, const char **ret_outcome);
MUST_USE enum err server_charge(struct model *model, int wallet, int64_t outcome,
                                struct id *ret_id);
MUST_USE enum err server_set_top_up(struct model *model, const struct operation *operation);
MUST_USE enum err server_lift(struct model *model, int org);
MUST_USE enum err server_warn(struct model *model);
void              compare_top_ups(struct model *model, int wallet);
void              compare_billing(struct model *model);

/* Which payment of a purchase is told of: a checkout has one, a top-up one a try. */
static inline int operation_try(const struct operation *operation, const struct ref_purchase *about)
{
    return about->is_top_up ? 1 + operation->worker % REF_TRIES_MAX : 1;
}

/* compare.c: both, held against each other. */
void compare_job(struct model *model, int number);
void compare_spendable(struct model *model, int org);
void compare_all(struct model *model);

/* The check fails the test, and the trial remembers which it was. */
#define MODEL_CHECK(model, condition, failure_format, ...)                                         \
    do {                                                                                           \
        if (condition) break;                                                                      \
        snprintf((model)->trial->failure, sizeof((model)->trial->failure), failure_format,         \
                 ##__VA_ARGS__);                                                                   \
        fail_msg("%s", (model)->trial->failure);                                                   \
    } while (0)

static inline void must_be(struct model *model, const char *what, int number, int64_t found,
                           int64_t expected)
{
    if (found == expected) return;
    print_error("%s %d: found %lld, expected %lld\n", what, number, (long long)found,
                (long long)expected);
    MODEL_CHECK(model, found == expected, "another %s than expected", what);
}

#endif
