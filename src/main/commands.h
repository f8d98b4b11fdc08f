/* The commands of the program, one file each. Every one takes its flags, prints its result on
 * stdout and everything else on stderr, and returns the exit code: 0 ok, 1 refused, 2 usage. */
#ifndef FIRSTHAND_MAIN_COMMANDS_H
#define FIRSTHAND_MAIN_COMMANDS_H

#include "base/error.h"
#include "base/json_out.h"
#include "platform/config.h"

enum { EXIT_OK = 0, EXIT_REFUSED = 1, EXIT_USAGE = 2 };

int cmd_serve(struct flags *flags, struct arena *arena);
int cmd_migrate(struct flags *flags, struct arena *arena);
int cmd_create_org(struct flags *flags, struct arena *arena);
int cmd_create_key(struct flags *flags, struct arena *arena);
int cmd_unfreeze_org(struct flags *flags, struct arena *arena);
int cmd_create_worker(struct flags *flags, struct arena *arena);
int cmd_invite_worker(struct flags *flags, struct arena *arena);
int cmd_rotate_server_key(struct flags *flags, struct arena *arena);
int cmd_drop_server_keys(struct flags *flags, struct arena *arena);
int cmd_audit(struct flags *flags, struct arena *arena);
int cmd_score(struct flags *flags, struct arena *arena);
int cmd_listen(struct flags *flags, struct arena *arena);
int cmd_demo(struct flags *flags, struct arena *arena);
int cmd_config(struct flags *flags, struct arena *arena);
int cmd_version(struct flags *flags, struct arena *arena);

/* One line on stderr; the exit code that fits the error. */
int command_refused(const struct error *error);

/* Settings from flags and environment; every flag must have been taken. EXIT_OK, or an exit code
 * after a line on stderr. */
MUST_USE int command_config(struct flags *flags, struct arena *arena, struct config *ret_config);

/* A result: one JSON object on one line of stdout. */
void command_print(struct buf *json);

#endif
