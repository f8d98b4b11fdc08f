#include "domain/ledger.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "../expect_abort.h"
#include "marketplace.h"

/* These tests book transfers without the lots and jobs that belong to them: no audit at the end. */
static int ledger_setup(void **state)
{
    struct market *market = market_open();
    market->is_broken = true;
    *state = market;
    return 0;
}

#define ledger_test(name) cmocka_unit_test_setup_teardown(name, ledger_setup, market_teardown)

static struct transfer transfer_of(const struct market *market, enum transfer_kind kind,
                                   int64_t amount_cents)
{
    return (struct transfer){
        .kind = kind,
        .org_id = market->org_id,
        .environment = ENVIRONMENT_LIVE,
        .amount_cents = amount_cents,
    };
}

static void ledger_refuses_amount_not_positive(void **state)
{
    struct market        *market = *state;
    const struct transfer nothing = transfer_of(market, TRANSFER_BONUS, 0);
    const struct transfer negative = transfer_of(market, TRANSFER_BONUS, -1);
    REFUSED_UNWRITTEN(market, ledger_post(&market->call, &nothing), ERR_INVALID,
                      "amount_not_positive");
    REFUSED_UNWRITTEN(market, ledger_post(&market->call, &negative), ERR_INVALID,
                      "amount_not_positive");
}

static void ledger_refuses_unknown_organisation(void **state)
{
    struct market  *market = *state;
    struct transfer transfer = transfer_of(market, TRANSFER_BONUS, 5);
    transfer.org_id = id_new(ID_ORGANISATION, market->now_ms);
    REFUSED_UNWRITTEN(market, ledger_post(&market->call, &transfer), ERR_NOT_FOUND, "organization");
}

static void ledger_refuses_overdraft(void **state)
{
    struct market        *market = *state;
    const struct transfer transfer =
        transfer_of(market, TRANSFER_DEDUCTION, MARKET_CREDITS_CENTS + 1);
    REFUSED_UNWRITTEN(market, ledger_post(&market->call, &transfer), ERR_UNPAID,
                      "insufficient_credits");
    assert_int_equal(market_balance(market).balance_cents, MARKET_CREDITS_CENTS);
}

static void ledger_allows_spending_the_last_cent(void **state)
{
    struct market        *market = *state;
    const struct transfer transfer = transfer_of(market, TRANSFER_DEDUCTION, MARKET_CREDITS_CENTS);
    DONE(market, ledger_post(&market->call, &transfer));
    assert_int_equal(market_balance(market).balance_cents, 0);
    assert_int_equal(market_balance(market).held_cents, MARKET_CREDITS_CENTS);
}

static void ledger_refuses_balance_that_does_not_fit(void **state)
{
    struct market        *market = *state;
    const struct transfer most =
        transfer_of(market, TRANSFER_PURCHASE, INT64_MAX - MARKET_CREDITS_CENTS);
    const struct transfer one_more = transfer_of(market, TRANSFER_PURCHASE, 1);
    DONE(market, ledger_post(&market->call, &most));
    assert_true(market_balance(market).balance_cents == INT64_MAX);
    REFUSED_UNWRITTEN(market, ledger_post(&market->call, &one_more), ERR_INVALID,
                      "amount_overflow");
}

/* Else a refund of what is held could never be booked. */
static void ledger_refuses_credit_that_does_not_fit_beside_the_held(void **state)
{
    struct market        *market = *state;
    const struct transfer held = transfer_of(market, TRANSFER_DEDUCTION, MARKET_CREDITS_CENTS);
    const struct transfer most = transfer_of(market, TRANSFER_PURCHASE, INT64_MAX);
    const struct transfer fits =
        transfer_of(market, TRANSFER_PURCHASE, INT64_MAX - MARKET_CREDITS_CENTS);
    const struct transfer back = transfer_of(market, TRANSFER_REFUND, MARKET_CREDITS_CENTS);
    DONE(market, ledger_post(&market->call, &held));
    REFUSED_UNWRITTEN(market, ledger_post(&market->call, &most), ERR_INVALID, "amount_overflow");
    DONE(market, ledger_post(&market->call, &fits));
    DONE(market, ledger_post(&market->call, &back));
    assert_true(market_balance(market).balance_cents == INT64_MAX);
}

static void ledger_refuses_the_same_occurrence_twice(void **state)
{
    struct market  *market = *state;
    struct transfer transfer = transfer_of(market, TRANSFER_PURCHASE, 7);
    transfer.once = STR("checkout:1");
    DONE(market, ledger_post(&market->call, &transfer));
    struct balance before = market_balance(market);
    REFUSED_UNWRITTEN(market, ledger_post(&market->call, &transfer), ERR_CONFLICT,
                      "already_booked");
    transfer.amount_cents = 8;
    REFUSED_UNWRITTEN(market, ledger_post(&market->call, &transfer), ERR_CONFLICT,
                      "already_booked");
    assert_int_equal(market_balance(market).balance_cents, before.balance_cents);
    transfer.once = STR("checkout:2");
    DONE(market, ledger_post(&market->call, &transfer));
}

static void ledger_refusals_come_in_their_order(void **state)
{
    struct market  *market = *state;
    struct transfer transfer = transfer_of(market, TRANSFER_DEDUCTION, 1);
    transfer.once = STR("escrow:1");
    DONE(market, ledger_post(&market->call, &transfer));
    transfer.amount_cents = MARKET_CREDITS_CENTS;
    REFUSED(market, ledger_post(&market->call, &transfer), ERR_UNPAID, "insufficient_credits");
    transfer.org_id = id_new(ID_ORGANISATION, market->now_ms);
    REFUSED(market, ledger_post(&market->call, &transfer), ERR_NOT_FOUND, "organization");
    transfer.amount_cents = 0;
    REFUSED(market, ledger_post(&market->call, &transfer), ERR_INVALID, "amount_not_positive");
}

static void ledger_escrow_below_zero_is_a_broken_invariant(void **state)
{
    struct market        *market = *state;
    const struct transfer transfer = transfer_of(market, TRANSFER_FEE, 1);
    market_begin(market);
    assert_aborts((void)!ledger_post(&market->call, &transfer));
    db_rollback(market->db);
}

static void ledger_books_each_kind_between_its_two_accounts(void **state)
{
    struct market *market = *state;
    static const struct {
        enum transfer_kind kind;
        enum account       debit, credit;
        int                available, held; /* how the balance moves */
    } expected[] = {
        { TRANSFER_PURCHASE, ACCOUNT_EXTERNAL, ACCOUNT_AVAILABLE, 1, 0 },
        { TRANSFER_BONUS, ACCOUNT_PROMOTIONS, ACCOUNT_AVAILABLE, 1, 0 },
        { TRANSFER_FREE_TIER, ACCOUNT_PROMOTIONS, ACCOUNT_AVAILABLE, 1, 0 },
        { TRANSFER_DEDUCTION, ACCOUNT_AVAILABLE, ACCOUNT_ESCROW, -1, 1 },
        { TRANSFER_REFUND, ACCOUNT_ESCROW, ACCOUNT_AVAILABLE, 1, -1 },
        { TRANSFER_EXPIRATION, ACCOUNT_AVAILABLE, ACCOUNT_PROMOTIONS, -1, 0 },
        { TRANSFER_PAYOUT, ACCOUNT_ESCROW, ACCOUNT_WORKER, 0, -1 },
        { TRANSFER_FEE, ACCOUNT_ESCROW, ACCOUNT_PLATFORM, 0, -1 },
    };
    assert_int_equal(COUNT_OF(expected), TRANSFER_KIND__COUNT);
    const struct transfer held = transfer_of(market, TRANSFER_DEDUCTION, 100);
    DONE(market, ledger_post(&market->call, &held));
    for (size_t i = 0; i < COUNT_OF(expected); i++) {
        enum transfer_kind    kind = expected[i].kind;
        const struct transfer transfer = transfer_of(market, kind, 3);
        struct balance        before = market_balance(market);
        DONE(market, ledger_post(&market->call, &transfer));
        struct balance after = market_balance(market);
        assert_int_equal(transfer_debit(kind), expected[i].debit);
        assert_int_equal(transfer_credit(kind), expected[i].credit);
        assert_int_equal(after.balance_cents, before.balance_cents + 3 * expected[i].available);
        assert_int_equal(after.held_cents, before.held_cents + 3 * expected[i].held);

        struct error error = { 0 };
        struct stmt *q = db_query(market->db, "SELECT kind, debit, credit, amount_cents,"
                                              " running_balance_cents FROM transfers"
                                              " WHERE environment = 0 ORDER BY id DESC LIMIT 1");
        assert_true(stmt_step(q));
        assert_true(str_eq(column_text(q, 0, &market->arena), str_of(transfer_kind_name(kind))));
        assert_true(
            str_eq(column_text(q, 1, &market->arena), str_of(account_name(expected[i].debit))));
        assert_true(
            str_eq(column_text(q, 2, &market->arena), str_of(account_name(expected[i].credit))));
        assert_int_equal(column_int(q, 3), 3);
        assert_int_equal(column_is_null(q, 4), !transfer_is_visible(kind));
        if (transfer_is_visible(kind)) assert_int_equal(column_int(q, 4), after.balance_cents);
        assert_int_equal(stmt_end(q, &error), ERR_OK);
    }
}

static void ledger_running_balances_chain_and_end_at_the_balance(void **state)
{
    struct market *market = *state;
    static const struct step {
        enum transfer_kind kind;
        int64_t            cents;
    } steps[] = { { TRANSFER_PURCHASE, 500 }, { TRANSFER_DEDUCTION, 300 }, { TRANSFER_PAYOUT, 40 },
                  { TRANSFER_FEE, 10 },       { TRANSFER_REFUND, 250 },    { TRANSFER_BONUS, 1 } };
    for (size_t i = 0; i < COUNT_OF(steps); i++) {
        const struct transfer transfer = transfer_of(market, steps[i].kind, steps[i].cents);
        market->now_ms += i == 2 || i == 4; /* within one millisecond too */
        DONE(market, ledger_post(&market->call, &transfer));
    }
    struct transaction rows[20];
    struct page_search search;
    market_as_buyer(market);
    DONE(market,
         ledger_list(&market->call, TRANSFER_KIND__COUNT, &(struct id){ 0 }, 20, rows, &search));
    assert_int_equal(search.count, 5); /* the first credit and four of the steps */
    assert_int_equal(rows[0].running_balance_cents, market_balance(market).balance_cents);
    for (int i = 0; i + 1 < search.count; i++) {
        assert_true(strcmp(rows[i].id.text, rows[i + 1].id.text) > 0);
        assert_int_equal(rows[i].running_balance_cents,
                         rows[i + 1].running_balance_cents + rows[i].amount_cents);
    }
    assert_int_equal(rows[search.count - 1].running_balance_cents,
                     rows[search.count - 1].amount_cents);
}

static void balance_is_of_the_time_it_last_moved(void **state)
{
    struct market        *market = *state;
    const struct transfer moves = transfer_of(market, TRANSFER_DEDUCTION, 300);
    const struct transfer moves_not = transfer_of(market, TRANSFER_FEE, 10);
    int64_t               moved_ms = market->now_ms += 1000;
    DONE(market, ledger_post(&market->call, &moves));
    market->now_ms += 1000;
    DONE(market, ledger_post(&market->call, &moves_not));
    assert_int_equal(market_balance(market).updated_ms, moved_ms);
}

static void ledger_lists_one_kind_signed_as_the_balance_moved(void **state)
{
    struct market        *market = *state;
    const struct transfer held = transfer_of(market, TRANSFER_DEDUCTION, 30);
    const struct transfer bonus = transfer_of(market, TRANSFER_BONUS, 4);
    DONE(market, ledger_post(&market->call, &held));
    DONE(market, ledger_post(&market->call, &bonus));
    struct transaction rows[5];
    struct page_search search;
    DONE(market,
         ledger_list(&market->call, TRANSFER_DEDUCTION, &(struct id){ 0 }, 5, rows, &search));
    assert_int_equal(search.count, 1);
    assert_int_equal(rows[0].kind, TRANSFER_DEDUCTION);
    assert_int_equal(rows[0].amount_cents, -30);
    DONE(market, ledger_list(&market->call, TRANSFER_PAYOUT, &(struct id){ 0 }, 5, rows, &search));
    assert_int_equal(search.count, 0);
}

static void ledger_pages_neither_skip_nor_repeat(void **state)
{
    struct market        *market = *state;
    const struct transfer bonus = transfer_of(market, TRANSFER_BONUS, 1);
    for (int i = 0; i < 7; i++) {
        DONE(market, ledger_post(&market->call, &bonus));
    }
    struct id          before = { 0 };
    int                seen = 0;
    struct page_search search;
    do {
        struct transaction rows[3];
        DONE(market, ledger_list(&market->call, TRANSFER_KIND__COUNT, &before, 3, rows, &search));
        for (int i = 0; i < search.count; i++) {
            assert_true(id_is_none(&before) || strcmp(rows[i].id.text, before.text) < 0);
            before = rows[i].id;
        }
        seen += search.count;
    } while (search.count == 3);
    assert_int_equal(seen, 8);
}

/* Rows that the listing does not show, newer than any that a test makes. */
static void fill_with_fees(struct market *market, int count)
{
    struct error error = { 0 };
    struct stmt *q = db_query(
        market->db, "WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers"
                    " WHERE n < $2) INSERT INTO transfers (org_id, environment, id, kind, debit,"
                    " credit, amount_cents, created_ms)"
                    " SELECT $1, 0, printf('crtx_7ZZZZZZZZZZZZZZZZZZZ%06d', n), 'fee', 'escrow',"
                    " 'platform', 1, 0 FROM numbers");
    bind_id(q, 1, &market->org_id);
    bind_int(q, 2, count);
    if (stmt_run(q, &error, NULL)) fail_msg("%s: %s", error.slug, error.detail);
    market->is_broken = true; /* no job pays them */
}

static void ledger_list_is_cut_after_so_many_rows_and_goes_on_behind_the_last(void **state)
{
    struct market     *market = *state;
    struct id          newest = { 0 }, before;
    struct transaction row;
    struct page_search search;
    fill_with_fees(market, PAGE_SCAN_ROWS_MAX + 1);
    DONE(market, ledger_list(&market->call, TRANSFER_KIND__COUNT, &newest, 1, &row, &search));
    assert_int_equal(search.count, 0);
    assert_true(page_search_is_cut(&search));
    assert_string_equal(search.last_seen.text, "crtx_7ZZZZZZZZZZZZZZZZZZZ000002");
    before = search.last_seen;
    DONE(market, ledger_list(&market->call, TRANSFER_KIND__COUNT, &before, 1, &row, &search));
    assert_int_equal(search.count, 1);
    assert_int_equal(row.running_balance_cents, MARKET_CREDITS_CENTS);
}

static void ledger_keeps_live_and_test_apart(void **state)
{
    struct market  *market = *state;
    struct transfer transfer = transfer_of(market, TRANSFER_BONUS, 9);
    transfer.environment = ENVIRONMENT_TEST;
    DONE(market, ledger_post(&market->call, &transfer));
    assert_int_equal(market_balance(market).balance_cents, MARKET_CREDITS_CENTS);
    struct balance test;
    DONE(market, ledger_balance(&market->call, &market->org_id, ENVIRONMENT_TEST, &test));
    assert_int_equal(test.balance_cents, ORGANISATION_TEST_GRANT_CENTS + 9);
}

static void ledger_shows_an_organisation_its_own_rows_only(void **state)
{
    struct market *market = *state;
    struct id      other = market_organisation(market, 0);
    market->actor.org_id = other;
    struct transaction rows[5];
    struct page_search search;
    DONE(market,
         ledger_list(&market->call, TRANSFER_KIND__COUNT, &(struct id){ 0 }, 5, rows, &search));
    assert_int_equal(search.count, 0);
}

static void ledger_balance_of_unknown_organisation_is_not_found(void **state)
{
    struct market *market = *state;
    struct id      nobody = id_new(ID_ORGANISATION, market->now_ms);
    struct balance balance;
    REFUSED_UNWRITTEN(market, ledger_balance(&market->call, &nobody, ENVIRONMENT_LIVE, &balance),
                      ERR_NOT_FOUND, "organization");
}

static void transfer_kind_names_are_read_back(void **state)
{
    (void)state;
    enum transfer_kind kind;
    for (int i = 0; i < TRANSFER_KIND__COUNT; i++) {
        assert_true(transfer_kind_parse(str_of(transfer_kind_name((enum transfer_kind)i)), &kind));
        assert_int_equal(kind, i);
    }
    assert_false(transfer_kind_parse(STR("gift"), &kind));
    assert_false(transfer_kind_parse(STR(""), &kind));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ledger_test(ledger_refuses_amount_not_positive),
        ledger_test(ledger_refuses_unknown_organisation),
        ledger_test(ledger_refuses_overdraft),
        ledger_test(ledger_allows_spending_the_last_cent),
        ledger_test(ledger_refuses_balance_that_does_not_fit),
        ledger_test(ledger_refuses_credit_that_does_not_fit_beside_the_held),
        ledger_test(ledger_refuses_the_same_occurrence_twice),
        ledger_test(ledger_refusals_come_in_their_order),
        ledger_test(ledger_escrow_below_zero_is_a_broken_invariant),
        ledger_test(ledger_books_each_kind_between_its_two_accounts),
        ledger_test(ledger_running_balances_chain_and_end_at_the_balance),
        ledger_test(balance_is_of_the_time_it_last_moved),
        ledger_test(ledger_lists_one_kind_signed_as_the_balance_moved),
        ledger_test(ledger_pages_neither_skip_nor_repeat),
        ledger_test(ledger_list_is_cut_after_so_many_rows_and_goes_on_behind_the_last),
        ledger_test(ledger_keeps_live_and_test_apart),
        ledger_test(ledger_shows_an_organisation_its_own_rows_only),
        ledger_test(ledger_balance_of_unknown_organisation_is_not_found),
        cmocka_unit_test(transfer_kind_names_are_read_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
