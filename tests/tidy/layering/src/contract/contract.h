#include "base/a.h"

#include "platform/db.h"
