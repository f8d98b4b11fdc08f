#include "bench_store.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

void bench_die(const char *what, const char *why)
{
    fprintf(stderr, "%s: %s\n", what, why);
    exit(1);
}

static void check(sqlite3 *db, int rc, const char *what)
{
    if (rc != SQLITE_OK && rc != SQLITE_DONE) bench_die(what, sqlite3_errmsg(db));
}

sqlite3 *bench_open(const char *path)
{
    sqlite3 *db;
    sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
    check(NULL,
          sqlite3_open_v2(path, &db,
                          SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL),
          path);
    bench_exec(db, "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
                   " PRAGMA cache_size = -65536; PRAGMA foreign_keys = ON;"
                   " PRAGMA temp_store = MEMORY; PRAGMA wal_autocheckpoint = 0;");
    return db;
}

void bench_exec(sqlite3 *db, const char *sql)
{
    check(db, sqlite3_exec(db, sql, NULL, NULL, NULL), sql);
}

void bench_exec_file(sqlite3 *db, const char *path)
{
    static char text[1 << 20];
    FILE       *file = fopen(path, "r");
    if (file == NULL) bench_die(path, "cannot be read");
    size_t len = fread(text, 1, sizeof(text) - 1, file);
    fclose(file);
    text[len] = '\0';
    bench_exec(db, text);
}

sqlite3_stmt *bench_prepare(sqlite3 *db, const char *sql)
{
    sqlite3_stmt *statement;
    check(db, sqlite3_prepare_v3(db, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement, NULL), sql);
    return statement;
}

void bench_run(sqlite3_stmt *statement, const char *types, ...)
{
    va_list arguments;
    va_start(arguments, types);
    for (int at = 1; *types; types++, at++) {
        if (*types == 't')
            sqlite3_bind_text(statement, at, va_arg(arguments, const char *), -1, SQLITE_STATIC);
        else if (*types == 'i')
            sqlite3_bind_int64(statement, at, va_arg(arguments, int64_t));
        else if (*types == 'b')
            sqlite3_bind_blob(statement, at, va_arg(arguments, const void *), 32, SQLITE_STATIC);
        else
            sqlite3_bind_null(statement, at);
    }
    va_end(arguments);
    check(sqlite3_db_handle(statement), sqlite3_step(statement), sqlite3_sql(statement));
    check(sqlite3_db_handle(statement), sqlite3_reset(statement), sqlite3_sql(statement));
}

void bench_id(char text[BENCH_ID_BYTES], const char *prefix, int64_t time_ms, uint64_t number)
{
    static const char crockford[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    size_t            at = strlen(prefix);
    memcpy(text, prefix, at);
    for (int shift = 45; shift >= 0; shift -= 5)
        text[at++] = crockford[time_ms >> shift & 31];
    for (int i = 0; i < 3; i++) /* 80 bits, the number in the lower 64 */
        text[at++] = '0';
    for (int shift = 60; shift >= 0; shift -= 5)
        text[at++] = crockford[number >> shift & 31];
    text[at] = '\0';
}

static double seconds_of(struct timespec time)
{
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

int64_t bench_now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

double bench_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return seconds_of(now);
}

double bench_cpu_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return seconds_of(now);
}
