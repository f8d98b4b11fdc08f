#include "domain/ledger.h"

#include "base/num.h"

#include <assert.h>

static const char *const account_names[] = {
    [ACCOUNT_AVAILABLE] = "available",   [ACCOUNT_ESCROW] = "escrow",
    [ACCOUNT_WORKER] = "worker",         [ACCOUNT_PLATFORM] = "platform",
    [ACCOUNT_PROMOTIONS] = "promotions", [ACCOUNT_EXTERNAL] = "external",
};
static_assert(COUNT_OF(account_names) == ACCOUNT__COUNT, "every account has a name");

static const struct {
    const char  *name;
    enum account debit, credit;
} kinds[] = {
    [TRANSFER_PURCHASE] = { "purchase", ACCOUNT_EXTERNAL, ACCOUNT_AVAILABLE },
    [TRANSFER_BONUS] = { "bonus", ACCOUNT_PROMOTIONS, ACCOUNT_AVAILABLE },
    [TRANSFER_FREE_TIER] = { "free_tier", ACCOUNT_PROMOTIONS, ACCOUNT_AVAILABLE },
    [TRANSFER_DEDUCTION] = { "deduction", ACCOUNT_AVAILABLE, ACCOUNT_ESCROW },
    [TRANSFER_REFUND] = { "refund", ACCOUNT_ESCROW, ACCOUNT_AVAILABLE },
    [TRANSFER_EXPIRATION] = { "expiration", ACCOUNT_AVAILABLE, ACCOUNT_PROMOTIONS },
    [TRANSFER_PAYOUT] = { "payout", ACCOUNT_ESCROW, ACCOUNT_WORKER },
    [TRANSFER_FEE] = { "fee", ACCOUNT_ESCROW, ACCOUNT_PLATFORM },
};
static_assert(COUNT_OF(kinds) == TRANSFER_KIND__COUNT, "every kind has two sides");

const char *transfer_kind_name(enum transfer_kind kind)
{
    CHECK((unsigned)kind < TRANSFER_KIND__COUNT);
    return kinds[kind].name;
}

bool transfer_kind_parse(struct str name, enum transfer_kind *ret_kind)
{
    for (int i = 0; i < TRANSFER_KIND__COUNT; i++) {
        if (!str_eq(name, str_of(kinds[i].name))) continue;
        *ret_kind = (enum transfer_kind)i;
        return true;
    }
    return false;
}

const char *account_name(enum account account)
{
    CHECK((unsigned)account < ACCOUNT__COUNT);
    return account_names[account];
}

enum account transfer_debit(enum transfer_kind kind)
{
    return kinds[kind].debit;
}

enum account transfer_credit(enum transfer_kind kind)
{
    return kinds[kind].credit;
}

bool transfer_is_visible(enum transfer_kind kind)
{
    return kinds[kind].debit == ACCOUNT_AVAILABLE || kinds[kind].credit == ACCOUNT_AVAILABLE;
}

/* +amount where the account receives, -amount where it gives, else 0. */
static int64_t effect_on(enum account account, const struct transfer *transfer)
{
    if (kinds[transfer->kind].credit == account) return transfer->amount_cents;
    if (kinds[transfer->kind].debit == account) return -transfer->amount_cents;
    return 0;
}

static enum err read_balance(struct call *call, const struct id *org_id,
                             enum environment environment, struct balance *ret_balance,
                             struct id *ret_last_id)
{
    struct stmt *q =
        db_query(call->db, "SELECT balance_cents, held_cents, updated_ms, last_transfer_id"
                           " FROM balances WHERE org_id = $1 AND environment = $2");
    bind_id(q, 1, org_id);
    bind_int(q, 2, environment);
    bool is_there = stmt_step(q);
    if (is_there) {
        *ret_balance = (struct balance){
            .balance_cents = column_int(q, 0),
            .held_cents = column_int(q, 1),
            .updated_ms = column_int(q, 2),
        };
        *ret_last_id = column_id(q, 3);
    }
    enum err e = stmt_end(q, &call->error);
    if (e) return e;
    if (!is_there) return FAIL(&call->error, ERR_NOT_FOUND, "organization", "no such organization");
    return ERR_OK;
}

static enum err write_balance(struct call *call, const struct transfer *transfer,
                              const struct balance *after, const struct id *last_id)
{
    struct stmt *q = db_query(call->db, "UPDATE balances SET balance_cents = $3, held_cents = $4,"
                                        " updated_ms = $5, last_transfer_id = $6"
                                        " WHERE org_id = $1 AND environment = $2");
    bind_id(q, 1, &transfer->org_id);
    bind_int(q, 2, transfer->environment);
    bind_int(q, 3, after->balance_cents);
    bind_int(q, 4, after->held_cents);
    bind_int(q, 5, after->updated_ms);
    bind_id(q, 6, last_id);
    return stmt_run(q, &call->error, NULL);
}

static enum err insert_row(struct call *call, const struct transfer *transfer, const struct id *id,
                           const struct balance *after)
{
    struct stmt *q =
        db_query(call->db, "INSERT INTO transfers (org_id, environment, id, kind, debit, credit,"
                           " amount_cents, running_balance_cents, job_id, submission_id, worker_id,"
                           " once, description, expires_ms, created_ms)"
                           " VALUES ($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12,$13,$14,$15)");
    bind_id(q, 1, &transfer->org_id);
    bind_int(q, 2, transfer->environment);
    bind_id(q, 3, id);
    bind_text(q, 4, str_of(kinds[transfer->kind].name));
    bind_text(q, 5, str_of(account_names[kinds[transfer->kind].debit]));
    bind_text(q, 6, str_of(account_names[kinds[transfer->kind].credit]));
    bind_int(q, 7, transfer->amount_cents);
    if (transfer_is_visible(transfer->kind))
        bind_int(q, 8, after->balance_cents);
    else
        bind_null(q, 8);
    bind_id(q, 9, &transfer->job_id);
    bind_id(q, 10, &transfer->submission_id);
    bind_id(q, 11, &transfer->worker_id);
    bind_text(q, 12, transfer->once);
    bind_text(q, 13, transfer->description);
    bind_nonzero(q, 14, transfer->expires_ms);
    bind_int(q, 15, call->now_ms);
    enum err e = stmt_run(q, &call->error, NULL);
    if (e == ERR_CONFLICT)
        return FAIL(&call->error, ERR_CONFLICT, "already_booked", "%.*s was booked before",
                    STR_ARG(transfer->once));
    return e;
}

enum err ledger_post(struct call *call, const struct transfer *transfer)
{
    if (transfer->amount_cents <= 0)
        return FAIL(&call->error, ERR_INVALID, "amount_not_positive", "got %lld",
                    (long long)transfer->amount_cents);
    struct balance before, after;
    struct id      last_id;
    int64_t        owned_cents;
    enum err e = read_balance(call, &transfer->org_id, transfer->environment, &before, &last_id);
    if (e) return e;

    after = before;
    if (!num_add(before.balance_cents, effect_on(ACCOUNT_AVAILABLE, transfer),
                 &after.balance_cents) ||
        !num_add(before.held_cents, effect_on(ACCOUNT_ESCROW, transfer), &after.held_cents) ||
        !num_add(after.balance_cents, after.held_cents, &owned_cents)) /* so a refund always fits */
        return FAIL(&call->error, ERR_INVALID, "amount_overflow", "the balance would not fit");
    if (after.balance_cents < 0)
        return FAIL(&call->error, ERR_UNPAID, "insufficient_credits",
                    "%lld cents needed, %lld available", (long long)transfer->amount_cents,
                    (long long)before.balance_cents);
    CHECK(after.held_cents >= 0);

    struct id id = id_new_above(ID_TRANSACTION, call->now_ms, &last_id);
    if (transfer_is_visible(transfer->kind)) after.updated_ms = call->now_ms;
    e = insert_row(call, transfer, &id, &after); /* first: it may still be refused */
    if (e) return e;
    return write_balance(call, transfer, &after, &id);
}

enum err ledger_balance(struct call *call, const struct id *org_id, enum environment environment,
                        struct balance *ret_balance)
{
    struct id last_id;
    return read_balance(call, org_id, environment, ret_balance, &last_id);
}

static void read_transaction(struct call *call, struct stmt *q, enum transfer_kind kind,
                             struct transaction *row)
{
    int64_t amount_cents = column_int(q, 2);
    *row = (struct transaction){
        .id = column_id(q, 0),
        .kind = kind,
        .amount_cents = kinds[kind].debit == ACCOUNT_AVAILABLE ? -amount_cents : amount_cents,
        .running_balance_cents = column_int(q, 3),
        .job_id = column_id(q, 4),
        .description = column_text(q, 5, call->arena),
        .expires_ms = column_int(q, 6),
        .created_ms = column_int(q, 7),
    };
}

static enum transfer_kind read_kind(struct call *call, struct stmt *q)
{
    struct arena_mark  mark = arena_mark(call->arena);
    enum transfer_kind kind;
    CHECK(transfer_kind_parse(column_text(q, 1, call->arena), &kind));
    arena_rewind(call->arena, mark);
    return kind;
}

enum err ledger_get(struct call *call, const struct id *org_id, enum environment environment,
                    const struct id *id, struct transaction *ret_transaction)
{
    struct stmt *q = db_query(
        call->db, "SELECT id, kind, amount_cents, running_balance_cents, job_id, description,"
                  " expires_ms, created_ms FROM transfers WHERE org_id = $1 AND environment = $2"
                  " AND id = $3 AND running_balance_cents IS NOT NULL");
    bind_id(q, 1, org_id);
    bind_int(q, 2, environment);
    bind_id(q, 3, id);
    bool is_there = stmt_step(q);
    if (is_there) read_transaction(call, q, read_kind(call, q), ret_transaction);
    enum err e = stmt_end(q, &call->error);
    if (e || is_there) return e;
    return FAIL(&call->error, ERR_NOT_FOUND, "transaction", "no such transaction");
}

enum err ledger_last(struct call *call, const struct id *org_id, enum environment environment,
                     struct transaction *ret_transaction)
{
    struct balance balance;
    struct id      last_id;
    enum err       e = read_balance(call, org_id, environment, &balance, &last_id);
    if (e) return e;
    return ledger_get(call, org_id, environment, &last_id, ret_transaction);
}

enum err ledger_list(struct call *call, enum transfer_kind kind, const struct id *before, int count,
                     struct transaction *ret_rows, struct page_search *ret_search)
{
    struct stmt *q = db_query(
        call->db, "SELECT id, kind, amount_cents, running_balance_cents, job_id, description,"
                  " expires_ms, created_ms FROM transfers WHERE org_id = $1 AND environment = $2"
                  " AND id < $3 ORDER BY id DESC LIMIT $4");
    bind_id(q, 1, &call->actor.org_id);
    bind_int(q, 2, call->actor.environment);
    bind_text(q, 3, id_is_none(before) ? STR("crtx_~") : id_str(before));
    bind_int(q, 4, PAGE_SCAN_ROWS_MAX);
    struct page_search search = { 0 };
    while (search.count < count && stmt_step(q)) {
        struct id          id = column_id(q, 0);
        enum transfer_kind row_kind = read_kind(call, q);
        page_search_saw(&search, &id);
        if (transfer_is_visible(row_kind) && (kind == TRANSFER_KIND__COUNT || kind == row_kind))
            read_transaction(call, q, row_kind, &ret_rows[search.count++]);
    }
    *ret_search = search;
    return stmt_end(q, &call->error);
}
