/* The limit POST /v1/jobs is compared with: the rows that createJob writes for a request with an
 * Idempotency-Key, into the same tables and indexes, by one thread and with nothing around it.
 *
 *   raw_insert STORE SCHEMA ORGANISATIONS SECONDS     prints: jobs seconds cpu_seconds
 *
 * The store is made from SCHEMA when it is not there. Ten jobs a commit, WAL, synchronous=FULL, one
 * RESTART checkpoint above 64 MiB of log, as the server's writer does it. */
#include "bench_store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    JOBS_PER_COMMIT = 10,
    ORGANISATIONS_MAX = 1000,
    PRICE_CENTS = 50,
    FILES_NEEDED = 10,
    WAL_PAGES_MAX = (64 << 20) / 4096,
};
static const int64_t GRANT_CENTS = INT64_C(1000000000000);

static const char metadata[] = "{\"batch\":\"signs-7\"}";
static const char description[] =
    "Photos of street signs, one sign filling most of the frame, by daylight.";

struct organisation {
    char    id[BENCH_ID_BYTES], lot_id[BENCH_ID_BYTES], key_id[BENCH_ID_BYTES];
    int64_t balance_cents, held_cents;
};

struct writer {
    sqlite3      *db;
    sqlite3_stmt *job, *balance, *transfer, *lot, *part, *idempotency, *audit;
    uint64_t      number; /* of the last id */
    int64_t       now_ms;
    int64_t       lot_expires_ms;
};

static struct organisation organisations[ORGANISATIONS_MAX];
static int                 wal_pages;

static int on_commit(void *argument, sqlite3 *db, const char *schema, int pages)
{
    (void)argument;
    (void)db;
    (void)schema;
    wal_pages = pages;
    return SQLITE_OK;
}

static void prepare(struct writer *w)
{
    w->job = bench_prepare(
        w->db, "INSERT INTO jobs (id, org_id, environment, type, description, files_needed,"
               " formats, price_cents, fee_ppm, payout_cents, metadata, title, scoring_criteria,"
               " worker_guidelines, min_stars, min_width, min_height, min_duration_ms,"
               " max_duration_ms, max_files_per_worker, created_ms, status, files_approved,"
               " files_pending, slots_reserved, escrow_cents, completed_ms, cancelled_ms)"
               " VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)");
    w->balance = bench_prepare(w->db, "UPDATE balances SET balance_cents = ?, held_cents = ?,"
                                      " updated_ms = ?, last_transfer_id = ?"
                                      " WHERE org_id = ? AND environment = 0");
    w->transfer = bench_prepare(
        w->db, "INSERT INTO transfers (org_id, environment, id, kind, debit, credit, amount_cents,"
               " running_balance_cents, job_id, submission_id, worker_id, once, description,"
               " expires_ms, created_ms) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)");
    w->lot =
        bench_prepare(w->db, "UPDATE lots SET remaining_cents = remaining_cents + ? WHERE id = ?");
    w->part = bench_prepare(
        w->db, "INSERT INTO job_lots (job_id, lot_id, cents, expires_ms) VALUES (?,?,?,?)");
    w->idempotency = bench_prepare(
        w->db, "INSERT INTO idempotency (owner_id, environment, operation, key, fingerprint,"
               " asker_id, status, resource_id, response, is_sealed, created_ms)"
               " VALUES (?,?,?,?,?,?,?,?,?,?,?)");
    w->audit = bench_prepare(
        w->db, "INSERT INTO audit_events (id, org_id, environment, action, object_id, actor,"
               " source, request_id) VALUES (?,?,?,?,?,?,?,?)");
}

static void make_organisation(struct writer *w, struct organisation *org)
{
    sqlite3_stmt *row = bench_prepare(
        w->db, "INSERT INTO organisations (id, name, email, created_ms) VALUES (?,?,?,?)");
    bench_id(org->id, "org_", w->now_ms, ++w->number);
    bench_id(org->lot_id, "lot_", w->now_ms, w->number);
    bench_id(org->key_id, "key_", w->now_ms, w->number);
    org->balance_cents = GRANT_CENTS;
    bench_run(row, "ttti", org->id, "Bench", org->id, w->now_ms);
    sqlite3_finalize(row);
    row = bench_prepare(w->db, "INSERT INTO balances (org_id, environment, balance_cents,"
                               " held_cents, last_transfer_id, updated_ms) VALUES (?,0,?,0,'',?)");
    bench_run(row, "tii", org->id, GRANT_CENTS, w->now_ms);
    sqlite3_finalize(row);
    row = bench_prepare(w->db, "INSERT INTO lots (id, org_id, environment, granted_cents,"
                               " remaining_cents, expires_ms) VALUES (?,?,0,?,?,?)");
    bench_run(row, "ttiii", org->lot_id, org->id, GRANT_CENTS, GRANT_CENTS, w->lot_expires_ms);
    sqlite3_finalize(row);
}

static void make_store(struct writer *w, const char *schema, long count)
{
    bench_exec_file(w->db, schema);
    bench_exec(w->db, "BEGIN IMMEDIATE");
    for (int i = 0; i < count; i++)
        make_organisation(w, &organisations[i]);
    bench_exec(w->db, "COMMIT");
}

static void random_bytes(uint64_t words[4])
{
    static uint64_t state = UINT64_C(0x9e3779b97f4a7c15);
    for (int i = 0; i < 4; i++) { /* xorshift64* */
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        words[i] = state * UINT64_C(0x2545f4914f6cdd1d);
    }
}

static void insert_job(struct writer *w, struct organisation *org)
{
    const int64_t price = PRICE_CENTS, total = PRICE_CENTS * FILES_NEEDED;
    const int64_t zero = 0, three = 3, created = 201;
    char          job_id[BENCH_ID_BYTES], transfer_id[BENCH_ID_BYTES], once[64], key[40];
    char          audit_id[BENCH_ID_BYTES], request_id[BENCH_ID_BYTES];
    uint64_t      random[4];
    bench_id(job_id, "job_", w->now_ms, ++w->number);
    bench_id(transfer_id, "crtx_", w->now_ms, w->number);
    bench_id(audit_id, "aud_", w->now_ms, w->number);
    bench_id(request_id, "req_", w->now_ms, w->number);
    snprintf(once, sizeof(once), "escrow:%s", job_id);
    random_bytes(random);
    snprintf(key, sizeof(key), "%016llx%016llx", (unsigned long long)random[0],
             (unsigned long long)random[1]);
    org->balance_cents -= total;
    org->held_cents += total;
    bench_run(w->job,
              "ttit"
              "titi"
              "iitn"
              "nnii"
              "iiii"
              "itii"
              "iinn",
              job_id, org->id, zero, "data_collection", description, (int64_t)FILES_NEEDED,
              "image/jpeg image/png", price, (int64_t)200000, (int64_t)40, metadata, three, zero,
              zero, zero, zero, zero, w->now_ms, "open", zero, zero, zero, total);
    bench_run(w->balance, "iiitt", org->balance_cents, org->held_cents, w->now_ms, transfer_id,
              org->id);
    bench_run(w->transfer,
              "titt"
              "ttii"
              "tnnt"
              "tni",
              org->id, zero, transfer_id, "deduction", "available", "escrow", total,
              org->balance_cents, job_id, once, "Job posted", w->now_ms);
    bench_run(w->lot, "it", -total, org->lot_id);
    bench_run(w->part, "ttii", job_id, org->lot_id, total, w->lot_expires_ms);
    bench_run(w->idempotency,
              "titt"
              "btit"
              "nii",
              org->id, zero, "createJob", key, (const void *)random, org->key_id, created, job_id,
              zero, w->now_ms);
    bench_run(w->audit, "ttittttt", audit_id, org->id, zero, "job.created", job_id, org->key_id,
              "127.0.0.1", request_id);
}

int main(int argc, char **argv)
{
    if (argc != 5) bench_die("usage", "raw_insert STORE SCHEMA ORGANISATIONS SECONDS");
    long          count = strtol(argv[3], NULL, 10);
    double        seconds_max = strtod(argv[4], NULL);
    struct writer w = { .now_ms = bench_now_ms() };
    if (count < 1 || count > ORGANISATIONS_MAX) bench_die("usage", "1 to 1000 organisations");
    if (access(argv[1], F_OK) == 0) bench_die(argv[1], "is there already");
    w.db = bench_open(argv[1]);
    w.lot_expires_ms = w.now_ms + INT64_C(31536000000);
    make_store(&w, argv[2], count);
    prepare(&w);
    sqlite3_wal_hook(w.db, on_commit, NULL);

    int64_t jobs = 0;
    double  began = bench_seconds(), cpu_began = bench_cpu_seconds();
    while (bench_seconds() - began < seconds_max) {
        w.now_ms = bench_now_ms();
        bench_exec(w.db, "BEGIN IMMEDIATE");
        for (int i = 0; i < JOBS_PER_COMMIT; i++, jobs++)
            insert_job(&w, &organisations[jobs % count]);
        bench_exec(w.db, "COMMIT");
        if (wal_pages <= WAL_PAGES_MAX) continue;
        sqlite3_wal_checkpoint_v2(w.db, NULL, SQLITE_CHECKPOINT_RESTART, NULL, NULL);
        wal_pages = 0;
    }
    printf("%lld %.3f %.3f\n", (long long)jobs, bench_seconds() - began,
           bench_cpu_seconds() - cpu_began);
    return 0;
}
