#include "base/macros.h"

#include <stdio.h>
#include <stdlib.h>

NORETURN void check_failed(const char *condition, const char *file, int line, const char *function)
{
    fprintf(stderr,
            "{\"level\":\"fatal\",\"event\":\"check_failed\",\"at\":\"%s:%d\",\"in\":\"%s\"}\n",
            file, line, function);
    fprintf(stderr, "CHECK(%s)\n", condition);
    abort();
}
