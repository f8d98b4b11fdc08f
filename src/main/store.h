/* The store as a command sees it: opened, migrated, with its key and its time. */
#ifndef FIRSTHAND_MAIN_STORE_H
#define FIRSTHAND_MAIN_STORE_H

#include "base/world.h"
#include "domain/call.h"

/* The store and what belongs to it: enough for every command. */
struct store {
    struct arena          arena; /* for the process's life */
    struct config         config;
    const char           *database_url;
    const struct keyring *keyring;
    struct world          world;
};

/* Open the data directory: made when absent; as its owner (root becomes him) or not at all; store
 * migrated, server key read, clock set. Open to others, it is closed to them (mode 0700) when it is
 * empty or ours, else refused if they may write. config is copied. store_close ends it.
 * ERR_UNAVAILABLE "data_dir" | "data_dir_permissions", or what disk_make_directories,
 * keyring_open, db_open and db_migrate answer; nothing is left open then. */
MUST_USE enum err store_open(struct store *store, const struct config *config, struct error *error);
void              store_close(struct store *store);

/* The same in two steps, for a server that locks the directory first. */
MUST_USE enum err store_enter(struct store *store, const struct config *config,
                              struct error *error);
MUST_USE enum err store_migrate(struct store *store, struct error *error);

/* Has the store been made yet? For commands that must not make one. */
bool store_is_there(const struct config *config, struct arena *arena);

/* Run in one write transaction on a connection of its own, as an operator: for commands. The call's
 * arena is the store's. */
MUST_USE enum err store_commit(struct store *store, struct call                         *call,
                               enum err (*run)(struct call *call, void *argument), void *argument);

/* The same for reading, in one snapshot. */
MUST_USE enum err store_read(struct store *store, struct call                         *call,
                             enum err (*run)(struct call *call, void *argument), void *argument);

#endif
