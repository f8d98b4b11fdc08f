#include "main/commands.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int command_refused(const struct error *error)
{
    fprintf(stderr, "firsthand: %s (%s)\n", error->detail, error->slug);
    bool is_usage = strcmp(error->slug, "usage") == 0 || strcmp(error->slug, "bad_setting") == 0;
    return is_usage ? EXIT_USAGE : EXIT_REFUSED;
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
