#include "domain/task.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "marketplace.h"

enum { LEASE_MS = 60000 };

/* Tasks on subjects that are not there: no audit at the end. */
static int task_setup(void **state)
{
    struct market *market = market_open();
    market->is_broken = true;
    *state = market;
    return 0;
}

#define task_test(name) cmocka_unit_test_setup_teardown(name, task_setup, market_teardown)

static struct id add(struct market *market, enum task_kind kind)
{
    struct id subject_id = id_new(ID_SUBMISSION, market->now_ms);
    DONE(market, task_add(&market->call, kind, &subject_id));
    return subject_id;
}

static struct task claim(struct market *market)
{
    struct task task;
    DONE(market, task_claim(&market->call, TASK_SCORE, LEASE_MS, &task));
    return task;
}

static void assert_nothing_due(struct market *market)
{
    struct task task;
    REFUSED_UNWRITTEN(market, task_claim(&market->call, TASK_SCORE, LEASE_MS, &task), ERR_NOT_FOUND,
                      "task");
}

static void task_is_due_at_once_and_wakes_the_runners(void **state)
{
    struct market *market = *state;
    struct id      subject_id = add(market, TASK_SCORE);
    assert_true(market->call.wakes_tasks);
    struct task task = claim(market);
    assert_true(id_eq(&task.subject_id, &subject_id));
    assert_int_equal(task.kind, TASK_SCORE);
    assert_int_equal(task.claims_count, 1);
    assert_int_equal(task.failures_count, 0);
    assert_int_equal(task.run_ms, market->now_ms + LEASE_MS);
}

static void task_of_a_later_time_is_due_then(void **state)
{
    struct market *market = *state;
    struct id      subject_id = id_new(ID_SUBMISSION, market->now_ms);
    DONE(market, task_add_at(&market->call, TASK_SCORE, &subject_id, market->now_ms + 5));
    assert_true(market->call.wakes_tasks); /* who waits must know */
    market->now_ms += 4;
    assert_nothing_due(market);
    market->now_ms++;
    struct task task = claim(market);
    assert_true(id_eq(&task.subject_id, &subject_id));
}

static void task_that_was_got_is_finished_by_whoever_got_it(void **state)
{
    struct market *market = *state;
    struct id      subject_id = add(market, TASK_SCORE);
    struct task    task;
    REFUSED_UNWRITTEN(market, task_get(&market->call, TASK_DELIVER, &subject_id, &task),
                      ERR_NOT_FOUND, "task");
    DONE(market, task_get(&market->call, TASK_SCORE, &subject_id, &task));
    assert_int_equal(task.claims_count, 0);
    DONE(market, task_finish(&market->call, &task));
    assert_nothing_due(market);
}

static void task_added_again_while_it_waits_stays_one(void **state)
{
    struct market *market = *state;
    struct id      subject_id = add(market, TASK_SCORE);
    DONE(market, task_add(&market->call, TASK_SCORE, &subject_id));
    DONE(market, task_add(&market->call, TASK_DELIVER, &subject_id)); /* another kind is another */
    assert_int_equal(market_int(market, "SELECT count(*) FROM tasks"), 2);
    claim(market);
    DONE(market, task_add(&market->call, TASK_SCORE, &subject_id));
    assert_nothing_due(market); /* adding does not cut a lease short */
}

static void claimed_task_is_nobody_elses_until_its_lease_ends(void **state)
{
    struct market *market = *state;
    add(market, TASK_SCORE);
    struct task first = claim(market);
    market->now_ms += LEASE_MS - 1;
    assert_nothing_due(market);
    market->now_ms++;
    struct task second = claim(market);
    assert_true(id_eq(&second.id, &first.id));
    assert_int_equal(second.claims_count, 2);
}

static void claim_takes_the_oldest_due_of_its_kind(void **state)
{
    struct market *market = *state;
    add(market, TASK_DELIVER);
    market->now_ms += 10;
    struct id older_id = add(market, TASK_SCORE);
    market->now_ms += 10;
    struct id   younger_id = add(market, TASK_SCORE);
    struct task first = claim(market), second = claim(market);
    assert_true(id_eq(&first.subject_id, &older_id));
    assert_true(id_eq(&second.subject_id, &younger_id));
    assert_nothing_due(market);
}

static void finished_task_is_gone(void **state)
{
    struct market *market = *state;
    struct id      subject_id = add(market, TASK_SCORE);
    struct task    task = claim(market);
    DONE(market, task_finish(&market->call, &task));
    assert_int_equal(market_int(market, "SELECT count(*) FROM tasks"), 0);
    REFUSED_UNWRITTEN(market, task_finish(&market->call, &task), ERR_CONFLICT, "task_lost");
    DONE(market, task_add(&market->call, TASK_SCORE, &subject_id)); /* and may come again */
    REFUSED_UNWRITTEN(market, task_finish(&market->call, &task), ERR_CONFLICT, "task_lost");
}

static void claims_of_a_dead_server_are_due_at_once_and_back_offs_are_not(void **state)
{
    struct market *market = *state;
    add(market, TASK_SCORE);
    struct task failed = claim(market);
    DONE(market, task_fail(&market->call, &failed, "score_postponed"));
    add(market, TASK_SCORE);
    struct task lost = claim(market);
    int64_t     count = 0;
    DONE(market, task_release_claimed(&market->call, &count));
    assert_int_equal(count, 1);
    struct task again = claim(market);
    assert_true(id_eq(&again.id, &lost.id));
    assert_int_equal(again.claims_count, lost.claims_count + 1); /* the dead one's is void */
    assert_nothing_due(market);
}

static void runner_whose_lease_ended_may_finish_while_nobody_claimed_it(void **state)
{
    struct market *market = *state;
    add(market, TASK_SCORE);
    struct task task = claim(market);
    market->now_ms += 10 * LEASE_MS;
    DONE(market, task_finish(&market->call, &task));
}

static void finish_and_fail_of_a_loser_are_task_lost(void **state)
{
    struct market *market = *state;
    add(market, TASK_SCORE);
    struct task loser = claim(market);
    market->now_ms += LEASE_MS;
    struct task winner = claim(market);
    REFUSED_UNWRITTEN(market, task_finish(&market->call, &loser), ERR_CONFLICT, "task_lost");
    REFUSED_UNWRITTEN(market, task_fail(&market->call, &loser, "late"), ERR_CONFLICT, "task_lost");
    DONE(market, task_finish(&market->call, &winner));
}

static void back_off_doubles_from_two_seconds_to_ten_minutes(void **state)
{
    struct market       *market = *state;
    static const int64_t waits_s[] = { 2, 4, 8, 16, 32, 64, 128, 256, 512, 600, 600, 600 };
    add(market, TASK_SCORE);
    for (size_t i = 0; i < COUNT_OF(waits_s); i++) {
        struct task task = claim(market);
        assert_int_equal(task.failures_count, i);
        DONE(market, task_fail(&market->call, &task, "no scorer"));
        market->now_ms += waits_s[i] * MS_PER_SECOND - 1;
        assert_nothing_due(market);
        market->now_ms++;
    }
}

static void failures_that_may_be_the_subjects_are_counted_apart(void **state)
{
    struct market   *market = *state;
    static const int expected[] = { 0, 0, 1, 1, 2 }; /* every second failure is suspicious */
    int64_t          first_ms = 0;
    add(market, TASK_SCORE);
    for (size_t i = 0; i < COUNT_OF(expected); i++) {
        struct task task = claim(market);
        assert_int_equal(task.failures_count, i);
        assert_int_equal(task.subject_failures_count, expected[i]);
        assert_int_equal(task.first_failed_ms, first_ms);
        task.is_subject_suspect = i % 2 == 1;
        DONE(market, task_fail(&market->call, &task, "score_postponed"));
        if (i == 1) first_ms = market->now_ms;
        market->now_ms += 600 * MS_PER_SECOND;
    }
}

static void back_off_stays_at_its_most_after_any_number_of_failures(void **state)
{
    struct market *market = *state;
    add(market, TASK_SCORE);
    struct task task = claim(market);
    task.failures_count = INT64_MAX;
    DONE(market, task_fail(&market->call, &task, "again"));
    int64_t due_ms;
    DONE(market, task_next_due(&market->call, TASK_SCORE, &due_ms));
    assert_int_equal(due_ms, market->now_ms + 600 * MS_PER_SECOND);
}

static void next_due_is_the_earliest_of_the_kind(void **state)
{
    struct market *market = *state;
    int64_t        due_ms;
    DONE(market, task_next_due(&market->call, TASK_SCORE, &due_ms));
    assert_int_equal(due_ms, 0);
    add(market, TASK_DELIVER);
    market->now_ms += 5;
    add(market, TASK_SCORE);
    DONE(market, task_next_due(&market->call, TASK_SCORE, &due_ms));
    assert_int_equal(due_ms, market->now_ms);
    claim(market);
    DONE(market, task_next_due(&market->call, TASK_SCORE, &due_ms));
    assert_int_equal(due_ms, market->now_ms + LEASE_MS);
}

static void load_is_counted_by_kind_and_claimed_tasks_are_not_due(void **state)
{
    struct market   *market = *state;
    struct task_load load;
    add(market, TASK_SCORE);
    market->now_ms += 5000;
    add(market, TASK_SCORE);
    add(market, TASK_DELIVER);
    DONE(market, task_load_read(&market->call, &load));
    assert_int_equal(load.count[TASK_SCORE], 2);
    assert_int_equal(load.due[TASK_SCORE], 2);
    assert_int_equal(load.late_s[TASK_SCORE], 5);
    assert_int_equal(load.count[TASK_DELIVER], 1);
    assert_int_equal(load.late_s[TASK_DELIVER], 0);
    claim(market);
    claim(market);
    DONE(market, task_load_read(&market->call, &load));
    assert_int_equal(load.count[TASK_SCORE], 2);
    assert_int_equal(load.due[TASK_SCORE], 0);
    assert_int_equal(load.late_s[TASK_SCORE], 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        task_test(task_is_due_at_once_and_wakes_the_runners),
        task_test(task_of_a_later_time_is_due_then),
        task_test(task_that_was_got_is_finished_by_whoever_got_it),
        task_test(task_added_again_while_it_waits_stays_one),
        task_test(claimed_task_is_nobody_elses_until_its_lease_ends),
        task_test(claim_takes_the_oldest_due_of_its_kind),
        task_test(finished_task_is_gone),
        task_test(claims_of_a_dead_server_are_due_at_once_and_back_offs_are_not),
        task_test(runner_whose_lease_ended_may_finish_while_nobody_claimed_it),
        task_test(finish_and_fail_of_a_loser_are_task_lost),
        task_test(back_off_doubles_from_two_seconds_to_ten_minutes),
        task_test(failures_that_may_be_the_subjects_are_counted_apart),
        task_test(back_off_stays_at_its_most_after_any_number_of_failures),
        task_test(next_due_is_the_earliest_of_the_kind),
        task_test(load_is_counted_by_kind_and_claimed_tasks_are_not_due),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
