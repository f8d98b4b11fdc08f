#include "platform/db_readers.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <limits.h>
#include <pthread.h>
#include <string.h>

#include "scratch_store.h"

struct fixture {
    struct scratch    *scratch;
    struct db_readers *readers;
};

static int fixture_setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    fixture->scratch = scratch_make();
    struct db *db = scratch_open(fixture->scratch, DB_WRITE);
    scratch_script(db, "CREATE TABLE rows (id INTEGER PRIMARY KEY); INSERT INTO rows VALUES (7)");
    db_close(db);
    fixture->readers = db_readers_open(fixture->scratch->url);
    *state = fixture;
    return 0;
}

static int fixture_teardown(void **state)
{
    struct fixture *fixture = *state;
    db_readers_close(fixture->readers);
    scratch_remove(fixture->scratch);
    free(fixture);
    return 0;
}

#define readers_test(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

/* Descriptors of this process that are the store's main file. */
static int store_fds(const struct scratch *scratch)
{
    char store[PATH_MAX];
    assert_non_null(realpath(scratch->path, store));
    int  count = 0;
    DIR *dir = opendir("/proc/self/fd");
    assert_non_null(dir);
    for (struct dirent *entry = readdir(dir); entry; entry = readdir(dir)) {
        char    target[PATH_MAX];
        ssize_t len = readlinkat(dirfd(dir), entry->d_name, target, sizeof(target) - 1);
        if (len < 0) continue;
        target[len] = '\0';
        if (strcmp(target, store) == 0) count++;
    }
    closedir(dir);
    return count;
}

static struct db *reader_of(struct db_readers *readers)
{
    struct error error = { 0 };
    struct db   *db = NULL;
    if (db_readers_get(readers, &error, &db)) fail_msg("%s: %s", error.slug, error.detail);
    return db;
}

/* --- one thread --- */

static void nothing_is_opened_before_it_is_asked_for(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(store_fds(fixture->scratch), 0);
}

static void thread_keeps_its_connection(void **state)
{
    struct fixture *fixture = *state;
    struct db      *db = reader_of(fixture->readers);
    assert_ptr_equal(reader_of(fixture->readers), db);
    assert_int_equal(store_fds(fixture->scratch), 1);
    assert_int_equal(scratch_int(db, "SELECT id FROM rows"), 7);
}

static void connection_cannot_write(void **state)
{
    struct fixture *fixture = *state;
    struct db      *db = reader_of(fixture->readers);
    struct error    error = { 0 };
    assert_int_not_equal(db_script(db, "INSERT INTO rows VALUES (8)", &error), ERR_OK);
    assert_int_equal(scratch_int(db, "SELECT count(*) FROM rows"), 1);
}

static void close_ends_the_connection_of_a_living_thread(void **state)
{
    struct fixture *fixture = *state;
    reader_of(fixture->readers);
    db_readers_close(fixture->readers);
    fixture->readers = NULL;
    assert_int_equal(store_fds(fixture->scratch), 0);
}

static void sets_are_separate(void **state)
{
    struct fixture    *fixture = *state;
    struct db_readers *other = db_readers_open(fixture->scratch->url);
    assert_ptr_not_equal(reader_of(other), reader_of(fixture->readers));
    db_readers_close(other);
    assert_int_equal(scratch_int(reader_of(fixture->readers), "SELECT id FROM rows"), 7);
}

static void failure_to_open_is_told_and_not_kept(void **state)
{
    struct fixture    *fixture = *state;
    char               url[160];
    struct error       error = { 0 };
    struct db         *db = NULL;
    struct db_readers *readers;
    snprintf(url, sizeof(url), "sqlite:%s/later.db", fixture->scratch->dir);
    readers = db_readers_open(url);
    assert_int_equal(db_readers_get(readers, &error, &db), ERR_UNAVAILABLE);
    assert_string_equal(error.slug, "database_open");
    assert_null(db);

    struct db *maker;
    assert_int_equal(db_open(url, DB_WRITE, &error, &maker), ERR_OK);
    scratch_script(maker, "CREATE TABLE rows (id INTEGER)");
    db_close(maker);
    assert_int_equal(scratch_int(reader_of(readers), "SELECT count(*) FROM rows"), 0);
    db_readers_close(readers);
}

/* --- several threads --- */

enum { THREADS = 8 };

struct user {
    struct fixture    *fixture;
    pthread_barrier_t *opened, *counted;
    pthread_t          thread;
    struct db         *db;
    int64_t            value;
};

static void *use(void *argument)
{
    struct user *user = argument;
    struct error error = { 0 };
    if (db_readers_get(user->fixture->readers, &error, &user->db) == ERR_OK) {
        struct stmt *q = db_query(user->db, "SELECT id FROM rows");
        if (stmt_step(q)) user->value = column_int(q, 0);
        if (stmt_end(q, &error)) user->value = -1;
    }
    if (user->opened) pthread_barrier_wait(user->opened);
    if (user->counted) pthread_barrier_wait(user->counted);
    return NULL;
}

static void threads_have_a_connection_each_and_take_it_with_them(void **state)
{
    struct fixture   *fixture = *state;
    pthread_barrier_t opened, counted;
    struct user       users[THREADS];
    pthread_barrier_init(&opened, NULL, THREADS + 1);
    pthread_barrier_init(&counted, NULL, THREADS + 1);
    for (int i = 0; i < THREADS; i++) {
        users[i] = (struct user){ .fixture = fixture, .opened = &opened, .counted = &counted };
        assert_int_equal(pthread_create(&users[i].thread, NULL, use, &users[i]), 0);
    }
    pthread_barrier_wait(&opened);
    int while_living = store_fds(fixture->scratch);
    pthread_barrier_wait(&counted);
    for (int i = 0; i < THREADS; i++)
        pthread_join(users[i].thread, NULL);
    pthread_barrier_destroy(&opened);
    pthread_barrier_destroy(&counted);

    assert_int_equal(while_living, THREADS);
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(users[i].value, 7);
        for (int j = 0; j < i; j++)
            assert_ptr_not_equal(users[i].db, users[j].db);
    }
    assert_int_equal(store_fds(fixture->scratch), 0);
}

/* SQLite parks a closed descriptor while another connection of the process holds a lock on the
 * file, and hands it to the next: a few are kept, however many threads come and go. */
static void threads_that_come_and_go_do_not_pile_up_descriptors(void **state)
{
    struct fixture *fixture = *state;
    reader_of(fixture->readers);
    for (int i = 0; i < 50; i++) {
        struct user user = { .fixture = fixture };
        assert_int_equal(pthread_create(&user.thread, NULL, use, &user), 0);
        pthread_join(user.thread, NULL);
        assert_int_equal(user.value, 7);
        assert_true(store_fds(fixture->scratch) <= 2);
    }
}

/* The list of connections is kept while threads join and leave it from every side. */
static void set_may_be_closed_after_threads_left_in_any_order(void **state)
{
    struct fixture *fixture = *state;
    struct user     users[THREADS];
    for (int round = 0; round < 10; round++) {
        for (int i = 0; i < THREADS; i++) {
            users[i] = (struct user){ .fixture = fixture };
            assert_int_equal(pthread_create(&users[i].thread, NULL, use, &users[i]), 0);
        }
        for (int i = 0; i < THREADS; i++)
            pthread_join(users[i].thread, NULL);
    }
    assert_int_equal(store_fds(fixture->scratch), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        readers_test(nothing_is_opened_before_it_is_asked_for),
        readers_test(thread_keeps_its_connection),
        readers_test(connection_cannot_write),
        readers_test(close_ends_the_connection_of_a_living_thread),
        readers_test(sets_are_separate),
        readers_test(failure_to_open_is_told_and_not_kept),
        readers_test(threads_have_a_connection_each_and_take_it_with_them),
        readers_test(threads_that_come_and_go_do_not_pile_up_descriptors),
        readers_test(set_may_be_closed_after_threads_left_in_any_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
