/* Fills a store that already has organisations with a long past: many jobs, five ledger rows each
 * on average, in minutes, such that `firsthand audit` finds nothing wrong.
 *
 *   load_store STORE JOBS          the server must not be running
 *
 * Every live organisation gets its share, job by job in turns, spread over the last sixty days. A
 * fifth of the jobs is open and holds its price, and of those the newest quarter is full: a worker
 * holds every slot. The others were cancelled after their submissions had been rejected, each of
 * which gave its price back in a row of its own: 1 deduction and 5 refunds. It is all paid from one
 * gift, made before everything else; the credit that the organisation was created with comes after
 * it in the chain of running balances. */
#include "bench_store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    ORGANISATIONS_MAX = 10000,
    PRICE_CENTS = 50,
    FILES_NEEDED = 5,
    OPEN_EVERY = 5,
    FULL_PART = 4
};

static const int64_t PAST_MS = INT64_C(60) * 86400 * 1000;
static const int64_t DAY_MS = INT64_C(86400000);
static const int64_t YEAR_MS = INT64_C(31536000000);
static const int64_t TOTAL_CENTS = PRICE_CENTS * FILES_NEEDED;

static const char description[] =
    "Photos of street signs, one sign filling most of the frame, by daylight.";

struct organisation {
    char    id[BENCH_ID_BYTES], lot_id[BENCH_ID_BYTES];
    int64_t balance_cents, held_cents;
};

struct loader {
    sqlite3             *db;
    sqlite3_stmt        *job, *transfer, *part, *reservation;
    char                 worker_id[BENCH_ID_BYTES];
    struct organisation *organisations;
    int64_t              organisations_count;
    int64_t              began_ms, now_ms;
    uint64_t             number; /* of the last id */
};

static void read_organisations(struct loader *l)
{
    sqlite3_stmt *q = bench_prepare(l->db, "SELECT id FROM organisations ORDER BY id");
    l->organisations = calloc(ORGANISATIONS_MAX, sizeof(*l->organisations));
    if (l->organisations == NULL) bench_die("memory", "none");
    while (sqlite3_step(q) == SQLITE_ROW && l->organisations_count < ORGANISATIONS_MAX)
        snprintf(l->organisations[l->organisations_count++].id, BENCH_ID_BYTES, "%s",
                 (const char *)sqlite3_column_text(q, 0));
    sqlite3_finalize(q);
    if (l->organisations_count == 0) bench_die("store", "has no organisations");
}

static void prepare(struct loader *l)
{
    l->job = bench_prepare(
        l->db, "INSERT INTO jobs (id, org_id, environment, type, description, files_needed,"
               " formats, price_cents, fee_ppm, payout_cents, metadata, min_stars, min_width,"
               " min_height, min_duration_ms, max_duration_ms, max_files_per_worker, created_ms,"
               " status, files_approved, files_pending, slots_reserved, escrow_cents, cancelled_ms)"
               " VALUES (?,?,0,'data_collection',?,?,'image/jpeg image/png',?,200000,?,"
               "'{\"batch\":\"signs-7\"}',3,0,0,0,0,0,?,?,0,0,?,?,?)");
    l->transfer = bench_prepare(
        l->db, "INSERT INTO transfers (org_id, environment, id, kind, debit, credit, amount_cents,"
               " running_balance_cents, job_id, submission_id, once, description, expires_ms,"
               " created_ms) VALUES (?,0,?,?,?,?,?,?,?,?,?,?,?,?)");
    l->part = bench_prepare(
        l->db, "INSERT INTO job_lots (job_id, lot_id, cents, expires_ms) VALUES (?,?,?,?)");
    l->reservation = bench_prepare(
        l->db, "INSERT INTO reservations (id, job_id, worker_id, submission_id, attempt, state,"
               " accepted_ms, renewed_ms, expires_ms) VALUES (?,?,?,?,1,'held',?,?,?)");
}

/* The gift that pays for everything, and its lot with what will be left of it. */
static void buy_credit(struct loader *l, struct organisation *org, int64_t cents)
{
    char          id[BENCH_ID_BYTES];
    sqlite3_stmt *lot = bench_prepare(l->db, "INSERT INTO lots (id, org_id, environment,"
                                             " granted_cents, remaining_cents, expires_ms)"
                                             " VALUES (?,?,0,?,?,?)");
    bench_id(id, "crtx_", l->began_ms, ++l->number);
    bench_id(org->lot_id, "lot_", l->began_ms, l->number);
    org->balance_cents = cents;
    bench_run(l->transfer, "tttttiinnntii", org->id, id, "bonus", "promotions", "available", cents,
              cents, "Credits given", l->began_ms + YEAR_MS, l->began_ms);
    bench_run(lot, "ttiii", org->lot_id, org->id, cents, cents, l->began_ms + YEAR_MS);
    sqlite3_finalize(lot);
}

static void hold(struct loader *l, struct organisation *org, const char *job_id)
{
    char id[BENCH_ID_BYTES], once[64];
    bench_id(id, "crtx_", l->now_ms, ++l->number);
    snprintf(once, sizeof(once), "escrow:%s", job_id);
    org->balance_cents -= TOTAL_CENTS;
    bench_run(l->transfer, "tttttiitnttni", org->id, id, "deduction", "available", "escrow",
              TOTAL_CENTS, org->balance_cents, job_id, once, "Job posted", l->now_ms);
}

static void give_back(struct loader *l, struct organisation *org, const char *job_id)
{
    char          id[BENCH_ID_BYTES], submission_id[BENCH_ID_BYTES], once[64];
    const int64_t price_cents = PRICE_CENTS;
    bench_id(id, "crtx_", l->now_ms, ++l->number);
    bench_id(submission_id, "sub_", l->now_ms, l->number);
    snprintf(once, sizeof(once), "refund:%s", submission_id);
    org->balance_cents += price_cents;
    bench_run(l->transfer,
              "tttttiitttt"
              "ni",
              org->id, id, "refund", "escrow", "available", price_cents, org->balance_cents, job_id,
              submission_id, once, "Submission rejected", l->now_ms);
}

/* Who holds the slots of the full jobs. */
static void add_worker(struct loader *l)
{
    sqlite3_stmt *worker = bench_prepare(l->db, "INSERT INTO workers (id, name, email,"
                                                " balance_cents, created_ms)"
                                                " VALUES (?,'Many','many@example.com',0,?)");
    bench_id(l->worker_id, "wkr_", l->began_ms, ++l->number);
    bench_run(worker, "ti", l->worker_id, l->began_ms);
    sqlite3_finalize(worker);
}

static void reserve(struct loader *l, const char *job_id)
{
    char id[BENCH_ID_BYTES], submission_id[BENCH_ID_BYTES];
    bench_id(id, "rsv_", l->now_ms, ++l->number);
    bench_id(submission_id, "sub_", l->now_ms, l->number);
    bench_run(l->reservation, "ttttiii", id, job_id, l->worker_id, submission_id, l->now_ms,
              l->now_ms, bench_now_ms() + DAY_MS);
}

static void add_job(struct loader *l, struct organisation *org, bool is_open, bool is_full)
{
    char          job_id[BENCH_ID_BYTES];
    const int64_t held_cents = is_open ? TOTAL_CENTS : 0;
    bench_id(job_id, "job_", l->now_ms, ++l->number);
    bench_run(l->job, is_open ? "tttiiiitiin" : "tttiiiitiii", job_id, org->id, description,
              (int64_t)FILES_NEEDED, (int64_t)PRICE_CENTS, (int64_t)(PRICE_CENTS * 8 / 10),
              l->now_ms, is_open ? "open" : "cancelled", (int64_t)(is_full ? FILES_NEEDED : 0),
              held_cents, l->now_ms);
    bench_run(l->part, "ttii", job_id, org->lot_id, held_cents, l->began_ms + YEAR_MS);
    hold(l, org, job_id);
    for (int i = 0; i < FILES_NEEDED && !is_open; i++)
        give_back(l, org, job_id);
    for (int i = 0; i < FILES_NEEDED && is_full; i++)
        reserve(l, job_id);
    org->held_cents += held_cents;
}

/* What came before the loaded rows in time comes after them in the chain. */
static void settle(struct loader *l, struct organisation *org)
{
    sqlite3_stmt *chain = bench_prepare(
        l->db, "UPDATE transfers SET running_balance_cents = running_balance_cents + ?"
               " WHERE org_id = ? AND environment = 0 AND id > ?"
               " AND running_balance_cents IS NOT NULL");
    sqlite3_stmt *balance = bench_prepare(
        l->db, "UPDATE balances SET balance_cents = balance_cents + ?, held_cents = held_cents + ?"
               " WHERE org_id = ? AND environment = 0");
    sqlite3_stmt *lot = bench_prepare(l->db, "UPDATE lots SET remaining_cents = ? WHERE id = ?");
    char          last_id[BENCH_ID_BYTES];
    bench_id(last_id, "crtx_", l->now_ms, l->number);
    bench_run(chain, "itt", org->balance_cents, org->id, last_id);
    bench_run(balance, "iit", org->balance_cents, org->held_cents, org->id);
    bench_run(lot, "it", org->balance_cents, org->lot_id);
    sqlite3_finalize(chain);
    sqlite3_finalize(balance);
    sqlite3_finalize(lot);
}

/* The events of the loaded past are those of a server that keeps them no longer. */
static void forget_events(struct loader *l, int64_t end_ms)
{
    sqlite3_stmt *since =
        bench_prepare(l->db, "UPDATE server_state SET value = ? WHERE name = 'events_since_ms'");
    bench_run(since, "i", end_ms);
    sqlite3_finalize(since);
}

/* The loaded past must end before the organisations begin. */
static int64_t first_organisation_ms(sqlite3 *db)
{
    sqlite3_stmt *q = bench_prepare(db, "SELECT min(created_ms) FROM organisations");
    sqlite3_step(q);
    int64_t first_ms = sqlite3_column_int64(q, 0);
    sqlite3_finalize(q);
    return first_ms;
}

int main(int argc, char **argv)
{
    if (argc != 3) bench_die("usage", "load_store STORE JOBS");
    const int64_t jobs = strtoll(argv[2], NULL, 10);
    struct loader l = { .db = bench_open(argv[1]) };
    /* Not durable, but quick: a load that was cut off is thrown away. */
    bench_exec(l.db, "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;"
                     " PRAGMA cache_size = -2000000; PRAGMA locking_mode = EXCLUSIVE;"
                     " PRAGMA foreign_keys = OFF;");
    read_organisations(&l);
    prepare(&l);
    int64_t end_ms = first_organisation_ms(l.db) - 1000;
    l.began_ms = l.now_ms = end_ms - PAST_MS;

    bench_exec(l.db, "BEGIN EXCLUSIVE");
    add_worker(&l);
    int64_t each = jobs / l.organisations_count + 1;
    for (int64_t i = 0; i < l.organisations_count; i++)
        buy_credit(&l, &l.organisations[i], each * TOTAL_CENTS);
    for (int64_t i = 0; i < jobs; i++) {
        l.now_ms = l.began_ms + 1 + PAST_MS / jobs * i;
        int64_t turn = i / l.organisations_count;
        bool    is_open = turn % OPEN_EVERY == 0;
        bool    is_full = is_open && i >= jobs - jobs / FULL_PART;
        add_job(&l, &l.organisations[i % l.organisations_count], is_open, is_full);
    }
    for (int64_t i = 0; i < l.organisations_count; i++)
        settle(&l, &l.organisations[i]);
    forget_events(&l, end_ms);
    bench_exec(l.db, "COMMIT");
    bench_exec(l.db, "PRAGMA locking_mode = NORMAL; PRAGMA journal_mode = WAL;");
    sqlite3_close_v2(l.db);
    free(l.organisations);
    return 0;
}
