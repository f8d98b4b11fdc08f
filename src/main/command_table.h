/* The commands of the program, and what it says of them. */
#ifndef FIRSTHAND_MAIN_COMMAND_TABLE_H
#define FIRSTHAND_MAIN_COMMAND_TABLE_H

#include "main/commands.h"

#include <stdio.h>

/* A flag of a command's own, beside the settings. */
struct command_flag {
    const char *name;  /* "credits"; NULL ends the list */
    const char *value; /* what stands for its value: "CENTS" */
    const char *meaning;
    bool        is_required;
};

struct command {
    const char *name; /* "serve", or "admin create-org" */
    int (*run)(struct flags *flags, struct arena *arena);
    const char                *meaning;
    const struct command_flag *flags;
    bool                       has_settings;
    bool                       has_file; /* one word before the flags, a path */
};

/* The command that the words begin with, and how many of them are its name; NULL = there is none.
 */
const struct command *command_find(int words_count, char *const *words, int *ret_name_words);

/* Whether there are commands of that first word: "admin". */
bool command_is_group(const char *word);

/* "create-org, create-key" */
struct str command_group_names(const char *word, struct arena *arena);

/* Every command and every setting; only a group's commands, without settings; one command. */
void command_help_all(FILE *out, struct arena *arena);
void command_help_group(FILE *out, const char *word);
void command_help_one(FILE *out, const struct command *command);

#endif
