/* Random operations on the server's rules and on the reference, in episodes that each start with
 * an empty store. When they differ, the episode is shrunk to the operations it takes, and told.
 *
 * MODEL_SEED      of the first episode; the next has the next (by chance otherwise; printed)
 * MODEL_OPERATIONS, MODEL_EPISODE   how many in all, and in an episode
 * MODEL_KEEP      play only these of the first episode, as a failure tells them */
#include "trial.h"

#include "base/world.h"

enum { OPERATIONS_DEFAULT = 20000, EPISODE_DEFAULT = 5000, WRONG_SEED = 3 };

static uint64_t number_of_environment(const char *name, uint64_t otherwise)
{
    int64_t     value;
    const char *text = getenv(name);
    if (text == NULL) return otherwise;
    if (!str_to_int64(str_of(text), &value) || value <= 0)
        fail_msg("%s must be a positive number", name);
    return (uint64_t)value;
}

static uint64_t chance_seed(void)
{
    uint32_t seed;
    world_random(&seed, sizeof(seed));
    return (uint64_t)seed + 1;
}

/* --- what failed --- */

static void print_output(FILE *output)
{
    char line[1024];
    rewind(output);
    while (fgets(line, sizeof(line), output))
        print_error("%s", line);
}

/* What it was first, in case that the rest takes too long. */
static void tell_and_shrink(struct trial *trial, FILE *output)
{
    int drawn_count = trial->begun;
    print_output(output);
    print_error("MODEL_SEED=%llu MODEL_OPERATIONS=%d MODEL_EPISODE=%d fails: %s\n",
                (unsigned long long)trial->seed, drawn_count, drawn_count, trial->failure);
    int tries = trial_shrink(trial);
    print_error("shrunk in %d tries; %s", tries,
                tries < SHRINK_TRIALS_MAX ? "it takes each of these " : "not to the end ");
    trial_tell(trial, drawn_count);
}

/* Of what the trial drew, those that are listed: 3,17+ is the fourth, and the eighteenth twice. */
static int keep_listed(const struct trial *trial, const char *list, struct operation *kept)
{
    int count = 0;
    for (char *end; *list && count < trial->begun; list = *end == ',' ? end + 1 : end) {
        long serial = strtol(list, &end, 10);
        if (end == list || serial < 0 || serial >= trial->begun)
            fail_msg("MODEL_KEEP names what was not drawn: %s", list);
        kept[count] = trial->operations[serial];
        kept[count].is_repeated = *end == '+';
        end += *end == '+';
        count++;
    }
    return count;
}

static void play_kept(struct trial *trial, const char *list)
{
    struct operation *kept = calloc((size_t)trial->operations_count, sizeof(*kept));
    CHECK(kept);
    trial->operations_count = keep_listed(trial, list, kept);
    trial->is_drawn = false;
    memcpy(trial->operations, kept, (size_t)trial->operations_count * sizeof(*kept));
    free(kept);
    if (trial_passes(trial, stderr)) return;
    trial_tell(trial, 0);
    fail();
}

/* --- the run --- */

static void add_ends(const struct trial *trial, int ended[OP__COUNT][ENDED__COUNT])
{
    for (int i = 0; i < OP__COUNT; i++)
        for (int j = 0; j < ENDED__COUNT; j++)
            ended[i][j] += trial->ended[i][j];
}

static void tell_ends(int ended[OP__COUNT][ENDED__COUNT], int replayed)
{
    for (int i = 0; i < OP__COUNT; i++)
        print_message("%s: %d done, %d refused, %d without an object\n", operation_names[i],
                      ended[i][ENDED_DONE], ended[i][ENDED_REFUSED], ended[i][ENDED_SKIPPED]);
    print_message("%d answered again for their Idempotency-Key\n", replayed);
}

static void play_episode(struct trial *trial)
{
    FILE *output = tmpfile();
    CHECK(output);
    bool is_passed = trial_passes(trial, output);
    if (getenv("MODEL_KEEP")) {
        play_kept(trial, getenv("MODEL_KEEP"));
    } else if (!is_passed) {
        tell_and_shrink(trial, output);
        fail();
    }
    fclose(output);
}

static void money_and_jobs_follow_the_reference(void **state)
{
    (void)state;
    int           ended[OP__COUNT][ENDED__COUNT] = { 0 }, replayed = 0;
    int           left = (int)number_of_environment("MODEL_OPERATIONS", OPERATIONS_DEFAULT);
    int           episode = (int)number_of_environment("MODEL_EPISODE", EPISODE_DEFAULT);
    struct trial *trial = trial_make(episode);
    trial->seed = number_of_environment("MODEL_SEED", chance_seed());
    print_message("MODEL_SEED=%llu MODEL_OPERATIONS=%d MODEL_EPISODE=%d\n",
                  (unsigned long long)trial->seed, left, episode);
    for (; left > 0; left -= episode, trial->seed++) {
        trial->is_drawn = true;
        trial->operations_count = left < episode ? left : episode;
        play_episode(trial);
        add_ends(trial, ended);
        replayed += trial->replayed;
    }
    tell_ends(ended, replayed);
    trial_free(trial, episode);
}

/* --- a wrong reference --- */

static void must_take_each(struct trial *trial)
{
    struct operation all[16], some[16];
    int              count = trial->begun;
    char             failure[sizeof(trial->failure)];
    snprintf(failure, sizeof(failure), "%s", trial->failure);
    memcpy(all, trial->operations, (size_t)count * sizeof(*all));
    for (int i = 0; i < count; i++) {
        memcpy(some, all, (size_t)i * sizeof(*all));
        memcpy(some + i, all + i + 1, (size_t)(count - i - 1) * sizeof(*all));
        assert_true(trial_passes_with(trial, some, count - 1) ||
                    strcmp(trial->failure, failure) != 0);
    }
    trial->fault = REF_SOUND;
    assert_true(trial_passes_with(trial, all, count));
}

/* The least that shows it, and three more: one grant is not always enough for the job. */
static void a_wrong_reference_is_shrunk_to_what_shows_it(void **state)
{
    (void)state;
    static const struct {
        enum ref_fault fault;
        int            operations_max;
    } wrong[] = {
        { REF_FEE_ROUNDS_UP, 2 + 3 },     /* grant, create */
        { REF_CREDITS_AGAIN, 3 + 3 },     /* buy, tell, tell */
        { REF_TOPS_UP_MORE, 5 + 3 },      /* buy, tell, set top-up, charge, set top-up */
        { REF_LAPSES_LATE, 4 + 3 },       /* grant, create, accept, advance */
        { REF_ENDS_LATE, 4 + 3 },         /* grant, create, advance, accept */
        { REF_KEEPS_KEYS_LONGER, 6 + 3 }, /* grant, create, accept, advance, advance, accept */
        { REF_FORGETS_REFUND, 6 + 3 },    /* grant, create, accept, receive, cancel, judge */
        { REF_RETRIES_TWICE, 9 + 3 },     /* grant, create, accept, receive, judge, and again
                                             retry, receive, judge, retry */
    };
    struct trial *trial = trial_make(EPISODE_DEFAULT);
    for (size_t i = 0; i < COUNT_OF(wrong); i++) {
        trial->seed = WRONG_SEED;
        trial->fault = wrong[i].fault;
        trial->is_drawn = true;
        trial->operations_count = EPISODE_DEFAULT;
        assert_false(trial_passes(trial, NULL));
        int drawn_count = trial->begun, tries = trial_shrink(trial);
        print_message("%d operations shrunk to %d in %d tries: %s\n", drawn_count, trial->begun,
                      tries, trial->failure);
        if (trial->begun > wrong[i].operations_max) {
            trial_tell(trial, drawn_count);
            fail();
        }
        must_take_each(trial);
    }
    trial_free(trial, EPISODE_DEFAULT);
}

/* Nothing of it has to survive, and memory is quicker than a disk. */
static void keep_stores_in_memory(void)
{
    const char *memory = "/dev/shm";
    if (access(memory, W_OK) == 0) CHECK(setenv("TMPDIR", memory, 0) == 0);
}

int main(void)
{
    keep_stores_in_memory();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_wrong_reference_is_shrunk_to_what_shows_it),
        cmocka_unit_test(money_and_jobs_follow_the_reference),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
