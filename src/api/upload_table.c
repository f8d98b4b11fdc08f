#include "api/upload_table_private.h"

#include <stdlib.h>
#include <string.h>

/* --- the table --- */

struct upload_table *upload_table_open(const struct api *api)
{
    struct upload_table *table = calloc(1, sizeof(*table));
    CHECK(table != NULL);
    table->api = api;
    CHECK(pthread_mutex_init(&table->lock, NULL) == 0);
    for (int i = 0; i < UPLOAD_STRIPES; i++)
        CHECK(pthread_mutex_init(&table->stripes[i], NULL) == 0);
    return table;
}

void upload_table_close(struct upload_table *table)
{
    if (table == NULL) return;
    for (int i = 0; i < table->sessions_used; i++) {
        struct upload_session *session = &table->sessions[i];
        CHECK(session->pins == 0);
        upload_session_drop(session);
        pthread_mutex_destroy(&session->lock);
    }
    for (int i = 0; i < UPLOAD_STRIPES; i++)
        pthread_mutex_destroy(&table->stripes[i]);
    pthread_mutex_destroy(&table->lock);
    free(table);
}

int upload_table_count(struct upload_table *table)
{
    pthread_mutex_lock(&table->lock);
    int count = table->count;
    pthread_mutex_unlock(&table->lock);
    return count;
}

static uint32_t hash_of(const struct id *id)
{
    return str_hash(id_str(id));
}

void upload_table_lock(struct upload_table *table, const struct id *submission_id)
{
    pthread_mutex_lock(&table->stripes[hash_of(submission_id) % UPLOAD_STRIPES]);
}

void upload_table_unlock(struct upload_table *table, const struct id *submission_id)
{
    pthread_mutex_unlock(&table->stripes[hash_of(submission_id) % UPLOAD_STRIPES]);
}

/* --- the lists, under the table's lock --- */

static struct upload_session **bucket_of(struct upload_table *table, const struct id *id)
{
    return &table->buckets[hash_of(id) % UPLOAD_BUCKETS];
}

static struct upload_session *find(struct upload_table *table, const struct id *id)
{
    struct upload_session *session = *bucket_of(table, id);
    while (session && !id_eq(&session->id, id))
        session = session->next;
    return session;
}

static void idle_add(struct upload_table *table, struct upload_session *session)
{
    session->newer = NULL;
    session->older = table->idle_newest;
    if (session->older)
        session->older->newer = session;
    else
        table->idle_oldest = session;
    table->idle_newest = session;
}

static void idle_remove(struct upload_table *table, struct upload_session *session)
{
    if (session->newer)
        session->newer->older = session->older;
    else
        table->idle_newest = session->older;
    if (session->older)
        session->older->newer = session->newer;
    else
        table->idle_oldest = session->newer;
    session->newer = session->older = NULL;
}

/* Out of its bucket, back to the unused ones. Nobody holds it. */
static void forget(struct upload_table *table, struct upload_session *session)
{
    CHECK(session->pins == 0);
    struct upload_session **link = bucket_of(table, &session->id);
    while (*link != session)
        link = &(*link)->next;
    *link = session->next;
    upload_session_drop(session);
    session->next = table->unused;
    table->unused = session;
    table->count--;
}

static struct upload_session *first_use(struct upload_table *table)
{
    struct upload_session *session = &table->sessions[table->sessions_used++];
    CHECK(pthread_mutex_init(&session->lock, NULL) == 0);
    session->table = table;
    session->fd = -1;
    return session;
}

/* An unused slot, made by dropping the idle session that was used least recently if need be. */
static struct upload_session *take_slot(struct upload_table *table)
{
    if (table->unused == NULL && table->sessions_used < UPLOAD_SESSIONS_MAX)
        return first_use(table);
    if (table->unused == NULL && table->idle_oldest) {
        struct upload_session *oldest = table->idle_oldest;
        idle_remove(table, oldest);
        forget(table, oldest);
    }
    struct upload_session *session = table->unused;
    if (session) table->unused = session->next;
    return session;
}

/* --- pins --- */

static enum err make(struct upload_table *table, const struct upload_origin *origin,
                     struct error *error, struct upload_session **ret_session)
{
    struct upload_session *session = take_slot(table);
    if (session == NULL)
        return FAIL(error, ERR_UNAVAILABLE, "uploads_busy", "%d uploads are moving already",
                    UPLOAD_SESSIONS_MAX);
    enum err e = upload_session_begin(session, origin, error);
    if (e) {
        upload_session_drop(session);
        session->next = table->unused;
        table->unused = session;
        return e;
    }
    struct upload_session **bucket = bucket_of(table, &session->id);
    session->next = *bucket;
    *bucket = session;
    table->count++;
    *ret_session = session;
    return ERR_OK;
}

static enum err pin(struct upload_table *table, const struct upload_origin *origin,
                    struct error *error, struct upload_session **ret_session)
{
    struct upload_session *session = find(table, &origin->id);
    enum err               e = ERR_OK;
    if (session == NULL) {
        e = make(table, origin, error, &session);
    } else if (session->pins == 0) {
        idle_remove(table, session);
        e = upload_session_wake(session, origin, error);
        if (e) forget(table, session);
    }
    if (e) return e;
    session->pins++;
    *ret_session = session;
    return ERR_OK;
}

enum err upload_session_pin(struct upload_table *table, const struct upload_origin *origin,
                            struct error *error, struct upload_session **ret_session)
{
    pthread_mutex_lock(&table->lock);
    enum err e = pin(table, origin, error, ret_session);
    pthread_mutex_unlock(&table->lock);
    return e;
}

void upload_session_pin_again(struct upload_session *session)
{
    struct upload_table *table = session->table;
    pthread_mutex_lock(&table->lock);
    CHECK(session->pins > 0);
    session->pins++;
    pthread_mutex_unlock(&table->lock);
}

void upload_session_unpin(struct upload_session *session)
{
    struct upload_table *table = session->table;
    pthread_mutex_lock(&table->lock);
    CHECK(session->pins > 0);
    if (--session->pins == 0) {
        upload_session_rest(session);
        if (session->is_leaving)
            forget(table, session);
        else
            idle_add(table, session);
    }
    pthread_mutex_unlock(&table->lock);
}

static void leave(struct upload_session *session)
{
    struct upload_table *table = session->table;
    pthread_mutex_lock(&table->lock);
    session->is_leaving = true;
    pthread_mutex_unlock(&table->lock);
}

/* --- in the background --- */

static void call_of(const struct upload_session *session, struct db *db, struct call *ret_call)
{
    const struct api         *api = session->table->api;
    static const struct actor runner = { .kind = ACTOR_RUNNER };
    *ret_call = (struct call){ .config = api->config, .keyring = api->keyring };
    call_begin(ret_call, db, world_now_ms(api->world), &runner);
}

static enum err refuse_run(void *argument, struct db *db, struct error *error)
{
    struct upload_session *session = argument;
    struct call            call;
    struct upload          upload = { .id = session->id };
    call_of(session, db, &call);
    enum err e = upload_end(&call, &upload, UPLOAD_REFUSED);
    if (e == ERR_CONFLICT) e = ERR_OK; /* ended in another way meanwhile */
    if (e) *error = call.error;
    return e;
}

/* Without its row written the session stays, and goes on refusing; the row expires in time. */
static void end_run(void *argument)
{
    struct upload_session *session = argument;
    const struct api      *api = session->table->api;
    enum err               e = ERR_OK;
    if (!session->is_part_unwanted) {
        struct error error = { 0 };
        e = writer_call(api->writer, refuse_run, session, &error);
    }
    if (e == ERR_OK) {
        blob_part_remove(api->blobs, id_str(&session->id));
        leave(session);
    }
    upload_session_unpin(session);
}

void upload_session_end_later(struct upload_session *session)
{
    struct error error;
    upload_session_pin_again(session);
    session->end_job = (struct io_job){ .run = end_run, .argument = session };
    enum err e = io_pool_submit(session->table->api->io_pool, &session->end_job, &error);
    if (e == ERR_OK) return;
    /* Too much work waits: an unwanted part is the sweeper's then. */
    if (session->is_part_unwanted) leave(session);
    upload_session_unpin(session);
}

void upload_session_end(struct upload_session *session, bool is_part_unwanted)
{
    pthread_mutex_lock(&session->lock);
    session->life = UPLOAD_HAS_ENDED;
    session->generation++;
    session->is_part_unwanted = is_part_unwanted;
    pthread_mutex_unlock(&session->lock);
    if (is_part_unwanted)
        upload_session_end_later(session);
    else
        leave(session);
}

static enum err renew_run(void *argument, struct db *db, struct error *error)
{
    struct upload_session *session = argument;
    struct call            call;
    call_of(session, db, &call);
    pthread_mutex_lock(&session->lock);
    struct reservation reservation = session->reservation;
    pthread_mutex_unlock(&session->lock);
    enum err e = reservation_renew(&call, &reservation);
    if (e) *error = call.error;
    return e;
}

static void renew_ended(struct upload_session *session, enum err e)
{
    pthread_mutex_lock(&session->lock);
    session->is_renewing = false;
    if (e == ERR_OK) session->reservation.renewed_ms = session->renewal_ms;
    pthread_mutex_unlock(&session->lock);
    upload_session_unpin(session);
}

static void renew_done(void *argument, enum err e, const struct error *error)
{
    (void)error; /* the next piece tries again */
    renew_ended(argument, e);
}

void upload_session_renew_later(struct upload_session *session)
{
    struct error error;
    upload_session_pin_again(session);
    session->renew_job = (struct write_job){
        .run = renew_run,
        .done = renew_done,
        .argument = session,
    };
    enum err e = writer_submit(session->table->api->writer, &session->renew_job, &error);
    if (e) renew_ended(session, e);
}
