#include "base/a.h"
#include "contract/contract.h"
