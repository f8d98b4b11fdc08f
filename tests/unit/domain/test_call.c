#include "domain/call.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "../expect_abort.h"

/* The order is stored: a scope that moves would change what stored keys may do. */
static void scopes_keep_their_stored_places(void **state)
{
    (void)state;
    static const char *const names[] = { "jobs:read",      "jobs:write",  "webhooks:read",
                                         "webhooks:write", "keys:manage", "usage:read",
                                         "billing:write",  "audit:read" };
    assert_int_equal(SCOPE__COUNT, COUNT_OF(names));
    assert_int_equal(SCOPES_ALL, 0xff);
    for (int i = 0; i < SCOPE__COUNT; i++)
        assert_string_equal(scope_name((enum scope)i), names[i]);
}

static void scope_name_reads_back(void **state)
{
    (void)state;
    for (int i = 0; i < SCOPE__COUNT; i++) {
        enum scope scope = SCOPE__COUNT;
        assert_true(scope_parse(str_of(scope_name((enum scope)i)), &scope));
        assert_int_equal(scope, i);
    }
}

static void other_text_is_no_scope(void **state)
{
    (void)state;
    static const char *const names[] = {
        "", "jobs", "jobs:", "jobs:reads", "JOBS:READ", " jobs:read", "jobs:read,jobs:write", "*"
    };
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        enum scope scope = SCOPE_AUDIT_READ;
        assert_false(scope_parse(str_of(names[i]), &scope));
        assert_int_equal(scope, SCOPE_AUDIT_READ);
    }
    enum scope scope;
    assert_false(scope_parse(STR_NONE, &scope));
}

static void environments_have_their_stored_numbers_and_names(void **state)
{
    (void)state;
    assert_int_equal(ENVIRONMENT_LIVE, 0);
    assert_int_equal(ENVIRONMENT_TEST, 1);
    assert_string_equal(environment_name(ENVIRONMENT_LIVE), "live");
    assert_string_equal(environment_name(ENVIRONMENT_TEST), "test");
}

static void numbers_outside_an_enum_are_broken_invariants(void **state)
{
    (void)state;
    assert_aborts(scope_name(SCOPE__COUNT));
    assert_aborts(environment_name((enum environment) - 1));
}

static void begin_forgets_the_run_before(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 1 << 20);
    struct config config = { 0 };
    struct actor  actor = { .kind = ACTOR_WORKER };
    struct call   call = { .arena = &arena, .config = &config, .wakes_tasks = true, .now_ms = 1 };
    struct ended_job ended = { 0 };
    call.ended_jobs = &ended;
    error_add_fault(&call.error, &arena, STR("field"), "code", "message");
    assert_int_equal(FAIL(&call.error, ERR_BUSY, "db_busy", "again"), ERR_BUSY);

    call_begin(&call, NULL, 2, &actor);
    assert_int_equal(call.now_ms, 2);
    assert_int_equal(call.actor.kind, ACTOR_WORKER);
    assert_false(call.wakes_tasks);
    assert_null(call.ended_jobs);
    assert_int_equal(call.error.code, ERR_OK);
    assert_int_equal(call.error.faults_count, 0);
    assert_null(call.error.faults);
    assert_ptr_equal(call.arena, &arena);
    assert_ptr_equal(call.config, &config);
    arena_deinit(&arena);
}

static void reserved_note_of_an_ended_job_outlives_a_rewind(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 1 << 20);
    struct call  call = { .arena = &arena };
    struct actor nobody = { 0 };
    struct id    ids[3];
    call_begin(&call, NULL, 1, &nobody);
    for (int i = 0; i < 3; i++) {
        ids[i] = id_new(ID_JOB, 1);
        call_reserve_ended(&call);
        call_reserve_ended(&call);
        struct arena_mark mark = arena_mark(&arena);
        memset(NEW(&arena, char, 20000), 0x5a, 20000);
        call_note_ended(&call, &ids[i]);
        arena_rewind(&arena, mark);
    }
    memset(NEW(&arena, char, 20000), 0x5a, 20000);
    const struct ended_job *ended = call.ended_jobs;
    for (int i = 2; i >= 0; i--, ended = ended->next) {
        assert_non_null(ended);
        assert_true(id_eq(&ended->id, &ids[i]));
    }
    assert_null(ended);
    arena_deinit(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scopes_keep_their_stored_places),
        cmocka_unit_test(scope_name_reads_back),
        cmocka_unit_test(other_text_is_no_scope),
        cmocka_unit_test(environments_have_their_stored_numbers_and_names),
        cmocka_unit_test(numbers_outside_an_enum_are_broken_invariants),
        cmocka_unit_test(begin_forgets_the_run_before),
        cmocka_unit_test(reserved_note_of_an_ended_job_outlives_a_rewind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
