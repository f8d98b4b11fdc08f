#include "platform/http_server_private.h"
