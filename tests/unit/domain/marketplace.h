/* A small market for the tests of the rules: a migrated store in a directory of its own, a keyring,
 * the default settings, one call with a clock that the test sets, and a buyer. Each step is a
 * transaction as the writer would run it: kept when it succeeds, undone when it is refused.
 *
 * At the end of every test the audit must pass, unless the test broke the store on purpose. The
 * including test has cmocka.h and what it needs included before. */
#ifndef FIRSTHAND_TESTS_MARKETPLACE_H
#define FIRSTHAND_TESTS_MARKETPLACE_H

#include "../platform/scratch_store.h"

#include "base/time_text.h"
#include "domain/audit.h"
#include "domain/credits.h"
#include "domain/delivered_file.h"
#include "domain/organisation.h"
#include "domain/submission.h"
#include "domain/worker.h"
#include "platform/db_migrate.h"

#include <string.h>

static const int64_t MARKET_START_MS = 1800000000000;

enum { MARKET_CREDITS_CENTS = 100000, MARKET_BREACHES_BYTES_MAX = 4096 };

struct market {
    struct scratch       *scratch;
    struct db            *db;
    struct arena          arena;
    struct config         config;
    const struct keyring *keyring;
    struct call           call;
    struct actor          actor;
    int64_t               now_ms;
    struct id             org_id;
    int                   serial;    /* makes addresses and bytes that nobody used before */
    bool                  is_broken; /* on purpose: no audit at the end */
    char breaches[MARKET_BREACHES_BYTES_MAX]; /* of the last audit: " name name " */
    char details[MARKET_BREACHES_BYTES_MAX];
};

/* --- one step --- */

static inline int64_t market_changes(struct market *market)
{
    return scratch_int(market->db, "SELECT total_changes()");
}

static inline void market_begin(struct market *market)
{
    struct error error = { 0 };
    call_begin(&market->call, market->db, market->now_ms, &market->actor);
    if (db_begin(market->db, &error)) fail_msg("%s: %s", error.slug, error.detail);
}

static inline void market_done(struct market *market, enum err e, const char *what,
                               const char *file, int line)
{
    const struct error *error = &market->call.error;
    if (e) {
        print_error("%s: %s: %s\n", what, error->slug, error->detail);
        _fail(file, line);
    }
    _assert_int_equal((uintmax_t)db_open_statements(market->db), 0, file, line);
    if (db_commit(market->db, &market->call.error)) _fail(file, line);
}

static inline void market_refused(struct market *market, enum err e, enum err code,
                                  const char *slug, const char *file, int line)
{
    const struct error *error = &market->call.error;
    if (e != code || error->code != code || error->slug == NULL || strcmp(error->slug, slug) != 0) {
        print_error("expected %s \"%s\", got %s \"%s\": %s\n", err_name(code), slug, err_name(e),
                    e ? error->slug : "", e ? error->detail : "");
        _fail(file, line);
    }
    _assert_int_equal((uintmax_t)db_open_statements(market->db), 0, file, line);
    db_rollback(market->db);
}

/* The step succeeds and is committed. */
#define DONE(market, step)                                                                         \
    do {                                                                                           \
        market_begin(market);                                                                      \
        market_done((market), (step), #step, __FILE__, __LINE__);                                  \
    } while (0)

/* The step is refused, and undone. */
#define REFUSED(market, step, code, slug)                                                          \
    do {                                                                                           \
        market_begin(market);                                                                      \
        market_refused((market), (step), (code), (slug), __FILE__, __LINE__);                      \
    } while (0)

/* The step is refused before it wrote anything, so that there is nothing to undo. */
#define REFUSED_UNWRITTEN(market, step, code, slug)                                                \
    do {                                                                                           \
        int64_t changes_before = market_changes(market);                                           \
        market_begin(market);                                                                      \
        enum err refusal = (step);                                                                 \
        assert_int_equal(market_changes(market), changes_before);                                  \
        market_refused((market), refusal, (code), (slug), __FILE__, __LINE__);                     \
    } while (0)

static inline int64_t market_int(struct market *market, const char *sql)
{
    return scratch_int(market->db, sql);
}

/* The first column of a query of one row with an id for $1. */
static inline int64_t market_int_of(struct market *market, const char *sql, const struct id *id)
{
    struct error error = { 0 };
    struct stmt *q = db_query(market->db, sql);
    bind_id(q, 1, id);
    int64_t value = stmt_step(q) ? column_int(q, 0) : -1;
    if (stmt_end(q, &error)) fail_msg("%s: %s", error.slug, error.detail);
    return value;
}

/* --- the audit --- */

static inline void market_note_breach(void *context, const char *check, struct str subject,
                                      struct str detail)
{
    struct market *market = context;
    size_t         used = strlen(market->breaches), told = strlen(market->details);
    snprintf(market->breaches + used, sizeof(market->breaches) - used, "%s ", check);
    snprintf(market->details + told, sizeof(market->details) - told, "%s: %.*s: %.*s\n", check,
             STR_ARG(subject), STR_ARG(detail));
}

static inline int market_audit(struct market *market)
{
    struct audit_report report = { .on_breach = market_note_breach, .context = market };
    snprintf(market->breaches, sizeof(market->breaches), " ");
    market->details[0] = '\0';
    DONE(market, audit_store(&market->call, &report));
    return report.breaches_count;
}

static inline void market_is_sound(struct market *market)
{
    if (market_audit(market) > 0) fail_msg("the audit found:\n%s", market->details);
}

/* --- who asks --- */

static inline void market_as_buyer(struct market *market)
{
    market->actor = (struct actor){ .kind = ACTOR_API_KEY,
                                    .org_id = market->org_id,
                                    .environment = ENVIRONMENT_LIVE,
                                    .scopes = SCOPES_ALL };
}

static inline void market_as_worker(struct market *market, const struct id *worker_id)
{
    market->actor = (struct actor){ .kind = ACTOR_WORKER, .worker_id = *worker_id };
}

static inline void market_as_runner(struct market *market)
{
    market->actor = (struct actor){ .kind = ACTOR_RUNNER };
}

static inline struct str market_email(struct market *market)
{
    return str_format(&market->arena, "someone%d@example.org", ++market->serial);
}

static inline struct id market_organisation(struct market *market, int64_t credits_cents)
{
    struct id id;
    DONE(market, organisation_create(&market->call, STR("Buyer"), market_email(market),
                                     credits_cents, &id));
    return id;
}

static inline struct id market_worker(struct market *market)
{
    struct id id;
    DONE(market, worker_create(&market->call, STR("Worker"), market_email(market), STR_NONE, &id));
    return id;
}

/* --- money --- */

static inline struct balance market_balance(struct market *market)
{
    struct balance balance;
    DONE(market, ledger_balance(&market->call, &market->org_id, ENVIRONMENT_LIVE, &balance));
    return balance;
}

static inline void market_grant(struct market *market, int64_t cents)
{
    DONE(market, credits_grant(&market->call, &market->org_id, ENVIRONMENT_LIVE, TRANSFER_BONUS,
                               cents, STR_NONE, STR("Gift")));
}

/* A store without the first credit: an organisation that starts at nothing. */
static inline void market_start_at(struct market *market, int64_t credits_cents)
{
    market->org_id = market_organisation(market, credits_cents);
    market_as_buyer(market);
}

/* --- jobs --- */

static inline struct job market_job_asked(int64_t files_needed, int64_t price_cents)
{
    return (struct job){
        .type = JOB_DATA_COLLECTION,
        .description = STR("Street signs"),
        .files_needed = files_needed,
        .formats_text = STR("image/jpeg image/png"),
        .formats = BIT(MEDIA_JPEG) | BIT(MEDIA_PNG),
        .price_cents = price_cents,
        .metadata = STR("{}"),
        .min_stars = JOB_STARS_MIN_DEFAULT,
    };
}

static inline struct job market_job(struct market *market, int64_t files_needed,
                                    int64_t price_cents)
{
    struct job job = market_job_asked(files_needed, price_cents);
    market_as_buyer(market);
    DONE(market, job_create(&market->call, &job));
    return job;
}

static inline struct job market_job_now(struct market *market, const struct id *job_id)
{
    struct job job;
    DONE(market, job_get_any(&market->call, job_id, &job));
    return job;
}

static inline struct job market_cancel(struct market *market, const struct id *job_id)
{
    struct job job;
    market_as_buyer(market);
    DONE(market, job_cancel(&market->call, id_str(job_id), &job));
    return job;
}

/* --- files --- */

static inline struct reservation market_accept(struct market *market, const struct id *worker_id,
                                               const struct id *job_id)
{
    struct reservation reservation;
    bool               is_new;
    market_as_worker(market, worker_id);
    DONE(market, reservation_accept(&market->call, id_str(job_id), &(struct whereabouts){ 0 },
                                    &reservation, &is_new));
    return reservation;
}

/* As it is now; acts as its worker from here on. */
static inline struct reservation market_reservation_now(struct market            *market,
                                                        const struct reservation *old)
{
    struct reservation reservation;
    market_as_worker(market, &old->worker_id);
    DONE(market, reservation_get(&market->call, id_str(&old->id), &reservation));
    return reservation;
}

static inline struct received market_bytes_numbered(struct market *market, int number)
{
    return (struct received){
        .sha256 = str_format(&market->arena, "%064x", (unsigned)number),
        .size_bytes = 1000 + number,
        .media_type = MEDIA_JPEG,
        .filename = STR("sign.jpg"),
    };
}

/* Bytes that no job has seen. */
static inline struct received market_bytes(struct market *market)
{
    return market_bytes_numbered(market, ++market->serial);
}

/* For DONE and REFUSED: the reservation as it was, and what becomes of it does not matter. */
static inline enum err market_try_receive(struct market            *market,
                                          const struct reservation *reservation,
                                          const struct received    *received)
{
    struct submission submission;
    bool              is_new;
    return submission_receive(&market->call, reservation, received, &submission, &is_new);
}

static inline struct submission market_receive(struct market            *market,
                                               const struct reservation *reservation,
                                               const struct received    *received)
{
    struct submission  submission;
    bool               is_new;
    struct reservation now = market_reservation_now(market, reservation);
    DONE(market, submission_receive(&market->call, &now, received, &submission, &is_new));
    return submission;
}

/* Accept and upload new bytes. */
static inline struct submission market_submit(struct market *market, const struct id *worker_id,
                                              const struct id *job_id)
{
    struct reservation reservation = market_accept(market, worker_id, job_id);
    struct received    received = market_bytes(market);
    return market_receive(market, &reservation, &received);
}

static inline struct submission market_submission_now(struct market   *market,
                                                      const struct id *submission_id)
{
    struct submission submission;
    DONE(market, submission_get_any(&market->call, submission_id, &submission));
    return submission;
}

/* The waiting task of a subject, as the runner that claimed it last would hold it. */
static inline struct task market_task(struct market *market, enum task_kind kind,
                                      const struct id *subject_id)
{
    struct error error = { 0 };
    struct task  task = { .kind = kind, .subject_id = *subject_id };
    struct stmt *q = db_query(market->db, "SELECT id, claims_count, failures_count, run_ms"
                                          " FROM tasks WHERE kind = $1 AND subject_id = $2");
    bind_text(q, 1, str_of(task_kind_name(kind)));
    bind_id(q, 2, subject_id);
    if (stmt_step(q)) {
        task.id = column_id(q, 0);
        task.claims_count = column_int(q, 1);
        task.failures_count = column_int(q, 2);
        task.run_ms = column_int(q, 3);
    }
    if (stmt_end(q, &error)) fail_msg("%s: %s", error.slug, error.detail);
    return task;
}

static inline struct verdict market_verdict(const struct submission *submission, int stars,
                                            enum score_gate gate)
{
    struct verdict verdict = {
        .submission_id = submission->id,
        .attempt = submission->attempt,
        .sha256 = submission->sha256,
        .score = { .stars = stars, .gate = gate },
        .record = STR("{}"),
    };
    snprintf(verdict.score.reasoning, sizeof(verdict.score.reasoning), "%d stars.", stars);
    return verdict;
}

static inline struct submission market_judge_gated(struct market           *market,
                                                   const struct submission *submission, int stars,
                                                   enum score_gate gate)
{
    struct task    task = market_task(market, TASK_SCORE, &submission->id);
    struct verdict verdict = market_verdict(submission, stars, gate);
    market_as_runner(market);
    DONE(market, submission_judge(&market->call, &task, &verdict));
    return market_submission_now(market, &submission->id);
}

static inline struct submission market_judge(struct market           *market,
                                             const struct submission *submission, int stars)
{
    return market_judge_gated(market, submission, stars, GATE_NONE);
}

static inline struct reservation market_retry(struct market           *market,
                                              const struct submission *submission)
{
    struct reservation reservation;
    market_as_worker(market, &submission->worker_id);
    DONE(market, submission_retry(&market->call, id_str(&submission->id),
                                  &(struct whereabouts){ 0 }, &reservation));
    return reservation;
}

/* --- begin and end --- */

static inline char *market_no_environment(const char *name)
{
    (void)name;
    return NULL;
}

static inline struct market *market_open(void)
{
    struct market *market = calloc(1, sizeof(*market));
    struct error   error = { 0 };
    struct flags   flags = { 0 };
    assert_non_null(market);
    market->now_ms = MARKET_START_MS;
    market->scratch = scratch_make();
    market->db = scratch_open(market->scratch, DB_WRITE);
    /* Nothing here has to survive a power cut. */
    scratch_script(market->db, "PRAGMA synchronous = OFF");
    arena_init(&market->arena, 64 << 20);
    market->call.arena = &market->arena;
    market->call.config = &market->config;
    const char *key_path =
        str_c(&market->arena, str_format(&market->arena, "%s/server.key", market->scratch->dir));
    if (config_load(&flags, market_no_environment, &market->arena, &error, &market->config) ||
        keyring_open(key_path, true, &market->arena, &error, &market->keyring) ||
        db_migrate(market->db, market->now_ms, &error, NULL))
        fail_msg("%s: %s", error.slug, error.detail);
    market->config.public_url = STR("http://127.0.0.1:3000");
    market->call.keyring = market->keyring;
    market_start_at(market, MARKET_CREDITS_CENTS);
    return market;
}

static inline void market_close(struct market *market)
{
    db_close(market->db);
    arena_deinit(&market->arena);
    scratch_remove(market->scratch);
    free(market);
}

static inline int market_setup(void **state)
{
    *state = market_open();
    return 0;
}

static inline int market_teardown(void **state)
{
    struct market *market = *state;
    /* A test that failed in the middle of a statement leaves nothing to audit. */
    bool is_left_open = db_open_statements(market->db) > 0;
    if (!is_left_open) db_rollback(market->db);
    bool is_sound = market->is_broken || is_left_open || market_audit(market) == 0;
    if (!is_sound) print_error("the audit found:\n%s", market->details);
    market_close(market);
    return is_sound ? 0 : -1;
}

#define market_test(name) cmocka_unit_test_setup_teardown(name, market_setup, market_teardown)

#endif
