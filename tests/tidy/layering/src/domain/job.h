#include "platform/db.h"
/* #include "api/reply.h" */
