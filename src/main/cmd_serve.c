#include "base/log.h"
#include "main/app.h"
#include "main/commands.h"
#include "main/serving.h"

#include <stdio.h>

int cmd_serve(struct flags *flags, struct arena *arena)
{
    struct config config;
    int           exit_code = command_config(flags, arena, &config);
    if (exit_code) return exit_code;
    struct error error = { 0 };
    struct app  *app;
    if (serving_start(&config, arena, &error, &app)) return command_refused(&error);
    printf("listening on %.*s\n", STR_ARG(app_url(app)));
    fflush(stdout);
    serving_wait();
    app_stop(app);
    return EXIT_OK;
}
