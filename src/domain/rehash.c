#include "domain/rehash.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct rehash_table {
    pthread_mutex_t lock;
    int             count;
    struct rehash   rows[REHASH_MAX];
};

struct rehash_table *rehash_open(void)
{
    struct rehash_table *table = calloc(1, sizeof(*table));
    CHECK(table != NULL);
    CHECK(pthread_mutex_init(&table->lock, NULL) == 0);
    return table;
}

void rehash_close(struct rehash_table *table)
{
    if (table == NULL) return;
    pthread_mutex_destroy(&table->lock);
    free(table);
}

/* Under the lock. */
static bool is_noted(const struct rehash_table *table, const struct id *id)
{
    for (int i = 0; i < table->count; i++)
        if (id_eq(&table->rows[i].id, id)) return true;
    return false;
}

static void add(struct rehash_table *table, const struct rehash *rehash)
{
    pthread_mutex_lock(&table->lock);
    if (table->count < REHASH_MAX && !is_noted(table, &rehash->id))
        table->rows[table->count++] = *rehash;
    pthread_mutex_unlock(&table->lock);
}

void rehash_note(struct rehash_table *table, const struct call *call, struct str secret)
{
    const struct actor *actor = &call->actor;
    if (actor->server_key == keyring_newest(call->keyring)) return;
    struct rehash rehash = {
        .id = actor->kind == ACTOR_WORKER ? actor->session_id : actor->key_id,
    };
    struct str hash = secret_hash_new(call->keyring, secret, call->arena, &rehash.server_key);
    CHECK(hash.len == REHASH_HEX_CHARS);
    memcpy(rehash.hash, hash.data, hash.len);
    add(table, &rehash);
}

int rehash_collect(struct rehash_table *table, struct rehash *ret_rows, int count)
{
    pthread_mutex_lock(&table->lock);
    int taken = table->count < count ? table->count : count;
    memcpy(ret_rows, &table->rows[table->count - taken], (size_t)taken * sizeof(*ret_rows));
    table->count -= taken;
    pthread_mutex_unlock(&table->lock);
    return taken;
}

static struct stmt *update_of(struct db *db, const struct id *id)
{
    struct id parsed;
    if (id_parse(id_str(id), ID_SESSION, &parsed))
        return db_query(db, "UPDATE worker_sessions SET token_hash = $2, server_key = $3"
                            " WHERE id = $1");
    /* tenant: keyed by the key that was used */
    return db_query(db, "UPDATE api_keys SET hash = $2, server_key = $3 WHERE id = $1");
}

enum err rehash_store(struct call *call, const struct rehash *rehash)
{
    struct stmt *q = update_of(call->db, &rehash->id);
    bind_id(q, 1, &rehash->id);
    bind_text(q, 2, str_of(rehash->hash));
    bind_int(q, 3, rehash->server_key);
    return stmt_run(q, &call->error, NULL);
}
