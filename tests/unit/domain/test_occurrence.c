#include "domain/occurrence.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "event_market.h"

enum { ROWS_MAX = 10 };

static void emit(struct market *market, enum event_type type)
{
    market->now_ms += 1000;
    DONE(market, event_emit(&market->call, &(struct occurrence){
                                               .org_id = market->org_id,
                                               .environment = ENVIRONMENT_LIVE,
                                               .type = type,
                                               .subject_id = market->org_id,
                                               .data = STR("{\"a\":1}"),
                                           }));
}

static struct page_search listed(struct market *market, const struct occurrence_filter *filter,
                                 int count, struct occurrence *rows)
{
    struct page_search search;
    DONE(market, occurrence_list(&market->call, filter, count, rows, &search));
    return search;
}

static const struct occurrence_filter ANY = { .type = EVENT_TYPE__COUNT };

static void newest_come_first_with_their_data(void **state)
{
    struct market    *market = *state;
    struct occurrence rows[ROWS_MAX];
    emit(market, EVENT_CREDITS_LOW_BALANCE);
    emit(market, EVENT_CREDITS_LOW_BALANCE);
    assert_int_equal(listed(market, &ANY, ROWS_MAX, rows).count, 2);
    assert_int_equal(rows[0].type, EVENT_CREDITS_LOW_BALANCE);
    assert_int_equal(rows[1].type, EVENT_CREDITS_LOW_BALANCE);
    assert_true(str_eq(rows[1].data, STR("{\"a\":1}")));
    assert_int_equal(rows[1].created_ms, id_time_ms(&rows[1].id));
}

static void bounds_are_exclusive_and_type_filters(void **state)
{
    struct market           *market = *state;
    struct occurrence        all[ROWS_MAX], rows[ROWS_MAX];
    struct occurrence_filter filter = ANY;
    for (int i = 0; i < 4; i++)
        emit(market, i % 2 ? EVENT_CREDITS_LOW_BALANCE : EVENT_ENDPOINT_DISABLED);
    listed(market, &ANY, ROWS_MAX, all);
    filter.before = all[0].id;
    filter.after = all[3].id;
    assert_int_equal(listed(market, &filter, ROWS_MAX, rows).count, 2);
    assert_true(id_eq(&rows[0].id, &all[1].id));
    assert_true(id_eq(&rows[1].id, &all[2].id));
    filter.type = EVENT_ENDPOINT_DISABLED;
    assert_int_equal(listed(market, &filter, ROWS_MAX, rows).count, 1);
    assert_true(id_eq(&rows[0].id, &all[1].id));
}

static void search_ends_when_the_page_is_full(void **state)
{
    struct market    *market = *state;
    struct occurrence rows[ROWS_MAX];
    for (int i = 0; i < 3; i++)
        emit(market, EVENT_CREDITS_LOW_BALANCE);
    struct page_search search = listed(market, &ANY, 2, rows);
    assert_int_equal(search.count, 2);
    assert_int_equal(search.seen_count, 2);
}

static void others_are_not_found(void **state)
{
    struct market    *market = *state;
    struct occurrence row;
    emit(market, EVENT_CREDITS_LOW_BALANCE);
    listed(market, &ANY, 1, &row);
    struct id id = row.id;
    DONE(market, occurrence_get(&market->call, id_str(&id), &row));
    market->actor.environment = ENVIRONMENT_TEST;
    REFUSED(market, occurrence_get(&market->call, id_str(&id), &row), ERR_NOT_FOUND, "occurrence");
    assert_int_equal(listed(market, &ANY, 1, &row).count, 0);
    market_start_at(market, 0);
    REFUSED(market, occurrence_get(&market->call, id_str(&id), &row), ERR_NOT_FOUND, "occurrence");
    assert_int_equal(listed(market, &ANY, 1, &row).count, 0);
    REFUSED(market, occurrence_get(&market->call, STR("occ_x"), &row), ERR_NOT_FOUND, "occurrence");
}

#define occurrence_test(name)                                                                      \
    cmocka_unit_test_setup_teardown(name, event_market_setup, market_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        occurrence_test(newest_come_first_with_their_data),
        occurrence_test(bounds_are_exclusive_and_type_filters),
        occurrence_test(search_ends_when_the_page_is_full),
        occurrence_test(others_are_not_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
