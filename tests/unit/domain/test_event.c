#include "domain/event.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "event_market.h"

static void occurrence_is_kept_though_nobody_listens(void **state)
{
    struct market *market = *state;
    event_market_emit(market, EVENT_CREDITS_LOW_BALANCE, &market->org_id);
    assert_int_equal(market_int(market, "SELECT count(*) FROM occurrences WHERE data = '{\"a\":1}'"
                                        " AND type = 'credits.low_balance'"),
                     1);
    assert_int_equal(market_int(market, "SELECT count(*) FROM webhook_events"), 0);
    assert_false(market->call.wakes_tasks);
}

static void every_endpoint_that_wants_it_gets_one_event(void **state)
{
    struct market *market = *state;
    struct id      all = event_market_endpoint(market, EVENTS_ALL);
    struct id      some = event_market_endpoint(market, BIT(EVENT_CREDITS_LOW_BALANCE));
    event_market_emit(market, EVENT_ENDPOINT_DISABLED, &market->org_id);
    assert_true(market->call.wakes_tasks);
    assert_int_equal(event_market_events(market, &all), 1);
    assert_int_equal(event_market_events(market, &some), 0);
    event_market_emit(market, EVENT_CREDITS_LOW_BALANCE, &market->org_id);
    assert_int_equal(event_market_events(market, &all), 2);
    assert_int_equal(event_market_events(market, &some), 1);
}

static void disabled_endpoints_events_are_kept_and_a_deleted_one_gets_none(void **state)
{
    struct market *market = *state;
    struct id      disabled = event_market_endpoint(market, EVENTS_ALL);
    struct id      deleted = event_market_endpoint(market, EVENTS_ALL);
    event_market_set(market, "UPDATE webhook_endpoints SET status = 'disabled' WHERE id = $1",
                     &disabled);
    event_market_set(market, "UPDATE webhook_endpoints SET deleted_ms = 1 WHERE id = $1", &deleted);
    event_market_emit(market, EVENT_CREDITS_LOW_BALANCE, &market->org_id);
    assert_int_equal(event_market_events(market, &disabled), 1);
    assert_int_equal(event_market_events(market, &deleted), 0);
}

static void nobody_hears_of_himself_or_of_another_organisation_or_environment(void **state)
{
    struct market *market = *state;
    struct id      here = event_market_endpoint(market, EVENTS_ALL);
    event_market_emit(market, EVENT_ENDPOINT_DISABLED, &here);
    assert_int_equal(event_market_events(market, &here), 0);
    event_market_set(market, "UPDATE webhook_endpoints SET environment = 1 WHERE id = $1", &here);
    event_market_emit(market, EVENT_CREDITS_LOW_BALANCE, &market->org_id);
    assert_int_equal(event_market_events(market, &here), 0);
    event_market_set(market, "UPDATE webhook_endpoints SET environment = 0 WHERE id = $1", &here);
    market_start_at(market, 0);
    event_market_emit(market, EVENT_CREDITS_LOW_BALANCE, &market->org_id);
    assert_int_equal(event_market_events(market, &here), 0);
}

static void places_of_links_are_filled_when_told(void **state)
{
    struct market    *market = *state;
    struct id         file_id = id_new(ID_FILE, market->now_ms);
    struct event_data data;
    struct call      *call = &market->call;
    market_begin(market);
    event_data_begin(call, &data);
    out_object(&data.out, NULL);
    out_text(&data.out, "said",
             STR("\x1e"
                 "file_\x1e")); /* escaped, so no place */
    event_data_place_link(call, &data.out, &file_id);
    out_int(&data.out, "after", 1);
    out_close(&data.out);
    struct str kept = event_data_end(&data);
    int64_t    expires_ms;
    struct str url = file_download_url(call, &file_id, &expires_ms);
    char       time[TIME_TEXT_BYTES];
    time_format(expires_ms, time);
    struct str wanted = str_format(&market->arena,
                                   "{\"said\":\"\\u001efile_\\u001e\",\"download_url\":\"%.*s\","
                                   "\"download_url_expires_at\":\"%s\",\"after\":1}",
                                   STR_ARG(url), time);
    struct str told = event_data_render(call, kept);
    assert_true(str_eq(told, wanted));
    db_rollback(market->db);
}

static void data_without_places_is_told_as_it_is(void **state)
{
    struct market *market = *state;
    struct str     data = STR("{\"a\":[1,2]}");
    assert_ptr_equal(event_data_render(&market->call, data).data, data.data);
}

static void names_read_back(void **state)
{
    (void)state;
    for (int i = 0; i < EVENT_TYPE__COUNT; i++) {
        enum event_type type;
        assert_true(event_type_parse(str_of(event_type_name((enum event_type)i)), &type));
        assert_int_equal(type, i);
    }
    for (int i = 0; i < EVENT_STATE__COUNT; i++) {
        enum event_state event_state;
        assert_true(event_state_parse(str_of(event_state_name((enum event_state)i)), &event_state));
        assert_int_equal(event_state, i);
    }
    enum event_type type = EVENT_JOB_FLAGGED;
    assert_false(event_type_parse(STR("job.created"), &type));
    assert_int_equal(type, EVENT_JOB_FLAGGED);
}

#define event_test(name) cmocka_unit_test_setup_teardown(name, market_setup, market_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        event_test(occurrence_is_kept_though_nobody_listens),
        event_test(every_endpoint_that_wants_it_gets_one_event),
        event_test(disabled_endpoints_events_are_kept_and_a_deleted_one_gets_none),
        event_test(nobody_hears_of_himself_or_of_another_organisation_or_environment),
        event_test(places_of_links_are_filled_when_told),
        event_test(data_without_places_is_told_as_it_is),
        cmocka_unit_test(names_read_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
