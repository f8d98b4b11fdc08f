#include "platform/db_readers.h"

#include <pthread.h>
#include <stdlib.h>

/* One thread's connection, in the list of all so that closing the set finds it. */
struct reader {
    struct db_readers *owner;
    struct db         *db;
    struct reader     *next, *previous;
};

struct db_readers {
    const char     *url;
    pthread_key_t   key;
    pthread_mutex_t lock;
    struct reader  *first;
};

static void reader_close(struct reader *reader)
{
    db_close(reader->db);
    free(reader);
}

/* The thread ends. */
static void reader_leave(void *value)
{
    struct reader     *reader = value;
    struct db_readers *readers = reader->owner;
    pthread_mutex_lock(&readers->lock);
    if (reader->previous) reader->previous->next = reader->next;
    if (reader->next) reader->next->previous = reader->previous;
    if (readers->first == reader) readers->first = reader->next;
    pthread_mutex_unlock(&readers->lock);
    reader_close(reader);
}

struct db_readers *db_readers_open(const char *url)
{
    struct db_readers *readers = calloc(1, sizeof(*readers));
    CHECK(readers != NULL);
    readers->url = url;
    CHECK(pthread_key_create(&readers->key, reader_leave) == 0);
    CHECK(pthread_mutex_init(&readers->lock, NULL) == 0);
    return readers;
}

void db_readers_close(struct db_readers *readers)
{
    if (readers == NULL) return;
    pthread_key_delete(readers->key);
    while (readers->first) {
        struct reader *reader = readers->first;
        readers->first = reader->next;
        reader_close(reader);
    }
    pthread_mutex_destroy(&readers->lock);
    free(readers);
}

static enum err reader_open(struct db_readers *readers, struct error *error,
                            struct reader **ret_reader)
{
    struct db *db;
    enum err   e = db_open(readers->url, DB_READ, error, &db);
    if (e) return e;
    struct reader *reader = calloc(1, sizeof(*reader));
    CHECK(reader != NULL);
    reader->owner = readers;
    reader->db = db;
    pthread_mutex_lock(&readers->lock);
    reader->next = readers->first;
    if (reader->next) reader->next->previous = reader;
    readers->first = reader;
    pthread_mutex_unlock(&readers->lock);
    CHECK(pthread_setspecific(readers->key, reader) == 0);
    *ret_reader = reader;
    return ERR_OK;
}

enum err db_readers_get(struct db_readers *readers, struct error *error, struct db **ret_db)
{
    struct reader *reader = pthread_getspecific(readers->key);
    enum err       e = reader ? ERR_OK : reader_open(readers, error, &reader);
    if (e) return e;
    *ret_db = reader->db;
    return ERR_OK;
}
