#include "runner/runner_call.h"

static const struct actor runner_actor = { .kind = ACTOR_RUNNER };

void runner_call_init(const struct runner_services *services, struct arena *arena,
                      struct call *ret_call)
{
    *ret_call = (struct call){
        .arena = arena,
        .config = services->config,
        .keyring = services->keyring,
        .actor = runner_actor,
    };
}

struct commit {
    const struct runner_services *services;
    struct call                  *call;
    enum err (*run)(struct call *call, void *argument);
    void *argument;
};

static enum err commit_run(void *argument, struct db *db, struct error *error)
{
    struct commit *commit = argument;
    call_begin(commit->call, db, world_now_ms(commit->services->world), &runner_actor);
    enum err e = commit->run(commit->call, commit->argument);
    if (e) *error = commit->call->error;
    return e;
}

enum err runner_commit(const struct runner_services *services, struct call      *call,
                       enum err (*run)(struct call *call, void *argument), void *argument)
{
    struct commit commit = { services, call, run, argument };
    struct error  error = { 0 };
    enum err      e = writer_call(services->writer, commit_run, &commit, &error);
    if (e) call->error = error;
    if (e == ERR_OK) after_commit_tell(&services->after_commit, call);
    return e;
}

enum err runner_read(const struct runner_services *services, struct call      *call,
                     enum err (*run)(struct call *call, void *argument), void *argument)
{
    struct db *db;
    enum err   e = db_readers_get(services->readers, &call->error, &db);
    if (e) return e;
    call_begin(call, db, world_now_ms(services->world), &runner_actor);
    e = db_begin(db, &call->error);
    if (e) return e;
    e = run(call, argument);
    db_rollback(db);
    return e;
}
