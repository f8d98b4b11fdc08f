/* A call inside a write transaction over a fresh, migrated store: for the tests of domain modules.
 * The including test has cmocka.h and what it needs included before. */
#ifndef FIRSTHAND_TESTS_STORE_CALL_H
#define FIRSTHAND_TESTS_STORE_CALL_H

#include "domain/call.h"
#include "platform/db_migrate.h"

#include <string.h>

#include "../platform/scratch_store.h"

/* 2026-01-01T00:00:00Z: tests count from here. */
static const int64_t START_MS = (int64_t)1767225600 * 1000;

struct store_call {
    struct scratch *scratch;
    struct db      *db;
    struct arena    arena;
    struct config   config;
    struct call     call; /* as the operator, at START_MS */
};

static inline char *no_environment(const char *name)
{
    (void)name;
    return NULL;
}

static inline void store_call_key(struct store_call *at, const char *text)
{
    char         path[128];
    struct error error = { 0 };
    snprintf(path, sizeof(path), "%s/server.key", at->scratch->dir);
    if (text) {
        FILE *file = fopen(path, "w");
        assert_non_null(file);
        assert_int_equal(fchmod(fileno(file), 0600), 0);
        assert_true(fputs(text, file) >= 0);
        assert_int_equal(fclose(file), 0);
    }
    if (keyring_open(path, text == NULL, &at->arena, &error, &at->call.keyring))
        fail_msg("%s", error.detail);
}

static inline int store_call_setup(void **state)
{
    struct store_call *at = calloc(1, sizeof(*at));
    struct flags       flags = { 0 };
    struct error       error = { 0 };
    at->scratch = scratch_make();
    arena_init(&at->arena, 64 << 20);
    assert_int_equal(config_load(&flags, no_environment, &at->arena, &error, &at->config), ERR_OK);
    at->db = scratch_open(at->scratch, DB_WRITE);
    if (db_migrate(at->db, START_MS, &error, NULL)) fail_msg("%s", error.detail);
    store_call_key(at, NULL);
    at->call.arena = &at->arena;
    at->call.config = &at->config;
    call_begin(&at->call, at->db, START_MS, &(struct actor){ .kind = ACTOR_OPERATOR });
    assert_int_equal(db_begin(at->db, &error), ERR_OK);
    *state = at;
    return 0;
}

static inline int store_call_teardown(void **state)
{
    struct store_call *at = *state;
    db_rollback(at->db);
    db_close(at->db);
    arena_deinit(&at->arena);
    scratch_remove(at->scratch);
    free(at);
    return 0;
}

#define store_call_test(name)                                                                      \
    cmocka_unit_test_setup_teardown(name, store_call_setup, store_call_teardown)

/* The step works. */
#define assert_done(call, step)                                                                    \
    do {                                                                                           \
        enum err e_ = (step);                                                                      \
        if (e_) fail_msg("%s: %s", (call)->error.slug, (call)->error.detail);                      \
    } while (0)

/* The step is refused with that code and slug. */
#define assert_refused(call, step, expected_code, expected_slug)                                   \
    do {                                                                                           \
        error_clear(&(call)->error);                                                               \
        assert_int_equal((step), (expected_code));                                                 \
        assert_int_equal((call)->error.code, (expected_code));                                     \
        assert_string_equal((call)->error.slug, (expected_slug));                                  \
    } while (0)

/* The only fault of the refusal just met. */
#define assert_fault(call, expected_field, expected_code)                                          \
    do {                                                                                           \
        assert_int_equal((call)->error.faults_count, 1);                                           \
        assert_string_equal((call)->error.faults->field, (expected_field));                        \
        assert_string_equal((call)->error.faults->code, (expected_code));                          \
    } while (0)

#endif
