#include "main/commands.h"
#include "platform/media_zygote.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

enum { MAIN_ARENA_BYTES_MAX = 16 << 20 };

static const struct command commands[] = {
    { "serve", cmd_serve, "", "run the server" },
    { "migrate", cmd_migrate, "", "bring the store up to date" },
    { "admin create-org", cmd_create_org, "--name N --email E [--credits CENTS]",
      "a new organisation with a live and a test key" },
    { "admin create-key", cmd_create_key,
      "--org ID --environment live|test [--name N] [--scopes a,b]", "a new API key" },
    { "admin unfreeze-org", cmd_unfreeze_org, "--org ID",
      "let an organisation post jobs again after a refund or dispute" },
    { "admin create-worker", cmd_create_worker, "--name N --email E",
      "a new worker with a token that does not expire" },
    { "admin invite-worker", cmd_invite_worker, "[--name N]", "a single-use link to join" },
    { "admin rotate-server-key", cmd_rotate_server_key, "",
      "a new server key; older ones stay good until they are dropped" },
    { "admin drop-server-keys", cmd_drop_server_keys, "[--force on|off]",
      "drop older server keys that nothing needs any more" },
    { "audit", cmd_audit, "[--blobs on|off] [--audit-head NUMBER:HEX]",
      "check the invariants and the audit's seals; exit 1 on a breach" },
    { "score", cmd_score, "FILE [--job PATH|-]", "judge one file as the server would" },
    { "listen", cmd_listen,
      "[--forward-to URL] [--url URL] [--api-key-file PATH] [--events a,b] [--secret whsec_…]"
      " [--after occ_…]",
      "print this organisation's events and forward them, signed; key: FIRSTHAND_API_KEY" },
    { "demo", cmd_demo, "[--files \"a.jpg b.mp4\"]", "serve, and do the main job once" },
    { "config", cmd_config, "", "print the effective settings" },
    { "version", cmd_version, "", "print what this program is made of" },
};

static void print_help(FILE *out, struct arena *arena)
{
    fprintf(out, "usage: firsthand COMMAND [--flag value]...\n\n");
    for (size_t i = 0; i < COUNT_OF(commands); i++)
        fprintf(out, "  %-24s %s\n%s%s%s", commands[i].name, commands[i].meaning,
                commands[i].usage[0] ? "                           " : "", commands[i].usage,
                commands[i].usage[0] ? "\n" : "");
    fprintf(out, "\nsettings, as flags or as FIRSTHAND_… in the environment:\n%s",
            config_help(arena).data);
}

/* How many words of argv the command's name takes; 0 = it is another command. */
static int words_matched(const struct command *command, int argc, char **argv)
{
    struct str rest = str_of(command->name), word;
    int        count = 0;
    while (str_cut(&rest, ' ', &word)) {
        if (count + 1 >= argc || !str_eq(word, str_of(argv[count + 1]))) return 0;
        count++;
    }
    return count;
}

/* The word before the flags, where the command has one: then it is one more of its words. */
static struct str operand_of(const struct command *command, int argc, char **argv, int *words)
{
    int at = *words + 1;
    if (!str_starts_with(str_of(command->usage), STR("FILE")) || at >= argc ||
        str_starts_with(str_of(argv[at]), STR("--")))
        return STR_NONE;
    ++*words;
    return str_of(argv[at]);
}

static int run_command(int argc, char **argv, struct arena *arena)
{
    for (size_t i = 0; i < COUNT_OF(commands); i++) {
        int words = words_matched(&commands[i], argc, argv);
        if (words == 0) continue;
        struct flags flags;
        struct error error = { 0 };
        struct str   operand = operand_of(&commands[i], argc, argv, &words);
        if (flags_parse(argc - 1 - words, argv + 1 + words, arena, &error, &flags))
            return command_refused(&error);
        flags.operand = operand;
        return commands[i].run(&flags, arena);
    }
    if (argc < 2) {
        print_help(stderr, arena);
        return EXIT_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0) {
        print_help(stdout, arena);
        return EXIT_OK;
    }
    fprintf(stderr, "firsthand: unknown command \"%s\"; see --help\n", argv[1]);
    return EXIT_USAGE;
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "media-zygote") == 0) return media_zygote_main();
    signal(SIGPIPE, SIG_IGN);
    struct arena arena;
    arena_init(&arena, MAIN_ARENA_BYTES_MAX);
    int exit_code = run_command(argc, argv, &arena);
    arena_deinit(&arena);
    return exit_code;
}
