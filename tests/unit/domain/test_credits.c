#include "domain/credits.h"

#include "base/num.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "marketplace.h"

/* A market whose buyer starts with nothing: the tests grant the lots they speak of. */
static int poor_setup(void **state)
{
    struct market *market = market_open();
    market_start_at(market, 0);
    *state = market;
    return 0;
}

#define credits_test(name) cmocka_unit_test_setup_teardown(name, poor_setup, market_teardown)

/* What remains in the buyer's lot number n, the first to expire being 0. */
static int64_t lot_cents(struct market *market, int number)
{
    struct error error = { 0 };
    struct stmt *q = db_query(market->db, "SELECT remaining_cents FROM lots WHERE org_id = $1"
                                          " AND environment = 0 ORDER BY expires_ms, id"
                                          " LIMIT 1 OFFSET $2");
    bind_id(q, 1, &market->org_id);
    bind_int(q, 2, number);
    int64_t cents = stmt_step(q) ? column_int(q, 0) : -1;
    assert_int_equal(stmt_end(q, &error), ERR_OK);
    return cents;
}

static int64_t rows_of(struct market *market, enum transfer_kind kind)
{
    struct error error = { 0 };
    struct stmt *q = db_query(market->db, "SELECT count(*) FROM transfers WHERE org_id = $1"
                                          " AND environment = 0 AND kind = $2");
    bind_id(q, 1, &market->org_id);
    bind_text(q, 2, str_of(transfer_kind_name(kind)));
    int64_t count = stmt_step(q) ? column_int(q, 0) : -1;
    assert_int_equal(stmt_end(q, &error), ERR_OK);
    return count;
}

/* The newest visible row is of this kind and amount; number 1 is the one before it. */
static void assert_row(struct market *market, int number, enum transfer_kind kind, int64_t cents)
{
    struct transaction rows[8];
    struct page_search search;
    market_as_buyer(market);
    DONE(market,
         ledger_list(&market->call, TRANSFER_KIND__COUNT, &(struct id){ 0 }, 8, rows, &search));
    assert_true(number < search.count);
    assert_int_equal(rows[number].kind, kind);
    assert_int_equal(rows[number].amount_cents, cents);
}

/* Lots of these cents, each expiring a day after the one before. */
static void grant_lots(struct market *market, int count, const int64_t *cents)
{
    for (int i = 0; i < count; i++) {
        market_grant(market, cents[i]);
        market->now_ms += MS_PER_DAY;
    }
}

static void go_to_expiry_of_first_lot(struct market *market)
{
    market->now_ms = market_int_of(market,
                                   "SELECT min(expires_ms) FROM lots WHERE org_id = $1"
                                   " AND environment = 0",
                                   &market->org_id);
}

/* --- granting --- */

static void grant_is_one_transfer_and_one_lot_of_twelve_months(void **state)
{
    struct market *market = *state;
    market_grant(market, 500);
    assert_int_equal(market_balance(market).balance_cents, 500);
    assert_int_equal(lot_cents(market, 0), 500);
    assert_int_equal(lot_cents(market, 1), -1);
    assert_row(market, 0, TRANSFER_BONUS, 500);
    int64_t in_a_year_ms = time_add_year(market->now_ms);
    assert_int_equal(
        market_int_of(market, "SELECT expires_ms FROM lots WHERE org_id = $1 AND environment = 0",
                      &market->org_id),
        in_a_year_ms);
    assert_int_equal(market_int_of(market,
                                   "SELECT expires_ms FROM transfers WHERE org_id = $1"
                                   " AND environment = 0",
                                   &market->org_id),
                     in_a_year_ms);
}

static void grant_of_the_same_occurrence_is_refused_and_adds_no_lot(void **state)
{
    struct market *market = *state;
    DONE(market, credits_grant(&market->call, &market->org_id, ENVIRONMENT_LIVE, TRANSFER_BONUS, 10,
                               STR("checkout:1"), STR_NONE));
    REFUSED_UNWRITTEN(market,
                      credits_grant(&market->call, &market->org_id, ENVIRONMENT_LIVE,
                                    TRANSFER_BONUS, 10, STR("checkout:1"), STR_NONE),
                      ERR_CONFLICT, "already_booked");
    assert_int_equal(lot_cents(market, 1), -1);
}

static void grant_refuses_what_is_not_positive(void **state)
{
    struct market *market = *state;
    REFUSED_UNWRITTEN(market,
                      credits_grant(&market->call, &market->org_id, ENVIRONMENT_LIVE,
                                    TRANSFER_BONUS, 0, STR_NONE, STR_NONE),
                      ERR_INVALID, "amount_not_positive");
}

static void grant_to_nobody_is_refused(void **state)
{
    struct market *market = *state;
    struct id      nobody = id_new(ID_ORGANISATION, market->now_ms);
    REFUSED_UNWRITTEN(market,
                      credits_grant(&market->call, &nobody, ENVIRONMENT_LIVE, TRANSFER_BONUS, 1,
                                    STR_NONE, STR_NONE),
                      ERR_NOT_FOUND, "organization");
}

static void grants_up_to_the_largest_integer_are_kept_exactly(void **state)
{
    struct market *market = *state;
    market_grant(market, INT64_MAX - 1);
    REFUSED_UNWRITTEN(market,
                      credits_grant(&market->call, &market->org_id, ENVIRONMENT_LIVE,
                                    TRANSFER_BONUS, 2, STR_NONE, STR_NONE),
                      ERR_INVALID, "amount_overflow");
    market_grant(market, 1);
    assert_true(market_balance(market).balance_cents == INT64_MAX);
    struct job job = market_job(market, 1, INT64_MAX);
    assert_int_equal(market_balance(market).balance_cents, 0);
    market_cancel(market, &job.id);
    assert_true(market_balance(market).balance_cents == INT64_MAX);
}

/* --- holding --- */

static void hold_spends_the_lot_that_expires_first(void **state)
{
    struct market *market = *state;
    grant_lots(market, 3, (int64_t[]){ 100, 100, 100 });
    market_job(market, 1, 60);
    assert_int_equal(lot_cents(market, 0), 40);
    market_job(market, 1, 60);
    assert_int_equal(lot_cents(market, 0), 0);
    assert_int_equal(lot_cents(market, 1), 80);
    assert_int_equal(lot_cents(market, 2), 100);
}

static void hold_takes_the_older_lot_of_two_that_expire_together(void **state)
{
    struct market *market = *state;
    market_grant(market, 10);
    market_grant(market, 20);
    market_job(market, 1, 10);
    assert_int_equal(lot_cents(market, 0), 0);
    assert_int_equal(lot_cents(market, 1), 20);
}

static void hold_is_one_deduction_of_the_total(void **state)
{
    struct market *market = *state;
    grant_lots(market, 2, (int64_t[]){ 100, 100 });
    struct job job = market_job(market, 3, 50);
    assert_row(market, 0, TRANSFER_DEDUCTION, -150);
    assert_int_equal(rows_of(market, TRANSFER_DEDUCTION), 1);
    assert_int_equal(market_balance(market).held_cents, 150);
    assert_int_equal(market_job_now(market, &job.id).escrow_cents, 150);
}

static void hold_refuses_more_than_is_there(void **state)
{
    struct market *market = *state;
    market_grant(market, 100);
    struct job job = market_job_asked(1, 101);
    REFUSED(market, job_create(&market->call, &job), ERR_UNPAID, "insufficient_credits");
    assert_int_equal(lot_cents(market, 0), 100);
    assert_int_equal(market_balance(market).balance_cents, 100);
}

static void hold_does_not_spend_a_lot_at_the_instant_it_expires(void **state)
{
    struct market *market = *state;
    grant_lots(market, 2, (int64_t[]){ 100, 100 });
    go_to_expiry_of_first_lot(market);
    struct job job = market_job_asked(1, 101);
    REFUSED(market, job_create(&market->call, &job), ERR_UNPAID, "insufficient_credits");
    market_job(market, 1, 100);
    assert_int_equal(rows_of(market, TRANSFER_EXPIRATION), 1);
    assert_row(market, 1, TRANSFER_EXPIRATION, -100);
    assert_row(market, 0, TRANSFER_DEDUCTION, -100);
    assert_int_equal(market_balance(market).balance_cents, 0);
}

static void hold_spends_a_lot_until_the_instant_it_expires(void **state)
{
    struct market *market = *state;
    market_grant(market, 100);
    go_to_expiry_of_first_lot(market);
    market->now_ms--;
    market_job(market, 1, 100);
    assert_int_equal(rows_of(market, TRANSFER_EXPIRATION), 0);
}

/* --- releasing --- */

static void refund_goes_back_to_the_lots_it_came_from(void **state)
{
    struct market *market = *state;
    grant_lots(market, 3, (int64_t[]){ 100, 50, 70 });
    struct job job = market_job(market, 4, 45); /* 180 */
    assert_int_equal(lot_cents(market, 2), 40);
    market_cancel(market, &job.id);
    assert_int_equal(lot_cents(market, 0), 100);
    assert_int_equal(lot_cents(market, 1), 50);
    assert_int_equal(lot_cents(market, 2), 70);
    assert_row(market, 0, TRANSFER_REFUND, 180);
    assert_int_equal(rows_of(market, TRANSFER_REFUND), 1);
}

static void refund_to_an_expired_lot_expires_again_at_once_with_both_rows(void **state)
{
    struct market *market = *state;
    grant_lots(market, 2, (int64_t[]){ 100, 100 });
    struct job job = market_job(market, 3, 50); /* all of the first lot, half of the second */
    go_to_expiry_of_first_lot(market);
    market_cancel(market, &job.id);
    assert_row(market, 1, TRANSFER_REFUND, 150);
    assert_row(market, 0, TRANSFER_EXPIRATION, -100);
    assert_int_equal(lot_cents(market, 0), 0);
    assert_int_equal(lot_cents(market, 1), 100);
    assert_int_equal(market_balance(market).balance_cents, 100);
}

static void refund_when_every_lot_has_expired_leaves_nothing(void **state)
{
    struct market *market = *state;
    grant_lots(market, 2, (int64_t[]){ 30, 20 });
    struct job job = market_job(market, 1, 50);
    market->now_ms += 2 * 366 * MS_PER_DAY;
    market_cancel(market, &job.id);
    assert_int_equal(market_balance(market).balance_cents, 0);
    assert_int_equal(rows_of(market, TRANSFER_EXPIRATION), 2);
}

/* The lot that expired still holds what nobody spent and no sweep has seen: the refund's own part
 * goes, and the rest with the sweep. */
static void refund_into_a_lot_not_yet_swept_expires_its_own_part(void **state)
{
    struct market *market = *state;
    market_grant(market, 100);
    struct job job = market_job(market, 1, 60);
    go_to_expiry_of_first_lot(market);
    market_cancel(market, &job.id);
    assert_int_equal(market_balance(market).balance_cents, 40);
    DONE(market, credits_expire_due(&market->call, &market->org_id, ENVIRONMENT_LIVE));
    assert_int_equal(market_balance(market).balance_cents, 0);
    assert_int_equal(rows_of(market, TRANSFER_EXPIRATION), 2);
}

static void approvals_use_the_cents_that_expire_first_and_refunds_restore_the_rest(void **state)
{
    struct market *market = *state;
    struct id      worker_id = market_worker(market);
    grant_lots(market, 2, (int64_t[]){ 100, 100 });
    struct job        job = market_job(market, 4, 50);
    struct submission first = market_submit(market, &worker_id, &job.id);
    struct submission second = market_submit(market, &worker_id, &job.id);
    market_judge(market, &first, 4);
    market_cancel(market, &job.id);
    assert_int_equal(lot_cents(market, 0), 0);
    assert_int_equal(lot_cents(market, 1), 100);
    market_judge(market, &second, 1);
    assert_int_equal(lot_cents(market, 0), 50);
    assert_int_equal(lot_cents(market, 1), 100);
}

static void more_lots_than_are_read_at_once_are_held_used_and_refunded(void **state)
{
    struct market *market = *state;
    enum { LOTS = 150 };
    struct id worker_id = market_worker(market);
    for (int i = 0; i < LOTS; i++) {
        market_grant(market, 1);
    }
    struct job        job = market_job(market, 2, LOTS / 2);
    struct submission submission = market_submit(market, &worker_id, &job.id);
    market_judge(market, &submission, 5);
    market_cancel(market, &job.id);
    assert_int_equal(market_balance(market).balance_cents, LOTS / 2);
    assert_int_equal(lot_cents(market, LOTS / 2 - 1), 0);
    assert_int_equal(lot_cents(market, LOTS / 2), 1);
    assert_int_equal(rows_of(market, TRANSFER_REFUND), 1);
}

/* --- paying --- */

static void assert_split(struct market *market, int64_t fee_ppm, int64_t price_cents,
                         int64_t payout_cents)
{
    int64_t payouts_before = rows_of(market, TRANSFER_PAYOUT);
    int64_t fees_before = rows_of(market, TRANSFER_FEE);
    int64_t fee_cents = price_cents - payout_cents, paid_cents;
    market->config.platform_fee_ppm = fee_ppm;
    struct id         worker_id = market_worker(market);
    struct job        job = market_job(market, 1, price_cents);
    struct submission submission = market_submit(market, &worker_id, &job.id);
    assert_int_equal(job.payout_cents, payout_cents);
    submission = market_judge(market, &submission, 5);
    assert_int_equal(submission.state, SUBMISSION_APPROVED);
    assert_int_equal(submission.paid_cents, payout_cents);
    market_as_worker(market, &worker_id);
    DONE(market, worker_balance(&market->call, &paid_cents));
    assert_int_equal(paid_cents, payout_cents);
    assert_int_equal(rows_of(market, TRANSFER_PAYOUT), payouts_before + (payout_cents > 0));
    assert_int_equal(rows_of(market, TRANSFER_FEE), fees_before + (fee_cents > 0));
    assert_int_equal(
        market_int_of(market, "SELECT count(*) FROM payouts WHERE worker_id = $1", &worker_id), 1);
    market_is_sound(market);
}

static void payout_and_fee_make_up_the_price_whatever_the_rate(void **state)
{
    struct market *market = *state;
    market_grant(market, 200000);
    assert_split(market, 200000, 50, 40);
    assert_split(market, 200000, 1, 1); /* the fee rounds down: a cent stays whole */
    assert_split(market, 200000, 4, 4);
    assert_split(market, 200000, 5, 4);
    assert_split(market, 0, 50, 50);
    assert_split(market, 0, 1, 1);
    assert_split(market, PPM_ONE / 2, 50, 25);
    assert_split(market, PPM_ONE / 2, 1, 1);
    assert_split(market, PPM_ONE / 2, 3, 2);
    assert_split(market, PPM_ONE, 9, 0); /* nothing for the worker: no transfer, one payout of 0 */
    assert_split(market, 333333, 100, 67);
    assert_split(market, 1, 99999, 99999);
}

static void pay_refuses_a_submission_that_was_paid(void **state)
{
    struct market *market = *state;
    struct id      worker_id = market_worker(market);
    int64_t        paid_cents;
    market_grant(market, 100);
    struct job        job = market_job(market, 2, 50);
    struct submission submission = market_submit(market, &worker_id, &job.id);
    market_judge(market, &submission, 5);
    job = market_job_now(market, &job.id);
    REFUSED_UNWRITTEN(market,
                      credits_pay(&market->call, &job, &submission.id, &worker_id, &paid_cents),
                      ERR_CONFLICT, "already_booked");
    assert_int_equal(job.escrow_cents, 50);
}

static void pay_refuses_what_the_workers_balance_cannot_hold(void **state)
{
    struct market *market = *state;
    struct id      worker_id = market_worker(market);
    int64_t        paid_cents;
    market->config.platform_fee_ppm = 0;
    market_grant(market, INT64_MAX);
    struct job        job = market_job(market, 1, INT64_MAX);
    struct submission submission = market_submit(market, &worker_id, &job.id);
    market_judge(market, &submission, 5);

    market_start_at(market, 0); /* another buyer */
    market_grant(market, 1);
    job = market_job(market, 1, 1);
    submission = market_submit(market, &worker_id, &job.id);
    job = market_job_now(market, &job.id);
    REFUSED(market, credits_pay(&market->call, &job, &submission.id, &worker_id, &paid_cents),
            ERR_INVALID, "amount_overflow");
    market_as_worker(market, &worker_id);
    DONE(market, worker_balance(&market->call, &paid_cents));
    assert_true(paid_cents == INT64_MAX);
}

/* --- expiring --- */

static void expiry_takes_only_what_is_due(void **state)
{
    struct market *market = *state;
    grant_lots(market, 2, (int64_t[]){ 30, 70 });
    go_to_expiry_of_first_lot(market);
    market->now_ms--;
    DONE(market, credits_expire_due(&market->call, &market->org_id, ENVIRONMENT_LIVE));
    assert_int_equal(market_balance(market).balance_cents, 100);
    market->now_ms++;
    DONE(market, credits_expire_due(&market->call, &market->org_id, ENVIRONMENT_LIVE));
    assert_int_equal(market_balance(market).balance_cents, 70);
    assert_row(market, 0, TRANSFER_EXPIRATION, -30);
}

static void expiry_repeated_books_nothing_more(void **state)
{
    struct market *market = *state;
    market_grant(market, 30);
    go_to_expiry_of_first_lot(market);
    DONE(market, credits_expire_due(&market->call, &market->org_id, ENVIRONMENT_LIVE));
    int64_t changes = market_changes(market);
    DONE(market, credits_expire_due(&market->call, &market->org_id, ENVIRONMENT_LIVE));
    assert_int_equal(market_changes(market), changes);
}

static void expiry_leaves_what_is_in_escrow(void **state)
{
    struct market *market = *state;
    struct id      worker_id = market_worker(market);
    market_grant(market, 100);
    struct job job = market_job(market, 1, 60);
    go_to_expiry_of_first_lot(market);
    DONE(market, credits_expire_due(&market->call, &market->org_id, ENVIRONMENT_LIVE));
    assert_int_equal(market_balance(market).balance_cents, 0);
    assert_int_equal(market_balance(market).held_cents, 60);
    struct submission submission = market_submit(market, &worker_id, &job.id);
    assert_int_equal(market_judge(market, &submission, 5).state, SUBMISSION_APPROVED);
}

static void sweep_expires_up_to_so_many_organisations_at_a_time(void **state)
{
    struct market *market = *state;
    int            count;
    market_grant(market, 10);
    market_grant(market, 20);
    for (int i = 0; i < 2; i++) {
        market_start_at(market, 0);
        market_grant(market, 5);
    }
    market->now_ms = time_add_year(market->now_ms) - 1;
    DONE(market, credits_expire_all_due(&market->call, 2, &count));
    assert_int_equal(count, 0);
    market->now_ms++;
    DONE(market, credits_expire_all_due(&market->call, 2, &count));
    assert_int_equal(count, 2);
    DONE(market, credits_expire_all_due(&market->call, 100, &count));
    assert_true(count > 0);
    DONE(market, credits_expire_all_due(&market->call, 100, &count));
    assert_int_equal(count, 0);
    assert_int_equal(market_int(market, "SELECT sum(balance_cents) FROM balances"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        credits_test(grant_is_one_transfer_and_one_lot_of_twelve_months),
        credits_test(grant_of_the_same_occurrence_is_refused_and_adds_no_lot),
        credits_test(grant_refuses_what_is_not_positive),
        credits_test(grant_to_nobody_is_refused),
        credits_test(grants_up_to_the_largest_integer_are_kept_exactly),
        credits_test(hold_spends_the_lot_that_expires_first),
        credits_test(hold_takes_the_older_lot_of_two_that_expire_together),
        credits_test(hold_is_one_deduction_of_the_total),
        credits_test(hold_refuses_more_than_is_there),
        credits_test(hold_does_not_spend_a_lot_at_the_instant_it_expires),
        credits_test(hold_spends_a_lot_until_the_instant_it_expires),
        credits_test(refund_goes_back_to_the_lots_it_came_from),
        credits_test(refund_to_an_expired_lot_expires_again_at_once_with_both_rows),
        credits_test(refund_when_every_lot_has_expired_leaves_nothing),
        credits_test(refund_into_a_lot_not_yet_swept_expires_its_own_part),
        credits_test(approvals_use_the_cents_that_expire_first_and_refunds_restore_the_rest),
        credits_test(more_lots_than_are_read_at_once_are_held_used_and_refunded),
        credits_test(payout_and_fee_make_up_the_price_whatever_the_rate),
        credits_test(pay_refuses_a_submission_that_was_paid),
        credits_test(pay_refuses_what_the_workers_balance_cannot_hold),
        credits_test(expiry_takes_only_what_is_due),
        credits_test(expiry_repeated_books_nothing_more),
        credits_test(expiry_leaves_what_is_in_escrow),
        credits_test(sweep_expires_up_to_so_many_organisations_at_a_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
