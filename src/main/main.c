#include "main/command_table.h"
#include "platform/media_zygote.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

enum { MAIN_ARENA_BYTES_MAX = 16 << 20 };

static bool is_help(const char *word)
{
    return strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0;
}

static int refuse(int count, char **words, struct arena *arena)
{
    if (!command_is_group(words[0]))
        fprintf(stderr, "firsthand: unknown command \"%s\"; see firsthand --help\n", words[0]);
    else if (count > 1)
        fprintf(stderr, "firsthand: unknown command \"%s %s\"; see firsthand %s --help\n", words[0],
                words[1], words[0]);
    else
        fprintf(stderr, "firsthand: %s what: %s?\n", words[0],
                command_group_names(words[0], arena).data);
    return EXIT_USAGE;
}

/* The words that help is wanted for, none = for all. */
static int show_help(int count, char **words, struct arena *arena)
{
    int                   name_words;
    const struct command *command = command_find(count, words, &name_words);
    if (command)
        command_help_one(stdout, command);
    else if (count == 1 && command_is_group(words[0]))
        command_help_group(stdout, words[0]);
    else if (count == 0)
        command_help_all(stdout, arena);
    else
        return refuse(count, words, arena);
    return EXIT_OK;
}

/* The word behind the command's name (NULL behind the last), if it is a file and wanted. */
static struct str take_file(const struct command *command, const char *word, int *name_words)
{
    if (!command->has_file || word == NULL || strncmp(word, "--", 2) == 0) return STR_NONE;
    ++*name_words;
    return str_of(word);
}

static int run_command(int count, char **words, struct arena *arena)
{
    if (count == 0) {
        command_help_all(stderr, arena);
        return EXIT_USAGE;
    }
    if (strcmp(words[0], "help") == 0) return show_help(count - 1, words + 1, arena);
    if (is_help(words[count - 1])) return show_help(count - 1, words, arena);
    if (count == 1 && strcmp(words[0], "--version") == 0) words[0] = "version";

    int                   name_words;
    const struct command *command = command_find(count, words, &name_words);
    struct flags          flags;
    struct error          error = { 0 };
    if (command == NULL) return refuse(count, words, arena);
    struct str file = take_file(command, words[name_words], &name_words);
    if (flags_parse(count - name_words, words + name_words, arena, &error, &flags))
        return command_refused(&error);
    flags.operand = file;
    return command->run(&flags, arena);
}

/* A file that is opened later must not get the number of a missing stream: what is printed or
 * logged would go there. */
static void open_missing_streams(void)
{
    int fd;
    do {
        fd = open("/dev/null", O_RDWR);
    } while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd > STDERR_FILENO) (void)close(fd);
}

/* A secret is printed once: a command whose result was lost has not done its work. */
static int check_output(int exit_code)
{
    if (fflush(stdout) == 0 && !ferror(stdout)) return exit_code;
    fprintf(stderr, "firsthand: what belongs on standard output cannot be written there\n");
    return exit_code == EXIT_OK ? EXIT_REFUSED : exit_code;
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "media-zygote") == 0) return media_zygote_main();
    open_missing_streams();
    signal(SIGPIPE, SIG_IGN);
    struct arena arena;
    arena_init(&arena, MAIN_ARENA_BYTES_MAX);
    int exit_code = check_output(run_command(argc - 1, argv + 1, &arena));
    arena_deinit(&arena);
    return exit_code;
}
