/* What every command that serves has in common: log, signals, start, and the wait for the end. */
#ifndef FIRSTHAND_MAIN_SERVING_H
#define FIRSTHAND_MAIN_SERVING_H

#include "main/app.h"

/* Open the log, block the signals that serving_wait takes, start the app. Errors: as app_start, and
 * ERR_INVALID "bad_setting" for the log. */
MUST_USE enum err serving_start(const struct config *config, struct arena *arena,
                                struct error *error, struct app **ret_app);

/* Until SIGTERM or SIGINT; SIGHUP reopens the log meanwhile. */
void serving_wait(void);

#endif
