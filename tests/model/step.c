#include "model.h"

const char *const operation_names[OP__COUNT] = {
    [OP_CREATE] = "create",   [OP_CANCEL] = "cancel",   [OP_ACCEPT] = "accept",
    [OP_RELEASE] = "release", [OP_RENEW] = "renew",     [OP_RECEIVE] = "receive",
    [OP_JUDGE] = "judge",     [OP_RETRY] = "retry",     [OP_DELIVER] = "deliver",
    [OP_GRANT] = "grant",     [OP_ADVANCE] = "advance", [OP_SWEEP] = "sweep",
    [OP_SET_FEE] = "set fee", [OP_BUY] = "buy",         [OP_ANSWER] = "answer",
    [OP_TELL] = "tell",       [OP_CHARGE] = "charge",   [OP_SET_TOP_UP] = "set top-up",
    [OP_LIFT] = "lift",
};

/* An operation and what it is about, found in what there is. */
struct doing {
    const struct operation *operation;
    int                     object; /* number of the organisation, job, lease or submission */
    struct task             task;   /* the one to judge with, as a runner holds it */
    struct verdict          verdict;
};

/* What came of it in the server. */
struct done {
    struct reservation lease;
    struct id          job_id;
    bool               is_replay;
    struct id          replayed_id;
    struct id          purchase_id;
    const char        *outcome;
};

/* --- finding the object --- */

static int find_job(const struct ref *ref, int made_by)
{
    for (int i = ref->jobs_count - 1; i >= 0; i--)
        if (ref->jobs[i].made_by == made_by) return i;
    return NOTHING;
}

static int find_lease(const struct ref *ref, int made_by)
{
    for (int i = ref->leases_count - 1; i >= 0; i--)
        if (ref->leases[i].made_by == made_by) return i;
    return NOTHING;
}

static int find_submission(const struct ref *ref, int made_by)
{
    for (int i = ref->subs_count - 1; i >= 0; i--)
        if (ref->subs[i].made_by == made_by) return i;
    return NOTHING;
}

/* One that the processor knows: of live credit, and asked for. */
static int find_purchase(const struct ref *ref, int made_by)
{
    for (int i = ref->purchases_count - 1; i >= 0; i--) {
        const struct ref_purchase *purchase = &ref->purchases[i];
        bool is_known = !ref_is_test(purchase->wallet) && !id_is_none(&purchase->id);
        if (purchase->made_by == made_by && is_known) return i;
    }
    return NOTHING;
}

static int find_checkout(const struct ref *ref, int made_by)
{
    int number = find_purchase(ref, made_by);
    return number < 0 || ref->purchases[number].is_top_up ? NOTHING : number;
}

static int find_object(const struct ref *ref, const struct operation *operation)
{
    switch (operation->kind) {
    case OP_CANCEL:
    case OP_ACCEPT: return find_job(ref, operation->object);
    case OP_RELEASE:
    case OP_RENEW:
    case OP_RECEIVE: return find_lease(ref, operation->object);
    case OP_JUDGE:
    case OP_RETRY: return find_submission(ref, operation->object);
    case OP_ANSWER: return find_checkout(ref, operation->object);
    case OP_TELL: return find_purchase(ref, operation->object);
    default: return operation->object;
    }
}

/* To the instant to which the operation advances; it may be there already. */
static int64_t time_left(int64_t now_ms, const struct operation *operation)
{
    int64_t then_ms = MARKET_START_MS + operation->number;
    return then_ms > now_ms ? then_ms - now_ms : 0;
}

/* The task and verdict as a runner would hold them, so that a repeat comes with the old ones. */
static void prepare_verdict(struct model *model, struct doing *doing)
{
    const struct ref_sub *sub = &model->ref.subs[doing->object];
    doing->task = market_task(model->market, TASK_SCORE, &sub->id);
    if (sub->state == REF_AWAITED) return;
    struct submission row = market_submission_now(model->market, &sub->id);
    doing->verdict = market_verdict(&row, (int)doing->operation->number, doing->operation->gate);
    doing->verdict.is_unexamined = doing->operation->is_unexamined;
}

/* --- the operation in the reference --- */

/* The worker or the organisation that asks. */
static int owner_of(const struct model *model, const struct doing *doing)
{
    const struct operation *operation = doing->operation;
    switch (operation->kind) {
    case OP_CREATE: return operation->asked.org;
    case OP_CANCEL: return model->ref.jobs[doing->object].org;
    case OP_ACCEPT: return operation->worker;
    case OP_RETRY: return model->ref.subs[doing->object].worker;
    case OP_BUY:
    case OP_SET_TOP_UP: return doing->object;
    default: return NOTHING;
    }
}

static struct ref_request request_of(const struct model *model, const struct doing *doing)
{
    return (struct ref_request){
        .owner = owner_of(model, doing),
        .operation = (int)doing->operation->kind,
        .key = doing->operation->key,
        .object = doing->object,
        .asked = doing->operation->asked,
    };
}

static void reference_grant(struct ref *ref, int wallet, const struct operation *operation)
{
    int64_t until_ms = time_add_year(ref->now_ms);
    ref_grant(ref, wallet, operation->grant, operation->number, until_ms);
    if (operation->grant != TRANSFER_PURCHASE) return;
    ref->wallets[wallet].told[REF_TOLD_PURCHASED]++;
    if (ref_bonus(operation->number) > 0)
        ref_grant(ref, wallet, TRANSFER_BONUS, ref_bonus(operation->number), until_ms);
}

static void reference_sweep(struct ref *ref)
{
    ref_end_all_due(ref);
    for (int i = 0; i < REF_WALLETS; i++)
        ref_expire(ref, i);
    ref_warn(ref);
}

static const char *reference_billing(struct ref *ref, const struct doing *doing, int *ret_number)
{
    const struct operation *operation = doing->operation;
    int                     object = doing->object;
    switch (operation->kind) {
    case OP_BUY:
        ref_buy(ref, object, operation->number);
        *ret_number = ref->purchases_count - 1;
        return NULL;
    case OP_ANSWER: ref_answer(&ref->purchases[object]); return NULL;
    case OP_TELL:
        ref->outcome =
            ref_tell(ref, object, (enum ref_news)operation->number,
                     operation_try(operation, &ref->purchases[object]), operation->serial);
        return NULL;
    case OP_CHARGE:
        *ret_number = ref_top_up(ref, object);
        return ref_charge(ref, object, (int)operation->number);
    case OP_SET_TOP_UP:
        ref_set_top_up(ref, object, operation->number != 0, operation->asked.price,
                       operation->asked.needed);
        return NULL;
    case OP_LIFT: ref_lift(ref, object); return NULL;
    default: return "unknown";
    }
}

static const char *reference_do(struct model *model, const struct doing *doing, int *ret_number)
{
    struct ref             *ref = &model->ref;
    const struct operation *operation = doing->operation;
    int                     object = doing->object;
    switch (operation->kind) {
    case OP_CREATE: *ret_number = ref->jobs_count; return ref_create(ref, &operation->asked);
    case OP_CANCEL: *ret_number = object; return ref_cancel(ref, object);
    case OP_ACCEPT: return ref_accept(ref, object, operation->worker, ret_number);
    case OP_RELEASE: return ref_release(ref, object);
    case OP_RENEW: ref_renew(ref, object); return NULL;
    case OP_RECEIVE: return ref_receive(ref, object, operation->bytes);
    case OP_JUDGE:
        return ref_judge(ref, object, (int)operation->number,
                         operation->gate != GATE_NONE || operation->is_unexamined);
    case OP_RETRY: *ret_number = ref->leases_count; return ref_retry(ref, object);
    case OP_DELIVER:
        if (ref->deliveries_due == 0) return "task";
        ref->deliveries_due--;
        return NULL;
    case OP_GRANT: reference_grant(ref, object, operation); return NULL;
    case OP_ADVANCE: ref_advance(ref, time_left(ref->now_ms, operation)); return NULL;
    case OP_SWEEP: reference_sweep(ref); return NULL;
    case OP_SET_FEE: ref->fee_ppm = operation->number; return NULL;
    default: return reference_billing(ref, doing, ret_number);
    }
}

/* *ret_number = of the job or the lease that is answered with. */
static const char *reference_step(struct model *model, const struct doing *doing, int *ret_number,
                                  bool *ret_is_replay)
{
    struct ref              *ref = &model->ref;
    struct ref_request       request = request_of(model, doing);
    const struct ref_answer *first = request.key ? ref_find_key(ref, &request) : NULL;
    if (first && !ref_is_same_request(&first->request, &request)) return "idempotency_key_reused";
    *ret_is_replay = first != NULL;
    if (first) {
        *ret_number = first->number;
        return NULL;
    }
    const char *refusal = reference_do(model, doing, ret_number);
    if (refusal == NULL && request.key) ref_keep_answer(ref, &request, *ret_number);
    return refusal;
}

/* --- the operation in the server --- */

static enum err server_create(struct model *model, const struct ref_asked *asked, struct id *ret_id)
{
    struct job job = market_job_asked(asked->needed, asked->price);
    job.min_stars = asked->stars_min;
    job.max_files_per_worker = asked->files_per_worker;
    job.deadline_ms = asked->deadline_ms;
    enum err e = job_create(&model->market->call, &job);
    *ret_id = job.id;
    return e;
}

static enum err server_cancel(struct model *model, const struct ref_job *ref_job, struct id *ret_id)
{
    struct job job;
    *ret_id = ref_job->id;
    return job_cancel(&model->market->call, id_str(&ref_job->id), &job);
}

static enum err server_renew(struct model *model, const struct ref_lease *lease)
{
    struct reservation row;
    enum err           e = reservation_get(&model->market->call, id_str(&lease->id), &row);
    return e ? e : reservation_renew(&model->market->call, &row);
}

static enum err server_receive(struct model *model, const struct ref_lease *lease, int bytes)
{
    struct call       *call = &model->market->call;
    struct received    received = market_bytes_numbered(model->market, bytes);
    struct reservation row;
    struct submission  submission;
    bool               is_new;
    enum err           e = reservation_get(call, id_str(&lease->id), &row);
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
    struct call *call = &model->market->call;
    int          count;
    int64_t      dropped;
    enum err     e = reservation_lapse_all_due(call, 1000000, &count);
    if (e) return e;
    e = job_end_all_due(call, 1000000, &count);
    if (e) return e;
    e = credits_expire_all_due(call, 1000000, &count);
    if (e == ERR_OK) e = server_warn(model);
    return e ? e : idempotency_sweep(call, 1000000, &dropped);
}

/* Pay what was open, and be told so twice. */
static enum err server_buy(struct model *model, const struct id *org_id, int64_t cents)
{
    struct call    *call = &model->market->call;
    struct purchase purchase = {
        .org_id = *org_id,
        .environment = ENVIRONMENT_LIVE,
        .kind = PURCHASE_CHECKOUT,
        .provider = PURCHASE_STRIPE,
        .state = PURCHASE_OPEN,
        .amount_cents = cents,
    };
    enum err e = purchase_insert(call, &purchase);
    if (e == ERR_OK) e = purchase_pay(call, &purchase);
    return e ? e : purchase_pay(call, &purchase);
}

static enum err server_billing(struct model *model, const struct doing *doing, struct done *done)
{
    const struct operation *operation = doing->operation;
    int                     object = doing->object;
    switch (operation->kind) {
    case OP_BUY: return server_buy_pack(model, operation->number, &done->purchase_id);
    case OP_ANSWER: return server_answer(model, &model->ref.purchases[object]);
    case OP_TELL:
        return server_tell(model, operation, &model->ref.purchases[object], &done->outcome);
    case OP_CHARGE: return server_charge(model, object, operation->number, &done->purchase_id);
    case OP_SET_TOP_UP: return server_set_top_up(model, operation);
    case OP_LIFT: return server_lift(model, object);
    default: return ERR_INTERNAL;
    }
}

static enum err server_do(struct model *model, const struct doing *doing, struct done *done)
{
    struct call            *call = &model->market->call;
    const struct ref       *ref = &model->ref;
    const struct operation *operation = doing->operation;
    int                     object = doing->object;
    bool                    is_new;
    switch (operation->kind) {
    case OP_CREATE: return server_create(model, &operation->asked, &done->job_id);
    case OP_CANCEL: return server_cancel(model, &ref->jobs[object], &done->job_id);
    case OP_ACCEPT:
        return reservation_accept(call, id_str(&ref->jobs[object].id), &(struct whereabouts){ 0 },
                                  &done->lease, &is_new);
    case OP_RELEASE: return reservation_release(call, id_str(&ref->leases[object].id));
    case OP_RENEW: return server_renew(model, &ref->leases[object]);
    case OP_RECEIVE: return server_receive(model, &ref->leases[object], operation->bytes);
    case OP_JUDGE: return submission_judge(call, &doing->task, &doing->verdict);
    case OP_RETRY:
        return submission_retry(call, id_str(&ref->subs[object].id), &(struct whereabouts){ 0 },
                                &done->lease);
    case OP_DELIVER: return server_deliver(model);
    case OP_GRANT:
        if (operation->grant == TRANSFER_PURCHASE)
            return server_buy(model, &model->orgs[object], operation->number);
        return credits_grant(call, &model->orgs[object], ENVIRONMENT_LIVE, operation->grant,
                             operation->number, STR_NONE, STR("Gift"));
    case OP_ADVANCE:
        model->market->now_ms += time_left(model->market->now_ms, operation);
        return ERR_OK;
    case OP_SWEEP: return server_sweep(model);
    case OP_SET_FEE: model->market->config.platform_fee_ppm = operation->number; return ERR_OK;
    default: return server_billing(model, doing, done);
    }
}

static struct idempotency idempotency_of(struct model *model, const struct doing *doing)
{
    struct arena           *arena = &model->market->arena;
    const struct ref_asked *asked = &doing->operation->asked;
    struct idempotency      idempotency = {
             .operation = str_of(operation_names[doing->operation->kind]),
             .key = str_format(arena, "key-%d", doing->operation->key),
    };
    struct str path = str_format(arena, "/%d", doing->object);
    struct str body =
        str_format(arena, "%d %lld %lld %lld %lld %lld", asked->org, (long long)asked->needed,
                   (long long)asked->price, (long long)asked->files_per_worker,
                   (long long)asked->stars_min, (long long)asked->deadline_ms);
    idempotency_fingerprint(STR("POST"), path, STR_NONE, body, idempotency.fingerprint);
    idempotency_set_owner(&idempotency, &model->market->call.actor);
    return idempotency;
}

/* As a write goes through the server: an answer that is kept is given again, a new one is kept. */
static enum err server_step(struct model *model, const struct doing *doing, struct done *done)
{
    struct call        *call = &model->market->call;
    struct idempotency  idempotency = idempotency_of(model, doing);
    struct stored_reply reply;
    if (doing->operation->key == 0) return server_do(model, doing, done);
    enum err e = idempotency_find(call, &idempotency, &reply, &done->is_replay);
    if (e) return e;
    if (done->is_replay) {
        done->replayed_id = id_from_store(reply.resource_id);
        return ERR_OK;
    }
    e = server_do(model, doing, done);
    if (e) return e;
    bool makes_lease = doing->operation->kind == OP_ACCEPT || doing->operation->kind == OP_RETRY;
    reply = (struct stored_reply){
        .status = 201,
        .resource_id = id_str(makes_lease ? &done->lease.id : &done->job_id),
    };
    return idempotency_store(call, &idempotency, &reply, false);
}

/* Who asks: the buyer of the object, its worker, or a runner. */
static void become_actor(struct model *model, const struct doing *doing)
{
    struct market *market = model->market;
    market_as_runner(market);
    switch (doing->operation->kind) {
    case OP_CREATE:
    case OP_CANCEL:
    case OP_BUY:
    case OP_SET_TOP_UP: become_buyer(model, owner_of(model, doing)); break;
    case OP_ACCEPT:
    case OP_RETRY: market_as_worker(market, &model->workers[owner_of(model, doing)]); break;
    case OP_RELEASE:
    case OP_RENEW:
    case OP_RECEIVE:
        market_as_worker(market, &model->workers[model->ref.leases[doing->object].worker]);
        break;
    default: break;
    }
}

/* --- both --- */

static void note_lease(struct model *model, int number, const struct reservation *taken)
{
    struct ref_lease *expected = &model->ref.leases[number];
    struct ref_sub   *sub = &model->ref.subs[expected->sub];
    if (id_is_none(&expected->id)) expected->id = taken->id;
    if (id_is_none(&sub->id)) sub->id = taken->submission_id;
    bool is_same = id_eq(&taken->id, &expected->id) && id_eq(&taken->submission_id, &sub->id) &&
                   taken->attempt == expected->attempt && taken->expires_ms == expected->expires_ms;
    MODEL_CHECK(model, is_same, "another reservation than expected");
}

static void compare_answer(struct model *model, const struct doing *doing, const struct done *done,
                           int number, bool is_replay)
{
    bool is_of_lease = doing->operation->kind == OP_ACCEPT || doing->operation->kind == OP_RETRY;
    must_be(model, "replay", doing->operation->serial, done->is_replay, is_replay);
    if (is_replay) {
        struct id expected =
            is_of_lease ? model->ref.leases[number].id : model->ref.jobs[number].id;
        MODEL_CHECK(model, id_eq(&done->replayed_id, &expected), "another answer than the first");
        model->trial->replayed++;
        return;
    }
    if (doing->operation->kind == OP_CREATE) model->ref.jobs[number].id = done->job_id;
    if (is_of_lease) note_lease(model, number, &done->lease);
    bool is_of_purchase = doing->operation->kind == OP_BUY || doing->operation->kind == OP_CHARGE;
    if (is_of_purchase) model->ref.purchases[number].id = done->purchase_id;
    if (done->outcome)
        MODEL_CHECK(model, strcmp(done->outcome, model->ref.outcome) == 0,
                    "tell: found %s, expected %s", done->outcome, model->ref.outcome);
}

static int job_touched(const struct model *model, const struct doing *doing, int made)
{
    const struct ref *ref = &model->ref;
    switch (doing->operation->kind) {
    case OP_CREATE: return made;
    case OP_CANCEL:
    case OP_ACCEPT: return doing->object;
    case OP_RELEASE:
    case OP_RENEW:
    case OP_RECEIVE: return ref->leases[doing->object].job;
    case OP_JUDGE:
    case OP_RETRY: return ref->subs[doing->object].job;
    default: return NOTHING;
    }
}

static int wallet_touched(const struct model *model, const struct doing *doing, int job)
{
    switch (doing->operation->kind) {
    case OP_CREATE:
    case OP_CANCEL:
    case OP_JUDGE: return model->ref.jobs[job].org;
    case OP_BUY:
    case OP_CHARGE:
    case OP_SET_TOP_UP: return doing->object;
    case OP_TELL: return model->ref.purchases[doing->object].wallet;
    default: return NOTHING;
    }
}

static void compare_touched(struct model *model, const struct doing *doing, int made)
{
    int job = job_touched(model, doing, made);
    int wallet = wallet_touched(model, doing, job);
    if (job != NOTHING) compare_job(model, job);
    if (wallet == NOTHING) return;
    compare_spendable(model, wallet);
    compare_top_ups(model, wallet);
}

static void step_once(struct model *model, const struct doing *doing)
{
    struct market *market = model->market;
    struct done    done = { 0 };
    int            number = NOTHING;
    bool           is_replay = false;
    become_actor(model, doing);
    market_begin(market);
    enum err    e = server_step(model, doing, &done);
    const char *found = e ? market->call.error.slug : NULL;
    const char *expected = reference_step(model, doing, &number, &is_replay);
    MODEL_CHECK(model, e ? expected && strcmp(found, expected) == 0 : expected == NULL,
                "%s: found %s, expected %s", operation_names[doing->operation->kind],
                found ? found : "ok", expected ? expected : "ok");
    must_be(model, "count of open statements", 0, db_open_statements(market->db), 0);
    model->trial->ended[doing->operation->kind][e ? ENDED_REFUSED : ENDED_DONE]++;
    if (e) {
        db_rollback(market->db);
        return;
    }
    MODEL_CHECK(model, db_commit(market->db, &market->call.error) == ERR_OK, "a commit failed");
    compare_answer(model, doing, &done, number, is_replay);
    compare_touched(model, doing, number);
}

void model_step(struct model *model, const struct operation *operation)
{
    struct arena_mark mark = arena_mark(&model->market->arena);
    struct doing doing = { .operation = operation, .object = find_object(&model->ref, operation) };
    if (doing.object == NOTHING) {
        model->trial->ended[operation->kind][ENDED_SKIPPED]++;
        return;
    }
    if (operation->kind == OP_JUDGE) prepare_verdict(model, &doing);
    for (int turn = 0; turn <= (operation->is_repeated ? 1 : 0); turn++) {
        model->ref.maker = 2 * operation->serial + turn;
        step_once(model, &doing);
    }
    arena_rewind(&model->market->arena, mark);
}
