#include "main/store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "../platform/scratch_store.h"

static struct str text_in(const struct scratch *scratch, const char *before, const char *after,
                          char text[160])
{
    int len = snprintf(text, 160, "%s%s%s", before, scratch->dir, after);
    assert_true(len > 0 && len < 160);
    return (struct str){ text, (size_t)len };
}

/* Opened and closed again; what a refusal is called, or NULL. */
static const char *open_slug(const struct config *config)
{
    struct store store;
    struct error error = { 0 };
    if (store_open(&store, config, &error)) return error.slug;
    store_close(&store);
    return NULL;
}

static void assert_key_is_missed(const struct config *config, const char *key_path)
{
    assert_null(open_slug(config));
    assert_null(open_slug(config));
    assert_int_equal(unlink(key_path), 0);
    const char *slug = open_slug(config);
    assert_non_null(slug);
    assert_string_equal(slug, "server_key_missing");
    assert_int_equal(access(key_path, F_OK), -1);
}

static void filled_store_without_its_key_is_refused(void **state)
{
    char          dir[160], key[160];
    struct config config = { .data_dir = text_in(*state, "", "", dir) };
    text_in(*state, "", "/server.key", key);
    assert_key_is_missed(&config, key);
}

/* The store may be elsewhere: what counts is whether it is there, not whether it is here. */
static void filled_store_elsewhere_without_its_key_is_refused(void **state)
{
    char          dir[160], key[160], url[160];
    struct config config = { .data_dir = text_in(*state, "", "", dir),
                             .database = text_in(*state, "sqlite:", "/elsewhere.db", url) };
    text_in(*state, "", "/server.key", key);
    assert_key_is_missed(&config, key);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        scratch_test(filled_store_without_its_key_is_refused),
        scratch_test(filled_store_elsewhere_without_its_key_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
