/* Runners: threads that do what tasks ask for, and the sweeper that writes down what time has done.
 * They touch the store only through the writer. */
#ifndef FIRSTHAND_RUNNER_RUNNER_H
#define FIRSTHAND_RUNNER_RUNNER_H

#include "base/world.h"
#include "domain/after_commit.h"
#include "domain/meter.h"
#include "domain/rehash.h"
#include "domain/task.h"
#include "platform/blob.h"
#include "platform/db_readers.h"
#include "platform/http_guard.h"
#include "platform/media_zygote.h"
#include "platform/writer.h"

static const int64_t SCORE_LEASE_MS_MARGIN = 60 * 1000; /* beyond the child's wall limit */
static const int64_t TASK_LEASE_MS = 10 * 60 * 1000;    /* of the other kinds */
static const int64_t SWEEP_EVERY_MS = 5 * 1000;

/* What examining one file may take, by the settings. */
void score_media_limits(const struct config *config, struct media_limits *ret_limits);

/* What every runner needs; made by app.c, immutable while they run. */
struct runner_services {
    const struct config     *config;
    const struct keyring    *keyring;
    struct world            *world;
    struct db_readers       *readers;
    struct writer           *writer;
    const struct blob_store *blobs;
    struct media_zygote     *zygote;
    struct meter            *meter;
    const char              *webhook_ca_path; /* NULL = the system's authorities */
    const struct http_guard *guard;           /* where webhooks may go */
    struct after_commit      after_commit;    /* whom else to tell: runners wake themselves */
    struct rehash_table     *rehash;
    /* Expire uploads, in the store and on disk: they belong to the API. */
    void (*sweep_uploads)(void *context);
    void *uploads_context;
};

struct runners;

/* Make due again what a dead process had claimed, then start the threads. Ends the process when one
 * cannot be started. Ended by runners_stop, which takes NULL for none. */
struct runners *runners_start(const struct runner_services *services);

/* Tasks or events were added, or the clock was moved. Thread-safe. */
void runners_wake(struct runners *runners);

/* Sweep, then wait until no task or delivery that is due is left or under way, at most wait_ms of
 * real time. */
void runners_run_due(struct runners *runners, int64_t wait_ms);

/* Finish what is under way and end the threads. */
void runners_stop(struct runners *runners);

#endif
