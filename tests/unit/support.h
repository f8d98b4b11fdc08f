/* What the tests of domain and API code stand on: a real store, migrated, in a directory of its
 * own, and a call in its write transaction. The including test has cmocka.h included before. */
#ifndef FIRSTHAND_TESTS_SUPPORT_H
#define FIRSTHAND_TESTS_SUPPORT_H

#include "base/world.h"
#include "domain/job.h"
#include "domain/organisation.h"
#include "domain/reservation.h"
#include "domain/worker.h"
#include "platform/db_migrate.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { HOUSE_ARENA_BYTES_MAX = 64 << 20 };

struct house {
    char                  dir[64];
    char                  url[128];
    struct arena          arena;
    struct config         config;
    const struct keyring *keyring;
    struct world          world;
    struct db            *db;
    struct call           call; /* in a write transaction; house_commit begins the next */
    int                   made;
};

static inline char *house_no_environment(const char *name)
{
    (void)name;
    return NULL;
}

#define house_ok(house, expression) house_must((house), (expression), __FILE__, __LINE__)
static inline void house_must(struct house *house, enum err e, const char *file, int line)
{
    if (e) fail_msg("%s:%d: %s: %s", file, line, house->call.error.slug, house->call.error.detail);
}

#define house_refuses(house, expression, code, slug_wanted)                                        \
    do {                                                                                           \
        assert_int_equal((expression), (code));                                                    \
        assert_string_equal((house)->call.error.slug, (slug_wanted));                              \
    } while (0)

static inline void house_begin(struct house *house)
{
    struct actor actor = house->call.actor;
    house_ok(house, db_begin(house->db, &house->call.error));
    call_begin(&house->call, house->db, world_now_ms(&house->world), &actor);
}

static inline void house_commit(struct house *house)
{
    house_ok(house, db_commit(house->db, &house->call.error));
    house_begin(house);
}

/* Time passes: the next transaction is that much later. */
static inline void house_advance(struct house *house, int64_t milliseconds)
{
    world_advance_ms(&house->world, milliseconds);
    house_commit(house);
}

static inline struct house *house_open(void)
{
    struct house *house = calloc(1, sizeof(*house));
    struct flags  flags = { 0 };
    assert_non_null(house);
    snprintf(house->dir, sizeof(house->dir), "/tmp/firsthand-house-XXXXXX");
    assert_non_null(mkdtemp(house->dir));
    snprintf(house->url, sizeof(house->url), "sqlite:%s/store.db", house->dir);
    arena_init(&house->arena, HOUSE_ARENA_BYTES_MAX);
    house->call.arena = &house->arena;
    house->call.config = &house->config;
    struct error *error = &house->call.error;
    house_ok(house,
             config_load(&flags, house_no_environment, &house->arena, error, &house->config));
    house_ok(house, keyring_open(str_format(&house->arena, "%s/server.key", house->dir).data, true,
                                 &house->arena, error, &house->keyring));
    house->call.keyring = house->keyring;
    house_ok(house, db_open(house->url, DB_WRITE, error, &house->db));
    house_ok(house, db_migrate(house->db, world_now_ms(&house->world), error, NULL));
    house_begin(house);
    return house;
}

static inline int house_remove_entry(const char *path, const struct stat *info, int kind,
                                     struct FTW *place)
{
    (void)info;
    (void)kind;
    (void)place;
    return remove(path);
}

static inline void house_close(struct house *house)
{
    db_rollback(house->db);
    db_close(house->db);
    arena_deinit(&house->arena);
    nftw(house->dir, house_remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    free(house);
}

static inline int house_setup(void **state)
{
    *state = house_open();
    return 0;
}

static inline int house_teardown(void **state)
{
    house_close(*state);
    return 0;
}

#define house_test(name) cmocka_unit_test_setup_teardown(name, house_setup, house_teardown)

/* A job of a new organisation that takes formats; the actor is its key afterwards. */
static inline struct job house_job(struct house *house, int64_t files_needed, unsigned formats)
{
    struct id  org_id;
    struct job job = {
        .type = JOB_DATA_COLLECTION,
        .description = STR("Street signs"),
        .files_needed = files_needed,
        .formats_text = STR("image/png"),
        .formats = formats,
        .price_cents = 50,
        .metadata = STR("{}"),
        .min_stars = JOB_STARS_MIN_DEFAULT,
    };
    struct str email = str_format(&house->arena, "buyer%d@example.com", ++house->made);
    house->call.actor = (struct actor){ .kind = ACTOR_OPERATOR };
    house_ok(house, organisation_create(&house->call, STR("Buyer"), email, 1000000, &org_id));
    house->call.actor =
        (struct actor){ .kind = ACTOR_API_KEY, .org_id = org_id, .environment = ENVIRONMENT_LIVE };
    house_ok(house, job_create(&house->call, &job));
    return job;
}

/* A new worker, who is the actor afterwards. */
static inline struct id house_worker(struct house *house)
{
    struct id  worker_id;
    struct str email = str_format(&house->arena, "worker%d@example.com", ++house->made);
    house->call.actor = (struct actor){ .kind = ACTOR_OPERATOR };
    house_ok(house, worker_create(&house->call, STR("Worker"), email, STR_NONE, &worker_id));
    house->call.actor = (struct actor){ .kind = ACTOR_WORKER, .worker_id = worker_id };
    return worker_id;
}

static inline struct reservation house_reservation(struct house *house, const struct job *job)
{
    struct reservation reservation;
    bool               is_new;
    house_ok(house, reservation_accept(&house->call, id_str(&job->id), &(struct whereabouts){ 0 },
                                       &reservation, &is_new));
    assert_true(is_new);
    return reservation;
}

#endif
