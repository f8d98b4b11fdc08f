#include "domain/audit.h"

enum { BREACHES_PER_CHECK_MAX = 100 };

/* Each check is a query whose rows are breaches: a subject and what is wrong with it. The numbers
 * are those of the invariants in docs/money.md. */
struct check {
    const char *name;
    struct stmt *(*query)(struct db *db);
};

/* 1: every transfer is one of the kinds, booked between its two accounts. */
static struct stmt *transfers_are_booked_right(struct db *db)
{
    return db_query(
        db, "SELECT id, kind || ' from ' || debit || ' to ' || credit FROM transfers WHERE NOT ("
            " (kind = 'purchase' AND debit = 'external' AND credit = 'available') OR"
            " (kind IN ('bonus', 'free_tier') AND debit = 'promotions' AND credit = 'available') OR"
            " (kind = 'deduction' AND debit = 'available' AND credit = 'escrow') OR"
            " (kind = 'refund' AND debit = 'escrow' AND credit = 'available') OR"
            " (kind = 'expiration' AND debit = 'available' AND credit = 'promotions') OR"
            " (kind = 'payout' AND debit = 'escrow' AND credit = 'worker') OR"
            " (kind = 'fee' AND debit = 'escrow' AND credit = 'platform'))");
}

/* 1: over all accounts, what left one entered another. Row by row, so that no sum grows beyond an
 * integer on a sound ledger. */
static struct stmt *postings_sum_to_zero(struct db *db)
{
    return db_query(db, "SELECT 'ledger', 'postings sum to ' || CAST(sum(cents) AS TEXT) FROM ("
                        " SELECT CASE WHEN credit IN ('available', 'escrow', 'worker', 'platform',"
                        " 'promotions', 'external') THEN amount_cents ELSE 0 END -"
                        " CASE WHEN debit IN ('available', 'escrow', 'worker', 'platform',"
                        " 'promotions', 'external') THEN amount_cents ELSE 0 END AS cents"
                        " FROM transfers) AS legs HAVING sum(cents) <> 0");
}

/* 2: running balances chain. */
static struct stmt *running_balances_chain(struct db *db)
{
    return db_query(
        db, "SELECT id, 'expected ' || CAST(before + change AS TEXT) || ', found ' ||"
            " CAST(running_balance_cents AS TEXT) FROM (SELECT id, running_balance_cents,"
            " CASE WHEN credit = 'available' THEN amount_cents ELSE -amount_cents END AS change,"
            " coalesce(lag(running_balance_cents) OVER (PARTITION BY org_id, environment"
            " ORDER BY id), 0) AS before FROM transfers"
            " WHERE debit = 'available' OR credit = 'available') AS chain"
            " WHERE before + change <> running_balance_cents OR running_balance_cents IS NULL");
}

/* 2: and end at the balance. */
static struct stmt *balances_match_transfers(struct db *db)
{
    return db_query(
        db, "SELECT b.org_id, 'balance ' || CAST(b.balance_cents AS TEXT) || ', transfers ' ||"
            " CAST(t.cents AS TEXT) FROM balances b LEFT JOIN (SELECT org_id, environment,"
            " sum(CASE WHEN credit = 'available' THEN amount_cents WHEN debit = 'available'"
            " THEN -amount_cents ELSE 0 END) AS cents FROM transfers GROUP BY org_id, environment)"
            " AS t ON t.org_id = b.org_id AND t.environment = b.environment"
            " WHERE b.balance_cents <> coalesce(t.cents, 0)");
}

/* 3: never below zero, at any prefix. */
static struct stmt *available_never_negative(struct db *db)
{
    return db_query(db, "SELECT id, 'running balance ' || CAST(running_balance_cents AS TEXT)"
                        " FROM transfers WHERE running_balance_cents < 0 UNION ALL"
                        " SELECT org_id, 'balance ' || CAST(balance_cents AS TEXT) FROM balances"
                        " WHERE balance_cents < 0 OR held_cents < 0");
}

/* 4: a job's escrow is what its state says it must be. */
static struct stmt *escrow_matches_jobs(struct db *db)
{
    return db_query(
        db, "SELECT id, status || ' with ' || CAST(escrow_cents AS TEXT) || ' in escrow' FROM jobs"
            " WHERE escrow_cents <> price_cents * CASE status"
            " WHEN 'completed' THEN 0 WHEN 'cancelled' THEN files_pending"
            " ELSE files_needed - files_approved END");
}

/* 4: and what the transfers left in it. */
static struct stmt *escrow_matches_transfers(struct db *db)
{
    return db_query(
        db, "SELECT j.id, 'escrow ' || CAST(j.escrow_cents AS TEXT) || ', transfers ' ||"
            " CAST(coalesce(t.cents, 0) AS TEXT) FROM jobs j LEFT JOIN (SELECT job_id,"
            " sum(CASE WHEN credit = 'escrow' THEN amount_cents WHEN debit = 'escrow'"
            " THEN -amount_cents ELSE 0 END) AS cents FROM transfers WHERE job_id IS NOT NULL"
            " GROUP BY job_id) AS t ON t.job_id = j.id"
            " WHERE j.escrow_cents <> coalesce(t.cents, 0)");
}

/* 4: an organisation's held credit is the sum of its jobs'. */
static struct stmt *held_matches_escrow(struct db *db)
{
    return db_query(
        db, "SELECT b.org_id, 'held ' || CAST(b.held_cents AS TEXT) || ', escrow ' ||"
            " CAST(coalesce(j.cents, 0) AS TEXT) FROM balances b LEFT JOIN (SELECT org_id,"
            " environment, sum(escrow_cents) AS cents FROM jobs GROUP BY org_id, environment) AS j"
            " ON j.org_id = b.org_id AND j.environment = b.environment"
            " WHERE b.held_cents <> coalesce(j.cents, 0)");
}

/* 5: payout and fee of an approved submission make up its price. */
static struct stmt *payout_and_fee_make_price(struct db *db)
{
    return db_query(db,
                    "SELECT s.id, 'paid ' || CAST(coalesce(t.cents, 0) AS TEXT) || ' of ' ||"
                    " CAST(j.price_cents AS TEXT) FROM submissions s JOIN jobs j ON j.id = s.job_id"
                    " LEFT JOIN (SELECT submission_id, sum(amount_cents) AS cents FROM transfers"
                    " WHERE kind IN ('payout', 'fee') GROUP BY submission_id) AS t"
                    " ON t.submission_id = s.id"
                    " WHERE s.status = 'approved' AND coalesce(t.cents, 0) <> j.price_cents");
}

/* 6: approved exactly once, nothing else paid. */
static struct stmt *paid_exactly_when_approved(struct db *db)
{
    return db_query(db,
                    "SELECT s.id, s.status || ' with ' || CAST(count(p.id) AS TEXT) || ' payouts'"
                    " FROM submissions s LEFT JOIN payouts p ON p.submission_id = s.id"
                    " GROUP BY s.id, s.status HAVING count(p.id) <>"
                    " CASE s.status WHEN 'approved' THEN 1 ELSE 0 END UNION ALL"
                    " SELECT t.id, t.kind || ' without an approved submission' FROM transfers t"
                    " LEFT JOIN submissions s ON s.id = t.submission_id AND s.status = 'approved'"
                    " WHERE t.kind IN ('payout', 'fee') AND s.id IS NULL");
}

/* 6: counters of a job are what its rows say, and never above what it needs. */
static struct stmt *job_counters_match_rows(struct db *db)
{
    return db_query(
        db,
        "SELECT j.id, 'counters ' || CAST(j.files_approved AS TEXT) || '/' ||"
        " CAST(j.files_pending AS TEXT) || '/' || CAST(j.slots_reserved AS TEXT) || ', rows ' ||"
        " CAST(coalesce(s.approved, 0) AS TEXT) || '/' || CAST(coalesce(s.pending, 0) AS TEXT)"
        " || '/' || CAST(coalesce(r.held, 0) AS TEXT) FROM jobs j LEFT JOIN (SELECT job_id,"
        " sum(CASE status WHEN 'approved' THEN 1 ELSE 0 END) AS approved,"
        " sum(CASE status WHEN 'pending_score' THEN 1 ELSE 0 END) AS pending"
        " FROM submissions GROUP BY job_id) AS s ON s.job_id = j.id LEFT JOIN (SELECT job_id,"
        " count(*) AS held FROM reservations WHERE state = 'held' GROUP BY job_id) AS r"
        " ON r.job_id = j.id WHERE j.files_approved <> coalesce(s.approved, 0)"
        " OR j.files_pending <> coalesce(s.pending, 0)"
        " OR j.slots_reserved <> coalesce(r.held, 0)"
        " OR j.files_approved + j.files_pending + j.slots_reserved > j.files_needed"
        " OR (j.status = 'completed') <> (j.files_approved = j.files_needed"
        " AND j.status <> 'cancelled')");
}

/* 6: nothing arrives for a job, holds a slot of it or completes it from its deadline on. */
static struct stmt *deadlines_are_kept(struct db *db)
{
    return db_query(db, "SELECT s.id, 'sent after the deadline of ' || j.id FROM submissions s"
                        " JOIN jobs j ON j.id = s.job_id WHERE s.created_ms >= j.deadline_ms"
                        " UNION ALL SELECT r.id, 'beyond the deadline of ' || j.id"
                        " FROM reservations r JOIN jobs j ON j.id = r.job_id"
                        " WHERE r.expires_ms > j.deadline_ms UNION ALL SELECT id, status ||"
                        " ' after its deadline' FROM jobs WHERE completed_ms >= deadline_ms"
                        " OR cancelled_ms > deadline_ms");
}

/* 6: only completed jobs are rated, and each flag is counted. */
static struct stmt *opinions_match_jobs(struct db *db)
{
    return db_query(db, "SELECT j.id, j.status || ', rated ' || CAST(coalesce(j.rating, 0) AS TEXT)"
                        " || ', ' || CAST(j.flags_count AS TEXT) || ' flags of ' ||"
                        " CAST(coalesce(f.count, 0) AS TEXT) FROM jobs j LEFT JOIN (SELECT job_id,"
                        " count(*) AS count FROM job_flags GROUP BY job_id) AS f ON f.job_id = j.id"
                        " WHERE j.flags_count <> coalesce(f.count, 0)"
                        " OR (j.rating IS NOT NULL AND j.status <> 'completed')");
}

/* 6: an approved submission has its file, and only it. */
static struct stmt *files_match_submissions(struct db *db)
{
    return db_query(db,
                    "SELECT s.id, s.status || ' and its file' FROM submissions s LEFT JOIN files f"
                    " ON f.submission_id = s.id WHERE (s.status = 'approved') <> (f.id IS NOT NULL)"
                    " OR (f.id IS NOT NULL AND (f.id <> s.file_id OR f.sha256 <> s.sha256"
                    " OR f.job_id <> s.job_id OR f.org_id <> s.org_id))");
}

/* 6: a worker's balance is what was paid to him. */
static struct stmt *worker_balances_match_payouts(struct db *db)
{
    return db_query(
        db, "SELECT w.id, 'balance ' || CAST(w.balance_cents AS TEXT) || ', payouts ' ||"
            " CAST(coalesce(p.cents, 0) AS TEXT) FROM workers w LEFT JOIN (SELECT worker_id,"
            " sum(amount_cents) AS cents FROM payouts GROUP BY worker_id) AS p"
            " ON p.worker_id = w.id WHERE w.balance_cents <> coalesce(p.cents, 0)");
}

/* 5: what the payout's row and the submission say is what the ledger booked. */
static struct stmt *payouts_match_transfers(struct db *db)
{
    return db_query(
        db, "SELECT p.submission_id, 'payout ' || CAST(p.amount_cents AS TEXT) || ', booked ' ||"
            " CAST(coalesce(t.cents, 0) AS TEXT) FROM payouts p LEFT JOIN submissions s"
            " ON s.id = p.submission_id LEFT JOIN (SELECT submission_id, worker_id,"
            " sum(amount_cents) AS cents FROM transfers WHERE kind = 'payout'"
            " GROUP BY submission_id, worker_id) AS t"
            " ON t.submission_id = p.submission_id AND t.worker_id = p.worker_id"
            " WHERE p.amount_cents <> coalesce(t.cents, 0) OR s.id IS NULL"
            " OR s.worker_id <> p.worker_id OR coalesce(s.paid_cents, -1) <> p.amount_cents");
}

/* A second attempt is waited for exactly while a reservation holds its slot. */
static struct stmt *retries_hold_a_slot(struct db *db)
{
    return db_query(
        db, "SELECT s.id, s.status || ' with ' || CAST(coalesce(r.held, 0) AS TEXT) ||"
            " ' reservations for the second attempt' FROM submissions s LEFT JOIN"
            " (SELECT submission_id, count(*) AS held FROM reservations WHERE state = 'held'"
            " AND attempt > 1 GROUP BY submission_id) AS r ON r.submission_id = s.id"
            " WHERE coalesce(r.held, 0) <> CASE s.status WHEN 'retry_pending' THEN 1 ELSE 0 END");
}

/* Live work is people's, test work is simulated workers' of the same organisation. */
static struct stmt *worlds_are_apart(struct db *db)
{
    return db_query(
        db, "SELECT s.id, 'of the ' || CASE s.environment WHEN 1 THEN 'test' ELSE 'live' END ||"
            " ' world, by ' || w.id FROM submissions s JOIN workers w ON w.id = s.worker_id"
            " WHERE CASE s.environment WHEN 1 THEN s.org_id ELSE '' END"
            " <> coalesce(w.simulated_for, '')");
}

/* Nothing waits for what nobody will do. */
static struct stmt *work_has_its_task(struct db *db)
{
    return db_query(db, "SELECT s.id, 'waits for a score without a task' FROM submissions s"
                        " LEFT JOIN tasks t ON t.kind = 'score' AND t.subject_id = s.id"
                        " WHERE s.status = 'pending_score' AND t.id IS NULL UNION ALL"
                        " SELECT f.id, 'waits for its delivery without a task' FROM files f"
                        " LEFT JOIN tasks t ON t.kind = 'deliver' AND t.subject_id = f.id"
                        " WHERE f.delivered_ms IS NULL AND t.id IS NULL UNION ALL"
                        " SELECT p.id, 'waits to be charged without a task' FROM purchases p"
                        " LEFT JOIN tasks t ON t.kind = 'top_up' AND t.subject_id = p.id"
                        " WHERE p.kind = 'top_up' AND p.state = 'asking' AND t.id IS NULL");
}

/* 7: a purchase is credited once, as it was meant, exactly when it is paid. */
static struct stmt *purchases_are_credited_once(struct db *db)
{
    return db_query(
        db, "SELECT p.id, p.state || ', credited ' || CAST(count(t.id) AS TEXT) || ' times, ' ||"
            " CAST(coalesce(sum(t.amount_cents), 0) AS TEXT) || ' cents' FROM purchases p"
            " LEFT JOIN transfers t ON t.once IN ('purchase:' || p.id, 'bonus:' || p.id)"
            " AND t.org_id = p.org_id AND t.environment = p.environment"
            " GROUP BY p.id, p.state, p.amount_cents, p.bonus_cents, p.paid_ms"
            " HAVING coalesce(sum(t.amount_cents), 0) <>"
            " CASE p.state WHEN 'paid' THEN p.amount_cents + p.bonus_cents ELSE 0 END"
            " OR count(t.id) <> CASE WHEN p.state <> 'paid' THEN 0"
            " WHEN p.bonus_cents > 0 THEN 2 ELSE 1 END"
            " OR (p.state = 'paid') <> (p.paid_ms IS NOT NULL)");
}

/* 7: and nothing counts as bought without one. */
static struct stmt *bought_credit_has_its_purchase(struct db *db)
{
    return db_query(db, "SELECT t.id, 'no paid purchase ' || coalesce(t.once, '') FROM transfers t"
                        " LEFT JOIN purchases p ON p.id = substr(t.once, length('purchase:') + 1)"
                        " AND p.state = 'paid' AND p.amount_cents = t.amount_cents"
                        " WHERE t.kind = 'purchase' AND p.id IS NULL UNION ALL"
                        " SELECT t.id, 'no paid purchase ' || t.once FROM transfers t"
                        " LEFT JOIN purchases p ON p.id = substr(t.once, length('bonus:') + 1)"
                        " AND p.state = 'paid' AND p.bonus_cents = t.amount_cents"
                        " WHERE t.kind = 'bonus' AND t.once LIKE 'bonus:%' AND p.id IS NULL");
}

/* 8: the lots hold what the balance says. */
static struct stmt *lots_match_balances(struct db *db)
{
    return db_query(
        db, "SELECT b.org_id, 'balance ' || CAST(b.balance_cents AS TEXT) || ', lots ' ||"
            " CAST(coalesce(l.cents, 0) AS TEXT) FROM balances b LEFT JOIN (SELECT org_id,"
            " environment, sum(remaining_cents) AS cents FROM lots GROUP BY org_id, environment)"
            " AS l ON l.org_id = b.org_id AND l.environment = b.environment"
            " WHERE b.balance_cents <> coalesce(l.cents, 0)");
}

/* 8: and a job's parts what its escrow says. */
static struct stmt *job_parts_match_escrow(struct db *db)
{
    return db_query(db,
                    "SELECT j.id, 'escrow ' || CAST(j.escrow_cents AS TEXT) || ', parts ' ||"
                    " CAST(coalesce(p.cents, 0) AS TEXT) FROM jobs j LEFT JOIN (SELECT job_id,"
                    " sum(cents) AS cents FROM job_lots GROUP BY job_id) AS p ON p.job_id = j.id"
                    " WHERE j.escrow_cents <> coalesce(p.cents, 0)");
}

/* 8: no more expires than was given. */
static struct stmt *expirations_within_grants(struct db *db)
{
    return db_query(
        db, "SELECT org_id, 'expired more than was given' FROM transfers"
            " GROUP BY org_id, environment HAVING sum(CASE kind WHEN 'expiration' THEN amount_cents"
            " ELSE 0 END) > sum(CASE WHEN kind IN ('purchase', 'bonus', 'free_tier')"
            " THEN amount_cents ELSE 0 END)"
            " UNION ALL SELECT id, 'lot out of bounds' FROM lots WHERE remaining_cents < 0"
            " OR remaining_cents > granted_cents");
}

/* 9: a submission has been told of once for every verdict. The older ones were before events. */
static struct stmt *verdicts_have_their_events(struct db *db)
{
    return db_query(
        db, "SELECT s.id, s.status || ', attempt ' || CAST(s.attempt AS TEXT) || ', scored ' ||"
            " CAST(coalesce(o.scored, 0) AS TEXT) || ', approved ' ||"
            " CAST(coalesce(o.approved, 0) AS TEXT) || ', rejected ' ||"
            " CAST(coalesce(o.rejected, 0) AS TEXT) FROM submissions s LEFT JOIN ("
            " SELECT subject_id, sum(CASE type WHEN 'submission.scored' THEN 1 ELSE 0 END)"
            " AS scored, sum(CASE type WHEN 'submission.approved' THEN 1 ELSE 0 END) AS approved,"
            " sum(CASE type WHEN 'submission.rejected' THEN 1 ELSE 0 END) AS rejected"
            " FROM occurrences GROUP BY subject_id) AS o ON o.subject_id = s.id"
            " WHERE s.created_ms >= (SELECT value FROM server_state WHERE name = 'events_since_ms')"
            " AND (coalesce(o.scored, 0) <> s.attempt -"
            " CASE s.status WHEN 'pending_score' THEN 1 ELSE 0 END"
            " OR coalesce(o.approved, 0) <> CASE s.status WHEN 'approved' THEN 1 ELSE 0 END"
            " OR coalesce(o.rejected, 0) <> coalesce(o.scored, 0) - coalesce(o.approved, 0))");
}

/* 9: and a job once for its end. */
static struct stmt *jobs_have_their_events(struct db *db)
{
    return db_query(
        db, "SELECT j.id, j.status || ', completed ' || CAST(coalesce(o.completed, 0) AS TEXT) ||"
            " ', cancelled ' || CAST(coalesce(o.cancelled, 0) AS TEXT) FROM jobs j LEFT JOIN ("
            " SELECT subject_id, sum(CASE type WHEN 'job.completed' THEN 1 ELSE 0 END)"
            " AS completed, sum(CASE type WHEN 'job.cancelled' THEN 1 ELSE 0 END) AS cancelled"
            " FROM occurrences GROUP BY subject_id) AS o ON o.subject_id = j.id"
            " WHERE j.created_ms >= (SELECT value FROM server_state WHERE name = 'events_since_ms')"
            " AND (coalesce(o.completed, 0) <> CASE j.status WHEN 'completed' THEN 1 ELSE 0 END"
            " OR coalesce(o.cancelled, 0) <> CASE j.status WHEN 'cancelled' THEN 1 ELSE 0 END)");
}

/* 9: what was bought and what expired was told of once. The older rows were before such events. */
static struct stmt *credits_have_their_events(struct db *db)
{
    return db_query(
        db, "SELECT t.id, t.kind || ', told ' || CAST(coalesce(o.told, 0) AS TEXT) || ' times'"
            " FROM transfers t LEFT JOIN (SELECT org_id, environment, subject_id,"
            " CASE type WHEN 'credits.expired' THEN 'expiration' ELSE 'purchase' END AS kind,"
            " count(*) AS told FROM occurrences WHERE type IN"
            " ('credits.purchased', 'credits.auto_topped_up', 'credits.expired')"
            " GROUP BY org_id, environment, subject_id, type) AS o ON o.org_id = t.org_id"
            " AND o.environment = t.environment AND o.subject_id = t.id AND o.kind = t.kind"
            " WHERE t.kind IN ('purchase', 'expiration') AND coalesce(o.told, 0) <> 1"
            " AND t.created_ms >="
            " (SELECT max(value) FROM server_state"
            " WHERE name IN ('events_since_ms', 'credit_events_since_ms'))");
}

/* 9: nothing is told of what is not there. */
static struct stmt *occurrences_have_their_subject(struct db *db)
{
    return db_query(db, "SELECT o.id, o.type || ' of ' || o.subject_id FROM occurrences o"
                        " LEFT JOIN submissions s ON s.id = o.subject_id"
                        " LEFT JOIN jobs j ON j.id = o.subject_id"
                        " LEFT JOIN transfers t ON t.org_id = o.org_id"
                        " AND t.environment = o.environment AND t.id = o.subject_id"
                        " WHERE (o.type LIKE 'submission.%' AND s.id IS NULL)"
                        " OR (o.type LIKE 'job.%' AND j.id IS NULL)"
                        " OR (o.type LIKE 'credits.%' AND o.type <> 'credits.low_balance'"
                        " AND t.id IS NULL)");
}

/* 9: what waits for a job's files waits for files that there are. */
static struct stmt *awaited_deliveries_are_due(struct db *db)
{
    return db_query(db, "SELECT e.id, 'awaits ' || e.awaits_job_id FROM webhook_events e"
                        " WHERE e.awaits_job_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM files"
                        " WHERE job_id = e.awaits_job_id AND delivered_ms IS NULL)");
}

static const struct check checks[] = {
    { "transfers_are_booked_right", transfers_are_booked_right },
    { "postings_sum_to_zero", postings_sum_to_zero },
    { "running_balances_chain", running_balances_chain },
    { "balances_match_transfers", balances_match_transfers },
    { "available_never_negative", available_never_negative },
    { "escrow_matches_jobs", escrow_matches_jobs },
    { "escrow_matches_transfers", escrow_matches_transfers },
    { "held_matches_escrow", held_matches_escrow },
    { "payout_and_fee_make_price", payout_and_fee_make_price },
    { "paid_exactly_when_approved", paid_exactly_when_approved },
    { "job_counters_match_rows", job_counters_match_rows },
    { "deadlines_are_kept", deadlines_are_kept },
    { "opinions_match_jobs", opinions_match_jobs },
    { "files_match_submissions", files_match_submissions },
    { "worker_balances_match_payouts", worker_balances_match_payouts },
    { "payouts_match_transfers", payouts_match_transfers },
    { "retries_hold_a_slot", retries_hold_a_slot },
    { "worlds_are_apart", worlds_are_apart },
    { "work_has_its_task", work_has_its_task },
    { "purchases_are_credited_once", purchases_are_credited_once },
    { "bought_credit_has_its_purchase", bought_credit_has_its_purchase },
    { "lots_match_balances", lots_match_balances },
    { "job_parts_match_escrow", job_parts_match_escrow },
    { "expirations_within_grants", expirations_within_grants },
    { "verdicts_have_their_events", verdicts_have_their_events },
    { "jobs_have_their_events", jobs_have_their_events },
    { "credits_have_their_events", credits_have_their_events },
    { "occurrences_have_their_subject", occurrences_have_their_subject },
    { "awaited_deliveries_are_due", awaited_deliveries_are_due },
};

void audit_breach(struct audit_report *report, const char *check, struct str subject,
                  struct str detail)
{
    report->breaches_count++;
    report->on_breach(report->context, check, subject, detail);
}

static enum err run_check(struct call *call, struct audit_report *report, const struct check *check)
{
    struct stmt *q = check->query(call->db);
    for (int i = 0; i < BREACHES_PER_CHECK_MAX && stmt_step(q); i++)
        audit_breach(report, check->name, column_text(q, 0, call->arena),
                     column_text(q, 1, call->arena));
    report->checks_count++;
    return stmt_end(q, &call->error);
}

enum err audit_store(struct call *call, struct audit_report *report)
{
    for (size_t i = 0; i < COUNT_OF(checks); i++) {
        enum err e = run_check(call, report, &checks[i]);
        if (e) return e;
    }
    return ERR_OK;
}

enum err audit_files(struct call *call, struct audit_report *report, bool with_hashes,
                     enum err (*has_bytes)(void *context, struct str blob, int64_t size_bytes,
                                           struct str sha256),
                     void *context)
{
    /* tenant: the operator's audit reads every organisation */
    struct stmt *q = db_query(call->db, "SELECT id, blob, size_bytes, sha256 FROM files"
                                        " WHERE removed_ms IS NULL");
    while (stmt_step(q)) {
        struct arena_mark mark = arena_mark(call->arena);
        struct str        sha256 = with_hashes ? column_text(q, 3, call->arena) : STR_NONE;
        struct str        blob = column_text(q, 1, call->arena);
        if (has_bytes(context, blob, column_int(q, 2), sha256))
            audit_breach(report, "files_have_their_bytes", column_text(q, 0, call->arena),
                         str_format(call->arena, "blob %.*s is missing or differs", STR_ARG(blob)));
        arena_rewind(call->arena, mark);
    }
    report->checks_count++;
    return stmt_end(q, &call->error);
}
