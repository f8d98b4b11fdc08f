#include "domain/audit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "sandbox_market.h"

#include "domain/top_up.h"

/* A sound store with something of everything: jobs open, in progress, completed and cancelled;
 * submissions pending, approved, rejected and waiting for their retry; reservations held, lapsed,
 * released and used; credit bought, spent, refunded and expired; files delivered and not. */
static int busy_setup(void **state)
{
    struct market *market = market_open();
    struct id      worker_id = market_worker(market), other_id = market_worker(market);
    *state = market;
    market->is_broken = true;

    struct job        done = market_job(market, 1, 50);
    struct submission submission = market_submit(market, &worker_id, &done.id);
    submission = market_judge(market, &submission, 5);
    struct task task = market_task(market, TASK_DELIVER, &submission.file_id);
    DONE(market, file_delivered(&market->call, &task));

    struct job running = market_job(market, 5, 30);
    submission = market_submit(market, &worker_id, &running.id);
    market_judge(market, &submission, 4);
    market_submit(market, &worker_id, &running.id);
    submission = market_submit(market, &other_id, &running.id);
    submission = market_judge(market, &submission, 2);
    market_retry(market, &submission);

    struct job cancelled = market_job(market, 4, 20);
    submission = market_submit(market, &worker_id, &cancelled.id);
    market_judge(market, &submission, 3);
    market_submit(market, &other_id, &cancelled.id);
    market_cancel(market, &cancelled.id);

    struct job         open = market_job(market, 2, 10);
    struct reservation held = market_accept(market, &worker_id, &open.id);
    DONE(market, reservation_release(&market->call, id_str(&held.id)));
    market_accept(market, &other_id, &open.id);

    struct job late = market_job_asked(2, 10);
    late.deadline_ms = market->now_ms + MS_PER_MINUTE;
    market_as_buyer(market);
    DONE(market, job_create(&market->call, &late));
    market_submit(market, &worker_id, &late.id);
    market_accept(market, &worker_id, &late.id);

    market_start_at(market, 400); /* another organisation, whose credit expires */
    market_job(market, 2, 50);
    market->now_ms = time_add_year(market->now_ms);
    DONE(market, credits_expire_due(&market->call, &market->org_id, ENVIRONMENT_LIVE));

    market_as_buyer(market); /* and which buys, and has begun a top-up */
    market->actor.environment = ENVIRONMENT_TEST;
    struct purchase purchase;
    bool            can_charge;
    DONE(market, purchase_begin(&market->call, 2500, &purchase));
    DONE(market, top_up_begin(&market->call, &market->org_id, ENVIRONMENT_TEST, 700, &can_charge));

    scratch_script(market->db, "PRAGMA foreign_keys = OFF; PRAGMA ignore_check_constraints = ON");
    return 0;
}

#define audit_test(name) cmocka_unit_test_setup_teardown(name, busy_setup, market_teardown)

/* The same, and a test job that simulated workers fill. */
static int busy_with_sandbox_setup(void **state)
{
    busy_setup(state);
    struct market *market = *state;
    market_start_at(market, 400); /* whose test credit has not expired */
    struct job job = sandbox_market_job(market, "mixed", 2);
    sandbox_market_finish(market, &job.id);
    return 0;
}

/* With the store changed behind the server's back the check must speak up; then all is undone. */
static void assert_found(struct market *market, const char *check, const char *damage)
{
    struct audit_report report = { .on_breach = market_note_breach, .context = market };
    snprintf(market->breaches, sizeof(market->breaches), " ");
    market->details[0] = '\0';
    int64_t changes = market_changes(market);
    market_begin(market);
    scratch_script(market->db, damage);
    if (market_changes(market) == changes) fail_msg("changed nothing: %s", damage);
    assert_int_equal(audit_store(&market->call, &report), ERR_OK);
    db_rollback(market->db);
    const char *named = str_c(&market->arena, str_format(&market->arena, " %s ", check));
    if (!strstr(market->breaches, named))
        fail_msg("%s was not found by %s, but by:%s", damage, check, market->breaches);
    assert_true(report.breaches_count > 0);
}

static void audit_passes_on_a_busy_sound_store(void **state)
{
    struct market *market = *state;
    market_is_sound(market);
}

static void audit_passes_on_an_empty_store(void **state)
{
    struct market *market = *state;
    scratch_script(market->db,
                   "DELETE FROM transfers; DELETE FROM lots; DELETE FROM job_lots;"
                   "DELETE FROM jobs; DELETE FROM submissions; DELETE FROM reservations;"
                   "DELETE FROM files; DELETE FROM payouts; DELETE FROM tasks;"
                   "DELETE FROM workers; DELETE FROM balances; DELETE FROM purchases;"
                   "DELETE FROM occurrences");
    market_is_sound(market);
}

static void audit_only_reads(void **state)
{
    struct market *market = *state;
    int64_t        changes = market_changes(market);
    market_is_sound(market);
    assert_int_equal(market_changes(market), changes);
}

static void audit_finds_transfers_booked_wrong(void **state)
{
    struct market *market = *state;
    const char    *check = "transfers_are_booked_right";
    assert_found(market, check, "UPDATE transfers SET credit = 'platform' WHERE kind = 'payout'");
    assert_found(market, check, "UPDATE transfers SET kind = 'gift' WHERE kind = 'bonus'");
    assert_found(market, check,
                 "UPDATE transfers SET debit = credit, credit = debit WHERE kind = 'deduction'");
}

static void audit_finds_postings_that_do_not_sum_to_zero(void **state)
{
    struct market *market = *state;
    const char    *check = "postings_sum_to_zero";
    assert_found(market, check, "UPDATE transfers SET debit = 'nowhere' WHERE kind = 'fee'");
    assert_found(market, check, "UPDATE transfers SET credit = 'nowhere' WHERE kind = 'refund'");
}

static void audit_finds_running_balances_that_do_not_chain(void **state)
{
    struct market *market = *state;
    const char    *check = "running_balances_chain";
    assert_found(market, check,
                 "UPDATE transfers SET running_balance_cents = running_balance_cents + 1"
                 " WHERE kind = 'refund'");
    assert_found(market, check, "DELETE FROM transfers WHERE kind = 'refund'");
    assert_found(market, check,
                 "UPDATE transfers SET running_balance_cents = NULL WHERE kind = 'deduction'");
}

static void audit_finds_balances_that_differ_from_their_transfers(void **state)
{
    struct market *market = *state;
    const char    *check = "balances_match_transfers";
    assert_found(market, check, "UPDATE balances SET balance_cents = balance_cents + 1");
    assert_found(market, check, "DELETE FROM transfers WHERE kind = 'free_tier'");
    assert_found(market, check, "UPDATE transfers SET amount_cents = 1 WHERE kind = 'bonus'");
}

static void audit_finds_a_balance_below_zero(void **state)
{
    struct market *market = *state;
    const char    *check = "available_never_negative";
    assert_found(market, check, "UPDATE balances SET balance_cents = -1 WHERE environment = 0");
    assert_found(market, check, "UPDATE balances SET held_cents = -1 WHERE environment = 0");
    assert_found(market, check,
                 "UPDATE transfers SET running_balance_cents = -1 WHERE kind = 'deduction'");
}

static void audit_finds_escrow_that_differs_from_the_jobs_state(void **state)
{
    struct market *market = *state;
    const char    *check = "escrow_matches_jobs";
    assert_found(market, check,
                 "UPDATE jobs SET escrow_cents = escrow_cents + 1 WHERE status = 'open'");
    assert_found(market, check, "UPDATE jobs SET escrow_cents = 1 WHERE status = 'completed'");
    assert_found(market, check, "UPDATE jobs SET escrow_cents = 0 WHERE status = 'cancelled'");
    assert_found(market, check, "UPDATE jobs SET files_approved = 2 WHERE status = 'in_progress'");
}

static void audit_finds_escrow_that_differs_from_its_transfers(void **state)
{
    struct market *market = *state;
    const char    *check = "escrow_matches_transfers";
    assert_found(market, check, "DELETE FROM transfers WHERE kind = 'fee'");
    assert_found(market, check, "UPDATE transfers SET job_id = NULL WHERE kind = 'deduction'");
    assert_found(market, check, "UPDATE jobs SET escrow_cents = escrow_cents - 1");
}

static void audit_finds_held_credit_that_differs_from_the_escrows(void **state)
{
    struct market *market = *state;
    const char    *check = "held_matches_escrow";
    assert_found(market, check, "UPDATE balances SET held_cents = held_cents + 1");
    assert_found(market, check, "DELETE FROM jobs WHERE status = 'open'");
}

static void audit_finds_what_a_deadline_should_have_stopped(void **state)
{
    struct market *market = *state;
    const char    *check = "deadlines_are_kept";
    assert_found(market, check,
                 "UPDATE submissions SET created_ms = (SELECT deadline_ms FROM jobs"
                 " WHERE id = job_id) WHERE job_id IN (SELECT id FROM jobs WHERE deadline_ms > 0)");
    assert_found(market, check,
                 "UPDATE reservations SET expires_ms = expires_ms + 1"
                 " WHERE job_id IN (SELECT id FROM jobs WHERE deadline_ms > 0)");
    assert_found(market, check, "UPDATE jobs SET completed_ms = deadline_ms WHERE deadline_ms > 0");
    assert_found(market, check,
                 "UPDATE jobs SET cancelled_ms = deadline_ms + 1 WHERE deadline_ms > 0");
}

static void audit_finds_opinions_that_do_not_match_jobs(void **state)
{
    struct market *market = *state;
    const char    *check = "opinions_match_jobs";
    assert_found(market, check, "UPDATE jobs SET rating = 5 WHERE status = 'open'");
    assert_found(market, check, "UPDATE jobs SET flags_count = 1 WHERE status = 'open'");
    assert_found(market, check,
                 "INSERT INTO job_flags (job_id, worker_id, reason, created_ms)"
                 " SELECT j.id, w.id, 'Bad.', 1 FROM jobs j, workers w LIMIT 1");
}

static void audit_finds_payout_and_fee_that_do_not_make_the_price(void **state)
{
    struct market *market = *state;
    const char    *check = "payout_and_fee_make_price";
    assert_found(market, check, "DELETE FROM transfers WHERE kind = 'fee'");
    assert_found(market, check,
                 "UPDATE transfers SET amount_cents = amount_cents + 1 WHERE kind = 'payout'");
}

static void audit_finds_payments_without_approval_and_approvals_without(void **state)
{
    struct market *market = *state;
    const char    *check = "paid_exactly_when_approved";
    assert_found(market, check, "DELETE FROM payouts");
    assert_found(market, check,
                 "UPDATE submissions SET status = 'rejected' WHERE status = 'approved'");
    assert_found(market, check,
                 "UPDATE payouts SET submission_id ="
                 " (SELECT id FROM submissions WHERE status = 'retry_pending')"
                 " WHERE id = (SELECT min(id) FROM payouts)");
    assert_found(market, check, "UPDATE transfers SET submission_id = NULL WHERE kind = 'payout'");
    /* Paid twice, with the constraint out of the way. */
    assert_found(market, check,
                 "CREATE TABLE twice AS SELECT * FROM payouts; DROP TABLE payouts;"
                 "ALTER TABLE twice RENAME TO payouts; INSERT INTO payouts SELECT id || 'x',"
                 " worker_id, submission_id, job_id, amount_cents, created_ms FROM payouts");
}

static void audit_finds_counters_that_differ_from_the_rows(void **state)
{
    struct market *market = *state;
    const char    *check = "job_counters_match_rows";
    assert_found(market, check, "UPDATE jobs SET files_approved = files_approved + 1");
    assert_found(market, check, "UPDATE jobs SET files_pending = files_pending + 1");
    assert_found(market, check, "UPDATE jobs SET slots_reserved = slots_reserved + 1");
    assert_found(market, check, "UPDATE jobs SET files_needed = 1");
    assert_found(market, check,
                 "UPDATE jobs SET status = 'in_progress' WHERE status = 'completed'");
    assert_found(market, check, "UPDATE jobs SET status = 'completed' WHERE status = 'open'");
    assert_found(market, check, "UPDATE reservations SET state = 'lapsed' WHERE state = 'held'");
    assert_found(market, check,
                 "UPDATE submissions SET status = 'rejected' WHERE status = 'pending_score'");
}

static void audit_finds_files_that_are_no_approved_submissions(void **state)
{
    struct market *market = *state;
    const char    *check = "files_match_submissions";
    assert_found(market, check, "DELETE FROM files");
    assert_found(market, check, "UPDATE files SET sha256 = 'other'");
    assert_found(market, check, "UPDATE files SET org_id = 'other'");
    assert_found(market, check, "UPDATE files SET job_id = 'other'");
    assert_found(market, check, "UPDATE submissions SET file_id = 'other'");
    assert_found(market, check,
                 "UPDATE files SET submission_id = (SELECT id FROM submissions"
                 " WHERE status = 'pending_score') WHERE id = (SELECT min(id) FROM files)");
}

static void audit_finds_worker_balances_that_differ_from_their_payouts(void **state)
{
    struct market *market = *state;
    const char    *check = "worker_balances_match_payouts";
    assert_found(market, check, "UPDATE workers SET balance_cents = balance_cents + 1");
    assert_found(market, check, "DELETE FROM payouts");
    assert_found(market, check, "UPDATE payouts SET amount_cents = amount_cents + 1");
}

static void audit_finds_payouts_that_differ_from_their_transfers(void **state)
{
    struct market *market = *state;
    const char    *check = "payouts_match_transfers";
    /* The payout and the balance agree with each other, but not with the ledger. */
    assert_found(market, check,
                 "UPDATE payouts SET amount_cents = amount_cents + 1;"
                 "UPDATE workers SET balance_cents = balance_cents + (SELECT count(*) FROM payouts"
                 " WHERE worker_id = workers.id)");
    assert_found(market, check, "UPDATE submissions SET paid_cents = paid_cents - 1");
    assert_found(market, check,
                 "UPDATE transfers SET worker_id = 'other' WHERE worker_id IS NOT NULL");
    assert_found(market, check, "UPDATE payouts SET worker_id = 'other'");
    assert_found(market, check, "DELETE FROM submissions WHERE status = 'approved'");
}

static void audit_finds_retries_without_a_slot(void **state)
{
    struct market *market = *state;
    const char    *check = "retries_hold_a_slot";
    assert_found(market, check, "UPDATE reservations SET state = 'lapsed' WHERE attempt = 2");
    assert_found(market, check,
                 "UPDATE submissions SET status = 'rejected' WHERE status = 'retry_pending'");
}

static void audit_finds_work_that_nobody_will_do(void **state)
{
    struct market *market = *state;
    const char    *check = "work_has_its_task";
    assert_found(market, check, "DELETE FROM tasks WHERE kind = 'score'");
    assert_found(market, check, "DELETE FROM tasks WHERE kind = 'deliver'");
    assert_found(market, check, "DELETE FROM tasks WHERE kind = 'top_up'");
    assert_found(market, check, "UPDATE files SET delivered_ms = NULL WHERE delivered_ms > 0");
}

static void audit_finds_purchases_that_differ_from_their_credit(void **state)
{
    struct market *market = *state;
    const char    *check = "purchases_are_credited_once";
    assert_found(market, check, "UPDATE purchases SET state = 'open' WHERE state = 'paid'");
    assert_found(market, check, "UPDATE purchases SET state = 'paid' WHERE state = 'asking'");
    assert_found(market, check, "UPDATE purchases SET paid_ms = NULL WHERE state = 'paid'");
    assert_found(market, check, "UPDATE purchases SET amount_cents = amount_cents + 1");
    assert_found(market, check, "DELETE FROM transfers WHERE once LIKE 'bonus:%'");
    assert_found(market, check, "UPDATE transfers SET environment = 0 WHERE once LIKE 'bonus:%'");
    /* Credited twice, with the constraint out of the way. */
    assert_found(market, check,
                 "DROP INDEX transfers_once; INSERT INTO transfers (org_id, environment, id, kind,"
                 " debit, credit, amount_cents, once, created_ms) SELECT org_id, environment,"
                 " id || 'x', kind, debit, credit, amount_cents, once, created_ms FROM transfers"
                 " WHERE once LIKE 'purchase:%'");
}

static void audit_finds_bought_credit_that_nobody_bought(void **state)
{
    struct market *market = *state;
    const char    *check = "bought_credit_has_its_purchase";
    assert_found(market, check, "UPDATE transfers SET once = NULL WHERE kind = 'purchase'");
    assert_found(market, check, "UPDATE transfers SET kind = 'purchase' WHERE kind = 'free_tier'");
    assert_found(market, check,
                 "UPDATE transfers SET kind = 'bonus', once = 'bonus:' || id"
                 " WHERE kind = 'free_tier'");
    assert_found(market, check, "DELETE FROM purchases");
}

static void audit_finds_credit_that_was_not_told_of_once(void **state)
{
    struct market *market = *state;
    const char    *check = "credits_have_their_events";
    assert_found(market, check, "DELETE FROM occurrences WHERE type = 'credits.expired'");
    assert_found(market, check, "DELETE FROM occurrences WHERE type = 'credits.purchased'");
    assert_found(market, check,
                 "UPDATE occurrences SET type = 'credits.expired'"
                 " WHERE type = 'credits.purchased'");
    assert_found(market, check,
                 "INSERT INTO occurrences SELECT id || 'x', org_id, environment, type, subject_id,"
                 " data, created_ms FROM occurrences WHERE type = 'credits.purchased'");
    assert_found(market, "occurrences_have_their_subject",
                 "UPDATE occurrences SET subject_id = 'crtx_x' WHERE type = 'credits.purchased'");
}

static void audit_finds_lots_that_differ_from_the_balance(void **state)
{
    struct market *market = *state;
    const char    *check = "lots_match_balances";
    assert_found(market, check,
                 "UPDATE lots SET remaining_cents = remaining_cents - 1 WHERE remaining_cents > 0");
    assert_found(market, check, "DELETE FROM lots");
}

static void audit_finds_parts_that_differ_from_the_escrow(void **state)
{
    struct market *market = *state;
    const char    *check = "job_parts_match_escrow";
    assert_found(market, check, "UPDATE job_lots SET cents = cents + 1");
    assert_found(market, check, "DELETE FROM job_lots");
}

static void audit_finds_more_expired_than_given_and_lots_out_of_bounds(void **state)
{
    struct market *market = *state;
    const char    *check = "expirations_within_grants";
    assert_found(market, check,
                 "UPDATE transfers SET amount_cents = 10000000 WHERE kind = 'expiration'");
    assert_found(market, check, "UPDATE lots SET remaining_cents = -1");
    assert_found(market, check, "UPDATE lots SET remaining_cents = granted_cents + 1");
}

static void audit_counts_its_checks_and_names_the_subject(void **state)
{
    struct market      *market = *state;
    struct audit_report report = { .on_breach = market_note_breach, .context = market };
    market->details[0] = '\0';
    scratch_script(market->db, "UPDATE workers SET balance_cents = 999999 WHERE id ="
                               " (SELECT min(id) FROM workers)");
    DONE(market, audit_store(&market->call, &report));
    assert_int_equal(report.breaches_count, 1);
    assert_true(report.checks_count >= 19);
    assert_non_null(strstr(market->details, "worker_balances_match_payouts: wkr_"));
}

/* --- files --- */

struct disk {
    int  asked, hashes;
    bool is_empty;
};

static enum err has_bytes(void *context, struct str blob, int64_t size_bytes, struct str sha256)
{
    struct disk *disk = context;
    assert_true(str_starts_with(blob, STR("sub_")));
    assert_true(size_bytes > 0);
    disk->asked++;
    disk->hashes += sha256.len == 64;
    return disk->is_empty ? ERR_NOT_FOUND : ERR_OK;
}

static void audit_asks_for_the_bytes_of_every_file(void **state)
{
    struct market      *market = *state;
    struct audit_report report = { .on_breach = market_note_breach, .context = market };
    struct disk         disk = { 0 };
    int64_t             files = market_int(market, "SELECT count(*) FROM files");
    DONE(market, audit_files(&market->call, &report, false, has_bytes, &disk));
    assert_int_equal(disk.asked, files);
    assert_int_equal(disk.hashes, 0);
    DONE(market, audit_files(&market->call, &report, true, has_bytes, &disk));
    assert_int_equal(disk.hashes, files);
    assert_int_equal(report.breaches_count, 0);
    assert_int_equal(report.checks_count, 2);
}

static void audit_finds_files_without_their_bytes(void **state)
{
    struct market      *market = *state;
    struct audit_report report = { .on_breach = market_note_breach, .context = market };
    struct disk         disk = { .is_empty = true };
    snprintf(market->breaches, sizeof(market->breaches), " ");
    DONE(market, audit_files(&market->call, &report, false, has_bytes, &disk));
    assert_int_equal(report.breaches_count, disk.asked);
    assert_non_null(strstr(market->breaches, " files_have_their_bytes "));
}

static void audit_finds_a_verdict_that_was_not_told_once(void **state)
{
    struct market *market = *state;
    const char    *check = "verdicts_have_their_events";
    assert_found(market, check, "DELETE FROM occurrences WHERE type = 'submission.scored'");
    assert_found(market, check,
                 "UPDATE occurrences SET type = 'submission.approved'"
                 " WHERE type = 'submission.rejected'");
    assert_found(market, check,
                 "INSERT INTO occurrences SELECT id || '2', org_id, environment, type, subject_id,"
                 " data, created_ms FROM occurrences WHERE type = 'submission.approved' LIMIT 1");
}

static void audit_finds_a_job_whose_end_was_not_told_once(void **state)
{
    struct market *market = *state;
    const char    *check = "jobs_have_their_events";
    assert_found(market, check, "DELETE FROM occurrences WHERE type = 'job.cancelled'");
    assert_found(market, check, "DELETE FROM occurrences WHERE type = 'job.completed'");
    assert_found(market, check,
                 "INSERT INTO occurrences SELECT id || '2', org_id, environment, type, subject_id,"
                 " data, created_ms FROM occurrences WHERE type = 'job.completed' LIMIT 1");
}

static void audit_finds_events_of_nothing(void **state)
{
    struct market *market = *state;
    const char    *check = "occurrences_have_their_subject";
    assert_found(market, check,
                 "UPDATE occurrences SET subject_id = 'sub_x'"
                 " WHERE type = 'submission.scored'");
    assert_found(market, check,
                 "UPDATE occurrences SET subject_id = 'job_x' WHERE type = 'job.cancelled'");
}

static void audit_finds_events_that_wait_for_no_delivery(void **state)
{
    struct market *market = *state;
    assert_found(market, "awaited_deliveries_are_due",
                 "INSERT INTO webhook_events SELECT 'evt_x', org_id, environment, 'whe_x', id,"
                 " 'pending', 0, 0, subject_id, 0, NULL FROM occurrences"
                 " WHERE type = 'job.completed'");
}

static void audit_leaves_what_is_older_than_events_alone(void **state)
{
    struct market *market = *state;
    scratch_script(market->db, "UPDATE server_state SET value = 1 + (SELECT max(created_ms) FROM"
                               " submissions) WHERE name = 'events_since_ms';"
                               "UPDATE server_state SET value = max(value, (SELECT 1 +"
                               " max(created_ms) FROM jobs)) WHERE name = 'events_since_ms';"
                               "UPDATE server_state SET value = 1 + (SELECT max(created_ms) FROM"
                               " transfers) WHERE name = 'credit_events_since_ms';"
                               "DELETE FROM occurrences");
    market_is_sound(market);
}

static void work_of_the_other_world_is_found(void **state)
{
    struct market *market = *state;
    const char    *check = "worlds_are_apart";
    market_is_sound(market);
    assert_found(market, check, "UPDATE submissions SET environment = 1 WHERE environment = 0");
    assert_found(market, check, "UPDATE submissions SET environment = 0 WHERE environment = 1");
    assert_found(market, check, "UPDATE workers SET simulated_for = NULL");
    assert_found(market, check,
                 "UPDATE workers SET simulated_for = 'org_other'"
                 " WHERE simulated_for IS NOT NULL");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        audit_test(audit_passes_on_a_busy_sound_store),
        audit_test(audit_passes_on_an_empty_store),
        audit_test(audit_only_reads),
        audit_test(audit_finds_transfers_booked_wrong),
        audit_test(audit_finds_postings_that_do_not_sum_to_zero),
        audit_test(audit_finds_running_balances_that_do_not_chain),
        audit_test(audit_finds_balances_that_differ_from_their_transfers),
        audit_test(audit_finds_a_balance_below_zero),
        audit_test(audit_finds_escrow_that_differs_from_the_jobs_state),
        audit_test(audit_finds_escrow_that_differs_from_its_transfers),
        audit_test(audit_finds_held_credit_that_differs_from_the_escrows),
        audit_test(audit_finds_what_a_deadline_should_have_stopped),
        audit_test(audit_finds_opinions_that_do_not_match_jobs),
        audit_test(audit_finds_payout_and_fee_that_do_not_make_the_price),
        audit_test(audit_finds_payments_without_approval_and_approvals_without),
        audit_test(audit_finds_counters_that_differ_from_the_rows),
        audit_test(audit_finds_files_that_are_no_approved_submissions),
        audit_test(audit_finds_worker_balances_that_differ_from_their_payouts),
        audit_test(audit_finds_payouts_that_differ_from_their_transfers),
        audit_test(audit_finds_retries_without_a_slot),
        audit_test(audit_finds_work_that_nobody_will_do),
        audit_test(audit_finds_purchases_that_differ_from_their_credit),
        audit_test(audit_finds_bought_credit_that_nobody_bought),
        audit_test(audit_finds_credit_that_was_not_told_of_once),
        audit_test(audit_finds_lots_that_differ_from_the_balance),
        audit_test(audit_finds_parts_that_differ_from_the_escrow),
        audit_test(audit_finds_more_expired_than_given_and_lots_out_of_bounds),
        audit_test(audit_counts_its_checks_and_names_the_subject),
        audit_test(audit_asks_for_the_bytes_of_every_file),
        audit_test(audit_finds_files_without_their_bytes),
        audit_test(audit_finds_a_verdict_that_was_not_told_once),
        audit_test(audit_finds_a_job_whose_end_was_not_told_once),
        audit_test(audit_finds_events_of_nothing),
        audit_test(audit_finds_events_that_wait_for_no_delivery),
        audit_test(audit_leaves_what_is_older_than_events_alone),
        cmocka_unit_test_setup_teardown(work_of_the_other_world_is_found, busy_with_sandbox_setup,
                                        market_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
