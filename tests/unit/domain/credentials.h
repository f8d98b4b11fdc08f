/* Whoever has a credential, for the tests of what happens to it. Beside store_call.h. */
#ifndef FIRSTHAND_TESTS_CREDENTIALS_H
#define FIRSTHAND_TESTS_CREDENTIALS_H

#include "domain/api_key.h"
#include "domain/organisation.h"
#include "domain/worker.h"
#include "store_call.h"

/* server.key: as it was, with a newer key, and once the older one was dropped. */
static const char BEFORE[] = "1 00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff\n";
static const char AFTER[] = "2 ffeeddccbbaa99887766554433221100ffeeddccbbaa99887766554433221100\n"
                            "1 00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff\n";
static const char DROPPED[] =
    "2 ffeeddccbbaa99887766554433221100ffeeddccbbaa99887766554433221100\n";

/* Of an organisation of its own. */
static inline struct api_key credentials_key(struct store_call *at)
{
    struct id          org_id;
    struct api_key     key;
    struct key_request request = { .name = STR("k"), .scopes = 1 };
    assert_done(&at->call,
                organisation_create(&at->call, STR("A"), STR("a@example.com"), 0, &org_id));
    assert_done(&at->call, api_key_create(&at->call, &org_id, &request, &key));
    return key;
}

static inline struct id credentials_worker(struct store_call *at)
{
    struct id worker_id;
    assert_done(&at->call,
                worker_create(&at->call, STR("W"), STR("w@example.com"), STR_NONE, &worker_id));
    return worker_id;
}

#endif
