/* The contract and the code that answers it agree, or nothing starts. */
#include "api/api.h"
#include "platform/embedded.h"
#include "web/pages.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static struct arena arena;
static struct error error;
static struct api   api;

static int setup(void **state)
{
    (void)state;
    arena_init(&arena, 64 << 20);
    error_clear(&error);
    api = (struct api){ 0 };
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_deinit(&arena);
    return 0;
}

static void compile(struct str document)
{
    static const char *const settings_off[] = { NULL };
    if (contract_compile(&arena, document, settings_off, &error, &api.contract))
        fail_msg("%s", error.detail);
}

static struct str shipped(void)
{
    for (const struct embedded_file *file = embedded_files; file->name; file++)
        if (strcmp(file->name, "openapi.json") == 0)
            return (struct str){ file->data, file->size_bytes };
    return STR_NONE;
}

static void the_shipped_contract_is_bound_whole(void **state)
{
    (void)state;
    compile(shipped());
    assert_int_equal(api_bind(&api, pages_bindings, &error), ERR_OK);
    for (int i = 0; i < contract_operations_count(api.contract); i++)
        assert_non_null(api.bindings[i]);
}

static void an_operation_without_a_handler_is_refused_by_name(void **state)
{
    (void)state;
    static const struct binding nothing[] = { { 0 } };
    compile(shipped());
    assert_int_equal(api_bind(&api, nothing, &error), ERR_INVALID);
    assert_string_equal(error.slug, "operation_unbound");
    assert_non_null(strstr(error.detail, "getJoinPage"));
}

/* The shipped contract with a text in it blanked out. */
static struct str shipped_without(struct str text)
{
    struct str document = str_copy(&arena, shipped());
    char      *at = memmem(document.data, document.len, text.data, text.len);
    assert_non_null(at);
    memset(at, ' ', text.len);
    return document;
}

static void an_operation_that_changes_something_says_what_the_audit_calls_it(void **state)
{
    (void)state;
    compile(shipped_without(STR("\"x-audit\": \"job.created\",")));
    assert_int_equal(api_bind(&api, pages_bindings, &error), ERR_INVALID);
    assert_string_equal(error.slug, "operation_unaudited");
    assert_non_null(strstr(error.detail, "createJob"));
}

static void a_handler_without_an_operation_is_refused_by_name(void **state)
{
    (void)state;
    static const struct binding unknown[] = { { .operation_id = "inventedOperation" }, { 0 } };
    compile(shipped());
    assert_int_equal(api_bind(&api, unknown, &error), ERR_INVALID);
    assert_string_equal(error.slug, "handler_unknown");
    assert_non_null(strstr(error.detail, "inventedOperation"));
}

static enum err external_nothing(struct exchange *exchange)
{
    (void)exchange;
    return ERR_OK;
}

static void a_handler_of_another_kind_than_the_contract_says_is_refused(void **state)
{
    (void)state;
    static const struct binding other[] = {
        { .operation_id = "getJoinPage", .external = external_nothing },
        { 0 },
    };
    compile(shipped());
    assert_int_equal(api_bind(&api, other, &error), ERR_INVALID);
    assert_string_equal(error.slug, "handler_mismatch");
}

int main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(the_shipped_contract_is_bound_whole),
        T(an_operation_without_a_handler_is_refused_by_name),
        T(an_operation_that_changes_something_says_what_the_audit_calls_it),
        T(a_handler_without_an_operation_is_refused_by_name),
        T(a_handler_of_another_kind_than_the_contract_says_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
