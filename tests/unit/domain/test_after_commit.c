#include "domain/after_commit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

struct heard {
    int       tasks_count, jobs_count;
    struct id jobs[4];
};

static void hear_tasks(void *context)
{
    ((struct heard *)context)->tasks_count++;
}

static void hear_job(void *context, const struct id *job_id)
{
    struct heard *heard = context;
    heard->jobs[heard->jobs_count++] = *job_id;
}

static void call_that_did_nothing_disturbs_nobody(void **state)
{
    (void)state;
    struct heard              heard = { 0 };
    const struct after_commit listeners = { hear_tasks, &heard, hear_job, &heard };
    const struct call         call = { .now_ms = 1 };
    after_commit_tell(&listeners, &call);
    assert_int_equal(heard.tasks_count, 0);
    assert_int_equal(heard.jobs_count, 0);
}

static void each_is_told_what_concerns_it(void **state)
{
    (void)state;
    struct heard              heard = { 0 };
    const struct after_commit listeners = { hear_tasks, &heard, hear_job, &heard };
    struct ended_job          first = { .id = id_new(ID_JOB, 1) };
    struct ended_job          second = { .id = id_new(ID_JOB, 1), .next = &first };
    const struct call         call = { .wakes_tasks = true, .ended_jobs = &second };
    after_commit_tell(&listeners, &call);
    assert_int_equal(heard.tasks_count, 1);
    assert_int_equal(heard.jobs_count, 2);
    assert_true(id_eq(&heard.jobs[0], &second.id));
    assert_true(id_eq(&heard.jobs[1], &first.id));
}

static void nobody_need_listen(void **state)
{
    (void)state;
    struct heard              heard = { 0 };
    const struct after_commit nobody = { 0 }, tasks_only = { hear_tasks, &heard, NULL, NULL };
    struct ended_job          job = { .id = id_new(ID_JOB, 1) };
    const struct call         call = { .wakes_tasks = true, .ended_jobs = &job };
    after_commit_tell(&nobody, &call);
    after_commit_tell(&tasks_only, &call);
    assert_int_equal(heard.tasks_count, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(call_that_did_nothing_disturbs_nobody),
        cmocka_unit_test(each_is_told_what_concerns_it),
        cmocka_unit_test(nobody_need_listen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
