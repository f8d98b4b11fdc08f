#include "base/json_in.h"
#include "platform/http_server_private.h"
