/* What the contract tests share. JSON is written with ' for ", which C would have to escape. */
#ifndef FIRSTHAND_TESTS_CONTRACT_FIXTURE_H
#define FIRSTHAND_TESTS_CONTRACT_FIXTURE_H

#include "base/json_in.h"
#include "contract/contract.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static inline int arena_setup(void **state)
{
    static struct arena arena;
    arena_init(&arena, 64 << 20);
    *state = &arena;
    return 0;
}

static inline int arena_teardown(void **state)
{
    arena_deinit(*state);
    return 0;
}

#define RULE(test) cmocka_unit_test_setup_teardown(test, arena_setup, arena_teardown)

static inline struct str quoted(struct arena *arena, const char *text)
{
    struct str copy = str_copy(arena, str_of(text));
    char      *bytes = (char *)(uintptr_t)copy.data;
    for (size_t i = 0; i < copy.len; i++)
        if (bytes[i] == '\'') bytes[i] = '"';
    return copy;
}

static inline json_t *json_of(struct arena *arena, const char *text)
{
    struct error error = { 0 };
    json_t      *root = NULL;
    if (json_parse(arena, quoted(arena, text), &error, &root) != ERR_OK)
        fail_msg("%s: %s", error.detail, text);
    return root;
}

/* A document with these paths and component schemas, both without their braces. */
static inline struct str document_of(struct arena *arena, const char *paths, const char *schemas)
{
    struct str text = str_format(arena,
                                 "{'openapi':'3.1.0','info':{'title':'t','version':'1'},"
                                 "'security':[{'BearerAuth':[]}],'paths':{%s},"
                                 "'components':{'schemas':{%s}}}",
                                 paths, schemas);
    return quoted(arena, text.data);
}

/* What contract_compile takes for settings when none is on. */
static const char *const settings_off[] = { NULL };

static inline const struct contract *compile_text_of(struct arena *arena, struct str document)
{
    struct error           error = { 0 };
    const struct contract *contract = NULL;
    if (contract_compile(arena, document, settings_off, &error, &contract) != ERR_OK)
        fail_msg("refused: %s", error.detail);
    return contract;
}

static inline const struct contract *compile_of(struct arena *arena, const char *paths,
                                                const char *schemas)
{
    return compile_text_of(arena, document_of(arena, paths, schemas));
}

/* The detail of the refusal. */
static inline const char *refusal_of(struct arena *arena, struct str document)
{
    struct error           error = { 0 };
    const struct contract *contract = NULL;
    enum err               e = contract_compile(arena, document, settings_off, &error, &contract);
    if (e == ERR_OK) fail_msg("compiled, but should not: %.*s", STR_ARG(document));
    assert_int_equal(e, ERR_INVALID);
    assert_string_equal(error.slug, "contract_invalid");
    assert_null(contract);
    return str_c(arena, str_of(error.detail));
}

#endif
