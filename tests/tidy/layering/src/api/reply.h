#include "domain/job.h"
#include "runner/sweep.h"
