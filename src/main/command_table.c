#include "main/command_table.h"

#include <string.h>

enum { NAMES_BYTES_MAX = 1024 };

static const struct command_flag no_flags[] = { { 0 } };
static const struct command_flag create_org_flags[] = {
    { "name", "NAME", "what the organization is called", true },
    { "email", "EMAIL", "its address; one organization each", true },
    { "credits", "CENTS", "live credit to begin with (0)", false },
    { 0 }
};
static const struct command_flag create_key_flags[] = {
    { "org", "ID", "the organization, org_…", true },
    { "environment", "live|test", "the world that the key belongs to", true },
    { "name", "NAME", "what the key is called (operator's key)", false },
    { "scopes", "A,B", "what it may do, as jobs:read,jobs:write (everything)", false },
    { 0 }
};
static const struct command_flag unfreeze_org_flags[] = {
    { "org", "ID", "the organization, org_…", true }, { 0 }
};
static const struct command_flag create_worker_flags[] = {
    { "name", "NAME", "what the worker is called", true },
    { "email", "EMAIL", "the worker's address; one worker each", true },
    { 0 }
};
static const struct command_flag invite_worker_flags[] = {
    { "name", "NAME", "a note of whom the link is for", false }, { 0 }
};
static const struct command_flag drop_server_keys_flags[] = {
    { "force", "on|off", "drop keys that something still needs, too (off)", false }, { 0 }
};
static const struct command_flag audit_flags[] = {
    { "blobs", "on|off", "hash every stored file anew (off)", false },
    { "audit-head", "NUMBER:HEX", "a head from the log, which must be in the store", false },
    { 0 }
};
static const struct command_flag score_flags[] = {
    { "job", "PATH|-", "the job as JSON, - is standard input (none: only what holds for all)",
      false },
    { 0 }
};
static const struct command_flag listen_flags[] = {
    { "forward-to", "URL", "post each event there, signed as deliveries are", false },
    { "url", "URL", "the server to listen to (http://127.0.0.1:3000)", false },
    { "api-key-file", "PATH", "a file with the API key, instead of FIRSTHAND_API_KEY", false },
    { "events", "A,B", "only events of these types (all)", false },
    { "secret", "whsec_…", "what to sign with (made anew, and printed)", false },
    { "after", "occ_…", "begin behind this event (the newest)", false },
    { 0 }
};
static const struct command_flag demo_flags[] = {
    { "files", "\"A B\"", "the files to send, separated by spaces", false }, { 0 }
};

static const struct command commands[] = {
    { "serve", cmd_serve, "run the server", no_flags, true, false },
    { "migrate", cmd_migrate, "bring the store up to date", no_flags, true, false },
    { "admin create-org", cmd_create_org, "a new organization with a live and a test key",
      create_org_flags, true, false },
    { "admin create-key", cmd_create_key, "a new API key", create_key_flags, true, false },
    { "admin unfreeze-org", cmd_unfreeze_org,
      "let an organization post jobs again after a refund or dispute", unfreeze_org_flags, true,
      false },
    { "admin create-worker", cmd_create_worker, "a new worker with a token that does not expire",
      create_worker_flags, true, false },
    { "admin invite-worker", cmd_invite_worker, "a single-use link to join", invite_worker_flags,
      true, false },
    { "admin rotate-server-key", cmd_rotate_server_key,
      "a new server key; older ones stay good until they are dropped", no_flags, true, false },
    { "admin drop-server-keys", cmd_drop_server_keys,
      "drop older server keys that nothing needs any more", drop_server_keys_flags, true, false },
    { "audit", cmd_audit, "check the invariants and the audit's seals; exit 1 on a breach",
      audit_flags, true, false },
    { "score", cmd_score, "judge one file as the server would", score_flags, true, true },
    { "listen", cmd_listen,
      "print an organization's events and forward them, signed; key: FIRSTHAND_API_KEY",
      listen_flags, false, false },
    { "demo", cmd_demo, "serve, and do the main job once", demo_flags, true, false },
    { "config", cmd_config, "print the effective settings", no_flags, true, false },
    { "version", cmd_version, "print what this program is made of", no_flags, false, false },
};

/* How many words the command's name takes; 0 = it is another command. */
static int words_matched(const struct command *command, int words_count, char *const *words)
{
    struct str rest = str_of(command->name), word;
    int        count = 0;
    while (str_cut(&rest, ' ', &word)) {
        if (count >= words_count || !str_eq(word, str_of(words[count]))) return 0;
        count++;
    }
    return count;
}

const struct command *command_find(int words_count, char *const *words, int *ret_name_words)
{
    for (size_t i = 0; i < COUNT_OF(commands); i++) {
        *ret_name_words = words_matched(&commands[i], words_count, words);
        if (*ret_name_words > 0) return &commands[i];
    }
    return NULL;
}

/* What follows the group's word in a command's name; absent in another's. */
static struct str name_in_group(const struct command *command, const char *word)
{
    struct str rest = str_of(command->name), first;
    str_cut(&rest, ' ', &first);
    return str_eq(first, str_of(word)) ? rest : STR_NONE;
}

bool command_is_group(const char *word)
{
    for (size_t i = 0; i < COUNT_OF(commands); i++)
        if (name_in_group(&commands[i], word).data) return true;
    return false;
}

struct str command_group_names(const char *word, struct arena *arena)
{
    struct buf names;
    buf_init(&names, arena, NAMES_BYTES_MAX);
    for (size_t i = 0; i < COUNT_OF(commands); i++) {
        struct str name = name_in_group(&commands[i], word);
        if (name.data) buf_fmt(&names, "%s%.*s", names.len ? ", " : "", STR_ARG(name));
    }
    return buf_str(&names);
}

static void print_usage(FILE *out, const struct command *command)
{
    if (command->has_file) fprintf(out, " FILE");
    for (const struct command_flag *flag = command->flags; flag->name; flag++)
        fprintf(out, flag->is_required ? " --%s %s" : " [--%s %s]", flag->name, flag->value);
}

static void print_line(FILE *out, const struct command *command)
{
    fprintf(out, "  %-24s %s\n", command->name, command->meaning);
    if (command->flags->name == NULL) return;
    fprintf(out, "%26s", "");
    print_usage(out, command);
    fprintf(out, "\n");
}

void command_help_group(FILE *out, const char *word)
{
    fprintf(out, "usage: firsthand %s COMMAND [--flag value]...\n\n", word);
    for (size_t i = 0; i < COUNT_OF(commands); i++)
        if (name_in_group(&commands[i], word).data) print_line(out, &commands[i]);
}

void command_help_all(FILE *out, struct arena *arena)
{
    fprintf(out, "usage: firsthand COMMAND [--flag value]...\n\n");
    for (size_t i = 0; i < COUNT_OF(commands); i++)
        print_line(out, &commands[i]);
    fprintf(out, "  %-24s %s\n", "help COMMAND", "more about one, as COMMAND --help");
    fprintf(out, "\nResults go to standard output, everything else to standard error.\n"
                 "Exit status: 0 done, 1 refused or a breach, 2 wrong use.\n");
    fprintf(out, "\nsettings, as flags or as FIRSTHAND_… in the environment:\n%s",
            config_help(arena).data);
}

void command_help_one(FILE *out, const struct command *command)
{
    fprintf(out, "usage: firsthand %s", command->name);
    print_usage(out, command);
    fprintf(out, "%s\n\n%s\n", command->has_settings ? " [--SETTING VALUE]..." : "",
            command->meaning);
    for (const struct command_flag *flag = command->flags; flag->name; flag++)
        fprintf(out, "%s  --%s %s\n        %s\n", flag == command->flags ? "\n" : "", flag->name,
                flag->value, flag->meaning);
    if (command->has_settings) fprintf(out, "\nsettings: firsthand --help\n");
}
