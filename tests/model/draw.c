#include "model.h"

enum { RECENT = 40, RECENT_PURCHASES = 8, RECENT_KEYS = 12, RECENT_OPERATIONS = 200 };

static const int weights[OP__COUNT] = {
    [OP_CREATE] = 5,   [OP_CANCEL] = 2, [OP_ACCEPT] = 24,    [OP_RELEASE] = 3, [OP_RENEW] = 4,
    [OP_RECEIVE] = 22, [OP_JUDGE] = 18, [OP_RETRY] = 8,      [OP_DELIVER] = 4, [OP_GRANT] = 8,
    [OP_ADVANCE] = 8,  [OP_SWEEP] = 2,  [OP_SET_FEE] = 1,    [OP_BUY] = 2,     [OP_ANSWER] = 1,
    [OP_TELL] = 5,     [OP_CHARGE] = 4, [OP_SET_TOP_UP] = 4, [OP_LIFT] = 2,
};

/* --- chance --- */

static int64_t below(struct model *model, int64_t count)
{
    model->chance ^= model->chance << 13;
    model->chance ^= model->chance >> 7;
    model->chance ^= model->chance << 17;
    return (int64_t)((model->chance >> 11) % (uint64_t)count);
}

static bool one_in(struct model *model, int64_t count)
{
    return below(model, count) == 0;
}

/* Mostly one of the newest; NOTHING when there is none. */
static int pick(struct model *model, int count)
{
    if (count == 0) return NOTHING;
    if (count <= RECENT || one_in(model, 10)) return (int)below(model, count);
    return count - 1 - (int)below(model, RECENT);
}

static int pick_job(struct model *model)
{
    int number = pick(model, model->ref.jobs_count);
    return number < 0 ? NOTHING : model->ref.jobs[number].made_by;
}

static int pick_lease(struct model *model)
{
    int number = pick(model, model->ref.leases_count);
    return number < 0 ? NOTHING : model->ref.leases[number].made_by;
}

/* A submission, most often one in this state. */
static int pick_submission(struct model *model, enum ref_sub_state state)
{
    int number = pick(model, model->ref.subs_count);
    for (int i = 0; i < 12 && number >= 0 && model->ref.subs[number].state != state; i++)
        number = pick(model, model->ref.subs_count);
    return number < 0 ? NOTHING : model->ref.subs[number].made_by;
}

/* One of the newest: what is asked for is paid soon, or never. */
static int pick_purchase(struct model *model)
{
    int count = model->ref.purchases_count;
    if (count == 0) return NOTHING;
    int recent = count < RECENT_PURCHASES ? count : RECENT_PURCHASES;
    return model->ref.purchases[count - 1 - (int)below(model, recent)].made_by;
}

/* Mostly of live credit. */
static int pick_wallet(struct model *model)
{
    int org = (int)below(model, REF_ORGS);
    return one_in(model, 6) ? REF_ORGS + org : org;
}

/* Most often one with a top-up to charge. */
static int pick_wallet_to_charge(struct model *model)
{
    int wallet = pick_wallet(model);
    for (int i = 0; i < REF_WALLETS && ref_top_up(&model->ref, wallet) < 0; i++)
        wallet = pick_wallet(model);
    return wallet;
}

static enum operation_kind pick_kind(struct model *model)
{
    int64_t sum = 0;
    for (int i = 0; i < OP__COUNT; i++)
        sum += weights[i];
    int64_t left = below(model, sum);
    int     kind = 0;
    while (left >= weights[kind])
        left -= weights[kind++];
    return (enum operation_kind)kind;
}

/* --- what each is sent with --- */

/* None, or within the time that a job takes here. */
static int64_t draw_deadline(struct model *model)
{
    if (!one_in(model, 4)) return 0;
    int64_t while_ms = one_in(model, 3) ? 2 * MS_PER_DAY : 90 * MS_PER_MINUTE;
    return model->ref.now_ms + 1 + below(model, while_ms);
}

static struct ref_asked draw_job(struct model *model)
{
    return (struct ref_asked){
        .org = one_in(model, 8) ? pick_wallet(model) : (int)below(model, REF_ORGS),
        .needed = 1 + below(model, 5),
        .price = one_in(model, 20) ? 1 + below(model, 100000) : 1 + below(model, 120),
        .files_per_worker = one_in(model, 3) ? 1 + below(model, 2) : 0,
        .stars_min = 1 + below(model, 5),
        .deadline_ms = draw_deadline(model),
    };
}

/* None, a new one, or one that somebody used already, perhaps for something else. */
static int draw_key(struct model *model)
{
    if (one_in(model, 2)) return 0;
    if (one_in(model, 2) || model->keys_count < RECENT_KEYS) return ++model->keys_count;
    return model->keys_count - (int)below(model, RECENT_KEYS);
}

/* To the instant at which the next lot expires or is warned of, or a millisecond before it. */
static int64_t time_to_expiry(struct model *model)
{
    int64_t next_ms = model->ref.now_ms + 300 * MS_PER_DAY;
    for (int i = 0; i < model->ref.lots_count; i++) {
        const struct ref_lot *lot = &model->ref.lots[i];
        if (lot->expires_ms > model->ref.now_ms && lot->expires_ms < next_ms)
            next_ms = lot->expires_ms;
    }
    int64_t early_ms = below(model, 2);
    if (one_in(model, 2) && next_ms - REF_WARNED_MS > model->ref.now_ms) next_ms -= REF_WARNED_MS;
    return next_ms - model->ref.now_ms - early_ms;
}

/* To the instant of the next deadline, or a millisecond before it. */
static int64_t time_to_deadline(struct model *model)
{
    int64_t next_ms = model->ref.now_ms + MS_PER_DAY;
    for (int i = 0; i < model->ref.jobs_count; i++) {
        const struct ref_job *job = &model->ref.jobs[i];
        if (job->deadline_ms > model->ref.now_ms && job->deadline_ms < next_ms)
            next_ms = job->deadline_ms;
    }
    int64_t early_ms = below(model, 2);
    return next_ms - model->ref.now_ms - early_ms;
}

/* To the instant at which the newest Idempotency-Key ends, or a millisecond before it. */
static int64_t time_to_end_of_key(struct model *model)
{
    if (model->ref.answers_count == 0) return 0;
    int64_t end_ms = model->ref.answers[model->ref.answers_count - 1].created_ms + REF_DAY_MS;
    int64_t early_ms = below(model, 2);
    return end_ms > model->ref.now_ms ? end_ms - model->ref.now_ms - early_ms : 0;
}

/* To the instant of a recent top-up's next try, of the end of its asking, or from which another may
 * begin; or a millisecond before it. */
static int64_t time_to_top_up(struct model *model)
{
    int64_t which = below(model, 3), early_ms = below(model, 2);
    int     last = model->ref.purchases_count - 1;
    for (int i = last; i >= 0 && i > last - RECENT_PURCHASES; i--) {
        const struct ref_purchase *purchase = &model->ref.purchases[i];
        int64_t ends_ms[] = { purchase->due_ms, purchase->due_ms + REF_ASKED_FOR_MS,
                              purchase->created_ms + REF_DAY_MS };
        int64_t left_ms = ends_ms[which] - model->ref.now_ms;
        if (purchase->is_top_up && left_ms > 0) return left_ms - early_ms;
    }
    return 0;
}

static int64_t draw_time(struct model *model)
{
    if (one_in(model, 12)) return time_to_expiry(model);
    if (one_in(model, 12)) return time_to_end_of_key(model);
    if (one_in(model, 8)) return time_to_top_up(model);
    if (one_in(model, 6)) return time_to_deadline(model);
    if (one_in(model, 60)) return (100 + below(model, 200)) * MS_PER_DAY;
    if (one_in(model, 8)) return below(model, 2 * MS_PER_DAY);
    /* Often exactly the end of a lease taken now, or a millisecond before it. */
    if (one_in(model, 4)) return REF_TTL_MS - below(model, 2);
    return below(model, 20 * MS_PER_MINUTE);
}

static int64_t draw_fee(struct model *model)
{
    static const int64_t rates[] = { 0, 1, 200000, 333333, 500000, 1000000 };
    return one_in(model, 2) ? rates[below(model, COUNT_OF(rates))] : below(model, 1000001);
}

/* New bytes, or some that were sent before. */
static int draw_bytes(struct model *model)
{
    if (one_in(model, 6) && model->bytes_count > 0)
        return model->bytes_count - (int)below(model, 6) % model->bytes_count;
    return ++model->bytes_count;
}

static void draw_verdict(struct model *model, struct operation *operation)
{
    bool is_gated = one_in(model, 8);
    operation->number = is_gated ? 1 : 1 + below(model, 5);
    operation->is_unexamined = !is_gated && one_in(model, 20);
    operation->gate = is_gated ? (enum score_gate)(1 + below(model, GATE__COUNT - 1)) : GATE_NONE;
}

static void draw_grant(struct model *model, struct operation *operation)
{
    static const enum transfer_kind kinds[] = { TRANSFER_PURCHASE, TRANSFER_BONUS,
                                                TRANSFER_FREE_TIER };
    operation->object = (int)below(model, REF_ORGS);
    operation->number = 1 + below(model, one_in(model, 10) ? 3000 : 300);
    operation->grant = kinds[below(model, COUNT_OF(kinds))];
    /* A pack now and then; who is always rich meets no limit. */
    if (operation->grant == TRANSFER_PURCHASE && operation->number % 24 == 0)
        operation->number = 2500;
}

/* What is told of a purchase: most often that it is paid. */
static int64_t draw_news(struct model *model)
{
    if (one_in(model, 2)) return REF_SESSION_PAID;
    if (one_in(model, 3)) return REF_PAYMENT_DONE;
    /* Money taken back is rarer than all else: who is frozen does little. */
    if (one_in(model, 4)) return one_in(model, 3) ? REF_REFUND : REF_DISPUTE;
    static const enum ref_news others[] = { REF_SESSION_WRONG, REF_SESSION_EXPIRED,
                                            REF_SESSION_FAILED, REF_PAYMENT_FAILED };
    return others[below(model, COUNT_OF(others))];
}

static int64_t draw_pack(struct model *model)
{
    static const int64_t packs[] = { 1000, 2500, 5000, 10000, 25000 };
    return one_in(model, 4) ? packs[below(model, COUNT_OF(packs))] : packs[0];
}

/* A threshold near the balance, so that it is crossed. */
static void draw_top_up(struct model *model, struct operation *operation)
{
    operation->object = one_in(model, 2) ? pick_wallet(model) : (int)below(model, REF_ORGS);
    operation->number = one_in(model, 4) ? 0 : 1;
    operation->asked.needed = one_in(model, 4) ? 2500 : 100 + below(model, 400);
    int64_t near = ref_balance(&model->ref, operation->object) + 200 - below(model, 600);
    operation->asked.price = near > 0 ? near : 0;
}

static int64_t draw_outcome(struct model *model)
{
    if (one_in(model, 3)) return REF_DECLINED;
    if (one_in(model, 5)) return REF_PROCESSING;
    return one_in(model, 8) ? REF_SILENT : REF_CHARGED;
}

static void draw_billing(struct model *model, struct operation *operation)
{
    switch (operation->kind) {
    case OP_BUY:
        operation->object = pick_wallet(model);
        operation->number = draw_pack(model);
        break;
    case OP_ANSWER: operation->object = pick_purchase(model); break;
    case OP_TELL:
        operation->object = pick_purchase(model);
        operation->number = draw_news(model);
        break;
    case OP_CHARGE:
        operation->object = pick_wallet_to_charge(model);
        operation->number = draw_outcome(model);
        break;
    case OP_SET_TOP_UP: draw_top_up(model, operation); break;
    case OP_LIFT: operation->object = (int)below(model, REF_ORGS); break;
    default: break;
    }
}

static void draw_details(struct model *model, struct operation *operation)
{
    switch (operation->kind) {
    case OP_CREATE:
        operation->asked = draw_job(model);
        operation->key = draw_key(model);
        break;
    case OP_CANCEL:
    case OP_ACCEPT:
        operation->object = pick_job(model);
        operation->key = draw_key(model);
        break;
    case OP_RELEASE:
    case OP_RENEW: operation->object = pick_lease(model); break;
    case OP_RECEIVE:
        operation->object = pick_lease(model);
        operation->bytes = draw_bytes(model);
        break;
    case OP_JUDGE:
        operation->object = pick_submission(model, REF_PENDING);
        draw_verdict(model, operation);
        break;
    case OP_RETRY:
        operation->object = pick_submission(model, REF_REJECTED);
        operation->key = draw_key(model);
        break;
    case OP_GRANT: draw_grant(model, operation); break;
    case OP_ADVANCE:
        operation->number = model->ref.now_ms + draw_time(model) - MARKET_START_MS;
        break;
    case OP_SET_FEE: operation->number = draw_fee(model); break;
    default: draw_billing(model, operation); break;
    }
}

/* One that was sent before with a key, perhaps with another body: false when none is recent. */
static bool draw_again(struct model *model, struct operation *ret_operation)
{
    int made = model->trial->begun;
    if (made == 0) return false;
    int from = made > RECENT_OPERATIONS ? made - RECENT_OPERATIONS : 0;
    for (int i = 0; i < 8 && ret_operation->key == 0; i++)
        *ret_operation = model->trial->operations[from + (int)below(model, made - from)];
    if (ret_operation->key == 0) return false;
    if (one_in(model, 4)) ret_operation->asked.needed++;
    return true;
}

struct operation draw_operation(struct model *model)
{
    struct operation operation = { 0 };
    if (!one_in(model, 15) || !draw_again(model, &operation)) {
        operation = (struct operation){ .kind = pick_kind(model),
                                        .worker = (int)below(model, REF_WORKERS) };
        draw_details(model, &operation);
    }
    operation.is_repeated = one_in(model, 12);
    operation.serial = model->trial->begun;
    return operation;
}
