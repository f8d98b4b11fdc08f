/* Buying credit, said once more: purchases and what the card processor tells of them, automatic
 * top-ups, freezes, and what is told of a balance. Part of reference.h. */
#ifndef FIRSTHAND_TESTS_REFERENCE_BILLING_H
#define FIRSTHAND_TESTS_REFERENCE_BILLING_H

enum { REF_LOW_CENTS = 1000, REF_TRIES_MAX = 3, REF_TOP_UPS_A_DAY = 1, REF_HOUR_MS = 3600000 };
static const int64_t REF_ASKED_FOR_MS = (int64_t)23 * REF_HOUR_MS;
static const int64_t REF_WARNED_MS = (int64_t)30 * REF_DAY_MS;

/* What comes of a charge, and what the processor tells. */
enum { REF_CHARGED, REF_DECLINED, REF_PROCESSING, REF_SILENT };
enum ref_news {
    REF_SESSION_PAID,
    REF_SESSION_WRONG, /* another amount */
    REF_SESSION_EXPIRED,
    REF_SESSION_FAILED,
    REF_PAYMENT_DONE,
    REF_PAYMENT_FAILED,
    REF_REFUND,  /* names the purchase */
    REF_DISPUTE, /* names the payment only */
    REF_NEWS__COUNT
};

static inline bool ref_is_under_way(const struct ref_purchase *purchase)
{
    return purchase->state == REF_ASKING || purchase->state == REF_TO_BE_PAID;
}

/* --- top-ups --- */

/* The top-up of a wallet that is under way; -1 = none. */
static inline int ref_top_up(const struct ref *ref, int wallet)
{
    for (int i = ref->purchases_count - 1; i >= 0; i--) {
        const struct ref_purchase *purchase = &ref->purchases[i];
        if (purchase->wallet == wallet && purchase->is_top_up && ref_is_under_way(purchase))
            return i;
    }
    return -1;
}

static inline bool ref_is_frozen(const struct ref *ref, int wallet)
{
    for (int i = 0; i < ref->freezes_count; i++)
        if (ref->freezes[i].wallet == wallet && !ref->freezes[i].is_lifted) return true;
    return false;
}

static inline int ref_top_ups_today(const struct ref *ref, int wallet)
{
    int count = 0;
    for (int i = 0; i < ref->purchases_count; i++)
        count += ref->purchases[i].wallet == wallet && ref->purchases[i].is_top_up &&
                 ref->purchases[i].created_ms > ref->now_ms - REF_DAY_MS;
    return count;
}

static inline void ref_intend(struct ref *ref, int wallet, int64_t cents, bool is_top_up)
{
    CHECK(ref->purchases_count < ref->rows_max);
    ref->purchases[ref->purchases_count++] = (struct ref_purchase){
        .made_by = ref->maker,
        .wallet = wallet,
        .is_top_up = is_top_up,
        .cents = cents,
        .created_ms = ref->now_ms,
        .due_ms = ref->now_ms,
    };
}

/* False when nobody may be charged. */
static inline bool ref_begin_top_up(struct ref *ref, int wallet)
{
    const struct ref_wallet *own = &ref->wallets[wallet];
    int                      limit = REF_TOP_UPS_A_DAY + (ref->fault == REF_TOPS_UP_MORE ? 1 : 0);
    if (!ref_is_test(wallet) && (!own->has_card || ref_is_frozen(ref, wallet))) return false;
    if (ref_top_up(ref, wallet) >= 0) return true;
    if (ref_top_ups_today(ref, wallet) >= limit) return false;
    ref_intend(ref, wallet, own->amount, true);
    return true;
}

static inline bool ref_wants_top_up(const struct ref *ref, int wallet)
{
    const struct ref_wallet *own = &ref->wallets[wallet];
    return own->is_topped_up && ref_balance(ref, wallet) < own->threshold;
}

static inline bool ref_has_crossed(int64_t balance, int64_t lowered, int64_t line)
{
    return balance < line && balance + lowered >= line;
}

/* The balance has just gone down by so much. */
static inline void ref_lowered(struct ref *ref, int wallet, int64_t cents)
{
    int64_t balance = ref_balance(ref, wallet), line = 0;
    if (ref_wants_top_up(ref, wallet) && !ref_begin_top_up(ref, wallet))
        line = ref->wallets[wallet].threshold;
    if (ref_has_crossed(balance, cents, REF_LOW_CENTS) || ref_has_crossed(balance, cents, line))
        ref->wallets[wallet].told[REF_TOLD_LOW]++;
}

static inline void ref_set_top_up(struct ref *ref, int wallet, bool is_on, int64_t threshold,
                                  int64_t amount)
{
    struct ref_wallet *own = &ref->wallets[wallet];
    own->is_topped_up = is_on;
    own->threshold = threshold;
    own->amount = amount;
    if (ref_wants_top_up(ref, wallet)) (void)ref_begin_top_up(ref, wallet);
}

/* --- purchases --- */

static inline void ref_pay(struct ref *ref, struct ref_purchase *purchase)
{
    int64_t until_ms = time_add_year(ref->now_ms), bonus = ref_bonus(purchase->cents);
    ref_grant(ref, purchase->wallet, TRANSFER_PURCHASE, purchase->cents, until_ms);
    if (bonus > 0) ref_grant(ref, purchase->wallet, TRANSFER_BONUS, bonus, until_ms);
    ref->wallets[purchase->wallet]
        .told[purchase->is_top_up ? REF_TOLD_TOPPED_UP : REF_TOLD_PURCHASED]++;
    purchase->state = REF_PAID;
}

static inline void ref_buy(struct ref *ref, int wallet, int64_t cents)
{
    ref_expire(ref, wallet);
    ref_intend(ref, wallet, cents, false);
    if (ref_is_test(wallet)) ref_pay(ref, &ref->purchases[ref->purchases_count - 1]);
}

static inline void ref_answer(struct ref_purchase *purchase)
{
    if (purchase->is_answered) return;
    purchase->is_answered = true;
    if (purchase->state == REF_ASKING) purchase->state = REF_TO_BE_PAID;
}

static inline void ref_decline(struct ref *ref, struct ref_purchase *purchase)
{
    struct ref_wallet *own = &ref->wallets[purchase->wallet];
    purchase->tries++;
    purchase->due_ms = ref->now_ms + REF_HOUR_MS;
    purchase->state = purchase->tries < REF_TRIES_MAX ? REF_ASKING : REF_NOT_PAID;
    if (purchase->state == REF_ASKING) {
        purchase->payment_try = 0;
        return;
    }
    own->is_topped_up = false;
    own->told[REF_TOLD_LOW]++;
}

/* The runner's turn at a wallet's top-up. */
static inline const char *ref_charge(struct ref *ref, int wallet, int outcome)
{
    int                  number = ref_top_up(ref, wallet);
    struct ref_purchase *purchase = number < 0 ? NULL : &ref->purchases[number];
    if (purchase == NULL || purchase->state != REF_ASKING) return "nothing_to_charge";
    if (ref->now_ms < purchase->due_ms) return "not_due";
    if (ref_is_test(wallet)) {
        ref_pay(ref, purchase);
        return NULL;
    }
    bool is_late = ref->now_ms >= purchase->due_ms + REF_ASKED_FOR_MS;
    if (is_late || !ref_wants_top_up(ref, wallet) || ref_is_frozen(ref, wallet)) {
        purchase->state = REF_NOT_PAID;
        return NULL;
    }
    if (outcome == REF_DECLINED) ref_decline(ref, purchase);
    if (outcome == REF_DECLINED || outcome == REF_SILENT) return NULL;
    purchase->payment_try = (int)purchase->tries + 1;
    if (outcome == REF_PROCESSING)
        purchase->state = REF_TO_BE_PAID;
    else
        ref_pay(ref, purchase);
    return NULL;
}

/* --- what the processor tells --- */

static inline bool ref_freeze(struct ref *ref, int event, int wallet)
{
    for (int i = 0; i < ref->freezes_count; i++)
        if (ref->freezes[i].event == event) return false;
    CHECK(ref->freezes_count < ref->rows_max);
    ref->freezes[ref->freezes_count++] = (struct ref_freeze){ event, wallet, false };
    return true;
}

/* A dispute of a payment that nobody has told of yet. */
static inline void ref_contest(struct ref *ref, int purchase, int payment_try, int event)
{
    int kept = 0;
    for (int i = 0; i < ref->contests_count; i++)
        if (ref->contests[i].created_ms > ref->now_ms - REF_WARNED_MS)
            ref->contests[kept++] = ref->contests[i];
    ref->contests_count = kept;
    for (int i = 0; i < kept; i++)
        if (ref->contests[i].event == event) return;
    CHECK(kept < ref->rows_max);
    ref->contests[ref->contests_count++] =
        (struct ref_contest){ purchase, payment_try, event, ref->now_ms };
}

static inline bool ref_freeze_contested(struct ref *ref, int number)
{
    const struct ref_purchase *purchase = &ref->purchases[number];
    bool                       is_new = false;
    int                        kept = 0;
    for (int i = 0; i < ref->contests_count; i++) {
        struct ref_contest contest = ref->contests[i];
        if (contest.purchase == number && contest.payment_try == purchase->payment_try)
            is_new |= ref_freeze(ref, contest.event, purchase->wallet);
        else
            ref->contests[kept++] = contest;
    }
    ref->contests_count = kept;
    return is_new;
}

static inline const char *ref_paid_by(struct ref *ref, struct ref_purchase *purchase)
{
    bool is_news = purchase->state != REF_PAID;
    if (is_news || ref->fault == REF_CREDITS_AGAIN) ref_pay(ref, purchase);
    return is_news ? "credited" : "nothing";
}

static inline const char *ref_session_paid(struct ref *ref, struct ref_purchase *purchase)
{
    if (purchase->is_top_up) return "disagrees";
    purchase->payment_try = 1;
    return ref_paid_by(ref, purchase);
}

static inline const char *ref_payment_done(struct ref *ref, int number, int payment_try)
{
    struct ref_purchase *purchase = &ref->purchases[number];
    struct ref_wallet   *own = &ref->wallets[purchase->wallet];
    if (purchase->is_top_up) {
        if (purchase->state == REF_PAID && purchase->payment_try != payment_try) return "disagrees";
        purchase->payment_try = payment_try;
        return ref_paid_by(ref, purchase);
    }
    purchase->payment_try = 1;
    if (own->has_card && purchase->created_ms < own->card_ms) return "nothing";
    own->has_card = true;
    own->card = number;
    own->card_ms = purchase->created_ms;
    return "nothing";
}

static inline const char *ref_payment_failed(struct ref *ref, struct ref_purchase *purchase,
                                             int payment_try)
{
    bool is_awaited = purchase->is_top_up && purchase->state == REF_TO_BE_PAID;
    if (!is_awaited || purchase->payment_try != payment_try) return "nothing";
    ref_decline(ref, purchase);
    return "ended";
}

static inline const char *ref_session_ended(struct ref_purchase *purchase, enum ref_news news)
{
    if (purchase->is_top_up || !ref_is_under_way(purchase)) return "nothing";
    purchase->state = news == REF_SESSION_EXPIRED ? REF_TOO_LATE : REF_NOT_PAID;
    return "ended";
}

static inline const char *ref_taken_back(struct ref *ref, int number, bool names_purchase,
                                         int payment_try, int event)
{
    const struct ref_purchase *purchase = &ref->purchases[number];
    if (names_purchase || purchase->payment_try == payment_try)
        return ref_freeze(ref, event, purchase->wallet) ? "frozen" : "nothing";
    ref_contest(ref, number, payment_try, event);
    return "unknown_purchase";
}

static inline const char *ref_arrived(struct ref *ref, int number, const char *outcome)
{
    if (strcmp(outcome, "disagrees") == 0) return outcome;
    return ref_freeze_contested(ref, number) ? "frozen" : outcome;
}

/* What the server makes of an event. A checkout has one payment, a top-up one a try. */
static inline const char *ref_tell(struct ref *ref, int number, enum ref_news news, int payment_try,
                                   int event)
{
    struct ref_purchase *purchase = &ref->purchases[number];
    switch (news) {
    case REF_SESSION_PAID: return ref_arrived(ref, number, ref_session_paid(ref, purchase));
    case REF_SESSION_WRONG: return "disagrees";
    case REF_SESSION_EXPIRED:
    case REF_SESSION_FAILED: return ref_session_ended(purchase, news);
    case REF_PAYMENT_DONE:
        return ref_arrived(ref, number, ref_payment_done(ref, number, payment_try));
    case REF_PAYMENT_FAILED: return ref_payment_failed(ref, purchase, payment_try);
    case REF_REFUND: return ref_taken_back(ref, number, true, payment_try, event);
    case REF_DISPUTE: return ref_taken_back(ref, number, false, payment_try, event);
    default: return "unknown";
    }
}

static inline void ref_lift(struct ref *ref, int org)
{
    for (int i = 0; i < ref->freezes_count; i++)
        if (ref->freezes[i].wallet == org) ref->freezes[i].is_lifted = true;
}

/* Once for each lot that will expire within a month. */
static inline void ref_warn(struct ref *ref)
{
    for (int i = 0; i < ref->lots_count; i++) {
        struct ref_lot *lot = &ref->lots[i];
        if (lot->is_warned || lot->cents == 0 || lot->expires_ms <= ref->now_ms) continue;
        if (lot->expires_ms > ref->now_ms + REF_WARNED_MS) continue;
        lot->is_warned = true;
        ref->wallets[lot->org].told[REF_TOLD_EXPIRING]++;
    }
}

#endif
