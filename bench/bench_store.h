/* What the C programs of the benchmarks share: a plain SQLite store, rows in one call, ids. */
#ifndef BENCH_STORE_H
#define BENCH_STORE_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

enum { BENCH_ID_BYTES = 32 }; /* prefix, ULID and NUL */

/* Print to stderr and end the program. */
_Noreturn void bench_die(const char *what, const char *why);

/* Open, or make, the store with the server's settings: WAL, synchronous=FULL, 64 MiB of cache, no
 * automatic checkpoints. */
sqlite3 *bench_open(const char *path);

void          bench_exec(sqlite3 *db, const char *sql);
void          bench_exec_file(sqlite3 *db, const char *path);
sqlite3_stmt *bench_prepare(sqlite3 *db, const char *sql);

/* Bind by position and run a statement that gives no row. One letter a parameter: t text, i
 * int64_t, n NULL (nothing is passed), b 32 bytes. */
void bench_run(sqlite3_stmt *statement, const char *types, ...);

/* "job_" and a ULID of time_ms and number: ids rise when (time_ms, number) does. */
void bench_id(char text[BENCH_ID_BYTES], const char *prefix, int64_t time_ms, uint64_t number);

int64_t bench_now_ms(void);      /* wall clock */
double  bench_seconds(void);     /* monotonic */
double  bench_cpu_seconds(void); /* user and system time of this process */

#endif
