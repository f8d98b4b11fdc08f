/* Long polls: requests that wait until a job ends (Prefer: wait=N). They hold a place in the waiter
 * table and their socket, no thread and no transaction; LONG_POLL_THREADS read the job again and
 * answer when it ends, when the time is up, and when the server stops. */
#ifndef FIRSTHAND_API_LONG_POLL_H
#define FIRSTHAND_API_LONG_POLL_H

#include "api/api.h"

enum { LONG_POLL_THREADS = 2 };

/* api must outlive it; it may be filled in until the first request. */
struct long_poll *long_poll_start(struct api *api);

/* Answer all that wait, and let nobody wait from now on. Before the HTTP server stops. */
void long_poll_end(struct long_poll *poll);

/* After everything that may still end a job. Both take NULL for none. */
void long_poll_close(struct long_poll *poll);

/* A read was answered, and its transaction is over: does the client wish to wait, and is there
 * something to wait for? True: the exchange is the long poll's, and not to be touched. False: reply
 * now, with *e (the read may have been made again). */
MUST_USE bool long_poll_begin(struct exchange *exchange, enum err *e);

/* The job has ended, and that is durable. Thread-safe, does not block. */
void long_poll_job_ended(struct long_poll *poll, const struct id *job_id);

/* The clock was moved. */
void long_poll_look(struct long_poll *poll);

/* Requests that wait now. */
int64_t long_poll_count(struct long_poll *poll);

#endif
