#include "trial.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/wait.h>

static size_t trial_bytes(int operations_max)
{
    return sizeof(struct trial) + (size_t)operations_max * sizeof(struct operation);
}

struct trial *trial_make(int operations_max)
{
    struct trial *trial = mmap(NULL, trial_bytes(operations_max), PROT_READ | PROT_WRITE,
                               MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(trial != MAP_FAILED);
    return trial;
}

void trial_free(struct trial *trial, int operations_max)
{
    munmap(trial, trial_bytes(operations_max));
}

/* --- in the process of the trial --- */

static struct trial *played;

static void model_begin(struct model *model, struct trial *trial, struct market *market)
{
    *model = (struct model){ .trial = trial, .market = market };
    model->chance = trial->seed * 0x9e3779b97f4a7c15;
    snprintf(trial->store, sizeof(trial->store), "%s", market->scratch->dir);
    ref_init(&model->ref, trial->operations_count);
    model->ref.fault = trial->fault;
    model->ref.now_ms = market->now_ms;
    model->ref.fee_ppm = market->config.platform_fee_ppm;
    must_be(model, "reservation-ttl", 0, market->config.reservation_ttl_ms, REF_TTL_MS);
    must_be(model, "reservation-max", 0, market->config.reservation_max_ms, REF_HOLD_MS_MAX);
    must_be(model, "worker-reservations-max", 0, market->config.worker_reservations_max,
            REF_RESERVATIONS_MAX);
    must_be(model, "worker-submissions-per-day", 0, market->config.worker_submissions_per_day,
            REF_SUBMISSIONS_PER_DAY);
    must_be(model, "low-balance-cents", 0, market->config.low_balance_cents, REF_LOW_CENTS);
    market->config.top_up_daily_max = REF_TOP_UPS_A_DAY;
    market->config.stripe_key = STR("sk_test_key");
    /* The market's own first organisation has credit that the reference does not know. */
    scratch_script(market->db, "DELETE FROM lots WHERE environment = 0;"
                               "DELETE FROM transfers WHERE environment = 0;"
                               "UPDATE balances SET balance_cents = 0 WHERE environment = 0");
    for (int i = 0; i < REF_ORGS; i++) {
        model->orgs[i] = market_organisation(market, 0);
        ref_grant(&model->ref, REF_ORGS + i, TRANSFER_FREE_TIER, REF_TEST_CENTS,
                  time_add_year(market->now_ms));
    }
    for (int i = 0; i < REF_WORKERS; i++)
        model->workers[i] = market_worker(market);
}

static void play(void **state)
{
    static struct model model; /* not on the stack: a failed check jumps out of here */
    struct trial       *trial = played;
    model_begin(&model, trial, *state);
    for (int i = 0; i < trial->operations_count; i++) {
        if (trial->is_drawn) trial->operations[i] = draw_operation(&model);
        trial->begun = i + 1;
        model_step(&model, &trial->operations[i]);
        if (trial->begun % COMPARE_EVERY == 0) compare_all(&model);
    }
    compare_all(&model);
    ref_deinit(&model.ref);
}

static NORETURN void play_and_exit(FILE *output)
{
    const struct CMUnitTest tests[] = { market_test(play) };
    int                     fd = output ? fileno(output) : open("/dev/null", O_WRONLY | O_CLOEXEC);
    CHECK(dup2(fd, STDOUT_FILENO) >= 0 && dup2(fd, STDERR_FILENO) >= 0);
    exit(cmocka_run_group_tests(tests, NULL, NULL));
}

/* --- beside it --- */

/* A run that died left its store behind. */
static void remove_store(const char *path)
{
    DIR *dir = *path ? opendir(path) : NULL;
    if (dir == NULL) return;
    for (struct dirent *entry = readdir(dir); entry; entry = readdir(dir))
        unlinkat(dirfd(dir), entry->d_name, 0);
    closedir(dir);
    rmdir(path);
}

static void note_death(struct trial *trial, int status)
{
    if (trial->failure[0]) return;
    if (WIFSIGNALED(status))
        snprintf(trial->failure, sizeof(trial->failure), "signal %d", WTERMSIG(status));
    else
        snprintf(trial->failure, sizeof(trial->failure), "exit %d", WEXITSTATUS(status));
}

bool trial_passes(struct trial *trial, FILE *output)
{
    int status;
    trial->begun = trial->replayed = 0;
    trial->failure[0] = trial->store[0] = '\0';
    memset(trial->ended, 0, sizeof(trial->ended));
    played = trial;
    fflush(NULL);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) play_and_exit(output);
    CHECK(waitpid(child, &status, 0) == child);
    if (status == 0) return true;
    note_death(trial, status);
    remove_store(trial->store);
    return false;
}

bool trial_passes_with(struct trial *trial, const struct operation *operations, int count)
{
    memcpy(trial->operations, operations, (size_t)count * sizeof(*operations));
    trial->operations_count = count;
    trial->is_drawn = false;
    return trial_passes(trial, NULL);
}

/* --- shrinking --- */

struct shrink {
    struct trial     *trial;
    char              failure[sizeof(((struct trial *)NULL)->failure)];
    struct operation *kept, *tried;
    int               kept_count, tries;
};

/* Do so many of the tried ones fail as well? Then they are kept, up to the one that failed. */
static bool shrink_try(struct shrink *shrink, int count)
{
    struct trial *trial = shrink->trial;
    if (shrink->tries >= SHRINK_TRIALS_MAX) return false;
    shrink->tries++;
    if (trial_passes_with(trial, shrink->tried, count)) return false;
    if (strcmp(trial->failure, shrink->failure) != 0) return false;
    shrink->kept_count = trial->begun;
    memcpy(shrink->kept, shrink->tried, (size_t)trial->begun * sizeof(*shrink->kept));
    return true;
}

static bool shrink_without(struct shrink *shrink, int start, int end)
{
    size_t size = sizeof(*shrink->kept);
    memcpy(shrink->tried, shrink->kept, (size_t)start * size);
    memcpy(shrink->tried + start, shrink->kept + end, (size_t)(shrink->kept_count - end) * size);
    return shrink_try(shrink, start + shrink->kept_count - end);
}

/* Leave out what can be spared of each piece, the last first. */
static bool shrink_pieces(struct shrink *shrink, int piece)
{
    bool was_spared = false;
    for (int end = shrink->kept_count; end > 0;) {
        int start = end > piece ? end - piece : 0;
        was_spared |= shrink_without(shrink, start, end);
        end = start < shrink->kept_count ? start : shrink->kept_count;
    }
    return was_spared;
}

static bool shrink_repeats(struct shrink *shrink)
{
    bool was_spared = false;
    for (int i = 0; i < shrink->kept_count; i++) {
        if (!shrink->kept[i].is_repeated) continue;
        memcpy(shrink->tried, shrink->kept, (size_t)shrink->kept_count * sizeof(*shrink->kept));
        shrink->tried[i].is_repeated = false;
        was_spared |= shrink_try(shrink, shrink->kept_count);
    }
    return was_spared;
}

int trial_shrink(struct trial *trial)
{
    struct shrink shrink = { .trial = trial, .kept_count = trial->begun };
    size_t        size = sizeof(*shrink.kept);
    snprintf(shrink.failure, sizeof(shrink.failure), "%s", trial->failure);
    shrink.kept = calloc((size_t)trial->begun + 1, size);
    shrink.tried = calloc((size_t)trial->begun + 1, size);
    CHECK(shrink.kept && shrink.tried);
    memcpy(shrink.kept, trial->operations, (size_t)trial->begun * size);
    for (int piece = shrink.kept_count / 2; piece > 1; piece /= 2)
        shrink_pieces(&shrink, piece);
    bool was_spared = true;
    while (was_spared && shrink.tries < SHRINK_TRIALS_MAX) {
        was_spared = shrink_pieces(&shrink, 1);
        was_spared |= shrink_repeats(&shrink);
    }
    /* Leave the trial as it fails with what was kept. */
    trial_passes_with(trial, shrink.kept, shrink.kept_count);
    free(shrink.kept);
    free(shrink.tried);
    return shrink.tries;
}

/* --- telling --- */

static void tell_number(const char *name, int64_t number)
{
    if (number) print_error(" %s=%lld", name, (long long)number);
}

static void tell_asked(const struct ref_asked *asked)
{
    print_error(" org=%d needed=%lld price=%lld files_per_worker=%lld stars_min=%lld deadline=%lld",
                asked->org, (long long)asked->needed, (long long)asked->price,
                (long long)asked->files_per_worker, (long long)asked->stars_min,
                (long long)asked->deadline_ms);
}

/* "of 17" is what the operation with that number made, "of 17+" what its repeat made. */
static void tell_operation(const struct operation *operation)
{
    enum operation_kind kind = operation->kind;
    print_error("  %d %s", operation->serial, operation_names[kind]);
    if (kind == OP_GRANT)
        print_error(" %s org=%d", transfer_kind_name(operation->grant), operation->object);
    if (kind == OP_CREATE) tell_asked(&operation->asked);
    if (kind == OP_BUY || kind == OP_CHARGE || kind == OP_SET_TOP_UP || kind == OP_LIFT)
        print_error(" wallet=%d", operation->object);
    if (kind == OP_SET_TOP_UP)
        print_error(" below=%lld by=%lld", (long long)operation->asked.price,
                    (long long)operation->asked.needed);
    if ((kind >= OP_CANCEL && kind <= OP_RETRY) || kind == OP_ANSWER || kind == OP_TELL)
        print_error(" of %d%s", operation->object / 2, operation->object % 2 ? "+" : "");
    if (kind == OP_TELL) print_error(" try=%d", 1 + operation->worker % REF_TRIES_MAX);
    if (kind == OP_ACCEPT) print_error(" worker=%d", operation->worker);
    tell_number("bytes", operation->bytes);
    tell_number("number", operation->number);
    tell_number("gate", operation->gate);
    tell_number("unexamined", operation->is_unexamined);
    tell_number("key", operation->key);
    print_error("%s\n", operation->is_repeated ? ", twice" : "");
}

void trial_tell(const struct trial *trial, int drawn_count)
{
    print_error("after %d operations: %s\n", trial->begun, trial->failure);
    for (int i = 0; i < trial->begun; i++)
        tell_operation(&trial->operations[i]);
    print_error("again with MODEL_SEED=%llu MODEL_OPERATIONS=%d MODEL_EPISODE=%d MODEL_KEEP=",
                (unsigned long long)trial->seed, drawn_count, drawn_count);
    for (int i = 0; i < trial->begun; i++)
        print_error("%s%d%s", i ? "," : "", trial->operations[i].serial,
                    trial->operations[i].is_repeated ? "+" : "");
    print_error("\n");
}
