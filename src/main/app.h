/* The application: the parts of a server, made in order and ended in reverse. */
#ifndef FIRSTHAND_MAIN_APP_H
#define FIRSTHAND_MAIN_APP_H

#include "main/store.h"

struct app;

/* Start everything and listen. *ret_app is owned by the caller until app_stop. One error says why
 * not; what was started is ended again. ERR_CONFLICT "data_dir_in_use": another server runs here.
 */
MUST_USE enum err app_start(const struct config *config, struct error *error, struct app **ret_app);

/* Stop accepting, finish what is under way, checkpoint, end. */
void app_stop(struct app *app);

struct store *app_store(struct app *app);

/* "http://127.0.0.1:3000": where it really listens. Owned by the app. */
struct str app_url(const struct app *app);

#endif
