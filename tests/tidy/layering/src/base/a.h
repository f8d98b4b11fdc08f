#include "domain/job.h"
