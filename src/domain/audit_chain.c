#include "domain/audit_chain.h"

#include "base/encode.h"

#include <string.h>

enum { COVERED_BYTES_MAX = 2048 };

/* A row as it is sealed. */
struct link {
    struct id  id;
    struct str org_id;
    int64_t    environment;
    struct str action, object_id, actor, source, request_id;
};

/* Where a chain has come to. */
struct chain_end {
    int64_t    number; /* 0 = nothing yet */
    struct str seal;
};

#define LINK_COLUMNS                                                                               \
    "e.id, e.org_id, e.environment, e.action, e.object_id, e.actor, e.source, e.request_id"

static void link_read(struct stmt *q, struct arena *arena, struct link *link)
{
    *link = (struct link){
        .id = column_id(q, 0),
        .org_id = column_text(q, 1, arena),
        .environment = column_int(q, 2),
        .action = column_text(q, 3, arena),
        .object_id = column_text(q, 4, arena),
        .actor = column_text(q, 5, arena),
        .source = column_text(q, 6, arena),
        .request_id = column_text(q, 7, arena),
    };
}

/* --- seals --- */

/* A server key's number and the MAC under it; false when that key is not listed (any more). */
static bool seal_make(struct call *call, int key_number, struct str covered, struct str *ret_seal)
{
    char *seal = NEW(call->arena, char, AUDIT_SEAL_BYTES);
    seal[0] = (char)key_number;
    if (!keyring_mac(call->keyring, key_number, PURPOSE_AUDIT, covered, (unsigned char *)seal + 1))
        return false;
    *ret_seal = (struct str){ seal, AUDIT_SEAL_BYTES };
    return true;
}

/* The seal before comes first and has one length, or none: what follows cannot be taken for it. */
static struct str link_covered(struct call *call, const struct chain_end *before, int64_t number,
                               const struct link *link)
{
    struct buf text;
    buf_init(&text, call->arena, COVERED_BYTES_MAX);
    buf_fmt(&text, "row %zu\n", before->seal.len);
    buf_add(&text, before->seal);
    buf_fmt(&text, "\n%lld\n%s\n%.*s\n%lld\n", (long long)number, link->id.text,
            STR_ARG(link->org_id), (long long)link->environment);
    const struct str rest[] = { link->action, link->object_id, link->actor, link->source,
                                link->request_id };
    for (size_t i = 0; i < COUNT_OF(rest); i++)
        buf_fmt(&text, "%zu:%.*s\n", rest[i].len, STR_ARG(rest[i]));
    return text.failed ? STR_NONE : buf_str(&text);
}

static struct str head_covered(struct call *call, const struct audit_head *before,
                               const struct audit_head *head)
{
    struct buf text;
    buf_init(&text, call->arena, COVERED_BYTES_MAX);
    buf_fmt(&text, "head %zu\n", before->seal.len);
    buf_add(&text, before->seal);
    buf_fmt(&text, "\n%lld\n%s\n%lld\n", (long long)head->number, head->event_id.text,
            (long long)head->seals_count);
    CHECK(!text.failed);
    return buf_str(&text);
}

/* Is this the seal of what is covered, under the key that it names? */
static bool seal_fits(struct call *call, struct str seal, struct str covered)
{
    struct str right;
    return seal.len == AUDIT_SEAL_BYTES && covered.data &&
           seal_make(call, (unsigned char)seal.data[0], covered, &right) &&
           crypto_equal(seal.data, right.data, AUDIT_SEAL_BYTES);
}

static bool has_key(struct call *call, struct str seal)
{
    unsigned char mac[SHA256_BYTES];
    return keyring_mac(call->keyring, keyring_sealed_under(seal), PURPOSE_AUDIT, STR(""), mac);
}

/* --- sealing --- */

static enum err find_end(struct call *call, const struct link *link, struct chain_end *ret_end)
{
    struct stmt *q = db_query(call->db, "SELECT number, seal FROM audit_seals WHERE org_id = $1"
                                        " AND environment = $2 ORDER BY event_id DESC LIMIT 1");
    bind_text(q, 1, link->org_id);
    bind_int(q, 2, link->environment);
    *ret_end = (struct chain_end){ 0 };
    if (stmt_step(q))
        *ret_end = (struct chain_end){ column_int(q, 0), column_bytes(q, 1, call->arena) };
    return stmt_end(q, &call->error);
}

static enum err seal_link(struct call *call, const struct link *link)
{
    struct chain_end end;
    enum err         e = find_end(call, link, &end);
    if (e) return e;
    struct str covered = link_covered(call, &end, end.number + 1, link), seal;
    CHECK(covered.data && seal_make(call, keyring_newest(call->keyring), covered, &seal));
    struct stmt *q = db_query(call->db, "INSERT INTO audit_seals (org_id, environment, event_id,"
                                        " number, seal) VALUES ($1, $2, $3, $4, $5)");
    bind_text(q, 1, link->org_id);
    bind_int(q, 2, link->environment);
    bind_id(q, 3, &link->id);
    bind_int(q, 4, end.number + 1);
    bind_bytes(q, 5, seal);
    return stmt_run(q, &call->error, NULL);
}

static void head_read(struct stmt *q, struct arena *arena, struct audit_head *head)
{
    *head = (struct audit_head){
        .number = column_int(q, 0),
        .event_id = column_id(q, 1),
        .seals_count = column_int(q, 2),
        .seal = column_bytes(q, 3, arena),
    };
}

static enum err find_head(struct call *call, struct audit_head *ret_head)
{
    struct stmt *q = db_query(call->db, "SELECT number, event_id, seals_count, seal"
                                        " FROM audit_heads ORDER BY number DESC LIMIT 1");
    *ret_head = (struct audit_head){ 0 };
    if (stmt_step(q)) head_read(q, call->arena, ret_head);
    return stmt_end(q, &call->error);
}

static enum err add_head(struct call *call, const struct audit_head *before,
                         const struct id *event_id, int count)
{
    struct audit_head head = {
        .number = before->number + 1,
        .event_id = *event_id,
        .seals_count = before->seals_count + count,
    };
    CHECK(seal_make(call, keyring_newest(call->keyring), head_covered(call, before, &head),
                    &head.seal));
    struct stmt *q = db_query(call->db, "INSERT INTO audit_heads (number, event_id, seals_count,"
                                        " seal) VALUES ($1, $2, $3, $4)");
    bind_int(q, 1, head.number);
    bind_id(q, 2, &head.event_id);
    bind_int(q, 3, head.seals_count);
    bind_bytes(q, 4, head.seal);
    return stmt_run(q, &call->error, NULL);
}

static enum err find_unsealed(struct call *call, const struct id *sealed_to, struct link *ret_links,
                              int *ret_count)
{
    /* tenant: every organisation's rows are sealed */
    struct stmt *q = db_query(call->db, "SELECT " LINK_COLUMNS " FROM audit_events e"
                                        " WHERE e.id > $1 ORDER BY e.id LIMIT $2");
    bind_text(q, 1, id_is_none(sealed_to) ? STR("") : id_str(sealed_to));
    bind_int(q, 2, AUDIT_SEALS_MAX);
    int count = 0;
    while (count < AUDIT_SEALS_MAX && stmt_step(q))
        link_read(q, call->arena, &ret_links[count++]);
    *ret_count = count;
    return stmt_end(q, &call->error);
}

enum err audit_seal(struct call *call, int *ret_count)
{
    struct audit_head head;
    struct link      *links = NEW(call->arena, struct link, AUDIT_SEALS_MAX);
    int               count;
    enum err          e = find_head(call, &head);
    if (e) return e;
    e = find_unsealed(call, &head.event_id, links, &count);
    for (int i = 0; e == ERR_OK && i < count; i++)
        e = seal_link(call, &links[i]);
    if (e == ERR_OK && count > 0) e = add_head(call, &head, &links[count - 1].id, count);
    if (e == ERR_OK) *ret_count = count;
    return e;
}

static enum err find_logged_ms(struct call *call, int64_t *ret_ms)
{
    struct stmt *q = db_query(call->db, "SELECT logged_ms FROM audit_heads WHERE logged_ms"
                                        " IS NOT NULL ORDER BY number DESC LIMIT 1");
    *ret_ms = stmt_step(q) ? column_int(q, 0) : 0;
    return stmt_end(q, &call->error);
}

enum err audit_head_to_log(struct call *call, struct audit_head *ret_head)
{
    int64_t  logged_ms;
    enum err e = find_logged_ms(call, &logged_ms);
    if (e) return e;
    *ret_head = (struct audit_head){ 0 };
    if (logged_ms && call->now_ms < logged_ms + AUDIT_HEAD_LOGGED_MS) return ERR_OK;
    struct audit_head head;
    int64_t           changes = 0;
    e = find_head(call, &head);
    if (e || head.number == 0) return e;
    struct stmt *q = db_query(call->db, "UPDATE audit_heads SET logged_ms = $2 WHERE number = $1"
                                        " AND logged_ms IS NULL");
    bind_int(q, 1, head.number);
    bind_int(q, 2, call->now_ms);
    e = stmt_run(q, &call->error, &changes);
    if (e == ERR_OK && changes > 0) *ret_head = head;
    return e;
}

/* --- checking --- */

struct checking {
    struct call         *call;
    struct audit_report *report;
    struct str           org_id;
    int64_t              environment;
    struct chain_end     end;
    bool                 is_begun;
    char                 seal[AUDIT_SEAL_BYTES]; /* of the end, beyond its row */
    int64_t              seals_count;
};

static const char check_name[] = "audit_rows_are_chained";

static void found(struct checking *checking, struct str subject, const char *what, int64_t number)
{
    audit_breach(checking->report, check_name, subject,
                 str_format(checking->call->arena, "%s (number %lld of %.*s, %s)", what,
                            (long long)number, STR_ARG(checking->org_id),
                            environment_name((enum environment)(checking->environment & 1))));
}

static void begin_chain(struct checking *checking, struct arena *arena, struct str org_id,
                        int64_t environment)
{
    bool is_same = checking->is_begun && str_eq(org_id, checking->org_id) &&
                   environment == checking->environment;
    if (is_same) return;
    checking->is_begun = true;
    checking->org_id = str_copy(arena, org_id);
    checking->environment = environment;
    checking->end = (struct chain_end){ 0 };
}

/* The chain goes on from what is stored, so that one damaged row is named once. */
static void go_on(struct checking *checking, int64_t number, struct str seal)
{
    size_t length = seal.len < AUDIT_SEAL_BYTES ? seal.len : AUDIT_SEAL_BYTES;
    memcpy(checking->seal, seal.data ? seal.data : "", length);
    checking->end = (struct chain_end){ number, { checking->seal, length } };
    checking->seals_count++;
}

static void check_link(struct checking *checking, const struct link *link, struct str event_id,
                       int64_t number, struct str seal)
{
    struct call *call = checking->call;
    bool         is_next = number == checking->end.number + 1;
    if (!is_next)
        found(checking, event_id, "rows before this one are missing, from there",
              checking->end.number + 1);
    if (id_is_none(&link->id))
        found(checking, event_id, "the row is missing", number);
    else if (is_next && !seal_fits(call, seal, link_covered(call, &checking->end, number, link)))
        found(checking, event_id,
              has_key(call, seal) ? "the row or its seal was edited"
                                  : "the server key of its seal is gone",
              number);
}

static enum err check_links(struct checking *checking)
{
    struct call *call = checking->call;
    /* tenant: the operator's audit reads every organisation */
    struct stmt *q =
        db_query(call->db, "SELECT " LINK_COLUMNS ", s.org_id, s.environment, s.event_id, s.number,"
                           " s.seal FROM audit_seals s LEFT JOIN audit_events e"
                           " ON e.id = s.event_id ORDER BY s.org_id, s.environment, s.event_id");
    struct arena_mark whole = arena_mark(call->arena);
    while (stmt_step(q)) {
        struct link link;
        begin_chain(checking, call->arena, column_text(q, 8, call->arena), column_int(q, 9));
        struct arena_mark row = arena_mark(call->arena);
        link_read(q, call->arena, &link);
        struct str seal = column_bytes(q, 12, call->arena);
        int64_t    number = column_int(q, 11);
        check_link(checking, &link, column_text(q, 10, call->arena), number, seal);
        go_on(checking, number, seal);
        arena_rewind(call->arena, row);
    }
    arena_rewind(call->arena, whole);
    return stmt_end(q, &call->error);
}

static void head_found(struct checking *checking, int64_t number, const char *what, int64_t count)
{
    struct arena *arena = checking->call->arena;
    audit_breach(checking->report, "audit_heads_are_chained",
                 str_format(arena, "head %lld", (long long)number),
                 str_format(arena, "%s (%lld)", what, (long long)count));
}

/* *ret_head becomes the newest. */
static enum err check_heads(struct checking *checking, struct audit_head *ret_head)
{
    struct call      *call = checking->call;
    struct stmt      *q = db_query(call->db, "SELECT number, event_id, seals_count, seal"
                                                  " FROM audit_heads ORDER BY number");
    struct audit_head before = { 0 }, head;
    char              seal[AUDIT_SEAL_BYTES];
    while (stmt_step(q)) {
        struct arena_mark mark = arena_mark(call->arena);
        head_read(q, call->arena, &head);
        if (head.number != before.number + 1)
            head_found(checking, head.number, "heads before this one are missing, from there",
                       before.number + 1);
        else if (!seal_fits(call, head.seal, head_covered(call, &before, &head)))
            head_found(checking, head.number,
                       has_key(call, head.seal) ? "the head was edited"
                                                : "the server key of its seal is gone",
                       head.number);
        size_t length = head.seal.len < AUDIT_SEAL_BYTES ? head.seal.len : AUDIT_SEAL_BYTES;
        memcpy(seal, length ? head.seal.data : "", length);
        before = head;
        before.seal = (struct str){ seal, length };
        arena_rewind(call->arena, mark);
    }
    before.seal = STR_NONE;
    *ret_head = before;
    return stmt_end(q, &call->error);
}

/* Rows that the sealer has passed by, or that it has not come to in time. */
static enum err check_unsealed(struct checking *checking, const struct audit_head *head)
{
    struct call *call = checking->call;
    struct id    old = id_floor(ID_AUDIT_EVENT, call->now_ms - AUDIT_UNSEALED_MS_MAX);
    /* tenant: the operator's audit reads every organisation */
    struct stmt *q =
        db_query(call->db, "SELECT e.id, e.id <= $1 FROM audit_events e LEFT JOIN audit_seals s"
                           " ON s.org_id = e.org_id AND s.environment = e.environment"
                           " AND s.event_id = e.id WHERE s.event_id IS NULL"
                           " AND (e.id <= $1 OR e.id < $2) ORDER BY e.id LIMIT 100");
    bind_text(q, 1, id_is_none(&head->event_id) ? STR("") : id_str(&head->event_id));
    bind_id(q, 2, &old);
    while (stmt_step(q))
        audit_breach(checking->report, "audit_rows_are_sealed", column_text(q, 0, call->arena),
                     column_int(q, 1) ? STR("was added behind the sealer's back, or moved")
                                      : STR("is not sealed yet: does a server run?"));
    return stmt_end(q, &call->error);
}

static enum err find_seal_of_head(struct call *call, int64_t number, struct str *ret_seal)
{
    struct stmt *q = db_query(call->db, "SELECT seal FROM audit_heads WHERE number = $1");
    bind_int(q, 1, number);
    *ret_seal = stmt_step(q) ? column_bytes(q, 0, call->arena) : STR_NONE;
    return stmt_end(q, &call->error);
}

/* What was logged outside the store's reach is in it. */
static enum err check_logged(struct checking *checking, struct str logged)
{
    struct call *call = checking->call;
    struct str   number_text, seal;
    int64_t      number;
    char         wanted[AUDIT_SEAL_BYTES];
    if (!str_cut(&logged, ':', &number_text) || !str_to_int64(number_text, &number) ||
        !decode_hex(logged, (unsigned char *)wanted, sizeof(wanted)))
        return FAIL(&call->error, ERR_INVALID, "usage", "a logged head is NUMBER:HEX");
    enum err e = find_seal_of_head(call, number, &seal);
    if (e) return e;
    if (seal.len != sizeof(wanted) || !crypto_equal(seal.data, wanted, sizeof(wanted)))
        head_found(checking, number, "is not the one that was logged", number);
    return ERR_OK;
}

enum err audit_chain_check(struct call *call, struct audit_report *report, struct str logged)
{
    struct checking   checking = { .call = call, .report = report };
    struct audit_head head;
    enum err          e = check_links(&checking);
    if (e) return e;
    e = check_heads(&checking, &head);
    if (e) return e;
    if (checking.seals_count != head.seals_count)
        head_found(&checking, head.number, "rows at the end of a chain are missing or too many",
                   head.seals_count - checking.seals_count);
    e = check_unsealed(&checking, &head);
    if (e == ERR_OK && logged.data) e = check_logged(&checking, logged);
    report->checks_count += 3;
    return e;
}
