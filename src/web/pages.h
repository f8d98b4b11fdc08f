/* The pages compiled in from web/: how people without a client get in. */
#ifndef FIRSTHAND_WEB_PAGES_H
#define FIRSTHAND_WEB_PAGES_H

#include "api/api.h"

/* Ended by an empty row; for api_bind. */
extern const struct binding pages_bindings[];

#endif
