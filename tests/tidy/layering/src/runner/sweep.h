#include "api/reply.h"
#include "sweep_private.h"
