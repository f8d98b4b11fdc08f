/* The application: the parts of a server, made in order and ended in reverse; and the smaller set a
 * command needs. The only file besides arena.c that may allocate for the process's life. */
#ifndef FIRSTHAND_MAIN_APP_H
#define FIRSTHAND_MAIN_APP_H

#include "api/api.h"
#include "runner/runner.h"

/* The store and what belongs to it: enough for every command. */
struct store {
    struct arena          arena; /* for the process's life */
    struct config         config;
    const char           *database_url;
    const struct keyring *keyring;
    struct world          world;
};

/* Open the data directory: made when absent; as its owner (root becomes him) or not at all; store
 * migrated, server key read, clock set. config is copied. store_close ends it.
 * ERR_UNAVAILABLE "data_dir" | "server_key_…" | "database_open", ERR_CONFLICT "schema_newer" | ….
 */
MUST_USE enum err store_open(struct store *store, const struct config *config, struct error *error);
void              store_close(struct store *store);

/* Run in one write transaction on a connection of its own, as an operator: for commands. The call's
 * arena is the store's. */
MUST_USE enum err store_commit(struct store *store, struct call                         *call,
                               enum err (*run)(struct call *call, void *argument), void *argument);

/* The same for reading, in one snapshot. */
MUST_USE enum err store_read(struct store *store, struct call                         *call,
                             enum err (*run)(struct call *call, void *argument), void *argument);

struct app;

/* Start everything and listen. *ret_app is owned by the caller until app_stop. One error says why
 * not; what was started is ended again. ERR_CONFLICT "data_dir_in_use": another server runs here.
 */
MUST_USE enum err app_start(const struct config *config, struct error *error, struct app **ret_app);

/* Stop accepting, finish what is under way, checkpoint, end. */
void app_stop(struct app *app);

struct store *app_store(struct app *app);
int           app_port(const struct app *app);

/* "http://127.0.0.1:3000": where it really listens. Owned by the app. */
struct str app_url(const struct app *app);

#endif
