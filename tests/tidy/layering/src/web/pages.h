#include "api/reply.h"
#include "main/app.h"
