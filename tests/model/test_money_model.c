/* Random operations on the server's rules and on a plain reference of them, side by side: every
 * operation must end the same way in both, and both must hold the same money, jobs and files.
 *
 * MODEL_SEED chooses the run (a seed of chance otherwise; it is printed), MODEL_OPERATIONS its
 * length. The same seed gives the same run. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "../unit/domain/marketplace.h"
#include "base/world.h"
#include "reference.h"

#include <signal.h>

enum { OPERATIONS_DEFAULT = 20000, COMPARE_EVERY = 500, RECENT = 40 };
enum { TOLD_LINES = 30, TOLD_BYTES = 160 };

enum operation {
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
    OP__COUNT
};

static const struct {
    const char *name;
    int         weight;
} operations[OP__COUNT] = {
    [OP_CREATE] = { "create", 5 },   [OP_CANCEL] = { "cancel", 2 },
    [OP_ACCEPT] = { "accept", 24 },  [OP_RELEASE] = { "release", 3 },
    [OP_RENEW] = { "renew", 4 },     [OP_RECEIVE] = { "receive", 22 },
    [OP_JUDGE] = { "judge", 18 },    [OP_RETRY] = { "retry", 8 },
    [OP_DELIVER] = { "deliver", 4 }, [OP_GRANT] = { "grant", 8 },
    [OP_ADVANCE] = { "advance", 8 }, [OP_SWEEP] = { "sweep", 2 },
    [OP_SET_FEE] = { "set fee", 1 },
};

/* What an operation was drawn to do: doing it again repeats it exactly. */
struct draw {
    enum operation  kind;
    int             object; /* organisation, job, lease or submission */
    int             worker, bytes;
    int64_t         number; /* cents, stars, milliseconds, parts per million */
    enum score_gate gate;
    bool            is_unexamined;
    struct ref_job  asked;
    struct task     task; /* the one to judge with */
    struct verdict  verdict;
};

struct model {
    struct market *market;
    struct ref     ref;
    uint64_t       seed, chance;
    int            done, bytes_count;
    struct id      orgs[REF_ORGS], workers[REF_WORKERS];
    int            ended[OP__COUNT][2]; /* refused, accepted */
};

/* --- telling what happened --- */

/* The last operations, where a signal's handler finds them too. */
static char     told[TOLD_LINES][TOLD_BYTES];
static int      told_count;
static uint64_t told_seed;

static void tell_run(void)
{
    dprintf(STDERR_FILENO, "MODEL_SEED=%llu after %d operations; the last:\n",
            (unsigned long long)told_seed, told_count);
    int first = told_count > TOLD_LINES ? told_count - TOLD_LINES : 0;
    for (int i = first; i < told_count; i++)
        dprintf(STDERR_FILENO, "  %s\n", told[i % TOLD_LINES]);
}

static void tell_abort(int signal_number)
{
    tell_run();
    signal(signal_number, SIG_DFL);
    raise(signal_number);
}

static void note(const struct draw *draw, const char *expected)
{
    snprintf(told[told_count % TOLD_LINES], TOLD_BYTES,
             "%d %s object=%d worker=%d bytes=%d number=%lld gate=%d: %s", told_count,
             operations[draw->kind].name, draw->object, draw->worker, draw->bytes,
             (long long)draw->number, draw->gate, expected ? expected : "ok");
    told_count++;
}

#define MODEL_CHECK(condition, ...)                                                                \
    do {                                                                                           \
        if (condition) break;                                                                      \
        tell_run();                                                                                \
        print_error(__VA_ARGS__);                                                                  \
        fail_msg("%s", #condition);                                                                \
    } while (0)

static void must_be(const char *what, int number, int64_t found, int64_t expected)
{
    MODEL_CHECK(found == expected, "%s %d: found %lld, expected %lld\n", what, number,
                (long long)found, (long long)expected);
}

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

/* Mostly one of the newest; -1 when there is none. */
static int pick(struct model *model, int count)
{
    if (count == 0) return -1;
    if (count <= RECENT || one_in(model, 10)) return (int)below(model, count);
    return count - 1 - (int)below(model, RECENT);
}

/* A submission, most often one in this state. */
static int pick_submission(struct model *model, enum ref_sub_state state)
{
    int number = pick(model, model->ref.subs_count);
    for (int i = 0; i < 12 && number >= 0 && model->ref.subs[number].state != state; i++)
        number = pick(model, model->ref.subs_count);
    return number;
}

static enum operation pick_operation(struct model *model)
{
    int64_t sum = 0;
    for (int i = 0; i < OP__COUNT; i++)
        sum += operations[i].weight;
    int64_t left = below(model, sum);
    int     kind = 0;
    while (left >= operations[kind].weight)
        left -= operations[kind++].weight;
    return (enum operation)kind;
}

static struct ref_job draw_job(struct model *model)
{
    return (struct ref_job){
        .org = (int)below(model, REF_ORGS),
        .needed = 1 + below(model, 5),
        .price = one_in(model, 20) ? 1 + below(model, 100000) : 1 + below(model, 120),
        .files_per_worker = one_in(model, 3) ? 1 + below(model, 2) : 0,
        .stars_min = 1 + below(model, 5),
    };
}

/* To the instant at which the next lot expires, or a millisecond before it. */
static int64_t time_to_expiry(struct model *model)
{
    int64_t next_ms = model->ref.now_ms + 300 * MS_PER_DAY;
    for (int i = 0; i < model->ref.lots_count; i++) {
        const struct ref_lot *lot = &model->ref.lots[i];
        if (lot->expires_ms > model->ref.now_ms && lot->expires_ms < next_ms)
            next_ms = lot->expires_ms;
    }
    int64_t early_ms = below(model, 2);
    return next_ms - model->ref.now_ms - early_ms;
}

static int64_t draw_time(struct model *model)
{
    if (one_in(model, 12)) return time_to_expiry(model);
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

/* The task and verdict as a runner would hold them, so that a repeat comes with the old ones. */
static void draw_verdict(struct model *model, struct draw *draw)
{
    const struct ref_sub *sub = &model->ref.subs[draw->object];
    bool                  is_gated = one_in(model, 8);
    draw->number = is_gated ? 1 : 1 + below(model, 5);
    draw->is_unexamined = !is_gated && one_in(model, 20);
    draw->gate = is_gated ? (enum score_gate)(1 + below(model, GATE__COUNT - 1)) : GATE_NONE;
    draw->task = market_task(model->market, TASK_SCORE, &sub->id);
    if (sub->state == REF_AWAITED) return;
    struct submission row = market_submission_now(model->market, &sub->id);
    draw->verdict = market_verdict(&row, (int)draw->number, draw->gate);
    draw->verdict.is_unexamined = draw->is_unexamined;
}

static struct draw draw_operation(struct model *model)
{
    struct ref *ref = &model->ref;
    struct draw draw = { .kind = pick_operation(model), .worker = (int)below(model, REF_WORKERS) };
    switch (draw.kind) {
    case OP_CREATE: draw.asked = draw_job(model); break;
    case OP_CANCEL:
    case OP_ACCEPT: draw.object = pick(model, ref->jobs_count); break;
    case OP_RELEASE:
    case OP_RENEW: draw.object = pick(model, ref->leases_count); break;
    case OP_RECEIVE:
        draw.object = pick(model, ref->leases_count);
        draw.bytes = one_in(model, 6) && model->bytes_count > 0
                         ? model->bytes_count - (int)below(model, 6) % model->bytes_count
                         : ++model->bytes_count;
        break;
    case OP_JUDGE:
        draw.object = pick_submission(model, REF_PENDING);
        if (draw.object >= 0) draw_verdict(model, &draw);
        break;
    case OP_RETRY: draw.object = pick_submission(model, REF_REJECTED); break;
    case OP_GRANT:
        draw.object = (int)below(model, REF_ORGS);
        draw.number = 1 + below(model, one_in(model, 10) ? 3000 : 300);
        break;
    case OP_ADVANCE: draw.number = draw_time(model); break;
    case OP_SET_FEE: draw.number = draw_fee(model); break;
    default: break;
    }
    return draw;
}

/* --- the operation in the reference --- */

static const char *reference_step(struct model *model, const struct draw *draw, int *ret_lease)
{
    struct ref *ref = &model->ref;
    switch (draw->kind) {
    case OP_CREATE: return ref_create(ref, &draw->asked);
    case OP_CANCEL: return ref_cancel(ref, draw->object);
    case OP_ACCEPT: return ref_accept(ref, draw->object, draw->worker, ret_lease);
    case OP_RELEASE: return ref_release(ref, draw->object);
    case OP_RENEW: ref_renew(ref, draw->object); return NULL;
    case OP_RECEIVE: return ref_receive(ref, draw->object, draw->bytes);
    case OP_JUDGE:
        return ref_judge(ref, draw->object, (int)draw->number,
                         draw->gate != GATE_NONE || draw->is_unexamined);
    case OP_RETRY: *ret_lease = ref->leases_count; return ref_retry(ref, draw->object);
    case OP_DELIVER:
        if (ref->deliveries_due == 0) return "task";
        ref->deliveries_due--;
        return NULL;
    case OP_GRANT:
        ref_grant(ref, draw->object, draw->number, time_add_year(ref->now_ms));
        return NULL;
    case OP_ADVANCE: ref_advance(ref, draw->number); return NULL;
    case OP_SWEEP:
        for (int i = 0; i < REF_ORGS; i++)
            ref_expire(ref, i);
        return NULL;
    case OP_SET_FEE: ref->fee_ppm = draw->number; return NULL;
    default: return "unknown";
    }
}

/* --- the operation in the server --- */

static enum err server_create(struct model *model, const struct draw *draw, struct id *ret_id)
{
    struct job job = market_job_asked(draw->asked.needed, draw->asked.price);
    job.min_stars = draw->asked.stars_min;
    job.max_files_per_worker = draw->asked.files_per_worker;
    enum err e = job_create(&model->market->call, &job);
    *ret_id = job.id;
    return e;
}

static enum err server_cancel(struct model *model, const struct ref_job *ref_job)
{
    struct job job;
    return job_cancel(&model->market->call, id_str(&ref_job->id), &job);
}

static enum err server_renew(struct model *model, const struct ref_lease *lease)
{
    struct reservation row;
    enum err           e = reservation_get(&model->market->call, id_str(&lease->id), &row);
    return e ? e : reservation_renew(&model->market->call, &row);
}

static enum err server_receive(struct model *model, const struct draw *draw)
{
    struct call       *call = &model->market->call;
    struct received    received = market_bytes_numbered(model->market, draw->bytes);
    struct reservation row;
    struct submission  submission;
    bool               is_new;
    enum err           e = reservation_get(call, id_str(&model->ref.leases[draw->object].id), &row);
    if (e) return e;
    return submission_receive(call, &row, &received, &submission, &is_new);
}

static enum err server_deliver(struct model *model)
{
    struct task task;
    enum err    e = task_claim(&model->market->call, TASK_DELIVER, MS_PER_MINUTE, &task);
    return e ? e : file_delivered(&model->market->call, &task);
}

static enum err server_sweep(struct model *model)
{
    int      count;
    enum err e = reservation_lapse_all_due(&model->market->call, 1000000, &count);
    return e ? e : credits_expire_all_due(&model->market->call, 1000000, &count);
}

/* Who asks: the buyer of the object, its worker, or a runner. */
static void become_actor(struct model *model, const struct draw *draw)
{
    struct market    *market = model->market;
    const struct ref *ref = &model->ref;
    market_as_runner(market);
    switch (draw->kind) {
    case OP_CREATE:
    case OP_CANCEL:
        market->org_id =
            model->orgs[draw->kind == OP_CREATE ? draw->asked.org : ref->jobs[draw->object].org];
        market_as_buyer(market);
        break;
    case OP_ACCEPT: market_as_worker(market, &model->workers[draw->worker]); break;
    case OP_RELEASE:
    case OP_RENEW:
    case OP_RECEIVE:
        market_as_worker(market, &model->workers[ref->leases[draw->object].worker]);
        break;
    case OP_RETRY: market_as_worker(market, &model->workers[ref->subs[draw->object].worker]); break;
    default: break;
    }
}

/* *ret_lease and *ret_job_id = what it made or gave back. */
static enum err server_step(struct model *model, const struct draw *draw,
                            struct reservation *ret_lease, struct id *ret_job_id)
{
    struct call      *call = &model->market->call;
    const struct ref *ref = &model->ref;
    bool              is_new;
    switch (draw->kind) {
    case OP_CREATE: return server_create(model, draw, ret_job_id);
    case OP_CANCEL: return server_cancel(model, &ref->jobs[draw->object]);
    case OP_ACCEPT:
        return reservation_accept(call, id_str(&ref->jobs[draw->object].id), ret_lease, &is_new);
    case OP_RELEASE: return reservation_release(call, id_str(&ref->leases[draw->object].id));
    case OP_RENEW: return server_renew(model, &ref->leases[draw->object]);
    case OP_RECEIVE: return server_receive(model, draw);
    case OP_JUDGE: return submission_judge(call, &draw->task, &draw->verdict);
    case OP_RETRY: return submission_retry(call, id_str(&ref->subs[draw->object].id), ret_lease);
    case OP_DELIVER: return server_deliver(model);
    case OP_GRANT:
        return credits_grant(call, &model->orgs[draw->object], ENVIRONMENT_LIVE, TRANSFER_BONUS,
                             draw->number, STR_NONE, STR("Gift"));
    case OP_ADVANCE: model->market->now_ms += draw->number; return ERR_OK;
    case OP_SWEEP: return server_sweep(model);
    case OP_SET_FEE: model->market->config.platform_fee_ppm = draw->number; return ERR_OK;
    default: return ERR_INTERNAL;
    }
}

/* --- both, held against each other --- */

static void note_ids(struct model *model, const struct draw *draw, int lease,
                     const struct reservation *taken, const struct id *job_id)
{
    struct ref *ref = &model->ref;
    if (draw->kind == OP_CREATE) ref->jobs[ref->jobs_count - 1].id = *job_id;
    if (draw->kind != OP_ACCEPT && draw->kind != OP_RETRY) return;
    struct ref_lease *expected = &ref->leases[lease];
    struct ref_sub   *sub = &ref->subs[expected->sub];
    if (id_is_none(&expected->id)) expected->id = taken->id;
    if (id_is_none(&sub->id)) sub->id = taken->submission_id;
    MODEL_CHECK(id_eq(&taken->id, &expected->id) && id_eq(&taken->submission_id, &sub->id) &&
                    taken->attempt == expected->attempt &&
                    taken->expires_ms == expected->expires_ms,
                "another reservation than expected: %s\n", taken->id.text);
}

static int job_touched(const struct model *model, const struct draw *draw)
{
    const struct ref *ref = &model->ref;
    switch (draw->kind) {
    case OP_CREATE: return ref->jobs_count - 1;
    case OP_CANCEL:
    case OP_ACCEPT: return draw->object;
    case OP_RELEASE:
    case OP_RENEW:
    case OP_RECEIVE: return ref->leases[draw->object].job;
    case OP_JUDGE:
    case OP_RETRY: return ref->subs[draw->object].job;
    default: return -1;
    }
}

static void compare_job(struct model *model, int number)
{
    const struct ref_job *expected = &model->ref.jobs[number];
    struct job            job = market_job_now(model->market, &expected->id);
    int64_t               slots;
    DONE(model->market, reservation_slots_open(&model->market->call, &job, &slots));
    must_be("state of job", number, job.state, (int64_t)expected->state);
    must_be("approved of job", number, job.files_approved, expected->approved);
    must_be("pending of job", number, job.files_pending, expected->pending);
    must_be("escrow of job", number, job.escrow_cents, ref_escrow(&model->ref, expected));
    must_be("payout of job", number, job.payout_cents, expected->payout);
    must_be("slots of job", number, slots, ref_is_live(expected) ? ref_slots(expected) : 0);
}

/* The lots of one organisation that have something left, in the order they were given. */
static void compare_spendable(struct model *model, int org)
{
    struct error error = { 0 };
    struct stmt *q = db_query(model->market->db, "SELECT remaining_cents FROM lots"
                                                 " WHERE org_id = $1 AND environment = 0"
                                                 " AND remaining_cents > 0 ORDER BY id");
    bind_id(q, 1, &model->orgs[org]);
    for (int i = 0; i < model->ref.lots_count; i++) {
        const struct ref_lot *lot = &model->ref.lots[i];
        if (lot->org != org || lot->cents == 0) continue;
        must_be("lot", i, stmt_step(q) ? column_int(q, 0) : 0, lot->cents);
    }
    MODEL_CHECK(!stmt_step(q), "a lot that should be spent\n");
    assert_int_equal(stmt_end(q, &error), ERR_OK);
}

static void compare_balance(struct model *model, int org)
{
    int64_t held_cents = 0;
    for (int i = 0; i < model->ref.jobs_count; i++)
        if (model->ref.jobs[i].org == org)
            held_cents += ref_escrow(&model->ref, &model->ref.jobs[i]);
    model->market->org_id = model->orgs[org];
    struct balance balance = market_balance(model->market);
    must_be("balance of organisation", org, balance.balance_cents, ref_balance(&model->ref, org));
    must_be("held of organisation", org, balance.held_cents, held_cents);
}

static void step(struct model *model, const struct draw *draw)
{
    struct market     *market = model->market;
    struct arena_mark  mark = arena_mark(&market->arena);
    struct reservation taken = { 0 };
    struct id          job_id = { 0 };
    int                lease = 0;
    become_actor(model, draw);
    market_begin(market);
    /* Noted before, for a broken invariant in the server, and again with what was expected. */
    note(draw, "?");
    told_count--;
    enum err    e = server_step(model, draw, &taken, &job_id);
    const char *expected = reference_step(model, draw, &lease);
    note(draw, expected);
    const char *found = e ? market->call.error.slug : NULL;
    MODEL_CHECK((found == NULL) == (expected == NULL) &&
                    (found == NULL || strcmp(found, expected) == 0),
                "found %s, expected %s\n", found ? found : "ok", expected ? expected : "ok");
    must_be("open statements", 0, db_open_statements(market->db), 0);
    if (e) {
        db_rollback(market->db);
    } else {
        MODEL_CHECK(db_commit(market->db, &market->call.error) == ERR_OK, "commit failed\n");
        note_ids(model, draw, lease, &taken, &job_id);
    }
    model->ended[draw->kind][e == ERR_OK]++;
    int number = job_touched(model, draw);
    if (number >= 0) compare_job(model, number);
    bool moves_credit =
        draw->kind == OP_CREATE || draw->kind == OP_CANCEL || draw->kind == OP_JUDGE;
    if (moves_credit && e == ERR_OK) compare_spendable(model, model->ref.jobs[number].org);
    arena_rewind(&market->arena, mark);
}

/* --- everything, held against each other --- */

static void compare_lots(struct model *model)
{
    struct error error = { 0 };
    struct stmt *q = db_query(model->market->db, "SELECT remaining_cents, expires_ms FROM lots"
                                                 " WHERE environment = 0 ORDER BY id");
    int          count = 0;
    for (; stmt_step(q) && count < model->ref.lots_count; count++) {
        must_be("lot", count, column_int(q, 0), model->ref.lots[count].cents);
        must_be("expiry of lot", count, column_int(q, 1), model->ref.lots[count].expires_ms);
    }
    assert_int_equal(stmt_end(q, &error), ERR_OK);
    must_be("lots", 0, count, model->ref.lots_count);
}

static int64_t stored_state(struct str name)
{
    static const char *const names[] = { [REF_AWAITED] = "",
                                         [REF_PENDING] = "pending_score",
                                         [REF_APPROVED] = "approved",
                                         [REF_REJECTED] = "rejected",
                                         [REF_RETRY] = "retry_pending" };
    for (size_t i = 0; i < COUNT_OF(names); i++)
        if (str_eq(name, str_of(names[i]))) return (int64_t)i;
    return -1;
}

/* A lapse that is not written down yet: the retry that waits for it is rejected in truth. */
static void compare_submissions(struct model *model)
{
    struct error error = { 0 };
    struct stmt *q =
        db_query(model->market->db,
                 "SELECT s.status, s.attempt, s.stars, s.status = 'retry_pending' AND NOT EXISTS"
                 " (SELECT 1 FROM reservations r WHERE r.submission_id = s.id AND r.state = 'held'"
                 " AND r.expires_ms > $1) FROM submissions s ORDER BY s.id");
    bind_int(q, 1, model->market->now_ms);
    int number = 0;
    for (; number < model->ref.subs_count; number++) {
        const struct ref_sub *sub = &model->ref.subs[number];
        if (sub->state == REF_AWAITED) continue;
        MODEL_CHECK(stmt_step(q), "submission %d is not in the store\n", number);
        bool    has_lapsed = column_int(q, 3) != 0;
        int64_t state = stored_state(column_text(q, 0, &model->market->arena));
        must_be("state of submission", number, has_lapsed ? REF_REJECTED : state,
                (int64_t)sub->state);
        must_be("attempt of submission", number, column_int(q, 1), sub->attempt);
        must_be("stars of submission", number, column_int(q, 2), sub->stars);
    }
    MODEL_CHECK(!stmt_step(q), "a submission that the reference does not have\n");
    assert_int_equal(stmt_end(q, &error), ERR_OK);
}

static void compare_workers(struct model *model)
{
    for (int i = 0; i < REF_WORKERS; i++) {
        int64_t cents;
        market_as_worker(model->market, &model->workers[i]);
        DONE(model->market, worker_balance(&model->market->call, &cents));
        must_be("balance of worker", i, cents, model->ref.worker_cents[i]);
    }
}

static void compare_all(struct model *model)
{
    struct market    *market = model->market;
    struct arena_mark mark = arena_mark(&market->arena);
    struct error      error = { 0 };
    for (int i = 0; i < REF_ORGS; i++)
        compare_balance(model, i);
    for (int i = 0; i < model->ref.jobs_count; i++)
        compare_job(model, i);
    compare_lots(model);
    compare_submissions(model);
    compare_workers(model);
    must_be("files to deliver", 0,
            market_int(market, "SELECT count(*) FROM files WHERE delivered_ms IS NULL"),
            model->ref.deliveries_due);
    int breaches = market_audit(market);
    MODEL_CHECK(breaches == 0, "the audit found:\n%s", market->details);
    assert_int_equal(db_checkpoint(market->db, DB_CHECKPOINT_TRUNCATE, &error), ERR_OK);
    arena_rewind(&market->arena, mark);
}

/* --- the run --- */

static uint64_t number_of_environment(const char *name, uint64_t otherwise)
{
    int64_t     value;
    const char *text = getenv(name);
    if (text == NULL) return otherwise;
    if (!str_to_int64(str_of(text), &value) || value <= 0)
        fail_msg("%s must be a positive number", name);
    return (uint64_t)value;
}

static void model_begin(struct model *model, struct market *market, int operations_count)
{
    uint32_t seed;
    world_random(&seed, sizeof(seed));
    model->market = market;
    model->seed = number_of_environment("MODEL_SEED", (uint64_t)seed + 1);
    model->chance = model->seed * 0x9e3779b97f4a7c15;
    told_seed = model->seed;
    told_count = 0;
    print_message("MODEL_SEED=%llu\n", (unsigned long long)model->seed);
    ref_init(&model->ref, operations_count);
    model->ref.now_ms = market->now_ms;
    model->ref.fee_ppm = market->config.platform_fee_ppm;
    must_be("setting", 0, market->config.reservation_ttl_ms, REF_TTL_MS);
    must_be("setting", 1, market->config.reservation_max_ms, REF_HOLD_MS_MAX);
    must_be("setting", 2, market->config.worker_reservations_max, REF_RESERVATIONS_MAX);
    must_be("setting", 3, market->config.worker_submissions_per_day, REF_SUBMISSIONS_PER_DAY);
    /* The market's own first organisation has credit that the reference does not know. */
    scratch_script(market->db, "DELETE FROM lots WHERE environment = 0;"
                               "DELETE FROM transfers WHERE environment = 0;"
                               "UPDATE balances SET balance_cents = 0 WHERE environment = 0");
    for (int i = 0; i < REF_ORGS; i++)
        model->orgs[i] = market_organisation(market, 0);
    for (int i = 0; i < REF_WORKERS; i++)
        model->workers[i] = market_worker(market);
}

/* Does an operation on something mean anything yet? */
static bool has_object(const struct draw *draw)
{
    return draw->object >= 0;
}

static void tell_ends(const struct model *model)
{
    for (int i = 0; i < OP__COUNT; i++)
        print_message("%s: %d done, %d refused\n", operations[i].name, model->ended[i][1],
                      model->ended[i][0]);
    print_message("%d jobs, %d reservations, %d submissions, %d lots\n", model->ref.jobs_count,
                  model->ref.leases_count, model->ref.subs_count, model->ref.lots_count);
}

static void money_and_jobs_follow_the_reference(void **state)
{
    int operations_count = (int)number_of_environment("MODEL_OPERATIONS", OPERATIONS_DEFAULT);
    static struct model whole; /* not on the stack: a failed check jumps out of here */
    struct model       *model = &whole;
    model_begin(model, *state, operations_count);
    signal(SIGABRT, tell_abort);
    for (model->done = 0; model->done < operations_count;) {
        struct arena_mark mark = arena_mark(&model->market->arena);
        struct draw       draw = draw_operation(model);
        bool              is_repeated = one_in(model, 12);
        if (has_object(&draw)) step(model, &draw);
        if (has_object(&draw) && is_repeated) step(model, &draw);
        arena_rewind(&model->market->arena, mark);
        if (++model->done % COMPARE_EVERY == 0) compare_all(model);
    }
    compare_all(model);
    signal(SIGABRT, SIG_DFL);
    tell_ends(model);
    ref_deinit(&model->ref);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        market_test(money_and_jobs_follow_the_reference),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
