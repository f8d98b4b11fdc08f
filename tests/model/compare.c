#include "model.h"

#include <assert.h>

void compare_job(struct model *model, int number)
{
    const struct ref_job *expected = &model->ref.jobs[number];
    struct job            job = market_job_now(model->market, &expected->id);
    int64_t               slots;
    DONE(model->market, reservation_slots_open(&model->market->call, &job, &slots));
    must_be(model, "state of job", number, job.state, (int64_t)expected->state);
    must_be(model, "life of job", number, job_is_live(&job), ref_is_live(&model->ref, expected));
    must_be(model, "approved of job", number, job.files_approved, expected->approved);
    must_be(model, "pending of job", number, job.files_pending, expected->pending);
    must_be(model, "escrow of job", number, job.escrow_cents, ref_escrow(&model->ref, expected));
    must_be(model, "payout of job", number, job.payout_cents, expected->payout);
    must_be(model, "slots of job", number, slots,
            ref_is_live(&model->ref, expected) ? ref_slots(expected) : 0);
}

/* The lots of one organisation that have something left, in the order they were given. */
void compare_spendable(struct model *model, int org)
{
    struct error error = { 0 };
    struct stmt *q = db_query(model->market->db, "SELECT remaining_cents FROM lots"
                                                 " WHERE org_id = $1 AND environment = $2"
                                                 " AND remaining_cents > 0 ORDER BY id");
    bind_id(q, 1, &model->orgs[org % REF_ORGS]);
    bind_int(q, 2, ref_is_test(org));
    for (int i = 0; i < model->ref.lots_count; i++) {
        const struct ref_lot *lot = &model->ref.lots[i];
        if (lot->org != org || lot->cents == 0) continue;
        must_be(model, "lot", i, stmt_step(q) ? column_int(q, 0) : 0, lot->cents);
    }
    MODEL_CHECK(model, !stmt_step(q), "a lot that should be spent");
    assert_int_equal(stmt_end(q, &error), ERR_OK);
}

static void compare_balance(struct model *model, int org)
{
    int64_t held_cents = 0;
    for (int i = 0; i < model->ref.jobs_count; i++)
        if (model->ref.jobs[i].org == org)
            held_cents += ref_escrow(&model->ref, &model->ref.jobs[i]);
    struct balance balance;
    DONE(model->market,
         ledger_balance(&model->market->call, &model->orgs[org % REF_ORGS],
                        ref_is_test(org) ? ENVIRONMENT_TEST : ENVIRONMENT_LIVE, &balance));
    must_be(model, "balance of organisation", org, balance.balance_cents,
            ref_balance(&model->ref, org));
    must_be(model, "held of organisation", org, balance.held_cents, held_cents);
}

/* --- everything, held against each other --- */

static void compare_lots(struct model *model)
{
    struct error error = { 0 };
    struct stmt *q = db_query(model->market->db, "SELECT remaining_cents, expires_ms FROM lots"
                                                 " WHERE org_id IN ($1, $2) ORDER BY id");
    static_assert(REF_ORGS == 2, "as many as are bound");
    bind_id(q, 1, &model->orgs[0]);
    bind_id(q, 2, &model->orgs[1]);
    int count = 0;
    for (; stmt_step(q) && count < model->ref.lots_count; count++) {
        must_be(model, "lot", count, column_int(q, 0), model->ref.lots[count].cents);
        must_be(model, "expiry of lot", count, column_int(q, 1), model->ref.lots[count].expires_ms);
    }
    assert_int_equal(stmt_end(q, &error), ERR_OK);
    must_be(model, "lots", 0, count, model->ref.lots_count);
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
        MODEL_CHECK(model, stmt_step(q), "a submission is not in the store");
        bool    has_lapsed = column_int(q, 3) != 0;
        int64_t state = stored_state(column_text(q, 0, &model->market->arena));
        must_be(model, "state of submission", number, has_lapsed ? REF_REJECTED : state,
                (int64_t)sub->state);
        must_be(model, "attempt of submission", number, column_int(q, 1), sub->attempt);
        must_be(model, "stars of submission", number, column_int(q, 2), sub->stars);
    }
    MODEL_CHECK(model, !stmt_step(q), "a submission that the reference does not have");
    assert_int_equal(stmt_end(q, &error), ERR_OK);
}

static int transactions_of(const struct ref *ref, int org)
{
    int count = 0;
    for (int i = 0; i < ref->rows_count; i++)
        count += ref->rows[i].org == org;
    return count;
}

static void compare_transaction(struct model *model, int number, const struct transaction *found)
{
    static const struct id nobody;
    const struct ref_row  *expected = &model->ref.rows[number];
    const struct id *job_id = expected->job < 0 ? &nobody : &model->ref.jobs[expected->job].id;
    must_be(model, "kind of transaction", number, found->kind, expected->kind);
    must_be(model, "amount of transaction", number, found->amount_cents, expected->cents);
    must_be(model, "balance after transaction", number, found->running_balance_cents,
            expected->running);
    must_be(model, "job of transaction", number, id_eq(&found->job_id, job_id), true);
}

/* Every row of the statement, in order: the listing is newest first, the reference oldest first. */
static void compare_statement(struct model *model, int org)
{
    int                 expected = transactions_of(&model->ref, org), count = 0;
    struct transaction *rows = NEW(&model->market->arena, struct transaction, (size_t)expected + 1);
    struct page_search  search = { 0 };
    become_buyer(model, org);
    do {
        struct id before = search.last_seen;
        DONE(model->market, ledger_list(&model->market->call, TRANSFER_KIND__COUNT, &before,
                                        expected + 1 - count, &rows[count], &search));
        count += search.count;
    } while (page_search_is_cut(&search));
    must_be(model, "count of transactions", org, count, expected);
    for (int i = 0; i < model->ref.rows_count; i++)
        if (model->ref.rows[i].org == org) compare_transaction(model, i, &rows[--count]);
}

/* What the platform earned, and the Idempotency-Keys that still stand for something. */
static void compare_totals(struct model *model)
{
    struct error error = { 0 };
    struct stmt *q =
        db_query(model->market->db, "SELECT (SELECT coalesce(sum(amount_cents), 0) FROM transfers"
                                    " WHERE environment = 0 AND kind = 'fee'),"
                                    " (SELECT count(*) FROM idempotency WHERE created_ms > $1)");
    bind_int(q, 1, model->market->now_ms - IDEMPOTENCY_KEPT_MS);
    CHECK(stmt_step(q));
    int64_t fees_cents = column_int(q, 0), keys = column_int(q, 1);
    assert_int_equal(stmt_end(q, &error), ERR_OK);
    must_be(model, "sum of fees", 0, fees_cents, model->ref.platform_cents);
    must_be(model, "count of keys", 0, keys, ref_answers_kept(&model->ref));
}

static void compare_workers(struct model *model)
{
    for (int i = 0; i < REF_WORKERS; i++) {
        int64_t cents;
        market_as_worker(model->market, &model->workers[i]);
        DONE(model->market, worker_balance(&model->market->call, &cents));
        must_be(model, "balance of worker", i, cents, model->ref.worker_cents[i]);
    }
}

/* The acting worker's feed, page by page. Owned by the arena. */
static struct job *read_feed(struct model *model, bool is_best_paid_first, int *ret_count)
{
    enum { PAGE = 50 };
    struct market     *market = model->market;
    struct job_feed    feed = { .is_best_paid_first = is_best_paid_first };
    struct page_search search = { .count = PAGE };
    struct job        *rows = NEW(&market->arena, struct job, (size_t)model->ref.jobs_count + PAGE);
    int                count = 0;
    while (search.count == PAGE || page_search_is_cut(&search)) {
        DONE(market, job_feed(&market->call, &feed, PAGE, &rows[count], &search));
        count += search.count;
        feed.before = search.last_seen;
        feed.before_payout_cents = search.last_key;
        MODEL_CHECK(model, count <= model->ref.jobs_count, "a feed of more jobs than there are");
    }
    *ret_count = count;
    return rows;
}

static void compare_feed(struct model *model, int worker)
{
    int expected = 0, count, best_count;
    market_as_worker(model->market, &model->workers[worker]);
    struct job *rows = read_feed(model, false, &count);
    struct job *best = read_feed(model, true, &best_count);
    for (int i = model->ref.jobs_count - 1; i >= 0; i--) {
        if (!ref_is_open_to(&model->ref, i, worker)) continue;
        bool is_there = expected < count && id_eq(&rows[expected].id, &model->ref.jobs[i].id);
        must_be(model, "job in the feed", i, is_there, true);
        expected++;
    }
    must_be(model, "length of the feed", worker, count, expected);
    must_be(model, "length of the best paid", worker, best_count, expected);
    for (int i = 1; i < best_count; i++)
        must_be(model, "order of the best paid", i,
                best[i - 1].payout_cents >= best[i].payout_cents, true);
}

void compare_all(struct model *model)
{
    struct market    *market = model->market;
    struct arena_mark mark = arena_mark(&market->arena);
    struct error      error = { 0 };
    for (int i = 0; i < REF_WALLETS; i++)
        compare_balance(model, i);
    for (int i = 0; i < REF_WALLETS; i++)
        compare_statement(model, i);
    compare_billing(model);
    compare_totals(model);
    for (int i = 0; i < model->ref.jobs_count; i++)
        compare_job(model, i);
    compare_lots(model);
    compare_submissions(model);
    compare_workers(model);
    for (int i = 0; i < REF_WORKERS; i++)
        compare_feed(model, i);
    must_be(model, "files to deliver", 0,
            market_int(market, "SELECT count(*) FROM files WHERE delivered_ms IS NULL"),
            model->ref.deliveries_due);
    int breaches = market_audit(market);
    if (breaches > 0) print_error("the audit found:\n%s", market->details);
    MODEL_CHECK(model, breaches == 0, "the audit found %.90s", market->breaches);
    assert_int_equal(db_checkpoint(market->db, DB_CHECKPOINT_TRUNCATE, &error), ERR_OK);
    arena_rewind(&market->arena, mark);
}
