#include "main/commands.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What another command line would put right. */
static bool is_wrong_use(const char *slug)
{
    static const char *const slugs[] = { "usage", "bad_setting", "database_unsupported" };
    for (size_t i = 0; i < COUNT_OF(slugs); i++)
        if (strcmp(slug, slugs[i]) == 0) return true;
    return false;
}

int command_refused(const struct error *error)
{
    fprintf(stderr, "firsthand: %s (%s)\n", error->detail, error->slug);
    return is_wrong_use(error->slug) ? EXIT_USAGE : EXIT_REFUSED;
}

int command_config(struct flags *flags, struct arena *arena, struct config *ret_config)
{
    struct error error = { 0 };
    if (config_load(flags, getenv, arena, &error, ret_config)) return command_refused(&error);
    if (flags_all_taken(flags, &error)) return command_refused(&error);
    return EXIT_OK;
}

void command_print(struct buf *json)
{
    CHECK(!json->failed);
    printf("%.*s\n", STR_ARG(buf_str(json)));
    fflush(stdout);
}
