#include "runner/sweep.h"
#include "web/pages.h"
