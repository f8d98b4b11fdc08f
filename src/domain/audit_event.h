/* Audit events: who asked for what, on what, from where. A row is written in the commit of what it
 * tells of and never changes; audit_chain.h seals it. Dispatch writes those of an API key's
 * operations (x-audit of the contract); audit_note is for what else somebody did. */
#ifndef FIRSTHAND_DOMAIN_AUDIT_EVENT_H
#define FIRSTHAND_DOMAIN_AUDIT_EVENT_H

#include "domain/page.h"

enum { AUDIT_SOURCE_BYTES_MAX = 64, AUDIT_OBJECT_BYTES_MAX = 64 };

struct audit_event {
    struct id        id;     /* its time is when */
    struct id        org_id; /* empty: the server's own */
    enum environment environment;
    struct str       action;     /* "job.created" */
    struct str       object_id;  /* empty when there is none */
    struct str       actor;      /* an id, "operator", "system" or "visitor" */
    struct str       source;     /* an address, "command" or "server" */
    struct str       request_id; /* empty when it was no request */
};

/* Write down that the call's actor did this to an object of the organisation (NULL: of the server).
 * action is static; a longer object_id is cut. */
MUST_USE enum err audit_note(struct call *call, const struct id *org_id,
                             enum environment environment, struct str action, struct str object_id);

/* The same for what nobody asked for now: a time has come, or something failed too often. Whose
 * call it happens in does not matter. */
MUST_USE enum err audit_note_system(struct call *call, const struct id *org_id,
                                    enum environment environment, struct str action,
                                    struct str object_id);

struct audit_filter {
    struct str action; /* absent = any */
    struct id  from;   /* that id and newer; empty = no bound */
    struct id  before; /* older than it; empty = no bound */
};

/* Of the actor's organisation and environment, newest first, up to count that pass the filter. */
MUST_USE enum err audit_event_list(struct call *call, const struct audit_filter *filter, int count,
                                   struct audit_event *ret_rows, struct page_search *ret_search);

/* "api_key", "worker", or what else the actor is called: "operator", "system", "visitor". */
const char *audit_actor_type(const struct audit_event *event);

#endif
