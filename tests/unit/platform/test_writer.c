#include "platform/writer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "scratch_store.h"

/* --- a store with a writer --- */

struct fixture {
    struct scratch *scratch;
    struct db      *db; /* the writer's own; touched by the test only before the first job */
    struct db      *reader;
    struct writer  *writer;
};

static int fixture_setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    fixture->scratch = scratch_make();
    fixture->db = scratch_open(fixture->scratch, DB_WRITE);
    scratch_script(fixture->db, "CREATE TABLE rows (id INTEGER PRIMARY KEY, bytes BLOB)");
    fixture->reader = scratch_open(fixture->scratch, DB_READ);
    fixture->writer = writer_start(fixture->db, scratch_open(fixture->scratch, DB_WRITE));
    *state = fixture;
    return 0;
}

static int fixture_teardown(void **state)
{
    struct fixture *fixture = *state;
    db_close(fixture->reader);
    if (fixture->writer) writer_stop(fixture->writer);
    scratch_remove(fixture->scratch);
    free(fixture);
    return 0;
}

#define writer_test(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

static int64_t rows_count(struct fixture *fixture)
{
    return scratch_int(fixture->reader, "SELECT count(*) FROM rows");
}

static int64_t rows_sum(struct fixture *fixture)
{
    return scratch_int(fixture->reader, "SELECT coalesce(sum(id), 0) FROM rows");
}

static struct writer_stats stats_of(struct fixture *fixture)
{
    struct writer_stats stats;
    writer_read_stats(fixture->writer, &stats);
    return stats;
}

/* --- a flag to wait for --- */

struct flag {
    pthread_mutex_t lock;
    pthread_cond_t  raised;
    int             count;
};

#define FLAG_DOWN                                                                                  \
    {                                                                                              \
        PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0                                     \
    }

static void flag_raise(struct flag *flag)
{
    pthread_mutex_lock(&flag->lock);
    flag->count++;
    pthread_cond_broadcast(&flag->raised);
    pthread_mutex_unlock(&flag->lock);
}

static void flag_wait(struct flag *flag, int count)
{
    pthread_mutex_lock(&flag->lock);
    while (flag->count < count)
        pthread_cond_wait(&flag->raised, &flag->lock);
    pthread_mutex_unlock(&flag->lock);
}

/* --- jobs --- */

enum deed {
    DEED_INSERT,
    DEED_INSERT_THEN_REFUSE,  /* and be refused by a rule */
    DEED_INSERT_LARGE,        /* more than a full store takes */
    DEED_OVERLOOK_FULL_STORE, /* the same, then go on as if nothing had happened */
    DEED_BREAK_LATER,         /* a deferred reference that nothing will satisfy */
    DEED_WAIT,                /* until the test lets it */
};

struct deed_job {
    struct write_job job;
    enum deed        deed;
    int64_t          id;
    int64_t          bytes;
    int              runs; /* the writer's until done */
    int              order;
    int             *done_count;
    enum err         result;
    char             slug[40];
    struct flag     *entered, *may_go_on; /* of DEED_WAIT */
    struct flag     *done;
};

static enum err insert_row(struct db *db, int64_t id, int64_t bytes, struct error *error)
{
    struct stmt *q = db_query(db, "INSERT INTO rows (id, bytes) VALUES ($1, zeroblob($2))");
    bind_int(q, 1, id);
    bind_int(q, 2, bytes);
    return stmt_run(q, error, NULL);
}

static enum err deed_run(void *argument, struct db *db, struct error *error)
{
    struct deed_job *deed = argument;
    deed->runs++;
    struct error overlooked;
    switch (deed->deed) {
    case DEED_WAIT:
        flag_raise(deed->entered);
        flag_wait(deed->may_go_on, 1);
        return ERR_OK;
    case DEED_INSERT:
    case DEED_INSERT_LARGE: return insert_row(db, deed->id, deed->bytes, error);
    case DEED_INSERT_THEN_REFUSE: {
        enum err e = insert_row(db, deed->id, 0, error);
        return e ? e : FAIL(error, ERR_CONFLICT, "by_rule", "no");
    }
    case DEED_OVERLOOK_FULL_STORE:
        for (int i = 0; i < 2; i++)
            if (insert_row(db, deed->id + i, i == 0 ? 100000 : 0, &overlooked)) continue;
        return ERR_OK;
    case DEED_BREAK_LATER:
        return stmt_run(db_query(db, "INSERT INTO children (id, row_id) VALUES (1, 999999)"), error,
                        NULL);
    }
    return FAIL(error, ERR_INTERNAL, "unknown_deed", "%d", (int)deed->deed);
}

static void deed_done(void *argument, enum err e, const struct error *error)
{
    struct deed_job *deed = argument;
    deed->result = e;
    if (error->slug) snprintf(deed->slug, sizeof(deed->slug), "%s", error->slug);
    if (deed->done_count) deed->order = (*deed->done_count)++;
    flag_raise(deed->done);
}

static void submit(struct fixture *fixture, struct deed_job *deed)
{
    struct error error = { 0 };
    deed->job = (struct write_job){ .run = deed_run, .done = deed_done, .argument = deed };
    if (writer_submit(fixture->writer, &deed->job, &error))
        fail_msg("%s: %s", error.slug, error.detail);
}

/* Holds the writer up while the test queues what shall run as one batch. */
struct gate {
    struct deed_job deed;
    struct flag     entered, may_go_on, done;
};

static void gate_close(struct fixture *fixture, struct gate *gate)
{
    *gate = (struct gate){ .entered = FLAG_DOWN, .may_go_on = FLAG_DOWN, .done = FLAG_DOWN };
    gate->deed = (struct deed_job){ .deed = DEED_WAIT,
                                    .entered = &gate->entered,
                                    .may_go_on = &gate->may_go_on,
                                    .done = &gate->done };
    submit(fixture, &gate->deed);
    flag_wait(&gate->entered, 1);
}

static void gate_open(struct gate *gate)
{
    flag_raise(&gate->may_go_on);
    flag_wait(&gate->done, 1);
}

/* All in one batch, one after another. */
static void run_as_batch(struct fixture *fixture, struct deed_job *deeds, int count)
{
    struct flag done = FLAG_DOWN;
    struct gate gate;
    int         done_count = 0;
    gate_close(fixture, &gate);
    for (int i = 0; i < count; i++) {
        deeds[i].done = &done;
        deeds[i].done_count = &done_count;
        submit(fixture, &deeds[i]);
    }
    gate_open(&gate);
    flag_wait(&done, count);
}

static enum err insert_one(void *argument, struct db *db, struct error *error)
{
    return insert_row(db, *(int64_t *)argument, 0, error);
}

static enum err call_insert(struct fixture *fixture, int64_t id, struct error *error)
{
    return writer_call(fixture->writer, insert_one, &id, error);
}

/* From here on the store has no room for one page more. */
static void fill_up(struct fixture *fixture)
{
    char sql[64];
    snprintf(sql, sizeof(sql), "PRAGMA max_page_count = %lld",
             (long long)scratch_int(fixture->db, "PRAGMA page_count"));
    scratch_script(fixture->db, sql);
}

/* --- batches --- */

static void waiting_jobs_share_one_commit_in_order(void **state)
{
    struct fixture *fixture = *state;
    struct deed_job deeds[20] = { 0 };
    for (int i = 0; i < 20; i++)
        deeds[i] = (struct deed_job){ .deed = DEED_INSERT, .id = i + 1 };
    run_as_batch(fixture, deeds, 20);
    for (int i = 0; i < 20; i++) {
        assert_int_equal(deeds[i].result, ERR_OK);
        assert_int_equal(deeds[i].runs, 1);
        assert_int_equal(deeds[i].order, i);
    }
    struct writer_stats stats = stats_of(fixture);
    assert_int_equal(stats.commits, 2); /* the gate's and the batch's */
    assert_int_equal(stats.jobs, 21);
    assert_int_equal(stats.batch_jobs_max, 20);
    assert_int_equal(stats.jobs_failed, 0);
    assert_int_equal(stats.queue_now, 0);
    assert_int_equal(rows_count(fixture), 20);
}

static void batch_takes_no_more_than_its_limit(void **state)
{
    struct fixture *fixture = *state;
    enum { COUNT = WRITER_BATCH_MAX + 1 };
    struct deed_job *deeds = calloc(COUNT, sizeof(*deeds));
    for (int i = 0; i < COUNT; i++)
        deeds[i] = (struct deed_job){ .deed = DEED_INSERT, .id = i + 1 };
    run_as_batch(fixture, deeds, COUNT);
    struct writer_stats stats = stats_of(fixture);
    assert_int_equal(stats.batch_jobs_max, WRITER_BATCH_MAX);
    assert_int_equal(stats.commits, 3);
    assert_int_equal(rows_count(fixture), COUNT);
    free(deeds);
}

static void failed_job_undoes_itself_and_leaves_its_neighbours(void **state)
{
    struct fixture *fixture = *state;
    struct deed_job deeds[] = {
        { .deed = DEED_INSERT, .id = 1 },
        { .deed = DEED_INSERT_THEN_REFUSE, .id = 2 },
        { .deed = DEED_INSERT, .id = 1 }, /* taken */
        { .deed = DEED_INSERT, .id = 4 },
    };
    run_as_batch(fixture, deeds, 4);
    assert_int_equal(deeds[0].result, ERR_OK);
    assert_int_equal(deeds[1].result, ERR_CONFLICT);
    assert_string_equal(deeds[1].slug, "by_rule");
    assert_int_equal(deeds[2].result, ERR_CONFLICT);
    assert_string_equal(deeds[2].slug, "db_constraint");
    assert_int_equal(deeds[3].result, ERR_OK);
    assert_int_equal(rows_sum(fixture), 5);
    struct writer_stats stats = stats_of(fixture);
    assert_int_equal(stats.jobs_failed, 2);
    assert_int_equal(stats.commits, 2);
    assert_int_equal(stats.batches_rerun, 0);
}

static void full_store_does_not_take_the_neighbours_with_it(void **state)
{
    struct fixture *fixture = *state;
    fill_up(fixture);
    struct deed_job deeds[] = {
        { .deed = DEED_INSERT, .id = 1 },
        { .deed = DEED_INSERT_LARGE, .id = 2, .bytes = 100000 },
        { .deed = DEED_INSERT, .id = 3 },
    };
    run_as_batch(fixture, deeds, 3);
    assert_int_equal(deeds[0].result, ERR_OK);
    assert_int_equal(deeds[0].runs, 2);
    assert_int_equal(deeds[1].result, ERR_UNAVAILABLE);
    assert_string_equal(deeds[1].slug, "store_unavailable");
    assert_int_equal(deeds[1].runs, 2);
    assert_int_equal(deeds[2].result, ERR_OK);
    assert_int_equal(deeds[2].runs, 1);
    assert_int_equal(rows_sum(fixture), 4);
    struct writer_stats stats = stats_of(fixture);
    assert_int_equal(stats.batches_rerun, 1);
    assert_int_equal(stats.jobs_failed, 1);
    assert_int_equal(stats.commits, 3); /* the gate's and one each */
}

static void job_that_overlooks_the_lost_transaction_is_not_acknowledged(void **state)
{
    struct fixture *fixture = *state;
    fill_up(fixture);
    struct deed_job deeds[] = {
        { .deed = DEED_INSERT, .id = 1 },
        { .deed = DEED_OVERLOOK_FULL_STORE, .id = 20 },
    };
    run_as_batch(fixture, deeds, 2);
    assert_int_equal(deeds[0].result, ERR_OK);
    assert_int_equal(deeds[1].result, ERR_UNAVAILABLE);
    assert_string_equal(deeds[1].slug, "store_unavailable");
    assert_int_equal(rows_sum(fixture), 1);
}

static void job_whose_commit_would_be_refused_fails_alone(void **state)
{
    struct fixture *fixture = *state;
    scratch_script(fixture->db, "CREATE TABLE children (id INTEGER PRIMARY KEY, row_id INTEGER"
                                " REFERENCES rows (id) DEFERRABLE INITIALLY DEFERRED)");
    struct deed_job deeds[] = {
        { .deed = DEED_INSERT, .id = 1 },
        { .deed = DEED_BREAK_LATER },
        { .deed = DEED_INSERT, .id = 3 },
    };
    run_as_batch(fixture, deeds, 3);
    assert_int_equal(deeds[0].result, ERR_OK);
    assert_int_equal(deeds[1].result, ERR_CONFLICT);
    assert_string_equal(deeds[1].slug, "db_constraint");
    assert_int_equal(deeds[2].result, ERR_OK);
    assert_int_equal(rows_sum(fixture), 4);
}

static void readers_see_a_job_from_its_commit_on(void **state)
{
    struct fixture *fixture = *state;
    struct flag     done = FLAG_DOWN;
    struct gate     before, inside;
    gate_close(fixture, &before);
    struct deed_job deed = { .deed = DEED_INSERT, .id = 1, .done = &done };
    submit(fixture, &deed);
    inside = (struct gate){ .entered = FLAG_DOWN, .may_go_on = FLAG_DOWN, .done = FLAG_DOWN };
    inside.deed = (struct deed_job){ .deed = DEED_WAIT,
                                     .entered = &inside.entered,
                                     .may_go_on = &inside.may_go_on,
                                     .done = &inside.done };
    submit(fixture, &inside.deed);
    gate_open(&before);

    /* The insert has run and its batch is still open. */
    flag_wait(&inside.entered, 1);
    assert_int_equal(rows_count(fixture), 0);
    pthread_mutex_lock(&done.lock);
    assert_int_equal(done.count, 0);
    pthread_mutex_unlock(&done.lock);
    gate_open(&inside);
    flag_wait(&done, 1);
    assert_int_equal(rows_count(fixture), 1);
}

/* --- a store that cannot --- */

static void busy_store_refuses_the_batch_and_recovers(void **state)
{
    struct fixture *fixture = *state;
    struct db      *other = scratch_open(fixture->scratch, DB_WRITE);
    struct error    error = { 0 };
    scratch_script(fixture->db, "PRAGMA busy_timeout = 20");
    assert_int_equal(db_begin(other, &error), ERR_OK);
    assert_int_equal(call_insert(fixture, 1, &error), ERR_UNAVAILABLE);
    assert_string_equal(error.slug, "store_unavailable");
    assert_true(error.retry_after_s > 0);
    db_rollback(other);
    assert_int_equal(call_insert(fixture, 2, &error), ERR_OK);
    assert_int_equal(rows_sum(fixture), 2);
    assert_int_equal(stats_of(fixture).jobs_failed, 1);
    db_close(other);
}

static int64_t file_bytes(const struct fixture *fixture, const char *suffix)
{
    char        path[160];
    struct stat status;
    snprintf(path, sizeof(path), "%s%s", fixture->scratch->path, suffix);
    return stat(path, &status) == 0 ? (int64_t)status.st_size : 0;
}

static void failed_commit_is_unknown_to_the_whole_batch(void **state)
{
    struct fixture *fixture = *state;
    struct deed_job deeds[] = {
        { .deed = DEED_INSERT, .id = 1, .bytes = 200000 },
        { .deed = DEED_INSERT, .id = 2, .bytes = 200000 },
        { .deed = DEED_INSERT_THEN_REFUSE, .id = 3 },
    };
    /* The pages of a transaction this small reach the log at the commit, and find no room there. */
    struct rlimit limit, narrow;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    narrow = limit;
    narrow.rlim_cur = (rlim_t)file_bytes(fixture, "-wal") + 100000;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &narrow), 0);
    run_as_batch(fixture, deeds, 3);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    signal(SIGXFSZ, SIG_DFL);

    for (int i = 0; i < 3; i++) {
        assert_int_equal(deeds[i].result, ERR_UNCERTAIN);
        assert_string_equal(deeds[i].slug, "commit_unknown");
        assert_int_equal(deeds[i].runs, 1);
    }
    struct error error = { 0 };
    assert_int_equal(call_insert(fixture, 4, &error), ERR_OK);
    assert_int_equal(rows_sum(fixture), 4);
}

/* --- the queue --- */

static void full_queue_refuses(void **state)
{
    struct fixture  *fixture = *state;
    struct flag      done = FLAG_DOWN;
    struct error     error = { 0 };
    struct gate      gate;
    struct deed_job *deeds = calloc(WRITER_QUEUE_MAX, sizeof(*deeds));
    gate_close(fixture, &gate);
    for (int i = 0; i < WRITER_QUEUE_MAX; i++) {
        deeds[i] = (struct deed_job){ .deed = DEED_INSERT, .id = i + 1, .done = &done };
        submit(fixture, &deeds[i]);
    }
    assert_int_equal(stats_of(fixture).queue_now, WRITER_QUEUE_MAX);
    struct deed_job late = { .done = &done };
    late.job = (struct write_job){ .run = deed_run, .done = deed_done, .argument = &late };
    assert_int_equal(writer_submit(fixture->writer, &late.job, &error), ERR_UNAVAILABLE);
    assert_string_equal(error.slug, "writer_full");
    assert_int_equal(call_insert(fixture, -1, &error), ERR_UNAVAILABLE);
    assert_string_equal(error.slug, "writer_full");
    gate_open(&gate);
    flag_wait(&done, WRITER_QUEUE_MAX);
    assert_int_equal(late.runs, 0);
    assert_int_equal(rows_count(fixture), WRITER_QUEUE_MAX);
    assert_int_equal(call_insert(fixture, -1, &error), ERR_OK);
    free(deeds);
}

static void *stop_writer(void *writer)
{
    writer_stop(writer);
    return NULL;
}

static void stop_runs_what_is_queued_and_refuses_the_rest(void **state)
{
    struct fixture  *fixture = *state;
    struct flag      done = FLAG_DOWN;
    struct gate      gate;
    struct error     error = { 0 };
    pthread_t        stopper;
    int              queued = 0;
    struct deed_job *deeds = calloc(WRITER_QUEUE_MAX + 1, sizeof(*deeds));
    gate_close(fixture, &gate);
    assert_int_equal(pthread_create(&stopper, NULL, stop_writer, fixture->writer), 0);
    /* Submit until the stop is noticed; a full queue turns into that refusal, too. */
    for (;;) {
        struct deed_job *deed = &deeds[queued];
        *deed = (struct deed_job){ .deed = DEED_INSERT, .id = queued + 1, .done = &done };
        deed->job = (struct write_job){ .run = deed_run, .done = deed_done, .argument = deed };
        enum err e = writer_submit(fixture->writer, &deed->job, &error);
        if (e == ERR_OK)
            queued++;
        else if (strcmp(error.slug, "writer_stopping") == 0)
            break;
        sched_yield();
    }
    flag_raise(&gate.may_go_on);
    assert_int_equal(pthread_join(stopper, NULL), 0);
    fixture->writer = NULL;
    assert_int_equal(done.count, queued);
    assert_int_equal(rows_count(fixture), queued);
    assert_int_equal(file_bytes(fixture, "-wal"), 0); /* checkpointed and cut */
    free(deeds);
}

static void call_leaves_the_error_alone_on_success_and_fills_it_on_refusal(void **state)
{
    struct fixture *fixture = *state;
    struct error    error = { .slug = "untouched" };
    assert_int_equal(call_insert(fixture, 1, &error), ERR_OK);
    assert_string_equal(error.slug, "untouched");
    assert_int_equal(call_insert(fixture, 1, &error), ERR_CONFLICT);
    assert_int_equal(error.code, ERR_CONFLICT);
    assert_string_equal(error.slug, "db_constraint");
}

enum { CALLERS = 16, CALLS_EACH = 500 };

struct caller {
    struct fixture *fixture;
    int64_t         first_id;
    int             failures;
};

static void *caller_main(void *argument)
{
    struct caller *caller = argument;
    struct error   error;
    for (int i = 0; i < CALLS_EACH; i++)
        if (call_insert(caller->fixture, caller->first_id + i, &error)) caller->failures++;
    return NULL;
}

static void calls_of_many_threads_are_all_durable(void **state)
{
    struct fixture *fixture = *state;
    struct caller   callers[CALLERS];
    pthread_t       threads[CALLERS];
    for (int i = 0; i < CALLERS; i++) {
        callers[i] = (struct caller){ fixture, 1 + i * CALLS_EACH, 0 };
        assert_int_equal(pthread_create(&threads[i], NULL, caller_main, &callers[i]), 0);
    }
    for (int i = 0; i < CALLERS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_int_equal(callers[i].failures, 0);
    }
    struct writer_stats stats = stats_of(fixture);
    assert_int_equal(stats.jobs, CALLERS * CALLS_EACH);
    assert_true(stats.commits <= stats.jobs);
    writer_stop(fixture->writer);
    fixture->writer = NULL;
    db_close(fixture->reader);
    fixture->reader = scratch_open(fixture->scratch, DB_READ);
    assert_int_equal(rows_count(fixture), CALLERS * CALLS_EACH);
    assert_int_equal(scratch_int(fixture->reader, "SELECT max(id) FROM rows"),
                     CALLERS * CALLS_EACH);
}

static void free_deed(void *argument, enum err e, const struct error *error)
{
    struct flag *done = ((struct deed_job *)argument)->done;
    assert_int_equal(e, ERR_OK);
    assert_int_equal(error->code, ERR_OK);
    free(argument);
    flag_raise(done);
}

static void done_may_free_its_job(void **state)
{
    struct fixture *fixture = *state;
    struct flag     done = FLAG_DOWN;
    struct error    error = { 0 };
    for (int i = 0; i < 50; i++) {
        struct deed_job *deed = calloc(1, sizeof(*deed));
        *deed = (struct deed_job){ .deed = DEED_INSERT, .id = i + 1, .done = &done };
        deed->job = (struct write_job){ .run = deed_run, .done = free_deed, .argument = deed };
        assert_int_equal(writer_submit(fixture->writer, &deed->job, &error), ERR_OK);
    }
    flag_wait(&done, 50);
    assert_int_equal(rows_count(fixture), 50);
}

/* --- kill -9 --- */

enum { CHAINS = 32, ACKNOWLEDGED_MIN = 600, ROUNDS = 4, ROUND_IDS = 10000000 };

/* Inserts one row after another; each acknowledged id goes down the pipe. */
struct chain {
    struct write_job job;
    struct writer   *writer;
    int64_t          id;
    int              pipe_fd;
};

static enum err chain_run(void *argument, struct db *db, struct error *error)
{
    return insert_row(db, ((struct chain *)argument)->id, 100, error);
}

static void chain_done(void *argument, enum err e, const struct error *error)
{
    struct chain *chain = argument;
    struct error  refused;
    (void)error;
    if (e || write(chain->pipe_fd, &chain->id, sizeof(chain->id)) != sizeof(chain->id)) _exit(3);
    chain->id += CHAINS;
    if (writer_submit(chain->writer, &chain->job, &refused)) _exit(4);
}

static void write_until_killed(const struct scratch *scratch, int64_t first_id, int pipe_fd)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    struct error error;
    struct db   *db;
    if (db_open(scratch->url, DB_WRITE, &error, &db)) _exit(1);
    struct db *checkpoint_db;
    if (db_open(scratch->url, DB_WRITE, &error, &checkpoint_db)) _exit(1);
    struct writer *writer = writer_start(db, checkpoint_db);
    struct chain   chains[CHAINS];
    for (int i = 0; i < CHAINS; i++) {
        chains[i] = (struct chain){ .writer = writer, .id = first_id + i, .pipe_fd = pipe_fd };
        chains[i].job =
            (struct write_job){ .run = chain_run, .done = chain_done, .argument = &chains[i] };
        if (writer_submit(writer, &chains[i].job, &error)) _exit(2);
    }
    for (;;)
        pause();
}

static bool has_row(struct db *db, int64_t id)
{
    struct error error;
    struct stmt *q = db_query(db, "SELECT 1 FROM rows WHERE id = $1");
    bind_int(q, 1, id);
    bool     has_row = stmt_step(q);
    enum err e = stmt_end(q, &error);
    return e == ERR_OK && has_row;
}

/* Kills the writer once it has acknowledged enough; returns how many it had, all of them. */
static int kill_a_writer(const struct scratch *scratch, int64_t first_id, int64_t *ids, int ids_max)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        close(ends[0]);
        write_until_killed(scratch, first_id, ends[1]);
    }
    close(ends[1]);
    int count = 0;
    while (count < ids_max && read(ends[0], &ids[count], sizeof(ids[0])) == sizeof(ids[0]))
        if (++count == ACKNOWLEDGED_MIN) kill(pid, SIGKILL);
    close(ends[0]);
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGKILL);
    return count;
}

static void killed_process_keeps_every_acknowledged_job(void **state)
{
    struct scratch *scratch = *state;
    struct db      *db = scratch_open(scratch, DB_WRITE);
    scratch_script(db, "CREATE TABLE rows (id INTEGER PRIMARY KEY, bytes BLOB)");
    db_close(db);
    enum { IDS_MAX = 100000 };
    int64_t *ids = calloc(IDS_MAX, sizeof(*ids));
    for (int round = 0; round < ROUNDS; round++) {
        int count = kill_a_writer(scratch, 1 + (int64_t)round * ROUND_IDS, ids, IDS_MAX);
        assert_true(count >= ACKNOWLEDGED_MIN);
        db = scratch_open(scratch, DB_WRITE);
        for (int i = 0; i < count; i++)
            assert_true(has_row(db, ids[i]));
        assert_int_equal(scratch_int(db, "SELECT count(*) FROM pragma_integrity_check"
                                         " WHERE integrity_check = 'ok'"),
                         1);
        db_close(db);
    }
    free(ids);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        writer_test(waiting_jobs_share_one_commit_in_order),
        writer_test(batch_takes_no_more_than_its_limit),
        writer_test(failed_job_undoes_itself_and_leaves_its_neighbours),
        writer_test(full_store_does_not_take_the_neighbours_with_it),
        writer_test(job_that_overlooks_the_lost_transaction_is_not_acknowledged),
        writer_test(job_whose_commit_would_be_refused_fails_alone),
        writer_test(readers_see_a_job_from_its_commit_on),
        writer_test(busy_store_refuses_the_batch_and_recovers),
        writer_test(failed_commit_is_unknown_to_the_whole_batch),
        writer_test(full_queue_refuses),
        writer_test(stop_runs_what_is_queued_and_refuses_the_rest),
        writer_test(call_leaves_the_error_alone_on_success_and_fills_it_on_refusal),
        writer_test(calls_of_many_threads_are_all_durable),
        writer_test(done_may_free_its_job),
        scratch_test(killed_process_keeps_every_acknowledged_job),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
