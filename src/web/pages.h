/* The pages compiled in from web/: how people without a client get in. */
#ifndef FIRSTHAND_WEB_PAGES_H
#define FIRSTHAND_WEB_PAGES_H

#include "api/api.h"

/* Ended by an empty row; for api_bind. */
extern const struct binding pages_bindings[];

/* The text of a page, by its name in web/; CHECKs that it is there. */
struct str page_text(const char *name);

#endif
