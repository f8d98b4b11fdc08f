#include <string.h>

/* strcpy(a, b) in a comment, and "system(" in text, are words, not calls. */
void copy(char *to, const char *from)
{
    strcpy(to, from);
    strcat(to, "system(");
    sprintf(to, "%s", from);
    vsprintf(to, from, arguments);
    strtok(to, ",");
    atoi(from);
    atol (from);
    gmtime(&now);
    localtime(&now);
    rand();
    srand(1);
    system(from);
    popen(from, "r");
    gets(to);
    strncpy(to, from, 3);
    gmtime_r(&now, &tm);
    driver->system(from);
}
